/** What each input changes. What follows from that is `Decisions`' business. */
import type { EventRecord } from "../../MarketEvent.ts"
import * as Time from "../../Time.ts"
import * as Isolation from "../Isolation.ts"
import { bytesOf, parcelOf, pushBack, pushFront } from "./Memory.ts"
import { type Command, drop, type Input, type State } from "./State.ts"

export const apply = (s: State, input: Input, now: Time.Instant, out: Array<Command>): State => {
  switch (input._tag) {
    case "Offer":
      return input.records.length === 0 ? s : pushBack(s, parcelOf(input.records, now, input.bytes))
    case "Sent":
      return onSent(s, out)
    case "SendFailed":
      return { ...onSendFailed(s), gate: "closed" }
    case "SendRejected":
      return onRejected(s, input.reason, input.partitions, out)
    case "GateOpened":
      return { ...s, gate: "open" }
    case "GateClosed":
      return { ...s, gate: "closed" }
    case "Appended":
      return onAppended(s, input.firstSeq, input.lastSeq, out)
    case "AppendFailed":
      return onAppendFailed(s, input.refused, now, out)
    case "Read":
      return onRead(s, input.records, now, out)
    case "ReadFailed":
      return { ...s, reading: undefined, disk: "failed", diskRetryAt: Time.plus(now, s.options.diskRetry) }
    case "Persisted":
      return { ...s, persisting: false, durable: Math.max(s.durable, input.position), persistedAt: now }
    case "PersistFailed":
      return {
        ...s,
        persisting: false,
        persistedAt: now,
        disk: "failed",
        diskRetryAt: Time.plus(now, s.options.diskRetry)
      }
    case "DeadLettered":
      return onDeadLettered(s, out)
    case "DeadLetterFailed":
      return { ...s, writingDeadLetter: false, disk: "failed", diskRetryAt: Time.plus(now, s.options.diskRetry) }
    case "Lost":
      return onLost(s, input.firstSeq, input.lastSeq, out)
    case "Tick":
      return s
    case "Stop":
      return s.stopping === "no" ? { ...s, stopping: "head" } : s
    case "StopNow":
      return { ...s, stopping: "append" }
  }
}

const onSent = (s: State, out: Array<Command>): State => {
  const { send } = s
  if (send === undefined) return s
  const accepted = { ...s, send: undefined, rejections: 0 }
  if (send.range === undefined) {
    out.push({ _tag: "Account", from: "in_flight", to: "delivered", records: send.records })
    out.push({ _tag: "Settle", records: send.records })
    return s.append !== undefined && s.append.ofSend > 0
      ? { ...accepted, append: { ...s.append, sendOutcome: "delivered" } }
      : accepted
  }
  out.push({ _tag: "Account", from: "queued", to: "delivered", records: send.records })
  if (s.isolation !== undefined) {
    return advanceIsolation({ ...accepted, isolation: Isolation.accepted(s.isolation) }, out)
  }
  return acknowledge(accepted, out)
}

/** All below `next` is resolved: one send at most is out, and it just ended well. */
const acknowledge = (s: State, out: Array<Command>): State => {
  out.push({ _tag: "Pin", range: undefined }, { _tag: "Ack", nextSeq: s.next })
  return { ...s, acked: s.next }
}

const onSendFailed = (s: State): State => {
  const { send } = s
  if (send === undefined) return s
  // What a broker took before it was away says nothing of what it takes afterwards: its limit may have been raised.
  const failed = { ...s, send: undefined, fit: Infinity }
  if (send.range !== undefined) {
    if (s.isolation !== undefined) return failed // the same group again, when the gate opens
    // It stays pinned: a thawed broker may execute it yet, and what is dropped must not be delivered (H6).
    return { ...failed, next: send.range.first }
  }
  if (s.append !== undefined && s.append.ofSend > 0) {
    return { ...failed, append: { ...s.append, sendOutcome: "failed" } }
  }
  // H2: nothing newer than this batch is sent before all of it is durable.
  return pushFront({ ...failed, straight: false, mustSpool: true }, {
    records: send.records,
    bytes: send.bytes,
    at: send.at,
    attempted: true
  })
}

const onRejected = (s: State, reason: string, partitions: ReadonlyArray<number>, out: Array<Command>): State => {
  const { send } = s
  if (send === undefined) return s
  const rejections = s.rejections + 1
  const counted = { ...s, rejections }
  // Straight from memory: H2 applies to a rejection too. It becomes the head of the queue and is taken apart there.
  if (send.range === undefined) return { ...onSendFailed(counted), fit: s.fit }
  if (rejections >= s.options.rejectionFuse) {
    out.push({ _tag: "Trip" })
    return { ...onSendFailed(counted), gate: "closed" }
  }
  const isolation = s.isolation === undefined
    ? Isolation.make(send.records, send.range.first, partitions, s.fit)
    : s.isolation
  return advanceIsolation({
    ...counted,
    send: undefined,
    isolation: Isolation.rejected(isolation, reason, s.isolation === undefined)
  }, out)
}

const onDeadLettered = (s: State, out: Array<Command>): State => {
  const verdict = s.isolation?.verdict
  if (s.isolation === undefined || verdict === undefined) return { ...s, writingDeadLetter: false }
  out.push({
    _tag: "Account",
    from: "queued",
    to: "dead_lettered",
    records: [verdict.record],
    reason: verdict.reason
  })
  return advanceIsolation({ ...s, writingDeadLetter: false, isolation: Isolation.deadLettered(s.isolation) }, out)
}

const advanceIsolation = (s: State, out: Array<Command>): State =>
  s.isolation !== undefined && Isolation.isDone(s.isolation)
    ? acknowledge({ ...s, isolation: undefined, fit: Isolation.learned(s.isolation) ?? s.fit }, out)
    : s

const onAppended = (s: State, first: number, last: number, out: Array<Command>): State => {
  const { append } = s
  if (append === undefined) return s
  const records = append.parcels.flatMap((parcel) => parcel.records)
  const delivered = append.sendOutcome === "delivered" ? append.ofSend : 0
  // `next` at the tail: all of the queue was handed to a send; acknowledged is another matter.
  const wasEmpty = s.next >= s.tail
  out.push({ _tag: "Account", from: "in_flight", to: "queued", records: records.slice(delivered) })
  out.push({ _tag: "Settle", records: records.slice(delivered), seq: last })
  let next: State = { ...s, append: undefined, mustSpool: false, disk: "ok", tail: last + 1 }
  if (wasEmpty) next = { ...next, next: first, acked: s.acked >= s.tail ? first : s.acked }
  if (append.sendOutcome === "delivered") {
    out.push({ _tag: "Ack", nextSeq: first + delivered })
    return { ...next, next: first + delivered, acked: first + delivered }
  }
  if (append.ofSend > 0 && append.sendOutcome === "unresolved" && s.send !== undefined) {
    // H3: the send in flight is now the head of the queue.
    const range = { first, last: first + append.ofSend - 1 }
    out.push({ _tag: "Pin", range })
    return { ...next, next: range.last + 1, send: { ...s.send, range } }
  }
  const attempted = append.parcels.filter((parcel) => parcel.attempted)
    .reduce((sum, parcel) => sum + parcel.records.length, 0)
  if (attempted > 0) out.push({ _tag: "Pin", range: { first, last: first + attempted - 1 } })
  return s.options.journal ? keepHot(next, records, first, wasEmpty) : next
}

/** H10: a batch is sent after its append is durable, from memory. What does not fit is read back. */
const keepHot = (s: State, records: ReadonlyArray<EventRecord>, first: number, wasEmpty: boolean): State => {
  const tip = s.hot.at(-1)
  const follows = tip === undefined ? wasEmpty : tip.first + tip.records.length === first
  const kept = s.hot.reduce((sum, { bytes }) => sum + bytes, 0)
  const bytes = bytesOf(records)
  return follows && kept + bytes <= s.options.spillBytes / 4 ? { ...s, hot: [...s.hot, { records, bytes, first }] } : s
}

const onAppendFailed = (s: State, refused: boolean, now: Time.Instant, out: Array<Command>): State => {
  const { append } = s
  if (append === undefined) return s
  const all = append.ofSend > 0 && append.sendOutcome !== "failed" ? append.parcels.slice(1) : append.parcels
  // `drop_newest`: what was refused is what goes; but Kafka may have what was in a send (H6).
  const gone = refused && s.options.fullPolicy === "drop_newest" ? all.filter(({ attempted }) => !attempted) : []
  const mine = gone.length === 0 ? all : all.filter(({ attempted }) => attempted)
  drop(gone.flatMap(({ records }) => records), out)
  // Back to the front, in order; a batch whose send failed meanwhile included. With the disk gone, sending it again first is all
  // that is left, and keeps the order just as well (H7).
  const restored = mine.reduceRight<State>((state, parcel) => pushFront(state, parcel), { ...s, append: undefined })
  return { ...restored, mustSpool: false, disk: "failed", diskRetryAt: Time.plus(now, s.options.diskRetry) }
}

const onRead = (
  s: State,
  records: ReadonlyArray<EventRecord & { readonly seq: number }>,
  now: Time.Instant,
  out: Array<Command>
): State => {
  const tail = s.reading?.tail ?? s.tail
  const [head] = records
  const last = records.at(-1)
  if (head === undefined || last === undefined) {
    // Nothing left below the tail that the read saw: dropped or damaged meanwhile, and told by `Lost`.
    return acknowledge({ ...s, reading: undefined, next: Math.max(s.next, tail) }, out)
  }
  const range = { first: head.seq, last: last.seq }
  const send = { records, bytes: bytesOf(records), at: now, range }
  out.push({ _tag: "Pin", range }, { _tag: "Send", records, fit: s.fit })
  return { ...s, reading: undefined, disk: "ok", next: last.seq + 1, send, lastSendAt: now }
}

const onLost = (s: State, first: number, last: number, out: Array<Command>): State => {
  if (s.next < first || s.next > last) return s
  const moved = { ...s, next: last + 1 }
  return s.send === undefined && s.reading === undefined && s.isolation === undefined ? acknowledge(moved, out) : moved
}
