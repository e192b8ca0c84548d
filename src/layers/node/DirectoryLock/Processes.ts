/**
 * What this process can see of itself, of others, and of the file system under a directory. Linux tells most; elsewhere less is known,
 * and nothing is made up.
 */
import * as fs from "node:fs"

const orElse = <A>(run: () => A, otherwise: A): A => {
  try {
    return run()
  } catch {
    return otherwise
  }
}

const textOf = (file: string): string => orElse(() => fs.readFileSync(file, "utf8"), "")

/** Differs after a reboot; empty where the system has none. */
export const bootId = (): string => textOf("/proc/sys/kernel/random/boot_id").trim()

/** In which a process number and its start mean anything; empty where the system has none. */
export const namespaces = (): string =>
  ["pid", "time"].map((name) => orElse(() => fs.readlinkSync(`/proc/self/ns/${name}`), "")).filter((name) =>
    name !== ""
  )
    .join(" ")

/** Fields of `/proc/<pid>/stat` behind the name, which may hold anything. */
const statOf = (pid: number | "self"): ReadonlyArray<string> => {
  const stat = textOf(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
}

/** Clock ticks since boot at which this process began; empty where the system does not say. */
export const ownStart = (): string => statOf("self")[19] ?? ""

/** A container may have the `/proc` of another: then its numbers are not ours. */
const hasOwnProc = (): boolean => orElse(() => fs.readlinkSync("/proc/self"), "") === String(process.pid)

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"
  }
}

/** Whether there is such a process; one that has ended and was not yet waited for is none. `start` tells it from a later one. */
export const runs = ({ pid, start }: { readonly pid: number; readonly start: string }): boolean => {
  if (!isThere(pid)) return false
  if (!hasOwnProc()) return true
  const stat = statOf(pid)
  const state = stat[0] ?? ""
  const began = stat[19] ?? ""
  return state !== "Z" && state !== "X" && (began === "" || start === "" || began === start)
}

/** Whether that process has that file open, as far as this one may look. */
export const hasOpen = (pid: number, file: { readonly dev: number; readonly ino: number }): boolean =>
  hasOwnProc() && orElse(() => fs.readdirSync(`/proc/${pid}/fd`), []).some((handle) => {
    const seen = orElse(() => fs.statSync(`/proc/${pid}/fd/${handle}`), undefined)
    return seen !== undefined && seen.dev === file.dev && seen.ino === file.ino
  })

/** Another process that has that file by flock, as far as this one may look: of a descriptor the kernel tells its locks. */
export const flocking = (file: { readonly dev: number; readonly ino: number }): number | undefined => {
  if (!hasOwnProc()) return undefined
  const others = orElse(() => fs.readdirSync("/proc"), []).filter((name) =>
    /^\d+$/.test(name) && name !== String(process.pid)
  )
  const found = others.find((pid) =>
    orElse(() => fs.readdirSync(`/proc/${pid}/fd`), []).some((handle) => {
      const seen = orElse(() => fs.statSync(`/proc/${pid}/fd/${handle}`), undefined)
      return seen !== undefined && seen.dev === file.dev && seen.ino === file.ino &&
        textOf(`/proc/${pid}/fdinfo/${handle}`).includes("FLOCK")
    })
  )
  return found === undefined ? undefined : Number(found)
}

/** File systems that one kernel has to itself, by `statfs`: ext, xfs, btrfs, tmpfs, ramfs, overlay, zfs, f2fs, bcachefs. */
const localTypes = new Set([
  0xef53,
  0x58465342,
  0x9123683e,
  0x01021994,
  0x858458f6,
  0x794c7630,
  0x2fc12fc1,
  0xf2f52010,
  0xca451a4e
])

export const isLocal = (directory: string): boolean =>
  process.platform === "linux" && orElse(() => localTypes.has(fs.statfsSync(directory).type), false)
