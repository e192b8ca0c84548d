/**
 * The built service ends a second or two after each start, five times in a row, so that no life has the time to fill the holes that it
 * finds and makes: those of the lives before must be known to the next, or what the history still had is lost for good.
 */
import { assert, describe, inject, it } from "vitest"
import { makeRandom } from "../../src/layers/testing/FakeMarkets.ts"
import { judge } from "../../src/layers/testing/Oracle.ts"
import { unavailable } from "../../src/layers/testing/Script.ts"
import type { Status, Trade } from "../../src/services/MarketEvent.ts"
import { sum, until } from "../e2e/Service.ts"
import { cleanups, ready, stage } from "../e2e/Stage.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { pause } from "./Outage.ts"

const rounds = process.env["FAULTS_SHORT"] === "1" ? 1 : 5

const lives = 5

/** Of each exchange: so few that the history, of 300 trades a market, reaches back over all lives. */
const perSecond = 16
const markets = 8

for (const [signal, what] of [["SIGTERM", "stopped cleanly"], ["SIGKILL", "killed"]] as const) {
  describe(`${what} soon after each start`, () => {
    for (let round = 1; round <= rounds; round++) {
      it(
        `${lives} times in a row: in the end nothing is missing, and each hole that was told is told as filled (${round})`,
        async () => {
          const seed = Number(process.env["FAULT_SEED"] ?? Date.now() % 1_000_000)
          const random = makeRandom(seed)
          const between = (low: number, high: number) => low + Math.floor(random() * (high - low))
          const broker = inject("kafkaBroker")
          const s = await stage(broker, markets, 3, 300)
          let service = s.start()
          await ready(s)
          const stops = s.exchanges.map((exchange) => exchange.flood(perSecond))
          cleanups.push(() => {
            for (const stop of stops) stop()
          })
          // Every market has a known past, which is in the checkpoint.
          await until(
            "each market is known",
            async () => sum(await service.ledger(), "delivered") > 2 * s.exchanges.length * markets,
            20_000
          )
          await pause(3_000)

          for (let life = 0; life < lives; life++) {
            await service.stop(signal).then(({ code }) => {
              if (signal === "SIGTERM") assert.strictEqual(code, 0, service.tail())
            })
            await pause(between(0, 500))
            // Of every second life a history comes to nothing: its lists of markets are those that were kept.
            for (const { server } of s.exchanges) server.script.rest = life % 2 === 0 ? unavailable : undefined
            service = s.start()
            await ready(s)
            await pause(between(1_000, 2_500))
          }
          await service.stop(signal)
          for (const { server } of s.exchanges) server.heal()
          service = s.start()
          await ready(s)
          const open = async () => {
            const samples = await service.samples()
            return samples.reduce((total, { name, value }) => name === "feeds_gaps_open" ? total + value : total, 0)
          }
          await pause(2_000)
          await until(`holes closed, seed ${seed}`, async () => (await open()) === 0, 90_000, () => service.tail())
          for (const stop of stops) stop()
          await until("all is delivered", async () => {
            const rows = await service.ledger()
            return sum(rows, "inFlight") === 0 && sum(rows, "queued") === 0
          }, 30_000)
          assert.deepStrictEqual(await service.stop(), { code: 0, signal: null }, service.tail())

          const read = async (topic: string) => (await Consumer.readTopic(broker, topic)).map(({ value }) => value)
          const trades = (await read(s.topic)).map((value): Trade => JSON.parse(value))
          const gaps = (await read(s.topic.replace(".trade.", ".status."))).map((value): Status => JSON.parse(value))
            .filter(({ event }) => event === "gap")
          const issued = s.exchanges.flatMap((exchange) => exchange.issued)
          const { doubtful, duplicates, foreign, missing, unsent } = judge(issued, trades)
          const told = `seed ${seed}`
          assert.deepStrictEqual({ missing, doubtful, unsent, foreign }, {
            missing: [],
            doubtful: [],
            unsent: [],
            foreign: []
          }, told)
          // A life that was killed may have delivered what no checkpoint has yet.
          if (signal === "SIGTERM") assert.deepStrictEqual(duplicates, [], told)
          assert.deepStrictEqual(judge(issued, trades.filter(({ source }) => source === "ws")).disordered, [], told)
          const last = new Map(gaps.map((gap) => [gap["gapId"], gap]))
          assert.deepStrictEqual(Array.from(last.values()).filter(({ complete }) => complete !== true), [], told)
          // The control: there were holes, and those of a clean stop were told while they were open.
          assert.isAbove(trades.filter(({ source }) => source === "rest").length, 0)
          if (signal === "SIGTERM") assert.isAbove(gaps.filter(({ complete }) => complete === false).length, 0)
        },
        300_000
      )
    }
  })
}
