/**
 * The built service as a child process, between fake exchanges and a real Kafka: what docs/delivery-guarantees.md promises, line by line.
 */
import * as net from "node:net"
import { assert, describe, inject, it } from "vitest"
import { judge } from "../../src/layers/testing/Oracle.ts"
import type { Trade } from "../../src/services/MarketEvent.ts"
import { createTopic } from "../kafka/Admin.ts"
import * as Broker from "../kafka/Broker.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { brokenLaw, sum, until } from "./Service.ts"
import { cleanups, emit, ready, sentCount, stage, verify } from "./Stage.ts"

let serial = 0

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
