import type { Book, BookDelta } from "../../../src/services/MarketEvent.ts"

const subject = (market: number) =>
  ({
    v: 1,
    exchange: "bitpin",
    symbol: `M${market}/IRT`,
    exchangeSymbol: `M${market}_IRT`,
    timestamp: null,
    receivedAt: "2026-06-11T12:59:45.301Z",
    source: "ws"
  }) as const

/** The n-th book of a market. */
export const book = (market: number, n: number): Book => ({
  ...subject(market),
  type: "book",
  id: `b:${market}:${n}`,
  sequence: `e_${n}`,
  bids: [["1", "2"]],
  asks: [["3", "4"]],
  sentAt: "2026-06-11T12:59:45.302Z"
})

/** What changed in that market's book from one number to another. */
export const delta = (
  market: number,
  previous: number,
  sequence: number,
  sides: Partial<Pick<BookDelta, "bids" | "asks">> = {}
): BookDelta => ({
  ...subject(market),
  type: "book_delta",
  id: `d:${market}:${sequence}`,
  previous: `e_${previous}`,
  sequence: `e_${sequence}`,
  bids: [],
  asks: [],
  ...sides
})
