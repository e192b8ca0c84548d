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
 */
import * as Time from "../../services/Time.ts"
import type { Instant } from "../../services/Time.ts"
import type { TradeRow } from "../Exchange.ts"
import * as Spans from "./Holes/Spans.ts"
import type { Cause, Gap, Span, Stamp, Trade } from "./Holes/Spans.ts"

export type { Cause, Gap, Span, Stamp, Trade } from "./Holes/Spans.ts"

export interface Options {
  /** How long trades behind a span wait for it to be filled, ms from the subscription; 0: not at all. */
  readonly hold: number
  /** How long they wait besides for the span to become durable, ms: a disk that hangs must not hold up a Kafka that takes everything. */
  readonly patience: number
  /** After a subscription, before the history is asked, ms (`Exchange.rest.history.askAfter`). */
  readonly askAfter: number
  /**
   * A span that ended longer ago, by the exchange's clock, is given up, ms; `Infinity`: none is but those of a vanished market, after
   * a day.
   */
  readonly maxAge: number
  /** Begins the ids of `gap` events; unique to the market and to this life of the collector. */
  readonly idPrefix: string
}

/** What the history's answers have made of a span: nothing that settles it, all of its trades, or that no more of them will come. */
type Outcome = "open" | "filled" | "given up"

type Found = Omit<Span, "since" | "isInherited"> & { readonly outcome: Outcome }

interface SpanItem {
  readonly _tag: "Span"
  readonly span: Span
  /** Whether the checkpoint has it. `cannot`: writing failed. */
  readonly durable: "no" | "asked" | "yes" | "cannot"
  readonly outcome: Outcome
  /** Its `gapId` may be known to others: an earlier life told of it. */
  readonly isTold: boolean
  /** Nobody heard the market since it began, so that a server which brings all since the connection was lost brings all of it. */
  readonly isRecoverable: boolean
}

/** Trades that wait. `E` is whatever the caller hands over. */
interface TradesItem<E> {
  readonly _tag: "Trades"
  readonly events: ReadonlyArray<E>
  /** When they have waited long enough for what is before them. */
  readonly deadline: Instant
}

export type Item<E> = SpanItem | TradesItem<E>

/** A second listener joined the first. Until that one brings something again it may have been dead for a while. */
interface Joined {
  readonly elder: number
  readonly at: Instant
  /** See `Span.by`. */
  readonly by: Stamp | null
  /** What was known then. */
  readonly edge: Edge
  /** Of the first trade known since; null if none is. */
  readonly first: Stamp | null
  /** Ids of those known since. */
  readonly known: ReadonlyArray<string>
}

export interface State<E> {
  readonly options: Options
  /** Who hears the market, the elder first: two while one replaces the other. */
  readonly listeners: ReadonlyArray<number>
  /** Since when somebody hears the market; null while nobody does. */
  readonly heardSince: Instant | null
  readonly joined: Joined | null
  readonly line: ReadonlyArray<Item<E>>
  /** Published, with trades behind them handed over; oldest first. */
  readonly open: ReadonlyArray<Span>
  /** Ids of known trades within the spans, edges included: an answer does not bring them again. */
  readonly known: ReadonlyArray<string>
  /** Steps whose `Publish` and `HandOver` are still being carried out: what comes meanwhile must not overtake them. */
  readonly handing: number
  /** Since when the line waits for its first span to become durable. */
  readonly persistingSince: Instant | null
  readonly asking: boolean
  /** When the history is to be asked next; null: not before something changes. */
  readonly askAt: Instant | null
  /** Questions in a row that settled nothing. */
  readonly attempts: number
  /** The newest timestamp of a trade that came while there were spans, epoch ms, and when the first with it came. */
  readonly seen: { readonly timestamp: number; readonly at: Instant } | null
  /** Nobody will subscribe to it: it is not listed, not chosen, or another collector's. */
  readonly vanished: boolean
  /** Nothing waits any longer: too much waits, or the collector stops. */
  readonly hurried: boolean
  readonly nextId: number
}

/** An answer of the exchange's history. */
export interface Answer {
  /** Oldest first. */
  readonly rows: ReadonlyArray<TradeRow>
  /** Of the first row. */
  readonly oldest: Stamp | null
  /** Every row was understood. */
  readonly sound: boolean
  /** When the question was sent. */
  readonly sentAt: Instant
  /** It was made at that time of the exchange's clock or later, epoch ms; null if that is not known. */
  readonly date: number | null
  /** Where no trade was known before a span: what is older was never missed, epoch ms of the exchange's clock; null: not known. */
  readonly since: number | null
}

export interface Edge {
  /** Of the newest trade known, waiting ones included; null if none is. */
  readonly last: Stamp | null
  /** Ids of the trades that share its timestamp. */
  readonly known: ReadonlyArray<string>
}

export interface Listener {
  readonly id: number
  readonly aliveAt: Instant
}

export interface Fresh<E> extends Trade {
  readonly event: E
}

export type Input<E> =
  /** What earlier lives left, oldest first. `outcome`: what they had come to, but for the last event. */
  | {
    readonly _tag: "TakenOver"
    readonly spans: ReadonlyArray<Found>
    readonly known: ReadonlyArray<string>
  }
  /** A listener less. `listener`: which one, and when it last brought anything; null: nobody listened, in the time before this life. */
  | { readonly _tag: "Lost"; readonly cause: Cause; readonly edge: Edge; readonly listener: Listener | null }
  /** A listener more. `recovered`: the server brings all since the connection was lost. `by`: see `Span.by`. */
  | {
    readonly _tag: "Subscribed"
    readonly listener: number
    readonly recovered: boolean
    readonly by: Stamp | null
    readonly edge: Edge
  }
  /** It is heard, but for a while perhaps was not. */
  | { readonly _tag: "Doubted"; readonly cause: Cause; readonly edge: Edge; readonly by: Stamp | null }
  /** New trades of a socket, oldest first, while `mustWait`. */
  | { readonly _tag: "Arrived"; readonly trades: ReadonlyArray<Fresh<E>> }
  /** The same, while not `mustWait` but `isCurious`: the caller hands them over itself. */
  | { readonly _tag: "Passed"; readonly trades: ReadonlyArray<Trade> }
  | { readonly _tag: "Asked" }
  /** `fresh`: of the `candidates` those that were not known, oldest first. */
  | { readonly _tag: "Answered"; readonly answer: Answer; readonly fresh: ReadonlyArray<Fresh<E>> }
  /** `isUnknown`: the exchange does not know the market; else asking had no success. */
  | { readonly _tag: "Unanswered"; readonly isUnknown: boolean }
  /** `Persist` is done, or failed. */
  | { readonly _tag: "Persisted"; readonly ok: boolean }
  /** The commands of one step are carried out. */
  | { readonly _tag: "Handed" }
  | { readonly _tag: "Tick" }
  | { readonly _tag: "Hurry" }
  /** Nobody will subscribe to it any more. */
  | { readonly _tag: "Vanished" }
  /** `exchangeNow`: epoch ms of the exchange's clock, at the least; null where it is not known. */
  | { readonly _tag: "Aged"; readonly exchangeNow: number | null }
  /** Too much is remembered: the largest open span is given up. */
  | { readonly _tag: "GiveUpLargest" }

export type Command<E> =
  /** `spansToKeep` are to be durable; `Persisted` is awaited. */
  | { readonly _tag: "Persist" }
  /** `spansToKeep` are others now; nobody waits for it. */
  | { readonly _tag: "Keep" }
  /** Of one step's, `Publish` and `HandOver` are carried out in order; then `Handed` is awaited. */
  | { readonly _tag: "Publish"; readonly gap: Gap }
  | { readonly _tag: "HandOver"; readonly events: ReadonlyArray<E> }
  /**
   * The span is over. If the checkpoint has it (`isKept`), it stays there until its `lastTrade` and the event with that id are resolved:
   * before that they may be lost.
   */
  | {
    readonly _tag: "Close"
    readonly span: Span
    readonly complete: boolean
    readonly isKept: boolean
    readonly lastEvent: string | null
  }

/** `nextId`: of the market's machine before this one, if it had one in this life. */
export const initial = <E>(options: Options, nextId = 1): State<E> => ({
  options,
  listeners: [],
  heardSince: null,
  joined: null,
  line: [],
  open: [],
  known: [],
  handing: 0,
  persistingSince: null,
  asking: false,
  askAt: null,
  attempts: 0,
  seen: null,
  vanished: false,
  hurried: false,
  nextId
})

// ---------------------------------------------------------------------------------------------------------------------
// questions to the state

/** No span, and nothing that waits. */
export const isIdle = <E>(s: State<E>): boolean => s.line.length === 0 && s.open.length === 0 && s.handing === 0

/** New trades would overtake others unless they arrive here. */
export const mustWait = <E>(s: State<E>): boolean => s.line.length > 0 || s.handing > 0

/** It is to be told of trades that need not wait. */
export const isCurious = <E>(s: State<E>): boolean => s.open.length > 0 || s.joined !== null

const spansInLine = <E>(s: State<E>): ReadonlyArray<Span> =>
  s.line.flatMap((item) => item._tag === "Span" ? [item.span] : [])

/** Oldest first. */
export const spans = <E>(s: State<E>): ReadonlyArray<Span> => [...s.open, ...spansInLine(s)]

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
export const wakeAt = <E>(s: State<E>): Instant | undefined => {
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
  s.asking || s.askAt === null || spans(s).every(({ until }) => until === null) ? undefined : s.askAt

/** Of an answer, the rows that `Answered` can use. */
export const candidates = <E>(s: State<E>, answer: Answer): ReadonlyArray<TradeRow> =>
  Spans.within(
    [
      ...s.open.filter((span) => Spans.isAskable(span, answer.sentAt)),
      ...spansInLine(s).filter((span) => outcomeOf(s, span, answer) !== "open")
    ],
    answer.rows,
    answer.since,
    growingIn(s, answer)
  )

// ---------------------------------------------------------------------------------------------------------------------
// the step

export const step = <E>(
  state: State<E>,
  input: Input<E>,
  now: Instant
): readonly [ReadonlyArray<Command<E>>, State<E>] => {
  const out: Array<Command<E>> = []
  const next = advance(apply(state, input, now, out), now, out)
  const isHanding = out.some(({ _tag }) => _tag === "Publish" || _tag === "HandOver")
  return [out, isHanding ? { ...next, handing: next.handing + 1 } : next]
}

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
      return subscribed(joined(s, input, now), input.recovered, input.by, now, out)
    case "Doubted": {
      // With a second listener since then, what that one brought lies in the doubtful time.
      const edge = s.joined === null ? input.edge : s.joined.edge
      const known = [...edge.known, ...s.joined?.known ?? [], ...input.edge.known]
      const again = s.joined === null
        ? null
        : { ...s.joined, at: now, by: input.by, edge: input.edge, first: null, known: [] }
      const next = lost({ ...s, joined: again }, input.cause, { last: edge.last, known }, now)
      return subscribed(next, false, input.by, now, out)
    }
    case "Arrived":
      return arrived(s, input.trades, now)
    case "Passed":
      return know(s, input.trades, now)
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

const itemOf = (span: Span, durable: SpanItem["durable"], outcome: Outcome = "open"): SpanItem => ({
  _tag: "Span",
  span,
  durable,
  outcome,
  isTold: span.gapId !== null,
  isRecoverable: false
})

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
    ...found.map(({ outcome, ...span }) => itemOf({ ...span, since: now, isInherited: true }, "yes", outcome))
  ]
})

/** Nothing has to be over before the history is asked. */
const hasIds = <E>({ options }: State<E>): boolean => options.askAfter === 0

const idOf = <E>({ options }: State<E>, n: number): string => `${options.idPrefix}${n}`

/** What the checkpoint has of a span bears the `gapId` under which it will be told, or the next life would tell of another hole. */
const named = (item: SpanItem, id: string): SpanItem =>
  item.span.gapId === null ? { ...item, span: { ...item.span, gapId: id } } : item

/** A span at the end of the line that has no end yet: nothing came since. */
const tailOf = <E>(s: State<E>): SpanItem | undefined => {
  const tail = s.line.at(-1)
  return tail?._tag === "Span" && tail.span.to === null && tail.outcome === "open" ? tail : undefined
}

const withTail = <E>(s: State<E>, tail: SpanItem, ...more: ReadonlyArray<Item<E>>): State<E> => ({
  ...s,
  line: [...s.line.slice(0, -1), tail, ...more]
})

const lost = <E>(s: State<E>, cause: Cause, { known, last }: Edge, now: Instant): State<E> => {
  const deaf = { ...s, heardSince: null }
  const tail = tailOf(deaf)
  const item = { ...itemOf(Spans.make(cause, last, now), "no"), isRecoverable: cause === "disconnected" }
  const next = tail === undefined
    ? { ...deaf, line: [...s.line, item], known: [...s.known, ...known] }
    : withTail(deaf, { ...tail, isRecoverable: false, span: { ...tail.span, until: null, by: null } })
  return s.vanished ? vanished(next, now) : next
}

const joined = <E>(
  s: State<E>,
  { by, edge, listener, recovered }: Extract<Input<E>, { readonly _tag: "Subscribed" }>,
  now: Instant
): State<E> => {
  const [elder] = s.listeners
  const listeners = [...s.listeners, listener]
  // What the server brings again is what the first one may have missed.
  if (elder === undefined || recovered) return { ...s, listeners }
  return { ...s, listeners, joined: { elder, at: now, by, edge, first: null, known: [] } }
}

/**
 * One of two listeners is gone. Two things may be missing; if so there is a span, of which what follows is known already.
 * - The first one may have been dead for a while when the second one joined: nobody knows unless it brought something since.
 * - Both heard the timestamp in which the second one joined, each in part, and of equal trades without ids nobody can say which was
 *   heard twice. Only a timestamp that both heard to its end settles that.
 */
const left = <E>(
  s: State<E>,
  cause: Cause,
  { last }: Edge,
  { aliveAt, id }: Listener,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  const { joined } = s
  const alone = { ...s, joined: null }
  if (joined === null) return alone
  const { at, by, edge: { known, last: from }, elder, first } = joined
  const isAlive = id === elder && Time.between(at, aliveAt) >= 0
  const isSettled = Time.between(at, now) >= Spans.settledAfter || hasIds(s)
  if (isAlive && (isSettled || from === null)) return alone
  const asking = { askAt: Time.plus(now, s.options.askAfter), attempts: 0 }
  const tail = tailOf(s)
  if (tail !== undefined) {
    return isAlive
      ? alone
      : { ...withTail(alone, { ...tail, isRecoverable: false, span: { ...tail.span, by, until: now } }), ...asking }
  }
  const to = isSettled ? first : last ?? first
  const item = itemOf({ ...Spans.make(isAlive ? cause : "stale", from, now), to, by, until: now }, "no")
  out.push({ _tag: "Keep" })
  return {
    ...alone,
    ...asking,
    line: [...s.line, named(item, idOf(s, s.nextId))],
    known: [...s.known, ...known, ...joined.known],
    nextId: s.nextId + 1
  }
}

const subscribed = <E>(
  s: State<E>,
  recovered: boolean,
  by: Stamp | null,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  const back = s.vanished ? returned(s) : s
  if (back.heardSince !== null) return back
  const heard = { ...back, heardSince: now }
  const tail = tailOf(heard)
  if (tail === undefined) return heard
  if (recovered && tail.isRecoverable && tail.span.gapId === null) {
    out.push({ _tag: "Close", span: tail.span, complete: true, isKept: false, lastEvent: null })
    return { ...heard, line: heard.line.slice(0, -1) }
  }
  return {
    ...withTail(heard, { ...tail, span: { ...tail.span, until: now, by } }),
    askAt: Time.plus(now, s.options.askAfter),
    attempts: 0
  }
}

/** A market that had vanished is heard again: the end of its last span is yet to come. */
const returned = <E>(s: State<E>): State<E> => {
  const back = { ...s, vanished: false }
  const last = s.open.at(-1)
  if (last === undefined || last.to !== null || s.line.length > 0) return back
  return { ...back, open: s.open.slice(0, -1), line: [itemOf({ ...last, until: null, by: null }, "yes")] }
}

const vanished = <E>(s: State<E>, now: Instant): State<E> => {
  const line = s.line.map((item): Item<E> =>
    item._tag === "Span" ? { ...item, span: { ...item.span, until: item.span.until ?? now } } : item
  )
  return { ...s, line, vanished: true, askAt: now, attempts: 0 }
}

const arrived = <E>(s: State<E>, trades: ReadonlyArray<Fresh<E>>, now: Instant): State<E> => {
  if (trades.length === 0) return s
  const events = trades.map(({ event }) => event)
  const tail = s.line.at(-1)
  if (tail?._tag === "Trades") {
    const joined = { ...tail, events: [...tail.events, ...events] }
    return know({ ...s, line: [...s.line.slice(0, -1), joined] }, trades, now)
  }
  // What is missing may have come to light long after the market was heard: when one of two listeners left.
  const since = Time.latest(s.heardSince ?? now, tail?.span.until ?? Time.never)
  const item: Item<E> = { _tag: "Trades", events, deadline: Time.plus(since, s.options.hold) }
  if (tail === undefined) return know({ ...s, line: [item] }, trades, now)
  return know(withTail(s, { ...tail, span: Spans.endedBy(tail.span, trades) }, item), trades, now)
}

/** Trades that are known from now on. */
const know = <E>(s: State<E>, trades: ReadonlyArray<Trade>, now: Instant): State<E> => {
  const all = spans(s)
  const inside = trades.filter(({ stamp }) => all.some((span) => Spans.contains(span, stamp?.ms ?? null)))
  const seen = trades.reduce((newest, { stamp }) => seeing(newest, stamp?.ms ?? null, now), s.seen)
  return {
    ...s,
    seen,
    joined: joinedBy(s.joined, trades),
    known: inside.length === 0 ? s.known : [...s.known, ...inside.map(({ id }) => id)]
  }
}

const joinedBy = (joined: Joined | null, trades: ReadonlyArray<Trade>): Joined | null =>
  joined === null || trades.length === 0
    ? joined
    : {
      ...joined,
      first: joined.first ?? Spans.endedBy(Spans.make("stale", joined.edge.last, joined.at), trades).to,
      known: [...joined.known, ...trades.map(({ id }) => id)]
    }

const seeing = (seen: State<unknown>["seen"], timestamp: number | null, at: Instant): State<unknown>["seen"] =>
  timestamp === null || timestamp <= (seen?.timestamp ?? -Infinity) ? seen : { timestamp, at }

const persisted = <E>(s: State<E>, durable: "yes" | "cannot"): State<E> => ({
  ...s,
  persistingSince: null,
  line: s.line.map((item) => item._tag === "Span" && item.durable === "asked" ? { ...item, durable } : item)
})

// ---------------------------------------------------------------------------------------------------------------------
// answers

/**
 * The newest timestamp of rows without ids, if more trades may come to be of it. It is over by the answer's own `Date`, or if the
 * question was sent long enough after a trade of it, or of a later one, had come.
 */
const growingIn = <E>({ seen }: State<E>, { date, rows, sentAt }: Answer): number | null => {
  const newest = rows.at(-1)
  if (newest === undefined || newest.id !== undefined || newest.timestamp === null) return null
  const { timestamp } = newest
  const isOver = (date !== null && date - timestamp >= Spans.settledAfter) ||
    (seen !== null && seen.timestamp >= timestamp && Time.between(seen.at, sentAt) >= Spans.settledAfter)
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

const answered = <E>(
  s: State<E>,
  answer: Answer,
  fresh: ReadonlyArray<Fresh<E>>,
  now: Instant,
  out: Array<Command<E>>
): State<E> => {
  const { oldest } = answer
  const all = spans(s)
  const outcomes = all.map((span) => outcomeOf(s, span, answer))
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
      : [{ _tag: "Trades", events: share.map(({ event }) => event), deadline }]
    const reached = unheardFrom(s, span, answer)
    const upTo = reached === null ? span : { ...span, to: reached }
    const beyond = reached === null
      ? []
      : [itemOf({ ...Spans.make(span.cause, reached, span.since), until: span.until }, "no")]
    return outcome === "filled"
      ? [...came, { ...item, outcome, span: upTo }, ...beyond]
      : [{ ...item, outcome, span: Spans.narrowed(upTo, oldest) }, ...came, ...beyond]
  })

  const growing = growingIn(s, answer)
  const isLeft = [
    ...open,
    ...line.flatMap((item) => item._tag === "Span" && item.outcome === "open" ? [item.span] : [])
  ]
    .some(({ until }) => until !== null)
  // A trade of just now: when its timestamp is over, the history has all of it.
  const isSoon = growing !== null && s.attempts < 3
  const attempts = s.attempts + 1
  const again = Time.plus(now, isSoon ? Spans.settledAfter : backoff(attempts))
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
    seen: seeing(s.seen, answer.rows.at(-1)?.timestamp ?? null, now),
    nextId
  }
}

/** Nobody hears the market: the time of an answer's last trade, behind which its span goes on. Null where it does not. */
const unheardFrom = <E>(s: State<E>, { from, to }: Span, { rows }: Answer): Stamp | null => {
  const newest = rows.at(-1)
  if (!s.vanished || to !== null || from === null || newest === undefined) return null
  const reached = Spans.stampOf(newest)
  return reached === null || Spans.isBefore(reached, from) ? from : reached
}

const sooner = (a: Instant, b: Instant | null): Instant => b !== null && Time.between(a, b) < 0 ? b : a

/** Between questions that settled nothing: half a minute, doubled up to ten. */
const backoff = (attempts: number): number => Math.min(600_000, 30_000 * 2 ** Math.min(attempts - 1, 6))

const unanswered = <E>(s: State<E>, isUnknown: boolean, now: Instant, out: Array<Command<E>>): State<E> => {
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
const isTooOld = <E>(s: State<E>, span: Span, exchangeNow: number | null, now: Instant): boolean => {
  const { since, until } = span
  const maxAge = maxAgeOf(s)
  return (exchangeNow !== null && Spans.isOlderThan(span, exchangeNow - maxAge, s.vanished)) ||
    (until !== null && Time.between(Time.latest(since, until), now) > maxAge)
}

/** Nothing more is expected of these spans; what was last told of them holds. */
const giveUp = <E>(s: State<E>, which: (span: Span) => boolean, out: Array<Command<E>>): State<E> => {
  let nextId = s.nextId
  for (const span of s.open.filter(which)) {
    const gap = Spans.gapOf(span, false, idOf(s, nextId++))
    out.push({ _tag: "Publish", gap })
    out.push({ _tag: "Close", span, complete: false, isKept: true, lastEvent: gap.id })
  }
  return {
    ...s,
    open: s.open.filter((span) => !which(span)),
    line: s.line.map((item) => item._tag === "Span" && which(item.span) ? { ...item, outcome: "given up" } : item),
    nextId
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// the front of the line

const firstDeadline = <E>(line: ReadonlyArray<Item<E>>): Instant | undefined =>
  line.find((item) => item._tag === "Trades")?.deadline

/** An answer may still settle the span at the front, and there is time for it. */
const isWaitedFor = <E>(s: State<E>, { outcome }: SpanItem): boolean => {
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

const isUnwritten = ({ durable }: SpanItem): boolean => durable === "no" || durable === "asked"

/** All that can leave the line leaves it. */
const advance = <E>(s: State<E>, now: Instant, out: Array<Command<E>>): State<E> => {
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
    out.push({ _tag: "Close", span, complete: true, isKept: span.gapId !== null, lastEvent })
    return advance(next, now, out)
  }
  if (durable === "no" && s.persistingSince === null) {
    out.push({ _tag: "Persist" })
    return { ...toPersist(s), persistingSince: now }
  }
  if (isUnwritten(item) && s.persistingSince !== null && Time.between(s.persistingSince, now) < s.options.patience) {
    return s
  }
  const gap = Spans.gapOf(span, false, id)
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
    : { ...rested, known: [], askAt: null, attempts: 0, seen: null, persistingSince: null }
}
