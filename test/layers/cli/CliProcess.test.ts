import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as esbuild from "esbuild"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"

const directory = mkdtempSync(path.join(tmpdir(), "process-"))
const fixture = path.join(directory, "fixture.mjs")

beforeAll(() =>
  esbuild.build({
    entryPoints: [path.resolve(import.meta.dirname, "../../support/process-fixture.ts")],
    outfile: fixture,
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "error"
  })
)

afterAll(() => rmSync(directory, { recursive: true }))

interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** Milliseconds from the first signal to the end. */
  readonly took: number
}

/** Runs one mode; `act` gets the process when it is ready for signals. */
const run = (
  mode: string,
  act: (child: ChildProcess) => void = () => {},
  env: Readonly<Record<string, string>> = {}
): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fixture, mode], {
      env: { PATH: process.env["PATH"], ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    let since = performance.now()
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk)
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      const before = stdout
      stdout += chunk
      if (before.includes("ready") || !stdout.includes("ready")) return
      since = performance.now()
      act(child)
    })
    child.once("error", reject)
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr, took: performance.now() - since }))
  })

describe("a log whose reader does not read", () => {
  it("waits in a mebibyte of memory, no more; read at last, it says how many lines are missing", async () => {
    const child = spawn(process.execPath, [fixture, "talks"], { stdio: ["ignore", "pipe", "pipe"] })
    const ended = new Promise((resolve) => child.once("exit", resolve))
    const said = await new Promise<string>((resolve) => child.stdout.setEncoding("utf8").once("data", resolve))
    const waiting = Number(/waiting (\d+)/.exec(said)?.[1])
    assert.isAbove(waiting, 900_000)
    assert.isBelow(waiting, 1_200_000)
    let log = ""
    for await (const chunk of child.stderr.setEncoding("utf8")) log += String(chunk)
    assert.strictEqual(await ended, 0)
    const lines = log.trimEnd().split("\n").map((line) => JSON.parse(line))
    const dropped = lines.filter((line) => "dropped" in line)
    assert.lengthOf(dropped, 1)
    assert.strictEqual(lines.at(-1)?.message, "the last line")
    // The one that tells, and the last one, are no part of them.
    assert.strictEqual(lines.length - 2 + dropped[0].dropped, 20_000)
  })
})

describe("without a descriptor left", () => {
  it("a name that would be looked up elsewhere gets its answer here", async () => {
    const { code, stderr, stdout } = await run("exhaustedNames")
    assert.deepStrictEqual({ code, stderr, stdout }, { code: 0, stderr: "", stdout: "not found\n" })
  })
})

describe("signals", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s stops gracefully: 0, and nothing on stderr", async (signal) => {
    const { code, stderr, stdout } = await run("waits", (child) => child.kill(signal))
    assert.deepStrictEqual({ code, stderr, stdout }, { code: 0, stderr: "", stdout: "ready\nreleased\n" })
  })

  it("a repeat within a second is the same signal, from npm and the terminal alike", async () => {
    const { code, took } = await run("slow", (child) => {
      child.kill("SIGINT")
      setTimeout(() => child.kill("SIGINT"), 20)
      setTimeout(() => child.kill("SIGHUP"), 200)
      setTimeout(() => child.kill("SIGTERM"), 400)
    })
    assert.strictEqual(code, 0)
    // It took the time that the stop takes.
    assert.isAtLeast(took, 2_400)
  })

  it.each([["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129]] as const)(
    "a later %s ends it at once",
    async (signal, expected) => {
      const { code, took } = await run("hangs", (child) => {
        child.kill("SIGTERM")
        setTimeout(() => child.kill(signal), 1_100)
      })
      assert.strictEqual(code, expected)
      assert.isAtLeast(took, 1_000)
    }
  )

  it("a stop that hangs is cut off: 75, and it says so", async () => {
    const { code, stderr, took } = await run("hangs", (child) => child.kill("SIGTERM"), { LAST_RESORT: "1500" })
    assert.strictEqual(code, 75)
    assert.strictEqual(stderr, "exchange-feeds: the stop took too long and was cut off\n")
    assert.isAtLeast(took, 1_400)
  })

  it("a thread that is stuck in the kernel does not keep it alive: killed from outside", async () => {
    const fifo = path.join(directory, "fifo")
    spawnSync("mkfifo", [fifo])
    const { code, signal, took } = await run("stuck", (child) => child.kill("SIGTERM"), { FIFO: fifo })
    assert.deepStrictEqual({ code, signal }, { code: null, signal: "SIGKILL" })
    assert.isAtLeast(took, 400)
    const defect = await run("stuckDefect", undefined, { FIFO: fifo })
    assert.deepStrictEqual({ code: defect.code, signal: defect.signal }, { code: null, signal: "SIGKILL" })
    assert.include(defect.stderr, "boom")
  })

  it("no descriptor is left for the process that would kill it: it stops all the same", async () => {
    const { code, stderr } = await run("exhausted", (child) => child.kill("SIGTERM"))
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
  })

  it("a blocked event loop does not keep it alive either", async () => {
    const { code, signal } = await run("blocks", (child) => child.kill("SIGTERM"), { LAST_RESORT: "1500" })
    assert.deepStrictEqual({ code, signal }, { code: null, signal: "SIGKILL" })
  })

  it("what the stop reports decides the code", async () => {
    const { code, stderr } = await run("incomplete", (child) => child.kill("SIGTERM"))
    assert.deepStrictEqual({ code, stderr }, {
      code: 75,
      stderr: "exchange-feeds: 12 events could not be made durable\n"
    })
  })
})

describe("ends", () => {
  it("0 of its own accord", async () => {
    const { code, stderr } = await run("ends")
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
  })

  it("with one line and the code of the failure", async () => {
    const { code, stderr, stdout } = await run("fails")
    assert.deepStrictEqual({ code, stderr, stdout }, {
      code: 69,
      stderr: "exchange-feeds: port 8080 is in use\n",
      stdout: ""
    })
  })

  it.each([
    ["dies", "boom"],
    ["throws", "nobody caught this"],
    ["rejects", "nobody awaited this"],
    ["interrupts", "Interrupted"]
  ])("70 if it %s", async (mode, message) => {
    const { code, stderr, stdout } = await run(mode)
    assert.strictEqual(code, 70)
    assert.strictEqual(stdout, "")
    assert.match(stderr, new RegExp(`^exchange-feeds: defect: .*${message}`))
  })

  it("quietly when nobody reads what it prints", async () => {
    const outcome = await new Promise<Outcome>((resolve) => {
      const child = spawn(process.execPath, [fixture, "prints"], {
        stdio: ["ignore", "pipe", "pipe"]
      })
      let stderr = ""
      child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk)
      child.stdout.once("data", () => child.stdout.destroy())
      child.once("close", (code, signal) => resolve({ code, signal, stdout: "", stderr, took: 0 }))
    })
    assert.deepStrictEqual({ code: outcome.code, stderr: outcome.stderr }, { code: 0, stderr: "" })
  })

  it("only when all it printed is out", async () => {
    const { code, stdout } = await run("much")
    assert.strictEqual(code, 0)
    assert.strictEqual(stdout.length, 1_000_001)
  })
})
