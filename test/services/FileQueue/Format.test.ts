/** The bytes: what goes in comes out, what was changed does not pass, and the oldest files stay readable (T21). */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Option } from "effect"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import * as zlib from "node:zlib"
import * as Format from "../../../src/services/FileQueue/Format.ts"
import * as Walk from "../../../src/services/FileQueue/Walk.ts"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { directory, drain, numberOf, open, quiet, recordsOf } from "./Harness.ts"

// One for all: what an earlier batch left behind must not show.
const encoder = Format.makeEncoder()
const decoder = Format.makeDecoder()

const crc32 = (data: Uint8Array, seed: number) => zlib.crc32(data, seed)

const anyText = fc.oneof(fc.string(), fc.fullUnicodeString(), fc.string({ minLength: 120, maxLength: 140 }))

const anyRecord: fc.Arbitrary<EventRecord> = fc.record({
  key: anyText,
  value: fc.oneof(anyText, fc.uint8Array(), fc.string({ minLength: 16_380, maxLength: 16_390 })),
  headers: fc.dictionary(anyText, anyText, { maxKeys: 4 }),
  timestamp: fc.maxSafeInteger()
})

const bytesOf = (value: string | Uint8Array): Uint8Array =>
  typeof value === "string" ? new TextEncoder().encode(value) : value

/** All steps of a walk over a whole segment in memory. */
const walkOver = (bytes: Uint8Array, base: number): ReadonlyArray<Walk.Step> => {
  const disk = new MemoryDisk()
  disk.put("/x", bytes)
  const file = Effect.runSync(disk.ops.open("/x", "read"))
  const walk = Walk.make({
    file,
    offset: Format.headerBytes,
    limit: bytes.length,
    seed: Format.segmentSeed(base, crc32),
    crc32
  })
  const out: Array<Walk.Step> = []
  for (let step = walk.next(); step._tag !== "End"; step = walk.next()) {
    if (step._tag === "Fill") Effect.runSync(walk.fill(step.bytes))
    else out.push(step)
  }
  return out
}

const segmentOf = (records: ReadonlyArray<EventRecord>, base: number): Uint8Array => {
  const batch = Option.getOrThrow(Option.fromNullable(encoder.encode(records, 1)))
  Format.stamp(batch, base, Format.segmentSeed(base, crc32), crc32)
  const header = Format.encodeHeader({ base, createdMs: 1, queueId: new Uint8Array(16) }, crc32)
  const bytes = new Uint8Array(header.length + batch.length)
  bytes.set(header)
  bytes.set(batch, header.length)
  return bytes
}

const seqs = (steps: ReadonlyArray<Walk.Step>) => steps.flatMap((step) => step._tag === "Frame" ? step.frame.seq : [])

describe("bytes of a segment", () => {
  it("any record comes out as it went in, each 8-aligned, its padding zero", () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 5 }), fc.nat(2 ** 31), (records, base) => {
        const batch = Option.getOrThrow(Option.fromNullable(encoder.encode(records, 1_780_000_000_000)))
        const seed = Format.segmentSeed(base, crc32)
        Format.stamp(batch, base, seed, crc32)
        const view = Format.viewOf(batch)
        let offset = 0
        records.forEach((record, i) => {
          assert.strictEqual(offset % 8, 0)
          const frame = Format.frameAt(batch, view, offset, seed, crc32)
          if (frame === undefined || typeof frame === "number") return assert.fail("no record")
          assert.strictEqual(frame.seq, base + i)
          assert.strictEqual(frame.enqueued, 1_780_000_000_000)
          const found = decoder.decode(batch, view, frame)
          if (found === undefined) return assert.fail("no body")
          assert.strictEqual(found.seq, base + i)
          assert.strictEqual(found.key, record.key)
          assert.isTrue(Buffer.from(bytesOf(record.value)).equals(Buffer.from(bytesOf(found.value))))
          assert.strictEqual(found.timestamp, record.timestamp)
          assert.deepStrictEqual(found.headers, record.headers)
          for (let at = frame.end; at < frame.next; at++) assert.strictEqual(batch[at], 0)
          offset = frame.next
        })
        assert.strictEqual(offset, batch.length)
      }),
      { numRuns: 500 }
    )
  })

  it("texts that look alike: each record's headers are its own", () => {
    // In turn at the same place: the bytes of the second are the codes of the first; a mark that decoders like to eat; no prototype.
    const texts = ["\u00c3\u00a9", "\u00e9", "id", "ie", "\ufeffid", "__proto__", ""]
    const records = texts.flatMap((name) =>
      texts.map((text): EventRecord => ({
        key: text,
        value: "",
        headers: Object.fromEntries([[name, text], ["id", name]]),
        timestamp: 1
      }))
    )
    const bytes = segmentOf(records, 1)
    const view = Format.viewOf(bytes)
    const decoder = Format.makeDecoder()
    const found = walkOver(bytes, 1).map((step) =>
      step._tag === "Frame"
        ? decoder.decode(bytes, view, {
          seq: step.frame.seq,
          start: step.frame.start + Format.headerBytes,
          end: step.frame.end + Format.headerBytes
        })
        : step
    )
    assert.deepStrictEqual(
      found,
      records.map((record, i) => ({ ...record, value: new Uint8Array(0), seq: i + 1 }))
    )
  })

  it("every single bit of a segment flipped: at most the one record is missing", () => {
    const bytes = segmentOf(recordsOf(0, 40, 10), 77)
    const clean = walkOver(bytes, 77).flatMap((step) => step._tag === "Frame" ? step.frame : [])
    assert.lengthOf(clean, 40)
    const all = clean.map(({ seq }) => seq)
    for (let bit = 64 * 8; bit < bytes.length * 8; bit++) {
      const at = bit >> 3
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7))
      const hit = clean.find(({ end, start }) => at - 64 >= start - 32 && at - 64 < end)
      const found = seqs(walkOver(bytes, 77))
      if (found.join() !== all.filter((seq) => seq !== hit?.seq).join()) assert.fail(`bit ${bit}`)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7))
    }
  }, 120_000)

  it("bytes overwritten at random: what passes is as it was written", () => {
    const bytes = segmentOf(recordsOf(0, 40, 10), 77)
    const clean = new Map(
      walkOver(bytes, 77).flatMap((step) => step._tag === "Frame" ? [[step.frame.seq, step.frame]] : [])
    )
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.uint8Array({ minLength: 1, maxLength: 64 })), {
          minLength: 1,
          maxLength: 8
        }),
        (writes) => {
          const damaged = bytes.slice()
          for (const [at, some] of writes) damaged.set(some.subarray(0, damaged.length - at), at)
          for (const step of walkOver(damaged, 77)) {
            if (step._tag !== "Frame") continue
            const { end, seq, start } = step.frame
            const want = clean.get(seq)
            if (want === undefined) return assert.fail(`${seq} was never written`)
            assert.strictEqual(end - start, want.end - want.start)
          }
        }
      ),
      { numRuns: Number(process.env["FUZZ_RUNS"] ?? 5000) }
    )
  }, 600_000)

  it("a record larger than the limit is refused, not cut", () => {
    const [record] = recordsOf(0, 1, Format.maxBodyBytes)
    assert.isUndefined(record === undefined ? record : encoder.encode([record], 0))
  })
})

describe("T21: files of version 1", () => {
  const golden = path.resolve(import.meta.dirname, "../../recordings/queue/v1")
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(path.join(golden, name)))
  const names = ["00000000000000000001.seg", "00000000000000000007.seg"]

  const disk = () => {
    const disk = new MemoryDisk()
    for (const name of names) disk.put(`${directory}/${name}`, read(name))
    disk.put(`${directory}/cursor`, read("cursor"))
    return disk
  }

  it.effect("are read", () =>
    Effect.scoped(Effect.gen(function*() {
      const queue = yield* open(disk(), [])
      assert.deepInclude(queue.recovery, { records: 7, lost: 0, tornTail: false, cursorReset: false })
      assert.deepStrictEqual((yield* drain(queue)).map(numberOf), [2, 3, 4, 5, 6, 7, 8])
      assert.strictEqual((yield* queue.append(recordsOf(9, 10))).firstSeq, 10)
    })))

  it("are written, byte for byte", () => {
    const batch = encoder.encode(recordsOf(0, 6, 20), 0)
    if (batch === undefined) return assert.fail("too large")
    Format.stamp(batch, 1, Format.segmentSeed(1, crc32), crc32)
    assert.isTrue(Buffer.from(batch).equals(Buffer.from(read(names[0] ?? "").subarray(64))))
  })

  it.effect("a later version is refused, by segment and by cursor, and nothing is touched", () =>
    Effect.gen(function*() {
      for (const name of [...names, "cursor"]) {
        const files = disk()
        files.put(`${directory}/cursor.tmp`, new Uint8Array([1]))
        const bytes = read(name)
        const later = bytes.slice()
        later[8] = 2
        const crc = crc32(later.subarray(64, 64), crc32(later.subarray(0, 60), 0))
        new DataView(later.buffer).setUint32(60, crc, true)
        files.put(`${directory}/${name}`, later)
        const before = new Map(files.paths().map((one) => [one, files.get(one).slice()]))
        const error = yield* Effect.flip(Effect.scoped(open(files, [])))
        assert.strictEqual(error.reason, "unsupported")
        assert.deepStrictEqual(files.paths(), Array.from(before.keys()))
        for (const [one, content] of before) assert.isTrue(Buffer.from(content).equals(Buffer.from(files.get(one))))
      }
    }).pipe(quiet))
})
