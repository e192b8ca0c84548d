/** How stories end. */
import { day, type Step, whole } from "./Model.ts"

const well: ReadonlyArray<Step> = [
  { what: "disk", disk: "ok" },
  { what: "sink", trades: 0, told: 0 },
  { what: "start" }
]

const heardAgain: ReadonlyArray<Step> = [
  { what: "list" },
  { what: "heard" },
  { what: "connect", after: 0, recovers: false, mute: false },
  { what: "wait", ms: 15_000 },
  { what: "others" }
]

const overADay: Step = { what: "wait", ms: day + 2 * 3_600_000 }

/** How a story ends. No hole is left after any of them. */
export const endings = {
  /** All is well again, and there is time enough: whatever can be filled is. */
  healed: [
    ...well,
    { what: "rest", rest: whole },
    ...heardAgain,
    { what: "trade", amount: "9", count: 1 },
    { what: "wait", ms: 30_000 },
    { what: "trade", amount: "9", count: 1 },
    { what: "wait", ms: 3_600_000 },
    { what: "stop" }
  ],
  /** The history stays empty, and nothing more is traded. */
  silent: [...well, { what: "rest", rest: { ...whole, says: "nothing" } }, ...heardAgain, overADay, { what: "stop" }],
  /** The market leaves the list for good. */
  vanished: [...well, { what: "unlist" }, overADay, { what: "stop" }]
} as const satisfies Record<string, ReadonlyArray<Step>>
