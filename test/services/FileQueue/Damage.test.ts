/** docs/design/queue.md "What the tests must show": T1 to T7. What damage of any kind to the files may cost, and what not. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import type { Loss } from "../../../src/services/FileQueue.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import {
  breathe,
  countOf,
  cursorFile,
  directory,
  drain,
  lostOf,
  numberOf,
  open,
  quiet,
  record,
  recordsOf
} from "./Harness.ts"

/** The segments that a life leaves behind that appends these and acknowledges nothing. */
const written = (batches: ReadonlyArray<number>, size = 10, segmentBytes?: number) =>
  Effect.gen(function*() {
    const disk = new MemoryDisk()
    yield* Effect.scoped(Effect.gen(function*() {
      const queue = yield* open(disk, [], { segmentBytes })
      let next = 0
      for (const count of batches) {
        yield* queue.append(recordsOf(next, next + count, size))
        next += count
      }
    }))
    return new Map(disk.paths().filter((path) => path.endsWith(".seg")).map((path) => [path, disk.get(path)]))
  })

const diskOf = (files: ReadonlyMap<string, Uint8Array>): MemoryDisk => {
  const disk = new MemoryDisk()
  for (const [path, bytes] of files) disk.put(path, bytes)
  return disk
}

const onlyPath = (files: ReadonlyMap<string, Uint8Array>): string => Array.from(files.keys())[0] ?? ""

const found = (disk: MemoryDisk, losses: Array<Loss> = []) =>
  Effect.scoped(Effect.gen(function*() {
    const queue = yield* open(disk, losses)
    const records = yield* drain(queue)
    const after = yield* queue.append([record(9999)])
    return { numbers: records.map(numberOf), seqs: records.map(({ seq }) => seq), after, recovery: queue.recovery }
  })).pipe(quiet, Effect.tap(breathe))

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i)

/** Where records begin and end, by their lengths. */
const frames = (bytes: Uint8Array): ReadonlyArray<readonly [from: number, to: number]> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const out: Array<readonly [number, number]> = []
  for (let at = 64; at < bytes.length;) {
    const length = 32 + view.getUint32(at + 4, true)
    out.push([at, at + length])
    at += (length + 7) & ~7
  }
  return out
}

describe("damage", () => {
  it.effect("T1: cut at every byte, exactly the whole records before the cut are there", () =>
    Effect.gen(function*() {
      const files = yield* written([12])
      const path = onlyPath(files)
      const bytes = files.get(path) ?? new Uint8Array(0)
      const ends = frames(bytes).map(([, to]) => (to + 7) & ~7)
      assert.lengthOf(ends, 12)
      for (let length = 0; length <= bytes.length; length++) {
        const disk = new MemoryDisk()
        disk.put(path, bytes.slice(0, length))
        const losses: Array<Loss> = []
        const whole = ends.filter((end) => end <= length).length
        const first = yield* found(disk, losses)
        assert.deepStrictEqual(first.numbers, upTo(whole))
        assert.strictEqual(first.after.firstSeq, whole + 1)
        assert.strictEqual(first.recovery.lost, 0)
        assert.lengthOf(losses, 0)
        // The next opening finds the same and the record appended, and nothing more to cut.
        const second = yield* found(disk)
        assert.deepStrictEqual(second.numbers, [...upTo(whole), 9999])
        assert.isFalse(second.recovery.tornTail)
      }
    }))

  it.effect("T1: a torn tail is cut once, kept aside, and not found again", () =>
    Effect.gen(function*() {
      const files = yield* written([5])
      const path = onlyPath(files)
      const bytes = files.get(path) ?? new Uint8Array(0)
      const disk = diskOf(new Map([[path, bytes.slice(0, -20)]]))
      const recovery = Effect.scoped(Effect.map(open(disk, []), (queue) => queue.recovery)).pipe(quiet)
      const last = frames(bytes)[4]?.[0] ?? 0
      assert.deepInclude(yield* recovery, { records: 4, tornTail: true, quarantinedBytes: bytes.length - 20 - last })
      assert.strictEqual(disk.get(path).length, last)
      assert.deepInclude(yield* recovery, { records: 4, tornTail: false, quarantinedBytes: 0 })
    }))

  it.effect("T2: a flipped bit costs the record it hits, no other, and it is told", () =>
    Effect.gen(function*() {
      // Behind it another segment: what is missing at the end is seen as well.
      const files = yield* written([3, 1], 10, 1)
      const path = onlyPath(files)
      const bytes = files.get(path) ?? new Uint8Array(0)
      const spans = frames(bytes)
      assert.lengthOf(spans, 3)
      // Every bit of every byte: Codec.test.ts, without opening a queue each time.
      for (let bit = 0; bit < bytes.length * 8; bit += 3) {
        const damaged = bytes.slice()
        const at = bit >> 3
        damaged[at] = (damaged[at] ?? 0) ^ (1 << (bit & 7))
        const disk = diskOf(new Map([...files, [path, damaged]]))
        const losses: Array<Loss> = []
        const { numbers } = yield* found(disk, losses)
        const hit = spans.findIndex(([from, to]) => at >= from && at < to)
        assert.deepStrictEqual(numbers, upTo(4).filter((n) => n !== hit), `bit ${bit}`)
        assert.deepStrictEqual(lostOf(losses), hit === -1 ? [] : [hit + 1])
        for (const loss of losses) assert.deepInclude(loss, { reason: "corrupt", recovered: 1 })
      }
    }), 120_000)

  it.effect(
    "T3: sectors zeroed, filled with garbage or swapped: every record that is whole comes, in order, the rest is counted",
    () =>
      Effect.gen(function*() {
        const files = yield* written([30, 30, 30, 1], 60, 1)
        const paths = Array.from(files.keys())
        assert.lengthOf(paths, 4)
        const wreck = fc.record({
          file: fc.integer({ min: 0, max: 2 }),
          kind: fc.constantFrom("zero", "garbage", "swap"),
          sector: fc.nat(9),
          other: fc.nat(9),
          garbage: fc.uint8Array({ minLength: 512, maxLength: 512 })
        })
        const runs = fc.sample(fc.array(wreck, { minLength: 1, maxLength: 3 }), { numRuns: 400, seed: 7 })
        for (const wrecks of runs) {
          const damaged = new Map(Array.from(files, ([path, bytes]) => [path, bytes.slice()]))
          for (const { file, garbage, kind, other, sector } of wrecks) {
            const bytes = damaged.get(paths[file] ?? "") ?? new Uint8Array(0)
            const a = bytes.subarray(sector * 512, sector * 512 + 512)
            const b = bytes.subarray(other * 512, other * 512 + 512)
            if (kind === "zero") a.fill(0)
            else if (kind === "garbage") a.set(garbage.subarray(0, a.length))
            else if (a.length === b.length) {
              const copy = a.slice()
              a.set(b)
              b.set(copy)
            }
          }
          const whole: Array<number> = []
          paths.forEach((path, i) => {
            const before = files.get(path) ?? new Uint8Array(0)
            const after = Buffer.from(damaged.get(path) ?? new Uint8Array(0))
            frames(before).forEach(([from, to], k) => {
              const wanted = before.subarray(from, to)
              for (let at = after.indexOf(wanted); at !== -1; at = after.indexOf(wanted, at + 1)) {
                if (at % 8 !== 0 || at < 64) continue
                whole.push(i * 30 + k)
                break
              }
            })
          })
          const losses: Array<Loss> = []
          const { numbers } = yield* found(diskOf(damaged), losses)
          assert.deepStrictEqual(numbers, whole)
          assert.deepStrictEqual(lostOf(losses), upTo(91).filter((n) => !whole.includes(n)).map((n) => n + 1))
          assert.strictEqual(losses.reduce((sum, loss) => sum + countOf(loss), 0), 91 - whole.length)
        }
      }),
    120_000
  )

  it.effect("T4: whole records inside a payload never surface, though what carries them is damaged", () =>
    Effect.gen(function*() {
      const other = yield* written([5], 30)
      const inside = Array.from(other.values())[0]?.slice(64) ?? new Uint8Array(0)
      const disk = new MemoryDisk()
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [])
        yield* queue.append(recordsOf(0, 3))
      }))
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [])
        // Each alignment.
        const carriers = upTo(8).map((shift) => {
          const value = new Uint8Array(shift + inside.length * 3)
          for (const i of [0, 1, 2]) value.set(inside, shift + i * inside.length)
          return { ...record(100 + shift), value }
        })
        yield* queue.append(carriers)
        yield* queue.append(recordsOf(3, 5))
      }))
      const path = disk.paths().filter((one) => one.endsWith(".seg"))[1] ?? ""
      const bytes = disk.get(path).slice()
      const spans = frames(bytes)
      assert.lengthOf(spans, 10)
      for (const [from] of spans.slice(0, 8)) bytes[from + 9] = (bytes[from + 9] ?? 0) ^ 1
      disk.put(path, bytes)
      const losses: Array<Loss> = []
      const { numbers } = yield* found(disk, losses)
      assert.deepStrictEqual(numbers, [0, 1, 2, 3, 4])
      assert.deepStrictEqual(lostOf(losses), [4, 5, 6, 7, 8, 9, 10, 11])
    }))

  describe("T5: whole files", () => {
    const cases: ReadonlyArray<readonly [string, number, (bytes: Uint8Array) => Uint8Array | undefined]> = [
      ["missing in the middle", 1, () => undefined],
      ["the first is missing", 0, () => undefined],
      ["empty in the middle", 1, () => new Uint8Array(0)],
      ["garbage in the middle", 1, (bytes) => bytes.map((_, i) => (i * 7919) & 255)],
      ["zeros in the middle", 1, (bytes) => new Uint8Array(bytes.length)],
      ["another segment under its name", 1, (bytes) => bytes]
    ]
    for (const [name, which, change] of cases) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const files = yield* written([10, 10, 10], 20, 1)
          const paths = Array.from(files.keys())
          assert.lengthOf(paths, 3)
          const disk = diskOf(files)
          disk.put(cursorFile, yield* cursorAt(1))
          const path = paths[which] ?? ""
          const source = name.startsWith("another") ? paths[0] : path
          const changed = change(files.get(source ?? "") ?? new Uint8Array(0))
          disk.remove(path)
          if (changed !== undefined) disk.put(path, changed)
          disk.put(`${directory}/notes.txt`, new Uint8Array([1, 2, 3]))
          disk.put(`${directory}/1.seg`, new Uint8Array([4]))
          const losses: Array<Loss> = []
          const { numbers } = yield* found(disk, losses)
          const gone = upTo(10).map((n) => n + which * 10)
          assert.deepStrictEqual(numbers, upTo(30).filter((n) => !gone.includes(n)))
          assert.deepStrictEqual(lostOf(losses), gone.map((n) => n + 1))
          assert.deepStrictEqual(Array.from(disk.get(`${directory}/notes.txt`)), [1, 2, 3])
          assert.deepStrictEqual(Array.from(disk.get(`${directory}/1.seg`)), [4])
        }))
    }
  })

  /** A cursor that a queue wrote with this position. */
  const cursorAt = (position: number) =>
    Effect.scoped(Effect.gen(function*() {
      const disk = new MemoryDisk()
      const queue = yield* open(disk, [])
      yield* queue.append(recordsOf(0, 30))
      yield* queue.ack(Math.max(2, position))
      yield* queue.persist
      const bytes = disk.get(cursorFile).slice()
      if (position >= 2) return bytes
      const view = new DataView(bytes.buffer)
      view.setUint32(24, 1, true)
      view.setUint32(60, disk.ops.crc32(new Uint8Array(0), disk.ops.crc32(bytes.subarray(0, 60), 0)), true)
      return bytes
    }))

  describe("T6: the cursor", () => {
    it.effect("each bit flipped, cut at each byte, or missing: nothing is lost, and it is said", () =>
      Effect.gen(function*() {
        const files = yield* written([10], 20)
        const cursor = yield* cursorAt(5)
        assert.lengthOf(cursor, 64)
        const flipped = upTo(64 * 8).map((bit) =>
          cursor.map((byte, at) => at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)
        )
        const cut = upTo(64).map((length) => cursor.slice(0, length))
        for (const damaged of [...flipped, ...cut]) {
          const disk = diskOf(files)
          disk.put(cursorFile, damaged)
          const { numbers, recovery } = yield* found(disk)
          assert.deepStrictEqual(numbers, upTo(10))
          assert.isTrue(recovery.cursorReset)
        }
        const missing = yield* found(diskOf(files))
        assert.deepStrictEqual(missing.numbers, upTo(10))
        const whole = diskOf(files)
        whole.put(cursorFile, cursor)
        whole.put(`${cursorFile}.tmp`, cursor.slice(0, 20))
        assert.deepStrictEqual((yield* found(whole)).numbers, [4, 5, 6, 7, 8, 9])
        assert.notInclude(whole.paths(), `${cursorFile}.tmp`)
      }))

    it.effect("ahead of the log: what it has seen is told as lost, and no number is given twice", () =>
      Effect.gen(function*() {
        const files = yield* written([10], 20)
        const disk = diskOf(files)
        disk.put(cursorFile, yield* cursorAt(5))
        const losses: Array<Loss> = []
        const { after, numbers, recovery } = yield* found(disk, losses)
        assert.deepStrictEqual(numbers, [4, 5, 6, 7, 8, 9])
        assert.strictEqual(recovery.records, 26)
        assert.strictEqual(recovery.lost, 20)
        assert.deepStrictEqual(lostOf(losses), upTo(20).map((n) => n + 11))
        assert.strictEqual(after.firstSeq, 31)
        const beyond = diskOf(files)
        beyond.put(cursorFile, yield* cursorAt(25))
        assert.strictEqual((yield* found(beyond)).after.firstSeq, 31)
      }))
  })

  it.effect("T7: numbers go on after the queue was drained and the directory is empty, three times", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      let last = 0
      for (const life of upTo(4)) {
        yield* Effect.scoped(Effect.gen(function*() {
          const queue = yield* open(disk, [])
          const range = yield* queue.append(recordsOf(0, 3))
          assert.strictEqual(range.firstSeq, last + 1, `life ${life}`)
          last = range.lastSeq
          yield* queue.ack(last + 1)
          yield* queue.persist
        }))
        for (const path of disk.paths().filter((one) => one.endsWith(".seg"))) disk.remove(path)
      }
    }))

  it.effect("of a segment whose first record is damaged, what was dropped behind it stays dropped", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const dropped: Array<Loss> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, dropped, { maxBytes: 8000 })
        yield* queue.append(recordsOf(0, 10, 100))
        // An unresolved send, and what was handed out last: they stay, what is between them goes.
        yield* queue.pin({ first: 1, last: 1 })
        yield* queue.read({ from: 10, maxRecords: 1, maxBytes: 1000 })
        for (let n = 10; dropped.length === 0; n += 5) yield* queue.append(recordsOf(n, n + 5, 100))
      }))
      const path = disk.paths().find((one) => one.endsWith(".seg")) ?? ""
      const bytes = disk.get(path)
      bytes[100] = (bytes[100] ?? 0) ^ 1
      const losses: Array<Loss> = []
      const { seqs } = yield* found(disk, losses)
      assert.deepStrictEqual(lostOf(losses), [1])
      assert.isNotEmpty(seqs)
      assert.isEmpty(seqs.filter((seq) => lostOf(dropped).includes(seq)))
    }))

  it.effect("a damage is told once, also over a restart", () =>
    Effect.gen(function*() {
      const files = yield* written([10, 1], 20, 1)
      const path = onlyPath(files)
      const bytes = (files.get(path) ?? new Uint8Array(0)).slice()
      const inside = (frames(bytes)[4]?.[0] ?? 0) + 40
      bytes[inside] = (bytes[inside] ?? 0) ^ 1
      const disk = diskOf(new Map([...files, [path, bytes]]))
      const losses: Array<Loss> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, losses)
        assert.strictEqual((yield* queue.snapshot).records, 11)
        yield* drain(queue)
        yield* drain(queue)
        assert.strictEqual((yield* queue.snapshot).records, 10)
        yield* queue.ack(2)
        yield* queue.persist
      }))
      assert.lengthOf(losses, 1)
      assert.strictEqual(disk.paths().filter((one) => one.includes("/quarantine/")).length, 1)
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, losses)
        assert.strictEqual(queue.recovery.records, 9)
        assert.deepStrictEqual((yield* drain(queue)).map(numberOf), [1, 2, 3, 5, 6, 7, 8, 9, 10])
      }))
      assert.lengthOf(losses, 1)
    }))
})
