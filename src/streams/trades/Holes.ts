/**
 * The holes of one market's trades: where nobody listened, what waits behind, what was published of it, and when the exchange's history
 * is asked. A pure machine: `step(state, input, now)` gives the commands that carry it out and the next state, which is plain data: a
 * test prints it, a property compares it, the checkpoint keeps its spans.
 *
 * **The line.** What is not handed over yet stands in a line, in the order of the market's own time: spans (stretches in which nobody
 * listened) and trades. Trades leave at the front only, and a span that is neither filled nor published stops all that is behind it. So
 * the promise, that no trade is handed over behind a hole that nobody was told of, is the shape of the data.
 *
 * A span leaves the line in one of two ways:
 * - *filled*: an answer of the history covers it from its first to its last trade. These go out in its place.
 * - *published*: its trades have not come in time, or cannot come. It is made durable, then told as a `gap` event with
 *   `complete: false`; then what is behind it goes on. From there it stands among the `open` spans. Their trades go out whenever they
 *   come; when all have, it is told once more, `complete: true`.
 *
 * A number that is missing on a living connection never stands in the line: it is among the `open` spans from the start, told later.
 */
import * as Time from "../../services/Time.ts"
import type { Instant } from "../../services/Time.ts"
import { answered, giveUp, isTooOld, unanswered } from "./Holes/Answers.ts"
import { arrived, know } from "./Holes/Arrivals.ts"
import { advance, firstDeadline, isUnwritten, isWaitedFor } from "./Holes/Front.ts"
import { join, left, lost, subscribed, vanished } from "./Holes/Listening.ts"
import { noted, tellAt, tellDue } from "./Holes/Numbering.ts"
import { isAskable } from "./Holes/Pages.ts"
import {
  type Command,
  type Found,
  idOf,
  type Input,
  isCounted,
  itemOf,
  named,
  type State,
  tailOf,
  withTail
} from "./Holes/State.ts"
import * as Spans from "./Spans.ts"
import type { Span } from "./Spans.ts"

export { candidates } from "./Holes/Answers.ts"
export { followed } from "./Holes/Numbering.ts"
export { question } from "./Holes/Pages.ts"
export type { Answer, Command, Edge, Found, Fresh, Input, Item, Options, State } from "./Holes/State.ts"
export { initial, isCounted, spans } from "./Holes/State.ts"
export type { Gap, Span, Stamp, Trade } from "./Spans.ts"

// ---------------------------------------------------------------------------------------------------------------------
// questions to the state

/** No span, and nothing that waits. */
export const isIdle = <E>(s: State<E>): boolean => s.line.length === 0 && s.open.length === 0 && s.handing === 0

/** New trades would overtake others unless they arrive here. */
export const mustWait = <E>(s: State<E>): boolean => s.line.length > 0 || s.handing > 0

/** It is to be told of trades that need not wait. */
export const isCurious = <E>(s: State<E>): boolean => s.open.length > 0 || s.joined !== null || isCounted(s.options)

/** Trades that wait. */
export const waiting = <E>(s: State<E>): number =>
  s.line.reduce((sum, item) => item._tag === "Trades" ? sum + item.events.length : sum, 0)

/**
 * What the next life has to know. Not a span of which nobody was told nor is to be told yet: no trade behind it was handed over, and so
 * that life finds it by the last trade known.
 */
export const spansToKeep = <E>(s: State<E>): ReadonlyArray<Span> => [
  ...s.open,
  ...s.line.flatMap((item) =>
    item._tag === "Span" && (item.span.gapId !== null || item.durable !== "no") ? [item.span] : []
  )
]

/** When it is to be stepped with `Tick`; undefined: not before something happens. */
export const wakeAt = <E>(s: State<E>): Instant | undefined => Time.earliest(tellAt(s), frontAt(s))

const frontAt = <E>(s: State<E>): Instant | undefined => {
  const [front] = s.line
  if (front?._tag !== "Span") return undefined
  const due = isWaitedFor(s, front) ? firstDeadline(s.line) : Time.never
  // What is written may stay in the disk's hands for ever: only a span at the front waits for that, and only so long.
  return due === undefined || s.persistingSince === null || !isUnwritten(front)
    ? due
    : Time.latest(due, Time.plus(s.persistingSince, s.options.patience))
}

/** When the history is to be asked; undefined: not before something happens. */
export const askAt = <E>(s: State<E>): Instant | undefined =>
  s.asking || s.askAt === null || !isAskable(s) ? undefined : s.askAt

/** Questions since the last change: markets that had fewer come first. Of those asked again soon none comes before another. */
export const timesAsked = <E>({ pages, quickAsks }: State<E>): number => pages + Math.min(quickAsks, 1)

// ---------------------------------------------------------------------------------------------------------------------
// the step

export const step = <E>(
  state: State<E>,
  input: Input<E>,
  now: Instant
): readonly [ReadonlyArray<Command<E>>, State<E>] => {
  const out: Array<Command<E>> = []
  const next = tellDue(advance(apply(withEdge(state, input), input, now, out), now, out), now, out)
  const isHanding = out.some(({ _tag }) => _tag === "Publish" || _tag === "HandOver")
  return [out, isHanding ? { ...next, handing: next.handing + 1 } : next]
}

const withEdge = <E>(s: State<E>, input: Input<E>): State<E> => "edge" in input ? noted(s, input.edge.mark) : s

const apply = <E>(s: State<E>, input: Input<E>, now: Instant, out: Array<Command<E>>): State<E> => {
  switch (input._tag) {
    case "TakenOver":
      return takenOver(s, input.spans, input.known, now)
    case "Lost": {
      const { cause, edge, listener } = input
      const listeners = s.listeners.filter((id) => id !== listener?.id)
      return listener !== null && listeners.length > 0
        ? left({ ...s, listeners }, cause, edge, listener, now, out)
        : lost({ ...s, listeners, joined: null }, cause, edge, now)
    }
    case "Subscribed":
      return subscribed(join(s, input, now), input.recovered, input.by, input.edge, now, out)
    case "Doubted":
      return doubted(s, input, now, out)
    case "Spoiled": {
      const next = doubted(s, { ...input, cause: "undecoded" }, now, out)
      const tail = tailOf(next)
      // Trades behind its beginning were handed over: without it the next life would begin behind them.
      out.push({ _tag: "Keep" })
      return tail === undefined ? next : { ...withTail(next, named(tail, idOf(s, s.nextId))), nextId: s.nextId + 1 }
    }
    case "Arrived":
      return arrived(s, input.trades, now, out)
    case "Passed":
      return know(s, input.trades, now, out)
    case "Asked":
      return { ...s, asking: true, askAt: null }
    case "Answered":
      return answered(s, input.answer, input.fresh, now, out)
    case "Unanswered":
      return unanswered(s, input.isUnknown, now, out)
    case "Persisted":
      return persisted(s, input.ok ? "yes" : "cannot")
    case "Handed":
      return { ...s, handing: s.handing - 1 }
    case "Tick":
      return s
    case "Hurry":
      return { ...s, hurried: true }
    case "Vanished":
      return s.vanished ? s : vanished(s, now)
    case "Aged":
      return giveUp(s, (span) => isTooOld(s, span, input.exchangeNow, now), out)
    case "GiveUpLargest": {
      const largest = Spans.largest(s.open)
      return giveUp(s, (span) => span === largest, out)
    }
  }
}

const doubted = <E>(
  s: State<E>,
  { by, cause, edge: { known, last, mark } }: Omit<Extract<Input<E>, { readonly _tag: "Doubted" }>, "_tag">,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  const edge = { known, last, mark }
  // With a second listener since then, what that one brought lies in the doubtful time.
  const before = s.joined === null ? edge : s.joined.edge
  const all = [...before.known, ...s.joined?.known ?? [], ...known]
  const joined = s.joined === null
    ? null
    : { ...s.joined, at: now, by, edge, first: null, firstNumber: null, known: [] }
  const next = lost({ ...s, joined }, cause, { last: before.last, known: all, mark: before.mark }, now)
  // Nobody is subscribed to it: what speaks now may be silent in a moment.
  return s.listeners.length === 0 ? next : subscribed(next, false, by, edge, now, out)
}

const takenOver = <E>(
  s: State<E>,
  found: ReadonlyArray<Found>,
  known: ReadonlyArray<string>,
  now: Instant
): State<E> => ({
  ...s,
  // What has an end does not wait for a subscription.
  askAt: now,
  known: [...s.known, ...known],
  line: [
    ...s.line,
    ...found.map(({ after = null, before = null, isUnsound = false, outcome, ...span }) =>
      itemOf(
        { ...span, since: now, isInherited: true, start: after, after, before, tellAt: null, isUnsound },
        "yes",
        outcome
      )
    )
  ]
})

const persisted = <E>(s: State<E>, durable: "yes" | "cannot"): State<E> => ({
  ...s,
  persistingSince: null,
  line: s.line.map((item) => item._tag === "Span" && item.durable === "asked" ? { ...item, durable } : item)
})
