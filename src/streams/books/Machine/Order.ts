/** Which of two pictures is the newer: by the exchange's number, else by its time, else by who brings it (docs/design/books.md "What is late"). */
import { compare, timeOf } from "../../../services/ExchangeTime.ts"
import * as Time from "../../../services/Time.ts"
import { type Listener, noEpoch, type Numbered, type Part, type State } from "./State.ts"

/**
 * No session is so far behind another, ms. What one brings that is older than what is kept is late, until it has brought nothing else for so
 * long while no other leads: then the exchange's numbers or its clock began again. Without a bound such a book would stay as it is for ever.
 */
const lag = 10_000

/** `isNewer`: than what is kept; false: it is the same; undefined: nobody can tell. */
export interface Placed {
  /** Undefined: it has none that others see too. */
  readonly number: Numbered | undefined
  readonly isNewer: boolean | undefined
}

/** `old`: something newer is known. `torn`: what its own session has brought before is newer by its number, and no time says that it is late. */
export type Place = Placed | "old" | "torn"

export const placeOf = (s: State, listener: Listener, part: Part, now: Time.Instant): Place => {
  if (part.link !== undefined) {
    const number = linkedNumberOf(s, listener, part)
    return number === "old" || isEarlierThanAnswer(s, part) ? "old" : { number, isNewer: undefined }
  }
  const { epoch } = listener
  const { sequence } = part
  const order = orderOf(s, part)
  // What is recovered behind a lost connection may have been said before the picture that was asked for was made.
  const isBefore = order === undefined ? isOfSubscription(listener, part, now) : order === -1
  if (isBefore && s.kept?.stamp.source === "rest" && isLate(s, listener, now)) return "old"
  return epoch === undefined || sequence === undefined
    ? placeByTime(s, listener, part, order, now)
    : placeByNumber(s, listener, { ...part, epoch, sequence }, order, now)
}

/** It was said after what somebody could not read, so far as can be told; the same picture as before that never is, but from who could not. */
export const isPastUnread = ({ unread }: State, { id }: Listener, { isNewer }: Placed, now: Time.Instant): boolean =>
  unread === undefined || unread.by === id || (isNewer ?? Time.between(unread.at, now) >= lag)

/** It is known to have come as far as what is kept, or nothing is known of it. */
export const isAbreast = ({ kept, number, series }: State, { brought, epoch, ...listener }: Listener): boolean => {
  const [time, before] = [listener.time, kept?.stamp.time ?? null]
  const difference = time === null || before === null ? 0 : compare(time, before)
  if (number === undefined) return difference >= 0
  if (epoch !== number.epoch) return false
  // What it brought later in spite of its number is of numbers that began again.
  return brought === undefined || (brought >= number.sequence && listener.series === series && difference <= 0)
}

/** It came with the answer to the subscription, and has a number that pictures that are asked for have not. */
const isOfSubscription = ({ epoch, heardAt }: Listener, { sequence }: Part, now: Time.Instant): boolean =>
  sequence !== undefined && epoch !== noEpoch && heardAt !== null && Time.between(heardAt, now) <= 0

type Counted = Part & { readonly epoch: string; readonly sequence: bigint }

const placeByNumber = (
  s: State,
  listener: Listener,
  { epoch, sequence, timestamp }: Counted,
  order: Order,
  now: Time.Instant
): Place => {
  const last = s.number
  if (last?.epoch !== epoch) return { number: { epoch, sequence, suffix: "" }, isNewer: true }
  const hasFallen = listener.brought !== undefined && sequence < listener.brought
  // It goes on with the numbers of before they began again; of one that has brought none only a time can tell.
  const isOfBefore = !hasFallen &&
    (listener.series === undefined ? s.series > 0 && order === -1 : listener.series < s.series)
  if (!isOfBefore) {
    // A picture that was asked for has no such number, and may be of after this.
    const isNewer = s.kept?.stamp.source !== "rest" || epoch === noEpoch || order === 1 ? true : undefined
    if (sequence > last.sequence) return { number: { epoch, sequence, suffix: last.suffix }, isNewer }
    if (sequence === last.sequence && (order ?? 0) === 0) return isLed(s) ? "old" : { number: last, isNewer: false }
  }
  // One way of the exchange may be behind another; a picture that is asked for will tell whether numbers began again.
  const isTold = epoch !== noEpoch || !s.options.canAsk
  const anew = { epoch, sequence, suffix: timestamp === null ? null : `.${Math.floor(timestamp / 1000)}` }
  // A session that is behind has numbers that rise, and copies have the time of what they are copies of.
  const isAnew = order === 1 && !isOfBefore && (listener.brought === undefined || sequence <= listener.brought)
  if (isTold && isAnew && (hasFallen || !isLedByOther(s, listener))) return { number: anew, isNewer: true }
  const isOver = !isLate(s, listener, now)
  if (isTold && isOver) return { number: anew, isNewer: true }
  // One that goes on for another and has brought nothing yet has come as far, or may have.
  const isLower = hasFallen || (listener.brought === undefined && s.leader === listener.id)
  return isOver || (isLower && (order ?? 1) === 1) ? "torn" : "old"
}

const placeByTime = (s: State, listener: Listener, part: Part, order: Order, now: Time.Instant): Place => {
  if (part.part === "whole" && order === 1) return { number: undefined, isNewer: true }
  // Its own parts are in order, whatever the exchange's clock says; and of one side nobody says when the other was so.
  if (order === undefined || part.part !== "whole" || s.keptBy === listener.id) {
    return { number: undefined, isNewer: undefined }
  }
  if (order === -1) return isLate(s, listener, now) ? "old" : { number: undefined, isNewer: undefined }
  return isLed(s) ? "old" : { number: undefined, isNewer: false }
}

/** Of the time of a part beside that of what is kept: earlier, the same, later; undefined: one of the two has none. */
type Order = -1 | 0 | 1 | undefined

const orderOf = ({ kept }: State, part: Part): Order => {
  const before = kept?.stamp.timestamp ?? null
  const [time, keptTime] = [timeOf(part), kept?.stamp.time ?? null]
  if (part.timestamp === null || before === null || time === null || keptTime === null) return undefined
  if (part.timestamp !== before) return part.timestamp < before ? -1 : 1
  // By REST the same time may have fewer digits.
  const difference = kept?.stamp.source === "rest" ? 0 : compare(time, keptTime)
  return difference < 0 ? -1 : difference > 0 ? 1 : 0
}

/** What it brings may be of before what is kept, and be followed by what is not. */
const isLate = (s: State, listener: Listener, now: Time.Instant): boolean => {
  if (isLedByOther(s, listener)) {
    listener.lateSince = undefined
    return true
  }
  listener.lateSince ??= now
  return Time.between(listener.lateSince, now) < lag
}

const isLed = (s: State): boolean => s.phase === "live" && s.leader !== undefined

const isLedByOther = (s: State, { id }: Listener): boolean => isLed(s) && s.leader !== id

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
  if (sequence === last.sequence) return isLed(s) ? "old" : last
  if (link === "changed" && (brought === undefined || sequence >= brought)) return "old"
  return { epoch, sequence, suffix: part.timestamp === null ? null : `.${Math.floor(part.timestamp / 1000)}` }
}

/** Beside a picture that was asked for a part is judged by its time. */
const isEarlierThanAnswer = (s: State, part: Part): boolean => s.kept?.stamp.source === "rest" && isEarlier(part, s)

export const isEarlier = ({ timestamp }: Part, { kept }: State): boolean =>
  timestamp !== null && kept !== undefined && kept.stamp.timestamp !== null && timestamp < kept.stamp.timestamp
