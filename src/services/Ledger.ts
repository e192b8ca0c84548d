/**
 * The delivery ledger: every decoded trade and book is in exactly one place, always (docs/design/delivery.md "The ledger").
 *
 * `received = delivered + queued + dropped + dead_lettered + filtered + in_flight`, per exchange and channel, at any moment.
 * An event enters by `received` and leaves `in_flight` only by `move`: what is lost silently stays in flight for ever, which the
 * tests look for. Plain synchronous functions: called once a chunk on the hot path.
 */
import * as Context from "effect/Context"
import type { LaneName } from "./MarketEvent.ts"

/**
 * Where an event is. Each is in exactly one place: `in_flight` in memory, `queued` on disk, and then for good delivered, dropped, written
 * to the dead letters, or filtered before it was handed over.
 *
 * @since 0.1.0
 * @category models
 */
export type Place = "in_flight" | "queued" | "delivered" | "dropped" | "dead_lettered" | "filtered"

/**
 * Why, for the places that ask for it; `market`: of one that nobody chose; `zero`: a row of trades without an amount.
 *
 * @since 0.1.0
 * @category constants
 */
export const reasons = {
  dropped: ["full", "corrupt", "expired"],
  deadLettered: ["too_large", "invalid"],
  filtered: ["duplicate", "market", "zero", "conflated"]
} as const

/**
 * One of `reasons`.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = (typeof reasons)[keyof typeof reasons][number]

/**
 * The counts of one exchange and channel: `received` is the sum of all the others.
 *
 * @since 0.1.0
 * @category models
 */
export interface Account {
  /** An exchange; for records inherited at open: none, `origin` says so. */
  readonly exchange: string
  readonly channel: "trades" | "books"
  readonly origin: "live" | "recovered"
  readonly received: number
  readonly inFlight: number
  readonly queued: number
  readonly delivered: number
  readonly dropped: ReadonlyMap<string, number>
  readonly deadLettered: ReadonlyMap<string, number>
  readonly filtered: ReadonlyMap<string, number>
}

/**
 * Which account: the lane, and the exchange, or `undefined` for records inherited from an earlier life.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly lane: LaneName
  readonly exchange: string | undefined
}

/**
 * A ledger: counts of events, by account and place. Status events are not counted. Nothing waits or fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shape {
  /** Counts events once, when decoded; with `origin="recovered"` what a queue held at open. */
  readonly received: (entry: Entry, count: number) => void
  /** Records inherited at open: received and queued in one step. */
  readonly inherited: (lane: LaneName, count: number) => void
  readonly move: (entry: Entry, from: Place, to: Place, count: number, reason?: Reason) => void
  readonly accounts: () => ReadonlyArray<Account>
}

interface Mutable {
  readonly exchange: string
  readonly channel: "trades" | "books"
  readonly origin: "live" | "recovered"
  received: number
  readonly at: Record<Place, number>
  readonly reasons: Record<"dropped" | "dead_lettered" | "filtered", Map<string, number>>
}

/**
 * A ledger of its own for each program: two embedded collectors never share one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): Shape => {
  const accounts = new Map<string, Mutable>()
  const account = ({ exchange, lane }: Entry): Mutable | undefined => {
    if (lane === "status") return undefined // status events are outside the ledger
    const key = `${lane}:${exchange ?? ""}`
    let found = accounts.get(key)
    if (found === undefined) {
      found = {
        exchange: exchange ?? "",
        channel: lane === "trade" ? "trades" : "books",
        origin: exchange === undefined ? "recovered" : "live",
        received: 0,
        at: { in_flight: 0, queued: 0, delivered: 0, dropped: 0, dead_lettered: 0, filtered: 0 },
        reasons: { dropped: new Map(), dead_lettered: new Map(), filtered: new Map() }
      }
      accounts.set(key, found)
    }
    return found
  }
  const enter = (entry: Entry, place: Place, count: number): void => {
    const self = account(entry)
    if (self === undefined || count === 0) return
    self.received += count
    self.at[place] += count
  }
  return {
    received: (entry, count) => enter(entry, "in_flight", count),
    inherited: (lane, count) => enter({ lane, exchange: undefined }, "queued", count),
    move: (entry, from, to, count, reason = "full") => {
      const self = account(entry)
      if (self === undefined || count === 0) return
      self.at[from] -= count
      self.at[to] += count
      if (to === "dropped" || to === "dead_lettered" || to === "filtered") {
        const reasons = self.reasons[to]
        reasons.set(reason, (reasons.get(reason) ?? 0) + count)
      }
    },
    accounts: () =>
      Array.from(accounts.values(), (self) => ({
        exchange: self.exchange,
        channel: self.channel,
        origin: self.origin,
        received: self.received,
        inFlight: self.at.in_flight,
        queued: self.at.queued,
        delivered: self.at.delivered,
        dropped: self.reasons.dropped,
        deadLettered: self.reasons.dead_lettered,
        filtered: self.reasons.filtered
      }))
  }
}

const silent: Shape = { received: () => {}, inherited: () => {}, move: () => {}, accounts: () => [] }

/**
 * A reference, not a requirement: a feed used as a plain `Stream` in another app needs no ledger and then keeps none.
 *
 * @since 0.1.0
 * @category tags
 */
export class Ledger extends Context.Reference<Ledger>()("effect-exchange-feeds/services/Ledger", {
  defaultValue: (): Shape => silent
}) {}
