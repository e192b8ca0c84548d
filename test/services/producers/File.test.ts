import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Scope, TestClock } from "effect"
import * as fc from "fast-check"
import { readFile, replaceFile } from "../../../src/services/FileOps.ts"
import { Producer } from "../../../src/services/Producer.ts"
import * as FileOutput from "../../../src/services/producers/File.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { numberOf, record, recordsOf } from "../FileQueue/Harness.ts"

const topic = "marketdata.trade.v1"
const directory = `/data/out/${topic}`

/** A lane on it, as one life of a process has it. Compressing is copying. */
const lane = (disk: MemoryDisk, options: Partial<FileOutput.Options> = {}) =>
  Effect.flatMap(Producer, (producer) => producer.lane({ topic, onRequestTimeout: () => Effect.void })).pipe(
    Effect.provide(
      FileOutput.layer({
        directory: "/data/out",
        compress: (from, to) =>
          Effect.flatMap(readFile(disk.ops, from), (bytes) => replaceFile(disk.ops, to, bytes ?? new Uint8Array())),
        ...options
      }).pipe(Layer.provide(disk.layer))
    )
  )

const names = (disk: MemoryDisk): ReadonlyArray<string> =>
  disk.paths().filter((path) => path.startsWith(`${directory}/`)).map((path) => path.slice(directory.length + 1))

/** Numbers of the records in all files, in the order of the files' names. */
const written = (disk: MemoryDisk): ReadonlyArray<number> => {
  const all = names(disk)
  return all.filter((name) => !all.includes(`${name}.gz`) && !name.endsWith(".tmp")).flatMap((name) => {
    const text = new TextDecoder().decode(disk.get(`${directory}/${name}`))
    if (text !== "" && !text.endsWith("\n")) throw new Error(`${name} ends within a line`)
    return text.split("\n").slice(0, -1).map((value) => {
      const n = Number(/"n":(\d+)/.exec(value)?.[1])
      return numberOf({ ...record(n), value })
    })
  })
}

const settle = (disk: MemoryDisk) =>
  Effect.gen(function*() {
    for (let i = 0; i < 200 && names(disk).filter((name) => name.endsWith(".ndjson")).length > 1; i++) {
      yield* Effect.yieldNow()
    }
  })

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

describe("FileOutput", () => {
  it.scoped("writes lines, and begins a new file when one is large or old; the old one is compressed", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* TestClock.setTime(Date.parse("2026-06-11T12:00:00Z"))
      const { send } = yield* lane(disk, { maxBytes: 500, maxAge: "10 minutes" })
      yield* send(recordsOf(0, 3, 100))
      assert.deepStrictEqual(names(disk), ["2026-06-11T12-00-00.000Z.ndjson"])
      yield* send(recordsOf(3, 6, 100))
      yield* send(recordsOf(6, 7, 100))
      yield* settle(disk)
      assert.deepStrictEqual(names(disk), ["2026-06-11T12-00-00.000Z.ndjson.gz", "2026-06-11T12-00-00.001Z.ndjson"])
      yield* TestClock.adjust(Duration.minutes(10))
      yield* send(recordsOf(7, 8, 100))
      yield* settle(disk)
      assert.deepStrictEqual(names(disk).slice(2), ["2026-06-11T12-10-00.000Z.ndjson"])
      assert.deepStrictEqual(written(disk), range(0, 8))
      assert.isTrue(disk.trace.some(({ op }) => op === "datasync"))
    }))

  it.scoped("a full disk is an outage: nothing is left of the batch, and it goes on in the same file", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const { send } = yield* lane(disk)
      yield* send(recordsOf(0, 3, 100))
      disk.capacity = disk.used() + 150
      const error = yield* Effect.flip(send(recordsOf(3, 6, 100)))
      assert.include(error, { _tag: "ProducerUnavailable" })
      assert.include(error.message, "ENOSPC")
      assert.deepStrictEqual(written(disk), [0, 1, 2])
      disk.capacity = Infinity
      yield* send(recordsOf(3, 6, 100))
      assert.lengthOf(names(disk), 1)
      assert.deepStrictEqual(written(disk), range(0, 6))
    }))

  it.scoped("a file that could not be synced is left, and not trusted again", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const { send } = yield* lane(disk)
      yield* send(recordsOf(0, 3))
      disk.fault = ({ op }) => op === "datasync" ? "EIO" : undefined
      yield* Effect.flip(send(recordsOf(3, 6)))
      disk.fault = () => undefined
      yield* send(recordsOf(3, 6))
      yield* settle(disk)
      assert.lengthOf(names(disk), 2)
      disk.crashPower(() => 0)
      assert.deepStrictEqual([...new Set(written(disk))], range(0, 6))
    }))

  it("loses nothing that it acknowledged, whatever fails and whenever it dies", async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant("send" as const), count: fc.integer({ min: 1, max: 5 }) })
      },
      fc.record({ kind: fc.constant("fault" as const), after: fc.integer({ min: 0, max: 12 }) }),
      fc.record({ kind: fc.constant("death" as const), after: fc.integer({ min: 0, max: 12 }), power: fc.boolean() })
    )
    let deaths = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.infiniteStream(fc.nat()),
        (steps, picks) =>
          Effect.runPromise(Effect.gen(function*() {
            const disk = new MemoryDisk()
            const choose = (n: number) => (picks.next().value ?? 0) % n
            const options = { maxBytes: 300 }
            let scope = yield* Scope.make()
            let open = yield* Scope.extend(lane(disk, options), scope)
            let acknowledged = 0
            let attempted = 0
            const restart = Effect.gen(function*() {
              yield* Scope.close(scope, Exit.void)
              scope = yield* Scope.make()
              open = yield* Scope.extend(lane(disk, options), scope)
            })
            let power: boolean | undefined
            for (const one of steps) {
              const from = disk.trace.length
              if (one.kind === "fault") disk.fault = ({ n }) => n === from + one.after ? "EIO" : undefined
              else if (one.kind === "death") {
                power = one.power
                disk.fault = ({ n }) => {
                  if (n === from + one.after) disk.dead = true
                  return undefined
                }
              } else {
                // As the lane does: the batch that failed comes again before any other.
                attempted = Math.max(attempted, acknowledged + one.count)
                if ((yield* Effect.exit(open.send(recordsOf(acknowledged, attempted))))._tag === "Success") {
                  acknowledged = attempted
                }
                if (disk.dead) {
                  deaths += 1
                  yield* Scope.close(scope, Exit.void)
                  disk.fault = () => undefined
                  if (power === true) disk.crashPower(choose)
                  else disk.crashProcess()
                  yield* restart
                }
              }
            }
            disk.dead = false
            disk.fault = () => undefined
            yield* restart
            yield* open.send(recordsOf(acknowledged, attempted + 1))
            yield* settle(disk)
            const firsts = [...new Set(written(disk))]
            assert.deepStrictEqual(firsts, range(0, attempted + 1))
            yield* Scope.close(scope, Exit.void)
          }))
      ),
      { numRuns: Number(process.env["FILE_OUTPUT_RUNS"] ?? 500) }
    )
    assert.isAbove(deaths, 50)
  })
})
