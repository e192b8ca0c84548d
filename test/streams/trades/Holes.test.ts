import { describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { setup, step } from "./Arbitraries.ts"
import { judge } from "./Judge.ts"
import { healing, play } from "./Story.ts"

const runs = Math.ceil(Number(process.env["FUZZ_RUNS"] ?? 10_000) / 10)

describe("Holes", () => {
  it("nothing is missing untold, whatever happens", async () => {
    await fc.assert(
      fc.asyncProperty(setup, fc.array(step, { minLength: 3, maxLength: 30 }), async (setup, steps) => {
        // The runner wants to be told now and then that its worker lives.
        await new Promise((resolve) => setImmediate(resolve))
        judge(play(setup, [{ what: "connect", after: 0, recovers: true, mute: false }, ...steps, ...healing]))
      }),
      { numRuns: runs }
    )
  }, 3_600_000)
})
