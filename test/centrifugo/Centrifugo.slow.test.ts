/**
 * BitPin's feed against a real Centrifugo server: what our fake of it takes for granted. REST is the fake's, without a history where
 * the server itself is to bring what was missed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import * as Feed from "../../src/streams/Feed.ts"
import { layer, run, until } from "../hostile/Running.ts"
import * as Server from "./Server.ts"

const server = Effect.acquireRelease(
  Effect.promise(Server.start),
  ({ process }) => Effect.sync(() => void process.stdin?.end())
)

/** A feed that hears the server, and a way to let trades happen. */
const begin = Effect.fnUntraced(function*(options: Partial<Feed.FeedOptions> = {}) {
  const { clients, control, wsUrl } = yield* server
  const rest = yield* FakeBitpin.make({ markets: 2, history: 0 })
  const channel = `matches:${rest.tradable[0]?.exchangeSymbol ?? ""}`
  const running = yield* run(exchanges.bitpin, { endpoints: { apiUrl: rest.apiUrl, wsUrl }, ...options })
  yield* until("subscribed", () => running.status().connections.get(0)?.subscriptions.active === 2, 5_000)
  let n = 0
  const send = (count = 1) =>
    Effect.promise(async () => {
      for (let i = 0; i < count; i++) {
        n += 1
        const match = {
          id: `${n}_1`,
          price: "100",
          base_amount: "1",
          quote_amount: "100",
          side: "buy",
          time: Date.now() / 1000
        }
        await control("publish", { channel }, JSON.stringify({ event: "matches_update", matches: [match] }))
      }
    })
  const ids = () => running.trades().map(({ id }) => Number(/:t:(\d+)_1$/.exec(id)?.[1]))
  const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1)
  const gaps = () => running.events.flatMap((event) => event.type === "status" && event.event === "gap" ? [event] : [])
  return { clients, control, rest, running, send, ids, upTo, gaps, channel }
})

describe("a real Centrifugo", () => {
  it.scopedLive("is subscribed to, heard, and its pings are answered", () =>
    Effect.gen(function*() {
      const { clients, ids, running, send, upTo } = yield* begin()
      yield* send(50)
      yield* until("50 trades", () => ids().length === 50, 5_000)
      // Pings come each second, and are to be answered within half of one.
      yield* Effect.sleep("4500 millis")
      assert.strictEqual(running.status().reconnects, 0)
      assert.strictEqual(yield* Effect.promise(clients), 1)
      yield* send(10)
      yield* until("60 trades", () => ids().length === 60, 5_000)
      assert.deepStrictEqual(ids(), upTo(60))
      assert.deepStrictEqual(running.undecodable, [])
    }).pipe(Effect.provide(layer)), { concurrent: true })

  it.scopedLive("brings what was missed over a lost connection, without REST", () =>
    Effect.gen(function*() {
      const { control, gaps, ids, rest, running, send, upTo } = yield* begin({ stagger: Duration.millis(500) })
      yield* send(5)
      yield* until("5 trades", () => ids().length === 5, 5_000)
      const asked = rest.server.restCalls.filter(({ url }) => url.includes("/mth/")).length
      for (const code of ["3001", "3012"]) {
        const { reconnects } = running.status()
        yield* Effect.promise(() => control("disconnect", { code }))
        yield* send(4)
        yield* until("back", () => running.status().reconnects > reconnects, 5_000)
        yield* until("heard", () => running.status().connections.get(0)?.subscriptions.active === 2, 5_000)
        yield* send(1)
      }
      yield* until("15 trades", () => ids().length === 15, 5_000)
      assert.deepStrictEqual(ids(), upTo(15))
      assert.deepStrictEqual(gaps(), [])
      assert.strictEqual(rest.server.restCalls.filter(({ url }) => url.includes("/mth/")).length, asked)
      assert.deepInclude(running.status().gaps, { open: 0, told: 0 })
    }).pipe(Effect.provide(layer)), { concurrent: true })

  it.scopedLive("of a new epoch cannot bring it: the hole is told", () =>
    Effect.gen(function*() {
      const { channel, control, gaps, ids, running, send } = yield* begin({ stagger: Duration.millis(500) })
      yield* send(5)
      yield* until("5 trades", () => ids().length === 5, 5_000)
      yield* Effect.promise(() => control("disconnect", { code: "3001" }))
      yield* send(3)
      yield* Effect.promise(() => control("forget", { channel }))
      yield* until("heard", () =>
        running.status().reconnects === 1 && running.status().connections.get(0)?.subscriptions.active === 2, 5_000)
      yield* send(2)
      yield* until("told", () =>
        gaps().length > 0, 10_000)
      yield* until("the last", () =>
        ids().at(-1) === 10, 10_000)
      assert.deepStrictEqual(ids(), [1, 2, 3, 4, 5, 9, 10])
      assert.isTrue(
        gaps().every(({ complete, symbol }) => complete === false && symbol === running.trades()[0]?.symbol)
      )
    }).pipe(Effect.provide(layer)), { concurrent: true })

  it.scopedLive("takes a subscription back: asked again if it says so", () =>
    Effect.gen(function*() {
      const { channel, control, ids, running, send, upTo } = yield* begin()
      yield* send(1)
      yield* until("1 trade", () => ids().length === 1, 5_000)
      yield* Effect.promise(() => control("unsubscribe", { channel, code: "2500" }))
      yield* until("again", () => running.status().connections.get(0)?.subscriptions.active === 2, 5_000)
      yield* send(3)
      yield* until("4 trades", () => ids().length === 4, 5_000)
      assert.deepStrictEqual(ids(), upTo(4))
      assert.strictEqual(running.status().reconnects, 0)
    }).pipe(Effect.provide(layer)), { concurrent: true })

  it.scopedLive("sends it away for good: back only after the longest delay", () =>
    Effect.gen(function*() {
      const { clients, control, running } = yield* begin()
      yield* Effect.promise(() => control("disconnect", { code: "3503" }))
      const started = performance.now()
      yield* until("lost", () => running.status().reconnects === 1, 2_000)
      yield* until("back", () => running.status().connections.get(0)?.state === "open", 8_000)
      // 30 s by default, a tenth of it here, of which jitter takes at most a part.
      assert.isAbove(performance.now() - started, 1_400)
      assert.strictEqual(yield* Effect.promise(clients), 1)
    }).pipe(Effect.provide(layer)), { concurrent: true })
})
