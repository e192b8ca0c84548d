/** How fast probes are answered, measured from outside: nothing else may run meanwhile. */
import { execFile } from "node:child_process"
import * as path from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "vitest"
import { until } from "./Service.ts"
import { cleanups, ready, stage } from "./Stage.ts"

const execute = promisify(execFile)

describe("probes", () => {
  it("p99 under 50 ms over 200 calls, Kafka away, under flood", async () => {
    /** Trades a second, of each of the two exchanges. */
    const rate = 1_000
    const s = await stage("127.0.0.1:1", 3)
    const service = s.start({ RETRY_BASE_DELAY: "200ms", KAFKA_BREAKER_TIMEOUT: "1s" })
    await ready(s)
    const stops = s.exchanges.map((exchange) => exchange.flood(rate))
    cleanups.push(() => {
      for (const stop of stops) stop()
    })
    await until("Kafka is away", async () => {
      const { checks } = JSON.parse((await service.get("/health")).body)
      return checks.kafka.status === "unhealthy"
    }, 30_000)
    // It is the outage that is measured, and not V8 that compiles a process just started: its first calls took up to 100 ms.
    await until("it has worked for a while", async () => {
      const received = (await service.samples()).filter(({ name }) => name === "feeds_events_received_total")
      return received.reduce((total, { value }) => total + value, 0) > 6 * rate
    }, 30_000)
    const { stdout } = await execute(process.execPath, [
      path.resolve(import.meta.dirname, "../support/prober.mjs"),
      await service.baseUrl(),
      "200"
    ])
    const times: Array<number> = JSON.parse(stdout)
    assert.lengthOf(times, 200)
    times.sort((a, b) => a - b)
    assert.isBelow(times[197] ?? 0, 50, `ms; median ${times[100]}`)
  }, 60_000)
})
