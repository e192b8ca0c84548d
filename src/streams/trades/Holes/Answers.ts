/** What the history's answers, and their absence, make of the spans. */
import * as Time from "../../../services/Time.ts"
import type { Instant } from "../../../services/Time.ts"
import type { TradeRow } from "../../Exchange.ts"
import * as Numbers from "../Numbers.ts"
import * as Spans from "../Spans.ts"
import type { Mark, Span, Stamp } from "../Spans.ts"
import { seeing } from "./Arrivals.ts"
import { byNumbers, isHeardAt, isPage, nothing, saidBy, type Verdict } from "./ByNumbers.ts"
import { idFor, noted } from "./Numbering.ts"
import * as Pages from "./Pages.ts"
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
export const candidates = <E>(s: State<E>, answer: Answer): ReadonlyArray<TradeRow> => {
  const all = verdictsOf(s, answer)
  const byTime = [
    ...s.open.filter((span) => span.after === null && Spans.isAskable(span, answer.sentAt)),
    ...undecided(s).filter((span) => span.after === null && all.get(span)?.takes === true)
  ]
  const rows = Spans.within(byTime, answer.rows, answer.since, growingIn(s, answer))
  const byNumber = Array.from(all).flatMap(([span, { takes }]) => takes && span.after !== null ? [span] : [])
  if (byNumber.length === 0) return rows
  const chosen = new Set(rows)
  return answer.rows.filter((row) => {
    const numbers = Numbers.rangeOf(row)
    return chosen.has(row) || (numbers !== undefined && byNumber.some((span) => Spans.isMissing(span, numbers)))
  })
}

/** Of the spans in line those that no answer has settled: what was made of the others stays. */
const undecided = <E>({ line }: State<E>): ReadonlyArray<Span> =>
  line.flatMap((item) => item._tag === "Span" && item.outcome === "open" ? [item.span] : [])

/** What an answer makes of the spans that nothing has settled yet. */
const verdictsOf = <E>(s: State<E>, answer: Answer): ReadonlyMap<Span, Verdict> => {
  const said = saidBy(s, answer)
  const verdictOf = (span: Span, isFirst: boolean): Verdict => {
    if (span.tellAt !== null && s.line.length > 0 && !s.vanished) return nothing
    if (span.after !== null) return byNumbers(s, span, span.after, isFirst, answer, said)
    const outcome = outcomeOf(s, span, answer)
    return { outcome, takes: isFirst || outcome !== "open", after: null }
  }
  return new Map([
    ...s.open.map((span) => [span, verdictOf(span, true)] as const),
    ...undecided(s).map((span) => [span, verdictOf(span, isPageFor(s, span, answer))] as const)
  ])
}

/** What a page brings goes out at once: with all before it out, nothing is overtaken. */
const isPageFor = <E>({ line: [front] }: State<E>, span: Span, { asked }: Answer): boolean =>
  isPage(asked) && front?._tag === "Span" && front.span === span

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
  const { asked, rows, sentAt, since, sound } = answer
  // A page says nothing of a span whose numbers are not known.
  if (isPage(asked)) return "open"
  // Of a market that has traded an empty answer says nothing.
  if (rows.length === 0 && s.seen !== null) return "open"
  if (!sound || !Spans.isAskable(span, sentAt) || !Spans.isEndCovered(span, rows, growingIn(s, answer))) return "open"
  if (Spans.isStartCovered(span, rows, new Set(s.known), since)) return "filled"
  // An empty answer says nothing. While nobody hears the market its next question may know more.
  return isHeardAt(s, sentAt) && rows.length > 0 ? "given up" : "open"
}

export const answered = <E>(
  s: State<E>,
  answer: Answer,
  fresh: ReadonlyArray<Fresh<E>>,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  // A page that was not understood in every row leaves what it does not say anywhere within it.
  const oldest = isPage(answer.asked) ? null : answer.oldest
  const all = spans(s)
  const verdicts = verdictsOf(s, answer)
  const outcomes = all.map((span): Outcome => verdicts.get(span)?.outcome ?? "open")
  /** Each trade goes to the first span that it lies in, of those whose trades may leave now. */
  const shares = all.map((): Array<Fresh<E>> => [])
  for (const one of fresh) {
    const i = all.findIndex((span) =>
      verdicts.get(span)?.takes === true && Spans.holds(span, one.stamp?.ms ?? null, one.numbers)
    )
    const share = shares[i]
    if (share !== undefined) share.push(one)
    // Of no span: not lost for that.
    else out.push({ _tag: "HandOver", events: [one.event] })
  }
  const shareOf = (i: number) => shares[i] ?? []
  const outcomeAt = (i: number) => outcomes[i] ?? "open"
  const grown = (span: Span, i: number): Span => {
    const after = verdicts.get(span)?.after ?? span.after
    return {
      ...span,
      recovered: span.recovered + shareOf(i).length,
      lastTrade: shareOf(i).at(-1)?.id ?? span.lastTrade,
      after,
      isUnsound: span.isUnsound || (!answer.sound && after !== span.after)
    }
  }
  // Behind a span without an end another one begins as long as nobody hears the market: that is no progress.
  const isProgress = all.some((span, i) =>
    grown(span, i).after !== span.after ||
    (outcomeAt(i) !== "open" && (!s.vanished || span.to !== null || span.before !== null))
  )

  let nextId = s.nextId
  const open: Array<Span> = []
  s.open.forEach((before, i) => {
    const share = shareOf(i)
    const span = grown(before, i)
    if (share.length > 0) out.push({ _tag: "HandOver", events: share.map(({ event }) => event) })
    if (outcomeAt(i) === "open") {
      open.push(span)
      if (span.after !== before.after) out.push({ _tag: "Keep" })
      return
    }
    const complete = outcomeAt(i) === "filled"
    // A number that was left out is no trade: nobody was told of it, nor is.
    const gap = complete && span.tellAt !== null && span.recovered === 0
      ? undefined
      : Spans.gapOf(complete ? span : Spans.narrowed(span, oldest), complete, idFor(span, () => idOf(s, nextId++)))
    if (gap !== undefined) out.push({ _tag: "Publish", gap })
    out.push({ _tag: "Close", span, complete, isKept: true, lastEvent: gap?.id ?? null })
  })

  const deadline = Time.plus(s.heardSince ?? now, s.options.hold)
  let i = s.open.length - 1
  const line = s.line.flatMap((item): ReadonlyArray<Item<E>> => {
    if (item._tag === "Trades") return [item]
    i += 1
    const outcome = outcomeAt(i)
    const share = shareOf(i)
    const span = grown(item.span, i)
    if (outcome === "open") {
      if (verdicts.get(item.span)?.takes !== true) return [item]
      if (share.length > 0) out.push({ _tag: "HandOver", events: share.map(({ event }) => event) })
      if (item.durable !== "no") out.push({ _tag: "Keep" })
      return [{ ...item, span }]
    }
    const came: ReadonlyArray<Item<E>> = share.length === 0
      ? []
      : [{ _tag: "Trades", events: share.map(({ event }) => event), deadline, joinedAt: null }]
    const reached = unheardFrom(s, span, answer)
    const upTo = reached === null ? span : { ...span, to: reached }
    const beyond = reached === null
      ? []
      : [
        itemOf(
          { ...Spans.make(span.cause, reached, span.since, span.after ?? newestOf(s, answer)), until: span.until },
          "no"
        )
      ]
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
    (growing !== null || (!s.vanished && all.some((span) => verdicts.has(span) && isBehind(span, answer))))
  const next = Pages.next(s, all, answer, isProgress)
  const quickAsks = next._tag === "Later" && isSoon ? s.quickAsks + 1 : s.quickAsks
  const attempts = next._tag !== "Later" ? 0 : isSoon ? s.attempts : s.attempts + 1
  // Of a market that is gone each span is asked for once.
  const isNext = s.vanished && s.options.pages !== undefined &&
    attempts < Pages.turns({ open, line, vanished: true }).length
  const wait = next._tag !== "Later" || isNext ? 0 : isSoon ? Spans.settledAfter(s.options) : backoff(attempts)
  // All up to where a span is filled is known, though no trade of it may have come in this life.
  const filledTo = all.reduce<Mark | null>((mark, span, i) => {
    const { after } = grown(span, i)
    return after === null || (mark !== null && after.id <= mark.id) ? mark : after
  }, null)
  const highest = fresh.reduce<Mark | null>(
    (mark, { numbers, stamp }) =>
      numbers === undefined || (mark !== null && numbers.last <= mark.id) ? mark : { id: numbers.last, stamp },
    filledTo
  )
  const ids = fresh.flatMap(({ id, numbers }) => numbers === undefined ? [id] : [])
  return {
    ...noted(s, highest),
    open,
    line,
    known: [...s.known, ...ids],
    joined: s.joined === null ? null : { ...s.joined, known: [...s.joined.known, ...ids] },
    asking: false,
    // A subscription that came while the question was under way asks for one of its own, sooner.
    askAt: isLeft && (!s.vanished || isSoon || isNext || next._tag !== "Later")
      ? sooner(Time.plus(now, wait), s.askAt)
      : s.askAt,
    attempts,
    quickAsks,
    pages: next._tag === "Later" ? s.pages : s.pages + 1,
    further: next._tag === "Further" ? next.question : null,
    seen: seeing(s.seen, answer.rows.at(-1)?.timestamp ?? null, now),
    nextId
  }
}

/** Of an answer of an exchange whose ids count up. */
const newestOf = <E>({ options }: State<E>, { rows }: Answer): Mark | null => {
  const newest = rows.at(-1)
  const numbers = newest === undefined || options.tradeIds === undefined ? undefined : Numbers.rangeOf(newest)
  return newest === undefined || numbers === undefined ? null : { id: numbers.last, stamp: Spans.stampOf(newest) }
}

/** The socket had brought the trade that ends the span, the history had not. */
const isBehind = (span: Span, { rows, sentAt }: Answer): boolean => {
  const newest = rows.at(-1)
  if (newest === undefined || !Spans.isAskable(span, sentAt)) return false
  const numbers = Numbers.rangeOf(newest)
  return span.after === null || numbers === undefined
    ? !Spans.isEndCovered(span, rows, null)
    : span.before !== null && numbers.last + 1n < span.before
}

/** Nobody hears the market: the time of an answer's last trade, behind which its span goes on. Null where it does not. */
const unheardFrom = <E>(s: State<E>, { before, from, to }: Span, { rows }: Answer): Stamp | null => {
  const newest = rows.at(-1)
  if (!s.vanished || to !== null || before !== null || newest === undefined) return null
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
    const gap = Spans.gapOf(span, false, idFor(span, () => idOf(s, nextId++)))
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
