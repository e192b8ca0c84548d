/** From the start of the process until the exchange has all subscriptions: 60 markets, and 1 000, which are ten connections a second apart. */
import { print, withStage } from "./support/Stage.ts"
import type { SubjectName } from "./support/Subject.ts"

const plan: ReadonlyArray<{ readonly subject: SubjectName; readonly markets: number; readonly rounds: number }> = [
  { subject: "bare loop", markets: 60, rounds: 5 },
  { subject: "exchange-feeds", markets: 60, rounds: 5 },
  { subject: "exchange-feeds", markets: 1_000, rounds: 2 }
]

await withStage({}, async ({ cores, run }) => {
  for (const { markets, rounds, subject } of plan) {
    for (let round = 0; round < rounds; round++) {
      const startMs = await run({ subject, shape: "one", markets }, (scene) => Promise.resolve(scene.startMs))
      print({ bench: "start", subject, markets, round, pinned: cores !== undefined, startMs: Math.round(startMs) })
    }
  }
})
