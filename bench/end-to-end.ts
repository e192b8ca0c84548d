/**
 * From a loopback exchange to the broker's acknowledgement: the service beside a bare loop, alternating in one run. Ratios, not
 * absolutes: exchange, collector and broker share the machine's cores. One JSON object a line.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { Service, sum, until } from "../test/e2e/Service.ts"
import { createTopic } from "../test/kafka/Admin.ts"
import * as Broker from "../test/kafka/Broker.ts"

const trades = Number(process.env["TRADES"] ?? 100_000)
const markets = 60
const rounds = Number(process.env["ROUNDS"] ?? 2)

/** User and system time of a process so far, seconds. */
const cpuOf = (pid: number | undefined): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

const support = (file: string, env: Readonly<Record<string, string>>) =>
  spawn(process.execPath, ["--import", "tsx", path.join(import.meta.dirname, "support", file)], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"]
  })

const startFlood = async () => {
  const process_ = support("flood.ts", { MARKETS: String(markets), TRADES: String(trades) })
  const port = await new Promise<string>((resolve) =>
    process_.stdout.once("data", (data: Buffer) => resolve(String(data).trim()))
  )
  return {
    stop: () => process_.kill("SIGKILL"),
    api: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}/connection/websocket`
  }
}

interface Result {
  readonly seconds: number
  readonly cpuSeconds: number
  readonly rssMiB: number
}

const runOurs = async (broker: string, round: number, mode: string): Promise<Result> => {
  const flood = await startFlood()
  const dataDir = mkdtempSync(path.join(tmpdir(), "bench-"))
  const service = new Service({
    KAFKA_BROKER: broker,
    DATA_DIR: dataDir,
    EXCHANGES: "bitpin",
    BITPIN_API_URL: flood.api,
    BITPIN_WS_URL: flood.ws,
    KAFKA_TOPIC_PREFIX: `ours${round}${mode}`,
    QUEUE_MODE: mode
  })
  try {
    const received = async () => sum(await service.ledger(), "received")
    await until("the first trade", async () => await received() > 0, 60_000, () => service.tail())
    const started = performance.now()
    const cpu = cpuOf(service.process.pid)
    const before = await received()
    await service.settled(trades, 300_000)
    const share = trades / (trades - before)
    return {
      seconds: (performance.now() - started) / 1000 * share,
      cpuSeconds: (cpuOf(service.process.pid) - cpu) * share,
      rssMiB: Math.round(service.peakRss)
    }
  } finally {
    await service.stop("SIGKILL")
    flood.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

const runBare = async (broker: string, round: number): Promise<Result> => {
  const flood = await startFlood()
  const topic = `bare${round}`
  await createTopic(broker, topic)
  const loop = support("bare.ts", {
    MARKETS: String(markets),
    TRADES: String(trades),
    KAFKA_BROKER: broker,
    TOPIC: topic,
    BITPIN_WS_URL: flood.ws
  })
  // As in the service's case the clock starts when everything is subscribed; half a second later trades come.
  const idle = await new Promise<{ readonly at: number; readonly cpu: number }>((resolve) => {
    let last = -1
    const watch = setInterval(() => {
      const cpu = cpuOf(loop.pid)
      if (last >= 0 && cpu === last) {
        clearInterval(watch)
        resolve({ at: performance.now(), cpu })
      }
      last = cpu
    }, 100)
  })
  let cpu = idle.cpu
  let rss = 0
  const sampler = setInterval(() => {
    try {
      cpu = Math.max(cpu, cpuOf(loop.pid))
      rss = Math.max(
        rss,
        Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${loop.pid}/status`, "utf8"))?.[1] ?? 0) / 1024
      )
    } catch {
      // It has just ended.
    }
  }, 20)
  await new Promise((resolve) => loop.once("exit", resolve))
  clearInterval(sampler)
  flood.stop()
  return { seconds: (performance.now() - idle.at) / 1000 - 0.4, cpuSeconds: cpu - idle.cpu, rssMiB: Math.round(rss) }
}

const report = (subject: string, result: Result): void => {
  process.stdout.write(`${
    JSON.stringify({
      bench: "end-to-end",
      subject,
      trades,
      perSecond: Math.round(trades / result.seconds),
      cpuMicrosPerTrade: Math.round(result.cpuSeconds / trades * 1e7) / 10,
      rssMiB: result.rssMiB
    })
  }\n`)
}

const best = (results: ReadonlyArray<Result>): Result => results.reduce((a, b) => a.seconds <= b.seconds ? a : b)

const broker = await Broker.make()
await broker.start()
try {
  const bare: Array<Result> = []
  const ours: Array<Result> = []
  for (let round = 0; round < rounds; round++) {
    bare.push(await runBare(broker.address, round))
    ours.push(await runOurs(broker.address, round, "fallback"))
  }
  const journal = await runOurs(broker.address, rounds, "journal")
  report("bare loop", best(bare))
  report("exchange-feeds", best(ours))
  report("exchange-feeds, journal", journal)
  const ratio = best(bare).seconds / best(ours).seconds
  process.stdout.write(
    `${JSON.stringify({ bench: "end-to-end", ratio: Math.round(ratio * 100) / 100, wanted: 0.5 })}\n`
  )
} finally {
  await broker.stop()
  broker.remove()
}
