import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Subscriptions from "../../../src/streams/Feed/Subscriptions.ts"

/** Topics in capitals and others are of two kinds. */
const kindOf = (topic: string): string => topic < "a" ? "upper" : "lower"
const subject = (topic: string): Subscriptions.Wanted => ({
  channel: "trades",
  market: { symbol: `${topic}/IRT`, exchangeSymbol: topic },
  kind: kindOf(topic)
})
const wanted = (topics: ReadonlyArray<string>) => new Map(topics.map((topic) => [topic, subject(topic)]))

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

  it("keeps the topics of a market's channel together, on whatever connection: both sides of a book are heard by one session", () => {
    const sides = (symbol: string) =>
      ["buy", "sell"].map((side) =>
        [
          `${symbol}@${side}`,
          { channel: "books" as const, market: { symbol: `${symbol}/IRT`, exchangeSymbol: symbol }, kind: "" }
        ] as const
      )
    const both = new Map(["A", "B", "C"].flatMap(sides))
    for (const [capacity, shards] of [[1, [0, 1, 2]], [2, [0, 1, 2]], [3, [0, 1, 2]], [4, [0, 0, 1]]] as const) {
      const { join } = Subscriptions.plan([], both, capacity, 0)
      assert.deepStrictEqual(join.map(({ shard }) => shard), shards.flatMap((shard) => [shard, shard]))
    }
  })

  it("puts fewer on a connection of a kind that takes fewer, and never more than on any", () => {
    const all = new Map([..."ABCDE"].map((topic) => [topic, { ...subject(topic), kind: "", capacity: 2 }] as const))
    const shardsOf = (capacity: number) => Subscriptions.plan([], all, capacity, 0).join.map(({ shard }) => shard)
    assert.deepStrictEqual(shardsOf(100), [0, 0, 1, 1, 2])
    assert.deepStrictEqual(shardsOf(1), [0, 1, 2, 3, 4])
  })

  it("does not give away a place that a topic that left still holds", () => {
    const shards = [{ id: 0, kind: "upper", topics: wanted(["A"]), taken: 2 }]
    const { join } = Subscriptions.plan(shards, wanted(["A", "C"]), 2, 1)
    assert.deepStrictEqual(join.map(({ shard, topic }) => [shard, topic]), [[1, "C"]])
  })

  it("keeps every wanted topic on exactly one connection of its kind, moves none, and overfills none", () => {
    const topic = fc.constantFrom(..."ABCDEFGHIJKlmnop")
    fc.assert(
      fc.property(
        fc.array(fc.uniqueArray(topic), { maxLength: 8 }),
        fc.integer({ min: 1, max: 5 }),
        (lists, capacity) => {
          const shards = new Map<
            number,
            { readonly kind: string; readonly topics: Map<string, Subscriptions.Wanted> }
          >()
          let nextId = 0
          for (const list of lists) {
            const before = new Map(
              Array.from(shards).flatMap(([id, { topics }]) => Array.from(topics.keys(), (t) => [t, id] as const))
            )
            const { join, leave } = Subscriptions.plan(
              Array.from(shards, ([id, shard]) => ({ id, ...shard, taken: shard.topics.size })),
              wanted(list),
              capacity,
              nextId
            )
            for (const { shard, topic } of leave) shards.get(shard)?.topics.delete(topic)
            for (const { shard, topic, wanted } of join) {
              const one = shards.get(shard) ?? { kind: wanted.kind, topics: new Map() }
              one.topics.set(topic, wanted)
              shards.set(shard, one)
              nextId = Math.max(nextId, shard + 1)
            }
            const now = Array.from(shards).flatMap(([id, { topics }]) =>
              Array.from(topics.keys(), (t) => [t, id] as const)
            )
            assert.deepStrictEqual(now.map(([t]) => t).sort(), [...list].sort())
            for (const [t, id] of now) if (before.has(t)) assert.strictEqual(id, before.get(t))
            for (const { kind, topics } of shards.values()) {
              assert.isAtMost(topics.size, capacity)
              for (const topic of topics.keys()) assert.strictEqual(kindOf(topic), kind)
            }
            for (const [id, { topics }] of shards) if (topics.size === 0) shards.delete(id)
          }
        }
      ),
      { numRuns: 2_000 }
    )
  })
})
