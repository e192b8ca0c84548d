/**
 * T22, by hand: `SOAK_MINUTES=60 npx vitest run --project soak`. `SOAK_RATE` trades a second (5 000), Kafka away for the first half of the
 * time, then back: memory and open files stay flat while the backlog grows, while it drains and afterwards, nothing is lost, and the
 * backlog leaves at five times the rate at which more comes.
 */
import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { brokenLaw, ledgerOf, sum } from "../e2e/Service.ts"
import { cleanups, ready, sentCount, stage } from "../e2e/Stage.ts"
import * as Broker from "../kafka/Broker.ts"

const minutes = Number(process.env["SOAK_MINUTES"] ?? 60)
const rate = Number(process.env["SOAK_RATE"] ?? 5_000)

interface Sample {
  readonly phase: "away" | "draining" | "well"
  /** Seconds since the beginning. */
  readonly at: number
  /** MiB, and what of it V8 took, had in use, and knew of outside its heap. */
  readonly rss: number
  readonly heap: number
  readonly used: number
  readonly external: number
  readonly files: number
  readonly queued: number
  readonly delivered: number
}

/** Until then V8 compiles, and the heap finds its size. */
const settling = 0.25

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
    // As Dockerfile and deploy/kubernetes have it: without a limit V8 takes twice as much before it looks for garbage, and malloc's
    // arenas, one for each thread, keep what a drain takes for a moment.
    const service = s.start({
      MALLOC_ARENA_MAX: "1",
      NODE_OPTIONS: "--max-old-space-size=320",
      QUEUE_MAX_BYTES: "16GiB"
    })
    await ready(s)
    const pid = service.process.pid ?? 0
    const rss = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024
    const samples: Array<Sample> = []
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
    const watch = async (phase: Sample["phase"], seconds: number) => {
      for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
        await new Promise((resolve) => setTimeout(resolve, 5_000))
        const metrics = await service.samples()
        const rows = ledgerOf(metrics)
        const memory = (name: string) => Math.round((metrics.find((one) => one.name === name)?.value ?? 0) / 2 ** 20)
        forget()
        const sample = {
          phase,
          at: Math.round((Date.now() - began) / 1000),
          rss: Math.round(rss()),
          heap: memory("nodejs_heap_size_total_bytes"),
          used: memory("nodejs_heap_size_used_bytes"),
          external: memory("nodejs_external_memory_bytes"),
          files: readdirSync(`/proc/${pid}/fd`).length,
          queued: sum(rows, "queued"),
          delivered: sum(rows, "delivered")
        }
        samples.push(sample)
        console.log(JSON.stringify(sample))
        if (phase === "draining" && sample.queued < rate) return
      }
    }
    await broker.kill()
    await watch("away", minutes * 30)
    await broker.start()
    const back = Date.now()
    await watch("draining", minutes * 30)
    await watch("well", minutes * 30 - (Date.now() - back) / 1000)
    for (const stop of stops) stop()
    const rows = await service.settled(forgotten + sentCount(s), 600_000)
    assert.isUndefined(brokenLaw(rows))
    assert.strictEqual(sum(rows, "dropped"), 0)
    const draining = samples.filter(({ phase }) => phase === "draining")
    const last = draining.at(-1)
    if (last === undefined) throw new Error("it was not seen draining")
    // From the moment at which the broker was there again, which has to be found out.
    const drained = last.delivered / (last.at - (back - began) / 1000)
    const settled = samples.slice(Math.ceil(samples.length * settling))
    const files = settled.map((one) => one.files)
    const figures = (some: ReadonlyArray<Sample>) => {
      const all = some.map((one) => one.rss)
      return { mean: Math.round(mean(all)), least: Math.min(...all), most: Math.max(...all) }
    }
    const whole = figures(settled)
    /** How far the outermost are from the middle between them. */
    const strayed = (whole.most - whole.least) / (whole.most + whole.least)
    console.log(JSON.stringify({
      backlog: Math.max(...samples.map(({ queued }) => queued)),
      deliveredPerSecondOfDrain: Math.round(drained),
      rate,
      rss: whole,
      strayed: Math.round(strayed * 1000) / 1000,
      away: figures(settled.filter(({ phase }) => phase === "away")),
      draining: figures(settled.filter(({ phase }) => phase === "draining")),
      well: figures(settled.filter(({ phase }) => phase === "well")),
      files: [Math.min(...files), Math.max(...files)]
    }))
    assert.isAtLeast(drained, 5 * rate)
    assert.isAtMost(strayed, 0.1)
    assert.isBelow(Math.max(...files) - Math.min(...files), 40)
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
  }, 3 * 3_600_000)
})
