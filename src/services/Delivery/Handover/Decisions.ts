/** What is to be done next, one thing at a time, until there is none. */
import * as Chunk from "effect/Chunk"
import type { EventRecord } from "../../MarketEvent.ts"
import * as Time from "../../Time.ts"
import * as Isolation from "../Isolation.ts"
import * as Linger from "./Linger.ts"
import { bytesOf, remainderOf, takeBatch, withinLimits } from "./Memory.ts"
import {
  type Command,
  drop,
  type Hot,
  isUnspooled,
  oldestInMemory,
  type Parcel,
  type State,
  waitingBytes
} from "./State.ts"

export const decide = (s: State, now: Time.Instant, out: Array<Command>): State | undefined =>
  goStraight(s, now) ?? startAppend(s, now, out) ?? startSend(s, now, out) ?? startPersist(s, now, out) ??
    shed(s, now, out)

/** The disk failed just now, and is left alone for a moment. */
const isResting = (s: State, now: Time.Instant): boolean => s.disk === "failed" && Time.between(now, s.diskRetryAt) > 0

/** H4. A disk that cannot even keep the cursor must not hold up delivery for longer than sockets may be held (H7). */
const goStraight = (s: State, now: Time.Instant): State | undefined => {
  if (s.straight || s.mustSpool || s.send !== undefined || s.append !== undefined || s.reading !== undefined) {
    return undefined
  }
  if (s.isolation !== undefined || s.next < s.tail) return undefined
  if (s.options.journal && s.disk === "ok") return undefined
  if (s.durable >= s.tail && !s.persisting) return { ...s, straight: true }
  const oldest = oldestInMemory(s)
  const given = s.disk === "failed" && oldest !== undefined && Time.between(oldest, now) >= s.options.holdFor
  return given ? { ...s, straight: true } : undefined
}

const canAppend = (s: State): boolean => s.append === undefined && (s.bufferRecords > 0 || isUnspooled(s.send))

const startAppend = (s: State, now: Time.Instant, out: Array<Command>): State | undefined => {
  if (!canAppend(s) || isResting(s, now) || !wantsAppend(s, now)) return undefined
  const ofSend = isUnspooled(s.send) ? [{ ...s.send, attempted: true }] : []
  const parcels = [...ofSend, ...s.buffer]
  out.push({ _tag: "Append", records: parcels.flatMap((parcel) => parcel.records) })
  return {
    ...s,
    straight: false,
    buffer: Chunk.empty(),
    bufferRecords: 0,
    bufferBytes: 0,
    append: {
      parcels,
      bytes: parcels.reduce((sum, parcel) => sum + parcel.bytes, 0),
      startedAt: now,
      ofSend: ofSend[0]?.records.length ?? 0,
      sendOutcome: "unresolved"
    }
  }
}

const wantsAppend = (s: State, now: Time.Instant): boolean => {
  if (s.stopping === "append" || s.mustSpool || s.options.journal) return true
  if (s.gate === "closed") return true
  const oldest = oldestInMemory(s) ?? now
  const late = Time.between(oldest, now) >= s.options.spillAfter ||
    s.bufferBytes + (s.send?.bytes ?? 0) >= s.options.spillBytes
  if (s.straight) return late
  // Draining: the last batch or two are out, so hold what comes meanwhile in memory for the step back to straight (H4);
  // else every event of a busy lane would take the way over the disk for ever.
  const nearlyThere = s.tail - s.next <= s.options.maxBatchRecords && s.stopping === "no" && s.disk === "ok"
  return !nearlyThere || late
}

const startSend = (s: State, now: Time.Instant, out: Array<Command>): State | undefined => {
  if (s.send !== undefined || s.gate === "closed" || s.stopping === "append") return undefined
  if (s.isolation !== undefined) return sendIsolated(s, now, out)
  if (s.straight) return sendStraight(s, now, out)
  if (s.next >= s.tail || s.reading !== undefined) return undefined
  // No further ahead of the durable cursor than a crash may repeat.
  if (s.acked - s.durable > s.options.cursorEvery) return undefined
  const [hot, ...rest] = s.hot
  if (hot !== undefined && hot.first === s.next) return sendHot(s, hot, rest, now, out)
  if (s.stopping === "head") return undefined // a backlog is for the next life
  if (isResting(s, now)) return undefined
  const { maxBatchBytes, maxBatchRecords } = s.options
  // Pinned before it is read: what is dropped must not be delivered as well (H6).
  out.push({ _tag: "Pin", range: { first: s.next, last: s.next + maxBatchRecords - 1 } })
  out.push({ _tag: "Read", from: s.next, maxRecords: maxBatchRecords, maxBytes: maxBatchBytes })
  return { ...s, hot: [], reading: { tail: s.tail } }
}

export const wouldSendStraight = (s: State): boolean =>
  s.straight && s.send === undefined && s.append === undefined && s.gate === "open" && s.bufferRecords > 0 &&
  s.stopping !== "append"

/** When the records in memory go straight to Kafka without being a full batch. */
export const dueAt = (s: State, oldest: Time.Instant): Time.Instant =>
  Linger.dueAt(oldest, s.lastSendAt, s.options.linger)

const sendStraight = (s: State, now: Time.Instant, out: Array<Command>): State | undefined => {
  if (!wouldSendStraight(s)) return undefined
  const oldest = oldestInMemory(s) ?? now
  const full = s.bufferRecords >= s.options.maxBatchRecords || s.bufferBytes >= s.options.maxBatchBytes
  if (!full && Time.between(dueAt(s, oldest), now) < 0 && s.stopping === "no") return undefined
  const [batch, rest] = takeBatch(s)
  out.push({ _tag: "Send", records: batch.records, fit: s.fit })
  return { ...rest, send: { ...batch, range: undefined }, lastSendAt: now }
}

const sendHot = (s: State, hot: Hot, rest: ReadonlyArray<Hot>, now: Time.Instant, out: Array<Command>): State => {
  const records = withinLimits(hot.records, s.options)
  const range = { first: hot.first, last: hot.first + records.length - 1 }
  const left = records.length === hot.records.length
    ? rest
    : [remainderOf(hot, records.length), ...rest]
  out.push({ _tag: "Pin", range }, { _tag: "Send", records, fit: s.fit })
  const send = { records, bytes: bytesOf(records), at: now, range }
  return { ...s, hot: left, next: range.last + 1, send, lastSendAt: now }
}

const sendIsolated = (s: State, now: Time.Instant, out: Array<Command>): State | undefined => {
  if (s.isolation === undefined || s.writingDeadLetter) return undefined
  const { verdict } = s.isolation
  if (verdict !== undefined) {
    if (isResting(s, now)) return undefined
    out.push({ _tag: "DeadLetter", ...verdict })
    return { ...s, writingDeadLetter: true }
  }
  const group = Isolation.current(s.isolation)
  if (group === undefined) return undefined
  out.push({ _tag: "Send", records: group.records, fit: Infinity })
  return { ...s, send: { records: group.records, bytes: bytesOf(group.records), at: now, range: s.isolation.range } }
}

const startPersist = (s: State, now: Time.Instant, out: Array<Command>): State | undefined => {
  if (s.persisting || s.acked <= s.durable || isResting(s, now)) return undefined
  const due = s.acked - s.durable >= s.options.cursorEvery ||
    Time.between(s.persistedAt, now) >= s.options.cursorInterval
  const last = s.next >= s.tail && s.send === undefined && s.append === undefined
  if (!due && !last && s.stopping === "no") return undefined
  out.push({ _tag: "Persist" })
  return { ...s, persisting: true }
}

/** H7: held for long enough; by the policy the oldest or the newest go, counted, but never one that Kafka may have. */
const shed = (s: State, now: Time.Instant, out: Array<Command>): State | undefined => {
  const { fullPolicy } = s.options
  if (fullPolicy === "block") return undefined
  if (s.pressureSince === undefined || Time.between(s.pressureSince, now) < s.options.holdFor) return undefined
  const kept: Array<Parcel> = []
  const dropped: Array<EventRecord> = []
  let excess = waitingBytes(s) - s.options.spillBytes / 2
  const oldestFirst = Chunk.toReadonlyArray(s.buffer)
  for (const parcel of fullPolicy === "drop_oldest" ? oldestFirst : oldestFirst.toReversed()) {
    if (excess > 0 && !parcel.attempted) {
      dropped.push(...parcel.records)
      excess -= parcel.bytes
    } else kept.push(parcel)
  }
  if (dropped.length === 0) return undefined
  if (fullPolicy === "drop_newest") kept.reverse()
  drop(dropped, out)
  return {
    ...s,
    buffer: Chunk.fromIterable(kept),
    bufferRecords: s.bufferRecords - dropped.length,
    bufferBytes: kept.reduce((sum, parcel) => sum + parcel.bytes, 0),
    pressureSince: undefined
  }
}
