/** Processes that want the lock of a directory (`lock-child.ts`): with and without `flock`, of today and of an earlier version, in other containers. */
import * as esbuild from "esbuild"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as readline from "node:readline"
import { afterAll, afterEach, beforeAll } from "vitest"
import { demandNamespaces } from "./rights.ts"

const directory = fs.mkdtempSync(path.join(tmpdir(), "lock-"))
const fixture = path.join(directory, "child.mjs")

beforeAll(() =>
  esbuild.build({
    entryPoints: [path.resolve(import.meta.dirname, "lock-child.ts")],
    outfile: fixture,
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "error"
  })
)

const children: Array<Child> = []
afterEach(async () => {
  for (const child of children.splice(0)) await child.kill()
})
afterAll(() => fs.rmSync(directory, { recursive: true, force: true }))

export interface Kind {
  readonly version: "now" | "earlier"
  readonly flock: boolean
}

export const now = { with: { version: "now", flock: true }, without: { version: "now", flock: false } } as const
export const earlier = {
  with: { version: "earlier", flock: true },
  without: { version: "earlier", flock: false }
} as const

let hosts = 0

/** A container as far as a lock sees one: a host name and a process number of its own. */
export const container = (): ReadonlyArray<string> => [
  "unshare",
  ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]),
  "--uts",
  "--pid",
  "--fork",
  "--mount-proc",
  "sh",
  "-c",
  `echo host${++hosts} > /proc/sys/kernel/hostname; exec "$@"`,
  "sh"
]

beforeAll(() => demandNamespaces(container()))

export class Child {
  private readonly process: ChildProcess
  private readonly lines: Array<string> = []
  private readonly exited: Promise<void>
  private readonly looks = new Set<() => void>()

  constructor(dataDir: string, kind: Kind, under: ReadonlyArray<string> = []) {
    const path = kind.flock ? [] : ["env", "PATH=/nonexistent"]
    const [command = "", ...args] = [...under, ...path, process.execPath, fixture, dataDir, kind.version]
    this.process = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"] })
    this.exited = new Promise((resolve) => this.process.once("close", () => resolve()))
    this.process.stdin?.on("error", () => {})
    if (this.process.stdout !== null) {
      readline.createInterface({ input: this.process.stdout }).on("line", (line) => {
        this.lines.push(line)
        for (const look of this.looks) look()
      })
    }
    children.push(this)
  }

  /** The first line that matches, also of those that it has said before. */
  said(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const line = this.lines.find((one) => pattern.test(one))
        if (line === undefined) return
        this.looks.delete(look)
        resolve(line)
      }
      this.looks.add(look)
      look()
      void this.exited.then(() => reject(new Error(`ended without ${pattern}: ${this.lines.join(" | ")}`)))
    })
  }

  ready = () => this.said(/^ready/)

  /** Tries for the lock: `locked` or `refused <why>`. */
  async tries(): Promise<string> {
    await this.ready()
    this.process.stdin?.write("go\n")
    return this.said(/^(locked|refused|error)/)
  }

  /** The process itself, not what stands before it. */
  pid(): number {
    let pid = this.process.pid ?? 0
    for (;;) {
      const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
      const only = Number(children[0])
      if (fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(process.execPath) || only === 0) return pid
      pid = only
    }
  }

  signal = (signal: NodeJS.Signals) => process.kill(this.pid(), signal)

  async kill(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.signal("SIGKILL")
    await this.exited
  }

  async leave(): Promise<void> {
    this.process.stdin?.end()
    await this.exited
  }

  /** It ends by itself. */
  left = (): Promise<void> => this.exited
}

let serial = 0
export const dataDir = (): string => path.join(directory, `data${serial++}`)

export const nameOf = ({ flock, version }: Kind): string => `${version}, ${flock ? "with" : "without"} flock`
