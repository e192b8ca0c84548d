/** Each command as it is typed and piped: help, errors, completions, a reader that goes away. */
import { spawn } from "node:child_process"
import { assert, beforeAll, describe, it } from "vitest"
import { bundle, ensureBundle, exchangeFeeds } from "../support/bundle.ts"
import { cleanups, stage } from "./Stage.ts"

beforeAll(ensureBundle)

const commands: ReadonlyArray<string> = [
  "run",
  "demo",
  "check",
  "markets",
  "top",
  "config",
  "healthcheck",
  "tap",
  "capture",
  "capture record",
  "capture replay",
  "queue",
  "queue inspect",
  "queue verify",
  "queue export",
  "queue replay",
  "queue purge"
]

const escape = "\u001b"

const words = (command: string) => command.split(" ")

/** As a shell's `command | head -n 1`: reads a line, and goes. */
const firstLine = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  new Promise<{ readonly code: number | null; readonly stderr: string; readonly line: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [bundle, ...args], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    cleanups.push(() => void child.kill("SIGKILL"))
    let stderr = ""
    let line = ""
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk)
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      line += chunk
      if (line.includes("\n")) child.stdout.destroy()
    })
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, stderr, line: line.split("\n")[0] ?? "" }))
  })

describe("each command", () => {
  it.each(commands)("%s: help on stdout, plain when piped; a wrong option is told on stderr, 64", async (command) => {
    const [help, wrong] = await Promise.all([
      exchangeFeeds([...words(command), "--help"]),
      exchangeFeeds([...words(command), "--nonsense"])
    ])
    assert.strictEqual(help.code, 0, help.stderr)
    assert.strictEqual(help.stderr, "")
    assert.include(help.stdout, "USAGE")
    assert.notInclude(help.stdout, escape)
    assert.strictEqual(wrong.code, 64, wrong.stdout)
    assert.strictEqual(wrong.stdout, "")
    assert.notInclude(wrong.stderr, escape)
    assert.isAbove(wrong.stderr.length, 0)
  })

  it("all of them are in the help of the whole, with examples and exit codes", async () => {
    const { stdout } = await exchangeFeeds(["--help"])
    for (const command of commands) assert.include(stdout, `- ${words(command)[0]}`)
    for (const part of ["EXAMPLES", "EXIT CODES", "--completions"]) assert.include(stdout, part)
  })

  it("a misspelt one is told its neighbour", async () => {
    const { code, stderr, stdout } = await exchangeFeeds(["helathcheck"])
    assert.deepStrictEqual({ code, stdout }, { code: 64, stdout: "" })
    assert.include(stderr, "did you mean healthcheck?")
  })

  it.each(["bash", "zsh", "fish"])("completions for %s name them", async (shell) => {
    const { code, stdout } = await exchangeFeeds(["--completions", shell])
    assert.strictEqual(code, 0)
    for (const command of ["run", "markets", "healthcheck", "env-example"]) assert.include(stdout, command)
  })
})

describe("a reader that goes away", () => {
  it("is no error to what prints much", async () => {
    const s = await stage("127.0.0.1:1", 30)
    const env = { BITPIN_API_URL: s.bitpin.server.apiUrl, BITPIN_WS_URL: s.bitpin.server.wsUrl, EXCHANGES: "bitpin" }
    const stop = s.bitpin.flood(2_000)
    cleanups.push(stop)
    const { code, line, stderr } = await firstLine(["tap", "--exchange", "bitpin"], env)
    assert.include(JSON.parse(line), { exchange: "bitpin" })
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
  })

  it("ends the service that talks to it; what it did not take waits on the disk", async () => {
    const s = await stage("127.0.0.1:1", 6)
    const stop = s.bitpin.flood(500)
    cleanups.push(stop)
    const { code, line, stderr } = await firstLine(["run"], {
      SINK: "stdout",
      EXCHANGES: "bitpin",
      DATA_DIR: s.dataDir,
      HEALTH_PORT: "0",
      LOG_LEVEL: "error",
      BITPIN_API_URL: s.bitpin.server.apiUrl,
      BITPIN_WS_URL: s.bitpin.server.wsUrl
    })
    assert.include(JSON.parse(line), { exchange: "bitpin" })
    assert.strictEqual(code, 0, stderr)
    stop()
    const { stdout } = await exchangeFeeds(["queue", "inspect"], { DATA_DIR: s.dataDir })
    assert.match(stdout, /records\s+[1-9]/)
    const next = s.start({ SINK: "stdout", EXCHANGES: "bitpin" })
    await s.bitpin.ready()
    await next.settled(0)
  })
})
