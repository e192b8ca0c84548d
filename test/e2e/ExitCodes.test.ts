/**
 * Each exit code of docs/design/contract.md "Commands and exit codes", from the real process.
 */
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import * as net from "node:net"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as zlib from "node:zlib"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { bundle, ensureBundle, exchangeFeeds } from "../support/bundle.ts"
import { sum, until } from "./Service.ts"
import { cleanups, emit, ready, stage } from "./Stage.ts"

const nowhere = "127.0.0.1:1"

describe("exit codes", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "codes-"))
  beforeAll(ensureBundle)
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  const run = (env: Readonly<Record<string, string>>) =>
    exchangeFeeds(["run"], {
      KAFKA_BROKER: nowhere,
      HEALTH_PORT: "0",
      DATA_DIR: path.join(directory, "data"),
      ...env
    })

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "0 after %s, Kafka never there and the exchanges gone",
    async (signal) => {
      const s = await stage(nowhere, 3)
      const service = s.start()
      await ready(s)
      await emit(s, 100)
      await Promise.all(s.exchanges.map(({ server }) => server.refuse()))
      assert.deepStrictEqual(await service.stop(signal), { code: 0, signal: null }, service.tail())
    }
  )

  it("64: a command that does not exist, with the one that was meant", async () => {
    const { code, stderr, stdout } = await exchangeFeeds(["rnu"])
    assert.deepStrictEqual({ code, stdout }, { code: 64, stdout: "" })
    assert.match(stderr, /run/)
  })

  it("69: the port is in use", async () => {
    const server = net.createServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    cleanups.push(() => {
      server.close()
    })
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const { code, stderr } = await run({ HEALTH_PORT: String(port) })
    assert.strictEqual(code, 69, stderr)
    assert.include(stderr, String(port))
  })

  it("70: a defect, planted in the running process", async () => {
    const defect = path.join(directory, "defect.mjs")
    writeFileSync(defect, "setTimeout(() => { throw new Error('planted') }, 1500)\n")
    const { code, stderr } = await run({ NODE_OPTIONS: `--import ${defect}` })
    assert.strictEqual(code, 70, stderr)
    assert.include(stderr, "planted")
  })

  it("73: the data directory cannot be made", async () => {
    writeFileSync(path.join(directory, "file"), "")
    const { code, stderr } = await run({ DATA_DIR: path.join(directory, "file/data") })
    assert.strictEqual(code, 73, stderr)
  })

  it.each(["", "queue", "LOCK", "checkpoint-2.00000001.log"])(
    "73: the directory is another user's, or its %s: told with the command that gives it to this one",
    async (name) => {
      const data = mkdtempSync(path.join(directory, "owner-"))
      // A program that anybody may read, and a directory that leads there.
      const program = path.join(directory, "exchange-feeds.mjs")
      copyFileSync(bundle, program)
      chmodSync(directory, 0o755)
      if (name !== "") {
        const inside = path.join(data, name)
        if (name === "queue") mkdirSync(inside)
        else writeFileSync(inside, "")
        chmodSync(inside, 0o700)
        chownSync(data, 1234, 1234)
      }
      const { status, stderr } = spawnSync(
        "setpriv",
        ["--reuid=1234", "--regid=1234", "--clear-groups", process.execPath, program, "run"],
        {
          env: { PATH: process.env["PATH"], KAFKA_BROKER: nowhere, HEALTH_PORT: "0", DATA_DIR: data },
          encoding: "utf8"
        }
      )
      assert.strictEqual(status, 73, stderr)
      assert.include(stderr, "EACCES")
      assert.include(stderr, path.join(data, name))
      assert.include(stderr, `chown -R 1234:1234 '${data}'`)
    },
    60_000
  )

  it("75: the directory is another process's, which is named", async () => {
    const s = await stage(nowhere, 3)
    const first = s.start()
    await ready(s)
    const second = s.start()
    assert.deepStrictEqual(await second.exited, { code: 75, signal: null }, second.tail())
    assert.include(second.tail(), String(first.process.pid))
  })

  it("75: something could not be made durable, neither in Kafka nor on the disk", async () => {
    const s = await stage(nowhere, 3)
    // No file may grow beyond a kilobyte: the lock fits, a batch of trades does not.
    const service = s.start({ SHUTDOWN_TIMEOUT: "3s" }, ["prlimit", "--fsize=1024"])
    await ready(s)
    await emit(s, 200)
    await until("in flight", async () => sum(await service.ledger(), "inFlight") > 0, 20_000, () => service.tail())
    assert.deepStrictEqual(await service.stop(), { code: 75, signal: null }, service.tail())
    assert.match(service.tail(), /durable/, service.tail())
  }, 60_000)

  const later = "{\"v\":3,\"seq\":0,\"markets\":[]}"
  it.each([
    ["checkpoint", later],
    ["checkpoint-2.00000007.log", `${zlib.crc32(later).toString(16).padStart(8, "0")} ${later}\n`]
  ])("78: a later release wrote %s, which is named, and left as it is", async (name, text) => {
    const data = path.join(directory, name)
    const file = path.join(data, name)
    mkdirSync(data)
    writeFileSync(file, text)
    const { code, stderr } = await run({ DATA_DIR: data })
    assert.strictEqual(code, 78, stderr)
    assert.include(stderr, file)
    assert.strictEqual(readFileSync(file, "utf8"), text)
    // But for who owns the directory.
    assert.deepStrictEqual(readdirSync(data).filter((one) => !one.startsWith("LOCK")), [name])
  })

  it("78: the configuration, every mistake a line; blank is unset, a file may hold the value", async () => {
    const secret = path.join(directory, "secret")
    writeFileSync(secret, "s3cret-Pa55word\n")
    const { code, stderr } = await run({
      KAFKA_BROKER: "what ever",
      HEALTH_PORT: "99999",
      RETRY_JITTER: "7",
      QUEUE_MODE: "jurnal",
      EXCHANGES: "bitpon",
      LOG_LEVEL: "",
      KAFKA_SASL_PASSWORD_FILE: secret,
      WS_STAGGER: "soon"
    })
    assert.strictEqual(code, 78, stderr)
    for (const key of ["KAFKA_BROKER", "HEALTH_PORT", "RETRY_JITTER", "QUEUE_MODE", "EXCHANGES", "WS_STAGGER"]) {
      assert.lengthOf(stderr.split("\n").filter((line) => line.startsWith(`  ${key} `)), 1, `${key} in\n${stderr}`)
    }
    assert.notInclude(stderr, "LOG_LEVEL")
    assert.notInclude(stderr, "Pa55word")
  })
})
