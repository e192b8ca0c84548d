/**
 * The lock as it was before both marks were made by all (commit d731bbc), unchanged but for the shape of its answer: what today's lock has to get along with.
 *
 * The lock on the data directory: flock, taken by a short-lived `flock` on our file descriptor (Node has no flock). It belongs to the
 * open file, so it stays with this process when that child ends, goes with the process however it dies, and is not inherited
 * (docs/design/queue.md "Who owns the directory"). Works across containers on one host; weak on NFS.
 *
 * Without a `flock` program: a file made with O_EXCL, with pid, boot and start time of the process, so that a dead owner is known.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as NodeFileOps from "../../src/layers/node/FileOps.ts"
import { DirectoryLock, DirectoryLockError, Holder, Locked } from "../../src/services/DirectoryLock.ts"
import { FileOps, isNoRoom } from "../../src/services/FileOps.ts"

const Note = Schema.parseJson(Holder)
const encodeNote = Schema.encodeSync(Note)
const decodeNote = Schema.decodeUnknownOption(Note)

const textOf = (file: string): string => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

const bootId = (): string => textOf("/proc/sys/kernel/random/boot_id").trim()

const holderOf = (file: string): Holder | null => Option.getOrNull(decodeNote(textOf(file)))

/** What fails on an open file says nothing of its path. */
const naming = (path: string, message: string): string => message.includes(path) ? message : `${path}: ${message}`

/** Whoever got it a moment ago may just be writing its note; null if it does not come: on a full disk there is none. */
const noteOf = Effect.fnUntraced(function*(file: string): Effect.fn.Return<Holder | null> {
  for (let look = 0; look < 10; look++) {
    const holder = holderOf(file)
    if (holder !== null) return holder
    yield* Effect.sleep("20 millis")
  }
  return null
})

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, DirectoryLockError> =>
  Effect.try({
    try: run,
    catch: (cause) =>
      new DirectoryLockError({
        path,
        code: cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "UNKNOWN",
        message: naming(path, cause instanceof Error ? cause.message : String(cause)),
        cause
      })
  })

const writeNote = (file: number, now: Date): void => {
  const note = encodeNote({ pid: process.pid, host: os.hostname(), bootId: bootId(), startedAt: now.toISOString() })
  // What is there keeps its place until it is overwritten: it may be all there is on a full disk.
  const length = fs.writeSync(file, `${note}\n`, 0)
  fs.ftruncateSync(file, length)
}

/** `undefined`: there is no such program. */
const flock = (file: number): "held" | "refused" | undefined => {
  const { error, status } = spawnSync("flock", ["-n", "-x", "3"], { stdio: ["ignore", "ignore", "ignore", file] })
  if (error !== undefined || status === null || status === 127) return undefined
  return status === 0 ? "held" : "refused"
}

const openFlags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW

const acquire = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<void, Locked | DirectoryLockError, FileOps | Scope.Scope> {
  const file = path.join(directory, "LOCK")
  const now = new Date(yield* Effect.clockWith((clock) => clock.currentTimeMillis))
  const ops = yield* FileOps
  yield* ops.makeDirectory(directory).pipe(
    Effect.mapError(({ cause, code, message, path }) => new DirectoryLockError({ path, code, message, cause }))
  )
  const handle = yield* Effect.acquireRelease(
    attempt(file, () => fs.openSync(file, openFlags, 0o600)),
    (handle) => Effect.sync(() => fs.closeSync(handle))
  )
  const outcome = flock(handle)
  if (outcome === "refused") return yield* new Locked({ path: file, holder: yield* noteOf(file) })
  if (outcome === undefined) yield* acquireByPid(directory, now)
  // For humans only; the lock does not depend on it, and a full disk keeps nobody from starting. It stays when the lock goes:
  // removing a file that another has just opened would give two owners.
  yield* attempt(file, () => writeNote(handle, now)).pipe(
    Effect.catchIf(isNoRoom, (error) =>
      Effect.logWarning("no room for a note of who holds the data directory").pipe(
        Effect.annotateLogs({ path: file, code: error.code })
      ))
  )
})

// ---------------------------------------------------------------------------------------------------------------------
// without flock

/** Clock ticks since boot at which a process began: tells a process from a later one with its number. Linux only. */
const startOf = (pid: number): string => {
  const stat = textOf(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"
  }
}

const Owner = Schema.parseJson(Schema.Struct({ ...Holder.fields, start: Schema.String }))
const encodeOwner = Schema.encodeSync(Owner)
const decodeOwner = Schema.decodeUnknownOption(Owner)

const isGone = (owner: typeof Owner.Type): boolean =>
  owner.host === os.hostname() &&
  (owner.bootId !== bootId() || !isAlive(owner.pid) || startOf(owner.pid) !== owner.start)

/** A dead owner's file; false if another process was quicker and it is that one's: then it goes back. */
const takeAway = (file: string, dead: typeof Owner.Type): boolean => {
  const aside = `${file}.${process.pid}`
  try {
    fs.renameSync(file, aside)
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return true
    throw cause
  }
  const ours = textOf(aside).trim() === encodeOwner(dead)
  if (!ours) fs.linkSync(aside, file)
  fs.rmSync(aside)
  return ours
}

const acquireByPid = Effect.fnUntraced(function*(
  directory: string,
  now: Date
): Effect.fn.Return<void, Locked | DirectoryLockError, Scope.Scope> {
  const file = path.join(directory, "LOCK.pid")
  const found = decodeOwner(textOf(file))
  if (Option.isSome(found) && !isGone(found.value)) return yield* new Locked({ path: file, holder: found.value })
  if (Option.isSome(found) && !(yield* attempt(file, () => takeAway(file, found.value)))) {
    return yield* new Locked({ path: file, holder: Option.getOrNull(decodeOwner(textOf(file))) })
  }
  const owner = encodeOwner({
    pid: process.pid,
    host: os.hostname(),
    bootId: bootId(),
    startedAt: now.toISOString(),
    start: startOf(process.pid)
  })
  yield* Effect.acquireRelease(
    attempt(file, () => fs.writeFileSync(file, `${owner}\n`, { flag: "wx", mode: 0o600 })).pipe(
      Effect.catchAll((error): Effect.Effect<never, Locked | DirectoryLockError> =>
        error.code === "EEXIST"
          ? Effect.fail(new Locked({ path: file, holder: Option.getOrNull(decodeOwner(textOf(file))) }))
          // Without what makes it ours it would lock out everyone for good.
          : Effect.andThen(Effect.sync(() => fs.rmSync(file, { force: true })), Effect.fail(error))
      )
    ),
    () => Effect.sync(() => fs.rmSync(file, { force: true }))
  )
})

export const layer: Layer.Layer<DirectoryLock> = Layer.effect(
  DirectoryLock,
  Effect.map(FileOps, (ops) => ({
    acquire: (directory) =>
      acquire(directory).pipe(Effect.provideService(FileOps, ops), Effect.as({ lost: Effect.never }))
  }))
).pipe(Layer.provide(NodeFileOps.layer))
