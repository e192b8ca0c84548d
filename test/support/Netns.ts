/**
 * A network of its own for a process: names as the test says, and a host that is far. Linux's namespaces, by `ip`; needs root.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import { demandNetworks } from "./rights.ts"

const run = promisify(execFile)

/** Reached after `delay` there and back. The one of IPv6 too. */
export const far = { v4: "10.99.0.2", v6: "fd99::2" } as const

/** There is no way to it. */
export const unroutable = "2001:db8::1"

/** What is sent there is lost. */
export const silent = "10.99.0.9"

export interface Options {
  /** As in `/etc/hosts`: address and name. */
  readonly hosts: ReadonlyArray<readonly [address: string, name: string]>
  /** Milliseconds to the far host and back. */
  readonly delay: number
  /** By default there is none, and names that are not in `hosts` do not exist. */
  readonly nameServer?: string
}

export interface Netns {
  /** What stands before a command that is to run inside. */
  readonly under: ReadonlyArray<string>
  /** Whatever listens at this port of our 127.0.0.1 is there too, at every address or at one, until it is taken away again. */
  readonly bring: (port: number, address?: string) => Promise<() => Promise<void>>
  /** From now on names mean this. */
  readonly rename: (hosts: Options["hosts"]) => void
  readonly close: () => Promise<void>
}

let serial = 0

/** Until it says that it is ready. */
const started = (child: ChildProcess): Promise<ChildProcess> =>
  new Promise((resolve, reject) => {
    child.stdout?.once("data", () => resolve(child))
    child.once("exit", (code) => reject(new Error(`${child.spawnargs.join(" ")} ended with ${code}`)))
  })

const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null) return
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  child.stdin?.end()
  await gone
}

export const make = async ({ delay, hosts, nameServer }: Options): Promise<Netns> => {
  demandNetworks()
  const name = `feeds-${process.pid}-${serial++}`
  const under = ["ip", "netns", "exec", name]
  const etc = path.join("/etc/netns", name)
  const scratch = mkdtempSync(path.join(tmpdir(), "netns-"))
  const children: Array<ChildProcess> = []
  const closers: Array<() => void> = []
  // `ip netns exec` puts what is there over what is in /etc.
  mkdirSync(etc, { recursive: true })
  const rename = (hosts: Options["hosts"]) => {
    const lines = [["127.0.0.1", "localhost"], ...hosts].map((line) => `${line.join(" ")}\n`)
    writeFileSync(path.join(etc, "hosts"), lines.join(""))
  }
  rename(hosts)
  writeFileSync(path.join(etc, "resolv.conf"), nameServer === undefined ? "" : `nameserver ${nameServer}\n`)
  writeFileSync(
    path.join(etc, "nsswitch.conf"),
    nameServer === undefined ? "hosts: files\n" : "hosts: files dns\n"
  )
  const inside = async (...[command = "", ...args]: ReadonlyArray<string>) => {
    const child = await started(
      spawn("ip", [...under.slice(1), command, ...args], { stdio: ["pipe", "pipe", "inherit"] })
    )
    children.push(child)
    return child
  }
  const here = (file: string) => path.join(import.meta.dirname, file)
  await run("ip", ["netns", "add", name])
  await inside("perl", here("far.pl"), "far0", String(delay))
  return {
    under,
    rename,
    bring: async (port, address) => {
      const socket = path.join(scratch, String(serial++))
      const server = createServer((client) => {
        const up = connect(port, "127.0.0.1")
        for (const [from, to] of [[client, up], [up, client]] as const) {
          from.pipe(to)
          from.on("error", () => to.destroy())
          from.on("close", () => to.destroy())
        }
      })
      await new Promise<void>((resolve) => server.listen(socket, resolve))
      closers.push(() => void server.close())
      const child = await inside(
        process.execPath,
        here("relay.mjs"),
        String(port),
        socket,
        ...(address === undefined ? [] : [address])
      )
      return () => ended(child)
    },
    close: async () => {
      for (const child of children) await ended(child)
      for (const close of closers) close()
      await run("ip", ["netns", "del", name])
      rmSync(etc, { recursive: true, force: true })
      rmSync(scratch, { recursive: true, force: true })
    }
  }
}
