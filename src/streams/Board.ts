/**
 * What a feed tells `FeedStatus`: counters it changes in place, shown once a chunk. Readers see living maps in a fresh frame.
 */
import * as FeedStatus from "../services/FeedStatus.ts"
import type { Moment } from "../services/Time.ts"

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

export type Connection = Mutable<Omit<FeedStatus.ConnectionStatus, "subscriptions">> & {
  subscriptions: FeedStatus.ConnectionStatus["subscriptions"]
}

export type Market = Mutable<FeedStatus.MarketStatus>

export interface Books extends Mutable<Pick<FeedStatus.BooksStatus, "waiting" | "live" | "doubtful">> {
  readonly pictures: Mutable<FeedStatus.BooksStatus["pictures"]>
  readonly gaps: Record<string, number>
  readonly resyncs: Record<string, number>
  readonly parts: Mutable<FeedStatus.BooksStatus["parts"]>
  readonly audits: Mutable<FeedStatus.BooksStatus["audits"]>
}

export interface Board {
  readonly connection: (id: number) => Connection
  readonly removeConnection: (id: number) => void
  readonly market: (symbol: string) => Market
  /** Markets no longer listed leave the page. */
  readonly listed: (symbols: ReadonlySet<string>) => void
  /** Tradable markets that are not collected, though nobody chose so. */
  readonly leftOut: (names: ReadonlyArray<string>) => void
  readonly failure: (reason: string) => void
  readonly dialed: () => void
  readonly lost: (message: string) => void
  readonly stale: (remedy: string) => void
  /** Living. */
  readonly gaps: Mutable<FeedStatus.Gaps>
  /** Living. */
  readonly books: Books
  /** From where the open holes are read whenever somebody looks. */
  readonly holes: (open: FeedStatus.ExchangeStatus["openHoles"]) => void
  readonly frame: (at: Moment) => void
  readonly data: (at: Moment) => void
  readonly api: (check: FeedStatus.ExchangeStatus["api"]) => void
  readonly polling: (polling: FeedStatus.Polling) => void
  /** Makes all changes since the last time visible. */
  readonly show: () => void
}

export const make = (status: FeedStatus.Shape, exchange: string): Board => {
  const connections = new Map<number, Connection>()
  const markets = new Map<string, Market>()
  const decodeFailures = new Map<string, number>()
  const gaps = { open: 0, filled: 0, told: 0, recovered: 0 }
  const stale = new Map<string, number>()
  const books: Books = {
    waiting: 0,
    live: 0,
    doubtful: 0,
    pictures: { perMinute: null, tookMs: null },
    gaps: {},
    resyncs: {},
    parts: { applied: 0, early: 0, old: 0 },
    audits: { equal: 0, different: 0, unproven: 0, behind: 0 }
  }
  const state: Mutable<FeedStatus.ExchangeStatus> = {
    ...FeedStatus.empty(exchange),
    connections,
    markets,
    decodeFailures,
    gaps,
    stale,
    books
  }
  return {
    gaps,
    books,
    holes: (open) => {
      state.openHoles = open
    },
    stale: (remedy) => {
      stale.set(remedy, (stale.get(remedy) ?? 0) + 1)
    },
    connection: (id) => {
      let found = connections.get(id)
      if (found === undefined) {
        found = {
          state: "connecting",
          subscriptions: { requested: 0, active: 0, rejected: 0 },
          lastFrameAt: null
        }
        connections.set(id, found)
      }
      return found
    },
    removeConnection: (id) => {
      connections.delete(id)
    },
    market: (symbol) => {
      let found = markets.get(symbol)
      if (found === undefined) {
        found = { symbol, trades: 0, lastPrice: null, lastAt: null, subscription: null, stale: false }
        markets.set(symbol, found)
      }
      return found
    },
    listed: (symbols) => {
      state.listed = symbols.size
      for (const symbol of markets.keys()) if (!symbols.has(symbol)) markets.delete(symbol)
    },
    leftOut: (names) => {
      state.leftOut = names
    },
    failure: (reason) => {
      decodeFailures.set(reason, (decodeFailures.get(reason) ?? 0) + 1)
    },
    dialed: () => {
      state.dials += 1
    },
    lost: (message) => {
      state.reconnects += 1
      state.lastError = message
    },
    frame: (at) => {
      state.lastFrameAt = at
    },
    data: (at) => {
      state.lastDataAt = at
    },
    api: (check) => {
      state.api = check
    },
    polling: (polling) => {
      state.polling = polling
    },
    show: () => status.update(exchange, () => ({ ...state }))
  }
}
