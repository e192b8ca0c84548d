/** One owner of a directory, of real processes: with and without `flock`, of today and of an earlier version, in other containers. */
import * as esbuild from "esbuild"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as readline from "node:readline"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { demandNamespaces } from "../../../support/rights.ts"
import { strace } from "../../../support/strace.ts"

const directory = fs.mkdtempSync(path.join(tmpdir(), "lock-"))
const fixture = path.join(directory, "child.mjs")

beforeAll(() =>
  esbuild.build({
    entryPoints: [path.resolve(import.meta.dirname, "../../../support/lock-child.ts")],
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

interface Kind {
  readonly version: "now" | "earlier"
  readonly flock: boolean
}

const now = { with: { version: "now", flock: true }, without: { version: "now", flock: false } } as const
const earlier = { with: { version: "earlier", flock: true }, without: { version: "earlier", flock: false } } as const

let hosts = 0

/** A container as far as a lock sees one: a host name and a process number of its own. */
const container = (): ReadonlyArray<string> => [
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

class Child {
  private readonly process: ChildProcess
  private readonly lines: Array<string> = []
  private readonly exited: Promise<void>
  private look = () => {}

  constructor(dataDir: string, kind: Kind, under: ReadonlyArray<string> = []) {
    const path = kind.flock ? [] : ["env", "PATH=/nonexistent"]
    const [command = "", ...args] = [...under, ...path, process.execPath, fixture, dataDir, kind.version]
    this.process = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"] })
    this.exited = new Promise((resolve) => this.process.once("close", () => resolve()))
    this.process.stdin?.on("error", () => {})
    if (this.process.stdout !== null) {
      readline.createInterface({ input: this.process.stdout }).on("line", (line) => {
        this.lines.push(line)
        this.look()
      })
    }
    children.push(this)
  }

  private said(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      this.look = () => {
        const line = this.lines.find((one) => pattern.test(one))
        if (line !== undefined) resolve(line)
      }
      this.look()
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
  private pid(): number {
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
}

let serial = 0
const dataDir = (): string => path.join(directory, `data${serial++}`)

const nameOf = ({ flock, version }: Kind): string => `${version}, ${flock ? "with" : "without"} flock`

/** What is left when an owner has let go: nothing that another could take for a mark. */
const marks = (data: string): ReadonlyArray<string> => fs.readdirSync(data).filter((name) => name !== "LOCK")

const all: ReadonlyArray<Kind> = [now.with, now.without, earlier.with, earlier.without]

/** An earlier version with flock looks at no mark; what two of the earlier version make of each other is not ours to mend. */
const sees = (second: Kind, first: Kind): boolean =>
  second.version === "now" || (first.version === "now" && (first.flock || !second.flock))

describe("one owner of a directory", () => {
  it.each(all.map((first) => [nameOf(first), first] as const))(
    "first one of %s: it keeps all others out, stopped or not; killed, it keeps none; it leaves nothing behind",
    async (_, first) => {
      const data = dataDir()
      const owner = new Child(data, first)
      assert.strictEqual(await owner.tries(), "locked")
      for (const second of all.filter((one) => sees(one, first))) {
        assert.match(await new Child(data, second).tries(), /^refused .*in use by process \d+/, nameOf(second))
      }
      owner.signal("SIGSTOP")
      for (const second of [now.with, now.without]) {
        assert.match(await new Child(data, second).tries(), /^refused .*in use by process \d+/, nameOf(second))
      }
      await owner.kill()
      for (const next of [now.without, now.with, now.without]) {
        const heir = new Child(data, next)
        assert.strictEqual(await heir.tries(), "locked", nameOf(next))
        await heir.kill()
      }
      const last = new Child(data, now.with)
      assert.strictEqual(await last.tries(), "locked")
      await last.leave()
      assert.deepStrictEqual(marks(data), [])
    },
    120_000
  )

  it.each([["killed", true], ["gone of its own accord", false]] as const)(
    "an owner of today that is %s keeps an earlier version out no longer",
    async (_, isKilled) => {
      for (const first of [now.with, now.without]) {
        const data = dataDir()
        const owner = new Child(data, first)
        assert.strictEqual(await owner.tries(), "locked")
        await (isKilled ? owner.kill() : owner.leave())
        const next = new Child(data, earlier.with)
        assert.strictEqual(await next.tries(), "locked", nameOf(first))
      }
    },
    120_000
  )

  it(
    "in other containers: it keeps all others out, and killed it keeps none",
    async () => {
      for (const first of [now.with, now.without]) {
        const data = dataDir()
        const owner = new Child(data, first, container())
        assert.strictEqual(await owner.tries(), "locked")
        for (const under of [[], container()]) {
          for (const second of [now.with, now.without]) {
            assert.match(await new Child(data, second, under).tries(), /^refused .*in use by process 1 on host/)
          }
        }
        owner.signal("SIGSTOP")
        assert.match(await new Child(data, now.without, container()).tries(), /^refused/)
        await owner.kill()
        for (const next of [now.without, now.with, now.without]) {
          const heir = new Child(data, next, container())
          assert.strictEqual(await heir.tries(), "locked", nameOf(next))
          await heir.kill()
        }
      }
    },
    180_000
  )

  it(
    "a mark of an earlier version without flock in another container, of which nothing can be told: file and command are named",
    async () => {
      for (const isAlive of [true, false]) {
        const data = dataDir()
        const owner = new Child(data, earlier.without, container())
        assert.strictEqual(await owner.tries(), "locked")
        if (!isAlive) await owner.kill()
        for (const second of [now.with, now.without]) {
          const said = await new Child(data, second, container()).tries()
          assert.match(said, /^refused .*process 1 on host\d+/)
          assert.include(said, `if no other process works in the directory: rm '${path.join(data, "LOCK.pid")}'`)
        }
        await owner.kill()
        spawnSync("rm", [path.join(data, "LOCK.pid")])
        assert.strictEqual(await new Child(data, now.without, container()).tries(), "locked")
      }
    },
    180_000
  )

  it("of six that try at once exactly one gets it, in an empty directory and after one that was killed", async () => {
    const data = dataDir()
    for (const round of ["empty", "after a kill", "and again"]) {
      const six = Array.from({ length: 6 }, (_, n) => new Child(data, n % 2 === 0 ? now.with : now.without))
      await Promise.all(six.map((child) => child.ready()))
      const said = await Promise.all(six.map((child) => child.tries()))
      assert.deepStrictEqual(said.map((line) => line.split(" ")[0]).sort(), [
        "locked",
        ...Array.from({ length: 5 }, () => "refused")
      ], `${round}: ${said.join(" | ")}`)
      await Promise.all(six.map((child) => child.kill()))
    }
  }, 120_000)

  it("a path too long for a socket's address", async () => {
    const data = path.join(dataDir(), "d".repeat(120))
    const owner = new Child(data, now.without)
    assert.strictEqual(await owner.tries(), "locked")
    assert.match(await new Child(data, now.without).tries(), /^refused .*in use by process/)
    await owner.leave()
    assert.deepStrictEqual(marks(data), [])
  }, 60_000)

  it.each([
    ["listen", 1],
    ["link", 1],
    ["rename", 1],
    ["unlink", 1],
    ["unlink", 2]
  ])(
    "killed at its %s number %i, on a directory that a dead one has left: the next one gets it, wherever it is",
    async (call, n) => {
      const data = dataDir()
      const dead = new Child(data, now.without, container())
      assert.strictEqual(await dead.tries(), "locked")
      await dead.kill()
      const killed = new Child(
        data,
        now.without,
        await strace("/dev/null", `trace=${call}`, `inject=${call}:signal=SIGKILL:when=${n}`)
      )
      // It has ended without a word: the promise of one is broken.
      const said = await killed.tries().catch(String)
      assert.match(said, /ended without/)
      const next = new Child(data, now.without, container())
      assert.strictEqual(await next.tries(), "locked")
      await next.leave()
      const again = new Child(data, now.with)
      assert.strictEqual(await again.tries(), "locked")
    },
    60_000
  )
})
