/**
 * What the quick check of rows takes is what the schemas take: of `FUZZ_FRAMES` spoilt frames an exchange makes the same messages, the
 * failures word for word, as it does where every row goes to its schema.
 */
import { assert, describe, it } from "@effect/vitest"
import { vi } from "vitest"
import type * as Registry from "../../../src/streams/exchanges/index.ts"
import { exchanges } from "../../../src/streams/exchanges/index.ts"
import { source } from "../../hostile/Mutations.ts"
import {
  binanceBook,
  binanceTrade,
  bitpinPush,
  bybitTrades,
  coinbaseBook,
  coinbaseTrades,
  krakenTrades,
  nobitexBook,
  nobitexTrade,
  okxTrade,
  ramzinexTrades,
  wallexTrade
} from "../support/frames.ts"
import { recording } from "../support/recordings.ts"

const frames = Number(process.env["FUZZ_FRAMES"] ?? 20_000)

const pushed = (channel: string, data: string): string => `{"push":{"channel":"${channel}","pub":{"data":${data}}}}`

const tiny = { id: "3", base_amount: "0.00", quote_amount: "5000.5" }

const pools = {
  bitpin: [
    ...recording("bitpin", "reconstructed-bitpin-ws"),
    ...recording("bitpin", "bitpin-docs").map((data) => pushed("matches:BTC_IRT", data)),
    ...recording("bitpin", "bitpin-legacy-ws-matches-20241029").map((data) => pushed("matches:USDT_IRT", data)),
    bitpinPush("BTC_IRT", [{ id: "1" }, { id: "2_7", side: "sell" }, tiny]),
    bitpinPush("BTC_IRT", [{ id: "1", time: "2026-06-11T12:59:45.263627Z" }], { event_time: "2026-06-11T12:59:45Z" }),
    `{"id":2,"subscribe":{"recoverable":true,"epoch":"e","offset":7,"publications":[{"data":{"matches":[]},"offset":7}]}}`,
    `{"id":2,"error":{"code":103,"message":"permission denied"}}`
  ],
  wallex: [
    ...recording("wallex", "reconstructed-wallex-ws"),
    ...recording("wallex", "wallex-ws-docs"),
    wallexTrade("BTCTMN"),
    wallexTrade("USDTTMN", { isBuyOrder: false, timestamp: "2026-06-11T12:59:45.263627+03:30" })
  ],
  nobitex: [
    ...recording("nobitex", "reconstructed-nobitex-ws"),
    ...recording("nobitex", "nobitex-orderbook"),
    ...recording("nobitex", "nobitex-ws-docs").map((data) => pushed("public:trades-BTCIRT", data)),
    nobitexTrade("BTCIRT"),
    nobitexTrade("1M_PEPEIRT", { type: "sell", time: "1762781164193", volume: "0" }),
    nobitexBook("BTCIRT")
  ],
  coinbase: [
    ...recording("coinbase", "coinbase-advanced-ws-control-20260907"),
    ...recording("coinbase", "coinbase-advanced-ws-trades-btcusd-20260812"),
    coinbaseTrades([{ trade_id: "1" }, { trade_id: "3", size: "1.6e-05", side: "SELL" }, { trade_id: "2", size: "0" }]),
    coinbaseBook([{
      type: "snapshot",
      product_id: "BTC-USD",
      updates: ["bid", "offer"].map((side) => ({ side, event_time: "", price_level: "5.10", new_quantity: "0" }))
    }]),
    coinbaseTrades([{ trade_id: "4" }, { trade_id: "4", product_id: "ETH-EUR" }], {
      sequence_num: "18446744073709551616"
    })
  ],
  kraken: [
    ...recording("kraken", "kraken-ws-control-2026"),
    ...recording("kraken", "kraken-ws-trades-btcusd-20260925"),
    krakenTrades([{ trade_id: "1" }, { trade_id: "3", qty: "1.6e-05", side: "sell" }, { trade_id: "2", qty: "0" }]),
    krakenTrades([{ trade_id: "4" }, { trade_id: "4", symbol: "ETH/BTC" }], "snapshot")
  ],
  okx: [
    ...recording("okx", "okx-ws-docs"),
    ...recording("okx", "okx-ws-trades-btcusdt-20260831"),
    okxTrade("BTC-USDT"),
    okxTrade("ETH-BTC", { px: "0.03", sz: "0" }),
    "pong"
  ],
  bybit: [
    ...recording("bybit", "bybit-ws-docs"),
    ...recording("bybit", "bybit-ws-trades-btcusdt-20260920"),
    ...recording("bybit", "bybit-ws-trades-btcusdc-20251026"),
    ...recording("oracles", "bybit-ws-orderbook50-btcusdt-20260824"),
    bybitTrades("BTCUSDT", [{ i: "1" }, { i: "2", S: "Buy", v: "0" }, { i: "3", p: "1.6e-05" }]),
    bybitTrades("ETHUSDC", [{}])
  ],
  ramzinex: [
    ...recording("ramzinex", "reconstructed-ramzinex-ws"),
    ...recording("ramzinex", "ramzinex-orderbook"),
    ...recording("ramzinex", "ramzinex-ws-docs").map((data) => pushed("orderbook:11", data)),
    ramzinexTrades("2", [{ id: "1" }, { id: "2", amount: "1.6e-05", side: "sell" }, { id: "3", amount: "0" }])
  ],
  binance: [
    ...recording("binance", "binance-ws-trade-btcusdt-2024-2026"),
    ...recording("binance", "binance-ws-docs"),
    binanceTrade("BTCUSDT"),
    binanceTrade("ETHUSDT", { m: false, T: 1790960630913042, q: "0.00000000" }),
    binanceBook("btcusdt@depth20"),
    binanceBook("btcusdt@depth5@100ms", { lastUpdateId: "161", bids: [[1, 2]] })
  ]
}

const printed = (messages: unknown): string =>
  JSON.stringify(messages, (_, value: unknown) => typeof value === "bigint" ? `${value}n` : value)

const topics = new Map([["2", "matches:BTC_IRT"]])

/** The same exchanges, with a `Shape` that takes nothing. */
const judged = async (): Promise<typeof Registry> => {
  vi.resetModules()
  vi.doMock("../../../src/streams/protocols/Shape.ts", () => ({ check: () => () => false }))
  try {
    return await import("../../../src/streams/exchanges/index.ts")
  } finally {
    vi.doUnmock("../../../src/streams/protocols/Shape.ts")
  }
}

describe("rows, fuzzed", () => {
  for (
    const id of ["bitpin", "wallex", "nobitex", "ramzinex", "binance", "coinbase", "kraken", "okx", "bybit"] as const
  ) {
    it(`${id}: ${frames} spoilt frames are the same to the quick check as to the schemas`, async () => {
      const slow = (await judged()).exchanges[id]
      const fast = exchanges[id]
      assert.notStrictEqual(slow, fast)
      const next = source(pools[id], 23)
      let rows = 0
      for (let i = 0; i < frames; i++) {
        const text = next()
        if (text === undefined) continue
        // A worker that does not answer for a minute counts as dead.
        if (i % 10_000 === 1) await new Promise(setImmediate)
        const messages = fast.socket.decode(text, (command) => topics.get(command))
        for (const message of messages) if (message._tag === "trades") rows += message.rows.length
        const expected = printed(slow.socket.decode(text, (command) => topics.get(command)))
        if (printed(messages) !== expected) {
          assert.fail(`${JSON.stringify(text.slice(0, 4_000))} of seed 23 at ${i}`)
        }
      }
      assert.isAbove(rows, frames / 100)
    })
  }
})
