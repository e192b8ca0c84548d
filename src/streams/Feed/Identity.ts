/**
 * Who a trade is, market by market: its id, or that it was seen before. Outlives connections; starts from what earlier lives of the
 * collector remember (DELIVERY.md sections 2 and 3).
 */
import type { MarketMemory } from "../../services/Checkpoint.ts"
import type { Market, TradeRow } from "../Exchange.ts"
import type * as Board from "./Board.ts"
import * as SeenIds from "./SeenIds.ts"
import * as TradeGroups from "./TradeGroups.ts"

export interface MarketState {
  readonly market: Market
  readonly status: Board.Market
  /** The rows of one message, oldest first, each with its id; those seen before are left out. `now`: epoch ms of receipt. */
  readonly identify: (
    view: TradeGroups.View,
    rows: ReadonlyArray<TradeRow>,
    now: number
  ) => ReadonlyArray<{ readonly id: string; readonly row: TradeRow }>
}

export interface Identity {
  readonly views: TradeGroups.Views
  readonly market: (market: Market) => MarketState
}

/** A market that comes back soon is remembered; a list that changes all the time must not fill the memory. */
const maxMarkets = 4096

export const make = (
  exchange: string,
  memory: ReadonlyMap<string, MarketMemory>,
  board: Board.Board
): Identity => {
  const states = new Map<string, MarketState>()

  const makeState = (market: Market): MarketState => {
    const key = `${exchange}:${market.symbol}`
    const prefix = `${key}:t:`
    const remembered = (memory.get(key)?.ids ?? [])
      .filter((id) => id.startsWith(prefix))
      .map((id) => id.slice(prefix.length))
    let groups: TradeGroups.TradeGroups | undefined
    let seen: SeenIds.SeenIds | undefined
    return {
      market,
      status: board.market(market.symbol),
      identify: (view, rows, now) => {
        const fresh: Array<{ readonly id: string; readonly row: TradeRow }> = []
        for (const row of rows) {
          let id: string | undefined
          if (row.id !== undefined) {
            seen ??= SeenIds.make(remembered)
            seen.window(rows.length)
            id = seen.add(row.id) ? row.id : undefined
          } else {
            groups ??= TradeGroups.make(remembered)
            const { amount, price, side } = row
            id = groups.add(view, { timestamp: row.timestamp ?? 0, side, price, amount }, now)
          }
          if (id !== undefined) fresh.push({ id: prefix + id, row })
        }
        return fresh
      }
    }
  }

  return {
    views: TradeGroups.makeViews(),
    market: (market) => {
      const found = states.get(market.symbol)
      const status = board.market(market.symbol)
      // The same canonical symbol under another of the exchange's names is the same market: its ids live on.
      const state = found === undefined
        ? makeState(market)
        : found.status === status && found.market.exchangeSymbol === market.exchangeSymbol
        ? found
        : { ...found, market, status }
      // Asked for last, forgotten last: living markets are asked for with every list.
      states.delete(market.symbol)
      states.set(market.symbol, state)
      if (states.size > maxMarkets) {
        for (const oldest of states.keys()) {
          states.delete(oldest)
          break
        }
      }
      return state
    }
  }
}
