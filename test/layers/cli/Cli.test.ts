import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { spawn, spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { tableOf } from "../../../src/layers/AppConfig/Variables.ts"
import { exchanges } from "../../../src/streams/exchanges/index.ts"
import { bundle, ensureBundle, exchangeFeeds } from "../../support/bundle.ts"

const { version } = JSON.parse(readFileSync(path.resolve(import.meta.dirname, "../../../package.json"), "utf8"))

const directory = mkdtempSync(path.join(tmpdir(), "cli-"))

beforeAll(() => ensureBundle())
afterAll(() => rmSync(directory, { recursive: true }))

describe("help", () => {
  it("names every command, examples and exit codes; plain when it is not for a terminal", async () => {
    const { code, stderr, stdout } = await exchangeFeeds(["--help"])
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    for (const word of ["run", "demo", "config", "healthcheck", "EXAMPLES", "--log-level", "78"]) {
      assert.include(stdout, word)
    }
    assert.notInclude(stdout, "\u001b")
  })

  it("is what no argument gives", async () => {
    const [none, help] = await Promise.all([exchangeFeeds([]), exchangeFeeds(["--help"])])
    assert.deepStrictEqual(none, help)
  })

  it("of a command", async () => {
    const { code, stdout } = await exchangeFeeds(["config", "--help"])
    assert.strictEqual(code, 0)
    assert.include(stdout, "--env-example")
  })

  it("of a command behind its other options, whatever they are; not behind `--`", async () => {
    const [tap, behind, short, odd, purge, purgeBehind, nested, forced] = await Promise.all([
      ["tap", "--help"],
      ["tap", "--exchange", "binance", "--help"],
      ["tap", "--exchange", "binance", "--seconds=1", "-h"],
      ["tap", "--exchange", "--help", "--nonsense"],
      ["queue", "purge", "--help"],
      ["queue", "purge", "--yes", "--help"],
      ["--log-level", "warn", "queue", "purge", "--yes", "--help"],
      ["capture", "replay", "--", "--help"]
    ].map((args) => exchangeFeeds(args)))
    assert.deepInclude(tap, { code: 0, stderr: "" })
    assert.include(tap?.stdout, "$ tap --exchange")
    for (const one of [behind, short, odd]) assert.deepStrictEqual(one, tap)
    assert.deepInclude(purge, { code: 0, stderr: "" })
    assert.include(purge?.stdout, "Throws every record away")
    for (const one of [purgeBehind, nested]) assert.deepStrictEqual(one, purge)
    assert.deepInclude(forced, { code: 64, stdout: "" })
  })

  // `script` gives it a terminal.
  const onTerminal = (env: Record<string, string>) =>
    spawnSync("/usr/bin/script", ["-qec", `${process.execPath} ${bundle} --help`, "/dev/null"], {
      env: { PATH: process.env["PATH"], TERM: "xterm", ...env },
      encoding: "utf8"
    }).stdout

  it("in colours on a terminal, but for those who want none", () => {
    assert.include(onTerminal({}), "\u001b[")
    assert.notInclude(onTerminal({ NO_COLOR: "1" }), "\u001b[")
    assert.include(onTerminal({ NO_COLOR: "" }), "\u001b[")
  })
})

describe("usage", () => {
  it("--version", async () => {
    const { code, stderr, stdout } = await exchangeFeeds(["--version"])
    assert.deepStrictEqual({ code, stderr, stdout: stdout.trim() }, { code: 0, stderr: "", stdout: version })
  })

  it("an unknown command is told its neighbour: 64", async () => {
    assert.deepStrictEqual(await exchangeFeeds(["rnu"]), {
      code: 64,
      stdout: "",
      stderr: "exchange-feeds: unknown command \"rnu\"; did you mean run?\n"
    })
    const { code, stderr } = await exchangeFeeds(["frobnicate", "--help"])
    assert.strictEqual(code, 64)
    assert.include(stderr, "the commands are capture, check, config, demo")
  })

  it.each([["run", "--frob"], ["demo", "--seconds", "soon"], ["demo", "--seconds", "-1"], ["demo", "--port", "70000"], [
    "config",
    "extra"
  ]])("64 for %s %s %s", async (...args) => {
    const { code, stderr, stdout } = await exchangeFeeds(args.filter((arg) => arg !== undefined))
    assert.strictEqual(code, 64)
    assert.strictEqual(stdout, "")
    assert.match(stderr, /\S/)
    assert.notInclude(stderr, "\u001b")
    assert.notInclude(stderr, "    at ")
  })

  it("--log-level at any place, in all words; a bad one lists them", async () => {
    for (
      const args of [["--log-level", "warning", "config"], ["config", "--log-level=off"], [
        "config",
        "--log-level",
        "WARN"
      ]]
    ) {
      const { code, stdout } = await exchangeFeeds(args, { LOG_LEVEL: "error" })
      assert.strictEqual(code, 0)
      assert.match(stdout, /^LOG_LEVEL=(warn|off) /m)
    }
    const { code, stderr } = await exchangeFeeds(["run", "--log-level", "loud"])
    assert.strictEqual(code, 64)
    assert.strictEqual(
      stderr,
      "exchange-feeds: --log-level expected one of trace, debug, info, warn, error, fatal, off, got \"loud\"\n"
    )
    assert.strictEqual((await exchangeFeeds(["config", "--log-level"])).code, 64)
  })
})

describe("config", () => {
  it("prints every setting, its source, and no secret", async () => {
    const file = path.join(directory, "username")
    writeFileSync(file, "collector\n")
    const { code, stderr, stdout } = await exchangeFeeds(["config"], {
      KAFKA_SECURITY_PROTOCOL: "SASL_SSL",
      KAFKA_SASL_MECHANISM: "PLAIN",
      KAFKA_SASL_USERNAME_FILE: file,
      KAFKA_SASL_PASSWORD: "hunter2",
      HTTPS_PROXY: "http://user:hunter2@proxy:3128",
      QUEUE_MAX_BYTES: "2048 mib",
      QUEUE_MAX_BITES: "1"
    })
    assert.strictEqual(code, 0)
    const lines = stdout.trimEnd().split("\n").map((line) => line.replace(/ +# /, " # "))
    assert.deepStrictEqual(
      lines.map((line) => line.split("=")[0]),
      tableOf(Object.values(exchanges)).rows.map(({ name }) => name)
    )
    assert.includeMembers(lines, [
      "KAFKA_BROKER=localhost:9092 # default",
      `KAFKA_SASL_USERNAME=collector # file ${file}`,
      "KAFKA_SASL_PASSWORD=<redacted> # environment",
      "HTTPS_PROXY=<redacted> # environment",
      "QUEUE_MAX_BYTES=2GiB # environment",
      "QUEUE_MAX_AGE= # not set"
    ])
    assert.strictEqual(stderr, "warning: QUEUE_MAX_BITES is not a setting; did you mean QUEUE_MAX_BYTES?\n")
    assert.notInclude(stdout + stderr, "hunter2")
  })

  it.each(["config", "run"])("%s tells all that is wrong at once: 78", async (command) => {
    const { code, stderr, stdout } = await exchangeFeeds([command], {
      HEALTH_PORT: "70000",
      SHUTDOWN_TIMEOUT: "30 parsecs",
      KAFKA_SASL_PASSWORD: "hunter2",
      KAFKA_SASL_PASSWORD_FILE: "/run/secret",
      EXCHANGES: "bitpn"
    })
    assert.deepStrictEqual({ code, stdout }, { code: 78, stdout: "" })
    assert.strictEqual(
      stderr,
      [
        "exchange-feeds: Configuration is not valid (4 problems):",
        "  HEALTH_PORT          expected a port 0-65535, got \"70000\"",
        "  SHUTDOWN_TIMEOUT     expected a duration such as 500ms, 30s or 5m, got \"30 parsecs\"",
        `  EXCHANGES            expected some of ${
          Object.keys(exchanges).join(", ")
        }, got "bitpn"; did you mean bitpin?`,
        "  KAFKA_SASL_PASSWORD  and KAFKA_SASL_PASSWORD_FILE are both set; keep one",
        "Run `exchange-feeds config --markdown` for every setting.",
        ""
      ].join("\n")
    )
  })

  it("--env-example and --markdown work where the environment does not", async () => {
    const [example, markdown] = await Promise.all([
      exchangeFeeds(["config", "--env-example"], { HEALTH_PORT: "x" }),
      exchangeFeeds(["config", "--markdown"], { HEALTH_PORT: "x" })
    ])
    assert.deepStrictEqual([example.code, example.stderr, markdown.code, markdown.stderr], [0, "", 0, ""])
    assert.include(example.stdout, "\n# HEALTH_PORT=8080\n")
    assert.include(markdown.stdout, "\n| `HEALTH_PORT` | `8080` |")
  })

  it("is quiet when nobody reads it to the end", async () => {
    const child = spawn("sh", ["-c", `"${process.execPath}" "${bundle}" config --markdown | head -n 1; exit 0`], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stderr = ""
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk)
    await new Promise((resolve) => child.once("close", resolve))
    assert.strictEqual(stderr, "")
  })
})

describe("demo", () => {
  it("warns of nothing before Kafka goes down: its first line is where the page is", async () => {
    const { code, stderr, stdout } = await exchangeFeeds(["demo", "--seconds", "1"])
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    assert.match(stdout.split("\n")[0] ?? "", /status page: http:/)
    assert.include(stdout, "lost 0")
  })
})

describe("healthcheck", () => {
  const servers: Array<http.Server> = []
  const seen: Array<string> = []

  const serve = (code: number, body: string): Promise<number> =>
    new Promise((resolve) => {
      const server = http.createServer((request, response) => {
        seen.push(request.url ?? "")
        response.writeHead(code).end(body)
      })
      servers.push(server)
      server.listen(0, "127.0.0.1", () => {
        const address: AddressInfo | string | null = server.address()
        resolve(typeof address === "object" && address !== null ? address.port : 0)
      })
    })

  afterAll(() => servers.forEach((server) => server.close()))

  it("0 and the status if it answers 200", async () => {
    const port = await serve(200, JSON.stringify({ status: "degraded", checks: {} }))
    seen.length = 0
    const first = await exchangeFeeds(["healthcheck", "--url", `http://127.0.0.1:${port}/`])
    assert.deepStrictEqual(first, { code: 0, stdout: "degraded\n", stderr: "" })
    const second = await exchangeFeeds(["healthcheck", "--ready"], {
      HEALTH_PORT: String(port),
      HEALTH_HOST: "0.0.0.0"
    })
    assert.deepStrictEqual(second, { code: 0, stdout: "degraded\n", stderr: "" })
    assert.deepStrictEqual(seen, ["/health", "/health/ready"])
  })

  it("1 if HEALTH_PORT=0 leaves the port open, and what to do about it; so does top", async () => {
    for (const command of ["healthcheck", "top"]) {
      const { code, stderr, stdout } = await exchangeFeeds([command], { HEALTH_PORT: "0" })
      assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" }, command)
      assert.match(stderr, /^exchange-feeds: HEALTH_PORT=0 does not say .*--url http:\/\/HOST:PORT.*\n$/)
    }
  })

  it("1 if it answers anything else, or not at all", async () => {
    const port = await serve(503, JSON.stringify({ status: "draining" }))
    const draining = await exchangeFeeds(["healthcheck", "--url", `http://127.0.0.1:${port}`])
    assert.strictEqual(draining.code, 1)
    assert.strictEqual(draining.stderr, `exchange-feeds: http://127.0.0.1:${port}/health answered 503 draining\n`)
    const odd = await exchangeFeeds(["healthcheck", "--url", `http://127.0.0.1:${await serve(404, "<html>")}`])
    assert.strictEqual(odd.code, 1)
    const gone = await exchangeFeeds(["healthcheck", "--url", "http://127.0.0.1:1"])
    assert.strictEqual(gone.code, 1)
    assert.include(gone.stderr, "ECONNREFUSED")
    assert.strictEqual((await exchangeFeeds(["healthcheck", "--url", "nonsense"])).code, 1)
  })
})
