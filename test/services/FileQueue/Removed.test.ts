/** T26: files of the queue that somebody removes while the process works, which then stops or is killed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope, TestClock } from "effect"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as NodeFileOps from "../../../src/layers/node/FileOps.ts"
import * as FileQueue from "../../../src/services/FileQueue.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { cursorFile, defaults, directory, drain, lostOf, numberOf, open, quiet, recordsOf } from "./Harness.ts"

const upTo = (n: number, from = 0) => Array.from({ length: n - from }, (_, i) => from + i)

const segmentsOf = (disk: MemoryDisk) => disk.paths().filter((one) => one.endsWith(".seg"))

const removals: Readonly<Record<string, (disk: MemoryDisk) => ReadonlyArray<string>>> = {
  "all files": (disk) => disk.paths().filter((one) => one.startsWith(directory)),
  "all segments": segmentsOf,
  "the oldest files": (disk) => [...segmentsOf(disk).slice(0, -1), cursorFile],
  "the newest segment": (disk) => segmentsOf(disk).slice(-1),
  "the cursor": () => [cursorFile]
}

/** Twenty records in segments of four: the last is the one that is written. Nothing is read: Kafka is away. */
const outage = Effect.fnUntraced(function*(disk: MemoryDisk) {
  const scope = yield* Scope.make()
  const queue = yield* Scope.extend(open(disk, [], { segmentBytes: 500 }), scope)
  for (let n = 0; n < 20; n += 2) yield* queue.append(recordsOf(n, n + 2, 100))
  return { queue, scope }
})

/** What the next life hands out, what it tells as lost, and the number of its first record. */
const next = (disk: MemoryDisk) =>
  Effect.scoped(Effect.gen(function*() {
    const losses: Array<FileQueue.Loss> = []
    const queue = yield* open(disk, losses)
    const records = yield* drain(queue)
    const untold = yield* queue.untold(Infinity)
    assert.deepStrictEqual(lostOf(untold), lostOf(losses))
    for (const { reason } of losses) assert.strictEqual(reason, "corrupt")
    for (const one of records) assert.strictEqual(numberOf(one), one.seq - 1)
    const { firstSeq } = yield* queue.append(recordsOf(100, 101))
    return { read: records.map(({ seq }) => seq), lost: lostOf(losses), firstSeq }
  }))

describe("T26: files are removed while Kafka is away, and the process ends before anything is read", () => {
  for (const [what, which] of Object.entries(removals)) {
    for (const end of ["stop", "kill"] as const) {
      it.effect(`${what}, then a ${end}: each record is read or told as lost, and no number is given twice`, () =>
        Effect.gen(function*() {
          const disk = new MemoryDisk()
          const { scope } = yield* outage(disk)
          for (const one of which(disk)) if (disk.paths().includes(one)) disk.remove(one)
          if (end === "kill") {
            // The files are looked at once a second.
            yield* TestClock.adjust("1100 millis")
            disk.dead = true
          }
          yield* Scope.close(scope, Exit.void)
          disk.crashProcess()
          const { firstSeq, lost, read } = yield* next(disk)
          assert.deepStrictEqual([...read, ...lost].sort((a, b) => a - b), upTo(21, 1))
          assert.deepStrictEqual(read.slice(-4), upTo(21, 17), "what was open is there again")
          assert.strictEqual(firstSeq, 21)
        }).pipe(quiet))
    }
  }

  it.effect("the one that is written, just before it is full: it is written again before it is closed", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, losses, { segmentBytes: 500 })
        for (const n of [0, 2]) yield* queue.append(recordsOf(n, n + 2, 100))
        for (const one of segmentsOf(disk)) disk.remove(one)
        yield* queue.append(recordsOf(4, 6, 100))
        assert.deepStrictEqual((yield* drain(queue)).map(numberOf), upTo(6))
      }))
      assert.deepStrictEqual(yield* next(disk), { read: upTo(7, 1), lost: [], firstSeq: 7 })
      assert.deepStrictEqual(losses, [])
    }).pipe(quiet))

  it.effect("the file of losses: it is there again, and the next life tells them", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const losses: Array<FileQueue.Loss> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, losses, { maxBytes: 8000 })
        for (let n = 0; losses.length === 0; n += 5) yield* queue.append(recordsOf(n, n + 5, 100))
        disk.remove(`${directory}/drops`)
        yield* TestClock.adjust("1100 millis")
        disk.dead = true
      }))
      disk.crashProcess()
      yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* open(disk, [], { maxBytes: 8000 })
        assert.deepStrictEqual(lostOf(yield* queue.untold(Infinity)), lostOf(losses))
      }))
    }).pipe(quiet))

  it.effect("a second life killed before it has appended: its numbers are not given again either", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const first = yield* outage(disk)
      disk.dead = true
      yield* Scope.close(first.scope, Exit.void)
      disk.crashProcess()
      const scope = yield* Scope.make()
      yield* Scope.extend(open(disk, []), scope)
      for (const one of segmentsOf(disk)) disk.remove(one)
      disk.dead = true
      yield* Scope.close(scope, Exit.void)
      disk.crashProcess()
      assert.deepStrictEqual(yield* next(disk), { read: [], lost: upTo(21, 1), firstSeq: 21 })
    }).pipe(quiet))

  it.live("in a real directory, emptied, then a stop", () =>
    Effect.gen(function*() {
      const dir = mkdtempSync(path.join(tmpdir(), "w-q2-removed-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(dir, { recursive: true, force: true })))
      const losses: Array<FileQueue.Loss> = []
      const life = <A>(use: (queue: FileQueue.Queue) => Effect.Effect<A, FileQueue.FileQueueError>) =>
        Effect.scoped(
          FileQueue.make({ ...defaults, dir, segmentBytes: 500 }).pipe(
            Effect.flatMap((files) =>
              files.open({ topic: "t", dropOrder: 0, onLoss: (loss) => Effect.sync(() => void losses.push(loss)) })
            ),
            Effect.flatMap(use),
            Effect.provide(NodeFileOps.layer)
          )
        )
      yield* life(Effect.fnUntraced(function*(queue) {
        for (let n = 0; n < 20; n += 2) yield* queue.append(recordsOf(n, n + 2, 100))
        for (const name of readdirSync(dir)) rmSync(path.join(dir, name), { recursive: true, force: true })
      }))
      const { firstSeq, read } = yield* life((queue) =>
        Effect.all({
          read: Effect.map(drain(queue), (records) => records.map(({ seq }) => seq)),
          firstSeq: Effect.map(queue.append(recordsOf(100, 101)), (range) => range.firstSeq)
        })
      )
      assert.deepStrictEqual({ read, lost: lostOf(losses), firstSeq }, {
        read: upTo(21, 17),
        lost: upTo(17, 1),
        firstSeq: 21
      })
    }).pipe(Effect.scoped, quiet))
})
