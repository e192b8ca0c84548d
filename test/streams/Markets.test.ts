import { HttpClientError, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Either, Layer, TestClock } from "effect"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../src/streams/exchanges/Wallex.ts"
import * as Markets from "../../src/streams/Markets.ts"
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
      all
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
            ? { status: 429, body: `{"status":"failed","code":"TooManyRequests","backOff":20,"limit":60}` }
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
