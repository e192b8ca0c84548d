/** What a market's machine of holes knows, what it is told and what it commands: plain data; and how its line is read and changed. */
import type { Instant } from "../../../services/Time.ts"
import type { Cause, Listener } from "../../Channel.ts"
import type { TradeIds, TradeRow } from "../../Exchange.ts"
import type { Paging, Question } from "../Numbers.ts"
import type { Gap, Mark, Span, Stamp, Trade } from "../Spans.ts"

export interface Options {
  /** How long trades behind a span wait for it to be filled, ms from the subscription; 0: not at all. */
  readonly hold: number
  /** How long they wait besides for the span to become durable, ms: a disk that hangs must not hold up a Kafka that takes everything. */
  readonly patience: number
  /** After a subscription, before the history is asked, ms (`Exchange.rest.history.askAfter`). */
  readonly askAfter: number
  /** The finest unit of the exchange's trade times, ms (`Exchange.clockUnit`); a second if left out. */
  readonly clockUnit?: number | undefined
  /**
   * A span that ended longer ago, by the exchange's clock, is given up, ms; `Infinity`: none is but those of a vanished market, after
   * a day.
   */
  readonly maxAge: number
  /** See `Exchange.tradeIds`. */
  readonly tradeIds?: TradeIds | undefined
  /** See `Exchange.Pages`. */
  readonly pages?: Paging | undefined
  /** Begins the ids of `gap` events; unique to the market and to this life of the collector. */
  readonly idPrefix: string
}

/** What the history's answers have made of a span: nothing that settles it, all of its trades, or that no more of them will come. */
export type Outcome = "open" | "filled" | "given up"

/** A span as an earlier life left it. */
export type Found =
  & Omit<Span, "since" | "isInherited" | "start" | "after" | "before" | "tellAt" | "isUnsound">
  & Partial<Pick<Span, "after" | "before" | "isUnsound">>
  & { readonly outcome: Outcome }

export interface SpanItem {
  readonly _tag: "Span"
  readonly span: Span
  /** Whether the checkpoint has it. `cannot`: writing failed. */
  readonly durable: "no" | "asked" | "yes" | "cannot"
  readonly outcome: Outcome
  /**
   * Where the answer began after which it was given up: what it brought is not missing any more. Told of it is only what lies before,
   * but kept is all of it: what was brought may die with this life.
   */
  readonly answeredFrom: Stamp | null
  /** Its `gapId` may be known to others: an earlier life told of it. */
  readonly isTold: boolean
  /** Nobody heard the market since it began, so that a server which brings all since the connection was lost brings all of it. */
  readonly isRecoverable: boolean
}

/** Trades that wait. `E` is whatever the caller hands over. */
export interface TradesItem<E> {
  readonly _tag: "Trades"
  readonly events: ReadonlyArray<E>
  /** When they have waited long enough for what is before them. */
  readonly deadline: Instant
  /** `Joined.at` of the second listener since whose coming they came; null: there was one listener. */
  readonly joinedAt: Instant | null
}

export type Item<E> = SpanItem | TradesItem<E>

/** A second listener joined the first. Until that one brings something again it may have been dead for a while. */
export interface Joined {
  readonly elder: number
  readonly at: Instant
  /** See `Span.by`. */
  readonly by: Stamp | null
  /** What was known then. */
  readonly edge: Edge
  /** Of the first trade known since; null if none is. */
  readonly first: Stamp | null
  /** Where ids count up, its number. */
  readonly firstNumber: bigint | null
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
  /** With trades behind them handed over; oldest first. Published, or to be at their `tellAt`. */
  readonly open: ReadonlyArray<Span>
  /** Ids of known trades within the spans, edges included: an answer does not bring them again. */
  readonly known: ReadonlyArray<string>
  /** Where ids count up: the trade with the highest number known. */
  readonly newest: Mark | null
  /** Steps whose `Publish` and `HandOver` are still being carried out: what comes meanwhile must not overtake them. */
  readonly handing: number
  /** Since when the line waits for its first span to become durable. */
  readonly persistingSince: Instant | null
  readonly asking: boolean
  /** When the history is to be asked next; null: not before something changes. */
  readonly askAt: Instant | null
  /** Questions in a row that settled nothing. */
  readonly attempts: number
  /** Questions since the last change that were, or are to be, asked again after a moment: see `answered`. */
  readonly quickAsks: number
  /** Pages since the last change: markets that had fewer are asked before. */
  readonly pages: number
  /** The question that goes on from the last page, which brought nothing; null: the next begins anew. */
  readonly further: Question | null
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
  /** The page that it is (`Holes.question`); null or left out: the market's last trades. */
  readonly asked?: Question | null | undefined
  /** Its rows, those included that were not understood; as many as there are rows if left out. */
  readonly count?: number | undefined
}

export interface Edge {
  /** Of the newest trade known, waiting ones included; null if none is. */
  readonly last: Stamp | null
  /** Ids of the trades that share its timestamp. */
  readonly known: ReadonlyArray<string>
  /** Where ids count up: the trade with the highest number known. */
  readonly mark?: Mark | null | undefined
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
  /** Rows about it could not be read, while others were handed over: these lie within the hole and are among what is known. */
  | { readonly _tag: "Spoiled"; readonly edge: Edge; readonly by: Stamp | null }
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
  newest: null,
  handing: 0,
  persistingSince: null,
  asking: false,
  askAt: null,
  ...anew,
  seen: null,
  vanished: false,
  hurried: false,
  nextId
})

export const spansInLine = <E>(s: State<E>): ReadonlyArray<Span> =>
  s.line.flatMap((item) => item._tag === "Span" ? [item.span] : [])

/** Oldest first. */
export const spans = <E>(s: State<E>): ReadonlyArray<Span> => [...s.open, ...spansInLine(s)]

/** Of questions that are asked anew. */
export const anew = { attempts: 0, quickAsks: 0, pages: 0, further: null }

/** Nothing has to be over before the history is asked. */
export const hasIds = <E>({ options }: State<E>): boolean => options.askAfter === 0

/** A number that is missing is a trade that is missing. */
export const isCounted = ({ tradeIds }: Pick<Options, "tradeIds">): boolean =>
  tradeIds === "consecutive" || tradeIds === "grouped"

export const idOf = <E>({ options }: State<E>, n: number): string => `${options.idPrefix}${n}`

// ---------------------------------------------------------------------------------------------------------------------
// the line

export const itemOf = (span: Span, durable: SpanItem["durable"], outcome: Outcome = "open"): SpanItem => ({
  _tag: "Span",
  span,
  durable,
  outcome,
  isTold: span.gapId !== null,
  isRecoverable: false,
  answeredFrom: null
})

/** What the checkpoint has of a span bears the `gapId` under which it will be told, or the next life would tell of another hole. */
export const named = (item: SpanItem, id: string): SpanItem =>
  item.span.gapId === null ? { ...item, span: { ...item.span, gapId: id } } : item

/** A span at the end of the line that has no end yet: nothing came since. */
export const tailOf = <E>(s: State<E>): SpanItem | undefined => {
  const tail = s.line.at(-1)
  if (tail?._tag !== "Span" || tail.outcome !== "open") return undefined
  return tail.span.to === null && tail.span.before === null ? tail : undefined
}

export const withTail = <E>(s: State<E>, tail: SpanItem, ...more: ReadonlyArray<Item<E>>): State<E> => ({
  ...s,
  line: [...s.line.slice(0, -1), tail, ...more]
})
