import { assert, describe, it } from "@effect/vitest"
import { Duration, Either, LogLevel } from "effect"
import * as fc from "fast-check"
import * as Parsers from "../../src/layers/AppConfig/Parsers.ts"
import { distance, nearest } from "../../src/layers/AppConfig/Suggest.ts"

const good = <A>(parser: Parsers.Parser<A>, text: string): A => {
  const result = parser.parse(text)
  if (Either.isLeft(result)) throw new Error(`${JSON.stringify(text)}: ${result.left}`)
  return result.right
}

const bad = <A>(parser: Parsers.Parser<A>, text: string): string => {
  const result = parser.parse(text)
  if (Either.isRight(result)) throw new Error(`${JSON.stringify(text)} was taken: ${String(result.right)}`)
  return result.left
}

describe("durations", () => {
  const parser = Parsers.duration()
  const cases: ReadonlyArray<[string, number]> = [
    ["500ms", 500],
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h", 3_600_000],
    ["2d", 172_800_000],
    ["1.5s", 1_500],
    ["30 S", 30_000]
  ]
  it.each(cases)("%s", (text, millis) => assert.strictEqual(Duration.toMillis(good(parser, text)), millis))

  const refused = [
    "",
    "30",
    "s",
    "30 parsecs",
    "-1s",
    "1e3s",
    "0x10s",
    "1..5s",
    "+5s",
    "Infinity",
    "99999999d",
    "1s 2s"
  ]
  it.each(refused)(
    "not %j",
    (text) => assert.match(bad(parser, text), /^expected a duration such as 500ms, 30s or 5m, got /)
  )

  it("zero only where it means something", () => {
    assert.strictEqual(bad(parser, "0s"), "expected a duration of at least 1ms, got \"0s\"")
    const least0 = Parsers.duration({ min: 0 })
    for (const text of ["0", "0s", "0ms"]) assert.strictEqual(Duration.toMillis(good(least0, text)), 0)
    assert.strictEqual(least0.print(Duration.zero), "0")
    assert.strictEqual(bad(parser, "0"), "expected a duration of at least 1ms, got \"0\"")
  })

  it("as docs/configuration.md writes the defaults", () => {
    const shown = [5, 500, 1_000, 15_000, 60_000, 300_000].map((millis) => parser.print(Duration.millis(millis)))
    assert.deepStrictEqual(shown, ["5ms", "500ms", "1s", "15s", "60s", "5m"])
  })

  it("what is printed reads as the same", () =>
    fc.assert(fc.property(fc.integer({ min: 1, max: 3_650 * 86_400_000 }), (millis) => {
      assert.strictEqual(Duration.toMillis(good(parser, parser.print(Duration.millis(millis)))), millis)
    })))
})

describe("sizes", () => {
  const cases: ReadonlyArray<[string, number]> = [
    ["512KiB", 524_288],
    ["1GiB", 1_073_741_824],
    ["500MB", 500_000_000],
    ["1.5 mib", 1_572_864],
    ["1048576", 1_048_576],
    ["7B", 7]
  ]
  it.each(cases)("%s", (text, bytes) => assert.strictEqual(good(Parsers.size, text), bytes))

  it.each(["", "0", "0MiB", "1Q", "1K", "-1MB", "1e9", "99999999999TiB", "MiB"])(
    "not %j",
    (text) => assert.match(bad(Parsers.size, text), /^expected a size such as 512KiB, 1GiB or 500MB, got /)
  )

  it("what is printed reads as the same", () =>
    fc.assert(fc.property(fc.integer({ min: 1, max: 2 ** 50 }), (bytes) => {
      assert.strictEqual(good(Parsers.size, Parsers.size.print(bytes)), bytes)
    })))
})

describe("numbers and words", () => {
  it("ports from 0", () => {
    assert.strictEqual(good(Parsers.port, "0"), 0)
    assert.strictEqual(good(Parsers.port, "65535"), 65_535)
    assert.strictEqual(bad(Parsers.port, "70000"), "expected a port 0-65535, got \"70000\"")
    for (const text of ["-1", "80.5", "0x50", "1e3", "http", ""]) bad(Parsers.port, text)
  })

  it("fractions from 0 to 1", () => {
    assert.deepStrictEqual(["0", "0.1", "1"].map((text) => good(Parsers.fraction, text)), [0, 0.1, 1])
    for (const text of ["1.01", "-0.1", "NaN", "10%", ".5"]) bad(Parsers.fraction, text)
  })

  it("booleans in any case", () => {
    for (const text of ["true", "TRUE", "Yes", "on", "1"]) assert.isTrue(good(Parsers.boolean, text))
    for (const text of ["false", "FALSE", "No", "off", "0"]) assert.isFalse(good(Parsers.boolean, text))
    bad(Parsers.boolean, "maybe")
  })

  it("log levels in the words of both sides", () => {
    for (const text of ["warn", "warning", "WARN", "Warning"]) {
      assert.strictEqual(good(Parsers.logLevel, text), LogLevel.Warning)
    }
    for (const text of ["off", "none"]) assert.strictEqual(good(Parsers.logLevel, text), LogLevel.None)
    bad(Parsers.logLevel, "loud")
  })

  it("choices in any case, as they are written in docs/configuration.md", () => {
    assert.strictEqual(good(Parsers.choice("SASL_SSL", "SSL"), "sasl_ssl"), "SASL_SSL")
    assert.strictEqual(bad(Parsers.choice("gzip", "none"), "zstd"), "expected one of gzip, none, got \"zstd\"")
  })

  it("topic prefixes leave room for what is appended", () => {
    good(Parsers.topicPrefix, "market-data.v2_x")
    for (const text of ["a b", "a/b", "", ".a", "a".repeat(201)]) bad(Parsers.topicPrefix, text)
  })
})

describe("lists", () => {
  it("by comma, trimmed, each once", () => {
    assert.deepStrictEqual(good(Parsers.choices("a", "b"), " b , A,,b"), ["b", "a"])
  })

  it("a misspelt word is told its neighbour", () => {
    const parser = Parsers.choices("bitpin", "wallex")
    assert.strictEqual(
      bad(parser, "bitpn,wallex"),
      "expected some of bitpin, wallex, got \"bitpn\"; did you mean bitpin?"
    )
    assert.strictEqual(bad(parser, "binance"), "expected some of bitpin, wallex, got \"binance\"")
    bad(parser, ",")
  })

  it("brokers, with Kafka's own port where there is none", () => {
    assert.deepStrictEqual(good(Parsers.brokers, "localhost:9092, kafka-1.example:19092,10.0.0.1"), [
      "localhost:9092",
      "kafka-1.example:19092",
      "10.0.0.1:9092"
    ])
    assert.deepStrictEqual(good(Parsers.brokers, "[::1]:19092, [fd00::2], [fe80::1%eth0]:9092"), [
      "[::1]:19092",
      "[fd00::2]:9092",
      "[fe80::1%eth0]:9092"
    ])
    assert.include(bad(Parsers.brokers, "::1:9092"), "an IPv6 address as [::1]:9092")
    for (
      const text of ["PLAINTEXT://a:9092", "a:0", "a:99999", "a:b", ":9092", "::1:9092", "[::1", "[a]:9092", "a b:1"]
    ) {
      bad(Parsers.brokers, text)
    }
  })

  it("globs over canonical symbols", () => {
    assert.deepStrictEqual(good(Parsers.globs, "btc/irt,*/USDT,1INCH/?RT,*"), ["BTC/IRT", "*/USDT", "1INCH/?RT", "*"])
    for (const text of ["BTC-IRT", "BTC_IRT", "../../etc/passwd", "BTC/IRT/X", "[A-Z]/IRT", "BTC/", ""]) {
      bad(Parsers.globs, text)
    }
  })
})

describe("shares", () => {
  it("of a whole", () => {
    assert.deepStrictEqual(good(Parsers.shard, "2/3"), { index: 2, count: 3 })
    for (const text of ["0/2", "3/2", "1/0", "2", "1/1001", "1.5/2", "-1/2", "1/2/3", ""]) bad(Parsers.shard, text)
  })
})

describe("addresses", () => {
  it("of the right scheme only", () => {
    assert.strictEqual(good(Parsers.httpUrl, "http://127.0.0.1:81/base//"), "http://127.0.0.1:81/base")
    assert.strictEqual(good(Parsers.wsUrl, "ws://127.0.0.1:81/ws/"), "ws://127.0.0.1:81/ws/")
    for (const text of ["ws://a", "ftp://a", "a:80", "http://", "file:///etc/passwd", "javascript:0"]) {
      bad(Parsers.httpUrl, text)
    }
    for (const text of ["http://a", "wss://", "a"]) bad(Parsers.wsUrl, text)
    for (const text of ["http://a:1", "https://u:p@a", "socks5://a:1080", "socks5h://a", "a:3128", "a"]) {
      good(Parsers.proxy, text)
    }
    for (const text of ["ftp://a", "socks4://a", "http://", "a b"]) bad(Parsers.proxy, text)
  })

  it("without credentials, and without showing them", () => {
    const problem = bad(Parsers.httpUrl, "https://user:hun@ter2@host/x")
    assert.strictEqual(problem, "expected an address without credentials, got \"***@host/x\"")
    bad(Parsers.wsUrl, "wss://user@host")
  })
})

describe("whatever text comes", () => {
  const parsers: ReadonlyArray<[string, Parsers.Parser<unknown>]> = Object.entries({
    duration: Parsers.duration(),
    size: Parsers.size,
    port: Parsers.port,
    fraction: Parsers.fraction,
    boolean: Parsers.boolean,
    logLevel: Parsers.logLevel,
    choice: Parsers.choice("a", "b"),
    choices: Parsers.choices("a", "b"),
    brokers: Parsers.brokers,
    globs: Parsers.globs,
    shard: Parsers.shard,
    pairs: Parsers.pairs,
    hosts: Parsers.hosts,
    host: Parsers.host,
    topicPrefix: Parsers.topicPrefix,
    httpUrl: Parsers.httpUrl,
    wsUrl: Parsers.wsUrl,
    proxy: Parsers.proxy
  }).map(([name, parser]) => [name, { parse: parser.parse, print: String }])

  it.each(parsers)(
    "%s answers, and its problem is one short line",
    (_, parser) =>
      fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary", maxLength: 400 })), (text) => {
        const result = parser.parse(text)
        if (Either.isRight(result)) return
        assert.notMatch(result.left, /[\u0000-\u001f]/) // oxlint-disable-line no-control-regex
        assert.isBelow(result.left.length, 800)
      }))
  )
})

describe("did you mean", () => {
  it("counts a swap as one", () => {
    assert.strictEqual(distance("KAFKA_BROKRE", "KAFKA_BROKER"), 1)
    assert.strictEqual(distance("kitten", "sitting"), 3)
    assert.strictEqual(distance("", "abc"), 3)
  })

  it("is a metric", () =>
    fc.assert(fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
      assert.strictEqual(distance(a, b), distance(b, a))
      assert.strictEqual(distance(a, b) === 0, a === b)
      assert.isAtMost(distance(a, b), Math.max(a.length, b.length))
    })))

  it("only if it is close", () => {
    assert.strictEqual(nearest("rnu", ["run", "demo"]), "run")
    assert.isUndefined(nearest("frobnicate", ["run", "demo"]))
    assert.isUndefined(nearest("xyz", ["run"]))
  })
})
