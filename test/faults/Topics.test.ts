/**
 * Topics that others have made, or change while the service runs: nothing is lost, the order of each market is kept, and what cannot
 * be kept is told.
 */
import { existsSync } from "node:fs"
import * as path from "node:path"
import { assert, describe, inject, it } from "vitest"
import { judge } from "../../src/layers/testing/Oracle.ts"
import type { Trade } from "../../src/services/MarketEvent.ts"
import { brokenLaw, type Service, sum, until } from "../e2e/Service.ts"
import { emit, ready, sentCount, type Stage, stage, verify } from "../e2e/Stage.ts"
import { createTopic, deleteTopic, growTopic } from "../kafka/Admin.ts"
import { readTopic } from "../kafka/Consumer.ts"
import { exchangeFeeds } from "../support/bundle.ts"
import { startBroker } from "./Outage.ts"

const backlog = process.env["FAULTS_SHORT"] === "1" ? 5_000 : 40_000

/** Requests that the topic refused. */
const refusals = async (service: Service): Promise<number> =>
  (await service.samples()).filter(({ labels, name }) =>
    name === "feeds_kafka_delivery_failures_total" && labels["reason"] === "MESSAGE_TOO_LARGE"
  ).reduce((all, { value }) => all + value, 0)

const warned = (service: Service, what: string) =>
  service.lines.filter((line) => line.includes("\"WARN\"") && line.includes(what))

/** What is in the topic now: all of it, and by partitions. */
const read = async (s: Stage, broker: string) => {
  const records = await readTopic(broker, s.topic)
  const trades = (of: typeof records) => of.map(({ value }): Trade => JSON.parse(value))
  const numbers = [...new Set(records.map(({ partition }) => partition))]
  return {
    trades: trades(records),
    partitions: new Map(numbers.map((each) => [each, trades(records.filter(({ partition }) => partition === each))]))
  }
}

const issuedOf = (s: Stage) => s.exchanges.flatMap(({ issued }) => issued)

/** Within each partition: a market that moved is in two of them. */
const disorderOf = (s: Stage, { partitions }: Awaited<ReturnType<typeof read>>) =>
  [...partitions.values()].flatMap((trades) => judge(issuedOf(s), trades).disordered)

describe("a topic that others have made", () => {
  for (const compression of ["none", "gzip"]) {
    it(
      `max.message.bytes=2000 (${compression}): no record is poison, and the size that passes is found once, not with each batch`,
      async () => {
        const broker = await startBroker()
        const s = await stage(broker.address, 30)
        await createTopic(broker.address, s.topic, { config: { "max.message.bytes": "2000" } })
        const service = s.start({ KAFKA_COMPRESSION: compression })
        await ready(s)
        await emit(s, 200)
        await service.settled(sentCount(s))
        const before = await refusals(service)
        await broker.kill()
        await emit(s, backlog)
        await broker.start()
        const rows = await service.settled(sentCount(s), 240_000)
        assert.isUndefined(brokenLaw(rows))
        await verify(s, broker.address, "allowed")
        assert.strictEqual(sum(rows, "deadLettered"), 0)
        assert.isFalse(existsSync(path.join(s.dataDir, "dead/records.ndjson")))
        // Once after the outage, from a batch of a thousand down to what passes; of records that differ a little, again now and then.
        assert.isAtMost(await refusals(service) - before, 40)
      },
      300_000
    )
  }

  it("cleanup.policy=compact: delivered, and the log and `check` say what Kafka will delete", async () => {
    const broker = inject("kafkaBroker")
    const s = await stage(broker, 10)
    await createTopic(broker, s.topic, { config: { "cleanup.policy": "compact" } })
    await createTopic(broker, s.topic.replace("trade", "status"))
    const check = await exchangeFeeds(["check"], {
      KAFKA_BROKER: broker,
      KAFKA_TOPIC_PREFIX: s.topic.replace(".trade.v1", ""),
      DATA_DIR: s.dataDir,
      BITPIN_API_URL: s.bitpin.server.apiUrl,
      BITPIN_WS_URL: s.bitpin.server.wsUrl,
      WALLEX_API_URL: s.wallex.server.apiUrl,
      WALLEX_WS_URL: s.wallex.server.wsUrl
    })
    assert.strictEqual(check.code, 1, check.stdout)
    assert.match(check.stdout, /^FAILED {2}kafka topics: \S+\.trade\.v1: cleanup\.policy=compact: .*newest/m)
    const service = s.start()
    await ready(s)
    await emit(s, 2_000)
    assert.isUndefined(brokenLaw(await service.settled(sentCount(s))))
    // The cleaner takes closed segments only: all of it is still there.
    await verify(s, broker)
    await until("told", () => warned(service, "compact").length > 0, 20_000, () => service.tail())
    assert.include(warned(service, "compact")[0], s.topic)
    assert.notInclude(warned(service, "compact")[0], ".status.")
  }, 120_000)
})

describe("a topic that others change while the service runs", () => {
  it("6 partitions become 9: told, nothing lost, no copy, the order of a market kept in each partition", async () => {
    const broker = inject("kafkaBroker")
    const s = await stage(broker, 30)
    await createTopic(broker, s.topic, { partitions: 6 })
    const service = s.start()
    await ready(s)
    await emit(s, 2_000)
    // It has seen the six.
    await service.settled(sentCount(s))
    await growTopic(broker, s.topic, 9)
    const stops = s.exchanges.map((exchange) => exchange.flood(50))
    // Metadata is asked for anew each 30 s.
    await until("told", () => warned(service, "partitions").length > 0, 60_000, () => service.tail())
    for (const stop of stops) stop()
    const told = JSON.parse(warned(service, "partitions")[0] ?? "{}")
    assert.deepStrictEqual([told.topic, told.before, told.now], [s.topic, 6, 9])
    await emit(s, 2_000)
    assert.isUndefined(brokenLaw(await service.settled(sentCount(s))))
    const topic = await read(s, broker)
    const verdict = judge(issuedOf(s), topic.trades)
    assert.deepStrictEqual([verdict.missing, verdict.foreign, verdict.duplicates], [[], [], []])
    assert.deepStrictEqual(disorderOf(s, topic), [])
    assert.isTrue([...topic.partitions.keys()].some((partition) => partition >= 6), "the new ones are used")
  }, 180_000)

  for (const [when, between] of [["trades come meanwhile", 500], ["none come meanwhile", 0]] as const) {
    it(`deleted and made again with 2 partitions, ${when}: told, and all since then is in the new one`, async () => {
      const broker = inject("kafkaBroker")
      const s = await stage(broker, 30)
      for (const topic of [s.topic, s.topic.replace("trade", "status")]) await createTopic(broker, topic)
      const service = s.start({ KAFKA_CREATE_TOPICS: "false" })
      await ready(s)
      await emit(s, 2_000)
      await service.settled(sentCount(s))
      // What Kafka had acknowledged is gone with the topic.
      const gone = (await read(s, broker)).trades
      await deleteTopic(broker, s.topic)
      await emit(s, between)
      await createTopic(broker, s.topic, { partitions: 2 })
      await emit(s, 2_000)
      assert.isUndefined(brokenLaw(await service.settled(sentCount(s))))
      const topic = await read(s, broker)
      // Together: of equal trades in one second, which have numbers for ids, some may be in the one and some in the other.
      const verdict = judge(issuedOf(s), [...gone, ...topic.trades])
      assert.deepStrictEqual([verdict.missing, verdict.foreign], [[], []])
      const ids = new Set(gone.map(({ id }) => id))
      assert.deepStrictEqual(topic.trades.filter(({ id }) => ids.has(id)), [])
      assert.deepStrictEqual(disorderOf(s, topic), [])
      const told = JSON.parse(warned(service, "partitions")[0] ?? "{}")
      assert.deepStrictEqual([told.topic, told.before, told.now], [s.topic, 12, 2])
    }, 120_000)
  }
})
