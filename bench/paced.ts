/**
 * At rates as they are: 200, 1 000 and 5 000 trades a second, one a frame, after a warm-up at the last of them. Latency goes from the
 * exchange's write of the frame to the broker's answer that acknowledges the record (`Tap.ts`), for the bare loop as for the collector.
 * Then the same with other lingers: what promptness costs.
 *
 * `ROUNDS` (5), `LINGER_ROUNDS` (2), `SECONDS` of the highest rate (4).
 */
import { readTopic } from "../test/kafka/Consumer.ts"
import * as Frames from "./support/Frames.ts"
import { pause, print, printed, type Scene, type Stage, withStage } from "./support/Stage.ts"
import { quantiles, rounded } from "./support/Statistics.ts"
import type { SubjectName } from "./support/Subject.ts"
import * as Tap from "./support/Tap.ts"
import * as Threads from "./support/Threads.ts"

const rounds = Number(process.env["ROUNDS"] ?? 5)
const lingerRounds = Number(process.env["LINGER_ROUNDS"] ?? 2)
const seconds = Number(process.env["SECONDS"] ?? 4)
const markets = 60
const warmSeconds = 5
const warmRate = 5_000

/** The fewer a second, the longer: the 99th of a hundred is to be one of some ten. */
const rates = [{ rate: 200, share: 1.5 }, { rate: 1_000, share: 1.2 }, { rate: 5_000, share: 1 }]

/** Undefined: as it is by default. */
type Linger = number | undefined

interface Stretch {
  readonly rate: number
  readonly from: number
  readonly trades: number
  readonly cpu: Threads.Cpu
  readonly rssPeakMiB: number
}

const stretch = async (
  { exchange, subject, until }: Scene,
  rate: number,
  trades: number
): Promise<Stretch> => {
  const { sent: from } = await exchange.ask("state", {})
  subject.forgetPeak()
  const cpu = Threads.cpuOf(subject.pid)
  await exchange.ask("pace", { rate, trades })
  await pause(trades / rate * 1000)
  await until(from + trades, 30_000)
  return {
    rate,
    from,
    trades,
    cpu: Threads.between(cpu, Threads.cpuOf(subject.pid), trades),
    rssPeakMiB: Math.round(subject.peak())
  }
}

/** Of each trade of the topic, by its number: when it was acknowledged. */
const acknowledgedAt = async (broker: string, { exchange, topic }: Scene): Promise<ReadonlyArray<number>> => {
  const { batches } = await exchange.ask("seen", { from: 0, trades: 0, topic })
  const timeOf = Tap.timesOf(batches)
  const times: Array<number> = []
  for (const { headers, offset, partition } of await readTopic(broker, topic)) {
    const n = Frames.numberOf(headers["id"] ?? "")
    // One that came twice was in Kafka with its first.
    if (n !== undefined) times[n] = Math.min(times[n] ?? Infinity, timeOf(partition, offset) ?? Infinity)
  }
  return times
}

const measure = ({ broker, cores, run }: Stage, subject: SubjectName, linger: Linger, round: number): Promise<void> =>
  run(
    { subject, shape: "one", markets, env: linger === undefined ? {} : { KAFKA_LINGER: `${linger}ms` } },
    async (scene) => {
      await stretch(scene, warmRate, warmRate * warmSeconds)
      const stretches: Array<Stretch> = []
      for (const { rate, share } of rates) {
        stretches.push(await stretch(scene, rate, Math.round(rate * seconds * share)))
      }
      const times = await acknowledgedAt(broker.address, scene)
      for (const { cpu, from, rate, rssPeakMiB, trades } of stretches) {
        const { writtenAt } = await scene.exchange.ask("seen", { from, trades, topic: scene.topic })
        const latencies = writtenAt.map((at, i) => (times[from + i] ?? NaN) - at)
        if (!latencies.every(Number.isFinite)) {
          throw new Error(`of some trades at ${rate}/s nobody saw the acknowledgement`)
        }
        const [p50 = NaN, p99 = NaN, most = NaN] = quantiles(latencies, [0.5, 0.99, 1])
        print({
          bench: "paced",
          subject,
          linger: linger ?? null,
          rate,
          round,
          trades,
          pinned: cores !== undefined,
          ...printed(cpu),
          p50Ms: rounded(p50),
          p99Ms: rounded(p99),
          maxMs: rounded(most),
          rssPeakMiB
        })
      }
    }
  )

await withStage({ tapped: true }, async (stage) => {
  for (let round = 0; round < rounds; round++) {
    await measure(stage, "bare loop", undefined, round)
    await measure(stage, "exchange-feeds", undefined, round)
    await measure(stage, "exchange-feeds", 0, round)
  }
  for (let round = 0; round < lingerRounds; round++) {
    for (const linger of [1, 10, 20]) await measure(stage, "exchange-feeds", linger, round)
  }
})
