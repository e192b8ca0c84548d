/** Who hears the market: a listener more, a listener less, none, none ever again; and the spans that come of it. */
import * as Time from "../../../services/Time.ts"
import type { Instant } from "../../../services/Time.ts"
import type { Cause, Listener } from "../../Channel.ts"
import * as Spans from "../Spans.ts"
import type { Stamp } from "../Spans.ts"
import {
  anew,
  type Command,
  type Edge,
  hasIds,
  idOf,
  type Input,
  isCounted,
  type Item,
  itemOf,
  named,
  spans,
  type State,
  tailOf,
  withTail
} from "./State.ts"

export const lost = <E>(s: State<E>, cause: Cause, { known, last, mark }: Edge, now: Instant): State<E> => {
  const deaf = { ...s, heardSince: null }
  const tail = tailOf(deaf)
  const item = { ...itemOf(Spans.make(cause, last, now, mark), "no"), isRecoverable: cause === "disconnected" }
  const next = tail === undefined
    ? { ...deaf, line: [...s.line, item], known: [...s.known, ...known] }
    : withTail(deaf, { ...tail, isRecoverable: false, span: { ...tail.span, until: null, by: null } })
  return s.vanished ? vanished(next, now) : next
}

export const join = <E>(
  s: State<E>,
  { by, edge, listener, recovered }: Extract<Input<E>, { readonly _tag: "Subscribed" }>,
  now: Instant
): State<E> => {
  const [elder] = s.listeners
  const listeners = [...s.listeners, listener]
  // What the server brings again is what the first one may have missed.
  if (elder === undefined || recovered) return { ...s, listeners }
  return { ...s, listeners, joined: { elder, at: now, by, edge, first: null, firstNumber: null, known: [] } }
}

/**
 * One of two listeners is gone. Two things may be missing; if so there is a span, of which what follows is known already.
 * - The first one may have been dead for a while when the second one joined: nobody knows unless it brought something since.
 * - Both heard the timestamp in which the second one joined, each in part, and of equal trades without ids nobody can say which was
 *   heard twice. Only a timestamp that both heard to its end settles that.
 */
export const left = <E>(
  s: State<E>,
  cause: Cause,
  { last }: Edge,
  { aliveAt, broughtAt, id }: Listener,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  const { joined } = s
  const alone = { ...s, joined: null }
  if (joined === null) return alone
  const { at, by, edge: { known, last: from, mark }, elder, first, firstNumber } = joined
  // Once the second one has brought a trade, the first one should have too: its pings say nothing of the market.
  const since = first === null ? aliveAt : broughtAt
  const isAlive = id === elder && since !== null && Time.between(at, since) >= 0
  const isSettled = Time.between(at, now) >= Spans.settledAfter(s.options) || hasIds(s)
  if (isAlive && (isSettled || from === null)) return alone
  const asking = { askAt: Time.plus(now, s.options.askAfter), ...anew }
  const tail = tailOf(s)
  if (tail !== undefined) {
    return isAlive
      ? alone
      : { ...withTail(alone, { ...tail, isRecoverable: false, span: { ...tail.span, by, until: now } }), ...asking }
  }
  // A number that is missing shows by itself.
  if (isCounted(s.options) && mark !== null && mark !== undefined) return alone
  const to = isSettled ? first : last ?? first
  const span = { ...Spans.make(isAlive ? cause : "stale", from, now, mark), to, before: firstNumber, by, until: now }
  const item = itemOf(span, "no")
  out.push({ _tag: "Keep" })
  // What has come since the second one joined, and still waits, is behind it.
  const behind = s.line.findIndex((one) => one._tag === "Trades" && one.joinedAt === at)
  const place = behind === -1 ? s.line.length : behind
  return {
    ...alone,
    ...asking,
    line: [...s.line.slice(0, place), named(item, idOf(s, s.nextId)), ...s.line.slice(place)],
    known: [...s.known, ...known, ...joined.known],
    nextId: s.nextId + 1
  }
}

export const subscribed = <E>(
  s: State<E>,
  recovered: boolean,
  by: Stamp | null,
  { known, last, mark }: Edge,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  const back = s.vanished ? returned(s, now) : s
  if (back.heardSince !== null) return back
  const heard = ended({ ...back, heardSince: now }, by, now)
  const tail = tailOf(heard)
  if (tail === undefined) {
    // Trades came though nobody was subscribed: what followed the last of them nobody may have heard.
    if (recovered || last === null) return heard
    const item = itemOf({ ...Spans.make("unsubscribed", last, now, mark), by, until: now }, "no")
    return {
      ...heard,
      line: [...heard.line, item],
      known: [...heard.known, ...known],
      askAt: Time.plus(now, s.options.askAfter),
      ...anew
    }
  }
  if (recovered && tail.isRecoverable && tail.span.gapId === null) {
    out.push({ _tag: "Close", span: tail.span, complete: true, isKept: false, lastEvent: null })
    return { ...heard, line: heard.line.slice(0, -1) }
  }
  return {
    ...withTail(heard, { ...tail, span: { ...tail.span, until: now, by } }),
    askAt: Time.plus(now, s.options.askAfter),
    ...anew
  }
}

/**
 * Spans that trades have ended while nobody was subscribed, be it trades from before them, which say nothing of where: now their histories can be
 * asked for.
 */
const ended = <E>(s: State<E>, by: Stamp | null, now: Instant): State<E> => {
  const isUnheard = ({ until }: Spans.Span) => until === null
  const heard = (span: Spans.Span): Spans.Span => isUnheard(span) ? { ...span, by, until: now } : span
  if (!spans(s).some(isUnheard)) return s
  return {
    ...s,
    open: s.open.map(heard),
    line: s.line.map((item): Item<E> => item._tag === "Span" ? { ...item, span: heard(item.span) } : item),
    askAt: Time.plus(now, s.options.askAfter),
    ...anew
  }
}

/** A market that had vanished is heard again: the end of its last span is yet to come. */
const returned = <E>(s: State<E>, now: Instant): State<E> => {
  // While it was gone nobody asked for what is open.
  const back = { ...s, vanished: false, askAt: s.open.length > 0 ? now : s.askAt }
  const last = s.open.at(-1)
  if (last === undefined || last.to !== null || last.before !== null || s.line.length > 0) return back
  return { ...back, open: s.open.slice(0, -1), line: [itemOf({ ...last, until: null, by: null }, "yes")] }
}

export const vanished = <E>(s: State<E>, now: Instant): State<E> => {
  const line = s.line.map((item): Item<E> =>
    item._tag === "Span" ? { ...item, span: { ...item.span, until: item.span.until ?? now } } : item
  )
  return { ...s, line, vanished: true, askAt: now, ...anew }
}
