/** T8 and T20: any sequence of what may happen, crashes at every file operation included. `FUZZ_RUNS` for the long suite. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { breathe, quiet } from "./Harness.ts"
import { type Command, World } from "./World.ts"

const runs = Number(process.env["FUZZ_RUNS"] ?? 300)

/** Small and deterministic: shrinking needs the same choices again. */
const chooser = (seed: number) => {
  let state = (seed ^ 0x9e3779b9) >>> 0
  return (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor(state / 0x1_0000_0000 * n)
  }
}

const lane = fc.constantFrom(0, 0, 1)

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      _tag: fc.constant("Append" as const),
      lane,
      count: fc.integer({ min: 1, max: 6 }),
      size: fc.nat(200)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ _tag: fc.constant("AppendTwice" as const), lane, count: fc.integer({ min: 1, max: 3 }) })
  },
  {
    weight: 6,
    arbitrary: fc.record({ _tag: fc.constant("Read" as const), lane, count: fc.integer({ min: 1, max: 12 }) })
  },
  {
    weight: 4,
    arbitrary: fc.record({ _tag: fc.constant("ReadAhead" as const), lane, count: fc.integer({ min: 1, max: 12 }) })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("ReadBeside" as const),
      lane,
      count: fc.integer({ min: 1, max: 12 }),
      append: fc.integer({ min: 1, max: 4 }),
      late: fc.boolean()
    })
  },
  { weight: 5, arbitrary: fc.record({ _tag: fc.constant("Ack" as const), lane }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Nack" as const), lane }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Persist" as const), lane }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("PersistBeside" as const), lane }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Check" as const), lane }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "Restart" } as const) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Corrupt" as const), lane }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Crash" as const), power: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("CrashIn" as const),
      operations: fc.integer({ min: 1, max: 40 }),
      power: fc.boolean()
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ _tag: fc.constant("FailSync" as const), syncs: fc.integer({ min: 1, max: 6 }) })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Fill" as const), bytes: fc.nat(3000) }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "Free" } as const) }
)

/** Mostly such that everything happens often; and as in production, where what only small ones need would show. */
const limits = [
  { maxBytes: 3000, segmentBytes: 400 },
  { maxBytes: 3000, segmentBytes: 1000 },
  { maxBytes: 3000, segmentBytes: 100_000 },
  { maxBytes: 2 ** 30, segmentBytes: 16 * 2 ** 20 }
]

const play = (world: World, commands: ReadonlyArray<Command>): Effect.Effect<void> =>
  world.start.pipe(
    Effect.andThen(Effect.forEach(commands, (one) => world.run(one), { discard: true })),
    Effect.andThen(world.finish),
    Effect.andThen(breathe),
    quiet
  )

describe("the queue keeps its promises", () => {
  it("whatever happens, in whatever order, wherever it dies", async () => {
    const seen = { drops: 0, crashes: 0, failures: 0, reads: 0, beside: 0, restarts: 0, flips: 0 }
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { minLength: 10, maxLength: 100, size: "max" }),
        fc.nat(),
        fc.constantFrom(...limits),
        async (commands, seed, options) => {
          const world = new World(chooser(seed), options)
          await Effect.runPromise(play(world, commands))
          for (const key of ["drops", "crashes", "failures", "reads", "beside", "restarts", "flips"] as const) {
            seen[key] += world.seen[key]
          }
        }
      ),
      { numRuns: runs }
    )
    // Else it tested nothing.
    for (const [key, count] of Object.entries(seen)) assert.isAbove(count, runs / 10, key)
  }, 3_600_000)

  it(
    "T8: dies at each file operation of a day's work, and after each loss of power that the disk may make of it",
    async () => {
      const day: ReadonlyArray<Command> = [
        { _tag: "Append", lane: 0, count: 3, size: 40 },
        { _tag: "Append", lane: 0, count: 3, size: 40 },
        { _tag: "Read", lane: 0, count: 4 },
        { _tag: "Ack", lane: 0 },
        { _tag: "Persist", lane: 0 },
        { _tag: "Append", lane: 0, count: 4, size: 40 },
        { _tag: "Read", lane: 0, count: 4 },
        { _tag: "Append", lane: 1, count: 12, size: 40 },
        { _tag: "Append", lane: 0, count: 9, size: 100 },
        { _tag: "Append", lane: 0, count: 9, size: 100 },
        { _tag: "Ack", lane: 0 },
        { _tag: "Read", lane: 0, count: 8 },
        { _tag: "Append", lane: 0, count: 9, size: 100 },
        { _tag: "Persist", lane: 0 },
        { _tag: "Restart" },
        { _tag: "Append", lane: 0, count: 2, size: 40 }
      ]
      const options = { maxBytes: 6000, segmentBytes: 700 }
      const whole = new World(() => 0, options)
      await Effect.runPromise(play(whole, day))
      assert.isAbove(whole.seen.drops, 2)
      const operations = whole.disk.trace.length
      for (let k = 1; k <= operations; k++) {
        for (const seed of [0, 1, 2, 3]) {
          const world = new World(seed === 0 ? () => 0 : chooser(k * 31 + seed), options)
          await Effect.runPromise(play(world, [{ _tag: "CrashIn", operations: k, power: seed !== 3 }, ...day]))
        }
      }
    },
    600_000
  )
})
