/**
 * A book that changes keep, as one session hears it: a pure machine without a clock. It is whole (`isLive`) from a picture on, for as long as
 * each part follows from what is known and leads to what the exchange says of it; else it waits for the next picture. Changed in place by its
 * one owner.
 */
import type { Books } from "../Exchange.ts"
import type * as Levels from "./Levels.ts"
import * as Buffer from "./Sync/Buffer.ts"
import { judge, type Part } from "./Sync/Link.ts"
import * as Side from "./Sync/Side.ts"

export { type Pool, pool } from "./Sync/Buffer.ts"
export type { Part } from "./Sync/Link.ts"

/** Levels a side that are told at the most, and of a book whose pictures can be asked for kept: what is worse is not known. */
const mostTold = 5_000

/**
 * Levels a side that are kept at the most where only a new subscription or connection gives a picture: nobody mends the edge of what is known,
 * so that it is not drawn where a book may come.
 */
const mostHeld = 50_000

export interface Options {
  readonly books: Books
  /** What the buffers of all markets take together. */
  readonly pool: Buffer.Pool
}

export interface State extends Options {
  readonly bids: Side.Side
  readonly asks: Side.Side
  isLive: boolean
  /** The number that it has; undefined where there are none, or while it waits. */
  sequence: bigint | undefined
  /** The part that it is at; undefined while it waits. */
  last: Part | undefined
  /**
   * What it had come to when a picture took it further: the next change follows from there, or what is between was heard by nobody. Undefined: none
   * has, or that is known by now.
   */
  unproved: bigint | undefined
  /** Changes since a picture by REST is waited for, also while the book is whole; undefined: none is. */
  buffer: Buffer.Buffer | undefined
}

/** Why it is not whole any more. */
export type Fault = "sequence" | "checksum" | "crossed"

/**
 * What a part came to. `whole`, `changed`: the book is at that part now. `same`: nothing changed. `early`: there is no picture yet. `old`: it
 * says nothing that is not known. Any other: the book was whole and is not any more.
 */
export type Outcome = "whole" | "changed" | "same" | "early" | "old" | Fault

export const make = ({ books, pool }: Options): State => {
  const state: State = {
    books,
    pool,
    bids: Side.make("bids"),
    asks: Side.make("asks"),
    isLive: false,
    sequence: undefined,
    last: undefined,
    unproved: undefined,
    buffer: undefined
  }
  lose(state)
  return state
}

/** Something that it did not hear is missing: what it has is not the book any more. */
export const lose = (s: State): void => {
  s.isLive = false
  s.sequence = s.last = s.unproved = undefined
  Side.clear(s.bids)
  Side.clear(s.asks)
  if (s.books.resync === "picture") expect(s)
}

/** A picture by REST is asked for: what changes until it comes is what it is followed by. `most`: so many changes; as many as may be if left out. */
export const expect = (s: State, most?: number): void => {
  s.buffer ??= Buffer.make(s.pool, most)
}

/** What it has waited for is of no use to anybody. */
export const close = (s: State): void => {
  if (s.buffer !== undefined) Buffer.clear(s.buffer)
  s.buffer = undefined
}

export const take = (s: State, part: Part): Outcome => {
  if (part.part !== "delta") return fresh(s, part, [])
  const waits = s.buffer === undefined ? undefined : Buffer.push(s.buffer, s.books.link, part)
  if (!s.isLive) return waits ?? "early"
  const outcome = follow(s, part)
  // A picture is waited for since this part: the next one has it not, or not all of it.
  if (!s.isLive && waits === undefined && s.buffer !== undefined) Buffer.push(s.buffer, s.books.link, part)
  return outcome
}

const follow = (s: State, part: Part): Outcome => {
  if (s.unproved !== undefined) {
    const proof = judge(s.books.link, s.unproved, part)
    if (proof === "missing") return wrong(s, "sequence")
    if (proof === "follows") s.unproved = undefined
  }
  const verdict = judge(s.books.link, s.sequence, part)
  if (verdict === "old") return "old"
  if (verdict === "missing") return wrong(s, "sequence")
  const isSame = part.bids.length === 0 && part.asks.length === 0 && part.sequence === s.sequence
  apply(s, part)
  return judged(s, part, isSame ? "same" : "changed")
}

/**
 * A picture by REST, of a whole book. Undefined: it is older than what was heard since, or was not waited for, or leads to a lower number than
 * `reached`, and nothing comes of it. A fault: what it leads to is wrong, and a newer one is to be had.
 */
export const fit = (s: State, picture: Part, reached?: bigint): "whole" | Fault | undefined => {
  const { buffer } = s
  if (buffer === undefined || picture.sequence === undefined) return undefined
  const after = Buffer.after(buffer, picture.sequence)
  // What changed between was not kept, and what is known is newer.
  if (after === undefined || (reached !== undefined && (after.at(-1)?.sequence ?? picture.sequence) < reached)) {
    return undefined
  }
  const from = s.isLive ? s.unproved ?? s.sequence : undefined
  const outcome = fresh(s, picture, after)
  if (outcome !== "whole") return outcome
  close(s)
  // The socket is mostly a moment behind: what leads there is yet to come.
  s.unproved = after.length === 0 && from !== undefined && from < picture.sequence ? from : undefined
  return outcome
}

/** It stands for all that was before: nothing of that is true for its sake. */
const fresh = (s: State, picture: Part, after: ReadonlyArray<Part>): "whole" | Fault => {
  const levels = s.books.picture?.levels
  const isWhole = (side: Part["bids"]) => s.books.resync !== "picture" || levels === undefined || side.length < levels
  Side.replace(s.bids, picture.bids, isWhole(picture.bids))
  Side.replace(s.asks, picture.asks, isWhole(picture.asks))
  s.isLive = true
  arrive(s, picture)
  for (const part of after) apply(s, part)
  return judged(s, after.at(-1) ?? picture, "whole")
}

/**
 * Another session of an exchange that counts alike on all of them has the book: its state is a picture. True: this one has it now, and goes on
 * by itself.
 */
export const adopt = (s: State, from: State): boolean => {
  const { buffer } = s
  if (s.isLive || buffer === undefined || from.sequence === undefined || from.last === undefined) return false
  const after = Buffer.after(buffer, from.sequence)
  if (after === undefined) return false
  Side.copy(s.bids, from.bids)
  Side.copy(s.asks, from.asks)
  s.isLive = true
  arrive(s, from.last)
  for (const part of after) apply(s, part)
  if (judged(s, after.at(-1) ?? from.last, "whole") !== "whole") return false
  s.unproved = after.length === 0 ? from.unproved : undefined
  // A fresh picture that the other waits for is for this one too: it may be the only one left when that comes.
  if (from.buffer === undefined) close(s)
  return true
}

const apply = (s: State, part: Part): void => {
  // A later level of a price stands for the earlier.
  for (const level of part.bids) Side.put(s.bids, level)
  for (const level of part.asks) Side.put(s.asks, level)
  arrive(s, part)
}

/** It is at that part. */
const arrive = (s: State, part: Part): void => {
  s.sequence = part.sequence
  s.last = part
  bound(s)
}

/** Only when the whole part was applied: within it a level may come before the one that leaves. */
const bound = ({ asks, bids, books }: State): void => {
  const { cut } = books
  for (const side of [bids, asks]) {
    if (cut !== undefined) Side.cut(side, cut)
    Side.bound(side, books.resync === "picture" ? mostTold : mostHeld)
  }
}

const judged = <A extends "whole" | "changed" | "same">(s: State, { checksum }: Part, outcome: A): A | Fault => {
  const { asks, bids, books } = s
  const { levels, of } = books.checksum ?? {}
  if (levels !== undefined && of !== undefined && checksum !== undefined) {
    if (of(Side.top(asks, levels), Side.top(bids, levels)) !== checksum) return wrong(s, "checksum")
  }
  return books.mayCross !== true && Side.isCrossed(bids, asks) ? wrong(s, "crossed") : outcome
}

const wrong = (s: State, fault: Fault): Fault => {
  lose(s)
  return fault
}

/** As events have it: best first, so many levels a side. */
export const best = ({ asks, bids }: State, depth: number | "all"): Levels.Both => {
  const most = depth === "all" ? mostTold : Math.min(depth, mostTold)
  return { bids: Side.best(bids, most), asks: Side.best(asks, most) }
}

/** What a whole book is, to be compared with what a picture makes of it (`proved`). */
export interface Held {
  readonly sequence: bigint
  readonly bids: Side.Known
  readonly asks: Side.Known
}

/** Undefined while it waits, and where there are no numbers. */
export const held = ({ asks, bids, isLive, sequence }: State): Held | undefined =>
  isLive && sequence !== undefined ? { sequence, bids: Side.known(bids), asks: Side.known(asks) } : undefined

/**
 * Whether the book was right, by what it is since a picture of it came (`fit`): as far as both know of it. Undefined: the picture is of another
 * number.
 */
export const proved = (before: Held, s: State): "equal" | "different" | undefined => {
  if (s.sequence !== before.sequence) return undefined
  return Side.isKnownAlike(before.bids, s.bids) && Side.isKnownAlike(before.asks, s.asks) ? "equal" : "different"
}

/** Fewer levels of a side are known than are told: it is not true any more. */
export const isSpent = ({ asks, bids }: State, depth: number | "all"): boolean => {
  const most = depth === "all" ? mostTold : depth
  return Side.isSpent(bids, most) || Side.isSpent(asks, most)
}

/** A fresh picture is wanted while the book is whole: soon fewer than so many levels of a side would be known. */
export const isWorn = ({ asks, bids }: State, wanted: number): boolean =>
  Side.isWorn(bids, wanted) || Side.isWorn(asks, wanted)
