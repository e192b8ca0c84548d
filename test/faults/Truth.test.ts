/**
 * The built service between misbehaving exchanges and a broker that comes and goes, for minutes: what was delivered and what was told
 * as missing is together all that was issued (docs/design/delivery.md B4). FAULT_MINUTES (30; 3 with --short) and FAULT_SEED choose the run.
 */
import { assert, describe, it } from "vitest"
import { makeRandom } from "../../src/layers/testing/FakeMarkets.ts"
import { judge } from "../../src/layers/testing/Oracle.ts"
import { unavailable } from "../../src/layers/testing/Script.ts"
import { compare } from "../../src/services/ExchangeTime.ts"
import type { Status, Trade } from "../../src/services/MarketEvent.ts"
import { until } from "../e2e/Service.ts"
import { cleanups, ready, stage } from "../e2e/Stage.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { exchangeFeeds } from "../support/bundle.ts"
import { pause, startBrokerBehindProxy } from "./Outage.ts"

const minutes = Number(process.env["FAULT_MINUTES"] ?? (process.env["FAULTS_SHORT"] === "1" ? 3 : 30))
const seed = Number(process.env["FAULT_SEED"] ?? Date.now() % 1_000_000)

const perSecond = 60
const markets = 8

/** With all digits. */
const liesIn = ({ from, to }: Status, time: string): boolean =>
  (typeof from !== "string" || compare(from, time) <= 0) && typeof to === "string" && compare(time, to) <= 0

describe("nothing is missing untold", () => {
  it(
    `${minutes} minutes of random faults of exchanges, API, broker and collector`,
    async () => {
      const random = makeRandom(seed)
      const between = (low: number, high: number) => low + Math.floor(random() * (high - low))
      const pick = <A>(all: ReadonlyArray<A>): A | undefined => all[Math.floor(random() * all.length)]

      const { broker, proxy } = await startBrokerBehindProxy()
      const s = await stage(proxy.address, markets, 3, 300)
      const env = {
        KAFKA_BREAKER_TIMEOUT: "500ms",
        WS_BREAKER_TIMEOUT: "2s",
        API_BREAKER_TIMEOUT: "2s",
        WS_IDLE_TIMEOUT: "4s",
        WS_SUBSCRIPTIONS_PER_CONNECTION: "5"
      }
      let service = s.start(env)
      await ready(s)
      const stops = s.exchanges.map((exchange) => exchange.flood(perSecond))
      cleanups.push(() => {
        for (const stop of stops) stop()
      })
      // Every market has a known past.
      await pause(3_000)

      const exchange = () => pick(s.exchanges)
      const deeds: ReadonlyArray<readonly [string, () => void | Promise<void>]> = [
        ["drop", () => exchange()?.server.drop(pick([1000, 1006, 1012, 3001, 3012, "reset"] as const) ?? 1006)],
        ["half-open", () => exchange()?.server.halfOpen()],
        ["silence", async () => {
          const server = exchange()?.server
          if (server === undefined) return
          server.script.silent = true
          // Longer than the idle timeout: a server that leaves trades out for a moment and goes on is not to be found out.
          await pause(between(5_000, 8_000))
          server.heal()
        }],
        ["no upgrade", async () => {
          const server = exchange()?.server
          if (server === undefined) return
          server.script.upgrade = unavailable
          server.drop(1006)
          await pause(between(500, 3_000))
          server.heal()
        }],
        ["no API", async () => {
          const server = exchange()?.server
          if (server === undefined) return
          server.script.rest = unavailable
          server.drop(1012)
          await pause(between(500, 8_000))
          server.heal()
        }],
        ["late history", async () => {
          const server = exchange()?.server
          if (server === undefined) return
          server.script.restDelay = between(1_000, 9_000)
          server.drop(1006)
          await pause(between(500, 8_000))
          server.heal()
        }],
        ["short history", async () => {
          const server = exchange()?.server
          if (server === undefined) return
          server.script.history = between(0, 6)
          server.drop("reset")
          await pause(between(3_000, 9_000))
          server.heal()
        }],
        ["lost again while the history is asked for", async () => {
          const server = exchange()?.server
          if (server === undefined) return
          server.script.restDelay = between(2_000, 9_000)
          server.script.history = pick([undefined, undefined, 0, 4])
          for (let n = between(2, 5); n > 0; n--) {
            server.drop(1006)
            await pause(between(300, 3_000))
          }
          server.heal()
        }],
        ["ended with open holes", async () => {
          const servers = s.exchanges.map(({ server }) => server)
          for (const server of servers) server.script.restDelay = 9_000
          for (const server of servers) server.drop(1006)
          await pause(between(500, 2_500))
          await service.stop(pick(["SIGTERM", "SIGKILL"] as const) ?? "SIGTERM")
          for (const server of servers) server.heal()
          service = s.start(env)
          await service.baseUrl()
        }],
        ["garbage", () => exchange()?.server.frame("{\"push\":garbage")],
        ["broker away", async () => {
          await proxy.refuse(true)
          proxy.reset()
          await pause(between(200, 5_000))
          await proxy.refuse(false)
        }],
        ["broker frozen", async () => {
          await broker.freeze()
          await pause(between(200, 5_000))
          broker.thaw()
        }],
        ["restart", async () => {
          await service.stop("SIGTERM")
          await pause(between(0, 1_500))
          service = s.start(env)
          await service.baseUrl()
        }],
        ["kill", async () => {
          await service.stop("SIGKILL")
          service = s.start(env)
          await service.baseUrl()
        }]
      ]

      const log: Array<string> = []
      const end = Date.now() + minutes * 60_000
      while (Date.now() < end) {
        const [what, deed] = pick(deeds) ?? ["", () => {}]
        log.push(`${new Date().toISOString()} ${what}`)
        await deed()
        await pause(between(300, 3_000))
      }

      // All is well again; the holes close, the queues drain.
      for (const { server } of s.exchanges) server.heal()
      broker.thaw()
      await proxy.refuse(false)
      await ready(s)
      await pause(2_000)
      for (const stop of stops) stop()
      const told = `seed ${seed}`
      const open = async () => {
        const samples = await service.samples()
        return samples.reduce((total, { name, value }) => name === "feeds_gaps_open" ? total + value : total, 0)
      }
      await until(`holes closed, ${told}`, async () => (await open()) === 0, 90_000)
      await pause(1_000)
      assert.deepStrictEqual(await service.stop("SIGTERM"), { code: 0, signal: null }, told)
      // What a stop has left in the queue.
      const replayed = await exchangeFeeds(["queue", "replay"], {
        DATA_DIR: s.dataDir,
        KAFKA_BROKER: proxy.address,
        KAFKA_TOPIC_PREFIX: s.topic.replace(".trade.v1", "")
      })
      assert.strictEqual(replayed.code, 0, replayed.stderr)

      const trades = (await Consumer.readTopic(broker.address, s.topic)).map(({ value }): Trade => JSON.parse(value))
      const statuses = (await Consumer.readTopic(broker.address, s.topic.replace(".trade.", ".status."))).map(
        ({ value }): Status => JSON.parse(value)
      )
      const gaps = statuses.filter(({ event }) => event === "gap")
      const issued = s.exchanges.flatMap((one) => one.issued)
      const verdict = judge(issued, trades)
      assert.deepStrictEqual(verdict.foreign.slice(0, 5), [], told)

      const known = new Map<string, string>()
      for (const { exchange, symbol, timestamp } of trades) {
        const key = `${exchange}:${symbol}`
        const first = known.get(key)
        if (timestamp !== null && (first === undefined || compare(timestamp, first) < 0)) known.set(key, timestamp)
      }
      const expected = new Map(issued.map((one) => [one.id, one.expected]))
      const missing = [...verdict.missing, ...verdict.doubtful, ...verdict.unsent]
      const untold = missing.filter((id) => {
        const one = expected.get(id) ?? expected.get(id.replace(/:\d+$/, ""))
        if (one === undefined || compare(one.timestamp, known.get(`${one.exchange}:${one.symbol}`) ?? "") < 0) {
          return false
        }
        return !gaps.some((gap) =>
          gap["complete"] === false && gap.exchange === one.exchange && gap.symbol === one.symbol &&
          liesIn(gap, one.timestamp)
        )
      })
      const wide = gaps.filter((gap) => gap["complete"] === false)
      console.log(
        `${minutes} minutes, ${log.length} faults, ${issued.length} issued, ${trades.length} delivered, ` +
          `${trades.filter(({ source }) => source === "rest").length} by history, ${gaps.length} holes told, ` +
          `${wide.length} of them not filled, ${missing.length} missing, ${untold.length} untold`
      )
      assert.deepStrictEqual(untold.slice(0, 5), [], `${untold.length} untold, ${told}\n${log.join("\n")}`)
      assert.isAbove(trades.length, minutes * 60 * perSecond)
      assert.isAbove(trades.filter(({ source }) => source === "rest").length, 0)
    },
    3_600_000
  )
})
