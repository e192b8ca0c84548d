/**
 * What one scrape of `/metrics` costs the collector: CPU of this process, from what the parts know to the text, with `MARKETS` (1, 60 and
 * 1 000) of two exchanges, of which every tenth has had a trade since the scrape before. The first scrapes of a process, when no code is
 * compiled yet, are told apart. One JSON object a line.
 */
import { Effect } from "effect"
import * as ProcessMetrics from "../src/layers/node/ProcessMetrics.ts"
import * as Exposition from "../src/services/Exposition.ts"
import * as FeedStatus from "../src/services/FeedStatus.ts"
import { evaluate } from "../src/services/Health/Evaluate.ts"
import * as Instruments from "../src/services/Instruments.ts"
import * as Ledger from "../src/services/Ledger.ts"
import * as Time from "../src/services/Time.ts"
import * as Board from "../src/streams/Board.ts"
import { breaker, fine, lane } from "../test/services/Health/inputs.ts"
import { quantiles, rounded } from "./support/Statistics.ts"

const sizes = process.env["MARKETS"] === undefined ? [1, 60, 1_000] : [Number(process.env["MARKETS"])]
const names = ["bitpin", "wallex"]
const [cold, warmUp, measured] = [5, 100, 200]

/** A program with so many markets, and what makes every tenth of them trade. */
const program = (markets: number) => {
  const status = FeedStatus.make(names)
  const ledger = Ledger.make()
  const boards = names.map((name) => Board.make(status, name))
  const all = Array.from({ length: markets }, (_, n) => {
    const board = boards[n % names.length]
    board?.connection(n % 10)
    return board?.market(`C${n}/USDT`)
  })
  const trade = () => {
    for (let n = 0; n < all.length; n += 10) {
      const market = all[n]
      if (market === undefined) continue
      market.trades += 1
      market.lastAt = Date.now()
    }
    ledger.received({ lane: "trade", exchange: "bitpin" }, all.length / 10)
    for (const board of boards) board.show()
  }
  const breakers = names.flatMap((name) => [breaker(`${name}_api`, "api"), breaker(`${name}_ws`, "ws")])
  const lanes = ["trade", "status"] as const
  const collector: Exposition.Collector = Effect.map(Time.moment, (now) => [
    Exposition.buildFamily({ version: "0.1.0", node: process.version }),
    ...Exposition.healthFamilies(evaluate(fine(), now)),
    ...Exposition.ledgerFamilies(ledger.accounts(), names, ["trades"]),
    ...Exposition.feedFamilies(status.exchanges(), now.at),
    ...Exposition.breakerFamilies(breakers),
    ...Exposition.queueFamilies(
      lanes.map((name) => ({
        ...lane({ topic: `marketdata.${name}.v1` }),
        name,
        mode: "straight" as const,
        waitingRecords: 0,
        waitingBytes: 0,
        sending: 0
      })),
      { bytes: 0, maxBytes: 2 ** 30 }
    )
  ])
  return { collector, trade }
}

const measure = (markets: number) =>
  Effect.gen(function*() {
    const registry = yield* Instruments.Instruments
    for (const exchange of names) {
      for (const stage of ["exchange_to_receive", "receive_to_ack"] as const) {
        for (const path of ["live", "replay"] as const) Instruments.lag(registry, { exchange, stage, path }).observe(5)
      }
    }
    for (const topic of ["marketdata.trade.v1", "marketdata.status.v1"]) {
      Instruments.kafkaSend(registry, topic).observe(5)
      Instruments.kafkaBatch(registry, topic).observe(5)
    }
    const { collector, trade } = program(markets)
    const metrics = yield* Exposition.make
    yield* metrics.register(collector)
    yield* metrics.register(yield* ProcessMetrics.make)
    const costs: Array<number> = []
    let bytes = 0
    for (let n = 0; n < cold + warmUp + measured; n++) {
      trade()
      const began = process.cpuUsage()
      bytes = (yield* metrics.expose(undefined)).body.length
      const { system, user } = process.cpuUsage(began)
      costs.push((system + user) / 1000)
    }
    const middle = (from: number, count: number) => rounded(quantiles(costs.slice(from, from + count), [0.5])[0] ?? NaN)
    console.log(JSON.stringify({
      bench: "metrics",
      markets,
      coldMs: middle(0, cold),
      cpuMs: middle(cold + warmUp, measured),
      bytes
    }))
  }).pipe(Effect.provideService(Instruments.Instruments, Instruments.make()), Effect.scoped)

for (const markets of sizes) await Effect.runPromise(measure(markets))
