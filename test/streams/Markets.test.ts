import { HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Either, HashMap, Layer, Logger, LogLevel, Option, Schema, TestClock } from "effect"
import * as MarketEvent from "../../src/services/MarketEvent.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../src/streams/exchanges/Wallex.ts"
import * as Markets from "../../src/streams/Markets.ts"
import * as Tidings from "../../src/streams/Markets/Tidings.ts"
import * as FakeApi from "./support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets, silent } from "./support/FakeSockets.ts"
import { run, settle } from "./support/Harness.ts"

const listed = (exchangeSymbol: string, base: string, quote: string, tradable = true) =>
  Either.right({ exchangeSymbol, base, quote, tradable })

const all = () => true

const good = FakeApi.bitpinList("BTC_IRT")

const world = (respond: FakeApi.Respond) => Layer.mergeAll(sockets(centrifugo()), FakeApi.layer(respond))

const subscriptions = Effect.map(
  FakeSockets,
  ({ dials }) => dials.flatMap((socket) => socket.sent.flatMap((frame) => /"channel":"([^"]+)"/.exec(frame)?.[1] ?? []))
)

describe("Markets: choosing", () => {
  it("names markets by one canon", () => {
    const { failures, markets } = Markets.choose(
      [
        listed("BTCTMN", "BTC", "TMN"),
        listed("1BBABYDOGETMN", "1BBABYDOGE", "TMN"),
        listed("100K_FLOKIIRT", "100K_FLOKI", "irt"),
        listed("DEADIRT", "DEAD", "IRT", false)
      ],
      all,
      new Set(),
      wallex.names
    )
    assert.deepStrictEqual(failures, [])
    assert.deepStrictEqual(markets, [
      { symbol: "BTC/IRT", exchangeSymbol: "BTCTMN" },
      { symbol: "1BBABYDOGE/IRT", exchangeSymbol: "1BBABYDOGETMN" },
      { symbol: "100K_FLOKI/IRT", exchangeSymbol: "100K_FLOKIIRT" }
    ])
  })

  it("leaves hostile symbols out and counts them", () => {
    const { failures, markets } = Markets.choose(
      [
        listed("X", "../../etc/passwd", "IRT"),
        listed("Y", "A\"\n", "IRT"),
        listed("Z Z", "A", "IRT"),
        listed("A", "__proto__", "IRT"),
        listed("B", "A", "B"),
        listed("C", "C", "IRT"),
        listed("C2", "C", "IRT")
      ],
      all
    )
    assert.deepStrictEqual(markets, [{ symbol: "__PROTO__/IRT", exchangeSymbol: "A" }, {
      symbol: "C/IRT",
      exchangeSymbol: "C"
    }])
    assert.deepStrictEqual(failures.map(({ reason }) => reason), ["symbol", "symbol", "symbol", "symbol", "symbol"])
  })

  it("takes the signs that exchanges have in their symbols; a name with one is none of ours", () => {
    const rows = [
      listed("BTC-USD", "BTC", "USD"),
      listed("XBT/USD.p", "XBT", "USDP"),
      listed("spot:TRX$", "TRX", "USD"),
      listed("H100-AI_IRT", "H100-AI", "IRT"),
      listed("BTC.d_IRT", "BTC.d", "IRT"),
      listed("$WIF_USDT", "$WIF", "USDT"),
      listed("تتر_IRT", "تتر", "IRT"),
      listed("..", "DOTS", "IRT"),
      listed("A B", "AB", "IRT"),
      listed("", "NONE", "IRT"),
      listed("BTC-USD", "BTC2", "USD"),
      listed("OLD_IRT", "O-L-D", "IRT", false)
    ]
    const { leftOut, markets } = Markets.choose(rows, all)
    assert.deepStrictEqual(markets.map(({ exchangeSymbol, symbol }) => [exchangeSymbol, symbol]), [
      ["BTC-USD", "BTC/USD"],
      ["XBT/USD.p", "XBT/USDP"],
      ["spot:TRX$", "TRX/USD"]
    ])
    assert.deepStrictEqual(leftOut.map(({ name, reason }) => [name, reason]), [
      ["H100-AI_IRT", "name"],
      ["BTC.d_IRT", "name"],
      ["$WIF_USDT", "name"],
      ["تتر_IRT", "name"],
      ["..", "name"],
      ["A B", "name"],
      ["NONE/IRT", "name"],
      ["BTC-USD", "twice"]
    ])
  })

  it("leaves out a name that mixes large and small letters: raised, it would be another asset's", () => {
    const rows = [
      listed("METAx/USD", "METAx", "USD"),
      listed("METAX/USD", "METAX", "USD"),
      listed("2", "btc", "irr"),
      listed("EURx", "BTC", "EURx")
    ]
    const { leftOut, markets } = Markets.choose(rows, all)
    assert.deepStrictEqual(markets.map(({ exchangeSymbol, symbol }) => [exchangeSymbol, symbol]), [
      ["METAX/USD", "METAX/USD"],
      ["2", "BTC/IRR"]
    ])
    assert.deepStrictEqual(leftOut.map(({ name, reason }) => [name, reason]), [["METAx/USD", "name"], ["EURx", "name"]])
  })

  it("is bounded", () => {
    const rows = Array.from({ length: 10_000 }, (_, i) => listed(`M${i}`, `M${i}`, "IRT"))
    assert.strictEqual(Markets.choose(rows, all).markets.length, 2000)
  })

  it("reads globs", () => {
    const chosen = (globs: ReadonlyArray<string>, symbols: ReadonlyArray<string>) =>
      symbols.filter(Markets.matcher(globs))
    const symbols = ["BTC/IRT", "BTC/USDT", "ETH/IRT", "100K_FLOKI/IRT"]
    assert.deepStrictEqual(chosen([], symbols), symbols)
    assert.deepStrictEqual(chosen(["*"], symbols), symbols)
    assert.deepStrictEqual(chosen(["BTC/IRT", "*/USDT"], symbols), ["BTC/IRT", "BTC/USDT"])
    assert.deepStrictEqual(chosen(["???/irt"], symbols), ["BTC/IRT", "ETH/IRT"])
    assert.deepStrictEqual(chosen(["BTC.IRT", "B"], symbols), [])
  })
})

describe("Markets: what is left out", () => {
  /** One after the other, the last one again and again. */
  const lists = (...all: ReadonlyArray<ReadonlyArray<string>>) => {
    let n = 0
    return world((call) =>
      Effect.sync(() => ({
        body: call.path.includes("/mkt/") ? FakeApi.bitpinList(...all[Math.min(n++, all.length - 1)] ?? []) : "[]"
      }))
    )
  }

  /** Warnings of what is left out or not found, as they come. */
  const logged = (lines: Array<string>) =>
    Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ annotations, logLevel, message }) => {
        const text = String(Array.isArray(message) ? message.join(" ") : message)
        if (logLevel === LogLevel.Warning && /left out|found|chosen/.test(text)) {
          lines.push(`${Option.getOrElse(HashMap.get(annotations, "exchange"), () => "?")}: ${text}`)
        }
      })
    )

  it.scoped("is named once for each list that changes it: in the log, in the status, in an event", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const feed = yield* run(bitpin, { marketsRefresh: "1 minute" })
      const told = Effect.gen(function*() {
        yield* settle
        const events = (yield* feed.rest).filter((one) => one.type === "status" && one.event === "markets")
        return [lines.splice(0), feed.status().leftOut, events]
      })
      const nextList = Effect.andThen(TestClock.adjust("61 seconds"), told)

      const [line, names, events] = yield* told
      assert.deepStrictEqual(line, [
        "bitpin: markets are left out, since their names do not fit BASE/QUOTE, or hold what no symbol may: H100-AI_IRT, $WIF_USDT"
      ])
      assert.deepStrictEqual(names, ["H100-AI_IRT", "$WIF_USDT"])
      assert.lengthOf(events ?? [], 1)
      const event = Schema.decodeUnknownSync(MarketEvent.Status)(events?.[0])
      assert.deepInclude(event, {
        exchange: "bitpin",
        event: "markets",
        listed: 3,
        chosen: 1,
        leftOut: ["H100-AI_IRT", "$WIF_USDT"],
        reason: "left_out"
      })
      assert.strictEqual(feed.status().decodeFailures.get("symbol"), 2)

      // The same list, and one that has more of ours.
      assert.deepStrictEqual(yield* nextList, [[], ["H100-AI_IRT", "$WIF_USDT"], []])
      assert.deepStrictEqual(yield* nextList, [[], ["H100-AI_IRT", "$WIF_USDT"], []])
      assert.strictEqual(feed.status().decodeFailures.get("symbol"), 2)

      const [another, more] = yield* nextList
      assert.deepStrictEqual(another?.length, 1)
      assert.deepStrictEqual(more, ["H100-AI_IRT", "$WIF_USDT", "BTC.d_IRT"])
      assert.strictEqual(feed.status().decodeFailures.get("symbol"), 3)

      const [end, none, last] = yield* nextList
      assert.deepStrictEqual(end, ["bitpin: no market is left out any more"])
      assert.deepStrictEqual(none, [])
      assert.deepInclude(last?.[0], { listed: 1, chosen: 1, leftOut: [], reason: "left_out" })
    }).pipe(Effect.provide(Layer.merge(
      logged(lines),
      lists(
        ["BTC_IRT", "H100-AI_IRT", "$WIF_USDT"],
        ["BTC_IRT", "H100-AI_IRT", "$WIF_USDT"],
        ["BTC_IRT", "ETH_IRT", "H100-AI_IRT", "$WIF_USDT"],
        ["BTC_IRT", "H100-AI_IRT", "$WIF_USDT", "BTC.d_IRT"],
        ["BTC_IRT"]
      )
    )))
  })

  it.scoped("a glob that finds nothing is told once, whatever the lists after", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const feed = yield* run(bitpin, {
        marketsRefresh: "1 minute",
        markets: ["BTC/*", "ETH-IRT", "DOGE/USDT"],
        share: (symbol) => symbol !== "BTC/IRT"
      })
      yield* settle
      assert.deepStrictEqual(lines.splice(0), [
        "bitpin: MARKETS: nothing is found by ETH-IRT, DOGE/USDT",
        "bitpin: no market is chosen"
      ])
      const events = (yield* feed.rest).filter((one) => one.type === "status" && one.event === "markets")
      assert.lengthOf(events, 1)
      assert.deepInclude(events[0], { listed: 1, chosen: 0, leftOut: [], reason: "unmatched" })
      for (let list = 0; list < 4; list++) {
        yield* TestClock.adjust("61 seconds")
        yield* settle
      }
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(Layer.merge(
      logged(lines),
      lists(["BTC_IRT"], ["BTC_IRT"], ["BTC_IRT", "ETH_IRT"], ["BTC_IRT"])
    )))
  })

  it("in thousands is a number beside the first thousand", () => {
    const rows = Array.from({ length: 3_000 }, (_, i) => listed(`${i}-`, `${i}-`, "IRT"))
    const { leftOut, lines } = Tidings.tell(Tidings.nothing, Markets.choose(rows, all), [])
    assert.lengthOf(leftOut, 1_001)
    assert.strictEqual(leftOut.at(-1), "and 2000 more")
    assert.match(lines[0] ?? "", /0-, 1-, .*, 19-, and 2980 more$/)
  })
})

describe("Markets: the list that cannot be had", () => {
  it.scoped("is asked for again, less and less often, each kind of failure alike", () =>
    Effect.gen(function*() {
      const { calls } = yield* FakeApi.FakeApi
      const feed = yield* run(bitpin)
      const seen: Array<string | null> = []
      for (const wait of [0, 1, 2, 4, 8]) {
        yield* TestClock.adjust(wait * 1000)
        yield* settle
        seen.push(feed.status().api.message)
      }
      assert.deepStrictEqual(calls.map(({ at }) => at), [0, 1000, 3000, 7000, 15_000])
      assert.deepStrictEqual(seen.slice(0, 4).map((message) => message?.split(":")[0]), [
        "status",
        "body",
        "body",
        "transport"
      ])
      assert.deepInclude(feed.status().api, { ok: true, message: null })
      assert.deepStrictEqual(yield* subscriptions, ["matches:BTC_IRT"])
    }).pipe(Effect.provide(world((_call, n) =>
      n === 3
        ? Effect.fail(
          new HttpClientError.RequestError({ request: HttpClientRequest.get("http://x"), reason: "Transport" })
        )
        : Effect.succeed(
          [{ status: 503, body: "busy" }, { body: "<html>" }, { body: "[]" }, { body: "" }][n] ?? { body: good }
        )
    ))))

  it.scoped("is given up after 10 s, inside the breaker, which opens, is waited for, and lets it through", () =>
    Effect.gen(function*() {
      const { calls, respond } = yield* FakeApi.FakeApi
      const feed = yield* run(bitpin)
      // 10 s each, and 1, 2, 4, 8 s between.
      yield* TestClock.adjust("65 seconds")
      yield* settle
      assert.strictEqual((yield* feed.breakers.api.snapshot).state, "open")
      assert.deepInclude(feed.status().api, { ok: false, message: "timeout: no answer within 10s", durationMs: 10_000 })
      assert.strictEqual(calls.length, 5)
      yield* respond(() => Effect.succeed({ body: good }))
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(calls.length, 5)
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(yield* subscriptions, ["matches:BTC_IRT"])
      // The background check does the rest.
      assert.strictEqual((yield* feed.breakers.api.snapshot).state, "half_open")
      yield* respond(() => Effect.succeed({ body: "[]" }))
      yield* TestClock.adjust("30 seconds")
      yield* settle
      assert.strictEqual((yield* feed.breakers.api.snapshot).state, "closed")
      assert.strictEqual(calls[6]?.path, "/api/v1/mth/matches/BTC_IRT/")
    }).pipe(Effect.provide(world(() => Effect.never))))

  it.scoped("waits as long as Retry-After says, but not for ever", () =>
    Effect.gen(function*() {
      const { calls } = yield* FakeApi.FakeApi
      yield* run(bitpin)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(calls.length, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(calls.length, 2)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(calls.length, 2)
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.strictEqual(calls.length, 3)
    }).pipe(Effect.provide(world((_call, n) =>
      Effect.succeed({ status: 429, headers: { "retry-after": n === 0 ? "30" : "99999999" }, body: "{}" })
    ))))

  it.scoped("leaves the API alone, histories too, when it says for how long", () =>
    Effect.gen(function*() {
      const { calls, respond } = yield* FakeApi.FakeApi
      const { dials } = yield* FakeSockets
      yield* run(bitpin)
      yield* TestClock.adjust("1 second")
      yield* respond((call) =>
        Effect.succeed(
          call.path.includes("/mth/") && call.at < 60_000
            ? { status: 429, headers: { "retry-after": "20" }, body: "{}" }
            : { body: "[]" }
        )
      )
      const before = calls.length
      dials[0]?.drop(1006)
      yield* TestClock.adjust("2 seconds")
      // Four of the six histories were on their way.
      const asked = calls.length
      assert.isAtMost(asked - before, 4)
      assert.isAbove(asked, before)
      yield* TestClock.adjust("18 seconds")
      assert.strictEqual(calls.length, asked)
      yield* TestClock.adjust("3 seconds")
      assert.isAbove(calls.length, asked)
    }).pipe(Effect.provide(world(() =>
      Effect.succeed({ body: FakeApi.bitpinList("A_IRT", "B_IRT", "C_IRT", "D_IRT", "E_IRT", "F_IRT") })
    ))))

  it.scoped("comes from the cache of an earlier life meanwhile, and is kept for a later one", () =>
    Effect.gen(function*() {
      const saved: Array<string> = []
      const { respond } = yield* FakeApi.FakeApi
      const loaded = yield* Deferred.make<void>()
      const cached = JSON.stringify([
        { symbol: "OLD/IRT", exchangeSymbol: "OLD_IRT" },
        { symbol: "OLD/USDT", exchangeSymbol: "OLD_USDT" }
      ])
      yield* run(bitpin, {
        markets: ["*/IRT"],
        marketsCache: {
          load: Effect.as(Deferred.succeed(loaded, undefined), cached),
          save: (json) => Effect.sync(() => saved.push(json))
        }
      })
      yield* Deferred.await(loaded)
      yield* settle
      assert.deepStrictEqual(yield* subscriptions, ["matches:OLD_IRT"])
      yield* respond(() => Effect.succeed({ body: FakeApi.bitpinList("OLD_IRT", "NEW_IRT") }))
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(yield* subscriptions, ["matches:OLD_IRT", "matches:NEW_IRT"])
      assert.deepStrictEqual(saved.map((json) => JSON.parse(json)), [[
        { symbol: "OLD/IRT", exchangeSymbol: "OLD_IRT" },
        { symbol: "NEW/IRT", exchangeSymbol: "NEW_IRT" }
      ]])
    }).pipe(Effect.provide(world(() => Effect.succeed({ status: 500, body: "" })))))

  it.scoped("changes nothing when it fails later, or comes back empty", () =>
    Effect.gen(function*() {
      const { respond } = yield* FakeApi.FakeApi
      const feed = yield* run(bitpin, { marketsRefresh: "20 seconds" })
      yield* settle
      yield* respond(() => Effect.succeed({ body: "[]" }))
      yield* TestClock.adjust("40 seconds")
      yield* settle
      const { dials } = yield* FakeSockets
      assert.deepStrictEqual(dials.map(({ closedWith }) => closedWith), [undefined])
      assert.strictEqual(feed.status().listed, 1)
    }).pipe(Effect.provide(world(() => Effect.succeed({ body: good })))))

  it.scoped("is a failure when Wallex says success:false with HTTP 200", () =>
    Effect.gen(function*() {
      const feed = yield* run(wallex)
      yield* settle
      assert.strictEqual(feed.status().api.ok, false)
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual(feed.status().api.ok, true)
      assert.deepStrictEqual(yield* subscriptions, ["BTCTMN@trade"])
    }).pipe(Effect.provide(Layer.mergeAll(
      sockets(silent),
      FakeApi.layer((_call, n) =>
        Effect.succeed({
          body: n === 0 ? `{"success":false,"code":1,"message":"no","result":{}}` : FakeApi.wallexList(["BTC", "TMN"])
        })
      )
    ))))
})
