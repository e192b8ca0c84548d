/**
 * T22, by hand: `SOAK_MINUTES=60 npx vitest run --project soak`. `SOAK_RATE` trades a second (5 000), Kafka away for the first half of the
 * time, then back: memory and open files stay flat while the backlog grows and while it drains, and nothing is lost.
 */
import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { brokenLaw, sum } from "../e2e/Service.ts"
import { cleanups, ready, sentCount, stage } from "../e2e/Stage.ts"
import * as Broker from "../kafka/Broker.ts"

const minutes = Number(process.env["SOAK_MINUTES"] ?? 60)
const rate = Number(process.env["SOAK_RATE"] ?? 5_000)

const mean = (numbers: ReadonlyArray<number>) => numbers.reduce((a, b) => a + b, 0) / Math.max(1, numbers.length)

describe("soak", () => {
  it(`${minutes} minutes at ${rate} a second`, async () => {
    const broker = await Broker.make()
    await broker.start()
    cleanups.push(async () => {
      await broker.stop()
      broker.remove()
    })
    const s = await stage(broker.address, 30, 1, 50)
    // As deploy/kubernetes has it: without a limit V8 takes twice as much before it looks for garbage.
    const service = s.start({ QUEUE_MAX_BYTES: "16GiB", NODE_OPTIONS: "--max-old-space-size=384" })
    await ready(s)
    const pid = service.process.pid ?? 0
    const rss = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024
    const samples: Array<
      {
        readonly at: number
        readonly rss: number
        readonly files: number
        readonly queued: number
        readonly delivered: number
      }
    > = []
    /** The fakes keep each trade for a judge: millions of them end the test's own process. */
    let forgotten = 0
    const forget = () => {
      for (const { issued } of s.exchanges) {
        const old = issued.splice(0, Math.max(0, issued.length - 10_000))
        forgotten += old.filter(({ sent }) => sent).length
      }
    }
    const began = Date.now()
    const stops = s.exchanges.map((exchange) => exchange.flood(rate / 2))
    const watch = async (seconds: number, until: (queued: number) => boolean = () => false) => {
      for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
        await new Promise((resolve) => setTimeout(resolve, 5_000))
        const rows = await service.ledger()
        forget()
        const sample = {
          at: Math.round((Date.now() - began) / 1000),
          rss: Math.round(rss()),
          files: readdirSync(`/proc/${pid}/fd`).length,
          queued: sum(rows, "queued"),
          delivered: sum(rows, "delivered")
        }
        samples.push(sample)
        console.log(JSON.stringify(sample))
        if (until(sample.queued)) return
      }
    }
    await broker.kill()
    await watch(minutes * 30)
    const backlog = samples.at(-1)?.queued ?? 0
    await broker.start()
    const drainFrom = Date.now()
    await watch(minutes * 30, (queued) => queued === 0)
    const drained = (backlog / (Date.now() - drainFrom)) * 1000
    for (const stop of stops) stop()
    const rows = await service.settled(forgotten + sentCount(s), 600_000)
    assert.isUndefined(brokenLaw(rows))
    assert.strictEqual(sum(rows, "dropped"), 0)
    const half = samples.slice(Math.ceil(samples.length / 4))
    const level = mean(half.map(({ rss }) => rss))
    const files = half.map(({ files }) => files)
    console.log(JSON.stringify({
      backlog,
      drainedPerSecond: Math.round(drained),
      rate,
      rssMean: Math.round(level),
      rssMin: Math.min(...half.map(({ rss }) => rss)),
      rssMax: Math.max(...half.map(({ rss }) => rss)),
      files: [Math.min(...files), Math.max(...files)]
    }))
    // A backlog in memory would be many times that.
    assert.isBelow(Math.max(...half.map(({ rss }) => rss)), level * 1.5)
    assert.isBelow(Math.max(...files) - Math.min(...files), 40)
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
  }, 3 * 3_600_000)
})
