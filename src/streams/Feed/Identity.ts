/**
 * Who a trade is, market by market: its id, or that it was seen before. Outlives connections; starts from what earlier lives of the
 * collector remember (DELIVERY.md sections 2 and 3).
 */
import type { MarketMemory } from "../../services/Checkpoint.ts"
import type { Market, TradeRow } from "../Exchange.ts"
import type * as Board from "./Board.ts"
import * as Rhythm from "./Rhythm.ts"
import * as SeenIds from "./SeenIds.ts"
import * as TradeGroups from "./TradeGroups.ts"

export interface MarketState {
  /** How often it trades. */
  readonly rhythm: Rhythm.Rhythm
  /** Its silence was strange, and has not ended yet. */
  suspect: boolean
  readonly market: Market
  readonly status: Board.Market
  /** The rows of one message, oldest first, each with its id; those seen before are left out. `now`: epoch ms of receipt. */
  readonly identify: (
    view: TradeGroups.View,
    rows: ReadonlyArray<TradeRow>,
    now: number
  ) => ReadonlyArray<Identified>
  /** What is known of the last trades, to be kept while more come. */
  readonly edge: () => Edge
  /** The same of a history, for rows that it covers; `edge` as it was before the hole that the history is to fill. */
  readonly settle: (rows: ReadonlyArray<TradeRow>, edge: Edge) => ReadonlyArray<Identified>
}

export interface Identified {
  readonly id: string
  readonly row: TradeRow
}

export interface Edge {
  /** Exchange time of the last trade, epoch ms; null if there was none, or it had none. */
  readonly last: number | null
  /** Exchange ids seen. */
  readonly ids: ReadonlySet<string>
  /** How many were told of each group of equal trades at `last`. */
  readonly told: ReadonlyMap<string, number>
}

export interface Identity {
  readonly views: TradeGroups.Views
  readonly market: (market: Market) => MarketState
  /** An earlier life knew trades of it. */
  readonly isRemembered: (symbol: string) => boolean
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
    const since = memory.get(key)?.lastTimestamp ?? null
    let last: number | null = since === null ? null : Date.parse(since)
    const seenIds = () => seen ??= SeenIds.make(remembered)
    const tradeGroups = () => groups ??= TradeGroups.make(remembered)
    const later = (timestamp: number | null): void => {
      if (timestamp !== null && (last === null || timestamp > last)) last = timestamp
    }
    const equalOf = ({ amount, price, side, timestamp }: TradeRow) => ({
      timestamp: timestamp ?? 0,
      side,
      price,
      amount
    })
    return {
      market,
      rhythm: Rhythm.make(),
      suspect: false,
      status: board.market(market.symbol),
      identify: (view, rows, now) => {
        const fresh: Array<Identified> = []
        for (const row of rows) {
          let id: string | undefined
          if (row.id !== undefined) {
            const ids = seenIds()
            ids.window(rows.length)
            id = ids.add(row.id) ? row.id : undefined
          } else id = tradeGroups().add(view, equalOf(row), now)
          if (id === undefined) continue
          later(row.timestamp)
          fresh.push({ id: prefix + id, row })
        }
        return fresh
      },
      edge: () => ({
        last,
        ids: seenIds().snapshot(),
        told: last === null ? new Map() : tradeGroups().toldAt(last)
      }),
      settle: (rows, edge) => {
        const equals = rows.filter(({ id }) => id === undefined)
        const told = tradeGroups().settle(equals.map(equalOf), edge.told)
        let next = 0
        return rows.flatMap((row): ReadonlyArray<Identified> => {
          const id = row.id === undefined
            ? told[next++]
            : !edge.ids.has(row.id) && seenIds().add(row.id)
            ? row.id
            : undefined
          if (id === undefined) return []
          later(row.timestamp)
          return [{ id: prefix + id, row }]
        })
      }
    }
  }

  return {
    views: TradeGroups.makeViews(),
    isRemembered: (symbol) => (memory.get(`${exchange}:${symbol}`)?.ids.length ?? 0) > 0,
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
