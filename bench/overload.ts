/**
 * More than can be taken, from the first second on: an open loop, the process cold. After a second in which Kafka falls behind the
 * collector writes to the disk and reads back (docs/design/delivery.md H3), while the bare loop keeps everything in memory: what this
 * shows is the spill, not the cost of a trade, which is `end-to-end`'s. `TRADES` (100 000), `ROUNDS` (2).
 */
import { print, printed, withStage } from "./support/Stage.ts"
import type { SubjectName } from "./support/Subject.ts"

const trades = Number(process.env["TRADES"] ?? 100_000)
const rounds = Number(process.env["ROUNDS"] ?? 2)
const markets = 60

const plan: ReadonlyArray<{ readonly subject: SubjectName; readonly mode?: string }> = [
  { subject: "bare loop" },
  { subject: "exchange-feeds", mode: "fallback" },
  { subject: "exchange-feeds", mode: "journal" }
]

await withStage({}, async ({ cores, run }) => {
  for (let round = 0; round < rounds; round++) {
    for (const { mode, subject } of plan) {
      const env: Readonly<Record<string, string>> = mode === undefined ? {} : { QUEUE_MODE: mode }
      const figures = await run({ subject, shape: "one", markets, env }, async ({ fullSpeed, subject: { peak } }) => {
        const { cpu, perSecond, twice } = await fullSpeed(trades, Infinity)
        return { ...printed(cpu), perSecond, rssPeakMiB: Math.round(peak()), twice }
      })
      print({
        bench: "overload",
        subject,
        mode: mode ?? null,
        markets,
        round,
        trades,
        pinned: cores !== undefined,
        ...figures
      })
    }
  }
})
