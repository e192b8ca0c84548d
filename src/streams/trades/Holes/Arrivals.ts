/** Trades that a socket brought: those that must wait, and what is known of all. */
import * as Time from "../../../services/Time.ts"
import type { Instant } from "../../../services/Time.ts"
import * as Spans from "../Spans.ts"
import type { Trade } from "../Spans.ts"
import { counted } from "./Numbering.ts"
import { type Command, type Fresh, isCounted, type Item, type Joined, spans, type State, withTail } from "./State.ts"

export const arrived = <E>(
  s: State<E>,
  trades: ReadonlyArray<Fresh<E>>,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  if (trades.length === 0) return s
  const events = trades.map(({ event }) => event)
  const tail = s.line.at(-1)
  const joinedAt = s.joined?.at ?? null
  if (tail?._tag === "Trades" && tail.joinedAt === joinedAt) {
    const joined = { ...tail, events: [...tail.events, ...events] }
    return know({ ...s, line: [...s.line.slice(0, -1).map((item) => bounded(item, trades)), joined] }, trades, now, out)
  }
  // What is missing may have come to light long after the market was heard: when one of two listeners left.
  const since = Time.latest(s.heardSince ?? now, (tail?._tag === "Span" ? tail.span.until : null) ?? Time.never)
  const item: Item<E> = { _tag: "Trades", events, deadline: Time.plus(since, s.options.hold), joinedAt }
  if (tail?._tag !== "Span") return know({ ...s, line: [...s.line, item] }, trades, now, out)
  const span = Spans.endedBy(tail.span, trades)
  // Those of lower numbers are not behind it.
  if (span.after !== null && span.before === null && span.to === null) {
    return know({ ...s, line: [...s.line.slice(0, -1), item, tail] }, trades, now, out)
  }
  // The next number followed: nothing was missing, and nobody has to be asked.
  const outcome = tail.outcome === "open" && Spans.isClosed(span) ? "filled" : tail.outcome
  const isEnded = tail.outcome === "open" && span.after !== null
  return know(withTail(s, { ...tail, span, outcome }, item), trades, now, out, isEnded)
}

/** A span that an answer has settled before any trade behind it was known, and that is still to be told. */
const bounded = <E>(item: Item<E>, trades: ReadonlyArray<Trade>): Item<E> =>
  item._tag === "Span" && item.outcome === "given up" && item.span.after !== null
    ? { ...item, span: Spans.endedBy(item.span, trades) }
    : item

/** Trades that are known from now on. `isEnded`: the first of them has ended a span, in which all numbers before it are. */
export const know = <E>(
  before: State<E>,
  trades: ReadonlyArray<Trade>,
  now: Instant,
  out: Array<Command<E>>,
  isEnded = false
): State<E> => {
  const s = isCounted(before.options) ? counted(before, trades, now, isEnded, out) : before
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
