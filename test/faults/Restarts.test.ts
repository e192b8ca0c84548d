/**
 * The built service, stopped or killed again and again before its histories have been asked for: what nobody heard is fetched by the
 * lives that follow, and what was told as missing is told once more when it has come.
 */
import { assert, describe, it } from "vitest"
import { type Issued, judge } from "../../src/layers/testing/Oracle.ts"
import type { Status, Trade } from "../../src/services/MarketEvent.ts"
import { type Service, until } from "../e2e/Service.ts"
import { cleanups, ready, type Stage, stage } from "../e2e/Stage.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { exchangeFeeds } from "../support/bundle.ts"
import { pause, startBroker } from "./Outage.ts"

const flood = (s: Stage, perSecond: number) => {
  const stops = s.exchanges.map((exchange) => exchange.flood(perSecond))
  const stop = () => stops.forEach((one) => one())
  cleanups.push(stop)
  return stop
}

const openHoles = async (service: Service): Promise<number> =>
  (await service.samples()).reduce((total, { name, value }) => name === "feeds_gaps_open" ? total + value : total, 0)

/** Ends it cleanly, delivers what its queue has left, and reads the topics. */
const outcome = async (s: Stage, broker: string, service: Service) => {
  assert.deepStrictEqual(await service.stop("SIGTERM"), { code: 0, signal: null }, service.tail())
  const replayed = await exchangeFeeds(["queue", "replay"], {
    DATA_DIR: s.dataDir,
    KAFKA_BROKER: broker,
    KAFKA_TOPIC_PREFIX: s.topic.replace(".trade.v1", "")
  })
  assert.strictEqual(replayed.code, 0, replayed.stderr)
  const trades = (await Consumer.readTopic(broker, s.topic)).map(({ value }): Trade => JSON.parse(value))
  const statuses = (await Consumer.readTopic(broker, s.topic.replace(".trade.", ".status.")))
    .map(({ value }): Status => JSON.parse(value))
  return { trades, gaps: statuses.filter(({ event }) => event === "gap") }
}

/** Of holes that were told as not filled, those that were never told as filled. */
const unamended = (gaps: ReadonlyArray<Status>): ReadonlyArray<unknown> => {
  const filled = new Set(gaps.filter((gap) => gap["complete"] === true).map((gap) => gap["gapId"]))
  return gaps.filter((gap) => gap["complete"] === false && !filled.has(gap["gapId"]))
}

describe("five lives of 1 to 2.5 s in a row, with a long history", () => {
  for (const how of ["SIGTERM", "SIGKILL"] as const) {
    it(
      `ended by ${how}: nothing is missing in the end, and each hole that was told as open is told as filled`,
      async () => {
        const { address } = await startBroker()
        const s = await stage(address, 8, 1, 300)
        const stop = flood(s, 20)
        const first = s.start()
        await ready(s)
        // Every market has a known past: before its first trade nothing is owed.
        await until(
          "a trade of each market",
          async () =>
            (await first.samples()).filter(({ name, value }) => name === "feeds_market_trades_total" && value > 0)
              .length === 16,
          60_000,
          () => first.tail()
        )
        // And the checkpoint has it.
        await pause(2_000)
        const owed = s.exchanges.map(({ issued }) => issued.length)
        await first.stop(how)
        for (let life = 0; life < 5; life++) {
          const service = s.start()
          await service.baseUrl()
          await pause(1_000 + life * 375)
          await service.stop(how)
        }
        const last = s.start()
        await ready(s)
        await pause(2_000)
        stop()
        // Whole seconds of the histories have to be over.
        await until("all holes filled", async () => (await openHoles(last)) === 0, 120_000, () => last.tail())
        const { gaps, trades } = await outcome(s, address, last)
        const { doubtful, duplicates, foreign, missing, unsent } = judge(
          s.exchanges.flatMap(({ issued }) => issued),
          trades
        )
        assert.deepStrictEqual(foreign, [])
        const later = new Set(s.exchanges.flatMap(({ issued }, i) => issued.slice(owed[i]).map(({ id }) => id)))
        const isOwed = (id: string) => later.has(id) || later.has(id.replace(/:\d+$/, ""))
        assert.deepStrictEqual([...missing, ...doubtful, ...unsent].filter(isOwed), [])
        // A kill -9 may repeat some.
        if (how === "SIGTERM") assert.deepStrictEqual(duplicates, [])
        assert.isAbove(gaps.length, 0)
        assert.deepStrictEqual(unamended(gaps), [])
      },
      300_000
    )
  }
})

describe("QUEUE_MODE=journal without any history", () => {
  it("kill -9 within 5 s of a reconnect: nothing is missing of what was heard but the last group commit", async () => {
    const { address } = await startBroker()
    const s = await stage(address, 8, 1, 0)
    const stop = flood(s, 100)
    const env = { QUEUE_MODE: "journal" }
    const counts = () => s.exchanges.map(({ issued }) => issued.length)
    /** Heard, and older than a group commit when the process died: of each exchange from here to there. */
    const safe: Array<ReadonlyArray<readonly [from: number, to: number]>> = []
    for (let death = 0; death < 4; death++) {
      const service = s.start(env)
      await ready(s)
      await pause(2_000)
      for (const { server } of s.exchanges) server.drop(1006)
      await pause(200)
      await ready(s)
      // Wallex acknowledges nothing: heard is what follows the first trade of its markets.
      await pause(500)
      const heard = counts()
      await pause(1_000 + death * 1_000)
      const committed = counts()
      await pause(1_000)
      await service.stop("SIGKILL")
      safe.push(heard.map((from, i) => [from, committed[i] ?? 0]))
    }
    const last = s.start(env)
    await ready(s)
    await pause(1_000)
    stop()
    await pause(7_000)
    const { trades } = await outcome(s, address, last)
    const { doubtful, foreign, missing } = judge(s.exchanges.flatMap(({ issued }) => issued), trades)
    assert.deepStrictEqual(foreign, [])
    const lost = new Set([...missing, ...doubtful])
    const isLost = ({ counted, id }: Issued) => lost.has(counted ? `${id}:1` : id)
    const found = safe.flatMap((ranges) =>
      ranges.flatMap(([from, to], i) => s.exchanges[i]?.issued.slice(from, to).filter(isLost).map(({ id }) => id) ?? [])
    )
    assert.deepStrictEqual(found, [])
    // Else it showed nothing.
    assert.isAbove(safe.flat().reduce((sum, [from, to]) => sum + to - from, 0), 500)
  }, 300_000)
})
