/**
 * An exchange is one file and one line: this test adds one to its own list and touches nothing else. Whatever a program has of an
 * exchange, it has of this one.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Console, Context, Effect, Layer, Ref } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { vi } from "vitest"
import * as AppConfig from "../../src/layers/AppConfig.ts"
import * as AppLayer from "../../src/layers/AppLayer.ts"
import * as Cli from "../../src/layers/cli/Cli.ts"
import * as Check from "../../src/layers/cli/commands/Check.ts"
import * as Config from "../../src/layers/cli/commands/Config.ts"
import * as Markets from "../../src/layers/cli/commands/Markets.ts"
import type { Report } from "../../src/layers/http/StatusPage.ts"
import * as FakeKafka from "../../src/layers/testing/FakeKafka.ts"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import type { Exchange } from "../../src/streams/Exchange.ts"
import { defaults, Exchanges } from "../../src/streams/Exchanges.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import { parseMetrics } from "../e2e/Service.ts"
import * as FakeMadeUp from "./FakeMadeUp.ts"
import { madeUp } from "./MadeUp.ts"

/** The one line. */
const list: ReadonlyArray<Exchange> = [...Object.values(exchanges), madeUp]

const ids = list.map(({ id }) => id)

const known = Effect.provideService(Exchanges, list)

const parse = (env: AppConfig.Environment) => AppConfig.parse(env, () => Effect.die("no file")).pipe(known)

const problemsOf = (env: AppConfig.Environment) =>
  Effect.match(parse(env), { onFailure: ({ problems }) => problems, onSuccess: () => [] })

/** What an effect prints by `Console`, line by line. */
const printed = Effect.fnUntraced(function*<E, R>(effect: Effect.Effect<void, E, R>) {
  const lines: Array<string> = []
  const record = (...args: ReadonlyArray<unknown>) => void lines.push(...args.join(" ").split("\n"))
  const result = yield* Console.consoleWith((console) =>
    effect.pipe(Effect.withConsole({
      ...console,
      log: (...args) => Effect.sync(() => record(...args)),
      error: (...args) => Effect.sync(() => record(...args)),
      unsafe: { ...console.unsafe, log: record, info: record, error: record }
    }))
  ).pipe(Effect.either)
  return { lines, result }
})

const directory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(path.join(tmpdir(), "madeup-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

/** Waits for something that comes by itself, however busy the machine is; the test's own limit is the end. */
const until = <E, R>(condition: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.flatMap(
    condition,
    (holds) => holds ? Effect.void : Effect.andThen(Effect.sleep("20 millis"), until(condition))
  )

const text = (url: string) => Effect.promise(async () => (await fetch(url)).text())

describe("its settings", () => {
  it.effect("have its defaults, and arrive", () =>
    Effect.gen(function*() {
      const { effective, settings } = yield* parse({})
      assert.deepStrictEqual(settings.exchanges, ["bitpin", "wallex", "madeup"])
      // An exchange that has to be asked for by name is none of them; but a list of such alone is all there is.
      const asked: ReadonlyArray<Exchange> = list.map((one) => ({ ...one, byDefault: one.id === "wallex" }))
      assert.deepStrictEqual(defaults(asked), ["wallex"])
      assert.deepStrictEqual(
        defaults(asked.filter(({ byDefault }) => byDefault !== true)),
        ids.filter((id) => id !== "wallex")
      )
      assert.deepStrictEqual(settings.endpoints["madeup"], madeUp.endpoints)
      assert.deepStrictEqual(settings.marketsOf, {})
      assert.deepStrictEqual(
        effective.filter(({ name }) => name.startsWith("MADEUP_")).map(({ name, value }) => [name, value]),
        [
          ["MADEUP_API_URL", "https://api.madeup.example"],
          ["MADEUP_WS_URL", "wss://ws.madeup.example/v7"],
          ["MADEUP_MARKETS", ""]
        ]
      )
      const given = (yield* parse({
        EXCHANGES: "MADEUP,wallex",
        MADEUP_API_URL: "http://127.0.0.1:1/",
        MADEUP_WS_URL: "ws://127.0.0.1:2",
        MADEUP_MARKETS: "btc/*"
      })).settings
      assert.deepStrictEqual(given.exchanges, ["madeup", "wallex"])
      assert.deepStrictEqual(given.endpoints["madeup"], { apiUrl: "http://127.0.0.1:1", wsUrl: "ws://127.0.0.1:2" })
      assert.deepStrictEqual(given.marketsOf, { madeup: ["BTC/*"] })
    }))

  it.effect("are refused by name, and misspelt ones are told", () =>
    Effect.gen(function*() {
      const problems = yield* problemsOf({
        EXCHANGES: "madeupp",
        MADEUP_API_URL: "nonsense",
        MADEUP_WS_URL: "http://x",
        MADEUP_MARKETS: ","
      })
      assert.deepStrictEqual(
        problems.map(({ name }) => name),
        ["EXCHANGES", "MADEUP_API_URL", "MADEUP_WS_URL", "MADEUP_MARKETS"]
      )
      assert.include(problems[0]?.problem, `some of ${ids.join(", ")}`)
      assert.include(problems[0]?.problem, "did you mean madeup?")
      const { warnings } = yield* parse({ MADEUP_MARKET: "a", MADEUP_TEAPOT: "a" })
      assert.deepStrictEqual(warnings, [
        "MADEUP_MARKET is not a setting; did you mean MADEUP_MARKETS?",
        "MADEUP_TEAPOT is not a setting"
      ])
    }))

  it.effect("are in the docs' table and in .env.example, and nothing else there is new", () =>
    Effect.gen(function*() {
      for (const options of [{ envExample: false, markdown: true }, { envExample: true, markdown: false }]) {
        const print = printed(Config.config({}, options)).pipe(Effect.provide(NodeFileSystem.layer))
        const before = (yield* print).lines
        const after = (yield* print.pipe(known)).lines
        const added = after.filter((line) => !before.includes(line))
        const rows = options.markdown
          ? [
            `| \`EXCHANGES\` | \`${defaults(list).join(",")}\` | Some of ${ids.map((id) => `\`${id}\``).join(", ")} |`,
            "| `MADEUP_API_URL` | `https://api.madeup.example` | Base address of its REST API |",
            "| `MADEUP_WS_URL` | `wss://ws.madeup.example/v7` | Address of its WebSocket, without the channel at its end |",
            "| `MADEUP_MARKETS` | - | In place of `MARKETS` for this exchange |"
          ]
          : [
            `# EXCHANGES=${defaults(list).join(",")}`,
            "# MADEUP_API_URL=https://api.madeup.example",
            "# MADEUP_WS_URL=wss://ws.madeup.example/v7",
            "# MADEUP_MARKETS="
          ]
        assert.includeMembers(added, rows)
        // What is said of the others' limits names it too.
        const each = list.map(({ id, limits, title = id }) => `${title} ${limits.subscriptionsPerConnection}`).join(
          ", "
        )
        const helps = added.filter((line) => line.includes(each) || line.includes(", Made Up 4MiB"))
        assert.lengthOf(helps, 2)
        const both = options.markdown
          ? []
          : [`# Some of ${ids.join(", ")}`, "# Address of its WebSocket, without the channel at its end"]
        assert.sameMembers(added, [...rows, ...helps, ...both])
      }
    }))

  it.effect("cannot be had for an id that would be mistaken for something else", () =>
    Effect.gen(function*() {
      const problemOf = (...ids: ReadonlyArray<string>) =>
        AppConfig.parse({}, () => Effect.die("no file")).pipe(
          Effect.provideService(Exchanges, ids.map((id) => ({ ...madeUp, id }))),
          Effect.flip,
          Effect.map(({ problems }) => problems.map(({ name, problem }) => `${name}: ${problem}`).join("\n"))
        )
      assert.include(yield* problemOf("Made-Up"), "EXCHANGES: expected ids of lower case letters and digits")
      assert.include(yield* problemOf("a_ws"), "EXCHANGES: expected ids of lower case letters and digits")
      assert.include(
        yield* problemOf("kafka"),
        "EXCHANGES: expected ids that nothing else is called, got the exchange \"kafka\""
      )
      assert.include(yield* problemOf("a", "b", "a"), "EXCHANGES: expected each exchange once, got \"a\" twice")
    }))
})

describe("its commands", () => {
  const environment = (server: FakeMadeUp.FakeMadeUp, dataDir: string) => ({
    SINK: "file",
    DATA_DIR: dataDir,
    QUEUE_MAX_BYTES: "1MiB",
    EXCHANGES: "madeup",
    MADEUP_API_URL: server.apiUrl,
    MADEUP_WS_URL: server.wsUrl
  })

  it.scopedLive("check has its row, and markets its markets", () =>
    Effect.gen(function*() {
      const server = yield* FakeMadeUp.make()
      const env = environment(server, yield* directory)
      const { lines, result } = yield* printed(Check.check(env)).pipe(known, Effect.provide(NodeFileSystem.layer))
      assert.strictEqual(result._tag, "Right", lines.join("\n"))
      assert.include(lines, "ok      madeup: 2 markets, WebSocket connected")

      const written: Array<string> = []
      const spy = vi.spyOn(process.stdout, "write").mockImplementation((text) => written.push(String(text)) > 0)
      yield* Markets.markets({ ...env, MADEUP_MARKETS: "*/IRT,NONE/*" }, { json: false }).pipe(
        printed,
        known,
        Effect.tap(({ lines }) =>
          Effect.sync(() => assert.deepStrictEqual(lines, ["madeup: MADEUP_MARKETS: nothing is found by NONE/*"]))
        ),
        Effect.provide(NodeFileSystem.layer),
        Effect.ensuring(Effect.sync(() => spy.mockRestore()))
      )
      assert.deepStrictEqual(written, ["madeup\tBTC/IRT\txbt:rial\ttrades\n"])
    }))

  it.effect("tap and capture offer it", () =>
    Effect.gen(function*() {
      const host = { env: {}, stdoutIsTTY: false, stderrIsTTY: false }
      for (const words of [["tap"], ["capture", "record", "--out", "x"]]) {
        const { lines, result } = yield* printed(
          Cli.run({ ...host, argv: ["node", "exchange-feeds", ...words, "--exchange", "teapot"] })
        ).pipe(known)
        assert.strictEqual(result._tag, "Left")
        assert.match(JSON.stringify([result, lines]), new RegExp(ids.join(".*")))
      }
    }))
})

describe("its service", () => {
  it.scopedLive("delivers its trades to Kafka, and tells of it wherever it tells of exchanges", () =>
    Effect.gen(function*() {
      const server = yield* FakeMadeUp.make()
      const kafka = yield* Layer.build(FakeKafka.layer)
      const fake = Context.get(kafka, FakeKafka.FakeKafka)
      const { settings } = yield* parse({
        DATA_DIR: yield* directory,
        HEALTH_PORT: "0",
        KAFKA_TOPIC_PREFIX: "t",
        EXCHANGES: "madeup",
        MADEUP_API_URL: server.apiUrl,
        MADEUP_WS_URL: server.wsUrl,
        API_BREAKER_MAX_FAILURES: "1",
        API_BREAKER_TIMEOUT: "100ms",
        API_BREAKER_SUCCESS_THRESHOLD: "1",
        RETRY_BASE_DELAY: "50ms"
      })
      // The list is refused once, with status 200: the breaker opens, and closes again.
      server.refusals = 1
      const url = yield* Ref.make("")
      const app = yield* AppLayer.start(settings, {
        kafka: Layer.succeedContext(kafka),
        onListening: (at) => Ref.set(url, at)
      }).pipe(known)
      const base = yield* Ref.get(url)
      yield* until(Effect.sync(() => server.subscribed === 2))

      const ms = Date.now()
      const order = { amount: "0.5", side: "sell", time: ms } as const
      server.trade("xbt:rial", { ...order, price: "113794652111" })
      // Twice the usual limit: it has its own.
      server.padding = 2 * 1024 ** 2
      server.trade("eth:usdt", { ...order, price: "67526.50" })
      const events = (topic: string) =>
        Effect.map(
          fake.records(topic),
          (records) => records.map(({ key, value }) => ({ key, event: JSON.parse(value) as MarketEvent }))
        )
      yield* until(Effect.map(events("t.trade.v1"), ({ length }) => length >= 2))
      const trades = (yield* events("t.trade.v1")).sort((a, b) => a.key < b.key ? -1 : 1)
      const time = new Date(ms).toISOString()
      const common = {
        type: "trade",
        receivedAt: undefined,
        v: 1,
        exchange: "madeup",
        amount: "0.5",
        side: "sell",
        timestamp: time,
        source: "ws"
      }
      assert.deepStrictEqual(
        trades.map(({ event, key }) => ({ key, event: { ...event, receivedAt: undefined } })),
        [
          {
            key: "madeup:BTC/IRT",
            event: {
              ...common,
              symbol: "BTC/IRT",
              exchangeSymbol: "xbt:rial",
              id: `madeup:BTC/IRT:t:${ms}:sell:11379465211.1:0.5:1`,
              price: "11379465211.1"
            }
          },
          {
            key: "madeup:ETH/USDT",
            event: {
              ...common,
              symbol: "ETH/USDT",
              exchangeSymbol: "eth:usdt",
              id: `madeup:ETH/USDT:t:${ms}:sell:67526.5:0.5:1`,
              price: "67526.5"
            }
          }
        ] as ReadonlyArray<unknown>
      )

      // Its breaker's events have its key.
      const told = (state: string) =>
        Effect.map(
          events("t.status.v1"),
          (all) =>
            all.some(({ event, key }) =>
              key === "madeup" && event.type === "status" && event.event === "breaker" &&
              event["breaker"] === "madeup_api" &&
              event["state"] === state
            )
        )
      yield* until(told("open"))
      yield* until(told("closed"))

      const report = JSON.parse(yield* text(`${base}/api/status`)) as Report
      assert.deepStrictEqual(report.exchanges.map(({ exchange }) => exchange), ["madeup"])
      assert.include(yield* text(`${base}/`), "madeup")
      const health = JSON.parse(yield* text(`${base}/health`)) as { readonly checks: Record<string, unknown> }
      assert.containsAllKeys(health.checks, ["madeup_api", "madeup_websocket"])
      yield* until(
        Effect.map(
          text(`${base}/metrics`),
          (metrics) =>
            parseMetrics(metrics).some(({ labels, name, value }) =>
              name === "feeds_events_delivered_total" && labels["exchange"] === "madeup" && value >= 2
            )
        )
      )
      const samples = parseMetrics(yield* text(`${base}/metrics`))
      const breakers = samples.filter(({ name }) => name === "feeds_circuit_breaker_state").map(({ labels }) =>
        labels["name"]
      )
      assert.includeMembers(breakers, ["madeup_api", "madeup_ws"])
      const others = samples.filter(({ labels }) =>
        labels["exchange"] !== "madeup" && ids.includes(labels["exchange"] ?? "")
      )
      assert.deepStrictEqual(others, [])

      // It hangs up on a client that does not ping; this one does, and is the first one still.
      const before = server.pings
      yield* until(Effect.sync(() => server.pings >= before + 8))
      assert.strictEqual(server.hungUp, 0)
      assert.lengthOf(server.server.dials, 1)
      assert.isTrue(yield* app.stop)
    }))
})
