/**
 * What the checkpoint costs with `MARKETS` markets (6 000 if not given), 256 trades of each remembered, while `TRADES` trades a second
 * (500) come for `SECONDS` seconds of their time (600; they are not waited for): bytes written in a second, the longest step in which the
 * program does nothing else, the size of the directory; and how long the next life takes to read it, and to give it to the feeds (`view`).
 * One JSON object a line.
 */
import { Effect, Fiber } from "effect"
import { existsSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { setImmediate } from "node:timers/promises"
import * as FairScheduler from "../src/layers/cli/Process/FairScheduler.ts"
import { checkpointStore } from "../src/layers/DataDirectory.ts"
import * as NodeFileOps from "../src/layers/node/FileOps.ts"
import * as Checkpoint from "../src/services/Checkpoint.ts"
import { FileOps } from "../src/services/FileOps.ts"
import { encode, type EventRecord } from "../src/services/MarketEvent.ts"

const markets = Number(process.env["MARKETS"] ?? 6_000)
const perSecond = Number(process.env["TRADES"] ?? 500)
const seconds = Number(process.env["SECONDS"] ?? 600)

const began = Date.parse("2026-06-11T12:00:00.000Z")

const trade = (market: number, n: number): EventRecord =>
  encode({
    type: "trade",
    v: 1,
    exchange: "bitpin",
    symbol: `M${market}/IRT`,
    exchangeSymbol: `M${market}_IRT`,
    id: `bitpin:M${market}/IRT:t:${73_000_000 + n}_${74_000_000 + n}`,
    price: "11379465211",
    amount: "0.0108687",
    side: "sell",
    timestamp: new Date(began + n * 10).toISOString(),
    receivedAt: "2026-06-11T12:59:45.301Z",
    source: "ws"
  })

/** CPU time of this process so far, ms: on a machine that others use too, the clock would count their work. */
const cpu = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1000
}

const own = `/proc/self/task/${process.pid}/schedstat`
const schedstat = existsSync(own) ? openSync(own, "r") : undefined
const text = Buffer.alloc(64)

/**
 * The same of the thread that runs the program, ms: what V8 collects and marks beside it holds nothing up, and is counted in the whole. Of the
 * whole where the kernel does not tell it (Linux does).
 */
const ownCpu = (): number => {
  if (schedstat === undefined) return cpu()
  const length = readSync(schedstat, text, 0, text.length, 0)
  return Number(text.toString("latin1", 0, length).split(" ")[0]) / 1e6
}

/** The longest stretch in which nothing else ran, ms of CPU: a loop beside it that does nothing else than look how much it took. */
const watch = () => {
  let longest = 0
  let last = ownCpu()
  let isOver = false
  const loop = async () => {
    while (!isOver) {
      await setImmediate()
      const now = ownCpu()
      longest = Math.max(longest, now - last)
      last = now
    }
  }
  const ended = loop()
  return {
    reset: () => {
      longest = 0
      last = ownCpu()
    },
    longest: () => longest,
    end: () => {
      isOver = true
      return ended
    }
  }
}

const round = (x: number, digits = 1): number => Number(x.toFixed(digits))

const sizeOf = (directory: string): number =>
  readdirSync(directory).reduce((sum, name) => sum + statSync(path.join(directory, name)).size, 0)

const run = (directory: string) =>
  Effect.gen(function*() {
    const files = yield* FileOps
    let bytes = 0
    const counting: typeof files = {
      ...files,
      open: (path, mode) =>
        Effect.map(files.open(path, mode), (file) => ({
          ...file,
          write: (data, position) =>
            Effect.tap(file.write(data, position), (count) => Effect.sync(() => bytes += count))
        }))
    }
    const checkpoint = yield* Checkpoint.make(checkpointStore(counting, directory))
    for (let market = 0; market < markets; market++) {
      yield* checkpoint.settle(Array.from({ length: 256 }, (_, n) => trade(market, n)))
    }
    const watching = watch()
    const firstAt = cpu()
    yield* checkpoint.write
    console.log(JSON.stringify({
      bench: "checkpoint.all",
      markets,
      mib: round(bytes / 2 ** 20),
      cpu_ms: round(cpu() - firstAt),
      longest_step_cpu_ms: round(watching.longest())
    }))

    let most = 0
    let all = 0
    let largest = 0
    const steps: Array<number> = []
    for (let second = 0; second < seconds; second++) {
      const records = Array.from(
        { length: perSecond },
        (_, i) => trade((second * perSecond + i * 7) % markets, 256 + second)
      )
      yield* Effect.promise(() => setImmediate())
      bytes = 0
      watching.reset()
      yield* checkpoint.settle(records, second)
      yield* checkpoint.write
      steps.push(watching.longest())
      most = Math.max(most, bytes)
      all += bytes
      largest = Math.max(largest, sizeOf(directory))
    }
    yield* Effect.promise(watching.end)
    const sorted = (numbers: Array<number>) => numbers.sort((a, b) => a - b)
    const at = (numbers: Array<number>, part: number) =>
      round(sorted(numbers)[Math.floor(part * (numbers.length - 1))] ?? 0)
    console.log(JSON.stringify({
      bench: "checkpoint.seconds",
      trades_per_second: perSecond,
      kib_mean: round(all / seconds / 1024),
      kib_most: round(most / 1024),
      step_cpu_ms: { p50: at(steps, 0.5), p99: at(steps, 0.99), most: at(steps, 1) },
      directory_mib_most: round(largest / 2 ** 20),
      files: readdirSync(directory).length
    }))

    const reading = watch()
    const readAt = cpu()
    const next = yield* Checkpoint.make(checkpointStore(files, directory))
    const read = cpu() - readAt
    const longest = reading.longest()
    reading.reset()
    const viewAt = cpu()
    const known = yield* next.markets
    yield* Effect.promise(() => setImmediate())
    console.log(JSON.stringify({
      bench: "checkpoint.read",
      markets: known.size,
      cpu_ms: round(read),
      longest_step_cpu_ms: round(longest),
      view_cpu_ms: round(cpu() - viewAt),
      view_longest_step_cpu_ms: round(reading.longest()),
      rss_mib: Math.round(process.memoryUsage.rss() / 2 ** 20)
    }))
    yield* Effect.promise(reading.end)
  }).pipe(Effect.provide(NodeFileOps.layer))

const directory = mkdtempSync(path.join(tmpdir(), "bench-checkpoint-"))
try {
  // As the service does.
  await Effect.runPromise(Fiber.join(Effect.runFork(run(directory), { scheduler: FairScheduler.make() })))
} finally {
  rmSync(directory, { recursive: true })
}
