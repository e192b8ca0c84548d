/** Whose history is asked while the exchange's budget is short. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, TestClock } from "effect"
import type { Exchange } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import * as FakeApi from "../support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets } from "../support/FakeSockets.ts"
import { bitpinPush } from "../support/frames.ts"
import { run, settle } from "../support/Harness.ts"

/** More markets than it answers questions in the seconds that trades wait. */
const short: Exchange = { ...bitpin, limits: { ...bitpin.limits, restPerMinute: 12 } }

const names = Array.from({ length: 20 }, (_, i) => `M${i}_IRT`)

/** They trade each second, and their history is half a minute behind. */
const busy = names.slice(1, 5)

describe("the budget of histories", () => {
  it.scoped("no market is asked for again while another was not asked for at all", () => {
    const asked: Array<string> = []
    const api = FakeApi.layer(({ path }) =>
      Effect.gen(function*() {
        if (!path.includes("/matches/")) return { body: FakeApi.bitpinList(...names) }
        const name = /M\d+_IRT/.exec(path)?.[0] ?? ""
        // The first market's is also what the API is checked with.
        if (name !== names[0]) asked.push(name)
        // They trade meanwhile.
        yield* Effect.sleep("700 millis")
        const row = {
          price: "100",
          base_amount: "2.50",
          quote_amount: "250",
          side: "buy",
          id: `${name}1`,
          time: 1_000_000_001
        }
        return { body: JSON.stringify([row]) }
      })
    )
    return Effect.gen(function*() {
      yield* run(short)
      const { accept, dials } = yield* FakeSockets
      yield* accept
      yield* settle
      const trade = (n: number, markets: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          yield* TestClock.adjust("500 millis")
          yield* settle
          const live = dials.find(({ ended }) => !ended)
          for (const name of markets) live?.push(bitpinPush(name, [{ id: `${name}${n}`, time: 1_000_000_000 + n }]))
          yield* settle
        })
      yield* TestClock.adjust("10 seconds")
      yield* trade(1, names)
      for (let n = 2; n < 6; n++) yield* trade(n, busy)
      asked.length = 0
      for (const dial of dials) dial.drop(1006)
      yield* settle
      for (let n = 6; n < 300; n++) yield* trade(n, busy)
      const again = asked.findIndex((name, i) => asked.indexOf(name) < i)
      // Else there was nobody to be put last.
      assert.isAtLeast(again, 0)
      assert.strictEqual(new Set(asked.slice(0, again)).size, names.length - 1, asked.join(" "))
    }).pipe(Effect.provide(Layer.mergeAll(sockets(centrifugo()), api)))
  })
})
