/** The judge is kafkajs's own encoder, which it uses for messages that are not ours. */
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import type { Message } from "kafkajs"
import Produce from "kafkajs/src/protocol/requests/produce/index.js"
import { promisify } from "node:util"
import { gzip, gzipSync } from "node:zlib"
import type { EventRecord } from "../../../../src/services/MarketEvent.ts"
import { encodeBy } from "../../../../src/services/producers/Kafkajs/patches.ts"
import { encode, RecordsMessage, worthCompressing } from "../../../../src/services/producers/Kafkajs/ProduceRequest.ts"

/** As kafkajs's codec does it: so that the packed bytes are the same too. */
const asKafkajs = (data: Uint8Array) => promisify<Uint8Array, Buffer>(gzip)(data)

encodeBy(asKafkajs)

const text = fc.oneof(fc.string(), fc.fullUnicodeString(), fc.string16bits())

const record: fc.Arbitrary<EventRecord> = fc.record({
  key: text,
  value: fc.oneof(text, fc.string({ minLength: 4_000, maxLength: 20_000 }), fc.uint8Array({ maxLength: 9_000 })),
  headers: fc.dictionary(text, text, { maxKeys: 5 }),
  timestamp: fc.integer({ min: 1_000_000_000_000, max: 9_999_999_999_999 })
})

interface Batch {
  readonly partition: number
  readonly records: ReadonlyArray<EventRecord>
}

const batch: fc.Arbitrary<Batch> = fc.record({
  partition: fc.nat(),
  records: fc.array(record, { minLength: 1, maxLength: 70 })
})

/** All that kafkajs itself looks at. */
const foreign = ({ headers, key, timestamp, value }: EventRecord): Message => ({
  key,
  value: typeof value === "string" ? value : Buffer.from(value),
  headers,
  timestamp: String(timestamp)
})

/** In messages of some records each, as they come when partitions are known, or not. */
const ours = (records: ReadonlyArray<EventRecord>): ReadonlyArray<Message> => {
  const [first, ...others] = records
  if (first === undefined) return []
  const half = others.splice(others.length / 2)
  return [new RecordsMessage([first, ...others], 12), ...half.map((one) => new RecordsMessage([one]))]
}

const theirs = (records: ReadonlyArray<EventRecord>): ReadonlyArray<Message> => records.map(foreign)

const bytesOf = async (
  version: number,
  compression: number,
  topics: ReadonlyArray<{ readonly topic: string; readonly batches: ReadonlyArray<Batch> }>,
  messagesOf: (records: ReadonlyArray<EventRecord>) => ReadonlyArray<Message>
) => {
  const { request } = Produce.protocol({ version })({
    acks: -1,
    timeout: 4_000,
    compression,
    topicData: topics.map(({ batches, topic }) => ({
      topic,
      partitions: batches.map(({ partition, records }) => ({
        partition,
        firstSequence: 0,
        messages: messagesOf(records)
      }))
    }))
  })
  const encoder: { readonly buffer?: Buffer } = Object(await request.encode())
  return encoder.buffer
}

/** A request, taken apart: what is around the batches, and the batches. */
const partsOf = (
  request: Buffer
): { readonly frame: ReadonlyArray<Buffer>; readonly batches: ReadonlyArray<Buffer> } => {
  const frame: Array<Buffer> = []
  const batches: Array<Buffer> = []
  let at = 0
  const take = (bytes: number): Buffer => request.subarray(at, at += bytes)
  const keep = (bytes: number): Buffer => {
    const part = take(bytes)
    frame.push(part)
    return part
  }
  keep(2 + 2 + 4)
  for (let topics = keep(4).readInt32BE(); topics > 0; topics--) {
    keep(keep(2).readInt16BE())
    for (let partitions = keep(4).readInt32BE(); partitions > 0; partitions--) {
      keep(4)
      batches.push(take(take(4).readInt32BE()))
    }
  }
  assert.strictEqual(at, request.length)
  return { frame, batches }
}

/** Of a batch: what stands before its records. */
const headBytes = 61

describe("a produce request", () => {
  it("is byte for byte what kafkajs makes of the same records, but that of small ones none is packed", () => {
    const seen = { packed: 0, small: 0 }
    return fc.assert(
      fc.asyncProperty(
        fc.constantFrom(3, 5, 7),
        fc.constantFrom(0, 1),
        fc.array(fc.record({ topic: text, batches: fc.array(batch, { maxLength: 4 }) }), { maxLength: 2 }),
        async (version, compression, topics) => {
          const made = await bytesOf(version, compression, topics, ours) ?? Buffer.alloc(0)
          const plain = await bytesOf(version, 0, topics, theirs) ?? Buffer.alloc(0)
          if (compression === 0) return assert.isTrue(plain.equals(made))
          const packed = partsOf(await bytesOf(version, compression, topics, theirs) ?? Buffer.alloc(0)).batches
          const expected = partsOf(plain).batches.map((one, n) => {
            const isSmall = one.length - headBytes < worthCompressing
            seen[isSmall ? "small" : "packed"] += 1
            return isSmall ? one : packed[n] ?? one
          })
          const { batches, frame } = partsOf(made)
          assert.deepStrictEqual(frame, partsOf(plain).frame)
          assert.deepStrictEqual(batches, expected)
        }
      )
    ).then(() => {
      for (const count of Object.values(seen)) assert.isAbove(count, 0)
    })
  }, 120_000)

  it("leaves alone what others send, and brokers that know no headers: kafkajs's own encoder has each record of ours", async () => {
    const record = (value: string): EventRecord => ({ key: "k", value, headers: {}, timestamp: 1_700_000_000_000 })
    const two = new RecordsMessage([record("v"), record("w")], 12)
    const made = (version: number, messages: ReadonlyArray<Message>) =>
      Produce.protocol({ version })({
        acks: -1,
        timeout: 1,
        topicData: [{ topic: "t", partitions: [{ partition: 0, firstSequence: 0, messages }] }]
      }).request.encode()
    const isKafkajs = (encoder: unknown) => Object(encoder).constructor.name === "Encoder"
    assert.isFalse(isKafkajs(await made(7, [two])))
    // Of a message without a time kafkajs makes one of now, another one with each call.
    const other = { key: "k", value: null, timestamp: "1700000000000" }
    for (const [version, messages] of [[7, [two, other]], [2, [two]]] as const) {
      const encoder = await made(version, messages)
      assert.isTrue(isKafkajs(encoder))
      const apart = messages.flatMap((one) => one === two ? two.records.map(foreign) : [other])
      const expected = await made(version, apart)
      assert.isTrue(Object(encoder).buffer.equals(Object(expected).buffer))
    }
  })

  const gzipped = (value: string, compressSmall = false) => ({
    acks: -1,
    timeout: 1,
    compression: 1,
    topicData: [{
      topic: "t",
      partitions: [{
        partition: 0,
        messages: [new RecordsMessage([{ key: "k", value, headers: {}, timestamp: 0 }], undefined, compressSmall)]
      }]
    }]
  })

  it("packs a small one too where the broker has refused one for its size", async () => {
    let packed = 0
    const count = (data: Uint8Array) => {
      packed += 1
      return Promise.resolve(gzipSync(data, { level: 1 }))
    }
    await encode(gzipped("v"), count)
    assert.strictEqual(packed, 0)
    await encode(gzipped("v", true), count)
    assert.strictEqual(packed, 1)
  })

  it("fails with what compressing fails with", async () => {
    const request = gzipped("v".repeat(worthCompressing))
    const broken = new Error("out of memory")
    const failure = await encode(request, () => Promise.reject(broken)).catch((error: unknown) => error)
    assert.strictEqual(failure, broken)
    const packed = await encode(request, (data) => Promise.resolve(gzipSync(data, { level: 1 })))
    assert.include(packed.toString("latin1"), "\u001f\u008b\u0008")
  })
})
