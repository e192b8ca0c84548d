import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { type EventRecord, sizeOf } from "../../../../src/services/MarketEvent.ts"
import * as Rounds from "../../../../src/services/producers/Kafkajs/Rounds.ts"

const partitionOf = (key: string): number | undefined => key === "?" ? undefined : key.charCodeAt(0) % 3

describe("rounds", () => {
  it("have each record once, each partition's in order, and of no partition more than fits, but one record at least", () => {
    const records = fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d", "?"), fc.integer({ min: 0, max: 400 })), {
      maxLength: 60
    })
    fc.assert(fc.property(records, fc.integer({ min: 100, max: 2_000 }), (all, fit) => {
      const given = all.map(([key, size], i): EventRecord => ({
        key,
        value: "v".repeat(size),
        headers: {},
        timestamp: i
      }))
      const rounds = Rounds.of(given, fit, partitionOf)
      const partitions = new Set(given.map(({ key }) => partitionOf(key)))
      for (const partition of partitions) {
        const mine = (some: ReadonlyArray<EventRecord>) => some.filter(({ key }) => partitionOf(key) === partition)
        assert.deepStrictEqual(mine(rounds.flat()), mine(given))
        for (const round of rounds) {
          const sizes = mine(round).map(sizeOf)
          assert.isTrue(sizes.length <= 1 || sizes.reduce((sum, size) => sum + size, 0) <= fit)
        }
      }
      assert.strictEqual(rounds.flat().length, given.length)
      assert.isTrue(rounds.every((round) => round.length > 0))
      assert.deepStrictEqual(Rounds.of(given, Infinity, partitionOf), [given])
    }))
  })
})
