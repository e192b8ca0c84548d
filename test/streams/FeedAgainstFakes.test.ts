/** Feeds against the fake exchanges, which were written from the protocols' documents by somebody else. Real sockets, real time. */
import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Stream } from "effect"
import * as NodeWebSocket from "../../src/layers/node/WebSocket.ts"
import * as FakeBinance from "../../src/layers/testing/FakeBinance.ts"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import * as FakeBybit from "../../src/layers/testing/FakeBybit.ts"
import * as FakeCoinbase from "../../src/layers/testing/FakeCoinbase.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import * as FakeKraken from "../../src/layers/testing/FakeKraken.ts"
import * as FakeNobitex from "../../src/layers/testing/FakeNobitex.ts"
import * as FakeOkx from "../../src/layers/testing/FakeOkx.ts"
import * as FakeRamzinex from "../../src/layers/testing/FakeRamzinex.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import { Ledger, make as makeLedger } from "../../src/services/Ledger.ts"
import type { MarketEvent, Trade } from "../../src/services/MarketEvent.ts"
import type { Exchange } from "../../src/streams/Exchange.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import * as Feed from "../../src/streams/Feed.ts"
import { breaker, retry } from "./support/Harness.ts"

const layer = Layer.merge(NodeWebSocket.layer({ maxPayload: 1024 * 1024 }), FetchHttpClient.layer)

/**
 * All that the fake has sent is handed over: on a busy machine the feed is behind when a script ends, and what still waits at the exchange
 * when a feed is stopped is not its to deliver. It gives up after a while: what is missing then is lost, and judged.
 */
const caughtUp = (fake: FakeExchange, events: ReadonlyArray<MarketEvent>): Effect.Effect<void> =>
  Effect.gen(function*() {
    const isTrade = (event: MarketEvent): event is Trade => event.type === "trade"
    const isBehind = (): boolean =>
      [...fake.server.connections].some(({ queued }) => queued > 0) ||
      Oracle.judge(fake.issued, events.filter(isTrade)).missing.length > 0
    for (let n = 0; n < 400 && isBehind(); n++) yield* Effect.sleep("50 millis")
  })

/** A feed on a fake until `script` has ended and everything is handed over; what it delivered, and its ledger. */
const collect = <E>(exchange: Exchange, fake: FakeExchange, script: Effect.Effect<void, E>) =>
  Effect.gen(function*() {
    const stop = yield* Deferred.make<void>()
    const ledger = makeLedger()
    const events: Array<MarketEvent> = []
    const fiber = yield* Feed.events(exchange, {
      endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
      channels: ["trades"],
      markets: [],
      subscriptionsPerConnection: 5,
      stagger: Duration.millis(20),
      // Feed and fake share one event loop: on a busy machine both may hold still for seconds.
      idleTimeout: Duration.seconds(30),
      breakers: { api: yield* breaker("api"), ws: yield* breaker("ws", { timeout: "200 millis" }) },
      retry: { ...retry, baseDelay: Duration.millis(50), maxDelay: Duration.millis(200) },
      memory: new Map(),
      marketsRefresh: "1 second",
      stop: Deferred.await(stop)
    }).pipe(
      Stream.runForEachChunk((chunk) => Effect.sync(() => events.push(...chunk))),
      Effect.provideService(Ledger, ledger),
      Effect.fork
    )
    yield* Effect.promise(() => fake.ready())
    yield* script
    yield* caughtUp(fake, events)
    yield* Deferred.succeed(stop, undefined)
    yield* Fiber.join(fiber)
    const trades = events.filter((event): event is Trade => event.type === "trade")
    return { trades, events, account: ledger.accounts()[0], verdict: Oracle.judge(fake.issued, trades) }
  })

const clean = { foreign: [], wrong: [], duplicates: [], disordered: [] }

const fakes = [
  ["bitpin", FakeBitpin.make],
  ["wallex", FakeWallex.make],
  ["nobitex", FakeNobitex.make],
  ["ramzinex", FakeRamzinex.make],
  ["binance", FakeBinance.make],
  // What waits in it for others nobody was told of yet.
  ["coinbase", () => FakeCoinbase.make({ batch: 0 })],
  ["kraken", FakeKraken.make],
  ["okx", FakeOkx.make],
  ["bybit", FakeBybit.make]
] as const

for (const [name, make] of fakes) {
  describe(`Feed against the fake ${name}`, () => {
    it.scopedLive("delivers every trade once, exact, in order", () =>
      Effect.gen(function*() {
        const fake = yield* make()
        const { account, events, trades, verdict } = yield* collect(exchanges[name], fake, fake.floodFor(1500, 2))
        assert.deepInclude(verdict, { ...clean, missing: [], doubtful: [], unsent: [] })
        assert.strictEqual(trades.length, 3000)
        assert.strictEqual(account?.inFlight, 3000)
        assert.strictEqual(fake.server.accepted.length, 2)
        // Each connection came and went once, and one list may have a market that is left out.
        const told = events.flatMap((event) => event.type === "status" ? [event.event] : [])
        assert.lengthOf(told.filter((event) => event !== "markets"), 4)
      }).pipe(Effect.provide(layer)))

    it.scopedLive("loses nothing but what was issued while it was away, over drops of every kind", () =>
      Effect.gen(function*() {
        const fake = yield* make()
        const script = Effect.gen(function*() {
          const stopFlood = fake.flood(500)
          for (const how of [1006, 3001, 3008, "reset"] as const) {
            yield* Effect.sleep("300 millis")
            fake.server.drop(how)
            yield* Effect.promise(() => fake.ready())
          }
          yield* Effect.sleep("200 millis")
          stopFlood()
        })
        const { verdict } = yield* collect(exchanges[name], fake, script)
        assert.deepInclude(verdict, { ...clean, missing: [] })
      }).pipe(Effect.provide(layer)))

    it.scopedLive("is none the worse for garbage", () =>
      Effect.gen(function*() {
        const fake = yield* make()
        const script = Effect.gen(function*() {
          for (
            const frame of [
              "garbage",
              "[".repeat(50_000),
              "{\"push\":1}",
              "[1,2]",
              new Uint8Array([1, 2]),
              "[\"X@trade\",{}]"
            ]
          ) {
            fake.trades(50)
            fake.server.frame(frame)
            yield* Effect.sleep("20 millis")
          }
          fake.trades(50)
        })
        const { verdict } = yield* collect(exchanges[name], fake, script)
        assert.deepInclude(verdict, { ...clean, missing: [], doubtful: [], unsent: [] })
        assert.strictEqual(fake.server.dials.length, 2)
      }).pipe(Effect.provide(layer)))
  })
}
