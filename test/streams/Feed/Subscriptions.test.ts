import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import type { Market } from "../../../src/streams/Exchange.ts"
import * as Subscriptions from "../../../src/streams/Feed/Subscriptions.ts"

const market = (topic: string): Market => ({ symbol: `${topic}/IRT`, exchangeSymbol: topic })
const wanted = (topics: ReadonlyArray<string>) => new Map(topics.map((topic) => [topic, market(topic)]))

describe("Subscriptions", () => {
  it("fills connections in the exchange's order", () => {
    const { join, leave } = Subscriptions.plan([], wanted(["A", "B", "C", "D", "E"]), 2, 0)
    assert.deepStrictEqual(leave, [])
    assert.deepStrictEqual(join.map(({ shard, topic }) => [shard, topic]), [
      [0, "A"],
      [0, "B"],
      [1, "C"],
      [1, "D"],
      [2, "E"]
    ])
  })

  it("does not give away a place that a topic that left still holds", () => {
    const shards = [{ id: 0, topics: wanted(["A"]), taken: 2 }]
    const { join } = Subscriptions.plan(shards, wanted(["A", "C"]), 2, 1)
    assert.deepStrictEqual(join.map(({ shard, topic }) => [shard, topic]), [[1, "C"]])
  })

  it("keeps every wanted topic on exactly one connection, moves none, and overfills none", () => {
    const topic = fc.constantFrom(..."ABCDEFGHIJKLMNOP")
    fc.assert(
      fc.property(
        fc.array(fc.uniqueArray(topic), { maxLength: 8 }),
        fc.integer({ min: 1, max: 5 }),
        (lists, capacity) => {
          const shards = new Map<number, Map<string, Market>>()
          let nextId = 0
          for (const list of lists) {
            const before = new Map(
              Array.from(shards).flatMap(([id, topics]) => Array.from(topics.keys(), (t) => [t, id] as const))
            )
            const { join, leave } = Subscriptions.plan(
              Array.from(shards, ([id, topics]) => ({ id, topics, taken: topics.size })),
              wanted(list),
              capacity,
              nextId
            )
            for (const { shard, topic } of leave) shards.get(shard)?.delete(topic)
            for (const { market, shard, topic } of join) {
              const topics = shards.get(shard) ?? new Map<string, Market>()
              topics.set(topic, market)
              shards.set(shard, topics)
              nextId = Math.max(nextId, shard + 1)
            }
            const now = Array.from(shards).flatMap(([id, topics]) => Array.from(topics.keys(), (t) => [t, id] as const))
            assert.deepStrictEqual(now.map(([t]) => t).sort(), [...list].sort())
            for (const [t, id] of now) if (before.has(t)) assert.strictEqual(id, before.get(t))
            for (const topics of shards.values()) assert.isAtMost(topics.size, capacity)
            for (const [id, topics] of shards) if (topics.size === 0) shards.delete(id)
          }
        }
      ),
      { numRuns: 2_000 }
    )
  })
})
