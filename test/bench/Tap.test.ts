import * as fc from "fast-check"
import { expect, test } from "vitest"
import * as Tap from "../../bench/support/Tap.ts"

const framed = (body: Buffer): Buffer => {
  const head = Buffer.alloc(4)
  head.writeInt32BE(body.length)
  return Buffer.concat([head, body])
}

const i16 = (value: number) => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}
const i32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const i64 = (value: number) => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}
const text = (value: string) => Buffer.concat([i16(value.length), Buffer.from(value)])

const request = (kind: number, version: number, number: number, more = 50) =>
  framed(Buffer.concat([i16(kind), i16(version), i32(number), Buffer.alloc(more, 7)]))

interface Answered {
  readonly topic: string
  readonly partition: number
  readonly error: number
  readonly baseOffset: number
}

/** kafka.apache.org/protocol, "Produce Response". */
const answer = (version: number, number: number, partitions: ReadonlyArray<Answered>) =>
  framed(Buffer.concat([
    i32(number),
    i32(partitions.length),
    ...partitions.flatMap(({ baseOffset, error, partition, topic }) => [
      text(topic),
      i32(1),
      i32(partition),
      i16(error),
      i64(baseOffset),
      i64(-1),
      ...(version >= 5 ? [i64(0)] : []),
      ...(version >= 8 ? [i32(1), i32(0), text("why"), i16(-1)] : [])
    ]),
    i32(0)
  ]))

/** In pieces as a socket may give them. */
const pieces = (bytes: Buffer, sizes: ReadonlyArray<number>): ReadonlyArray<Buffer> => {
  const out: Array<Buffer> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    out.push(bytes.subarray(at, at + size))
    at += size
  }
  return out
}

test("what a producer was answered is told, however the bytes are cut, and answers to other requests are passed over", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 8 }), sizes, sizes, (version, inPieces, outPieces) => {
      const tap = Tap.make()
      const asked = Buffer.concat([request(3, 9, 1), request(0, version, 2, 4_000), request(0, version, 3, 0)])
      const answered = Buffer.concat([
        framed(Buffer.concat([i32(1), Buffer.alloc(300, 1)])),
        answer(version, 2, [
          { topic: "trades", partition: 5, error: 6, baseOffset: -1 },
          { topic: "trades", partition: 4, error: 0, baseOffset: 17 }
        ]),
        answer(version, 3, [{ topic: "status", partition: 0, error: 0, baseOffset: 2 ** 40 }])
      ])
      for (const piece of pieces(asked, inPieces)) tap.asked(piece)
      expect(pieces(answered, outPieces).flatMap((piece) => tap.answered(piece))).toEqual([
        { topic: "trades", partition: 4, baseOffset: 17 },
        { topic: "status", partition: 0, baseOffset: 2 ** 40 }
      ])
    })
  )
})

test("an answer whose layout is not known is an error, not a wrong figure", () => {
  for (const version of [0, 9, 13]) {
    const tap = Tap.make()
    tap.asked(request(0, version, 1))
    expect(() => tap.answered(answer(7, 1, []))).toThrow(`version ${version}`)
  }
})

test("a record was acknowledged with the batch that begins last before it", () => {
  const timeOf = Tap.timesOf([
    { partition: 1, baseOffset: 10, at: 300 },
    { partition: 0, baseOffset: 0, at: 100 },
    { partition: 0, baseOffset: 5, at: 200 }
  ])
  expect([0, 4, 5, 900].map((offset) => timeOf(0, offset))).toEqual([100, 100, 200, 200])
  expect([timeOf(1, 9), timeOf(1, 10), timeOf(2, 0)]).toEqual([undefined, 300, undefined])
})
