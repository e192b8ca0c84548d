/** Which records go to Kafka together. kafkajs is played by calls of the partitioner, as it makes them: one for each message. */
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import type { EventRecord } from "../../../../src/services/MarketEvent.ts"
import { partitionOf } from "../../../../src/services/Murmur2.ts"
import * as Partitions from "../../../../src/services/producers/Kafkajs/Partitions.ts"

const records = (keys: ReadonlyArray<string>): ReadonlyArray<EventRecord> =>
  keys.map((key, i) => ({ key, value: String(i), headers: {}, timestamp: i }))

const metadata = (count: number) =>
  Array.from(
    { length: count },
    (_, partitionId) => ({ partitionErrorCode: 0, partitionId, leader: 0, replicas: [], isr: [] })
  )

/** Partitions by the message they were asked for. */
const sent = (partitions: Partitions.Partitions, count: number, of: ReadonlyArray<EventRecord>, apart = false) => {
  const ask = partitions.partitioner()
  return partitions.messages(of, false, apart).map((message) => ({
    partition: ask({ topic: "t", partitionMetadata: metadata(count), message }),
    records: message.records
  }))
}

const keys = fc.array(fc.oneof(fc.constantFrom("a:A/B", "a:C/B", "b:A/B"), fc.string()), {
  minLength: 1,
  maxLength: 60
})

describe("records of one partition", () => {
  it("are one message, each in the partition of its key and in its order; one record each where partitions are not known", () =>
    fc.assert(fc.property(keys, keys, fc.integer({ min: 1, max: 20 }), (first, second, count) => {
      const partitions = Partitions.make()
      const unknown = sent(partitions, count, records(first))
      assert.deepStrictEqual(unknown.flatMap((one) => one.records), records(first))
      for (const one of unknown) assert.lengthOf(one.records, 1)
      const known = sent(partitions, count, records(second))
      assert.strictEqual(new Set(known.map(({ partition }) => partition)).size, known.length)
      for (const { partition, records: together } of known) {
        assert.deepStrictEqual<ReadonlyArray<EventRecord>>(
          together,
          records(second).filter(({ key }) => partitionOf(key, count) === partition)
        )
      }
    })))

  it("are not taken as one any more when the topic has another number of partitions: nothing is sent, then each by itself", () =>
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), (some, before, now) => {
        fc.pre(before !== now)
        const partitions = Partitions.make()
        sent(partitions, before, records(["any"]))
        assert.throws(() => sent(partitions, now, records(some)), Partitions.PartitionsChanged)
        const apart = sent(partitions, now, records(some), true)
        assert.deepStrictEqual(apart.flatMap((one) => one.records), records(some))
        for (const one of apart) assert.strictEqual(one.partition, partitionOf(one.records[0].key, now))
      })
    ))
})
