import { describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { setup, step } from "./Arbitraries.ts"
import { judge } from "./Judge.ts"
import { healing, play } from "./Story.ts"

const runs = Math.ceil(Number(process.env["FUZZ_RUNS"] ?? 30_000) / 10)

describe("Holes", () => {
  it("nothing is missing untold, whatever happens", () => {
    fc.assert(
      fc.property(setup, fc.array(step, { minLength: 3, maxLength: 30 }), (setup, steps) => {
        judge(play(setup, [{ what: "connect", after: 0, recovers: true, mute: false }, ...steps, ...healing]))
      }),
      { numRuns: runs }
    )
  })
})
