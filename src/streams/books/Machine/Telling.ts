/** What of a book is told, and when. */
import * as Time from "../../../services/Time.ts"
import * as Levels from "../Levels.ts"
import { deafFor } from "./Holes.ts"
import type { Command, Picture, Stamp, State, Told } from "./State.ts"

/** Where the interval governs nothing, refreshed books are spread over so long, ms. */
const spread = 1_000

/** When there is something to do next; undefined: nothing before the next part. */
export const wakeAt = (s: State): Time.Instant | undefined => {
  if (s.gap !== undefined && (!s.gap.isTold || s.gap.end !== undefined)) return Time.never
  const ask = s.ask.isPending ? undefined : s.ask.at
  if (s.phase !== "live") return ask
  const deaf = s.deafSince === null ? undefined : Time.plus(s.deafSince, deafFor)
  return Time.earliest(ask, deaf, s.freshAt, ...s.isCrossed ? [] : [changeDue(s), refreshDue(s)])
}

/**
 * When what has changed, or is the first, is to be told: in the market's next turn. What goes at once, the first and the one after a hole,
 * takes no turn: of markets that begin in one moment each would else have its next book an interval after it, all together.
 */
export const changeDue = (s: State): Time.Instant | undefined => {
  const { changedAt, isUrgent, options: { deltas, interval }, turnAt } = s
  if (isUrgent) return Time.never
  if (changedAt === undefined || deltas || interval === 0) return changedAt
  return slotFrom(s, Time.latest(changedAt, Time.plus(turnAt, interval)))
}

/** In the last turn before it has to be. */
export const refreshDue = (s: State): Time.Instant | undefined => {
  const { interval, refresh } = s.options
  if (refresh === 0 || s.told === undefined) return undefined
  return slotFrom(s, Time.plus(s.toldAt, Math.max(refresh, interval) + 1 - gridOf(s)))
}

const gridOf = ({ options: { deltas, interval, refresh } }: State): number =>
  !deltas && interval > 0 ? interval : refresh === 0 ? spread : Math.min(spread, refresh)

/** The market's first turn at that instant or after it. */
const slotFrom = (s: State, at: Time.Instant): Time.Instant => {
  const length = gridOf(s)
  const since = Time.between(Time.instant(s.options.phase % length), at)
  return Time.plus(at, (length - since % length) % length)
}

/** The market's turn that has begun last. */
const slotBefore = (s: State, at: Time.Instant): Time.Instant => slotFrom(s, Time.plus(at, 1 - gridOf(s)))

/** With deltas every book has all that is kept. */
const cut = (s: State, { asks, bids, stamp }: Picture): Picture => ({
  bids: Levels.best(bids, s.options.depth),
  asks: Levels.best(asks, s.options.depth),
  stamp
})

/** Of the two events about a hole what can be told by now: before anything else of the book. */
export const gaps = (s: State, out: Array<Command>): void => {
  const { gap } = s
  if (gap === undefined) return
  const { end, hole: { cause, from, fromSequence } } = gap
  const told = { _tag: "Gap", cause, from, fromSequence } as const
  if (!gap.isTold) out.push({ ...told, to: null, toSequence: null, complete: false, isLast: false })
  gap.isTold = true
  if (end === undefined) return
  const { to, toSequence } = end._tag === "Whole" ? end : { to: null, toSequence: null }
  out.push({ ...told, to, toSequence, complete: end._tag === "Whole", isLast: true })
  s.gap = undefined
}

export const due = (s: State, now: Time.Moment, out: Array<Command>): void => {
  gaps(s, out)
  const { kept } = s
  if (s.phase !== "live" || kept === undefined || s.isCrossed) return
  if (isOver(changeDue(s), now.at)) change(s, kept, now, out)
  if (s.told === undefined || !isOver(refreshDue(s), now.at)) return
  s.turnAt = slotBefore(s, now.at)
  out.push(book(s, s.told, Time.epochMillis(now.wall), now))
}

/** Nothing is told after it: what waits for its turn would never be. */
export const last = (s: State, now: Time.Moment, out: Array<Command>): void => {
  gaps(s, out)
  const { changedAt, isCrossed, isUrgent, kept, phase } = s
  if (phase !== "live" || kept === undefined || isCrossed) return
  if (isUrgent || changedAt !== undefined) change(s, kept, now, out)
}

const change = (s: State, kept: Picture, now: Time.Moment, out: Array<Command>): void => {
  const { isUrgent, options: { deltas }, told } = s
  const leadsOn = deltas && !isUrgent && told !== undefined
  if (leadsOn) out.push(delta(s, told, kept))
  // A reader who lost something of the picture before need not wait for the next refresh.
  if (!leadsOn || told.stamp.epoch !== kept.stamp.epoch) out.push(book(s, cut(s, kept), kept.stamp.receivedAt, now))
  // By its turn, not by when it was ready: else what was late once would be late for ever.
  if (!s.isUrgent) s.turnAt = slotBefore(s, now.at)
  s.told = cut(s, kept)
  s.changedAt = undefined
  s.isUrgent = false
}

export const isOver = (at: Time.Instant | undefined, now: Time.Instant): boolean =>
  at !== undefined && Time.between(at, now) >= 0

const idOf = ({ collector, key }: State["options"], kind: "b" | "d", { isOwn, n, receivedAt, sequence }: Stamp) =>
  isOwn ? `${key}:${kind}:${sequence}` : `${key}:${kind}:${collector}:${receivedAt}:${n}`

/** `receivedAt`: of what it says, or when it is said again. */
const book = (s: State, { asks, bids, stamp }: Picture, receivedAt: number, now: Time.Moment): Told => {
  s.toldAt = now.at
  const { sequence, source, time } = stamp
  const id = idOf(s.options, "b", stamp)
  return { _tag: "Book", id, sequence, previous: "", bids, asks, timestamp: time, receivedAt, source }
}

const delta = (s: State, told: Picture, { asks, bids, stamp }: Picture): Told => ({
  _tag: "Delta",
  id: idOf(s.options, "d", stamp),
  previous: told.stamp.sequence,
  sequence: stamp.sequence,
  bids: Levels.changes("bids", told.bids, bids),
  asks: Levels.changes("asks", told.asks, asks),
  timestamp: stamp.time,
  receivedAt: stamp.receivedAt,
  source: stamp.source
})
