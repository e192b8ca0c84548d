/** What the checkpoint knows, market by market. Synchronous; which markets a write has to name is kept here too. */
import { epochMsOf } from "../ExchangeTime.ts"
import type { EventRecord } from "../MarketEvent.ts"
import { lengthen, type MarketEntry, type OldFile, timeIn } from "./Format.ts"
import * as Market from "./Market.ts"
import type { Awaited, Hole, MarketMemory, OpenHole } from "./Model.ts"

export interface Memory {
  /** Keys of all markets. */
  readonly keys: () => ReadonlyArray<string>
  /** Undefined: nothing is known of it. */
  readonly memoryOf: (key: string) => MarketMemory | undefined
  readonly seq: () => number

  readonly settle: (records: ReadonlyArray<EventRecord>, seq: number | undefined) => void
  readonly resolve: (records: ReadonlyArray<EventRecord>) => void
  readonly keepHoles: (key: string, exchangeSymbol: string, holes: ReadonlyArray<OpenHole>) => void
  readonly closeHole: (key: string, hole: Hole, awaited: Awaited) => void
  readonly forget: (key: string) => void

  /** The next entry of the log, as read back. Nothing of it has to be written. */
  readonly apply: (seq: number, markets: ReadonlyArray<MarketEntry>) => void
  /** What version 1 knows on top. */
  readonly takeOver: (old: OldFile) => void

  /** Keys of the markets that changed since they were taken the last time. */
  readonly takeChanged: () => ReadonlyArray<string>
  /** What no write has of it; from here on it counts as written. */
  readonly change: (key: string) => MarketEntry
  /** All there is of it; undefined if there is nothing, or something that no write has: then one will come. */
  readonly copy: (key: string) => MarketEntry | undefined
  /** It was not written after all, or nobody knows whether it was. */
  readonly unwrite: (key: string) => void
}

const decoder = new TextDecoder()

/** A field of an event's JSON whose text needs no escapes; null if there is none. */
const fieldOf = (name: string) => {
  const pattern = new RegExp(`"${name}":"([^"\\\\]+)"`)
  return (value: string): string | null => pattern.exec(value)?.[1] ?? null
}
const timestampIn = fieldOf("timestamp")
const exchangeSymbolIn = fieldOf("exchangeSymbol")

/** Out of the value where nothing else tells. */
const tradeOf = (
  { trade, value }: EventRecord
): { readonly exchangeSymbol: string | null; readonly timestamp: string | null } => {
  if (trade !== undefined) return trade
  const text = typeof value === "string" ? value : decoder.decode(value)
  return { exchangeSymbol: exchangeSymbolIn(text), timestamp: timestampIn(text) }
}

/** Epoch ms; null of what is no time. */
const msOf = (time: string | null): number | null => {
  const ms = time === null ? NaN : epochMsOf(time)
  return Number.isNaN(ms) ? null : ms
}

export const make = (): Memory => {
  const markets = new Map<string, Market.Market>()
  const changed = new Set<string>()
  /** What was on its way when they were forgotten comes later, and must not make them known again. */
  const forgotten = new Set<string>()
  let covered = 0

  const marketOf = (key: string): Market.Market => {
    let market = markets.get(key)
    if (market === undefined) {
      market = Market.make(key)
      markets.set(key, market)
    }
    return market
  }

  const remove = (key: string): void => {
    if (markets.delete(key)) changed.add(key)
  }

  const resolved = (market: Market.Market, id: string): void => {
    if (!Market.resolve(market, id)) return
    changed.add(market.key)
    removeIfLeft(market)
  }

  /** Of a forgotten one the last word about its holes was awaited. */
  const removeIfLeft = ({ closing, key }: Market.Market): void => {
    if (forgotten.has(key) && closing.length === 0) remove(key)
  }

  const settleOne = (record: EventRecord): void => {
    const { headers, key } = record
    const id = headers["id"]
    if (id === undefined) return
    if (forgotten.has(key)) {
      const left = markets.get(key)
      if (left !== undefined) resolved(left, id)
      return
    }
    const market = marketOf(key)
    const { exchangeSymbol, timestamp } = tradeOf(record)
    const time = msOf(timestamp)
    Market.add(market, id, time)
    if (timestamp !== null && time !== null) Market.advance(market, timestamp)
    market.exchangeSymbol = exchangeSymbol ?? market.exchangeSymbol
    changed.add(key)
    Market.fill(market, id)
    if (market.closing.length > 0) resolved(market, id)
  }

  const printed = (market: Market.Market, kind: "whole" | "more", from: number): MarketEntry => {
    const { closing, exchangeSymbol, ids, key, last, lastOfOld, open, times } = market
    const isWhole = kind === "whole"
    const areHolesSaid = market.areHolesUnwritten || (isWhole && open.length + closing.length > 0)
    market.unwritten = 0
    market.areHolesUnwritten = false
    return {
      key,
      kind,
      exchangeSymbol: isWhole ? exchangeSymbol : undefined,
      last: last ?? undefined,
      ids: ids.slice(from),
      times: times.slice(from),
      holes: areHolesSaid
        ? [
          ...open.map((hole) => ({ ...hole, trade: null, event: null })),
          ...closing.map(({ awaited, hole }) => ({ ...hole, ...awaited }))
        ]
        : undefined,
      lastOfOld: isWhole ? lastOfOld : undefined
    }
  }

  const whole = (market: Market.Market): MarketEntry => {
    Market.trim(market)
    return printed(market, "whole", 0)
  }

  const apply = (entry: MarketEntry): void => {
    const { holes, ids, key, kind, last, times } = entry
    // What was said of it before is said anew.
    if (kind !== "more") markets.delete(key)
    if (kind === "gone") return
    const market = marketOf(key)
    market.exchangeSymbol = entry.exchangeSymbol ?? market.exchangeSymbol
    market.lastOfOld = entry.lastOfOld ?? market.lastOfOld
    if (holes !== undefined) {
      const closing = holes.filter(({ over }) => over !== null)
      Market.setHoles(
        market,
        holes.filter(({ over }) => over === null).map(({ event: _e, trade: _t, ...hole }) => hole),
        closing.map(({ event, trade, ...hole }) => ({ hole, awaited: { event, trade } }))
      )
    }
    ids.forEach((id, i) => Market.add(market, id, times[i] ?? null))
    // As it was when it was printed.
    if (kind === "whole") market.isTrimmed = true
    if (last !== undefined && last !== null) Market.advance(market, last)
    market.unwritten = 0
    market.areHolesUnwritten = false
  }

  return {
    keys: () => Array.from(markets.keys()),
    memoryOf: (key) => {
      const market = markets.get(key)
      return market === undefined ? undefined : Market.memoryOf(market)
    },
    seq: () => covered,

    settle: (records, seq) => {
      covered = Math.max(covered, seq ?? 0)
      for (const record of records) settleOne(record)
    },
    resolve: (records) => {
      for (const { headers, key } of records) {
        const id = headers["id"]
        const market = markets.get(key)
        if (id === undefined || market === undefined) continue
        Market.lose(market, id)
        if (Market.fill(market, id)) changed.add(key)
        if (market.closing.length > 0) resolved(market, id)
      }
    },
    keepHoles: (key, exchangeSymbol, holes) => {
      forgotten.delete(key)
      if (holes.length === 0 && !markets.has(key)) return
      const market = marketOf(key)
      market.exchangeSymbol = exchangeSymbol
      Market.keepHoles(market, holes)
      changed.add(key)
    },
    closeHole: (key, hole, awaited) => {
      if (awaited.trade === null && awaited.event === null && !markets.has(key)) return
      const market = marketOf(key)
      Market.closeHole(market, hole, awaited)
      changed.add(key)
      removeIfLeft(market)
    },
    forget: (key) => {
      forgotten.add(key)
      const market = markets.get(key)
      if (market === undefined) return
      if (market.closing.length === 0) return remove(key)
      // The last word about its holes may be lost still.
      const left = Market.make(key)
      left.exchangeSymbol = market.exchangeSymbol
      Market.setHoles(left, [], market.closing)
      markets.set(key, left)
      changed.add(key)
    },

    apply: (seq, entries) => {
      covered = Math.max(covered, seq)
      for (const entry of entries) apply(entry)
    },
    takeOver: (old) => {
      covered = Math.max(covered, old.seq)
      for (const [key, last, ids] of old.markets) {
        const market = marketOf(key)
        const known = market.lastOfOld === undefined ? 0 : ids.lastIndexOf(market.lastOfOld) + 1
        const newest = ids.at(-1)
        if (known === ids.length || newest === undefined) continue
        const time = msOf(last)
        for (const short of ids.slice(known)) Market.add(market, lengthen(key, short), timeIn(short) ?? time)
        if (last !== null && time !== null) Market.advance(market, last)
        market.lastOfOld = newest
        market.unwritten = "all"
        changed.add(key)
      }
    },

    takeChanged: () => {
      const keys = Array.from(changed)
      changed.clear()
      return keys
    },
    change: (key) => {
      const market = markets.get(key)
      if (market === undefined) return { key, kind: "gone", ids: [], times: [] }
      const { ids, unwritten } = market
      return unwritten === "all" || unwritten === ids.length
        ? whole(market)
        : printed(market, "more", ids.length - unwritten)
    },
    copy: (key) => {
      const market = markets.get(key)
      return market === undefined || market.unwritten !== 0 || market.areHolesUnwritten ? undefined : whole(market)
    },
    unwrite: (key) => {
      const market = markets.get(key)
      if (market !== undefined) market.unwritten = "all"
      changed.add(key)
    }
  }
}
