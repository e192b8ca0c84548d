/** Trades as events, from whichever way they came. */
import { timeOf } from "../../services/ExchangeTime.ts"
import * as Iso from "../../services/Iso.ts"
import type { Trade } from "../../services/MarketEvent.ts"
import type { TradeRow } from "../Exchange.ts"
import type { Identified, MarketState } from "./Identity.ts"

const isTraded = ({ amount }: TradeRow): boolean => amount !== "0"

/** Without those whose amount is zero: nothing changed hands. Nearly always the rows as they are. */
export const traded = (rows: ReadonlyArray<TradeRow>): ReadonlyArray<TradeRow> =>
  rows.every(isTraded) ? rows : rows.filter(isTraded)

/** `at`: when the frame or the answer reached this process, epoch ms. Tells the market's status of them too. */
export const toTrades = (
  exchange: string,
  { market, status }: MarketState,
  identified: ReadonlyArray<Identified>,
  at: number,
  source: Trade["source"]
): ReadonlyArray<Trade> => {
  const receivedAt = Iso.ofMillis(at)
  return identified.map(({ id, row }) => {
    status.trades += 1
    status.lastPrice = row.price
    status.lastAt = at
    return {
      type: "trade",
      v: 1,
      exchange,
      symbol: market.symbol,
      exchangeSymbol: market.exchangeSymbol,
      id,
      price: row.price,
      amount: row.amount,
      side: row.side,
      timestamp: timeOf(row),
      receivedAt,
      source
    }
  })
}
