/**
 * Who a trade is, market by market: its id, or that it was seen before. Outlives connections; starts from what earlier lives of the
 * collector remember (docs/design/checkpoint.md, docs/design/delivery.md "Identity of trades without an id").
 */
import type { MarketMemory } from "../../services/Checkpoint.ts"
import * as Decimal from "../../services/Decimal.ts"
import { epochMsOf } from "../../services/ExchangeTime.ts"
import type * as Board from "../Board.ts"
import type { Exchange, Market, TradeRow } from "../Exchange.ts"
import { mayBeSlice, whole } from "../protocols/Json.ts"
import * as Rhythm from "../Rhythm.ts"
import * as Numbers from "./Numbers.ts"
import * as SeenIds from "./SeenIds.ts"
import { type Mark, parsed, type Stamp, stampOf, stampOfMs } from "./Spans.ts"
import * as TradeGroups from "./TradeGroups.ts"

export interface MarketState {
  /** How often it trades, and whether its silence is strange. */
  readonly pulse: Rhythm.Pulse
  readonly market: Market
  readonly status: Board.Market
  /** The rows of one message, oldest first, each with its id; those seen before are left out. */
  readonly identify: (view: TradeGroups.View, rows: ReadonlyArray<TradeRow>) => ReadonlyArray<Identified>
  /** Of trades with ids: it is one of the newest that were seen. */
  readonly knows: (row: TradeRow) => boolean
  /** One of them was seen before, or nothing of the market was: rows with ids that are its last ones leave nothing out. */
  readonly isContinuedBy: (rows: ReadonlyArray<TradeRow>) => boolean
  /** What is known of the newest trades. */
  readonly edge: () => Edge
  /** `identify` for rows that an answer of the history covers. `known`: ids that may be forgotten since, without their prefix. */
  readonly identifyHistory: (rows: ReadonlyArray<TradeRow>, known: ReadonlyArray<string>) => ReadonlyArray<Identified>
}

export interface Identified {
  readonly id: string
  readonly row: TradeRow
}

export interface Edge {
  /** Exchange time of the newest trade; null if there was none, or none had a time. */
  readonly last: Stamp | null
  /** Ids of the trades that share it, without their prefix. */
  readonly known: ReadonlyArray<string>
  /** Where ids count up: the one with the highest number; then `known` is empty, as that says it all. */
  readonly mark: Mark | null
}

export interface Identity {
  readonly views: TradeGroups.Views
  readonly market: (market: Market) => MarketState
  /** An earlier life knew trades of it. */
  readonly isRemembered: (symbol: string) => boolean
}

/** A row that outlives the frame that it came in, of which its texts may be slices. */
const kept = (row: TradeRow): TradeRow => {
  const { amount, id, price } = row
  if (![price, amount, id ?? ""].some(mayBeSlice)) return row
  return { ...row, id: id === undefined ? undefined : whole(id), price: whole(price), amount: whole(amount) }
}

/** For the life of its market: nothing else of a row, and no slice, or the frame would stay as long. */
const timeOfRow = ({ time, timestamp }: TradeRow): Pick<TradeRow, "timestamp" | "time"> =>
  time === undefined ? { timestamp } : { timestamp, time: whole(time) }

/** Of ids of earlier lives, without their prefix: the one with the highest number. `last`: time of the newest, with all its digits. */
const highest = (
  remembered: ReadonlyArray<readonly [id: string, timestamp: number | null]>,
  last: string | null
): Mark | null => {
  let found: { readonly id: bigint; readonly time: number | null } | undefined
  for (const [id, time] of remembered) {
    const number = Numbers.numberOf(id)
    if (number !== undefined && (found === undefined || number > found.id)) found = { id: number, time }
  }
  if (found === undefined) return null
  const { id, time } = found
  if (last !== null && time === epochMsOf(last)) return { id, stamp: parsed(last) }
  return { id, stamp: time === null ? null : stampOfMs(time) }
}

/** A market that comes back soon is remembered; a list that changes all the time must not fill the memory. */
const maxMarkets = 4096

export const make = (
  exchange: string,
  memory: ReadonlyMap<string, MarketMemory>,
  board: Board.Board,
  { tradeIds, units = {} }: Pick<Exchange, "tradeIds" | "units"> = {}
): Identity => {
  const states = new Map<string, MarketState>()

  /** A market's rows with prices in its canonical quote; a price that is none then is counted, and its row left out. */
  const inUnit = ({ symbol }: Market): (rows: ReadonlyArray<TradeRow>) => ReadonlyArray<TradeRow> => {
    const quote = symbol.slice(symbol.indexOf("/") + 1)
    const places = Object.hasOwn(units, quote) ? units[quote] ?? 0 : 0
    if (places === 0) return (rows) => rows
    return (rows) =>
      rows.flatMap((row) => {
        const price = Decimal.shift(row.price, places)
        if (price !== undefined) return [{ ...row, price }]
        board.failure("number")
        return []
      })
  }

  const makeState = (market: Market): MarketState => {
    const key = `${exchange}:${market.symbol}`
    const prefix = `${key}:t:`
    const { ids = [], times } = memory.get(key) ?? {}
    const remembered = ids.flatMap((id, i): ReadonlyArray<readonly [string, number | null]> =>
      id.startsWith(prefix) ? [[id.slice(prefix.length), times?.[i] ?? null]] : []
    )
    let groups: TradeGroups.TradeGroups | undefined
    let seen: SeenIds.SeenIds | undefined
    const since = memory.get(key)?.lastTimestamp ?? null
    let last: Pick<TradeRow, "timestamp" | "time"> | undefined = since === null
      ? undefined
      : { timestamp: epochMsOf(since), time: since }
    const seenIds = () => seen ??= SeenIds.make(remembered)
    const tradeGroups = () => groups ??= TradeGroups.make(remembered.map(([id]) => id))
    const later = (row: TradeRow): void => {
      const { timestamp } = row
      if (timestamp === null) return
      const before = last?.timestamp ?? -Infinity
      if (timestamp > before || (timestamp === before && (row.time ?? "") > (last?.time ?? ""))) last = timeOfRow(row)
    }
    let mark = tradeIds === undefined ? null : highest(remembered, since)
    const count = (row: TradeRow): void => {
      const numbers = tradeIds === undefined ? undefined : Numbers.rangeOf(row)
      if (numbers === undefined || (mark !== null && numbers.last <= mark.id)) return
      mark = { id: numbers.last, stamp: stampOf(timeOfRow(row)) ?? mark?.stamp ?? null }
    }
    const canonical = inUnit(market)
    const equalOf = ({ amount, price, side, timestamp }: TradeRow) => ({
      timestamp: timestamp ?? 0,
      side,
      price,
      amount
    })
    /** Undefined: it was seen before. */
    const newIdOf = (view: TradeGroups.View, row: TradeRow, rows: number): string | undefined => {
      if (row.id === undefined) return tradeGroups().add(view, equalOf(row))
      const ids = seenIds()
      ids.window(rows)
      return ids.add(row.id, row.timestamp) ? row.id : undefined
    }
    return {
      market,
      pulse: Rhythm.pulse(),
      status: board.market(market.symbol),
      identify: (view, given) => {
        const rows = canonical(given)
        const fresh: Array<Identified> = []
        for (const one of rows) {
          const id = newIdOf(view, one, rows.length)
          if (id === undefined) continue
          const row = kept(one)
          later(row)
          count(row)
          fresh.push({ id: prefix + whole(id), row })
        }
        return fresh
      },
      knows: ({ id }) => id !== undefined && seenIds().has(id),
      isContinuedBy: (rows) => {
        const ids = seenIds()
        return ids.size() === 0 || rows.some(({ id }) => id === undefined || ids.has(id))
      },
      edge: () => {
        const timestamp = last?.timestamp ?? null
        return {
          last: last === undefined ? null : stampOf(last),
          mark,
          known: mark !== null
            ? []
            : [...seenIds().at(timestamp), ...timestamp === null ? [] : tradeGroups().idsAt(timestamp)]
        }
      },
      identifyHistory: (covered, known) => {
        const rows = canonical(covered)
        const given = new Set(known)
        const equals = rows.filter(({ id }) => id === undefined)
        const groupIds = tradeGroups().identifyHistory(equals.map(equalOf), known)
        seenIds().window(rows.length)
        let next = 0
        return rows.flatMap((row): ReadonlyArray<Identified> => {
          const id = row.id === undefined
            ? groupIds[next++]
            : !given.has(row.id) && seenIds().add(row.id, row.timestamp)
            ? row.id
            : undefined
          if (id === undefined) return []
          later(row)
          count(row)
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
