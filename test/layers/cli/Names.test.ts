/**
 * Name servers that never answer, in earnest: a network of its own, in which the only one listens and is mute.
 */
import * as esbuild from "esbuild"
import { execFile, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { bundle, ensureBundle } from "../../support/bundle.ts"
import { demandNamespaces } from "../../support/rights.ts"

const directory = mkdtempSync(path.join(tmpdir(), "names-"))
const resolv = path.join(directory, "resolv.conf")
const server = path.resolve(import.meta.dirname, "../../support/name-server.mjs")

writeFileSync(resolv, "nameserver 127.0.0.53\nsearch corp.test\noptions timeout:20 attempts:5\n")

const fixture = path.join(directory, "fixture.mjs")
beforeAll(async () => {
  ensureBundle()
  await esbuild.build({
    entryPoints: [path.resolve(import.meta.dirname, "../../support/names-fixture.ts")],
    outfile: fixture,
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "error"
  })
})

const ends: Array<() => void> = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

/** What stands before a command: it has a network of its own, in which it asks one server for names. `first`: what is done there before. */
const within = (asPid1: boolean, first: string): ReadonlyArray<string> => [
  "unshare",
  ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]),
  "--net",
  "--mount",
  ...(asPid1 ? ["--pid", "--fork", "--mount-proc"] : []),
  "sh",
  "-c",
  `set -e; ip link set lo up; mount --bind ${resolv} /etc/resolv.conf; ${first} exec "$@"`,
  "sh"
]

/** Starts a name server that knows `entries`, and waits until it listens. */
const nameServer = (...entries: ReadonlyArray<string>): string =>
  `${process.execPath} ${server} 127.0.0.53 ${
    entries.join(" ")
  } & until grep -q :0035 /proc/net/udp; do sleep 0.02; done;`

beforeAll(() => demandNamespaces(within(true, "")))

interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly text: string
}

/** Runs the service; SIGTERM when so many questions were asked, which nobody answers. */
const stopped = (asPid1: boolean, questions: number): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const [command = "", ...args] = [
      ...within(asPid1, nameServer()),
      process.execPath,
      bundle,
      "run"
    ]
    const child = spawn(command, args, {
      env: {
        PATH: process.env["PATH"],
        HEALTH_PORT: "0",
        LOG_FORMAT: "logfmt",
        DATA_DIR: path.join(directory, `data${asPid1}`),
        KAFKA_BROKER: "kafka.test:9092",
        EXCHANGES: "bitpin",
        BITPIN_API_URL: "http://api.test",
        BITPIN_WS_URL: "ws://ws.test"
      },
      // A group of its own: the name server outlives the service.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"]
    })
    const end = () => {
      try {
        process.kill(-(child.pid ?? 0), "SIGKILL")
      } catch {
        // All of the group have ended.
      }
    }
    ends.push(end)
    let text = ""
    let isAsked = false
    /** The service: what we have started, or its only child. */
    const pid = (): number => {
      const root = child.pid ?? 0
      if (!asPid1) return root
      return Number(readFileSync(`/proc/${root}/task/${root}/children`, "utf8").trim().split(" ")[0])
    }
    const hear = (chunk: string) => {
      text += chunk
      if (isAsked || !text.includes("listening") || text.split("asked ").length <= questions) return
      isAsked = true
      process.kill(pid(), "SIGTERM")
    }
    child.stdout.setEncoding("utf8").on("data", hear)
    child.stderr.setEncoding("utf8").on("data", hear)
    child.once("error", reject)
    // The name server has the same stderr: what was said is all read when it is gone too.
    child.once("exit", end)
    child.once("close", (code, signal) => resolve({ code, signal, text }))
  })

describe("SIGTERM while name servers are mute", () => {
  it.each([["as a process among others", false], ["as PID 1 of a container", true]])(
    "ends it, %s, with 0: a clean stop",
    async (_, asPid1) => {
      const { code, signal, text } = await stopped(asPid1, 8)
      assert.deepStrictEqual({ code, signal }, { code: 0, signal: null }, text)
      assert.match(text, /message=stopped.*durable=true/)
    },
    60_000
  )
})

describe("look-ups", () => {
  it("answer as those of Node, what is no question for name servers in this process, what they do not have in another", async () => {
    const [command = "", ...args] = within(
      true,
      nameServer("far.test=192.0.2.7", "short.corp.test=192.0.2.8")
    )
    const { stdout } = await promisify(execFile)(command, [
      ...args,
      process.execPath,
      fixture,
      "192.0.2.1",
      "localhost",
      "far.test",
      "short",
      "none.test"
    ])
    // The name server is a child of the command too.
    const here = 1
    const inAnother = 2
    const none = {
      code: "ENOTFOUND",
      hostname: "none.test",
      message: "getaddrinfo ENOTFOUND none.test",
      syscall: "getaddrinfo"
    }
    const both = (name: string, address: string) => [name, [address, 4], [[{ address, family: 4 }], null]]
    const answers = JSON.parse(stdout)
    // A name server on a busy machine may be too slow for it.
    const known = answers[2]?.[3] === here ? here : inAnother
    assert.deepStrictEqual(answers, [
      [...both("192.0.2.1", "192.0.2.1"), here],
      [...both("localhost", "127.0.0.1"), here],
      [...both("far.test", "192.0.2.7"), known],
      [...both("short", "192.0.2.8"), inAnother],
      ["none.test", none, none, inAnother],
      { address: "127.0.0.1", family: 4 }
    ])
  })
})
