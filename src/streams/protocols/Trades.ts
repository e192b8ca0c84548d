/** Trades of a frame that may hold several, of several markets, in whatever order. */
import * as Either from "effect/Either"
import type * as DecodeFailure from "../DecodeFailure.ts"
import type { Message, TradeRow } from "../Exchange.ts"

type Result<A> = Either.Either<A, DecodeFailure.DecodeFailure>

/** Whole numbers as text. */
const byId = ({ id: a = "" }: TradeRow, { id: b = "" }: TradeRow): number =>
  a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)

/** One message for each market, its rows in the order of their ids; a bad row harms no other. `isPast`: of `TradesData`. */
export const byMarket = (
  list: ReadonlyArray<unknown>,
  symbolOf: (row: unknown) => Result<string>,
  tradeOf: (row: unknown) => Result<TradeRow>,
  isPast = false
): ReadonlyArray<Message> => {
  const failures: Array<Message> = []
  const bySymbol = new Map<string, Array<TradeRow>>()
  for (const item of list) {
    const row = Either.all([symbolOf(item), tradeOf(item)])
    if (Either.isLeft(row)) {
      failures.push({ _tag: "failure", failure: row.left })
      continue
    }
    const [symbol, trade] = row.right
    const rows = bySymbol.get(symbol)
    if (rows === undefined) bySymbol.set(symbol, [trade])
    else rows.push(trade)
  }
  const trades = Array.from(
    bySymbol,
    ([exchangeSymbol, rows]): Message => ({
      _tag: "trades",
      exchangeSymbol,
      rows: rows.sort(byId),
      ...isPast ? { isPast } : {}
    })
  )
  return [...failures, ...trades]
}
