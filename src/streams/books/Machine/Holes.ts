/** How a book becomes doubtful and whole again: who hears it, who goes on for whom, and when a picture is asked for. */
import * as Time from "../../../services/Time.ts"
import type * as Channel from "../../Channel.ts"
import * as Levels from "../Levels.ts"
import { type Cause, type Command, type Input, type Listener, noEpoch, type State } from "./State.ts"

/** The socket is given so long to bring a picture before one is asked for, ms. */
const pictureWithin = 10_000

/** Before a question that came to nothing is asked again, doubled each time, ms. */
const askAgain = { first: 30_000, last: 600_000 }

/** Questions in a row that come to nothing before it is told. */
const patience = 3

/** A silent market is subscribed to anew; so long its book may be without a listener, ms. */
export const deafFor = 10_000

/** What a channel's cause is to a book. A frame that a limit of ours refused held too much. */
const causeOf = (cause: Channel.Cause | Cause): Cause => {
  switch (cause) {
    case "undecoded":
      return "overflow"
    case "sequence":
    case "checksum":
    case "crossed":
    case "overflow":
      return cause
    default:
      return "disconnected"
  }
}

export const leaderOf = (s: State): Listener | undefined => s.listeners.find(({ id }) => id === s.leader)

/** Its leader fell silent, and nobody who hears it has seen it: what is told of it rests on nothing having come or gone since. */
export const isForlorn = (s: State): boolean => s.phase === "live" && s.leader === undefined

/** What it has brought says nothing against what is kept. */
export const isAsKept = ({ kept }: State, { asks, bids }: Listener): boolean =>
  (bids === undefined || (kept !== undefined && Levels.isSame(bids, kept.bids))) &&
  (asks === undefined || (kept !== undefined && Levels.isSame(asks, kept.asks)))

/** Nobody may say of it any more that it is true. */
export const open = (s: State, cause: Cause): void => {
  const { gap, kept, phase } = s
  s.leader = undefined
  s.changedAt = undefined
  s.isCrossed = false
  if (phase !== "live" || kept === undefined) return
  s.phase = "doubtful"
  s.isUrgent = false
  const { receivedAt, sequence, time } = kept.stamp
  s.hole = { cause, from: time ?? Time.iso(Time.wallTime(receivedAt)), fromSequence: sequence }
  if (gap === undefined) s.gap = { hole: s.hole, isTold: false, end: undefined }
  else gap.end = undefined
}

/** What is kept is the true picture, by what that listener brings. */
export const close = (s: State, leader: Listener): void => {
  const { gap, kept, phase } = s
  if (s.leader !== leader.id && s.options.linked === undefined) {
    // Older than what leads now. Were they kept, one that goes on for it later would mix them with what is new.
    for (const one of s.listeners) if (one !== leader) one.bids = one.asks = undefined
  }
  s.leader = leader.id
  // A fresh picture is wanted all the same.
  if (!s.ask.isWorn) {
    s.ask.at = undefined
    s.ask.failed = 0
  }
  if (phase === "live" || kept === undefined) return
  s.phase = "live"
  s.isUrgent = true
  s.hole = undefined
  if (gap === undefined) return
  const { receivedAt, sequence, time } = kept.stamp
  gap.end = { _tag: "Whole", to: time ?? Time.iso(Time.wallTime(receivedAt)), toSequence: sequence }
}

/** Whoever was told that it is doubtful would wait for ever to be told that it is whole; and of a live book nobody hears what follows. */
export const left = (s: State): void => {
  open(s, "disconnected")
  if (s.gap !== undefined) s.gap.end = { _tag: "Left" }
}

export const heard = (
  s: State,
  { isPartly = false, listener: id, since, ...said }: Extract<Input, { readonly _tag: "Heard" }>,
  now: Time.Instant
): void => {
  const epoch = s.options.hasOwnNumbers === true ? noEpoch : said.epoch
  const before = s.listeners.find((one) => one.id === id)
  if (before?.heardAt === null) {
    // The same session: what it brought of what it heard first stands.
    if (!isPartly) before.heardAt = now
    return
  }
  remove(s, id)
  const listener: Listener = {
    id,
    epoch,
    heardAt: isPartly ? null : now,
    bids: undefined,
    asks: undefined,
    passed: { bids: [], asks: [] },
    brought: undefined,
    isBehind: false,
    isCounted: false,
    isSpoiled: false
  }
  s.listeners.push(listener)
  s.deafSince = null
  if (s.leader !== undefined) return
  // What follows goes on from what is kept, or from before it; not from what another session brought that was never a book here.
  const { number } = s
  const goesOn = since !== undefined && number !== undefined && number.epoch === epoch && number.sequence >= since &&
    number.suffix !== null
  if (s.phase === "doubtful" && s.hole?.cause === "disconnected" && goesOn && s.kept?.stamp.isOwn === true) {
    return close(s, inherit(s, listener))
  }
  const { linked } = s.options
  if (linked === undefined) s.ask.failed = 0
  // Subscribed to anew for a picture that did not come before: it is asked for again when it would have been.
  else if (s.ask.failed > 0) return again(s, now)
  expectPicture(s, now, linked?.heard)
}

export const lost = (
  s: State,
  { aliveAt, cause, listener: id }: Extract<Input, { readonly _tag: "Lost" }>,
  now: Time.Instant
): void => {
  const gone = remove(s, id)
  if (s.listeners.length === 0) {
    s.ask.at = undefined
    s.deafSince ??= now
  }
  if (gone === undefined || (s.leader !== id && !isForlorn(s))) return
  const isLeading = s.leader === id
  const other = successor(s, aliveAt)
  // Without numbers, what another brought beside the one that led is newer than that, or only later: nobody can tell.
  const isNumbered = s.number !== undefined || s.options.linked !== undefined
  if (other !== undefined && (isNumbered || isAsKept(s, other))) {
    if (isLeading) goOn(s, other, gone, causeOf(cause), now)
    return
  }
  // Its silence makes no book doubtful; it is subscribed to anew, and then looked at. But another had something that nobody could read, or
  // that is not in the book.
  const isUnseen = s.options.linked !== undefined || s.listeners.every((one) => isAsKept(s, one))
  if (cause === "stale" && !s.isCrossed && isUnseen && !s.listeners.some(({ isSpoiled }) => isSpoiled)) {
    if (!isLeading) return
    s.leader = undefined
  } else open(s, causeOf(cause))
  if (s.listeners.length > 0) expectPicture(s, now)
}

export const doubted = (
  s: State,
  { cause, listener: id }: Extract<Input, { readonly _tag: "Doubted" }>,
  now: Time.Instant
): void => {
  // Whole pictures have come since, or come now: a silence that was strange has left nothing out.
  if (cause === "stale") return
  const listener = s.listeners.find((one) => one.id === id)
  if (listener === undefined) return
  listener.bids = listener.asks = undefined
  listener.isSpoiled = true
  // A picture that was made before it does not know what is missing.
  if (listener.heardAt !== null) listener.heardAt = now
  s.ask.isOutdated = s.ask.isPending
  // No other goes on for it: that one has mostly heard the same, and what it could not read either is missing from what it would inherit.
  if (s.leader !== id && !isForlorn(s)) return
  // Of a book that changes keep each session has heard for itself, and knows whether all was there.
  const other = s.options.linked === undefined ? undefined : successor(s, now)
  if (other !== undefined) {
    s.leader = other.id
    return
  }
  open(s, causeOf(cause))
  expectPicture(s, now)
}

/** The question was not answered, or not with what was needed. */
const again = (s: State, now: Time.Instant): void => {
  if (s.ask.isPending) return
  s.ask.at ??= Time.plus(now, Math.min(askAgain.last, askAgain.first * 2 ** (s.ask.failed - 1)))
}

/** What was asked for has come, of a book that changes keep. */
export const answered = (s: State, fits: boolean, now: Time.Instant, out: Array<Command>): void => {
  s.ask.isPending = false
  if (!fits || isWanted(s)) unanswered(s, now, out)
}

/** One that is doubtful asks by itself. */
export const worn = (s: State, now: Time.Instant): void => {
  if (s.phase !== "live" || s.ask.isWorn) return
  s.ask.isWorn = true
  if (!s.ask.isPending) s.ask.at = Time.latest(now, Time.plus(s.ask.askedAt, askAgain.first))
}

/** The first of the market's own instants when the picture is at least half a period old: its neighbours are another market's. */
export const freshFrom = ({ options: { fresh } }: State, now: Time.Instant): Time.Instant | undefined => {
  if (fresh === undefined) return undefined
  const { every, offset } = fresh
  const least = Time.plus(now, every / 2)
  return Time.plus(least, (every - Time.between(Time.instant(offset), least) % every) % every)
}

/** Of a book that is doubtful, or worn, a picture is asked for in any case. */
export const refresh = (s: State, now: Time.Instant, out: Array<Command>): void => {
  if (s.phase !== "live" || s.freshAt === undefined || Time.between(s.freshAt, now) < 0) return
  s.freshAt = freshFrom(s, now)
  if (!s.ask.isWorn) out.push({ _tag: "Refresh" })
}

export const unanswered = (s: State, now: Time.Instant, out: Array<Command>): void => {
  if (!isWanted(s)) return
  s.ask.failed += 1
  s.ask.at = undefined
  again(s, now)
  if (s.ask.failed === patience) out.push({ _tag: "Stale" })
}

/** A picture is waited for by somebody who would hear what comes after it. */
export const isWanted = (s: State): boolean => (s.leader === undefined || s.ask.isWorn) && s.listeners.length > 0

export const expectPicture = (
  s: State,
  now: Time.Instant,
  within = s.options.linked?.doubted ?? pictureWithin
): void => {
  s.ask.isVoid = s.ask.isPending
  s.ask.isWorn = false
  if (s.options.canAsk) s.ask.at = Time.latest(Time.plus(now, within), Time.plus(s.ask.askedAt, s.ask.apart))
}

/**
 * A question leaves. Of a book that changes keep: one that is lost again and again is asked for ever less often, and as often as any other when
 * it has stayed whole for some time.
 */
export const asking = (s: State, now: Time.Instant): void => {
  const { apart = 0 } = s.options.linked ?? {}
  // Further questions of one period are apart by themselves, and a fresh picture of a live book says nothing of its state.
  if (s.ask.failed === 0 && !s.ask.isWorn) {
    const since = Time.between(s.ask.askedAt, now)
    s.ask.apart = since > 4 * s.ask.apart + 60_000 ? apart : Math.min(askAgain.last, s.ask.apart * 2)
  }
  s.ask.askedAt = now
}

/** The one that was among them. */
const remove = (s: State, id: number): Listener | undefined => {
  const at = s.listeners.findIndex((one) => one.id === id)
  return at === -1 ? undefined : s.listeners.splice(at, 1)[0]
}

/** One that has heard the market since before the other was last alive, has read all of it, and to whom the exchange counts on. */
const successor = (s: State, aliveAt: Time.Instant): Listener | undefined =>
  s.phase !== "live" ?
    undefined :
    s.listeners.findLast(({ asks, bids, brought, epoch, heardAt, isSpoiled }) =>
      // Changes that it hears lead on from its own book alone.
      (s.options.linked === undefined || (bids !== undefined && asks !== undefined)) &&
      !isSpoiled && heardAt !== null && Time.between(heardAt, aliveAt) >= 0 &&
      (s.number === undefined || s.options.linked !== undefined ||
        (epoch === s.number.epoch && (brought === undefined || brought >= s.number.sequence)))
    )

type Sides = Pick<Listener, "bids" | "asks">

/** The book goes on as it was last brought; a side that the listener brought itself stands: it is the same, or while sides cross the newer. */
const inherit = ({ kept }: State, listener: Listener, before?: Sides): Listener => {
  listener.bids ??= before?.bids ?? kept?.bids
  listener.asks ??= before?.asks ?? kept?.asks
  listener.isCounted = true
  return listener
}

/** Another leads from here on. While sides cross what is kept is not what is true, and each side alone is newer than that. */
const goOn = (s: State, other: Listener, before: Sides, cause: Cause, now: Time.Instant): void => {
  const { asks, bids, id } = inherit(s, other, before)
  s.leader = id
  if (s.options.linked !== undefined) return
  const doCross = bids !== undefined && asks !== undefined && Levels.isCrossed({ bids, asks })
  if (doCross) s.isCrossed = true
  else if (s.isCrossed) {
    // Of two sessions: which of the two sides is the newer nobody can tell.
    open(s, cause)
    expectPicture(s, now)
  }
}
