/**
 * The built service between fake exchanges and a real broker that fails in every way a broker can. The exchanges' own
 * record of what they sent is the judge.
 */
import { readFileSync } from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "vitest"
import { WebSocket } from "ws"
import { makeRandom } from "../../src/layers/testing/FakeMarkets.ts"
import { brokenLaw, type LedgerRow, sum, until } from "../e2e/Service.ts"
import { cleanups, emit, ready, sentCount, stage, verify } from "../e2e/Stage.ts"
import { createTopic } from "../kafka/Admin.ts"
import { flow, pause, startBroker, startBrokerBehindProxy } from "./Outage.ts"

/** Half as many in CI, which has 25 minutes for all. */
const total = process.env["FAULTS_SHORT"] === "1" ? 50_000 : 100_000

describe("a broker that fails", () => {
  it(
    "exchanges cut whoever is 10 000 frames behind, Kafka is away for 30 s at 2 000 a second: nobody is cut, nothing lost",
    async () => {
      const broker = await startBroker()
      const s = await stage(broker.address)
      const service = s.start()
      await ready(s)
      for (const { server } of s.exchanges) server.script.maxQueued = 10_000
      await emit(s, 1_000)
      await broker.kill()
      await flow(s, 2_000, 30_000)
      const cuts = s.exchanges.flatMap(({ server }) => server.accepted.filter(({ closeCode }) => closeCode === 3008))
      assert.lengthOf(cuts, 0, "connections cut for being behind")
      await broker.start()
      assert.isUndefined(brokenLaw(await service.settled(sentCount(s))))
      await verify(s, broker.address, "allowed")
      assert.isAbove(sentCount(s), 50_000)
    },
    180_000
  )

  it("killed, then frozen: one line each names the broker and the reason, and one says that it is over", async () => {
    const broker = await startBroker()
    const s = await stage(broker.address, 3)
    const service = s.start({ KAFKA_BREAKER_TIMEOUT: "500ms" })
    const told = (): ReadonlyArray<Record<string, string>> =>
      service.lines.filter((line) => line.startsWith("{") && line.includes("deliver")).map((line) => JSON.parse(line))
        .filter(({ topic }) => topic === s.topic)
    const outage = async (begin: () => Promise<void>, end: () => Promise<void> | void) => {
      const before = told().length
      await begin()
      await emit(s, 200)
      await until("told", () => told().length > before, 30_000, () => service.tail())
      // It is tried again and again.
      await emit(s, 200)
      await pause(3_000)
      await end()
      await service.settled(sentCount(s))
      return told().slice(before).map(({ level, message, reason }) => [level, message, reason])
    }
    await ready(s)
    await emit(s, 200)
    await service.settled(sentCount(s))
    const [away, back, ...more] = await outage(broker.kill, broker.start)
    assert.deepStrictEqual(away?.slice(0, 2), ["WARN", "records cannot be delivered, they wait in the queue"])
    assert.include(away?.[2], `ECONNREFUSED ${broker.address}`)
    assert.deepStrictEqual([back, ...more], [["INFO", "records are delivered again", undefined]])
    assert.deepStrictEqual(await outage(broker.freeze, broker.thaw), [
      ["WARN", "records cannot be delivered, they wait in the queue", `${broker.address}: a request has timed out`],
      ["INFO", "records are delivered again", undefined]
    ])
  }, 120_000)

  it("negative control: a reader that only pauses its socket in the outage is cut", async () => {
    const s = await stage("127.0.0.1:1", 4)
    const { server } = s.wallex
    server.script.maxQueued = 10_000
    // It subscribes and then never reads again, as a loop does that waits for Kafka.
    const ws = new WebSocket(server.wsUrl)
    cleanups.push(() => ws.terminate())
    await new Promise((resolve) => ws.once("open", resolve))
    for (const { exchangeSymbol } of s.wallex.tradable) {
      ws.send(JSON.stringify(["subscribe", { channel: `${exchangeSymbol}@trade` }]))
    }
    await s.wallex.ready()
    ws.pause()
    const stop = s.wallex.flood(20_000)
    await until("it is cut", () => server.accepted.some(({ alive }) => !alive), 30_000)
    stop()
  }, 60_000)

  it(
    `20 faults at random points of ${total} messages: the set of ids is complete, first deliveries in order`,
    async () => {
      const seed = Number(process.env["FAULT_SEED"] ?? Date.now() % 1_000_000)
      const random = makeRandom(seed)
      const between = (low: number, high: number) => low + Math.floor(random() * (high - low))
      const { broker, proxy } = await startBrokerBehindProxy()
      const faults: Readonly<Record<string, () => Promise<void>>> = {
        freeze: async () => {
          await broker.freeze()
          await pause(between(100, 4_000))
          broker.thaw()
        },
        kill: async () => {
          await broker.kill()
          await pause(between(0, 1_500))
          await broker.start()
        },
        reset: async () => {
          proxy.reset()
        },
        "lost answers": async () => {
          proxy.dropResponses(between(1, 4))
        },
        "half-open": async () => {
          proxy.blackholeEstablished()
        },
        refuse: async () => {
          await proxy.refuse(true)
          proxy.reset()
          await pause(between(100, 2_500))
          await proxy.refuse(false)
        },
        "new connections mute": async () => {
          proxy.blackholeNew(true)
          proxy.reset()
          await pause(between(100, 2_500))
          proxy.blackholeNew(false)
          proxy.reset()
        },
        latency: async () => {
          proxy.delay(between(50, 1_500))
          await pause(between(500, 2_000))
          proxy.delay(0)
        }
      }
      const names = Object.keys(faults)
      const s = await stage(proxy.address)
      const service = s.start()
      await ready(s)
      const points = Array.from({ length: 20 }, () => between(0, total)).sort((a, b) => a - b)
      // Each kind at least twice, in random order.
      const order = points.map((_, i) => ({ name: names[i % names.length] ?? "", key: random() })).sort((a, b) =>
        a.key - b.key
      )
      const log: Array<string> = []
      let done = 0
      for (const [i, point] of points.entries()) {
        await emit(s, Math.max(0, point - done), 200)
        done = Math.max(done, point)
        const name = order[i]?.name ?? ""
        log.push(`${point} ${name}`)
        // It goes on: what happens to the broker happens under load.
        const during = flow(s, 1_000, 300)
        await faults[name]?.()
        await during
      }
      await emit(s, total - done, 200)
      const told = `seed ${seed}: ${log.join(", ")}`
      const rows = await service.settled(sentCount(s), 120_000).catch((cause: unknown) => {
        throw new Error(told, { cause })
      })
      assert.isUndefined(brokenLaw(rows), told)
      assert.isAtLeast(sentCount(s), total)
      await verify(s, broker.address, "allowed").catch((cause: unknown) => {
        throw new Error(told, { cause })
      })
    },
    300_000
  )

  it("a record too large in the middle: dead-lettered with its reason, its neighbours arrive in order", async () => {
    const broker = await startBroker()
    const s = await stage(broker.address, 3)
    // Between the size of a usual trade and of one with all the digits that an exchange may send.
    await createTopic(broker.address, s.topic, { config: { "max.message.bytes": "600" } })
    const service = s.start({ KAFKA_COMPRESSION: "none" })
    await ready(s)
    const symbol = s.bitpin.tradable[0]?.exchangeSymbol ?? ""
    const digits = `${"9".repeat(30)}.${"9".repeat(30)}`
    const poison = {
      id: "p".repeat(64),
      price: digits,
      base_amount: digits,
      quote_amount: "1",
      side: "buy",
      time: "1781182785.263"
    }
    for (let i = 0; i < 5; i++) s.bitpin.trade(symbol)
    s.bitpin.server.frame(
      JSON.stringify({
        push: {
          channel: `matches:${symbol}`,
          pub: { data: { event: "matches_update", symbol, matches: [poison] } }
        }
      }),
      ({ subscriptions }) => subscriptions.has(`matches:${symbol}`)
    )
    for (let i = 0; i < 5; i++) s.bitpin.trade(symbol)
    await emit(s, 200)
    let rows: ReadonlyArray<LedgerRow> = []
    await until(
      "settled",
      async () => {
        rows = await service.ledger()
        return sum(rows, "inFlight") === 0 && sum(rows, "queued") === 0 &&
          sum(rows, "delivered") >= sentCount(s) && sum(rows, "deadLettered") > 0
      },
      60_000,
      () => `${JSON.stringify(rows)}\n${service.tail()}`
    )
    assert.isUndefined(brokenLaw(rows))
    assert.strictEqual(sum(rows, "deadLettered"), 1)
    await verify(s, broker.address, "allowed")
    const letters = readFileSync(path.join(s.dataDir, "dead/records.ndjson"), "utf8").trim().split("\n")
    assert.lengthOf(letters, 1)
    const letter = JSON.parse(letters[0] ?? "")
    assert.strictEqual(letter.reason, "MESSAGE_TOO_LARGE")
    assert.include(JSON.parse(letter.value).id, poison.id)
  }, 120_000)
})
