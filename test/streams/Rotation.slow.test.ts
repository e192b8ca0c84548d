/** Connections replaced before they are cut, and two collectors of the same exchange (docs/design/delivery.md I1-I5), on real sockets. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, type Scope } from "effect"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import { makeRandom } from "../../src/layers/testing/FakeMarkets.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import { layer, run, until } from "../hostile/Running.ts"

const fakes: Readonly<Record<"bitpin" | "wallex", Effect.Effect<FakeExchange, never, Scope.Scope>>> = {
  bitpin: FakeBitpin.make({ window: 3, history: 300 }),
  wallex: FakeWallex.make({ history: 300 })
}

for (const name of ["bitpin", "wallex"] as const) {
  describe(`${name}: rotation`, () => {
    it.scopedLive("under load: nothing missing, nothing twice, no hole", () =>
      Effect.gen(function*() {
        const fake = yield* fakes[name]
        const running = yield* run(exchanges[name], {
          endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
          rotateAfter: Duration.seconds(5)
        })
        yield* Effect.promise(() => fake.ready())
        yield* fake.floodFor(300, 16)
        yield* until("all of it", () => running.trades().length >= fake.issued.length, 5_000).pipe(Effect.either)
        const { doubtful, duplicates, foreign, missing, unsent } = Oracle.judge(fake.issued, running.trades())
        assert.deepStrictEqual({ duplicates, foreign, missing, doubtful, unsent }, {
          duplicates: [],
          foreign: [],
          missing: [],
          doubtful: [],
          unsent: []
        })
        assert.deepStrictEqual(running.trades().filter(({ source }) => source === "rest"), [])
        assert.isAtLeast(fake.server.accepted.length, 3)
        assert.isAtMost(fake.server.connections.size, 2)
        // Each successor was there before the other left.
        for (const [i, { openedAt }] of fake.server.accepted.entries()) {
          const before = fake.server.accepted[i - 1]
          if (before !== undefined) assert.isAbove(openedAt - before.openedAt, 3_000)
        }
      }).pipe(Effect.provide(layer)), { concurrent: true })
  })

  describe(`${name}: two collectors`, () => {
    it.scopedLive(
      "begun and cut at random: together they have every trade, by the same ids",
      () =>
        Effect.gen(function*() {
          const fake = yield* fakes[name]
          const seed = Date.now() % 100_000
          const random = makeRandom(seed)
          const { apiUrl, wsUrl } = fake
          const options = { endpoints: { apiUrl, wsUrl } }
          const stopFlood = fake.flood(200)
          const one = yield* run(exchanges[name], options)
          yield* Effect.promise(() => fake.ready())
          // The second begins in the middle of a second.
          yield* Effect.sleep(200 + random() * 900)
          const other = yield* run(exchanges[name], options)
          yield* until("both", () => fake.server.connections.size === 2, 5_000)
          yield* Effect.sleep("1100 millis")
          // From here on one of them listens at each moment: each whole second is covered by somebody.
          const from = fake.issued.length
          for (let n = 0; n < 4; n++) {
            const [first, second] = [...fake.server.connections]
            const victim = random() < 0.5 ? first : second
            fake.server.drop(random() < 0.5 ? 1006 : "reset", (connection) => connection === victim)
            yield* Effect.promise(() => fake.ready())
            yield* until("both again", () => fake.server.connections.size === 2, 5_000)
            yield* Effect.sleep(1_100 + random() * 500)
          }
          const to = fake.issued.length
          stopFlood()
          yield* until("holes closed", () => [one, other].every(({ status }) => status().gaps.open === 0), 15_000)
          yield* Effect.sleep("300 millis")
          const ids = new Set([...one.trades(), ...other.trades()].map(({ id }) => id))
          const union = [...new Map([...one.trades(), ...other.trades()].map((trade) => [trade.id, trade])).values()]
          const { foreign } = Oracle.judge(fake.issued, union)
          assert.deepStrictEqual(foreign, [], `seed ${seed}`)
          const counts = new Map<string, number>()
          for (const [n, { counted, id }] of fake.issued.entries()) {
            const nth = (counts.get(id) ?? 0) + 1
            counts.set(id, nth)
            if (n >= from && n < to) assert.isTrue(ids.has(counted ? `${id}:${nth}` : id), `${id} ${nth}, seed ${seed}`)
          }
          for (const { trades } of [one, other]) {
            const all = trades().map(({ id }) => id)
            assert.strictEqual(new Set(all).size, all.length)
          }
        }).pipe(Effect.provide(layer)),
      { concurrent: true }
    )
  })
}
