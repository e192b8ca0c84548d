/** What the checkpoint knows, in memory: changed in place, printed in parts. Synchronous. */
import { compare, epochMsOf } from "../ExchangeTime.ts"
import type { EventRecord } from "../MarketEvent.ts"

export const memoryOfMarket = 256

/** A stretch of a market's time in which trades may be missing. */
export interface Hole {
  readonly cause: string
  /** `id` of the first `gap` event that told of it; null if none did. */
  readonly gapId: string | null
  /** Exchange times of the last trade before it, and of the first behind it, ISO-8601; null where none is known. */
  readonly from: string | null
  readonly to: string | null
  /** Trades that histories have brought. */
  readonly recovered: number
  /** What it came to. The last event about it may be lost still. Null while it is open. */
  readonly over: "filled" | "given up" | null
}

/** Ids of a trade and of a status event: until both are resolved they may be lost. */
export interface Awaited {
  readonly trade: string | null
  readonly event: string | null
}

/** A market's last trades, and its open holes. */
export interface MarketMemory {
  /** Trade ids, oldest first, at most `memoryOfMarket`: those of the newest times, whenever they were delivered. */
  readonly ids: ReadonlyArray<string>
  /** Exchange time of the newest trade, null if none or unknown. */
  readonly lastTimestamp: string | null
  /** Of each of `ids` the exchange time, epoch ms; null where unknown. */
  readonly times?: ReadonlyArray<number | null> | undefined
  /** Its name at the exchange, if known. */
  readonly exchangeSymbol?: string | undefined
  /** Oldest first. */
  readonly holes?: ReadonlyArray<Hole> | undefined
  /** Ids of trades that lie within `holes`, edges included, beside `ids`. */
  readonly kept?: ReadonlyArray<string> | undefined
}

/** More than a market may ever have to remember of its holes. */
const maxKept = 8192

interface Closing {
  readonly hole: Hole
  trade: string | null
  event: string | null
}

interface Market {
  readonly key: string
  exchangeSymbol: string | undefined
  ids: Array<string>
  times: Array<number | null>
  last: string | null
  holes: ReadonlyArray<Hole>
  closing: ReadonlyArray<Closing>
  kept: Array<string>
  /** Trades that no write has. */
  unwritten: number
  isHoleChanged: boolean
  /** Nothing is to be kept of it once its last events are resolved. */
  isForgotten: boolean
}

export interface Changes {
  readonly markets: ReadonlyArray<string>
  readonly keys: ReadonlyArray<readonly [key: string, unwritten: number, isHoleChanged: boolean]>
  readonly gone: ReadonlyArray<string>
}

/** What an entry of the log says of a market. Ids are without their `exchange:symbol:t:`; a group's id begins with its time. */
export interface MarketEntry {
  readonly k: string
  readonly s?: string | undefined
  readonly last?: string | null | undefined
  /** All there is, or what came since. */
  readonly whole?: true | undefined
  readonly gone?: true | undefined
  readonly ids: ReadonlyArray<string | readonly [id: string, time: number | null]>
  readonly holes?: ReadonlyArray<Hole & { readonly [K in keyof Awaited]?: Awaited[K] | undefined }> | undefined
  readonly kept?: ReadonlyArray<string> | undefined
}

export interface OldMarkets {
  readonly seq: number
  readonly markets: ReadonlyArray<readonly [key: string, last: string | null, ids: ReadonlyArray<string>]>
}

const textOf = (value: string | Uint8Array): string =>
  typeof value === "string" ? value : new TextDecoder().decode(value)

const fieldOf = (name: string) => {
  const pattern = new RegExp(`"${name}":"([^"]+)"`)
  return (value: string | Uint8Array): string | null => pattern.exec(textOf(value))?.[1] ?? null
}
const timestampIn = fieldOf("timestamp")
const exchangeSymbolIn = fieldOf("exchangeSymbol")

const groupTime = /^(\d{1,15}):/

/** Of an id without its prefix: a group of equal trades begins with its time. */
const timeInId = (id: string): number | undefined => {
  const match = groupTime.exec(id)
  return match === null ? undefined : Number(match[1])
}

const lies = ({ from, to }: Hole, time: number): boolean =>
  (from === null || epochMsOf(from) <= time) && (to === null || time <= epochMsOf(to))

export interface Memory {
  readonly seq: () => number
  readonly markets: () => ReadonlyMap<string, MarketMemory>
  readonly keys: () => IterableIterator<string>
  readonly settle: (records: ReadonlyArray<EventRecord>, seq: number | undefined) => void
  readonly resolve: (records: ReadonlyArray<EventRecord>) => void
  readonly keepHoles: (key: string, exchangeSymbol: string, holes: ReadonlyArray<Hole>) => void
  readonly closeHole: (key: string, hole: Hole, awaited: Awaited) => void
  readonly forget: (key: string) => void
  readonly takeOver: (old: OldMarkets) => void
  readonly apply: (seq: number, markets: ReadonlyArray<MarketEntry>) => void
  /** What no write has, printed; from then on it counts as written. Undefined: nothing. */
  readonly changes: () => Changes | undefined
  /** They were not written after all. */
  readonly restore: (changes: Changes) => void
  /** All that is known of a market, printed. */
  readonly whole: (key: string) => string | undefined
}

export const make = (): Memory => {
  const markets = new Map<string, Market>()
  const changed = new Set<string>()
  const gone = new Set<string>()
  /** Closing holes by the ids that they await. */
  const awaiting = new Map<string, Array<Market>>()
  let covered = 0
  let isSeqChanged = false

  const marketOf = (key: string): Market => {
    let market = markets.get(key)
    if (market === undefined) {
      market = {
        key,
        exchangeSymbol: undefined,
        ids: [],
        times: [],
        last: null,
        holes: [],
        closing: [],
        kept: [],
        unwritten: 0,
        isHoleChanged: false,
        isForgotten: false
      }
      markets.set(key, market)
      gone.delete(key)
    }
    return market
  }

  const touch = (market: Market): void => {
    changed.add(market.key)
  }

  /** Those of the newest times stay: a page of history must not push them out. */
  const trim = (market: Market, limit: number): void => {
    if (market.ids.length < limit) return
    const order = market.ids.map((_, i) => i)
    const { times } = market
    order.sort((a, b) => (times[a] ?? Infinity) - (times[b] ?? Infinity) || a - b)
    const kept = order.slice(-memoryOfMarket)
    market.ids = kept.map((i) => market.ids[i] ?? "")
    market.times = kept.map((i) => times[i] ?? null)
    // Those that no write has are not the last ones any more.
    if (market.unwritten > 0) market.unwritten = market.ids.length
  }

  const knows = (market: Market, time: number): boolean =>
    market.holes.some((hole) => lies(hole, time)) || market.closing.some(({ hole }) => lies(hole, time))

  const add = (market: Market, id: string, time: number | null): void => {
    market.ids.push(id)
    market.times.push(time)
    if (market.holes.length === 0 && market.closing.length === 0) return
    if (time !== null && knows(market, time) && market.kept.length < maxKept) {
      market.kept.push(id)
      market.isHoleChanged = true
    }
  }

  const later = (market: Market, time: string | null): void => {
    if (time !== null && (market.last === null || compare(time, market.last) > 0)) market.last = time
  }

  /** Ids within the holes that are known already: edges, above all. */
  const keepKnown = (market: Market): void => {
    if (market.holes.length === 0 && market.closing.length === 0) {
      market.kept = []
      return
    }
    const kept = new Set(market.kept)
    market.ids.forEach((id, i) => {
      const time = market.times[i] ?? null
      if (time !== null && knows(market, time)) kept.add(id)
    })
    market.kept = Array.from(kept).slice(-maxKept)
  }

  const holesChanged = (market: Market): void => {
    keepKnown(market)
    market.isHoleChanged = true
    touch(market)
  }

  const awaitId = (market: Market, id: string | null): void => {
    if (id === null) return
    awaiting.set(id, [...awaiting.get(id) ?? [], market])
  }

  const close = (market: Market, hole: Hole, { event, trade }: Awaited): void => {
    market.holes = market.holes.filter(({ from, gapId }) => gapId === null ? from !== hole.from : gapId !== hole.gapId)
    market.closing = [
      ...market.closing.filter((one) => one.hole.gapId === null || one.hole.gapId !== hole.gapId),
      ...(event === null && trade === null ? [] : [{ hole, event, trade }])
    ]
    awaitId(market, event)
    awaitId(market, trade)
  }

  const forget = (market: Market): void => {
    // Its last event may be lost still.
    market.isForgotten = market.closing.length > 0
    if (market.isForgotten) return
    markets.delete(market.key)
    changed.delete(market.key)
    gone.add(market.key)
  }

  const resolved = (id: string): void => {
    const found = awaiting.get(id)
    if (found === undefined) return
    awaiting.delete(id)
    for (const market of found) {
      for (const one of market.closing) {
        if (one.event === id) one.event = null
        if (one.trade === id) one.trade = null
      }
      market.closing = market.closing.filter(({ event, trade }) => event !== null || trade !== null)
      holesChanged(market)
      if (market.isForgotten) forget(market)
    }
  }

  const prefixOf = (key: string): string => `${key}:t:`

  const holesOf = (market: Market): ReadonlyArray<Hole & Awaited> => [
    ...market.holes.map((hole) => ({ ...hole, trade: null, event: null })),
    ...market.closing.map(({ event, hole, trade }) => ({ ...hole, trade, event }))
  ]

  const print = (market: Market, from: number, isHoleChanged: boolean): string => {
    const { exchangeSymbol, ids, key, last, times } = market
    const cut = prefixOf(key).length
    const entry: MarketEntry = {
      k: key,
      s: exchangeSymbol,
      last,
      ...(from === 0 ? { whole: true } : {}),
      ids: ids.slice(from).map((id, i) => {
        const short = id.slice(cut)
        const time = times[from + i] ?? null
        return timeInId(short) === time && time !== null ? short : [short, time]
      }),
      ...(isHoleChanged ? { holes: holesOf(market), kept: market.kept.map((id) => id.slice(cut)) } : {})
    }
    return JSON.stringify(entry)
  }

  return {
    seq: () => covered,
    keys: () => Array.from(markets.keys()).values(),
    markets: () =>
      new Map(Array.from(markets, ([key, market]): [string, MarketMemory] => [key, {
        ids: market.ids,
        times: market.times,
        lastTimestamp: market.last,
        exchangeSymbol: market.exchangeSymbol,
        // Not filled while the trade that fills it may be lost.
        holes: [
          ...market.closing.map(({ hole, trade }): Hole => trade === null ? hole : { ...hole, over: null }),
          ...market.holes
        ].sort((a, b) => (a.from === null ? 0 : epochMsOf(a.from)) - (b.from === null ? 0 : epochMsOf(b.from))),
        kept: market.kept
      }])),
    settle: (records, upTo) => {
      if (upTo !== undefined && upTo > covered) {
        covered = upTo
        isSeqChanged = true
      }
      const newest = new Map<Market, { readonly record: EventRecord; readonly time: number }>()
      for (const record of records) {
        const id = record.headers["id"]
        if (id === undefined) continue
        const market = marketOf(record.key)
        market.exchangeSymbol ??= exchangeSymbolIn(record.value) ?? undefined
        let time = timeInId(id.slice(prefixOf(record.key).length)) ?? null
        if (time === null) {
          const text = timestampIn(record.value)
          time = text === null ? null : epochMsOf(text)
          if (Number.isNaN(time)) time = null
        }
        add(market, id, time)
        market.unwritten += 1
        // Trimmed now and then, not at each trade.
        trim(market, memoryOfMarket * 2)
        touch(market)
        if (time !== null && time >= (newest.get(market)?.time ?? time)) newest.set(market, { record, time })
        if (awaiting.size > 0) resolved(id)
      }
      for (const [market, { record }] of newest) later(market, timestampIn(record.value))
    },
    resolve: (records) => {
      if (awaiting.size === 0) return
      for (const { headers } of records) if (headers["id"] !== undefined) resolved(headers["id"])
    },
    keepHoles: (key, exchangeSymbol, holes) => {
      const market = marketOf(key)
      market.exchangeSymbol = exchangeSymbol
      market.holes = holes
      // Taken over from an earlier life, and open again.
      market.closing = market.closing.filter(({ hole }) => !holes.some(({ gapId }) => gapId === hole.gapId))
      holesChanged(market)
    },
    closeHole: (key, hole, awaited) => {
      const market = marketOf(key)
      close(market, hole, awaited)
      holesChanged(market)
    },
    forget: (key) => {
      const market = markets.get(key)
      if (market !== undefined) forget(market)
    },
    takeOver: ({ markets: old, seq }) => {
      if (seq > covered) {
        covered = seq
        isSeqChanged = true
      }
      for (const [key, last, ids] of old) {
        const market = marketOf(key)
        const known = new Set(market.ids)
        for (const short of ids) {
          const id = prefixOf(key) + short
          if (!known.has(id)) add(market, id, timeInId(short) ?? null)
        }
        later(market, last)
        trim(market, memoryOfMarket + 1)
        market.unwritten = market.ids.length
        touch(market)
      }
    },
    apply: (seq, entries) => {
      covered = Math.max(covered, seq)
      for (const { gone: isGone, holes, ids, k, kept, last, s, whole } of entries) {
        if (isGone === true) {
          markets.delete(k)
          continue
        }
        const market = marketOf(k)
        const prefix = prefixOf(k)
        if (whole === true) {
          market.ids = []
          market.times = []
        }
        market.exchangeSymbol = s ?? market.exchangeSymbol
        market.last = last ?? market.last
        for (const one of ids) {
          if (typeof one === "string") {
            market.ids.push(prefix + one)
            market.times.push(timeInId(one) ?? null)
          } else {
            market.ids.push(prefix + one[0])
            market.times.push(one[1])
          }
        }
        trim(market, memoryOfMarket * 2)
        if (holes !== undefined) {
          for (const [id, found] of awaiting) awaiting.set(id, found.filter((one) => one !== market))
          market.holes = holes.filter(({ over }) => over === null).map(({ event: _e, trade: _t, ...hole }) => hole)
          market.closing = holes.filter(({ over }) => over !== null).map(({ event = null, trade = null, ...hole }) => ({
            hole,
            event,
            trade
          }))
          for (const { event, trade } of market.closing) {
            awaitId(market, event)
            awaitId(market, trade)
          }
          market.kept = (kept ?? []).map((id) => prefix + id)
        }
        market.unwritten = 0
      }
    },
    changes: () => {
      if (changed.size === 0 && gone.size === 0 && !isSeqChanged) return undefined
      const keys = Array.from(changed, (key): readonly [string, number, boolean] => {
        const market = marketOf(key)
        return [key, market.unwritten, market.isHoleChanged]
      })
      const printed = keys.map(([key, unwritten, isHoleChanged]) => {
        const market = marketOf(key)
        const text = print(market, market.ids.length - unwritten, isHoleChanged)
        market.unwritten = 0
        market.isHoleChanged = false
        return text
      })
      const left = Array.from(gone)
      changed.clear()
      gone.clear()
      isSeqChanged = false
      return {
        markets: [...left.map((k) => JSON.stringify({ k, gone: true, ids: [] })), ...printed],
        keys,
        gone: left
      }
    },
    restore: ({ gone: left, keys }) => {
      isSeqChanged = true
      for (const key of left) if (!markets.has(key)) gone.add(key)
      for (const [key, unwritten, isHoleChanged] of keys) {
        const market = markets.get(key)
        if (market === undefined) continue
        market.unwritten = Math.min(market.ids.length, market.unwritten + unwritten)
        market.isHoleChanged ||= isHoleChanged
        touch(market)
      }
    },
    whole: (key) => {
      const market = markets.get(key)
      if (market === undefined) return undefined
      trim(market, memoryOfMarket + 1)
      return print(market, 0, true)
    }
  }
}
