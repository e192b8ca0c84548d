/**
 * Whatever happens to connections, histories, the disk and the collector: every trade is delivered once, or lies within a hole that
 * was told before anything behind it was handed over, and no hole is told wider than what was seen around it (docs/design/delivery.md B4, B6).
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, TestContext } from "effect"
import { all, play, seen, type Setup, type Step } from "./support/Steps.ts"
import { judge } from "./support/Verdict.ts"
import * as World from "./support/World.ts"

const setup: fc.Arbitrary<Setup> = fc.record({
  dated: fc.boolean(),
  ahead: fc.constantFrom(0, 0, -3_600_000, 600_000),
  hold: fc.constantFrom(5_000, 5_000, 5_000, 0),
  ending: fc.oneof({ weight: 5, arbitrary: fc.constant("restart" as const) }, {
    weight: 1,
    arbitrary: fc.constant("patience" as const)
  })
})

const base = fc.constantFrom(...World.bases)
const amount = fc.constantFrom("1", "2")
const takes = fc.constantFrom(0, 900, 4_200, 9_000, 11_000)
const drop: fc.Arbitrary<Step> = fc.record({
  what: fc.constant("drop" as const),
  mute: fc.constantFrom(false, false, true)
})
const death = fc.constantFrom<Step>({ what: "stop" }, { what: "kill" })
const trade: fc.Arbitrary<Step> = fc.record({
  what: fc.constant("trade" as const),
  base,
  amount,
  count: fc.integer({ min: 1, max: 4 })
})
const wait = (...all: ReadonlyArray<number>): fc.Arbitrary<Step> =>
  fc.constantFrom(...all).map((ms): Step => ({ what: "wait", ms }))
const history: fc.Arbitrary<Step> = fc.record({
  what: fc.constant("history" as const),
  rows: fc.constantFrom(0, 2, 5, all, all, all, all),
  takes,
  early: fc.boolean()
})

const anything: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: trade },
  { weight: 5, arbitrary: wait(50, 300, 900, 1_000, 2_500, 6_000, 40_000) },
  { weight: 3, arbitrary: drop },
  { weight: 3, arbitrary: fc.constant<Step>({ what: "heard" }) },
  { weight: 1, arbitrary: death },
  { weight: 2, arbitrary: fc.constant<Step>({ what: "start" }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("rest" as const), up: fc.boolean() }) },
  { weight: 1, arbitrary: history },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant("disk" as const), full: fc.constantFrom(false, false, true) })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant("sink" as const),
      trades: fc.constantFrom(0, 0, 300, 3_000),
      told: fc.constantFrom(0, 0, 300, 3_000)
    })
  }
)

/** Steps one after the other, each as it may be, all about one market. */
const scene = (...steps: ReadonlyArray<fc.Arbitrary<Step>>): fc.Arbitrary<ReadonlyArray<Step>> =>
  fc.tuple(base, fc.tuple(...steps)).map(([base, steps]) =>
    steps.map((step) => step.what === "trade" ? { ...step, base } : step)
  )
const set = (step: Step): fc.Arbitrary<Step> => fc.constant(step)
const heard = set({ what: "heard" })
const start = set({ what: "start" })
const rest = (up: boolean) => set({ what: "rest", up })
/** By then the next connection is there. */
const connected = wait(1_000, 1_500)
const slow = (...rows: ReadonlyArray<number>): fc.Arbitrary<Step> =>
  fc.record({
    what: fc.constant("history" as const),
    rows: fc.constantFrom(...rows),
    takes: fc.constantFrom(4_200, 9_000),
    early: fc.boolean()
  })
/** More than a window of BitPin's brings again. */
const missed: fc.Arbitrary<Step> = fc.record({
  what: fc.constant("trade" as const),
  base,
  amount,
  count: fc.integer({ min: 3, max: 6 })
})
const lost = [trade, drop, missed, heard, connected, trade] as const

/** What was seen to lose trades, each with all its times open. */
const scenes: fc.Arbitrary<ReadonlyArray<Step>> = fc.oneof(
  // Lost again while the history is asked for.
  scene(slow(0, 1, all), ...lost, wait(900, 2_500, 5_000), drop, wait(1_000, 6_000, 10_000), history),
  // Open at the end of a life.
  scene(slow(all), ...lost, wait(50, 1_000), death, missed, start, connected, trade),
  // A history that is away for long.
  scene(rest(false), ...lost, wait(6_000), trade, wait(15_000, 25_000, 40_000), trade, rest(true), wait(2_500, 40_000)),
  // Told, and the collector ends before it is filled.
  scene(rest(false), ...lost, wait(6_000), death, rest(true), start),
  // The hole cannot be written down, and what is behind it goes on.
  scene(set({ what: "disk", full: true }), rest(false), ...lost, wait(6_000, 10_000), rest(true), death, start),
  // What is behind a hole arrives, what was told of it does not.
  scene(
    set({ what: "sink", trades: 0, told: 3_000 }),
    rest(false),
    ...lost,
    wait(5_000, 6_000),
    death,
    start,
    rest(true)
  )
)

const runs = Math.ceil(Number(process.env["FUZZ_RUNS"] ?? 40_000) / 1_000)

/** Stories mostly wait for timers of the test's clock. */
const atOnce = 10

const parts = fc.array(
  fc.oneof({ weight: 4, arbitrary: anything.map((step) => [step]) }, { weight: 1, arbitrary: scenes }),
  { maxLength: 7 }
)

const story = fc.tuple(
  setup,
  fc.tuple(parts, scenes, parts).map(([before, scene, after]) => [...before.flat(), ...scene, ...after.flat()])
)

describe("Nothing is missing untold", () => {
  afterAll(() => {
    // In so many stories each of these happens; in a few it may not.
    if (runs >= 40) { for (const [what, count] of Object.entries(seen)) assert.isAbove(count, 0, what) }
  })

  for (const name of ["bitpin", "wallex"] as const) {
    it(`${name}: any interleaving of trades, drops, deaths, histories and disks`, async () => {
      const check = () =>
        fc.assert(
          fc.asyncProperty(story, async ([setup, steps]) => {
            const played = play(name, setup, steps)
            const { isAllOwed, words } = await Effect.runPromise(Effect.provide(played, TestContext.TestContext))
            judge(name, words, { isAllOwed })
          }),
          { numRuns: Math.ceil(runs / atOnce) }
        )
      await Promise.all(Array.from({ length: atOnce }, check))
    }, 3_600_000)
  }
})
