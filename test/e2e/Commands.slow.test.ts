/** `check`, `markets` and `top` of the built command: each planted fault is named in one line, and a good set-up is none. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { assert, describe, inject, it } from "vitest"
import * as Script from "../../src/layers/testing/Script.ts"
import * as Broker from "../kafka/Broker.ts"
import * as Jvm from "../kafka/Jvm.ts"
import { exchangeFeeds } from "../support/bundle.ts"
import { until } from "./Service.ts"
import { cleanups, emit, ready, type Stage, stage } from "./Stage.ts"

const environment = (s: Stage, over: Readonly<Record<string, string>> = {}) => ({
  KAFKA_BROKER: inject("kafkaBroker"),
  KAFKA_TOPIC_PREFIX: s.topic.replace(".trade.v1", ""),
  DATA_DIR: s.dataDir,
  BITPIN_API_URL: s.bitpin.server.apiUrl,
  BITPIN_WS_URL: s.bitpin.server.wsUrl,
  WALLEX_API_URL: s.wallex.server.apiUrl,
  WALLEX_WS_URL: s.wallex.server.wsUrl,
  RETRY_BASE_DELAY: "50ms",
  ...over
})

const failed = (stdout: string) => stdout.split("\n").filter((line) => line.startsWith("FAILED"))

describe("check", () => {
  it("finds nothing wrong with a good set-up, and leaves it as it was", async () => {
    const s = await stage(inject("kafkaBroker"), 5)
    const { code, stderr, stdout } = await exchangeFeeds(["check"], environment(s))
    assert.strictEqual(code, 0, stdout + stderr)
    assert.deepStrictEqual(failed(stdout), [])
    assert.lengthOf(stdout.trim().split("\n"), 8)
    assert.include(stdout, "5 markets, WebSocket connected")
    // It can be run again, and the service after it.
    assert.strictEqual((await exchangeFeeds(["check"], environment(s))).code, 0)
    const service = s.start()
    await ready(s)
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
  }, 60_000)

  it("names each of twelve planted faults in one line", async () => {
    const s = await stage(inject("kafkaBroker"), 5)
    const held = await stage(inject("kafkaBroker"), 5)
    held.start()
    await ready(held)
    const scratch = mkdtempSync(path.join(tmpdir(), "feeds-check-"))
    cleanups.push(() => rmSync(scratch, { recursive: true, force: true }))
    const file = path.join(scratch, "file")
    writeFileSync(file, "")
    const faults: ReadonlyArray<readonly [what: string, env: Readonly<Record<string, string>>, line: RegExp]> = [
      ["a setting", { QUEUE_MODE: "sometimes" }, /^FAILED {2}QUEUE_MODE: expected one of/],
      ["a directory that is a file", { DATA_DIR: file }, /^FAILED {2}data directory: /],
      ["a directory in use", { DATA_DIR: held.dataDir }, /^FAILED {2}data directory: .*(in use|held|locked)/i],
      ["a disk too small", { QUEUE_MAX_BYTES: "900TiB" }, /^FAILED {2}disk: \d+ MiB free, and QUEUE_MAX_BYTES is/],
      [
        "a host without an address",
        { KAFKA_BROKER: "nowhere.invalid:9092" },
        /^FAILED {2}kafka at nowhere\.invalid:9092: .*(ENOTFOUND|EAI_AGAIN)/
      ],
      [
        "a port that is closed",
        { KAFKA_BROKER: "127.0.0.1:1" },
        /^FAILED {2}kafka at 127\.0\.0\.1:1: .*ECONNREFUSED/
      ],
      ["no TLS there", { KAFKA_SECURITY_PROTOCOL: "SSL" }, /^FAILED {2}kafka login: /],
      [
        "a login that nobody asked for",
        {
          KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT",
          KAFKA_SASL_MECHANISM: "PLAIN",
          KAFKA_SASL_USERNAME: "somebody",
          KAFKA_SASL_PASSWORD: "hidden-password"
        },
        /^FAILED {2}kafka login: /
      ],
      [
        "an authority that is not there",
        { KAFKA_SECURITY_PROTOCOL: "SSL", KAFKA_SSL_CA_LOCATION: "/nowhere/ca.pem" },
        /^FAILED {2}.*KAFKA_SSL.*cannot be read/
      ],
      [
        "topics that nobody makes",
        { KAFKA_CREATE_TOPICS: "false", KAFKA_TOPIC_PREFIX: "nobody-made-these" },
        /^FAILED {2}kafka topics: nobody-made-these\.trade\.v1, .*missing/
      ]
    ]
    for (const [what, env, line] of faults) {
      const { code, stderr, stdout } = await exchangeFeeds(["check"], environment(s, env))
      assert.strictEqual(code, 1, `${what}\n${stdout}${stderr}`)
      const lines = failed(stdout)
      assert.lengthOf(lines, 1, `${what}\n${stdout}`)
      assert.match(lines[0] ?? "", line, what)
      assert.notInclude(stdout + stderr, "hidden-password", what)
    }
    s.bitpin.server.script.rest = Script.html
    s.wallex.server.script.upgrade = Script.unavailable
    const { code, stdout } = await exchangeFeeds(["check"], environment(s))
    assert.strictEqual(code, 1)
    assert.lengthOf(failed(stdout), 2, stdout)
    assert.match(stdout, /^FAILED {2}bitpin: API: .*502/m)
    assert.match(stdout, /^FAILED {2}wallex: WebSocket: .*503/m)
  }, 180_000)
})

describe("check of a cluster whose brokers have names of their own", () => {
  it("names the one that cannot be reached, by its name; the login is none of its faults", async () => {
    const [nameless, closed, well] = await Promise.all([Jvm.freePort(), Jvm.freePort(), Jvm.freePort()])
    const broker = await Broker.make({
      listeners: {
        NAMELESS: { protocol: "PLAINTEXT", port: nameless, advertised: "kafka-0.invalid:9092" },
        CLOSED: { protocol: "PLAINTEXT", port: closed, advertised: "127.0.0.1:1" },
        WELL: { protocol: "PLAINTEXT", port: well, advertised: `localhost:${well}` }
      }
    })
    cleanups.push(async () => {
      await broker.stop()
      broker.remove()
    })
    await broker.start()
    const s = await stage(broker.address, 5)
    const check = (port: number) => exchangeFeeds(["check"], environment(s, { KAFKA_BROKER: `127.0.0.1:${port}` }))
    for (
      const [port, line] of [
        [nameless, /^FAILED {2}kafka broker kafka-0\.invalid:9092: .*(ENOTFOUND|EAI_AGAIN).*advertise/],
        [closed, /^FAILED {2}kafka broker 127\.0\.0\.1:1: .*ECONNREFUSED.*advertise/]
      ] as const
    ) {
      const { code, stdout } = await check(port)
      assert.strictEqual(code, 1, stdout)
      assert.lengthOf(failed(stdout), 1, stdout)
      assert.match(failed(stdout)[0] ?? "", line)
      assert.include(stdout, "ok      kafka login: PLAINTEXT")
    }
    const { code, stdout } = await check(well)
    assert.strictEqual(code, 0, stdout)
    assert.match(stdout, new RegExp(`^ok {6}kafka broker localhost:${well}: `, "m"))
  }, 60_000)
})

describe("config", () => {
  it("docs/configuration.md is what it prints", async () => {
    const { stdout } = await exchangeFeeds(["config", "--markdown"])
    const document = readFileSync(path.resolve(import.meta.dirname, "../../docs/configuration.md"), "utf8")
    assert.isTrue(document.endsWith(stdout), "npx exchange-feeds config --markdown")
  })
})

describe("markets", () => {
  it("lists what is chosen, as columns or as JSON", async () => {
    const s = await stage(inject("kafkaBroker"), 5)
    const plain = await exchangeFeeds(["markets"], environment(s))
    assert.strictEqual(plain.code, 0, plain.stderr)
    assert.lengthOf(plain.stdout.trim().split("\n"), 10)
    const chosen = await exchangeFeeds(["markets", "--json"], environment(s, { MARKETS: "BTC/*", EXCHANGES: "wallex" }))
    assert.deepStrictEqual(JSON.parse(chosen.stdout), {
      exchange: "wallex",
      symbol: "BTC/IRT",
      exchangeSymbol: "BTCTMN",
      channels: ["trades", "books"]
    })
    s.bitpin.addMarket({ base: "H100-AI", quote: "IRT", price: "1" })
    s.bitpin.addMarket({ base: "$WIF", quote: "USDT", price: "1" })
    const some = await exchangeFeeds(["markets"], environment(s, { MARKETS: "BTC/*,NONE/IRT", EXCHANGES: "bitpin" }))
    assert.strictEqual(some.stdout, "bitpin\tBTC/IRT\tBTC_IRT\ttrades,books\n")
    assert.match(
      some.stderr,
      /^bitpin: markets are left out.*: H100-AI_IRT, \$WIF_USDT\nbitpin: MARKETS: nothing is found by NONE\/IRT\n$/
    )
    s.bitpin.server.script.rest = Script.unavailable
    const away = await exchangeFeeds(["markets"], environment(s))
    assert.strictEqual(away.code, 69)
    assert.match(away.stderr, /bitpin: status: HTTP 503/)
    assert.strictEqual(away.stderr.trim().split("\n").length, 1)
  }, 60_000)
})

describe("gaps", () => {
  it(
    "lists what a running service has open and what is awaited, as do top and the page; then what its checkpoint keeps",
    async () => {
      const s = await stage("127.0.0.1:1", 3, 1)
      const service = s.start({
        SINK: "file",
        EXCHANGES: "bitpin",
        BACKFILL_HOLD: "1h",
        API_BREAKER_MAX_FAILURES: "1000"
      })
      await s.bitpin.ready()
      s.bitpin.trades(30)
      await service.settled(30)
      const url = await service.baseUrl()
      const gaps = async (...args: ReadonlyArray<string>) => {
        const { code, stderr, stdout } = await exchangeFeeds(["gaps", "--json", ...args], {
          DATA_DIR: s.dataDir,
          HEALTH_PORT: new URL(url).port
        })
        assert.strictEqual(code, 0, stderr)
        return {
          stderr,
          holes: stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
        }
      }
      assert.deepStrictEqual((await gaps()).holes, [])

      s.bitpin.server.script.rest = "hang"
      s.bitpin.server.drop("reset")
      await s.bitpin.ready()
      s.bitpin.trades(6)
      let seen = await gaps()
      await until(
        "six trades wait",
        async () => {
          seen = await gaps()
          return seen.holes.reduce((sum, { waiting }) => sum + waiting, 0) === 6
        },
        60_000,
        () => JSON.stringify(seen) + service.tail()
      )
      assert.lengthOf(seen.holes, 3)
      for (const hole of seen.holes) {
        assert.deepInclude(hole, {
          exchange: "bitpin",
          cause: "disconnected",
          gapId: null,
          recovered: 0,
          published: false,
          waiting: 2,
          source: "service"
        })
        assert.match(hole.from, /^\d{4}-.*\d{6}Z$/)
        assert.isAtLeast(hole.ageMs, 0)
        assert.match(hole.awaits, /^its history: /)
      }
      const { stdout } = await exchangeFeeds(["top", "--url", url, "--count", "1"])
      assert.lengthOf(stdout.match(/^bitpin \S+ +disconnected .* its history: /gm) ?? [], 3)
      assert.include((await service.get("/")).body, "its history: ")
      // Nobody was told of them, and nothing was handed over behind them: the next life finds them by the last trades.
      assert.deepStrictEqual((await gaps("--data-dir", s.dataDir)).holes, [])

      assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
      const { holes: kept, stderr } = await gaps()
      assert.include(stderr, "no service answers at")
      assert.lengthOf(kept, 3)
      for (const hole of kept) {
        assert.deepInclude(hole, {
          exchange: "bitpin",
          published: null,
          waiting: null,
          ageMs: null,
          source: "checkpoint"
        })
        assert.match(hole.gapId, /^bitpin:status:/)
      }
      assert.deepStrictEqual(kept.map(({ symbol }) => symbol).sort(), seen.holes.map(({ symbol }) => symbol).sort())
    },
    120_000
  )
})

describe("top", () => {
  it("piped it prints tables, and nothing that moves a cursor", async () => {
    const s = await stage(inject("kafkaBroker"), 5)
    const service = s.start()
    await ready(s)
    await emit(s, 200)
    const { code, stderr, stdout } = await exchangeFeeds(["top", "--url", await service.baseUrl(), "--count", "2"])
    assert.strictEqual(code, 0, stderr)
    assert.notInclude(stdout, "\u001b")
    assert.lengthOf(stdout.match(/^bitpin /gm) ?? [], 2)
    assert.match(stdout, /^EXCHANGE +CONNECTED +MARKETS/m)
    const away = await exchangeFeeds(["top", "--url", "http://127.0.0.1:1", "--count", "1"])
    assert.strictEqual(away.code, 1)
    assert.match(away.stderr, /ECONNREFUSED/)
  }, 60_000)
})
