/** A thousand markets without a trade, on ten connections as by default and on one: CPU in percent of a core, memory. `SECONDS` (10) each. */
import { pause, print, withStage } from "./support/Stage.ts"
import { rounded } from "./support/Statistics.ts"
import * as Threads from "./support/Threads.ts"

const seconds = Number(process.env["SECONDS"] ?? 10)
const markets = 1_000

await withStage({}, async ({ cores, run }) => {
  for (const connections of [10, 1]) {
    const env = { WS_SUBSCRIPTIONS_PER_CONNECTION: `${markets / connections}` }
    const figures = await run({ subject: "exchange-feeds", shape: "one", markets, env }, async ({ subject }) => {
      // The rest of the start: answers to the last subscriptions, the first checkpoint.
      await pause(2_000)
      const before = Threads.cpuOf(subject.pid)
      const began = performance.now()
      await pause(seconds * 1000)
      const spent = Threads.between(before, Threads.cpuOf(subject.pid), (performance.now() - began) * 10)
      return { percentOfCore: rounded(spent.all), rssMiB: Math.round(subject.rss()) }
    })
    print({ bench: "idle", subject: "exchange-feeds", markets, connections, pinned: cores !== undefined, ...figures })
  }
})
