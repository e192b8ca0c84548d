/**
 * The name in `KAFKA_BROKER` leads to another cluster than before, as in a fail-over or a migration: all goes there, and nothing to
 * the old one any more, which may well be alive, or come back.
 */
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import { until } from "../e2e/Service.ts"
import { cleanups, emit, ready, sentCount, stage } from "../e2e/Stage.ts"
import { createTopic } from "../kafka/Admin.ts"
import type { Broker } from "../kafka/Broker.ts"
import { readTopic } from "../kafka/Consumer.ts"
import * as FaultProxy from "../kafka/FaultProxy.ts"
import { laneOf, optionsOf, recordOf, sendUntilAcknowledged } from "../kafka/TestBroker.ts"
import { startBroker } from "./Outage.ts"

/** Two clusters with the same topics, and one address that leads to either. */
const twoClusters = async () => {
  const [first, second, proxy] = await Promise.all([
    startBroker(),
    startBroker({ cluster: "AAAAAAAAAAAAAAAAAAAAAA" }),
    FaultProxy.make()
  ])
  cleanups.push(proxy.close)
  const leadTo = (broker: Broker) => {
    proxy.to(Number(broker.address.split(":")[1]))
    proxy.reset()
  }
  leadTo(first)
  const s = await stage(proxy.address, 30)
  const topics = [s.topic, s.topic.replace("trade", "status")]
  for (const broker of [first, second]) for (const topic of topics) await createTopic(broker.address, topic)
  const count = async (broker: Broker) => {
    const records = await Promise.all(topics.map((topic) => readTopic(broker.address, topic)))
    return records.reduce((all, { length }) => all + length, 0)
  }
  return { first, second, address: proxy.address, leadTo, s, count }
}

/** With the service between them and the exchanges. */
const two = async () => {
  const clusters = await twoClusters()
  const { s } = clusters
  const service = s.start()
  await ready(s)
  const sendSome = async () => {
    await emit(s, 500)
    await service.settled(sentCount(s))
  }
  return { ...clusters, service, sendSome }
}

describe("the cluster behind the address is another one now", () => {
  it("the old one died and came back: it gets nothing, also while the new one is away for a moment", async () => {
    const { count, first, leadTo, s, second, sendSome, service } = await two()
    await sendSome()
    await first.kill()
    leadTo(second)
    await sendSome()
    await first.start()
    const before = await count(first)
    for (let i = 0; i < 2; i++) {
      await second.kill()
      await emit(s, 500)
      await until(
        "it is missed",
        async () => /"kafka_trade","state":"open"/.test((await service.get("/health")).body),
        30_000
      )
      await second.start()
      await sendSome()
    }
    assert.strictEqual(await count(first), before)
    const inSecond = (await readTopic(second.address, s.topic)).map(({ headers }) => headers["id"])
    assert.isAtLeast(new Set(inSecond).size, 500 * 5)
  }, 180_000)

  it("the old one lives on: the next health check sees it, and all lanes go to the new one", async () => {
    const { count, first, leadTo, s, second, sendSome, service } = await two()
    await sendSome()
    leadTo(second)
    await until(
      "told",
      () => service.lines.some((line) => line.includes("another cluster")),
      30_000,
      () => service.tail()
    )
    const before = await count(first)
    await sendSome()
    // The lane of status events was idle all the time.
    s.bitpin.server.drop("reset")
    await until(
      "status events",
      async () => (await readTopic(second.address, s.topic.replace("trade", "status"))).length > 0,
      30_000
    )
    await sendSome()
    assert.strictEqual(await count(first), before)
    assert.isAtLeast((await readTopic(second.address, s.topic)).length, 1_000)
  }, 120_000)

  it("the old one was away for a moment only, and nobody has asked since: a new dial asks first", async () => {
    const { count, first, leadTo, s, second, address } = await twoClusters()
    const { timeouts: _, ...options } = optionsOf(address)
    await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const lane = yield* laneOf(options, s.topic)
      yield* lane.send([recordOf("a", "1")])
      yield* Effect.promise(() => first.kill())
      leadTo(second)
      yield* Effect.promise(() => first.start())
      yield* sendUntilAcknowledged(lane, [recordOf("a", "2")])
    })))
    assert.deepStrictEqual([await count(first), await count(second)], [1, 1])
  }, 120_000)

  it(
    "a lane that was never told of it: brokers that only an earlier client knew are forgotten once a later one works",
    async () => {
      const { count, first, leadTo, s, second, address } = await twoClusters()
      const { timeouts: _, ...options } = optionsOf(address)
      await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
        const lane = yield* laneOf(options, s.topic)
        const away = Effect.flip(lane.send([recordOf("a", "away")]))
        yield* lane.send([recordOf("a", "1")])
        yield* Effect.promise(() => first.kill())
        leadTo(second)
        yield* sendUntilAcknowledged(lane, [recordOf("a", "2")])
        yield* Effect.promise(() => first.start())
        yield* Effect.promise(() => second.kill())
        // As many clients as it takes to begin with each address that it knows.
        for (let i = 0; i < 12; i++) assert.strictEqual((yield* away)._tag, "ProducerUnavailable")
        yield* Effect.promise(() => second.start())
        yield* sendUntilAcknowledged(lane, [recordOf("a", "3")])
      })))
      assert.strictEqual(await count(first), 1)
      assert.strictEqual(await count(second), 2)
    },
    120_000
  )
})
