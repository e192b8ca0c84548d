/**
 * The built service as a child process, between fake exchanges and a real Kafka: what issue 3 promises, line by line.
 */
import { mkdtempSync, rmSync } from "node:fs"
import * as net from "node:net"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { afterEach, assert, describe, inject, it } from "vitest"
import { FakeBitpinExchange } from "../../src/layers/testing/FakeBitpin.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import { FakeWallexExchange } from "../../src/layers/testing/FakeWallex.ts"
import { judge } from "../../src/layers/testing/Oracle.ts"
import type { Trade } from "../../src/services/MarketEvent.ts"
import { createTopic } from "../kafka/Admin.ts"
import * as Broker from "../kafka/Broker.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { brokenLaw, Service, sum, until } from "./Service.ts"

/** What a test started, to be ended whatever happens. */
const cleanups: Array<() => Promise<unknown> | void> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let serial = 0

interface Stage {
  readonly bitpin: FakeBitpinExchange
  readonly wallex: FakeWallexExchange
  readonly exchanges: ReadonlyArray<FakeExchange>
  readonly topic: string
  readonly start: (env?: Readonly<Record<string, string>>) => Service
}

const stage = async (broker: string, markets = 30): Promise<Stage> => {
  const bitpin = new FakeBitpinExchange({ markets, window: 3, batch: 4 })
  const wallex = new FakeWallexExchange({ markets })
  await Promise.all([bitpin.server.listen(), wallex.server.listen()])
  const dataDir = mkdtempSync(path.join(tmpdir(), "feeds-e2e-"))
  const prefix = `e2e${process.pid}x${serial++}`
  cleanups.push(
    () => rmSync(dataDir, { recursive: true, force: true }),
    () => bitpin.server.close(),
    () => wallex.server.close()
  )
  return {
    bitpin,
    wallex,
    exchanges: [bitpin, wallex],
    topic: `${prefix}.trade.v1`,
    start: (env = {}) => {
      const service = new Service({
        KAFKA_BROKER: broker,
        KAFKA_TOPIC_PREFIX: prefix,
        DATA_DIR: dataDir,
        BITPIN_API_URL: bitpin.server.apiUrl,
        BITPIN_WS_URL: bitpin.server.wsUrl,
        WALLEX_API_URL: wallex.server.apiUrl,
        WALLEX_WS_URL: wallex.server.wsUrl,
        WS_STAGGER: "50ms",
        RETRY_BASE_DELAY: "100ms",
        RETRY_MAX_DELAY: "2s",
        ...env
      })
      cleanups.push(async () => {
        service.process.kill("SIGKILL")
        await service.exited
      })
      return service
    }
  }
}

const ready = (s: Stage) => Promise.all(s.exchanges.map((exchange) => exchange.ready()))

/** So many trades, half from each exchange, in bursts as a busy exchange sends them. */
const emit = async (s: Stage, count: number, burst = 100): Promise<void> => {
  for (let done = 0; done < count; done += burst) {
    s.bitpin.trades(Math.ceil(burst / 2))
    s.wallex.trades(Math.floor(burst / 2))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const sentCount = (s: Stage): number =>
  s.exchanges.reduce((total, { issued }) => total + issued.filter(({ sent }) => sent).length, 0)

/** Kafka's records as an independent reader sees them, judged by what the exchanges know they sent. */
const verify = async (s: Stage, broker: string, duplicates: "none" | "allowed" = "none") => {
  const records = await Consumer.readTopic(broker, s.topic)
  const trades = records.map(({ value }): Trade => JSON.parse(value))
  const verdict = judge(s.exchanges.flatMap(({ issued }) => issued), trades)
  assert.deepStrictEqual(verdict.missing.slice(0, 5), [], `${verdict.missing.length} missing`)
  assert.deepStrictEqual(verdict.foreign.slice(0, 5), [], "foreign or changed")
  assert.deepStrictEqual(verdict.disordered.slice(0, 5), [], "order of first deliveries")
  if (duplicates === "none") assert.deepStrictEqual(verdict.duplicates.slice(0, 5), [], "duplicates")
  records.forEach((record, i) => {
    const trade = trades[i]
    assert.strictEqual(record.key, `${trade?.exchange}:${trade?.symbol}`)
    assert.strictEqual(record.headers["id"], trade?.id)
    assert.strictEqual(record.headers["schema"], "trade/1")
    assert.strictEqual(record.timestamp, Date.parse(trade?.receivedAt ?? ""))
  })
  return records
}

/** librdkafka's own murmur2 puts each key where we put it. */
const assertMurmur2 = async (broker: string, records: ReadonlyArray<Consumer.Read>): Promise<void> => {
  const partitions = new Map(records.map(({ key, partition }) => [key, partition]))
  const topic = `e2e${process.pid}murmur${serial++}`
  await createTopic(broker, topic)
  const input = [...partitions.keys()].map((key) => `${key}|x\n`).join("")
  await Consumer.kcat(["-P", "-b", broker, "-t", topic, "-K", "|", "-X", "partitioner=murmur2_random"], input)
  for (const { key, partition } of await Consumer.readTopic(broker, topic)) {
    assert.strictEqual(partitions.get(key), partition, key)
  }
}

describe("the service", () => {
  it("delivers 10 000 trades of 60 markets exactly once, in order, to the byte, in murmur2's partition", async () => {
    const broker = inject("kafkaBroker")
    const s = await stage(broker)
    const service = s.start()
    await ready(s)
    await emit(s, 10_000)
    const rows = await service.settled(sentCount(s))
    const records = await verify(s, broker)
    assert.isAtLeast(records.length, 10_000)
    assert.isUndefined(brokenLaw(rows))
    await assertMurmur2(broker, records)
    assert.strictEqual((await service.get("/health")).status, 200)
    assert.strictEqual((await service.get("/health/ready")).status, 200)
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
  }, 120_000)

  it("loses nothing when the broker is killed for twenty seconds, and memory stays bounded", async () => {
    const broker = await Broker.make()
    await broker.start()
    cleanups.push(async () => {
      await broker.stop()
      broker.remove()
    })
    const s = await stage(broker.address)
    const service = s.start()
    await ready(s)
    await emit(s, 2_000)
    await broker.kill()
    const end = Date.now() + 20_000
    // About 2 000 a second, many times what both exchanges together send.
    while (Date.now() < end) {
      await emit(s, 100)
      await new Promise((resolve) => setTimeout(resolve, 45))
    }
    const health = JSON.parse((await service.get("/health")).body)
    assert.strictEqual(health.status, "degraded")
    assert.strictEqual((await service.get("/health/ready")).status, 200)
    await broker.start()
    await emit(s, 2_000)
    const rows = await service.settled(sentCount(s))
    assert.isUndefined(brokenLaw(rows))
    await verify(s, broker.address, "allowed")
    assert.isBelow(service.peakRss, 250, "MiB")
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
  }, 180_000)

  it("starts without a broker and delivers all once there is one", async () => {
    const broker = await Broker.make()
    cleanups.push(async () => {
      await broker.stop()
      broker.remove()
    })
    const s = await stage(broker.address)
    const service = s.start()
    await ready(s)
    await emit(s, 4_000)
    await broker.start()
    await emit(s, 1_000)
    const rows = await service.settled(sentCount(s))
    assert.isUndefined(brokenLaw(rows))
    await verify(s, broker.address)
    assert.isBelow(service.peakRss, 250, "MiB")
  }, 120_000)

  for (const mode of ["fallback", "journal"]) {
    it(
      `kill -9 in an outage: what the queue had taken arrives after the restart, before anything newer (${mode})`,
      async () => {
        const broker = await Broker.make()
        cleanups.push(async () => {
          await broker.stop()
          broker.remove()
        })
        const s = await stage(broker.address)
        const first = s.start({ QUEUE_MODE: mode })
        await ready(s)
        await emit(s, 3_000)
        // All of it on disk: what is in flight is not promised.
        await until(
          "everything is queued",
          async () => {
            const rows = await first.ledger()
            return sum(rows, "queued") >= sentCount(s) && sum(rows, "inFlight") === 0
          },
          20_000,
          () => first.tail()
        )
        const before = sentCount(s)
        await first.stop("SIGKILL")
        const second = s.start({ QUEUE_MODE: mode })
        await ready(s)
        await emit(s, 1_000)
        await broker.start()
        const rows = await second.settled(sentCount(s) - before)
        assert.isUndefined(brokenLaw(rows))
        const recovered = rows.find(({ exchange }) => exchange === "recovered")
        assert.isAtLeast(recovered?.delivered ?? 0, 3_000)
        await verify(s, broker.address)
      },
      120_000
    )
  }

  it(
    "SIGTERM with a slow client on the health port: exit 0 in time, nothing lost, no duplicate after the restart",
    async () => {
      const broker = inject("kafkaBroker")
      const s = await stage(broker)
      const first = s.start()
      await ready(s)
      await emit(s, 1_000)
      const before = s.exchanges.flatMap(({ issued }) => issued)
      await until(
        "all is received",
        async () => {
          const rows = await first.ledger()
          return sum(rows, "received") - sum(rows, "filtered") >= before.length
        },
        20_000,
        () => first.tail()
      )
      const { port } = new URL(await first.baseUrl())
      const slow = net.connect(Number(port), "127.0.0.1")
      slow.on("error", () => {})
      cleanups.push(() => {
        slow.destroy()
      })
      slow.write("GET /health HTTP/1.1\r\nHost: x\r\n") // and never the end of it
      const started = performance.now()
      const stopping = first.stop()
      s.bitpin.trades(200)
      assert.deepStrictEqual(await stopping, { code: 0, signal: null }, first.tail())
      assert.isBelow(performance.now() - started, 20_000)
      // What reached nobody any more was not sent to a collector that listens.
      const second = s.start()
      await ready(s)
      await emit(s, 1_000)
      assert.isUndefined(brokenLaw(await second.settled(900)))
      assert.deepStrictEqual(await second.stop(), { code: 0, signal: null })
      const records = await Consumer.readTopic(broker, s.topic)
      const ids = records.map(({ headers }) => headers["id"])
      assert.strictEqual(new Set(ids).size, ids.length, "no duplicates")
      const verdict = judge(before, records.map(({ value }): Trade => JSON.parse(value)))
      assert.deepStrictEqual(verdict.missing, [], "lost")
    },
    120_000
  )
})
