/** What a part does to a book that each part replaces: the newer stands for the older. */
import { timeOf } from "../../../services/ExchangeTime.ts"
import type { Source } from "../../../services/MarketEvent.ts"
import * as Time from "../../../services/Time.ts"
import * as Levels from "../Levels.ts"
import { close, expectPicture, isAsKept, isForlorn, isWanted, leaderOf, open, unanswered, unread } from "./Holes.ts"
import { isEarlier, isPastUnread, type Placed, placeOf } from "./Order.ts"
import { catchUp, isPassed, passOver } from "./Passed.ts"
import {
  type Command,
  type Input,
  type Listener,
  noEpoch,
  type Numbered,
  type Part,
  type Stamp,
  type State
} from "./State.ts"

export const part = (
  s: State,
  { listener: id, part, source = "ws" }: Extract<Input, { readonly _tag: "Part" }>,
  now: Time.Moment,
  out: Array<Command>
): void => {
  const listener = s.listeners.find((one) => one.id === id)
  if (listener === undefined || part.part === "delta") return count("early", out)
  const place = placeOf(s, listener, part, now.at)
  note(s, listener, part)
  if (place === "torn") return torn(s, listener, now.at, out)
  if (place === "old") return count("old", out)
  const before = { bids: listener.bids, asks: listener.asks }
  if (part.part !== "asks") listener.bids = part.bids
  if (part.part !== "bids") listener.asks = part.asks
  if (listener.bids !== undefined && listener.asks !== undefined) listener.isSpoiled = false
  const isPast = isPastUnread(s, listener, place, now.at)
  const isLate = isUnordered(part, place.number) && isPassed(s, listener)
  listener.isBehind = isLate || isBehind(s, listener, place) || (s.phase === "doubtful" && !isPast)
  if (isLate) doubtIfAlone(s, listener, now.at)
  else if (isUnordered(part, place.number)) passOver(s, listener, before, listener)
  if (listener.isBehind) return count("old", out)
  apply(s, listener, part, place.number, source, now, out)
  // What was kept may be of another moment.
  if (isPast && s.keptBy === listener.id && s.leader === listener.id) s.unread = undefined
}

/** What it has brought, whatever comes of it. */
const note = (s: State, listener: Listener, part: Part): void => {
  const { sequence } = part
  if (sequence !== undefined) {
    const hasFallen = listener.brought !== undefined && sequence < listener.brought
    if (hasFallen || listener.series === undefined) listener.series = s.series
    listener.brought = sequence
  }
  if (part.link !== undefined) Object.assign(listener, { bids: part.bids, asks: part.asks, isSpoiled: false })
  if (part.part !== "whole") return
  listener.time = timeOf(part)
  // Also one that others had brought before: what it could not read is older than that.
  listener.isSpoiled = false
}

/** Its numbers fell: either it is late, or they began again, and what is kept is not true any more. */
const torn = (s: State, listener: Listener, now: Time.Instant, out: Array<Command>): void => {
  count("old", out)
  listener.bids = listener.asks = undefined
  if (s.phase !== "live") return
  unread(s, listener.id, now)
  open(s, "sequence")
  expectPicture(s, now)
}

/** It was made before one of these. */
const wasMadeBefore = (sentAt: Time.Instant, ...all: ReadonlyArray<Time.Instant | undefined>): boolean =>
  all.some((at) => at !== undefined && Time.between(at, sentAt) < 0)

/** A picture that was asked for. */
export const answer = (
  s: State,
  { part, sentAt }: Extract<Input, { readonly _tag: "Answer" }>,
  now: Time.Moment,
  out: Array<Command>
): void => {
  const { isOutdated, isVoid } = s.ask
  s.ask.isPending = s.ask.isVoid = s.ask.isOutdated = false
  const listener = s.listeners.at(-1)
  // Another question is in line.
  if (isVoid || !isWanted(s) || listener === undefined) return
  // Made before the listener heard, as one from a cache on the way may be: what was said in between it does not know, and nobody heard.
  const isBefore = sentAt !== undefined &&
    (listener.heardAt === null || wasMadeBefore(sentAt, listener.heardAt, s.unread?.at))
  if (part === undefined || isOutdated || isBefore || isEarlier(part, s)) return unanswered(s, now.at, out)
  // A side that the socket has brought is no older, but for one that another had brought before.
  if (listener.bids === undefined || listener.isBehind) listener.bids = part.bids
  if (listener.asks === undefined || listener.isBehind) listener.asks = part.asks
  apply(s, listener, part, askedNumberOf(s, part), "rest", now, out)
  if (s.leader === listener.id) s.unread = undefined
  if (isWanted(s)) unanswered(s, now.at, out)
}

export const count = (outcome: Extract<Command, { readonly _tag: "Count" }>["outcome"], out: Array<Command>): void => {
  out.push({ _tag: "Count", outcome })
}

/**
 * Of a picture that was asked for, where such have numbers. A lower one than is known, so long after that was heard, is of numbers that began
 * again: from then on they are not the exchange's any more, for all that another collector could tell.
 */
const askedNumberOf = ({ number: last, options }: State, { sequence }: Part): Numbered | undefined => {
  if (options.hasOwnNumbers !== true || sequence === undefined) return undefined
  const isLower = last !== undefined && sequence < last.sequence
  return { epoch: noEpoch, sequence, suffix: isLower ? null : last?.suffix ?? "" }
}

/** What it brings was replaced before. If no other leads, nobody says whether the book is so again, or it is only late. */
const doubtIfAlone = (s: State, listener: Listener, now: Time.Instant): void => {
  if (s.phase !== "live" || (s.leader !== undefined && s.leader !== listener.id)) return
  open(s, "disconnected")
  expectPicture(s, now)
}

/** Neither a number nor a time says which of two is the newer. */
const isUnordered = ({ link, timestamp }: Pick<Part, "link" | "timestamp">, number: Numbered | undefined): boolean =>
  link === undefined && number === undefined && timestamp === null

/** What has neither a number that is comparable nor a later time is judged by who brings it. */
const isBehind = (s: State, listener: Listener, { isNewer, number }: Placed): boolean => {
  const leader = leaderOf(s)
  if (leader === undefined || leader === listener) return false
  if (number === undefined ? isNewer === true : number.epoch === s.number?.epoch) return false
  return s.listeners.indexOf(listener) < s.listeners.indexOf(leader)
}

const apply = (
  s: State,
  listener: Listener,
  part: Part,
  number: Numbered | undefined,
  source: Source,
  now: Time.Moment,
  out: Array<Command>
): void => {
  const { asks, bids } = listener
  if (bids === undefined || asks === undefined) {
    count("early", out)
    // Nobody knows the other side, but the book of before is not true any more.
    if (isForlorn(s) && !isAsKept(s, listener)) open(s, "disconnected")
    return
  }
  const isLeading = s.leader === listener.id
  if (part.link === undefined && Levels.isCrossed({ bids, asks })) {
    count(isLeading ? "applied" : "early", out)
    const isWhole = part.part === "whole"
    // What it would go on with, if it came to that, is older than this.
    if (isWhole) {
      Object.assign(listener, { bids: undefined, asks: undefined, isSpoiled: true })
      unread(s, listener.id, now.at)
    }
    // While another leads, what this one has is of no account yet.
    if (isForlorn(s) || (isLeading && isWhole)) open(s, "crossed")
    else if (isLeading) s.isCrossed = true
    if (isWhole && isWanted(s) && s.ask.at === undefined && !s.ask.isPending) expectPicture(s, now.at)
    return
  }
  count("applied", out)
  s.isCrossed = false
  keep(s, listener, { bids, asks }, part, number, source, now)
}

const keep = (
  s: State,
  listener: Listener,
  { asks, bids }: Levels.Both,
  part: Pick<Part, "part" | "timestamp" | "time" | "link">,
  number: Numbered | undefined,
  source: Source,
  now: Time.Moment
): void => {
  s.parts += 1
  if (source === "ws" && isUnordered(part, number)) {
    passOver(s, listener, s.kept, { bids, asks })
    catchUp(listener, part)
  }
  if (number !== undefined) {
    if (s.number !== undefined && hasBegunAnew(s.number, number)) beginAnew(s, s.number, number)
    s.number = number
    listener.series = s.series
  }
  // A picture that was asked for says nothing of what the session brings.
  if (source === "ws") listener.lateSince = undefined
  s.kept = {
    bids,
    asks,
    stamp: {
      ...sequenceOf(s, number, part, now),
      n: s.parts,
      receivedAt: Time.epochMillis(now.wall),
      time: timeOf(part),
      timestamp: part.timestamp,
      source
    }
  }
  s.keptBy = listener.id
  if (part.link === "whole") s.ask.isWorn = false
  close(s, listener)
  // A new picture is followed by an anchor.
  if (part.link === "whole" && s.options.deltas) s.isUrgent = true
  noteChange(s, now.at)
}

/** Numbers that count up for ever do so for all who hear them: of those a picture that was asked for tells. */
const hasBegunAnew = (last: Numbered, { epoch, sequence, suffix }: Numbered): boolean =>
  last.epoch === epoch && epoch !== noEpoch && (sequence < last.sequence || suffix !== last.suffix)

/** Others that heard it too have come nearer to the new numbers than to the last of before. */
const beginAnew = (s: State, last: Numbered, { sequence }: Numbered): void => {
  s.series += 1
  for (const one of s.listeners) {
    if (one.brought !== undefined && 2n * one.brought < last.sequence + sequence) one.series = s.series
  }
}

/** Of the exchange's number, or counted here from the picture on. */
const sequenceOf = (
  s: State,
  number: Numbered | undefined,
  { link }: Pick<Part, "link">,
  { wall }: Time.Moment
): Pick<Stamp, "sequence" | "epoch" | "isOwn"> => {
  if (number !== undefined && number.suffix !== null) {
    s.epoch = undefined
    const { epoch, sequence, suffix } = number
    const prefix = epoch === noEpoch ? "" : `${epoch}_`
    return { sequence: `${prefix}${sequence}${suffix}`, epoch: epoch + suffix, isOwn: true }
  }
  if (s.epoch === undefined || s.phase !== "live" || link === "whole") {
    s.pictures += 1
    const name = s.options.collector + Time.epochMillis(wall).toString(36) + s.pictures.toString(36)
    s.epoch = { name, n: 0 }
  } else s.epoch = { name: s.epoch.name, n: s.epoch.n + 1 }
  return { sequence: `${s.epoch.name}_${s.epoch.n}`, epoch: s.epoch.name, isOwn: false }
}

/** A change that was taken back before it was told is none. */
const noteChange = (s: State, now: Time.Instant): void => {
  const { kept, options: { depth }, told } = s
  if (kept === undefined || told === undefined) return
  const isSame = Levels.isSame(Levels.best(kept.bids, depth), told.bids) &&
    Levels.isSame(Levels.best(kept.asks, depth), told.asks)
  s.changedAt = isSame ? undefined : s.changedAt ?? now
}
