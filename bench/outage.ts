/**
 * Kafka stands still (SIGSTOP, connections stay open) for `FROZEN` seconds (20) while `RATE` trades a second (2 000) come, and afterwards:
 * how long until the first record is in Kafka again, and how fast what has waited goes out while trades go on coming. Two runs.
 */
import { pause, print, printed, withStage } from "./support/Stage.ts"
import * as Threads from "./support/Threads.ts"

const rounds = Number(process.env["ROUNDS"] ?? 2)
const frozen = Number(process.env["FROZEN"] ?? 20)
const rate = Number(process.env["RATE"] ?? 2_000)

/** Before and, at most, after it, seconds. */
const before = 5
const after = 60

await withStage({}, async ({ broker, cores, run }) => {
  for (let round = 0; round < rounds; round++) {
    const figures = await run({ subject: "exchange-feeds", shape: "one", markets: 60 }, async (scene) => {
      const { exchange, inKafka, subject, until } = scene
      const trades = rate * (before + frozen + after)
      await exchange.ask("pace", { rate, trades })
      await pause(before * 1000)
      await broker.freeze()
      const outage = Threads.cpuOf(subject.pid)
      await pause(frozen * 1000)
      const outageCpu = Threads.between(outage, Threads.cpuOf(subject.pid), frozen * rate)
      subject.forgetPeak()
      broker.thaw()
      const thawed = performance.now()
      const waited = await inKafka()
      const first = await until(waited + 1)
      const cpu = Threads.cpuOf(subject.pid)
      // Drained: what Kafka lacks is what is on its way anyhow.
      const drained = await (async () => {
        for (;;) {
          const { sent } = await exchange.ask("state", {})
          const now = await until(sent - rate / 10)
          if ((await exchange.ask("state", {})).sent - now.count <= rate / 10) return now
        }
      })()
      const count = drained.count - first.count
      return {
        backlog: Math.round(frozen * rate),
        backAfterMs: Math.round(first.at - thawed),
        drainPerSecond: Math.round((drained.count - first.count) / (drained.at - first.at) * 1000),
        drainMs: Math.round(drained.at - first.at),
        outageCpuUs: Math.round(outageCpu.all),
        ...printed(Threads.between(cpu, Threads.cpuOf(subject.pid), count)),
        rssPeakMiB: Math.round(subject.peak())
      }
    })
    print({
      bench: "outage",
      subject: "exchange-feeds",
      rate,
      frozenSeconds: frozen,
      round,
      pinned: cores !== undefined,
      ...figures
    })
  }
})
