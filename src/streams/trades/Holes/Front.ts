/** The front of the line: what may leave it, and how long it is waited for. */
import * as Time from "../../../services/Time.ts"
import type { Instant } from "../../../services/Time.ts"
import * as Spans from "../Spans.ts"
import { anew, type Command, idOf, type Item, named, type SpanItem, type State } from "./State.ts"

export const firstDeadline = <E>(line: ReadonlyArray<Item<E>>): Instant | undefined =>
  line.find((item) => item._tag === "Trades")?.deadline

/** An answer may still settle the span at the front, and there is time for it. */
export const isWaitedFor = <E>(s: State<E>, { outcome }: SpanItem): boolean => {
  if (outcome !== "open") return false
  // It was asked for once.
  if (s.vanished && !s.asking && s.askAt === null) return false
  const deadline = firstDeadline(s.line)
  if (deadline === undefined) return true
  // While nobody hears the market, the next subscription asks anew.
  const isHeard = s.heardSince !== null
  const isAskedInTime = s.asking || (s.askAt !== null && Time.between(s.askAt, deadline) > 0)
  return !s.hurried && (!isHeard || isAskedInTime)
}

/** The span at the front is not waited for any longer. */
const isDue = <E>(s: State<E>, item: SpanItem, now: Instant): boolean => {
  if (!isWaitedFor(s, item)) return true
  const deadline = firstDeadline(s.line)
  return deadline !== undefined && Time.between(deadline, now) >= 0
}

export const isUnwritten = ({ durable }: SpanItem): boolean => durable === "no" || durable === "asked"

/** All that can leave the line leaves it. */
export const advance = <E>(s: State<E>, now: Instant, out: Array<Command<E>>): State<E> => {
  const [item, ...rest] = s.line
  if (item === undefined) return atRest(s)
  if (item._tag === "Trades") {
    out.push({ _tag: "HandOver", events: item.events })
    return advance({ ...s, line: rest }, now, out)
  }
  if (!isDue(s, item, now)) return firstDeadline(s.line) === undefined ? { ...s, hurried: false } : s
  const { durable, isTold, outcome, span } = item
  /** The first event about a span has its `gapId`. */
  const id = isTold || span.gapId === null ? idOf(s, s.nextId) : span.gapId
  const next = { ...s, line: rest, nextId: s.nextId + 1 }
  if (outcome === "filled") {
    const gap = isTold || span.recovered > 0 ? Spans.gapOf(span, true, id) : undefined
    if (gap !== undefined) out.push({ _tag: "Publish", gap })
    const lastEvent = gap?.id ?? null
    // What an earlier life left may have no `gapId`: numbers that were missing when it died.
    const isKept = span.gapId !== null || durable !== "no"
    out.push({ _tag: "Close", span, complete: true, isKept, lastEvent })
    return advance(next, now, out)
  }
  if (durable === "no" && s.persistingSince === null) {
    out.push({ _tag: "Persist" })
    return { ...toPersist(s), persistingSince: now }
  }
  if (isUnwritten(item) && s.persistingSince !== null && Time.between(s.persistingSince, now) < s.options.patience) {
    return s
  }
  const gap = Spans.gapOf(Spans.narrowed(span, item.answeredFrom), false, id)
  const published = { ...span, gapId: gap.gapId }
  out.push({ _tag: "Publish", gap })
  if (outcome === "given up") {
    out.push({
      _tag: "Close",
      span: published,
      complete: false,
      isKept: true,
      lastEvent: gap.id
    })
    return advance(next, now, out)
  }
  out.push({ _tag: "Keep" })
  return advance({ ...next, open: [...s.open, published] }, now, out)
}

/** The first, and all others with something behind them: one write for all. */
const toPersist = <E>(s: State<E>): State<E> => {
  let { nextId } = s
  const line = s.line.map((item, i): Item<E> =>
    item._tag === "Span" && item.durable === "no" && (i === 0 || i < s.line.length - 1)
      ? { ...named(item, idOf(s, nextId++)), durable: "asked" }
      : item
  )
  return { ...s, line, nextId }
}

/** Nothing waits. Without spans there is nothing to ask for, nor an id to know. */
const atRest = <E>(s: State<E>): State<E> => {
  const rested = s.hurried ? { ...s, hurried: false } : s
  return s.open.length > 0
    ? rested
    : { ...rested, known: [], askAt: null, ...anew, seen: null, persistingSince: null }
}
