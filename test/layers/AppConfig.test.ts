import { SystemError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, LogLevel, Redacted } from "effect"
import * as fc from "fast-check"
import * as AppConfig from "../../src/layers/AppConfig.ts"
import * as Render from "../../src/layers/AppConfig/Render.ts"
import * as Variables from "../../src/layers/AppConfig/Variables.ts"
import type { Exchange } from "../../src/streams/Exchange.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"

const list: ReadonlyArray<Exchange> = Object.values(exchanges)

const { groups, rows } = Variables.tableOf(list)

/** Nothing here is written for one exchange: what a setting of its own is called, and what it is. */
const own = list.map(({ endpoints, id }) => ({ id, name: id.toUpperCase(), endpoints }))

class Unreadable extends Data.TaggedError("Unreadable")<{ readonly message: string }> {}

type Files = Readonly<Record<string, string>>

const parse = (env: AppConfig.Environment, files: Files = {}) =>
  AppConfig.parse(env, (path) => {
    const content = files[path]
    return content === undefined ? new Unreadable({ message: "ENOENT" }) : Effect.succeed(content)
  })

const problemsOf = (env: AppConfig.Environment, files: Files = {}) =>
  Effect.match(parse(env, files), { onFailure: ({ problems }) => problems, onSuccess: () => [] })

const namesOf = (env: AppConfig.Environment, files: Files = {}) =>
  Effect.map(problemsOf(env, files), (problems) => problems.map(({ name }) => name))

const sasl = {
  KAFKA_SECURITY_PROTOCOL: "SASL_SSL",
  KAFKA_SASL_MECHANISM: "scram-sha-512",
  KAFKA_SASL_USERNAME: "collector",
  KAFKA_SASL_PASSWORD: "hunter2"
}

describe("defaults", () => {
  it.effect("are those of docs/configuration.md", () =>
    Effect.gen(function*() {
      const { settings, warnings } = yield* parse({})
      assert.deepStrictEqual(warnings, [])
      assert.deepStrictEqual(settings, {
        kafka: {
          brokers: ["localhost:9092"],
          topicPrefix: "marketdata",
          createTopics: true,
          topicPartitions: 12,
          compression: "gzip",
          linger: Duration.millis(5),
          security: {
            protocol: "PLAINTEXT",
            sasl: undefined,
            caLocation: undefined,
            certificateLocation: undefined,
            keyLocation: undefined
          },
          breaker: { maxFailures: 3, timeout: Duration.seconds(10), successThreshold: 1 }
        },
        sink: "kafka",
        dataDir: "./data",
        http: { host: "127.0.0.1", port: 8080 },
        log: { level: LogLevel.Info, format: "auto" },
        traces: { endpoint: undefined, headers: undefined, serviceName: "effect-exchange-feeds", attributes: {} },
        exchanges: ["bitpin", "wallex"],
        channels: ["trades"],
        markets: [],
        marketsOf: {},
        shard: { index: 1, count: 1 },
        endpoints: {
          ...Object.fromEntries(own.map(({ endpoints, id }) => [id, endpoints])),
          bitpin: { apiUrl: "https://api.bitpin.ir", wsUrl: "wss://centrifugo.bitpin.ir/connection/websocket" },
          wallex: { apiUrl: "https://api.wallex.ir", wsUrl: "wss://api.wallex.ir/ws" }
        },
        proxy: { https: undefined, no: [] },
        ws: {
          subscriptionsPerConnection: undefined,
          stagger: Duration.seconds(1),
          idleTimeout: Duration.seconds(60),
          maxPayload: undefined,
          breaker: { maxFailures: 3, timeout: Duration.seconds(30), successThreshold: 2 }
        },
        api: { breaker: { maxFailures: 5, timeout: Duration.seconds(60), successThreshold: 3 } },
        retry: { maxAttempts: 5, baseDelay: Duration.seconds(1), maxDelay: Duration.seconds(30), jitter: 0.1 },
        backfill: { hold: Duration.seconds(5), maxAge: Duration.hours(24) },
        books: { depth: 20, interval: Duration.seconds(1), refresh: Duration.seconds(60), deltas: false },
        queue: {
          mode: "fallback",
          maxBytes: 1_073_741_824,
          fullPolicy: "drop_oldest",
          maxAge: undefined,
          fsync: "always",
          fsyncInterval: Duration.millis(500)
        },
        shutdownTimeout: Duration.seconds(15),
        startupGrace: Duration.seconds(60)
      })
    }))

  it.effect("given as text change nothing", () =>
    Effect.gen(function*() {
      const env = Object.fromEntries(rows.map(({ defaultText, name }) => [name, defaultText]))
      assert.deepStrictEqual((yield* parse(env)).settings, (yield* parse({})).settings)
    }))

  // The names and defaults of docs/configuration.md, word by word.
  it("have the names and texts that users have set", () => {
    assert.deepStrictEqual(Object.fromEntries(rows.map(({ defaultText, name }) => [name, defaultText])), {
      KAFKA_BROKER: "localhost:9092",
      DATA_DIR: "./data",
      HEALTH_PORT: "8080",
      HEALTH_HOST: "127.0.0.1",
      LOG_LEVEL: "info",
      LOG_FORMAT: "auto",
      EXCHANGES: "bitpin,wallex",
      CHANNELS: "trades",
      MARKETS: "",
      OTEL_EXPORTER_OTLP_ENDPOINT: "",
      OTEL_EXPORTER_OTLP_HEADERS: "",
      OTEL_SERVICE_NAME: "effect-exchange-feeds",
      OTEL_RESOURCE_ATTRIBUTES: "",

      SHARD: "1/1",
      SINK: "kafka",
      ...Object.fromEntries(own.flatMap(({ endpoints, name }) => [
        [`${name}_API_URL`, endpoints.apiUrl],
        [`${name}_WS_URL`, endpoints.wsUrl],
        [`${name}_MARKETS`, ""]
      ])),
      BITPIN_API_URL: "https://api.bitpin.ir",
      BITPIN_WS_URL: "wss://centrifugo.bitpin.ir/connection/websocket",
      BITPIN_MARKETS: "",
      WALLEX_API_URL: "https://api.wallex.ir",
      WALLEX_WS_URL: "wss://api.wallex.ir/ws",
      WALLEX_MARKETS: "",
      HTTPS_PROXY: "",
      NO_PROXY: "",
      WS_SUBSCRIPTIONS_PER_CONNECTION: "",
      WS_STAGGER: "1s",
      WS_IDLE_TIMEOUT: "60s",
      WS_MAX_PAYLOAD: "",
      API_BREAKER_MAX_FAILURES: "5",
      API_BREAKER_TIMEOUT: "60s",
      API_BREAKER_SUCCESS_THRESHOLD: "3",
      WS_BREAKER_MAX_FAILURES: "3",
      WS_BREAKER_TIMEOUT: "30s",
      WS_BREAKER_SUCCESS_THRESHOLD: "2",
      KAFKA_BREAKER_MAX_FAILURES: "3",
      KAFKA_BREAKER_TIMEOUT: "10s",
      KAFKA_BREAKER_SUCCESS_THRESHOLD: "1",
      RETRY_MAX_ATTEMPTS: "5",
      RETRY_BASE_DELAY: "1s",
      RETRY_MAX_DELAY: "30s",
      RETRY_JITTER: "0.1",
      KAFKA_TOPIC_PREFIX: "marketdata",
      KAFKA_CREATE_TOPICS: "true",
      KAFKA_TOPIC_PARTITIONS: "12",
      KAFKA_COMPRESSION: "gzip",
      KAFKA_LINGER: "5ms",
      KAFKA_SECURITY_PROTOCOL: "PLAINTEXT",
      KAFKA_SASL_MECHANISM: "",
      KAFKA_SASL_USERNAME: "",
      KAFKA_SASL_PASSWORD: "",
      KAFKA_SSL_CA_LOCATION: "",
      KAFKA_SSL_CERTIFICATE_LOCATION: "",
      KAFKA_SSL_KEY_LOCATION: "",
      BOOK_DEPTH: "20",
      BOOK_INTERVAL: "1s",
      BOOK_REFRESH: "60s",
      BOOK_DELTAS: "false",
      BACKFILL_HOLD: "5s",
      BACKFILL_MAX_AGE: "24h",
      QUEUE_MODE: "fallback",
      QUEUE_MAX_BYTES: "1GiB",
      QUEUE_FULL_POLICY: "drop_oldest",
      QUEUE_MAX_AGE: "",
      QUEUE_FSYNC: "always",
      QUEUE_FSYNC_INTERVAL: "500ms",
      SHUTDOWN_TIMEOUT: "15s",
      STARTUP_GRACE: "60s"
    })
  })
})

/** One text for each setting that is not its default, and where it must arrive. */
const changes: ReadonlyArray<
  [name: string, text: string, at: (settings: AppConfig.Settings) => unknown, value: unknown]
> = [
  ["KAFKA_BROKER", "a:1, b:2", (s) => s.kafka.brokers, ["a:1", "b:2"]],
  ["KAFKA_TOPIC_PREFIX", "md", (s) => s.kafka.topicPrefix, "md"],
  ["KAFKA_CREATE_TOPICS", "FALSE", (s) => s.kafka.createTopics, false],
  ["KAFKA_TOPIC_PARTITIONS", "3", (s) => s.kafka.topicPartitions, 3],
  ["KAFKA_COMPRESSION", "none", (s) => s.kafka.compression, "none"],
  ["KAFKA_LINGER", "0ms", (s) => s.kafka.linger, Duration.millis(0)],
  ["KAFKA_SECURITY_PROTOCOL", "ssl", (s) => s.kafka.security.protocol, "SSL"],
  ["KAFKA_BREAKER_MAX_FAILURES", "7", (s) => s.kafka.breaker.maxFailures, 7],
  ["KAFKA_BREAKER_TIMEOUT", "7s", (s) => s.kafka.breaker.timeout, Duration.seconds(7)],
  ["KAFKA_BREAKER_SUCCESS_THRESHOLD", "8", (s) => s.kafka.breaker.successThreshold, 8],
  ["DATA_DIR", "/var/lib/feeds", (s) => s.dataDir, "/var/lib/feeds"],
  ["HEALTH_PORT", "0", (s) => s.http.port, 0],
  ["HEALTH_HOST", "0.0.0.0", (s) => s.http.host, "0.0.0.0"],
  ["LOG_LEVEL", "warning", (s) => s.log.level, LogLevel.Warning],
  ["LOG_FORMAT", "logfmt", (s) => s.log.format, "logfmt"],
  ["EXCHANGES", "wallex", (s) => s.exchanges, ["wallex"]],
  ["CHANNELS", "books,trades", (s) => s.channels, ["books", "trades"]],
  ["MARKETS", "btc/irt,*/USDT", (s) => s.markets, ["BTC/IRT", "*/USDT"]],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318/", (s) => s.traces.endpoint, "http://a:4318"],
  [
    "OTEL_EXPORTER_OTLP_HEADERS",
    "authorization=Bearer%20abc, x = y",
    (s) => s.traces.headers === undefined ? undefined : Redacted.value(s.traces.headers),
    { authorization: "Bearer abc", x: "y" }
  ],
  ["OTEL_SERVICE_NAME", "feeds", (s) => s.traces.serviceName, "feeds"],
  ["OTEL_RESOURCE_ATTRIBUTES", "a=1,b=2", (s) => s.traces.attributes, { a: "1", b: "2" }],
  ["SHARD", "2 / 3", (s) => s.shard, { index: 2, count: 3 }],
  ["SINK", "FILE", (s) => s.sink, "file"],
  ...own.flatMap(({ id, name }): typeof changes => [
    [`${name}_API_URL`, "http://127.0.0.1:1/", (s) => s.endpoints[id]?.apiUrl, "http://127.0.0.1:1"],
    [`${name}_WS_URL`, "ws://127.0.0.1:2/", (s) => s.endpoints[id]?.wsUrl, "ws://127.0.0.1:2/"],
    [`${name}_MARKETS`, "*/usdt,eth/*", (s) => s.marketsOf, { [id]: ["*/USDT", "ETH/*"] }]
  ]),
  ["HTTPS_PROXY", "socks5://u:p@a:1080", (s) => s.proxy.https, "socks5://u:p@a:1080"],
  ["NO_PROXY", "localhost, .example.org", (s) => s.proxy.no, ["localhost", ".example.org"]],
  ["WS_SUBSCRIPTIONS_PER_CONNECTION", "20", (s) => s.ws.subscriptionsPerConnection, 20],
  ["WS_STAGGER", "0s", (s) => s.ws.stagger, Duration.millis(0)],
  ["WS_IDLE_TIMEOUT", "5s", (s) => s.ws.idleTimeout, Duration.seconds(5)],
  ["WS_MAX_PAYLOAD", "64KiB", (s) => s.ws.maxPayload, 65_536],
  ["WS_BREAKER_MAX_FAILURES", "9", (s) => s.ws.breaker.maxFailures, 9],
  ["WS_BREAKER_TIMEOUT", "9s", (s) => s.ws.breaker.timeout, Duration.seconds(9)],
  ["WS_BREAKER_SUCCESS_THRESHOLD", "10", (s) => s.ws.breaker.successThreshold, 10],
  ["API_BREAKER_MAX_FAILURES", "11", (s) => s.api.breaker.maxFailures, 11],
  ["API_BREAKER_TIMEOUT", "11s", (s) => s.api.breaker.timeout, Duration.seconds(11)],
  ["API_BREAKER_SUCCESS_THRESHOLD", "12", (s) => s.api.breaker.successThreshold, 12],
  ["RETRY_MAX_ATTEMPTS", "2", (s) => s.retry.maxAttempts, 2],
  ["RETRY_BASE_DELAY", "100ms", (s) => s.retry.baseDelay, Duration.millis(100)],
  ["RETRY_MAX_DELAY", "5s", (s) => s.retry.maxDelay, Duration.seconds(5)],
  ["RETRY_JITTER", "0", (s) => s.retry.jitter, 0],
  ["BOOK_DEPTH", "ALL", (s) => s.books.depth, "all"],
  ["BOOK_INTERVAL", "0", (s) => s.books.interval, Duration.zero],
  ["BOOK_REFRESH", "0", (s) => s.books.refresh, Duration.zero],
  ["BOOK_DELTAS", "true", (s) => s.books.deltas, true],
  ["BACKFILL_HOLD", "0", (s) => s.backfill.hold, Duration.zero],
  ["BACKFILL_MAX_AGE", "0", (s) => s.backfill.maxAge, Duration.zero],
  ["QUEUE_MODE", "journal", (s) => s.queue.mode, "journal"],
  ["QUEUE_MAX_BYTES", "500MB", (s) => s.queue.maxBytes, 500_000_000],
  ["QUEUE_FULL_POLICY", "block", (s) => s.queue.fullPolicy, "block"],
  ["QUEUE_MAX_AGE", "2d", (s) => s.queue.maxAge, Duration.days(2)],
  ["QUEUE_FSYNC", "never", (s) => s.queue.fsync, "never"],
  ["QUEUE_FSYNC_INTERVAL", "1s", (s) => s.queue.fsyncInterval, Duration.seconds(1)],
  ["SHUTDOWN_TIMEOUT", "2s", (s) => s.shutdownTimeout, Duration.seconds(2)],
  ["STARTUP_GRACE", "0s", (s) => s.startupGrace, Duration.millis(0)]
]

describe("every setting", () => {
  it.effect.each(changes)("%s", ([name, text, at, value]) =>
    Effect.gen(function*() {
      // Without order books what is said of them would be told as of no use.
      const beside = name.startsWith("BOOK_") ? { CHANNELS: "trades,books" } : {}
      const { effective, settings, warnings } = yield* parse({ ...beside, [name]: ` ${text} ` })
      assert.deepStrictEqual(at(settings), value)
      assert.deepStrictEqual(warnings, [])
      assert.strictEqual(effective.find((setting) => setting.name === name)?.source, "environment")
      const set = effective.filter(({ source }) => source === "environment").map((setting) => setting.name)
      assert.sameMembers(set, [name, ...Object.keys(beside)])
    }))

  it("is in that list, but for those that need others", () => {
    const together = ["KAFKA_SASL_", "KAFKA_SSL_"]
    assert.deepStrictEqual(
      rows.map(({ name }) => name).filter((name) => !together.some((prefix) => name.startsWith(prefix))).sort(),
      changes.map(([name]) => name).sort()
    )
  })

  it.effect("SASL and certificates", () =>
    Effect.gen(function*() {
      const { settings: { kafka: { security } } } = yield* parse({
        ...sasl,
        KAFKA_SSL_CA_LOCATION: "/ca.pem",
        KAFKA_SSL_CERTIFICATE_LOCATION: "/cert.pem",
        KAFKA_SSL_KEY_LOCATION: "/key.pem"
      })
      assert.deepStrictEqual(security.sasl, {
        mechanism: "SCRAM-SHA-512",
        username: "collector",
        password: Redacted.make("hunter2")
      })
      // Redacted values look alike to deepStrictEqual.
      assert.strictEqual(security.sasl && Redacted.value(security.sasl.password), "hunter2")
      assert.deepStrictEqual(
        [security.caLocation, security.certificateLocation, security.keyLocation],
        ["/ca.pem", "/cert.pem", "/key.pem"]
      )
    }))

  it.effect("blank is unset", () =>
    Effect.gen(function*() {
      const blank = Object.fromEntries(rows.flatMap(({ name }) => [[name, " "], [`${name}_FILE`, ""]]))
      assert.deepStrictEqual((yield* parse(blank)).settings, (yield* parse({})).settings)
    }))
})

describe("BACKFILL_HOLD", () => {
  const seen = ({ effective, settings }: AppConfig.Parsed) => ({
    hold: Duration.toMillis(settings.backfill.hold),
    ...effective.find(({ name }) => name === "BACKFILL_HOLD")
  })

  it.effect("is 0 in journal mode if it is not set: there nothing waits in memory", () =>
    Effect.gen(function*() {
      const unset = { name: "BACKFILL_HOLD", hold: 0, value: "0", source: "QUEUE_MODE=journal" }
      assert.deepStrictEqual(seen(yield* parse({ QUEUE_MODE: "journal" })), unset)
      assert.deepStrictEqual(seen(yield* parse({ QUEUE_MODE: "Journal", BACKFILL_HOLD: " " })), unset)
      for (const text of ["0", "0s"]) {
        const set = { ...unset, source: "environment" }
        assert.deepStrictEqual(seen(yield* parse({ QUEUE_MODE: "journal", BACKFILL_HOLD: text })), set)
      }
      const fallback = { name: "BACKFILL_HOLD", hold: 5_000, value: "5s", source: "default" }
      assert.deepStrictEqual(seen(yield* parse({})), fallback)
    }))

  it.effect("set to another value in journal mode is refused, and told what was expected", () =>
    Effect.gen(function*() {
      for (const [text, shown] of [["5s", "5s"], ["1 ms", "1ms"], ["2H", "2h"]] as const) {
        assert.deepStrictEqual(yield* problemsOf({ QUEUE_MODE: "journal", BACKFILL_HOLD: text }), [{
          name: "BACKFILL_HOLD",
          problem: `expected 0 with QUEUE_MODE=journal, where nothing waits in memory, got "${shown}"`
        }])
      }
      assert.deepStrictEqual(yield* problemsOf({ QUEUE_MODE: "fallback", BACKFILL_HOLD: "1h" }), [])
    }))

  it.effect("is not compared while something is wrong with either: one mistake is one line", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* namesOf({ QUEUE_MODE: "journal", BACKFILL_HOLD: "soon" }), ["BACKFILL_HOLD"])
      assert.deepStrictEqual(yield* namesOf({ QUEUE_MODE: "diary", BACKFILL_HOLD: "9s" }), ["QUEUE_MODE"])
    }))
})

describe("order books", () => {
  it.effect("BOOK_DEPTH takes 1 to 5000 and all, and says so of anything else", () =>
    Effect.gen(function*() {
      for (const [text, depth] of [["1", 1], ["5000", 5_000], ["all", "all"]] as const) {
        assert.strictEqual((yield* parse({ BOOK_DEPTH: text })).settings.books.depth, depth)
      }
      for (const text of ["0", "5001", "-1", "20.5", "1e3", "every"]) {
        assert.deepStrictEqual(yield* problemsOf({ BOOK_DEPTH: text }), [{
          name: "BOOK_DEPTH",
          problem: `expected a whole number from 1 to 5000, or all, got "${text}"`
        }])
      }
    }))

  it.effect("BOOK_REFRESH is at least BOOK_INTERVAL, or 0; whichever was set is the one at fault", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problemsOf({ BOOK_REFRESH: "999ms" }), [{
        name: "BOOK_REFRESH",
        problem: `expected at least BOOK_INTERVAL (1s) or 0, got "999ms"`
      }])
      assert.deepStrictEqual(yield* problemsOf({ BOOK_INTERVAL: "2m" }), [{
        name: "BOOK_INTERVAL",
        problem: `expected at most BOOK_REFRESH (60s), got "2m"`
      }])
      // Deltas leave the interval without effect, but not this rule.
      assert.deepStrictEqual(yield* namesOf({ BOOK_REFRESH: "999ms", BOOK_DELTAS: "true" }), ["BOOK_REFRESH"])
      assert.deepStrictEqual(yield* problemsOf({ BOOK_REFRESH: "1s" }), [])
      assert.deepStrictEqual(yield* problemsOf({ BOOK_REFRESH: "0", BOOK_INTERVAL: "2m" }), [])
      assert.deepStrictEqual(yield* problemsOf({ BOOK_REFRESH: "10ms", BOOK_INTERVAL: "0" }), [])
    }))

  it.effect("books of an exchange with very many markets want some of them named, by either setting", () =>
    Effect.gen(function*() {
      const env = { EXCHANGES: "bitpin,binance", CHANNELS: "trades,books" }
      assert.deepStrictEqual(yield* problemsOf(env), [{
        name: "MARKETS",
        problem: "is needed for the order books of binance, or BINANCE_MARKETS; " +
          "expected some of its markets, such as MARKETS=BTC/USDT,ETH/USDT"
      }])
      assert.deepStrictEqual(yield* problemsOf({ ...env, BINANCE_MARKETS: "BTC/USDT" }), [])
      assert.deepStrictEqual(yield* problemsOf({ ...env, MARKETS: "*/USDT" }), [])
      assert.deepStrictEqual(yield* problemsOf({ ...env, CHANNELS: "trades" }), [])
      assert.deepStrictEqual(yield* problemsOf({ ...env, EXCHANGES: "bitpin" }), [])
      // Of another exchange.
      assert.deepStrictEqual(yield* namesOf({ ...env, BITPIN_MARKETS: "BTC/IRT" }), ["MARKETS"])
    }))

  it.effect("what MARKETS is said to be needed for is what a start is refused without", () =>
    Effect.gen(function*() {
      const refused: Array<string> = []
      for (const id of Object.keys(exchanges)) {
        if ((yield* namesOf({ EXCHANGES: id, CHANNELS: "books" })).includes("MARKETS")) refused.push(`\`${id}\``)
      }
      assert.lengthOf(refused, 5)
      const help = rows.find(({ name }) => name === "MARKETS")?.help ?? ""
      assert.include(help, `With \`books\` in \`CHANNELS\` it is needed for ${refused.join(", ")}, or`)
    }))

  it.effect("BOOK_REFRESH=0 cannot be had with BOOK_DELTAS", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problemsOf({ BOOK_REFRESH: "0s", BOOK_DELTAS: "true" }), [{
        name: "BOOK_REFRESH",
        problem: `expected more than 0 with BOOK_DELTAS, whose readers begin at an anchor, got "0"`
      }])
    }))

  it.effect("are not compared while something is wrong with one of them: one mistake is one line", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* namesOf({ BOOK_REFRESH: "1ms", BOOK_INTERVAL: "soon" }), ["BOOK_INTERVAL"])
      assert.deepStrictEqual(yield* namesOf({ BOOK_REFRESH: "soon", BOOK_INTERVAL: "2m" }), ["BOOK_REFRESH"])
      assert.deepStrictEqual(yield* namesOf({ BOOK_REFRESH: "0", BOOK_DELTAS: "perhaps" }), ["BOOK_DELTAS"])
    }))
})

describe("NAME_FILE", () => {
  it.effect("is read, and one newline at its end cut", () =>
    Effect.gen(function*() {
      const { KAFKA_SASL_PASSWORD: _, ...rest } = sasl
      const env = { ...rest, KAFKA_SASL_PASSWORD_FILE: "/run/secret" }
      for (const end of ["", "\n", "\r\n"]) {
        const { effective, settings } = yield* parse(env, { "/run/secret": ` p ss\n${end}` })
        const password = settings.kafka.security.sasl?.password
        assert.strictEqual(password && Redacted.value(password), end === "" ? " p ss" : " p ss\n")
        const setting = effective.find(({ name }) => name === "KAFKA_SASL_PASSWORD")
        assert.deepStrictEqual(setting, {
          name: "KAFKA_SASL_PASSWORD",
          value: "<redacted>",
          source: "file /run/secret"
        })
      }
    }))

  it.effect("of the login is read again on demand: what is blank or came otherwise stays, what cannot be read is told", () =>
    Effect.gen(function*() {
      const { KAFKA_SASL_PASSWORD: _, ...rest } = sasl
      const env = { ...rest, KAFKA_SASL_PASSWORD_FILE: "/run/secret" }
      const { settings: { kafka: { security } } } = yield* parse(env, { "/run/secret": "old" })
      assert.isDefined(security.sasl)
      const again = (file: string | undefined) =>
        AppConfig.readSasl(security.sasl!).pipe(
          Effect.provide(FileSystem.layerNoop({
            readFileString: (path) =>
              file !== undefined && path === "/run/secret"
                ? Effect.succeed(file)
                : new SystemError({ module: "FileSystem", method: "open", reason: "NotFound", pathOrDescriptor: path })
          }))
        )
      for (const [file, password] of [["new\n", "new"], [" \n", "old"]] as const) {
        const read = yield* again(file)
        assert.deepStrictEqual([read.username, Redacted.value(read.password)], ["collector", password])
      }
      const error = yield* Effect.flip(again(undefined))
      assert.deepStrictEqual(error.problems.map(({ name }) => name), ["KAFKA_SASL_PASSWORD_FILE"])
    }))

  it.effect("a newline at the end of a secret is cut in the environment too, and nothing else", () =>
    Effect.gen(function*() {
      for (
        const [text, password] of [["hunter2\n", "hunter2"], [" hunter2\r\n", " hunter2"], ["a\n\n", "a\n"]] as const
      ) {
        const { settings } = yield* parse({ ...sasl, KAFKA_SASL_PASSWORD: text })
        const found = settings.kafka.security.sasl?.password
        assert.strictEqual(found && Redacted.value(found), password)
      }
    }))

  it.effect("works for every setting", () =>
    Effect.gen(function*() {
      const { settings } = yield* parse({ HEALTH_PORT_FILE: "/port" }, { "/port": "0\n" })
      assert.strictEqual(settings.http.port, 0)
    }))

  it.effect("and NAME are one too many", () =>
    Effect.gen(function*() {
      const env = { ...sasl, KAFKA_SASL_PASSWORD_FILE: "/run/secret" }
      assert.deepStrictEqual(yield* problemsOf(env, { "/run/secret": "x" }), [
        { name: "KAFKA_SASL_PASSWORD", problem: "and KAFKA_SASL_PASSWORD_FILE are both set; keep one" }
      ])
    }))

  it.effect("that cannot be read is told, once", () =>
    Effect.gen(function*() {
      const { KAFKA_SASL_PASSWORD: _, ...rest } = sasl
      assert.deepStrictEqual(yield* problemsOf({ ...rest, KAFKA_SASL_PASSWORD_FILE: "/gone" }), [
        { name: "KAFKA_SASL_PASSWORD_FILE", problem: "cannot be read: ENOENT" }
      ])
    }))
})

describe("problems", () => {
  it.effect("say that quotes are part of the value; a warning where it is taken with them", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problemsOf({ QUEUE_MODE: "'journal'" }), [
        {
          name: "QUEUE_MODE",
          problem:
            "expected one of fallback, journal, got \"'journal'\"; the quotes are part of it (docker run --env-file keeps them)"
        }
      ])
      const { warnings } = yield* parse({ DATA_DIR: "\"/data\"", NO_PROXY: "\"a\"" })
      assert.sameMembers(
        [...warnings],
        ["DATA_DIR", "NO_PROXY"].map((name) =>
          `${name}: the quotes around it are part of it (docker run --env-file keeps them)`
        )
      )
    }))

  it.effect("come all at once, one aligned line each", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(parse({ SHUTDOWN_TIMEOUT: "30 parsecs", HEALTH_PORT: "70000", QUEUE_MODE: "x" }))
      assert.strictEqual(
        error.message,
        [
          "Configuration is not valid (3 problems):",
          "  HEALTH_PORT       expected a port 0-65535, got \"70000\"",
          "  SHUTDOWN_TIMEOUT  expected a duration such as 500ms, 30s or 5m, got \"30 parsecs\"",
          "  QUEUE_MODE        expected one of fallback, journal, got \"x\"",
          "Run `exchange-feeds config --markdown` for every setting."
        ].join("\n")
      )
    }))

  it.effect("name exactly the settings that are wrong, whatever they are", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.subarray(
            rows.filter(({ foreign, name }) =>
              !foreign && name !== "DATA_DIR" && changes.some(([changed]) => changed === name)
            ).map(({ name }) => name)
          ),
          async (names) => {
            // No other setting takes a space within, or a tilde.
            const env = Object.fromEntries(names.map((name) => [name, "~ ~"]))
            const told = await Effect.runPromise(Effect.match(parse(env), {
              onFailure: ({ problems }) => problems.map(({ name }) => name),
              onSuccess: () => []
            }))
            assert.deepStrictEqual([...told].sort(), [...names].sort())
          }
        ),
        { numRuns: 50 }
      )
    ))

  it.effect("SASL needs all three", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problemsOf({ KAFKA_SECURITY_PROTOCOL: "SASL_SSL" }), [
        { name: "KAFKA_SASL_MECHANISM", problem: "is needed with KAFKA_SECURITY_PROTOCOL=SASL_SSL" },
        { name: "KAFKA_SASL_USERNAME", problem: "is needed with KAFKA_SECURITY_PROTOCOL=SASL_SSL" },
        { name: "KAFKA_SASL_PASSWORD", problem: "is needed with KAFKA_SECURITY_PROTOCOL=SASL_SSL" }
      ])
    }))

  it.effect("one mistake is one line", () =>
    Effect.gen(function*() {
      // A bad mechanism is not missing too, a bad protocol needs nothing, a bad delay is not too long too.
      assert.deepStrictEqual(yield* namesOf({ ...sasl, KAFKA_SASL_MECHANISM: "rot13" }), ["KAFKA_SASL_MECHANISM"])
      assert.deepStrictEqual(yield* namesOf({ KAFKA_SECURITY_PROTOCOL: "SASL" }), ["KAFKA_SECURITY_PROTOCOL"])
      assert.deepStrictEqual(yield* namesOf({ RETRY_BASE_DELAY: "9m", RETRY_MAX_DELAY: "x" }), ["RETRY_MAX_DELAY"])
    }))

  it.effect("a certificate needs its key, and the other way round", () =>
    Effect.gen(function*() {
      const protocol = { KAFKA_SECURITY_PROTOCOL: "SSL" }
      assert.deepStrictEqual(yield* namesOf({ ...protocol, KAFKA_SSL_CERTIFICATE_LOCATION: "/c" }), [
        "KAFKA_SSL_KEY_LOCATION"
      ])
      assert.deepStrictEqual(yield* namesOf({ ...protocol, KAFKA_SSL_KEY_LOCATION: "/k" }), [
        "KAFKA_SSL_CERTIFICATE_LOCATION"
      ])
    }))

  it.effect("the base delay is at most the maximum", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problemsOf({ RETRY_BASE_DELAY: "31s" }), [
        { name: "RETRY_BASE_DELAY", problem: "expected at most RETRY_MAX_DELAY (30s), got \"31s\"" }
      ])
      assert.deepStrictEqual(yield* problemsOf({ RETRY_MAX_DELAY: "500ms" }), [
        { name: "RETRY_MAX_DELAY", problem: "expected at least RETRY_BASE_DELAY (1s), got \"500ms\"" }
      ])
      yield* parse({ RETRY_BASE_DELAY: "30s", RETRY_MAX_DELAY: "30s" })
    }))
})

describe("secrets", () => {
  it.effect("are not quoted even where they are nonsense", () =>
    Effect.gen(function*() {
      const { settings, warnings } = yield* parse({
        HTTPS_PROXY: "ftp://hunter2",
        OTEL_EXPORTER_OTLP_HEADERS: "hunter2, a=b"
      })
      assert.isUndefined(settings.proxy.https)
      assert.sameMembers([...warnings], [
        "HTTPS_PROXY: not understood, and not used: expected a proxy such as http://host:3128 or socks5://host:1080",
        "OTEL_EXPORTER_OTLP_HEADERS: not understood, and left out: 1 of its items"
      ])
    }))

  it.effect("are in no message, no warning and no list, whatever else is wrong", () =>
    Effect.promise(() =>
      fc.assert(fc.asyncProperty(
        fc.stringMatching(/^[A-Za-z0-9@:/?,]{3,12}$/).map((text) => `§${text}§`),
        fc.boolean(),
        async (secret, bad) => {
          const env = {
            ...sasl,
            KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT",
            KAFKA_SASL_PASSWORD: secret,
            HTTPS_PROXY: `${bad ? "ftp" : "http"}://user:${secret}@proxy:1`,
            ...(bad
              ? { BITPIN_API_URL: `https://user:${secret}@host`, KAFKA_BROKER: `a,user:${secret}@kafka:9092` }
              : {})
          }
          const said = await Effect.runPromise(Effect.match(parse(env), {
            onFailure: (error) => `${error.message} ${JSON.stringify(error)}`,
            onSuccess: (parsed) =>
              JSON.stringify({ ...parsed, settings: { ...parsed.settings, proxy: undefined } }) +
              Render.effective(parsed.effective)
          }))
          assert.notInclude(said, "§")
          if (bad) assert.include(said, "Configuration is not valid")
        }
      ))
    ))
})

describe("variables that other programs read too", () => {
  const foreign: ReadonlyArray<
    [name: string, text: string, at: (settings: AppConfig.Settings) => unknown, value: unknown, warning?: string]
  > = [
    ["NO_PROXY", "localhost,10.0.0.0/8,.svc", (s) => s.proxy.no, ["localhost", "10.0.0.0/8", ".svc"]],
    ["NO_PROXY", "localhost fd00::/64\t.svc", (s) => s.proxy.no, ["localhost", "fd00::/64", ".svc"]],
    [
      "NO_PROXY",
      "10.0.0.0/33,http://a,b",
      (s) => s.proxy.no,
      ["b"],
      "NO_PROXY: not understood, and left out: \"10.0.0.0/33\", \"http://a\""
    ],
    ["HTTPS_PROXY", "host:3128", (s) => s.proxy.https, "http://host:3128"],
    ["HTTPS_PROXY", "u:p@10.0.0.1:3128", (s) => s.proxy.https, "http://u:p@10.0.0.1:3128"],
    ["HTTPS_PROXY", "socks5h://host:1080", (s) => s.proxy.https, "socks5h://host:1080"],
    [
      "HTTPS_PROXY",
      "quic://host",
      (s) => s.proxy.https,
      undefined,
      "HTTPS_PROXY: not understood, and not used: expected a proxy such as http://host:3128 or socks5://host:1080"
    ],
    [
      "OTEL_RESOURCE_ATTRIBUTES",
      "a=1,team",
      (s) => s.traces.attributes,
      { a: "1" },
      "OTEL_RESOURCE_ATTRIBUTES: not understood, and left out: \"team\""
    ],
    ["OTEL_RESOURCE_ATTRIBUTES", "load=100%,b=%41", (s) => s.traces.attributes, { load: "100%", b: "A" }],
    [
      "OTEL_RESOURCE_ATTRIBUTES",
      "%",
      (s) => s.traces.attributes,
      {},
      "OTEL_RESOURCE_ATTRIBUTES: not understood, and left out: \"%\""
    ],
    [
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      "otel:4317",
      (s) => s.traces.endpoint,
      "http://otel:4317",
      "OTEL_EXPORTER_OTLP_ENDPOINT: port 4317 is usually OTLP over gRPC; traces go over HTTP, usually to 4318"
    ],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "10.0.0.1:4318/", (s) => s.traces.endpoint, "http://10.0.0.1:4318"],
    [
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      "unix:///run/otel",
      (s) => s.traces.endpoint,
      undefined,
      "OTEL_EXPORTER_OTLP_ENDPOINT: not understood, and not used: expected an address such as https://host, got \"unix:///run/otel\""
    ]
  ]

  it.effect.each(foreign)(
    "%s=%s is understood, or a warning",
    ([name, text, at, value, warning]) =>
      Effect.gen(function*() {
        const { settings, warnings } = yield* parse({ [name]: text })
        assert.deepStrictEqual(at(settings), value)
        assert.deepStrictEqual(warnings, warning === undefined ? [] : [warning])
      })
  )

  it.effect("keep nothing from starting, whatever is in them", () =>
    Effect.promise(() =>
      fc.assert(fc.asyncProperty(
        fc.subarray(rows.filter(({ foreign }) => foreign).map(({ name }) => name)),
        fc.oneof(fc.string(), fc.string({ unit: "binary", maxLength: 100 })),
        async (names, text) => {
          const { warnings } = await Effect.runPromise(parse(Object.fromEntries(names.map((name) => [name, text]))))
          for (const warning of warnings) assert.notMatch(warning, /[\u0000-\u001f]/) // oxlint-disable-line no-control-regex
        }
      ))
    ))

  it.effect("but a file of ours that is not there does", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* namesOf({ HTTPS_PROXY_FILE: "/gone" }), ["HTTPS_PROXY_FILE"])
    }))
})

describe("warnings", () => {
  const warningsOf = (env: AppConfig.Environment) => Effect.map(parse(env), ({ warnings }) => warnings)

  it.effect("of names that are nearly ours", () =>
    Effect.gen(function*() {
      const warnings = yield* warningsOf({
        KAFKA_BROKRE: "a",
        KAFKA_BROKERS: "a",
        KAFKA_BOOTSTRAP_SERVERS: "a",
        KAFKA_SASL_PASWORD_FILE: "a",
        QUEUE_MAX_SIZE: "a",
        QUEUE_XYZZY: "a",
        EXCHANGE: "a",
        LOGLEVEL: "a",
        WALLEX_MARKET: "a",
        BITPIN_XYZZY: "a"
      })
      assert.deepStrictEqual(warnings, [
        "BITPIN_XYZZY is not a setting",
        "EXCHANGE is not a setting; did you mean EXCHANGES?",
        "KAFKA_BOOTSTRAP_SERVERS is not a setting; did you mean KAFKA_BROKER?",
        "KAFKA_BROKERS is not a setting; did you mean KAFKA_BROKER?",
        "KAFKA_BROKRE is not a setting; did you mean KAFKA_BROKER?",
        "KAFKA_SASL_PASWORD_FILE is not a setting; did you mean KAFKA_SASL_PASSWORD?",
        "LOGLEVEL is not a setting; did you mean LOG_LEVEL?",
        "QUEUE_MAX_SIZE is not a setting; did you mean QUEUE_MAX_AGE?",
        "QUEUE_XYZZY is not a setting",
        "WALLEX_MARKET is not a setting; did you mean WALLEX_MARKETS?"
      ])
    }))

  it.effect("of proxies under names that are not read", () =>
    Effect.gen(function*() {
      const env = { https_proxy: "http://a", no_proxy: "b", ALL_PROXY: "c" }
      assert.deepStrictEqual(yield* warningsOf(env), [
        "ALL_PROXY is not read; HTTPS_PROXY is",
        "https_proxy is not read; HTTPS_PROXY is",
        "no_proxy is not read; NO_PROXY is"
      ])
      assert.deepStrictEqual(yield* warningsOf({ ...env, HTTPS_PROXY: "http://a", NO_PROXY: "b" }), [])
    }))

  it.effect("but of nobody else's names", () =>
    Effect.gen(function*() {
      const warnings = yield* warningsOf({
        KAFKA_PORT: "tcp://10.0.0.1:9092",
        KAFKA_SERVICE_HOST: "10.0.0.1",
        KAFKA_SERVICE_PORT: "9092",
        KAFKA_SERVICE_NAME: "x",
        KAFKA_SERVICE_PORT_CLIENT: "9092",
        KAFKA_PORT_9092_TCP: "tcp://10.0.0.1:9092",
        KAFKA_PORT_9092_TCP_ADDR: "10.0.0.1",
        QUEUE_SERVICE_HOST: "10.0.0.2",
        QUEUE_PORT: "tcp://10.0.0.2:80",
        KAFKA_TEST_BROKER: "localhost:1",
        HTTP_PROXY: "http://proxy",
        PATH: "/bin",
        HOME: "/root",
        API_KEY: "x",
        LOG_DIR: "x",
        DATA_SOURCE: "x",
        NODE_ENV: "production",
        KAFKAJS_NO_PARTITIONER_WARNING: "1",
        KAFKA_NOTHING: " "
      })
      assert.deepStrictEqual(warnings, [])
    }))

  it.effect("of settings without effect, and of a password sent in the clear", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* warningsOf({ KAFKA_SASL_USERNAME: "a", KAFKA_SSL_CA_LOCATION: "/ca" }), [
        "KAFKA_SASL_USERNAME is not used with KAFKA_SECURITY_PROTOCOL=PLAINTEXT",
        "KAFKA_SSL_CA_LOCATION is not used with KAFKA_SECURITY_PROTOCOL=PLAINTEXT"
      ])
      const books = { BOOK_DEPTH: "20", BOOK_INTERVAL: "1s", BOOK_REFRESH: "1m", BOOK_DELTAS: "false" }
      assert.deepStrictEqual(
        yield* warningsOf(books),
        Object.keys(books).map((name) => `${name} is not used with CHANNELS=trades`)
      )
      assert.deepStrictEqual(yield* warningsOf({ ...books, CHANNELS: "books" }), [])
      assert.deepStrictEqual(yield* warningsOf({ ...sasl, KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT" }), [
        "KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT sends the password and all data unencrypted"
      ])
      assert.deepStrictEqual(yield* warningsOf({ SHUTDOWN_TIMEOUT: "20s" }), [
        "SHUTDOWN_TIMEOUT is more than the 19s after which the process ends in any case"
      ])
    }))
})

describe("the log's settings alone", () => {
  it.effect("do not mind what else is wrong", () =>
    Effect.gen(function*() {
      const fail = () => new Unreadable({ message: "ENOENT" })
      const log = yield* AppConfig.parseLog(
        {
          LOG_LEVEL: "off",
          LOG_FORMAT: "json",
          HEALTH_PORT: "x",
          DATA_DIR_FILE: "/x"
        },
        fail
      )
      assert.deepStrictEqual(log, { level: LogLevel.None, format: "json" })
      const { problems } = yield* Effect.flip(
        AppConfig.parseLog({ LOG_LEVEL: "loud", LOG_FORMAT_FILE: "/x" }, fail)
      )
      assert.deepStrictEqual(problems.map(({ name }) => name), ["LOG_FORMAT_FILE", "LOG_LEVEL"])
    }))
})

describe("the table as text", () => {
  it("of the example names every setting with its default", () => {
    const lines = Render.envExample(groups).split("\n")
    for (const { defaultText, name } of rows) assert.include(lines, `# ${name}=${defaultText}`)
    assert.isTrue(lines.every((line) => line === "" || line.startsWith("# ")))
  })

  it.effect("of the example is valid when it is taken as it is", () =>
    Effect.gen(function*() {
      const env = Object.fromEntries(
        Render.envExample(groups).split("\n").flatMap((line) => {
          const [, name, value] = /^# ([A-Z_]+)=(.*)$/.exec(line) ?? []
          return name === undefined || name === "NAME_FILE" ? [] : [[name, value ?? ""] as const]
        })
      )
      assert.strictEqual(Object.keys(env).length, rows.length)
      assert.deepStrictEqual((yield* parse(env)).settings, (yield* parse({})).settings)
    }))

  it("of the docs has a row of three cells for each setting", () => {
    const lines = Render.markdown(groups).split("\n")
    for (const { name } of rows) {
      const line = lines.filter((line) => line.startsWith(`| \`${name}\` |`))
      assert.strictEqual(line.length, 1)
      assert.strictEqual(line[0]?.split(/(?<!\\)\|/).length, 5)
    }
  })
})
