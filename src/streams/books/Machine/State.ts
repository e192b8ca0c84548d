/**
 * What is known of one market's order book, what its machine is told and what it commands: plain data. The state is changed in place by its
 * one owner; levels are never changed, but replaced.
 */
import type { BooksStatus, BookState } from "../../../services/FeedStatus.ts"
import type { Source } from "../../../services/MarketEvent.ts"
import * as Time from "../../../services/Time.ts"
import type * as Channel from "../../Channel.ts"
import type { BookPart } from "../../Exchange.ts"
import type * as Audit from "../Audit.ts"
import type { Both, Levels } from "../Levels.ts"

export interface Options {
  /** `exchange:symbol`: what ids begin with. */
  readonly key: string
  /** Who keeps the book, for numbers and ids of its own. */
  readonly collector: string
  /** Levels a side of a `book`; with deltas all that are kept. */
  readonly depth: number | "all"
  /** Between two `book`s, ms; 0: each change. */
  readonly interval: number
  /** After which an unchanged book is told again, ms; 0: never. */
  readonly refresh: number
  readonly deltas: boolean
  /** Markets are spread over the interval: this one's books leave so many ms after the beginning of it. */
  readonly phase: number
  /** A picture can be asked for. */
  readonly canAsk: boolean
  /** The exchange's numbers count up for ever, without epochs, also those of a picture that was asked for (`Books.numbers`). */
  readonly hasOwnNumbers?: boolean | undefined
  /** Each part is the whole book as one listener has it, which changes keep (`Linked.ts`); left out: parts are as the exchange sends them. */
  readonly linked?: Patience | undefined
  /** When the picture that a book goes on from is followed by a fresh one without cause; left out: never. */
  readonly fresh?: Fresh | undefined
}

/** Each market at a time of its own in each period: of the instants `offset` + n * `every`, ms. */
export interface Fresh {
  readonly every: number
  readonly offset: number
}

/** How long after that a picture is asked for, ms. */
export interface Patience {
  readonly heard: number
  readonly doubted: number
  /** Between the questions of two doubtful periods at the least; more of a book that does not stay whole. */
  readonly apart: number
}

/** Causes of a book's holes. */
export type Cause = "sequence" | "checksum" | "crossed" | "disconnected" | "overflow"

/** What a picture is known by. */
export interface Stamp {
  readonly sequence: string
  /** In which its number counts: what has another one is a new picture, and not what was changed. */
  readonly epoch: string
  /** The number is the exchange's: whoever listens to it has the same. */
  readonly isOwn: boolean
  /** Counts the parts of the market in this life; together with `receivedAt` it makes the id unique. */
  readonly n: number
  /** Epoch ms. */
  readonly receivedAt: number
  /** The exchange's time: as text with all its digits, and in epoch ms. */
  readonly time: string | null
  readonly timestamp: number | null
  readonly source: Source
}

export interface Picture extends Both {
  readonly stamp: Stamp
}

/** A session that hears the market. */
export interface Listener {
  readonly id: number
  /** In which the exchange counts for it; undefined: it does not say. */
  readonly epoch: string | undefined
  /** Since when it hears all of it; null: not yet. */
  heardAt: Time.Instant | null
  /** As it last brought them; undefined: not yet. */
  bids: Levels | undefined
  asks: Levels | undefined
  /** What it last brought another had perhaps brought before. */
  isBehind: boolean
  /** Sides without numbers that others have brought and replaced since it hears the market. */
  readonly passed: { readonly bids: Array<Levels>; readonly asks: Array<Levels> }
  /** Number of what it last brought. */
  brought: bigint | undefined
  /** A part of it that has a number was applied. */
  isCounted: boolean
  /** Something that it brought could not be read, and since then it has brought neither a whole picture nor both sides. */
  isSpoiled: boolean
}

/** Of numbers that count up for ever. */
export const noEpoch = ""

/** The exchange's number of the newest part. */
export interface Numbered {
  readonly epoch: string
  readonly sequence: bigint
  /** What is put behind a number since they began again; null: then they are not the exchange's any more, for all that could be told. */
  readonly suffix: string | null
}

export interface Hole {
  readonly cause: Cause
  /** The last good state's time, or when it was received. */
  readonly from: string
  readonly fromSequence: string
}

/** How a hole ended: whole again with that state, or its market was left while it was open. */
export type End =
  | { readonly _tag: "Whole"; readonly to: string; readonly toSequence: string }
  | { readonly _tag: "Left" }

/**
 * What is told, or yet to be told, of holes: two events, of which the second is the last. Holes that follow each other before anything could be
 * told between them are one, from the beginning of the first: a book that flaps while nothing can be told would else make events without end.
 */
export interface Gap {
  readonly hole: Hole
  /** The first of the two was told. */
  isTold: boolean
  /** Undefined: it is open. */
  end: End | undefined
}

export interface State {
  readonly options: Options
  phase: BookState
  /** Oldest first. */
  readonly listeners: Array<Listener>
  /** Whose book it is; undefined: nobody hears it just now, or it was not seen by those who do. */
  leader: number | undefined
  /** Without a listener since; null: there is one. */
  deafSince: Time.Instant | null
  /** The newest true picture; of a doubtful book the last that was. */
  kept: Picture | undefined
  /** Which listener brought it. */
  keptBy: number | undefined
  number: Numbered | undefined
  /** Of the numbers that are counted here: unique to one picture. Undefined while the exchange's own are used. */
  epoch: { readonly name: string; readonly n: number } | undefined
  pictures: number
  parts: number
  /** The sides of an exchange that sends one at a time cross: nothing is sent until they do not. */
  isCrossed: boolean
  /** What the last event said, and when the last `book` left. */
  told: Picture | undefined
  toldAt: Time.Instant
  /** The market's turn that it last had. */
  turnAt: Time.Instant
  /** The first, and the one after a hole, go at once. */
  isUrgent: boolean
  /** Since when what is kept is not what was told. */
  changedAt: Time.Instant | undefined
  /** Of a doubtful book: what it is doubtful for now. */
  hole: Hole | undefined
  gap: Gap | undefined
  /** When a fresh picture is wanted without cause; undefined: never, or there is none yet. */
  freshAt: Time.Instant | undefined
  readonly ask: {
    /** When a picture is to be asked for. */
    at: Time.Instant | undefined
    /** It was asked for, and not answered yet. */
    isPending: boolean
    /** It was asked before those who hear the market now heard it: what was since then the answer does not know. */
    isVoid: boolean
    /** Something was said since it was asked that nobody could read: whether the answer has it is not known. */
    isOutdated: boolean
    /** Questions in a row that came to nothing. */
    failed: number
    /** When the last question left. */
    askedAt: Time.Instant
    /** How long after it the first question of the next doubtful period may leave, ms: doubled while books are lost soon after it. */
    apart: number
    /** Of a live book: soon it will not be known far enough. */
    isWorn: boolean
  }
}

export type Input =
  /** From here on that session hears the market. `since`: all that was said behind that number follows; undefined: something may be missing. */
  | {
    readonly _tag: "Heard"
    readonly listener: number
    readonly since: bigint | undefined
    readonly epoch: string | undefined
    /** Not all that the exchange tells of it: the rest follows, by the same input once more. Left out: all. */
    readonly isPartly?: boolean | undefined
  }
  /** From here on it does not. `aliveAt`: when its connection last brought anything. */
  | { readonly _tag: "Lost"; readonly listener: number; readonly cause: Channel.Cause; readonly aliveAt: Time.Instant }
  /** It hears the market, but something it said is missing, or could not be read. */
  | { readonly _tag: "Doubted"; readonly listener: number; readonly cause: Channel.Cause | Cause }
  /** Its sides are in order, and in the canonical unit (`Levels.sideOf`). `source`: the socket if left out. */
  | { readonly _tag: "Part"; readonly listener: number; readonly part: Part; readonly source?: Source | undefined }
  /** A part of a book that changes keep that came to nothing. */
  | { readonly _tag: "Passed"; readonly outcome: "early" | "old" }
  /** What was asked for has come, and was taken by those whose books changes keep. `fits`: one of them has its book by it. */
  | { readonly _tag: "Answered"; readonly fits: boolean }
  /** A fresh picture of a live book is wanted, which goes on meanwhile. */
  | { readonly _tag: "Worn" }
  /** It was compared with pictures of it that came by another way. */
  | { readonly _tag: "Audited"; readonly outcome: Audit.Outcome }
  /**
   * What was asked for; undefined: there was no answer. `sentAt`: when the question left, or before, if the answer is older, kept in a cache on
   * the way; left out: it knows all that was said so far.
   */
  | { readonly _tag: "Answer"; readonly part: Part | undefined; readonly sentAt?: Time.Instant | undefined }
  /** Time has passed, and there is room for what is due. */
  | { readonly _tag: "Due" }
  /** The market is not listed or not chosen any more: it is forgotten, and nothing is told of it after this. */
  | { readonly _tag: "Left" }
  /** Nothing is told after this. */
  | { readonly _tag: "Last" }

export type Part = Omit<BookPart, "_tag" | "exchangeSymbol" | "bids" | "asks"> & Both & {
  /** Of a book that changes keep: it begins with this picture, or a change led to it. Left out: of any other. */
  readonly link?: "whole" | "changed" | undefined
}

/** An event of the book's lane, but for what the feed knows of its market. */
export interface Told {
  readonly _tag: "Book" | "Delta"
  readonly id: string
  readonly sequence: string
  /** Of a delta. */
  readonly previous: string
  readonly bids: Levels
  readonly asks: Levels
  readonly timestamp: string | null
  /** Epoch ms. */
  readonly receivedAt: number
  readonly source: Source
}

export type Command =
  | Told
  | {
    readonly _tag: "Gap"
    readonly cause: Cause
    readonly from: string
    readonly to: string | null
    readonly fromSequence: string
    readonly toSequence: string | null
    readonly complete: boolean
    /** The second of the two. */
    readonly isLast: boolean
  }
  /** For a picture, when the budget has room. */
  | { readonly _tag: "Ask" }
  /** Three questions in a row came to nothing. */
  | { readonly _tag: "Stale" }
  | { readonly _tag: "Count"; readonly outcome: keyof BooksStatus["parts"] }
  /** It was compared. */
  | { readonly _tag: "Audited"; readonly outcome: Audit.Outcome }
  /** The picture that it goes on from is old: a fresh one is to be asked for, though nothing is wrong. */
  | { readonly _tag: "Refresh" }

export const initial = (options: Options): State => ({
  options,
  phase: "waiting",
  listeners: [],
  leader: undefined,
  deafSince: null,
  kept: undefined,
  keptBy: undefined,
  number: undefined,
  epoch: undefined,
  pictures: 0,
  parts: 0,
  isCrossed: false,
  told: undefined,
  toldAt: Time.never,
  turnAt: Time.never,
  isUrgent: false,
  changedAt: undefined,
  hole: undefined,
  gap: undefined,
  freshAt: undefined,
  ask: {
    at: undefined,
    isPending: false,
    isVoid: false,
    isOutdated: false,
    failed: 0,
    askedAt: Time.never,
    apart: options.linked?.apart ?? 0,
    isWorn: false
  }
})
