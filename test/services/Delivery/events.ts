import type { MarketEvent } from "../../../src/services/MarketEvent.ts"

/** The n-th book of a market. */
export const book = (market: number, n: number): MarketEvent => ({
  type: "book",
  v: 1,
  exchange: "bitpin",
  symbol: `M${market}/IRT`,
  exchangeSymbol: `M${market}_IRT`,
  id: `b:${market}:${n}`,
  sequence: `e_${n}`,
  bids: [["1", "2"]],
  asks: [["3", "4"]],
  timestamp: null,
  receivedAt: "2026-06-11T12:59:45.301Z",
  sentAt: "2026-06-11T12:59:45.302Z",
  source: "ws"
})
