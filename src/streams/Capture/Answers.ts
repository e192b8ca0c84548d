/** REST answers of a capture: what they became goes where it went when they were recorded. */
import * as Either from "effect/Either"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import * as Time from "../../services/Time.ts"
import type { Board } from "../Board.ts"
import type * as BooksChannel from "../books/BooksChannel.ts"
import { booksOf } from "../books/Declared.ts"
import type { BooksOptions } from "../books/Options.ts"
import type { Exchange, Market } from "../Exchange.ts"
import * as Json from "../protocols/Json.ts"
import type * as TradesChannel from "../trades/TradesChannel.ts"
import type { RestLine } from "./Lines.ts"

export interface Options {
  readonly exchange: Exchange
  /** How books were asked of it. */
  readonly asked: BooksOptions
  readonly board: Board
  readonly trades: TradesChannel.Alone
  readonly books: BooksChannel.Alone
}

export interface Answers {
  /** The capture has that market: a line that names none may be about it. */
  readonly learn: (market: Market) => void
  /** The events of a line; or what is wrong with it. */
  readonly take: (line: RestLine, now: Time.Moment) => ReadonlyArray<MarketEvent> | string
}

export const make = ({ asked, board, books, exchange, trades }: Options): Answers => {
  const { rest: { history } } = exchange
  const { picture } = booksOf(exchange, asked) ?? {}
  const markets = new Map<string, Market>()

  const subjectOf = ({ channel, market, path }: RestLine) => {
    if (market !== undefined && channel !== undefined) {
      const [symbol, exchangeSymbol] = market
      return { channel, market: { symbol, exchangeSymbol } }
    }
    for (const known of markets.values()) {
      if (history.path(known) === path) return { channel: "trades" as const, market: known }
      if (picture?.path(known) === path) return { channel: "books" as const, market: known }
    }
    return undefined
  }

  const historyOf = (market: Market, body: unknown, { known = [], rows }: RestLine, now: Time.Moment) =>
    Either.map(history.decode(body), (all) => {
      const wanted = rows === undefined ? all : rows.flatMap((at) => all[at] ?? [])
      const read = wanted.flatMap((row) => {
        if (Either.isRight(row)) return [row.right]
        board.failure(row.left.reason)
        return []
      })
      return trades.answered(market, read, known, now.wall)
    })

  return {
    learn: (market) => void markets.set(market.symbol, market),
    take: (line, now) => {
      const subject = subjectOf(line)
      if (subject === undefined) {
        return `no market is known for which ${line.path} is asked: expected channel and market`
      }
      const { channel, market } = subject
      const events = Either.flatMap(Json.parse(line.text, Json.bodyLimits), (body) => {
        if (channel === "trades") return historyOf(market, body, line, now)
        return picture === undefined
          ? Either.right([])
          : Either.map(picture.decode(body), (found) => books.answered(market, found, now))
      })
      if (Either.isRight(events)) return events.right
      board.failure(events.left.reason)
      return []
    }
  }
}
