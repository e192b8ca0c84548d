/** What a part does to a book that each part replaces: the newer stands for the older. */
import { compare, timeOf } from "../../../services/ExchangeTime.ts"
import type { Source } from "../../../services/MarketEvent.ts"
import * as Time from "../../../services/Time.ts"
import * as Levels from "../Levels.ts"
import { close, expectPicture, freshFrom, isAsKept, isForlorn, isWanted, leaderOf, open, unanswered } from "./Holes.ts"
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
  const number = part.link === undefined ? numberOf(s, listener, part) : linkedNumberOf(s, listener, part)
  if (part.sequence !== undefined) listener.brought = part.sequence
  if (part.link !== undefined) Object.assign(listener, { bids: part.bids, asks: part.asks, isSpoiled: false })
  // Also one that others had brought before: what it could not read is older than that.
  if (part.part === "whole") listener.isSpoiled = false
  if (number === "old" || isEarlierThanAnswer(s, part)) {
    if (part.link === "whole" && s.leader === id && part.sequence === s.number?.sequence) {
      // Nothing has changed since: it is the picture that was waited for all the same, and its further levels are told with the next change.
      renewed(s, now.at)
      s.ask.at = undefined
      s.ask.failed = 0
    }
    return count("old", out)
  }
  const before = { bids: listener.bids, asks: listener.asks }
  if (part.part !== "asks") listener.bids = part.bids
  if (part.part !== "bids") listener.asks = part.asks
  if (listener.bids !== undefined && listener.asks !== undefined) listener.isSpoiled = false
  const isUnordered = part.link === undefined && number === undefined
  const isLate = isUnordered && isPassed(s, listener)
  listener.isBehind = isLate || isBehind(s, listener, number)
  if (isLate) doubtIfAlone(s, listener, now.at)
  else if (isUnordered) passOver(s, listener, before, listener)
  if (listener.isBehind) return count("old", out)
  apply(s, listener, part, number, source, now, out)
}

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
  const isBefore = sentAt !== undefined && (listener.heardAt === null || Time.between(listener.heardAt, sentAt) < 0)
  if (part === undefined || isOutdated || isBefore || isEarlier(part, s)) return unanswered(s, now.at, out)
  // A side that the socket has brought is no older, but for one that another had brought before.
  if (listener.bids === undefined || listener.isBehind) listener.bids = part.bids
  if (listener.asks === undefined || listener.isBehind) listener.asks = part.asks
  apply(s, listener, part, askedNumberOf(s, part), "rest", now, out)
  if (isWanted(s)) unanswered(s, now.at, out)
}

export const count = (outcome: Extract<Command, { readonly _tag: "Count" }>["outcome"], out: Array<Command>): void => {
  out.push({ _tag: "Count", outcome })
}

/** The exchange's number of a part; undefined: it has none that others see too; `old`: something newer is known. */
const numberOf = (s: State, listener: Listener, part: Part): Numbered | "old" | undefined => {
  const { epoch } = listener
  const { sequence } = part
  if (epoch === undefined || sequence === undefined) return undefined
  const last = s.number
  if (last?.epoch !== epoch) return { epoch, sequence, suffix: "" }
  if (sequence > last.sequence) return { epoch, sequence, suffix: last.suffix }
  if (sequence === last.sequence) return s.phase === "live" && s.leader !== undefined ? "old" : last
  // Numbers that began again within their epoch: only a new subscription can tell, of what is no older than what is kept.
  if (listener.isCounted || (s.phase === "live" && s.leader !== undefined && s.leader !== listener.id)) return "old"
  // One way of the exchange may be behind another; a picture that is asked for will tell whether numbers began again.
  if (epoch === noEpoch) return "old"
  if (part.timestamp === null) return { epoch, sequence, suffix: null }
  return isEarlier(part, s) ? "old" : { epoch, sequence, suffix: `.${Math.floor(part.timestamp / 1000)}` }
}

/**
 * Of a book that changes keep. What led to a lower number than the listener's last was a chain that goes on from there, or a picture; of
 * another listener, it has just not come as far.
 */
const linkedNumberOf = (s: State, listener: Listener, part: Part): Numbered | "old" | undefined => {
  // Whoever counts is not asked: another server may be a moment behind.
  const [time, before] = [timeOf(part), s.kept?.stamp.time ?? null]
  if (s.keptBy !== listener.id && time !== null && before !== null && compare(time, before) < 0) return "old"
  const { brought, epoch } = listener
  const { link, sequence } = part
  if (epoch === undefined || sequence === undefined) return undefined
  const last = s.number
  if (last?.epoch !== epoch) return { epoch, sequence, suffix: "" }
  if (sequence > last.sequence) return { epoch, sequence, suffix: last.suffix }
  if (sequence === last.sequence) return s.phase === "live" && s.leader !== undefined ? "old" : last
  if (link === "changed" && (brought === undefined || sequence >= brought)) return "old"
  return { epoch, sequence, suffix: part.timestamp === null ? null : `.${Math.floor(part.timestamp / 1000)}` }
}

/**
 * Beside a picture that was asked for a part is judged by its time, also behind a lost connection: what is recovered then may have been said
 * before that picture was made.
 */
const isEarlierThanAnswer = (s: State, part: Part): boolean => s.kept?.stamp.source === "rest" && isEarlier(part, s)

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

/** What has no number that is comparable is judged by who brings it. */
const isBehind = (s: State, listener: Listener, number: Numbered | undefined): boolean => {
  const leader = leaderOf(s)
  if (leader === undefined || leader === listener) return false
  if (number !== undefined && number.epoch === s.number?.epoch) return false
  return s.listeners.indexOf(listener) < s.listeners.indexOf(leader)
}

const isEarlier = ({ timestamp }: Part, { kept }: State): boolean =>
  timestamp !== null && kept !== undefined && kept.stamp.timestamp !== null && timestamp < kept.stamp.timestamp

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
    if (isWhole) Object.assign(listener, { bids: undefined, asks: undefined, isSpoiled: true })
    // While another leads, what this one has is of no account yet.
    if (isForlorn(s) || (isLeading && isWhole)) open(s, "crossed")
    else if (isLeading) s.isCrossed = true
    if (isWhole && isWanted(s) && s.ask.at === undefined && !s.ask.isPending) expectPicture(s, now.at)
    return
  }
  // After a silence that was strange: what has changed meanwhile nobody heard.
  if (s.options.linked !== undefined && isForlorn(s) && !isWhereItWas(s, listener, number)) open(s, "disconnected")
  count("applied", out)
  s.isCrossed = false
  keep(s, listener, { bids, asks }, part, number, source, now)
}

/** Nothing has changed since what is kept. */
const isWhereItWas = (s: State, listener: Listener, number: Numbered | undefined): boolean =>
  (number !== undefined && number.epoch === s.number?.epoch && number.sequence === s.number.sequence) ||
  isAsKept(s, listener)

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
  if (source === "ws" && number === undefined && part.link === undefined) {
    passOver(s, listener, s.kept, { bids, asks })
    catchUp(listener, part)
  }
  if (number !== undefined) {
    s.number = number
    listener.isCounted = true
  }
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
  if (part.link === "whole") renewed(s, now.at)
  close(s, listener)
  // A new picture is followed by an anchor.
  if (part.link === "whole" && s.options.deltas) s.isUrgent = true
  noteChange(s, now.at)
}

/** The book goes on from a picture that has just come. */
const renewed = (s: State, now: Time.Instant): void => {
  s.ask.isWorn = false
  s.freshAt = freshFrom(s, now)
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
