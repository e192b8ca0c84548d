/**
 * From a loopback exchange to Kafka at full speed: the collector beside bare loops, in turn. A closed loop (`ClosedLoop.ts`), after a
 * warm-up, with the subject on a core of its own; the end is told by the broker's end offsets, never by what is measured. The main figure is CPU a
 * trade; trades a second go by how the machine shares its cores, too.
 *
 * `ROUNDS` (5), `TRADES` (120 000), `WARM` (40 000); `ONLY=window` for one shape.
 */
import type { ShapeName } from "./support/Frames.ts"
import { print, printed, type Stage, withStage } from "./support/Stage.ts"
import { rounded } from "./support/Statistics.ts"
import type { SubjectName } from "./support/Subject.ts"

const rounds = Number(process.env["ROUNDS"] ?? 5)
const trades = Number(process.env["TRADES"] ?? 120_000)
const warm = Number(process.env["WARM"] ?? 40_000)
const only = process.env["ONLY"]

/** Trades on their way at most. */
const room = 8_000

interface Row {
  readonly shape: ShapeName
  /** In turn within a round, as the subjects are. */
  readonly markets: ReadonlyArray<number>
  readonly subjects: ReadonlyArray<SubjectName>
  /** Of `trades` and `warm`: a frame of twenty rows costs several times as much as one of one. */
  readonly share: number
}

const plan: ReadonlyArray<Row> = [
  { shape: "one", markets: [60], subjects: ["bare loop", "exchange-feeds", "bare loop, our encoder"], share: 1 },
  { shape: "ten", markets: [60], subjects: ["bare loop", "exchange-feeds"], share: 1 },
  // The bare loop would send all twenty again: it is no yardstick for what has to know what it has sent.
  { shape: "window", markets: [60], subjects: ["exchange-feeds"], share: 0.4 },
  { shape: "one", markets: [1, 1_000], subjects: ["bare loop", "exchange-feeds"], share: 0.75 }
]

const measure = async (
  { cores, run }: Stage,
  { shape, share }: Row,
  subject: SubjectName,
  markets: number,
  round: number
): Promise<void> => {
  // One connection, as the bare loop has it: what is compared are markets.
  const env = { WS_SUBSCRIPTIONS_PER_CONNECTION: `${Math.max(100, markets)}` }
  const figures = await run({ subject, shape, markets, env }, async ({ fullSpeed, startMs, subject: { peak } }) => {
    await fullSpeed(warm * share, room)
    const { cpu, exchangeCpu, perSecond, twice } = await fullSpeed(trades * share, room)
    return {
      ...printed(cpu),
      perSecond,
      rssPeakMiB: Math.round(peak()),
      exchangeUs: rounded(exchangeCpu),
      twice,
      startMs: Math.round(startMs)
    }
  })
  print({
    bench: "end-to-end",
    subject,
    shape,
    markets,
    round,
    trades: trades * share,
    pinned: cores !== undefined,
    ...figures
  })
}

await withStage({}, async (stage) => {
  for (const row of plan.filter(({ shape }) => only === undefined || only === shape)) {
    for (let round = 0; round < rounds; round++) {
      for (const markets of row.markets) {
        for (const subject of row.subjects) await measure(stage, row, subject, markets, round)
      }
    }
  }
})
