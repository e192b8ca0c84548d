/**
 * A market's book that changes keep (`Exchange.Link`), in front of its machine: each session that hears the market has a book of its own
 * (`Sync.ts`), and what that comes to is told to the machine as whole pictures, faults as doubts. Pure, changed in place by its one owner.
 */
import type * as Time from "../../services/Time.ts"
import type { Books } from "../Exchange.ts"
import * as Audit from "./Audit.ts"
import type * as Levels from "./Levels.ts"
import type * as Machine from "./Machine.ts"
import * as Sync from "./Sync.ts"

export interface Options {
  readonly books: Books
  /** Levels a side that are told; `all`: those that are kept. */
  readonly depth: number | "all"
  readonly pool: Sync.Pool
  /** What was recorded is played: pictures by REST come that nobody here has asked for. Left out: they are asked for here. */
  readonly isPlayed?: boolean | undefined
}

/** Where it is played, a picture may be older than so many changes of a whole book: of some ten seconds, and an answer takes less. */
const playedParts = 100

export interface State extends Options {
  readonly sessions: Map<number, Sync.State>
  /** The number of the newest state that was told to the machine; a picture by REST of before is of a server that is behind. */
  reached: bigint | undefined
  /** Pictures by REST that a session's book goes on from. */
  pictures: number
  /** While pictures come beside what keeps the book; undefined: none do. */
  audit: Audit.State | undefined
}

export const make = (options: Options): State => ({
  ...options,
  sessions: new Map(),
  reached: undefined,
  pictures: 0,
  audit: undefined
})

/** What the machine is told, but parts and answers are as exchanges have them (`Sync.Part`). */
export type Input =
  | Exclude<Machine.Input, { readonly _tag: "Part" | "Answer" }>
  | { readonly _tag: "Part"; readonly listener: number; readonly part: Sync.Part }
  | { readonly _tag: "Answer"; readonly part: Sync.Part | undefined; readonly sentAt?: Time.Instant | undefined }
  /** A fresh picture is to be asked for, though nothing is wrong. */
  | { readonly _tag: "Fresh" }
  /** That session is about to hear pictures beside what keeps the book (`Books.beside`). */
  | { readonly _tag: "Audit"; readonly listener: number }
  /** It is about to leave them. */
  | { readonly _tag: "AuditCeased" }
  /** It has ceased to, so long ago that the book has come to what they were of. */
  | { readonly _tag: "AuditOver" }
  /** The book is another session's by now, or was given up: the book has had no time to come to what they were of, and nothing is said of it. */
  | { readonly _tag: "AuditCut" }

/**
 * Milliseconds before a picture is asked for: after the market is heard, and when its book has become doubtful. One that nobody brings is asked
 * for at once, spread by whoever asks; on a socket it comes with the subscription.
 */
export const patience = ({ resync }: Books): Machine.Patience => ({
  heard: resync === "picture" ? 0 : 30_000,
  doubted: 0,
  apart: 10_000
})

/** What the machine is told for it, in order. */
export const toMachine = (s: State, input: Input): ReadonlyArray<Machine.Input> => {
  switch (input._tag) {
    case "Heard": {
      const sync = s.sessions.get(input.listener) ?? Sync.make(s)
      s.sessions.set(input.listener, sync)
      // All sessions of an exchange whose numbers are its own count alike.
      const told = s.books.numbers === "own" ? { ...input, epoch: "" } : input
      return [told, ...inherited(s, input.listener, sync)]
    }
    case "Fresh": {
      for (const sync of s.sessions.values()) if (sync.isLive) Sync.expect(sync)
      return [{ _tag: "Worn" }]
    }
    case "Audit":
      s.audit = beginning(s, input.listener, true)
      return []
    case "AuditCeased":
      if (s.audit !== undefined) Audit.ceased(s.audit)
      return []
    case "AuditOver":
      return over(s)
    case "AuditCut":
      s.audit = undefined
      return []
    case "Lost": {
      const gone = s.sessions.get(input.listener)
      if (gone !== undefined) Sync.close(gone)
      s.sessions.delete(input.listener)
      if (s.audit?.listener === input.listener) s.audit = undefined
      return [input, ...others(s, input.listener)]
    }
    case "Doubted": {
      const sync = s.sessions.get(input.listener)
      // What a silence has left out is told by the next part.
      if (input.cause === "stale" || sync === undefined) return [input]
      Sync.lose(sync)
      return [input, ...others(s, input.listener)]
    }
    case "Left":
      for (const sync of s.sessions.values()) Sync.close(sync)
      s.sessions.clear()
      return [input]
    case "Part":
      return taken(s, input.listener, input.part)
    case "Answer":
      return answered(s, input.part)
    default:
      return [input]
  }
}

const taken = (s: State, listener: number, part: Sync.Part): ReadonlyArray<Machine.Input> => {
  const sync = s.sessions.get(listener)
  if (sync === undefined) return [{ _tag: "Passed", outcome: "early" }]
  if (s.books.beside !== undefined && part.part === "whole") return pictured(s, listener, part)
  if (s.isPlayed === true && s.books.resync === "picture" && sync.isLive) Sync.expect(sync, playedParts)
  const outcome = Sync.take(sync, part)
  switch (outcome) {
    case "whole":
    case "changed":
      if (audited(s, listener, sync) === "different") return disproved(s)
      // Nobody can be asked for a fresh picture while it goes on.
      if (s.books.resync !== "picture" && Sync.isSpent(sync, s.depth)) {
        Sync.lose(sync)
        return [{ _tag: "Doubted", listener, cause: "overflow" }, ...others(s, listener)]
      }
      return [stateOf(s, listener, sync, outcome), ...worn(s, sync)]
    case "same":
      return []
    case "early":
      return [{ _tag: "Passed", outcome }, ...inherited(s, listener, sync)]
    case "old":
      return [{ _tag: "Passed", outcome }]
    default:
      return [{ _tag: "Doubted", listener, cause: outcome }, ...others(s, listener)]
  }
}

/** Each session that waits for a picture takes it if it fits. */
const answered = (s: State, picture: Sync.Part | undefined): ReadonlyArray<Machine.Input> => {
  const inputs: Array<Machine.Input> = []
  let fits = false
  for (const [listener, sync] of s.sessions) {
    const before = Sync.held(sync)
    const outcome = picture === undefined ? undefined : Sync.fit(sync, picture, s.reached)
    if (outcome === undefined) continue
    if (outcome === "whole") {
      fits = true
      const proof = before === undefined ? undefined : Sync.proved(before, sync)
      if (proof === "different") inputs.push(...disproved(s, listener))
      else if (proof !== undefined) inputs.push({ _tag: "Audited", outcome: proof })
      inputs.push(stateOf(s, listener, sync, outcome, sync.last === picture ? "rest" : "ws"))
    } else inputs.push({ _tag: "Doubted", listener, cause: outcome })
  }
  if (fits) s.pictures += 1
  return [...inputs, { _tag: "Answered", fits }]
}

// ---------------------------------------------------------------------------------------------------------------------
// proof by pictures beside

const beginning = (s: State, listener: number, isAsked: boolean): Audit.State => {
  const sync = s.sessions.get(listener)
  return Audit.make(listener, isAsked, sync === undefined ? undefined : shown(s, sync))
}

/** As pictures beside have it; undefined: not so much of it is known. */
const shown = ({ books: { beside } }: State, sync: Sync.State): Audit.Picture | undefined => {
  const { isLive, sequence } = sync
  if (beside === undefined || !isLive || sequence === undefined || Sync.isSpent(sync, beside.levels)) return undefined
  return { ...Sync.best(sync, beside.levels), sequence }
}

/** The book has come to a state that a picture may have been of. */
const audited = (s: State, listener: number, sync: Sync.State): "equal" | "different" | undefined => {
  const { audit } = s
  if (audit === undefined || audit.listener !== listener) return undefined
  const state = shown(s, sync)
  if (state === undefined) return undefined
  const proof = Audit.changed(audit, state)
  if (Audit.isOver(audit)) s.audit = undefined
  return proof
}

/** Also one that nobody asked for here, as where frames are played again. */
const pictured = (s: State, listener: number, part: Sync.Part): ReadonlyArray<Machine.Input> => {
  const { sequence } = part
  if (sequence === undefined) return []
  s.audit ??= beginning(s, listener, false)
  if (s.audit.listener !== listener) return []
  const best = (side: Sync.Part["bids"]): Levels.Levels =>
    side.slice(0, s.books.beside?.levels).map(([price, amount]) => [price, amount])
  const picture = { bids: best(part.bids), asks: best(part.asks), sequence }
  return Audit.pictured(s.audit, picture) === "different" ? disproved(s) : []
}

/** What one session has another may have of it. `except`: one whose book was mended meanwhile. */
const disproved = (s: State, except?: number): ReadonlyArray<Machine.Input> => {
  s.audit = undefined
  const inputs: Array<Machine.Input> = [{ _tag: "Audited", outcome: "different" }]
  for (const [listener, sync] of s.sessions) {
    if (listener !== except) Sync.lose(sync)
    inputs.push({ _tag: "Doubted", listener, cause: "checksum" })
  }
  return inputs
}

const over = (s: State): ReadonlyArray<Machine.Input> => {
  const { audit } = s
  // It was told already: the book was wrong, or its session was lost.
  if (audit === undefined) return []
  s.audit = undefined
  const sync = s.sessions.get(audit.listener)
  const outcome = Audit.outcome(audit, sync === undefined ? undefined : shown(s, sync))
  if (outcome !== "behind" || sync === undefined) return [{ _tag: "Audited", outcome }]
  Sync.lose(sync)
  return [
    { _tag: "Audited", outcome },
    { _tag: "Doubted", listener: audit.listener, cause: "sequence" },
    ...others(s, audit.listener)
  ]
}

/** A session that would have to ask for a picture has it of another one. */
const inherited = (s: State, listener: number, sync: Sync.State): ReadonlyArray<Machine.Input> => {
  if (s.books.resync !== "picture") return []
  for (const [other, from] of s.sessions) {
    if (other !== listener && from.isLive && Sync.adopt(sync, from)) return [stateOf(s, listener, sync, "changed")]
  }
  return []
}

/** The book goes on with another session that has it: as that has it. */
const others = (s: State, except: number): ReadonlyArray<Machine.Input> => {
  const inputs: Array<Machine.Input> = []
  for (const [listener, sync] of s.sessions) {
    if (listener !== except && sync.isLive) inputs.push(stateOf(s, listener, sync, "changed"))
  }
  return inputs
}

const stateOf = (
  s: State,
  listener: number,
  sync: Sync.State,
  link: "whole" | "changed",
  source: "ws" | "rest" = "ws"
): Machine.Input => {
  const { number, time, timestamp } = sync.last ?? { timestamp: null }
  const { sequence } = sync
  // A picture on the socket may begin to count anew.
  if (sequence !== undefined && (link === "whole" || s.reached === undefined || sequence > s.reached)) {
    s.reached = sequence
  }
  return {
    _tag: "Part",
    listener,
    source,
    part: {
      part: "whole",
      ...Sync.best(sync, s.depth),
      previous: undefined,
      sequence: number ?? sequence,
      timestamp,
      link,
      ...time === undefined ? {} : { time }
    }
  }
}

/** Where as many are told as are known: fewer levels a side than this are too few to go on with. */
const leastKnown = 20

/**
 * A fresh picture is asked for while the book is whole. Said with each change until it comes: a question may have come to nothing, as when the
 * book was doubtful meanwhile and another session went on.
 */
const worn = ({ books, depth }: State, sync: Sync.State): ReadonlyArray<Machine.Input> => {
  if (books.resync !== "picture") return []
  // Of all that a picture can have never.
  const most = Math.ceil((books.picture?.levels ?? 0) / 2)
  if (!Sync.isWorn(sync, depth === "all" ? Math.min(leastKnown, most) : Math.min(depth, most))) return []
  Sync.expect(sync)
  return [{ _tag: "Worn" }]
}
