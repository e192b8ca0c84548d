/** What the history's answers, and their absence, make of the spans. */
import * as Time from "../../../services/Time.ts"
import type { Instant } from "../../../services/Time.ts"
import type { TradeRow } from "../../Exchange.ts"
import * as Spans from "../Spans.ts"
import type { Span, Stamp } from "../Spans.ts"
import { seeing } from "./Arrivals.ts"
import {
  type Answer,
  type Command,
  type Fresh,
  idOf,
  type Item,
  itemOf,
  type Outcome,
  spans,
  type State
} from "./State.ts"

/** Of an answer, the rows that `Answered` can use. */
export const candidates = <E>(s: State<E>, answer: Answer): ReadonlyArray<TradeRow> =>
  Spans.within(
    [
      ...s.open.filter((span) => Spans.isAskable(span, answer.sentAt)),
      ...undecided(s).filter((span) => outcomeOf(s, span, answer) !== "open")
    ],
    answer.rows,
    answer.since,
    growingIn(s, answer)
  )

/** Of the spans in line those that no answer has settled: what was made of the others stays. */
const undecided = <E>({ line }: State<E>): ReadonlyArray<Span> =>
  line.flatMap((item) => item._tag === "Span" && item.outcome === "open" ? [item.span] : [])

/**
 * The newest timestamp of rows without ids, if more trades may come to be of it. It is over by the answer's own `Date`, or if the
 * question was sent long enough after a trade of it, or of a later one, had come.
 */
const growingIn = <E>({ options, seen }: State<E>, { date, rows, sentAt }: Answer): number | null => {
  const newest = rows.at(-1)
  if (newest === undefined || newest.id !== undefined || newest.timestamp === null) return null
  const { timestamp } = newest
  const isOver = (date !== null && date - timestamp >= Spans.settledAfter(options)) ||
    (seen !== null && seen.timestamp >= timestamp && Time.between(seen.at, sentAt) >= Spans.settledAfter(options))
  return isOver ? null : timestamp
}

const outcomeOf = <E>(s: State<E>, span: Span, answer: Answer): Outcome => {
  const { rows, sentAt, since, sound } = answer
  // Of a market that has traded an empty answer says nothing.
  if (rows.length === 0 && s.seen !== null) return "open"
  if (!sound || !Spans.isAskable(span, sentAt) || !Spans.isEndCovered(span, rows, growingIn(s, answer))) return "open"
  if (Spans.isStartCovered(span, rows, new Set(s.known), since)) return "filled"
  // An empty answer says nothing. While nobody hears the market its next question may know more.
  const isHeard = s.vanished || (s.heardSince !== null && Time.between(s.heardSince, sentAt) >= 0)
  return isHeard && rows.length > 0 ? "given up" : "open"
}

export const answered = <E>(
  s: State<E>,
  answer: Answer,
  fresh: ReadonlyArray<Fresh<E>>,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  const { oldest } = answer
  const all = spans(s)
  const judged = new Set([...s.open, ...undecided(s)])
  const outcomes = all.map((span): Outcome => judged.has(span) ? outcomeOf(s, span, answer) : "open")
  /** Each trade goes to the first span that it lies in, of those whose trades may leave now. */
  const takes = all.map((_, i) => i < s.open.length || outcomes[i] !== "open")
  const shares = all.map((): Array<Fresh<E>> => [])
  for (const one of fresh) {
    const i = all.findIndex((span, i) => takes[i] === true && Spans.contains(span, one.stamp?.ms ?? null))
    const share = shares[i]
    if (share !== undefined) share.push(one)
    // Of no span: not lost for that.
    else out.push({ _tag: "HandOver", events: [one.event] })
  }
  const shareOf = (i: number) => shares[i] ?? []
  const outcomeAt = (i: number) => outcomes[i] ?? "open"
  const grown = (span: Span, i: number): Span => ({
    ...span,
    recovered: span.recovered + shareOf(i).length,
    lastTrade: shareOf(i).at(-1)?.id ?? span.lastTrade
  })

  let nextId = s.nextId
  const open: Array<Span> = []
  s.open.forEach((before, i) => {
    const share = shareOf(i)
    const span = grown(before, i)
    if (share.length > 0) out.push({ _tag: "HandOver", events: share.map(({ event }) => event) })
    if (outcomeAt(i) === "open") {
      open.push(span)
      return
    }
    const complete = outcomeAt(i) === "filled"
    const gap = Spans.gapOf(
      complete ? span : Spans.narrowed(span, oldest),
      complete,
      idOf(s, nextId++)
    )
    out.push({ _tag: "Publish", gap })
    out.push({ _tag: "Close", span, complete, isKept: true, lastEvent: gap.id })
  })

  const deadline = Time.plus(s.heardSince ?? now, s.options.hold)
  let i = s.open.length - 1
  const line = s.line.flatMap((item): ReadonlyArray<Item<E>> => {
    if (item._tag === "Trades") return [item]
    i += 1
    const outcome = outcomeAt(i)
    if (outcome === "open") return [item]
    const share = shareOf(i)
    const span = grown(item.span, i)
    const came: ReadonlyArray<Item<E>> = share.length === 0
      ? []
      : [{ _tag: "Trades", events: share.map(({ event }) => event), deadline, joinedAt: null }]
    const reached = unheardFrom(s, span, answer)
    const upTo = reached === null ? span : { ...span, to: reached }
    const beyond = reached === null
      ? []
      : [itemOf({ ...Spans.make(span.cause, reached, span.since), until: span.until }, "no")]
    return outcome === "filled"
      ? [...came, { ...item, outcome, span: upTo }, ...beyond]
      : [{ ...item, outcome, span: upTo, answeredFrom: oldest }, ...came, ...beyond]
  })

  const growing = growingIn(s, answer)
  const isLeft = [
    ...open,
    ...line.flatMap((item) => item._tag === "Span" && item.outcome === "open" ? [item.span] : [])
  ]
    .some(({ until }) => until !== null)
  // A trade of just now: when its timestamp is over, the history has all of it. And it has the trade that ends a span once it has caught up
  // with the socket: where markets trade often, that trade is younger than the question, and a hole of which nothing is missing would be
  // told as one. A market that vanished is asked once.
  const isSoon = s.quickAsks < 3 &&
    (growing !== null || (!s.vanished && all.some((span) => judged.has(span) && isBehind(span, answer))))
  const quickAsks = isSoon ? s.quickAsks + 1 : s.quickAsks
  const attempts = isSoon ? s.attempts : s.attempts + 1
  const again = Time.plus(now, isSoon ? Spans.settledAfter(s.options) : backoff(attempts))
  return {
    ...s,
    open,
    line,
    known: [...s.known, ...fresh.map(({ id }) => id)],
    joined: s.joined === null ? null : { ...s.joined, known: [...s.joined.known, ...fresh.map(({ id }) => id)] },
    asking: false,
    // A subscription that came while the question was under way asks for one of its own, sooner.
    askAt: isLeft && (!s.vanished || isSoon) ? sooner(again, s.askAt) : s.askAt,
    attempts,
    quickAsks,
    seen: seeing(s.seen, answer.rows.at(-1)?.timestamp ?? null, now),
    nextId
  }
}

/** The socket had brought the trade that ends the span, the history had not. */
const isBehind = (span: Span, { rows, sentAt }: Answer): boolean =>
  rows.length > 0 && Spans.isAskable(span, sentAt) && !Spans.isEndCovered(span, rows, null)

/** Nobody hears the market: the time of an answer's last trade, behind which its span goes on. Null where it does not. */
const unheardFrom = <E>(s: State<E>, { from, to }: Span, { rows }: Answer): Stamp | null => {
  const newest = rows.at(-1)
  if (!s.vanished || to !== null || newest === undefined) return null
  const reached = Spans.stampOf(newest)
  return reached === null || (from !== null && Spans.isBefore(reached, from)) ? from : reached
}

const sooner = (a: Instant, b: Instant | null): Instant => b !== null && Time.between(a, b) < 0 ? b : a

/** Between questions that settled nothing: half a minute, doubled up to ten. */
const backoff = (attempts: number): number => Math.min(600_000, 30_000 * 2 ** Math.min(attempts - 1, 6))

export const unanswered = <E>(s: State<E>, isUnknown: boolean, now: Instant, out: Array<Command<E>>): State<E> => {
  const attempts = s.attempts + 1
  const next = { ...s, asking: false, attempts }
  if (isUnknown) return giveUp(next, ({ until }) => until !== null, out)
  return s.vanished ? next : { ...next, askAt: sooner(Time.plus(now, backoff(attempts)), s.askAt) }
}

/** Nobody asks for the holes of a market that is gone: without a bound they would be kept for ever. */
const maxAgeOf = <E>({ options: { maxAge }, vanished }: State<E>): number =>
  vanished && maxAge === Infinity ? 86_400_000 : maxAge

/**
 * It ended too long ago by the exchange's clock. Where that is not known, or when the span ended is not, by ours: it was over at the
 * latest when the market was heard again, or vanished.
 */
export const isTooOld = <E>(s: State<E>, span: Span, exchangeNow: number | null, now: Instant): boolean => {
  const { since, until } = span
  const maxAge = maxAgeOf(s)
  return (exchangeNow !== null && Spans.isOlderThan(span, exchangeNow - maxAge, s.vanished)) ||
    (until !== null && Time.between(Time.latest(since, until), now) > maxAge)
}

/** Nothing more is expected of these spans; what was last told of them holds. */
export const giveUp = <E>(s: State<E>, which: (span: Span) => boolean, out: Array<Command<E>>): State<E> => {
  let nextId = s.nextId
  for (const span of s.open.filter(which)) {
    const gap = Spans.gapOf(span, false, idOf(s, nextId++))
    out.push({ _tag: "Publish", gap })
    out.push({ _tag: "Close", span, complete: false, isKept: true, lastEvent: gap.id })
  }
  return {
    ...s,
    open: s.open.filter((span) => !which(span)),
    line: s.line.map((item) =>
      item._tag === "Span" && item.outcome === "open" && which(item.span) ? { ...item, outcome: "given up" } : item
    ),
    nextId
  }
}
