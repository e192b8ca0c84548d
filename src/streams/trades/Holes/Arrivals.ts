/** Trades that a socket brought: those that must wait, and what is known of all. */
import * as Time from "../../../services/Time.ts"
import type { Instant } from "../../../services/Time.ts"
import * as Spans from "../Spans.ts"
import type { Trade } from "../Spans.ts"
import { type Fresh, type Item, type Joined, spans, type State, withTail } from "./State.ts"

export const arrived = <E>(s: State<E>, trades: ReadonlyArray<Fresh<E>>, now: Instant): State<E> => {
  if (trades.length === 0) return s
  const events = trades.map(({ event }) => event)
  const tail = s.line.at(-1)
  const joinedAt = s.joined?.at ?? null
  if (tail?._tag === "Trades" && tail.joinedAt === joinedAt) {
    const joined = { ...tail, events: [...tail.events, ...events] }
    return know({ ...s, line: [...s.line.slice(0, -1), joined] }, trades, now)
  }
  // What is missing may have come to light long after the market was heard: when one of two listeners left.
  const since = Time.latest(s.heardSince ?? now, (tail?._tag === "Span" ? tail.span.until : null) ?? Time.never)
  const item: Item<E> = { _tag: "Trades", events, deadline: Time.plus(since, s.options.hold), joinedAt }
  if (tail?._tag !== "Span") return know({ ...s, line: [...s.line, item] }, trades, now)
  const span = Spans.endedBy(tail.span, trades)
  // The next number followed: nothing was missing, and nobody has to be asked.
  const outcome = tail.outcome === "open" && Spans.isClosed(span) ? "filled" : tail.outcome
  return know(withTail(s, { ...tail, span, outcome }, item), trades, now)
}

/** Trades that are known from now on. */
export const know = <E>(s: State<E>, trades: ReadonlyArray<Trade>, now: Instant): State<E> => {
  const all = spans(s)
  const inside = trades.filter(({ numbers, stamp }) =>
    all.some((span) => Spans.holds(span, stamp?.ms ?? null, numbers))
  )
  const seen = trades.reduce((newest, { stamp }) => seeing(newest, stamp?.ms ?? null, now), s.seen)
  return {
    ...s,
    seen,
    joined: joinedBy(s.joined, trades),
    known: inside.length === 0 ? s.known : [...s.known, ...inside.map(({ id }) => id)]
  }
}

const joinedBy = (joined: Joined | null, trades: ReadonlyArray<Trade>): Joined | null => {
  if (joined === null || trades.length === 0) return joined
  const { at, edge } = joined
  const { before, to } = Spans.endedBy(Spans.make("stale", edge.last, at, edge.mark), trades)
  return {
    ...joined,
    first: joined.first ?? to,
    firstNumber: joined.firstNumber ?? before,
    known: isNumbered(edge.mark) ? [] : [...joined.known, ...trades.map(({ id }) => id)]
  }
}

/** What is missing lies between two numbers: no id has to be remembered. */
const isNumbered = (mark: Spans.Mark | null | undefined): boolean => mark !== null && mark !== undefined

export const seeing = (seen: State<unknown>["seen"], timestamp: number | null, at: Instant): State<unknown>["seen"] =>
  timestamp === null || timestamp <= (seen?.timestamp ?? -Infinity) ? seen : { timestamp, at }
