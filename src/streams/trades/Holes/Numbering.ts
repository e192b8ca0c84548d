/**
 * Numbers of a market's trades, where none is left out: one that is missing among those that a living connection brings opens a hole. It
 * holds nothing up, neither trades nor a write; the history is asked after a second, and if it does not settle it, it is told.
 */
import * as Time from "../../../services/Time.ts"
import type { Instant } from "../../../services/Time.ts"
import type { Range } from "../Numbers.ts"
import * as Spans from "../Spans.ts"
import type { Mark, Span, Stamp, Trade } from "../Spans.ts"
import { anew, type Command, idOf, type State } from "./State.ts"

/** After which the history is asked for a number that is missing, ms: it may be late. */
const askAfter = 1_000

/** After which it is told, ms. */
const tellAfter = 30_000

/** The highest number that is known. */
export const noted = <E>(s: State<E>, mark: Mark | null | undefined): State<E> =>
  mark === null || mark === undefined || (s.newest !== null && mark.id <= s.newest.id) ? s : { ...s, newest: mark }

/** `isEnded`: what is missing before the first of them is a span already. */
export const counted = <E>(
  before: State<E>,
  trades: ReadonlyArray<Trade>,
  now: Instant,
  isEnded: boolean,
  out: Array<Command<E>>
): State<E> => {
  let s = before
  let isKnown = isEnded
  for (const trade of trades) {
    const { numbers, stamp } = trade
    if (numbers === undefined) continue
    const { newest } = s
    if (newest !== null && numbers.last <= newest.id) {
      s = late(s, trade.id, numbers, stamp, out)
      continue
    }
    if (newest !== null && !isKnown && numbers.first > newest.id + 1n) {
      s = skipped(s, newest, numbers.first, stamp, now, out)
    }
    isKnown = false
    s = noted(s, { id: numbers.last, stamp: stamp ?? newest?.stamp ?? null })
  }
  return s
}

const skipped = <E>(
  s: State<E>,
  after: Mark,
  before: bigint,
  to: Stamp | null,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  const span: Span = {
    ...Spans.make("sequence", after.stamp, now, after),
    to,
    before,
    until: now,
    gapId: idOf(s, s.nextId),
    tellAt: Time.plus(now, tellAfter)
  }
  out.push({ _tag: "Keep" })
  const askAt = Time.plus(now, askAfter)
  // Where the history cannot be had it is asked for at its own time.
  const asking = s.askAt === null
    ? { askAt, ...anew }
    : { askAt: s.attempts === 0 ? Time.earliest(askAt, s.askAt) ?? askAt : s.askAt }
  return { ...s, ...asking, open: [...s.open, span], nextId: s.nextId + 1 }
}

/** One of the missing ones came by itself. */
const late = <E>(s: State<E>, id: string, numbers: Range, stamp: Stamp | null, out: Array<Command<E>>): State<E> => {
  if (!s.open.some((span) => Spans.isMissing(span, numbers))) return s
  let nextId = s.nextId
  const open = s.open.flatMap((span): ReadonlyArray<Span> => {
    const parts = Spans.without(span, numbers, stamp, id)
    return parts.map((part, i) => i === 0 ? part : { ...part, gapId: idOf(s, nextId++) })
  })
  const left = open.filter((span) => {
    if (!Spans.isClosed(span)) return true
    const gap = span.tellAt === null || span.recovered > 0
      ? Spans.gapOf(span, true, idFor(span, () => idOf(s, nextId++)))
      : undefined
    if (gap !== undefined) out.push({ _tag: "Publish", gap })
    out.push({ _tag: "Close", span, complete: true, isKept: true, lastEvent: gap?.id ?? null })
    return false
  })
  out.push({ _tag: "Keep" })
  return { ...s, open: left, nextId }
}

/** The first event about a hole has its `gapId`. */
export const idFor = ({ gapId, tellAt }: Span, next: () => string): string =>
  tellAt === null || gapId === null ? next() : gapId

/** Tells what is due. */
export const tellDue = <E>(s: State<E>, now: Instant, out: Array<Command<E>>): State<E> => {
  const which = s.open.filter(({ tellAt }) => tellAt !== null && Time.between(tellAt, now) >= 0)
  if (which.length === 0) return s
  let nextId = s.nextId
  for (const span of which) {
    out.push({ _tag: "Publish", gap: Spans.gapOf(span, false, idFor(span, () => idOf(s, nextId++))) })
  }
  return { ...s, nextId, open: s.open.map((span) => which.includes(span) ? { ...span, tellAt: null } : span) }
}

/** The state after trades whose numbers follow; undefined if there is more to it than that. */
export const followed = <E>(s: State<E>, trades: ReadonlyArray<Trade>): State<E> | undefined => {
  if (s.open.length > 0 || s.joined !== null || s.newest === null) return undefined
  let { newest } = s
  for (const { numbers, stamp } of trades) {
    if (numbers?.first !== newest.id + 1n) return undefined
    newest = { id: numbers.last, stamp: stamp ?? newest.stamp }
  }
  return { ...s, newest }
}

/** When something is to be told next. */
export const tellAt = <E>({ open }: State<E>): Instant | undefined =>
  open.reduce<Instant | undefined>(
    (first, { tellAt }) => tellAt === null ? first : Time.earliest(first, tellAt),
    undefined
  )
