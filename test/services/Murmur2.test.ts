import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { Partitioners } from "kafkajs"
import * as Murmur2 from "../../src/services/Murmur2.ts"

const kafkajs = (key: string, count: number): number =>
  Partitioners.DefaultPartitioner()({
    topic: "",
    partitionMetadata: Array.from({ length: count }, (_, partitionId) => ({
      partitionId,
      partitionErrorCode: 0,
      leader: 0,
      replicas: [],
      isr: []
    })),
    message: { key, value: null }
  })

describe("Murmur2", () => {
  it("has Java's hashes (keys and hashes of Apache Kafka's own UtilsTest)", () => {
    const hashes: ReadonlyArray<readonly [string, number]> = [
      ["21", -973932308],
      ["foobar", -790332482],
      ["a-little-bit-long-string", -985981536],
      ["a-little-bit-longer-string", -1486304829],
      ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971]
    ]
    for (const [key, hash] of hashes) assert.strictEqual(Murmur2.hash(key), hash)
  })

  it("gives any key the partition that kafkajs's own default gives it", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.oneof(FastCheck.fullUnicodeString({ maxLength: 20 }), FastCheck.string({ maxLength: 20 })),
        FastCheck.integer({ min: 1, max: 40 }),
        (key, count) => assert.strictEqual(Murmur2.partitionOf(key, count), kafkajs(key, count))
      ),
      { numRuns: 1000 }
    )
  })
})
