/**
 * One hole in a market's trades, from the lost connection (or the start of this life) to the history that fills it. Pure: what a
 * history covers, and whether the hole is closed by it (DELIVERY.md sections 3 and 4).
 */
import type { TradeRow } from "../Exchange.ts"
import type { Edge } from "./Identity.ts"

export interface Hole {
  /** What was known when it opened. */
  readonly edge: Edge
  /** When the market was first subscribed to in this life, epoch ms by our clock: what came before is not missed. */
  readonly heardSince: number
}

/** A timestamp is over in a history this long after it began (I2): Wallex counts whole seconds. */
const settledAfter = 2_000

/** The exchange's clock may be off ours by so much, where only ours knows when we began to hear. */
const skew = 5_000

const from = ({ edge, heardSince }: Hole): number => edge.last ?? (edge.ids.size > 0 ? -Infinity : heardSince - skew)

/** The newest timestamp of a history: more trades may come to be of it, until it is over. */
const growing = (history: ReadonlyArray<TradeRow>, now: number): number | undefined => {
  const newest = history[history.length - 1]?.timestamp ?? null
  return newest === null || now - newest >= settledAfter ? undefined : newest
}

/**
 * Of a history, oldest first, the rows that may belong to the hole, each timestamp covered as a whole. `now`: when the answer came,
 * epoch ms. Rows with an id of their own need no cover.
 */
export const covered = (hole: Hole, history: ReadonlyArray<TradeRow>, now: number): ReadonlyArray<TradeRow> => {
  const since = from(hole)
  const oldest = history[0]?.timestamp ?? null
  const open = growing(history, now)
  return history.filter(({ id, timestamp }) => {
    if (timestamp === null) return id !== undefined
    if (timestamp < since) return false
    // The oldest may be a group cut in two; the newest may not be over yet.
    return id !== undefined || (timestamp !== oldest && timestamp !== open)
  })
}

/**
 * Whether the socket took over where the history ends: rows of the newest timestamp that were left out because it is not over must
 * be the socket's, which is sure only of what is newer than the first trade that it brought. `firstLive`: epoch ms of that. Zero if
 * so, else in how many milliseconds to ask again.
 */
export const untilMet = (history: ReadonlyArray<TradeRow>, firstLive: number | null, now: number): number => {
  if (history.every(({ id }) => id !== undefined)) return 0
  const open = growing(history, now)
  if (open === undefined || (firstLive !== null && open > firstLive)) return 0
  // More than that only if its clock is ahead of ours.
  return Math.min(settledAfter, open + settledAfter - now)
}

/** The history reaches back to what was known (B3). */
export const reaches = (hole: Hole, history: ReadonlyArray<TradeRow>): boolean => {
  const { edge } = hole
  if (history.some(({ id }) => id !== undefined && edge.ids.has(id))) return true
  const since = from(hole)
  // An exchange that has no trades at all has lost none.
  return history.every(({ timestamp }) => timestamp !== null) &&
    (history.length === 0 ? edge.last === null : history.some(({ timestamp }) => (timestamp ?? since) < since))
}

/** A stretch without trades that the hole left; it has several if the connection was lost again before the history came. */
export interface Span {
  readonly cause: string
  /** Exchange time of the last trade before it, epoch ms; null if none is known. */
  readonly from: number | null
  /** Exchange time of the first trade after it, epoch ms; null while none is known. */
  to: number | null
  /** Trades that histories have brought since. */
  recovered: number
}

/** The span that a recovered trade belongs to: else the last, whose end need not be known. */
export const spanOf = (spans: ReadonlyArray<Span>, timestamp: number | null): Span | undefined =>
  timestamp === null
    ? spans[spans.length - 1]
    : spans.find((span) => (span.from ?? -Infinity) <= timestamp && timestamp <= (span.to ?? Infinity)) ??
      spans[spans.length - 1]
