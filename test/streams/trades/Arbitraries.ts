/** Any story. */
import { FastCheck as fc } from "effect"
import type { endings } from "./Story/Endings.ts"
import { day, type Rest, type Setup, type Step } from "./Story/Model.ts"

export const setup: fc.Arbitrary<Setup> = fc.record({
  ids: fc.constantFrom("own" as const, "none" as const, "increasing" as const, "consecutive" as const),
  pages: fc.oneof(
    fc.constant(null),
    fc.record({
      size: fc.constantFrom(2, 3, 7, 100),
      holds: fc.constant("oldest" as const),
      empty: fc.constantFrom("end" as const, undefined)
    }),
    fc.record({ size: fc.constantFrom(1, 2, 3, 7, 100), holds: fc.constant("newest" as const) })
  ),
  hold: fc.constantFrom(5_000, 5_000, 0),
  maxAge: fc.constantFrom(day, day, Infinity),
  date: fc.boolean(),
  window: fc.constantFrom(1, 3),
  slow: fc.constantFrom(0, 0, 40, 1_500),
  before: fc.constantFrom(0, 3)
}).map((setup) => {
  // Where numbers are left out nobody can tell by a page below a number that there is none above.
  const isPaged = setup.ids === "consecutive" || (setup.ids === "increasing" && setup.pages?.holds === "oldest")
  return isPaged ? setup : { ...setup, pages: null }
})

const rest: fc.Arbitrary<Rest> = fc.record({
  says: fc.oneof(
    { weight: 5, arbitrary: fc.constant("all" as const) },
    { weight: 2, arbitrary: fc.constant("failure" as const) },
    { weight: 1, arbitrary: fc.constantFrom("nothing" as const, "unsound" as const, "unknown" as const) }
  ),
  rows: fc.oneof(
    { weight: 3, arbitrary: fc.constant(100_000) },
    { weight: 1, arbitrary: fc.constantFrom(2, 5, 9) }
  ),
  queued: fc.constantFrom(0, 0, 800, 5_000, 60_000),
  takes: fc.constantFrom(0, 100, 900, 4_200, 9_000),
  early: fc.boolean()
})

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      what: fc.constant("trade" as const),
      amount: fc.constantFrom("1", "2"),
      count: fc.constantFrom(1, 1, 2, 3)
    })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      what: fc.constant("wait" as const),
      ms: fc.constantFrom(10, 300, 900, 1_000, 2_500, 4_000, 6_000, 40_000)
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constant("connect" as const),
      after: fc.constantFrom(0, 0, 300, 2_000),
      recovers: fc.boolean(),
      mute: fc.constantFrom(false, false, true),
      picture: fc.constantFrom(undefined, undefined, undefined, 1, 4)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constantFrom("slip" as const, "leap" as const), count: fc.constantFrom(1, 2, 9) })
  },
  { weight: 5, arbitrary: fc.record({ what: fc.constant("drop" as const), newest: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Step>({ what: "silence" }, { what: "mute" }, { what: "unlist" }, { what: "list" })
  },
  { weight: 2, arbitrary: fc.constantFrom<Step>({ what: "heard" }, { what: "stop" }, { what: "kill" }) },
  { weight: 3, arbitrary: fc.constant<Step>({ what: "start" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ what: "others" }) },
  { weight: 3, arbitrary: rest.map((rest): Step => ({ what: "rest", rest })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>(
      { what: "disk", disk: "full" },
      { what: "disk", disk: "hangs" },
      { what: "disk", disk: "ok" },
      { what: "disk", disk: "ok" }
    )
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("sink" as const),
      trades: fc.constantFrom(0, 0, 300, 3_000, 90_000),
      told: fc.constantFrom(0, 0, 300, 3_000, 90_000)
    })
  }
)

export const ending: fc.Arbitrary<keyof typeof endings> = fc.constantFrom(
  "healed" as const,
  "healed" as const,
  "healed" as const,
  "silent" as const,
  "vanished" as const
)
