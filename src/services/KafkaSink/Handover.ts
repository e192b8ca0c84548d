/**
 * The hand-over of one lane, as a pure machine: which records go straight to Kafka, which to the queue, and when
 * (DELIVERY.md section 1, H1-H10). `step` is a plain function of (state, input, now); `Lane` is its only caller in the program.
 *
 * The one thing that keeps order: while anything is in the queue, or must go there, nothing newer is sent. And one send at most
 * is unresolved, so a late answer can only ever concern the head.
 */
import * as Chunk from "effect/Chunk"
import type { EventRecord } from "../MarketEvent.ts"
import { sizeOf } from "../MarketEvent.ts"
import * as Isolation from "./Isolation.ts"

export interface Options {
  /** `QUEUE_MODE=journal`: append first, send what is durable, from memory (H10). */
  readonly journal: boolean
  readonly maxBatchRecords: number
  readonly maxBatchBytes: number
  /** How long the head may be unacknowledged before everything goes to disk (H3), ms. */
  readonly spillAfter: number
  /** How many bytes may wait in memory before everything goes to disk (H3). */
  readonly spillBytes: number
  /** How long a batch may wait for company while Kafka is idle, ms. */
  readonly linger: number
  /** Acknowledgements after which the cursor is made durable; also how far sending may run ahead of it. */
  readonly cursorEvery: number
  /** The same in ms. */
  readonly cursorInterval: number
  /** How long sockets may be held when neither Kafka nor disk takes anything (H7), ms. */
  readonly holdFor: number
  /** Wait between attempts on a disk that failed, ms. */
  readonly diskRetry: number
  /** Rejections in a row that mean an outage, not poison (H5). */
  readonly rejectionFuse: number
  /** What gives way when neither Kafka nor the disk takes more: the oldest, the newest, or nothing, so that sockets are held. */
  readonly fullPolicy: "drop_oldest" | "drop_newest" | "block"
}

export const defaults: Options = {
  journal: false,
  maxBatchRecords: 1000,
  // One partition may get 512 KiB a send; a batch that is no larger keeps that whatever its keys are.
  maxBatchBytes: 512 * 1024,
  spillAfter: 1000,
  spillBytes: 32 * 1024 * 1024,
  linger: 5,
  cursorEvery: 1000,
  cursorInterval: 200,
  holdFor: 5000,
  diskRetry: 1000,
  rejectionFuse: 20,
  fullPolicy: "drop_oldest"
}

/** Records that were handed over together. */
interface Parcel {
  readonly records: ReadonlyArray<EventRecord>
  readonly bytes: number
  /** When they were accepted, ms. */
  readonly at: number
  /** They were in a send that failed: Kafka may have them, so a full memory never drops them (H6). */
  readonly attempted: boolean
}

/** Records of the queue that are still in memory (journal mode). */
interface Hot {
  readonly records: ReadonlyArray<EventRecord>
  readonly bytes: number
  readonly first: number
}

/** The unresolved send. */
interface Send {
  readonly records: ReadonlyArray<EventRecord>
  readonly bytes: number
  readonly at: number
  /** Sequence numbers, if the records are in the queue (also when an early spill put them there meanwhile). */
  readonly range: Range | undefined
}

interface Range {
  readonly first: number
  readonly last: number
}

interface Append {
  readonly parcels: ReadonlyArray<Parcel>
  readonly bytes: number
  readonly startedAt: number
  /** How many of its records, at its beginning, are those of the unresolved send (early spill). */
  readonly ofSend: number
  /** What became of that send while the append ran. */
  readonly sendOutcome: "unresolved" | "delivered" | "failed"
}

export interface State {
  readonly options: Options
  /** The queue is empty and nothing has to go there: events go straight to Kafka. */
  readonly straight: boolean
  /** A send failed: its batch and all behind it must be durable before anything newer is sent (H2). */
  readonly mustSpool: boolean
  readonly buffer: Chunk.Chunk<Parcel>
  readonly bufferRecords: number
  readonly bufferBytes: number
  readonly send: Send | undefined
  readonly append: Append | undefined
  /** The end of the queue when the read began. */
  readonly reading: { readonly tail: number } | undefined
  readonly persisting: boolean
  readonly writingDeadLetter: boolean
  readonly isolation: Isolation.Isolation | undefined
  readonly hot: ReadonlyArray<Hot>
  /** First sequence number that was not handed to a send. */
  readonly next: number
  /** One after the last durable record. */
  readonly tail: number
  /** Everything below is delivered, dead-lettered or dropped. */
  readonly acked: number
  /** The same on disk. */
  readonly durable: number
  readonly persistedAt: number
  readonly gate: "open" | "closed"
  /** Rejections since the last acceptance (H5's fuse). */
  readonly rejections: number
  readonly disk: "ok" | "failed"
  readonly diskRetryAt: number
  /** Since when more waits in memory than should, and nothing takes it; undefined if that is not so. */
  readonly pressureSince: number | undefined
  /** H8: `head`: only what is in memory is still sent; `append`: nothing is. */
  readonly stopping: "no" | "head" | "append"
  readonly lastBatch: number
}

export type Input =
  | { readonly _tag: "Offer"; readonly records: ReadonlyArray<EventRecord> }
  | { readonly _tag: "Sent" }
  /** Unavailable: nothing is known of what was written. Also a send that the breaker did not let out. */
  | { readonly _tag: "SendFailed" }
  /** `partitions[i]` is where record i goes. */
  | { readonly _tag: "SendRejected"; readonly reason: string; readonly partitions: ReadonlyArray<number> }
  | { readonly _tag: "GateOpened" }
  | { readonly _tag: "GateClosed" }
  | { readonly _tag: "Appended"; readonly firstSeq: number; readonly lastSeq: number }
  /** `refused`: the queue's bytes are taken, and its policy is not to drop what it has. */
  | { readonly _tag: "AppendFailed"; readonly refused: boolean }
  | { readonly _tag: "Read"; readonly records: ReadonlyArray<EventRecord & { readonly seq: number }> }
  | { readonly _tag: "ReadFailed" }
  | { readonly _tag: "Persisted"; readonly position: number }
  | { readonly _tag: "PersistFailed" }
  | { readonly _tag: "DeadLettered" }
  | { readonly _tag: "DeadLetterFailed" }
  /** The queue lost records by itself: dropped to make room, or damaged. */
  | { readonly _tag: "Lost"; readonly firstSeq: number; readonly lastSeq: number }
  | { readonly _tag: "Tick" }
  | { readonly _tag: "Stop" }
  | { readonly _tag: "StopNow" }

export type Command =
  | { readonly _tag: "Send"; readonly records: ReadonlyArray<EventRecord> }
  | { readonly _tag: "Append"; readonly records: ReadonlyArray<EventRecord> }
  | { readonly _tag: "Read"; readonly from: number; readonly maxRecords: number; readonly maxBytes: number }
  | { readonly _tag: "Ack"; readonly nextSeq: number }
  | { readonly _tag: "Pin"; readonly range: Range | undefined }
  | { readonly _tag: "Persist" }
  | { readonly _tag: "DeadLetter"; readonly record: EventRecord; readonly seq: number; readonly reason: string }
  /** H5's fuse: this is an outage. */
  | { readonly _tag: "Trip" }
  /** For the ledger: these records, from place to place. */
  | {
    readonly _tag: "Account"
    readonly from: "in_flight" | "queued"
    readonly to: "queued" | "delivered" | "dropped" | "dead_lettered"
    /** Records of an earlier life carry their sequence number. */
    readonly records: ReadonlyArray<EventRecord>
    readonly reason?: string
  }
  /** For the checkpoint: acknowledged or durable now, for the first time. */
  | { readonly _tag: "Settle"; readonly records: ReadonlyArray<EventRecord>; readonly seq?: number }

export const initial = (
  options: Options,
  queue: { readonly next: number; readonly tail: number },
  now: number
): State => ({
  options,
  straight: !options.journal && queue.next === queue.tail,
  mustSpool: false,
  buffer: Chunk.empty(),
  bufferRecords: 0,
  bufferBytes: 0,
  send: undefined,
  append: undefined,
  reading: undefined,
  persisting: false,
  writingDeadLetter: false,
  isolation: undefined,
  hot: [],
  next: queue.next,
  tail: queue.tail,
  acked: queue.next,
  durable: queue.next,
  persistedAt: now,
  gate: "open",
  rejections: 0,
  disk: "ok",
  diskRetryAt: 0,
  pressureSince: undefined,
  stopping: "no",
  lastBatch: 0
})

/** The words of DELIVERY.md for where a lane is. */
export const mode = (s: State): "straight" | "spooling" | "draining" =>
  s.straight ? "straight" : s.gate === "closed" ? "spooling" : "draining"

/** Everything that was accepted is durable or delivered, and the cursor says so: what a clean stop waits for (H8). */
export const isDurable = (s: State): boolean =>
  s.bufferRecords === 0 && s.append === undefined && !s.persisting && s.durable >= s.acked &&
  (s.send === undefined || s.send.range !== undefined)

/** As `isDurable`, and no answer of Kafka is awaited. */
export const isSettled = (s: State): boolean =>
  isDurable(s) && s.send === undefined && s.reading === undefined && s.isolation === undefined

/** True while another offer may be taken at once; otherwise it waits (ARCHITECTURE.md law 2: pause last). */
export const hasRoom = (s: State): boolean => waitingBytes(s) < s.options.spillBytes

/** Bytes that neither Kafka nor the disk has taken yet. */
const waitingBytes = (s: State): number => s.bufferBytes + (s.append?.bytes ?? 0)

// ---------------------------------------------------------------------------------------------------------------------
// the machine

type Result = readonly [commands: ReadonlyArray<Command>, state: State]

export const step = (state: State, input: Input, now: number): Result => {
  const commands: Array<Command> = []
  let s = apply(state, input, now, commands)
  s = trackPressure(s, now)
  for (;;) {
    const next = decide(s, now, commands)
    if (next === undefined) return [commands, s]
    s = next
  }
}

/** When the machine wants a `Tick` if nothing else happens; undefined: never. What was due by `now` has been decided already. */
export const deadline = (s: State, now: number): number | undefined => {
  const times: Array<number> = [s.diskRetryAt]
  const oldest = oldestInMemory(s)
  if (oldest !== undefined) {
    times.push(oldest + s.options.spillAfter, oldest + s.options.holdFor)
    if (wouldSendStraight(s)) times.push(oldest + lingerOf(s))
  }
  if (s.acked > s.durable && !s.persisting) times.push(s.persistedAt + s.options.cursorInterval)
  if (s.pressureSince !== undefined) times.push(s.pressureSince + s.options.holdFor)
  const ahead = times.filter((time) => time > now)
  return ahead.length === 0 ? undefined : Math.min(...ahead)
}

// ---------------------------------------------------------------------------------------------------------------------
// inputs

const apply = (s: State, input: Input, now: number, out: Array<Command>): State => {
  switch (input._tag) {
    case "Offer":
      return input.records.length === 0 ? s : pushBack(s, parcelOf(input.records, now))
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
      return { ...s, reading: undefined, disk: "failed", diskRetryAt: now + s.options.diskRetry }
    case "Persisted":
      return { ...s, persisting: false, durable: Math.max(s.durable, input.position), persistedAt: now }
    case "PersistFailed":
      return { ...s, persisting: false, persistedAt: now, disk: "failed", diskRetryAt: now + s.options.diskRetry }
    case "DeadLettered":
      return onDeadLettered(s, out)
    case "DeadLetterFailed":
      return { ...s, writingDeadLetter: false, disk: "failed", diskRetryAt: now + s.options.diskRetry }
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
  const failed = { ...s, send: undefined }
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
  if (send.range === undefined) return onSendFailed(counted)
  if (rejections >= s.options.rejectionFuse) {
    out.push({ _tag: "Trip" })
    return { ...onSendFailed(counted), gate: "closed" }
  }
  const isolation = s.isolation === undefined
    ? Isolation.make(send.records, send.range.first, partitions)
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
  return advanceIsolation({ ...s, writingDeadLetter: false, isolation: Isolation.buried(s.isolation) }, out)
}

const advanceIsolation = (s: State, out: Array<Command>): State =>
  s.isolation !== undefined && Isolation.isDone(s.isolation) ? acknowledge({ ...s, isolation: undefined }, out) : s

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

const onAppendFailed = (s: State, refused: boolean, now: number, out: Array<Command>): State => {
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
  return { ...restored, mustSpool: false, disk: "failed", diskRetryAt: now + s.options.diskRetry }
}

const onRead = (
  s: State,
  records: ReadonlyArray<EventRecord & { readonly seq: number }>,
  now: number,
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
  out.push({ _tag: "Pin", range }, { _tag: "Send", records })
  return { ...s, reading: undefined, disk: "ok", next: last.seq + 1, send, lastBatch: records.length }
}

const onLost = (s: State, first: number, last: number, out: Array<Command>): State => {
  if (s.next < first || s.next > last) return s
  const moved = { ...s, next: last + 1 }
  return s.send === undefined && s.reading === undefined && s.isolation === undefined ? acknowledge(moved, out) : moved
}

// ---------------------------------------------------------------------------------------------------------------------
// decisions: one at a time, until there is none

const decide = (s: State, now: number, out: Array<Command>): State | undefined =>
  goStraight(s, now) ?? startAppend(s, now, out) ?? startSend(s, now, out) ?? startPersist(s, now, out) ??
    shed(s, now, out)

/** H4. A disk that cannot even keep the cursor must not hold up delivery for longer than sockets may be held (H7). */
const goStraight = (s: State, now: number): State | undefined => {
  if (s.straight || s.mustSpool || s.send !== undefined || s.append !== undefined || s.reading !== undefined) {
    return undefined
  }
  if (s.isolation !== undefined || s.next < s.tail) return undefined
  if (s.options.journal && s.disk === "ok") return undefined
  if (s.durable >= s.tail && !s.persisting) return { ...s, straight: true }
  const oldest = oldestInMemory(s)
  const given = s.disk === "failed" && oldest !== undefined && now - oldest >= s.options.holdFor
  return given ? { ...s, straight: true } : undefined
}

const canAppend = (s: State): boolean => s.append === undefined && (s.bufferRecords > 0 || isUnspooled(s.send))

const startAppend = (s: State, now: number, out: Array<Command>): State | undefined => {
  if (!canAppend(s) || (s.disk === "failed" && now < s.diskRetryAt) || !wantsAppend(s, now)) return undefined
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

const wantsAppend = (s: State, now: number): boolean => {
  if (s.stopping === "append" || s.mustSpool || s.options.journal) return true
  if (s.gate === "closed") return true
  const oldest = oldestInMemory(s) ?? now
  const late = now - oldest >= s.options.spillAfter || s.bufferBytes + (s.send?.bytes ?? 0) >= s.options.spillBytes
  if (s.straight) return late
  // Draining: the last batch or two are out, so hold what comes meanwhile in memory for the step back to straight (H4);
  // else every event of a busy lane would take the way over the disk for ever.
  const nearlyThere = s.tail - s.next <= s.options.maxBatchRecords && s.stopping === "no" && s.disk === "ok"
  return !nearlyThere || late
}

const startSend = (s: State, now: number, out: Array<Command>): State | undefined => {
  if (s.send !== undefined || s.gate === "closed" || s.stopping === "append") return undefined
  if (s.isolation !== undefined) return sendIsolated(s, now, out)
  if (s.straight) return sendStraight(s, now, out)
  if (s.next >= s.tail || s.reading !== undefined) return undefined
  // No further ahead of the durable cursor than a crash may repeat.
  if (s.acked - s.durable > s.options.cursorEvery) return undefined
  const [hot, ...rest] = s.hot
  if (hot !== undefined && hot.first === s.next) return sendHot(s, hot, rest, now, out)
  if (s.stopping === "head") return undefined // a backlog is for the next life
  if (s.disk === "failed" && now < s.diskRetryAt) return undefined
  const { maxBatchBytes, maxBatchRecords } = s.options
  // Pinned before it is read: what is dropped must not be delivered as well (H6).
  out.push({ _tag: "Pin", range: { first: s.next, last: s.next + maxBatchRecords - 1 } })
  out.push({ _tag: "Read", from: s.next, maxRecords: maxBatchRecords, maxBytes: maxBatchBytes })
  return { ...s, hot: [], reading: { tail: s.tail } }
}

const wouldSendStraight = (s: State): boolean =>
  s.straight && s.send === undefined && s.append === undefined && s.gate === "open" && s.bufferRecords > 0 &&
  s.stopping !== "append"

/** Small at low rates, up to five times as long once batches fill: fewer, fuller requests. */
const lingerOf = (s: State): number => s.lastBatch > 20 ? s.options.linger * 5 : s.options.linger

const sendStraight = (s: State, now: number, out: Array<Command>): State | undefined => {
  if (!wouldSendStraight(s)) return undefined
  const oldest = oldestInMemory(s) ?? now
  const full = s.bufferRecords >= s.options.maxBatchRecords || s.bufferBytes >= s.options.maxBatchBytes
  if (!full && now - oldest < lingerOf(s) && s.stopping === "no") return undefined
  const [batch, rest] = takeBatch(s)
  out.push({ _tag: "Send", records: batch.records })
  return { ...rest, send: { ...batch, range: undefined }, lastBatch: batch.records.length }
}

const sendHot = (s: State, hot: Hot, rest: ReadonlyArray<Hot>, now: number, out: Array<Command>): State => {
  const records = withinLimits(hot.records, s.options)
  const range = { first: hot.first, last: hot.first + records.length - 1 }
  const left = records.length === hot.records.length
    ? rest
    : [remainderOf(hot, records.length), ...rest]
  out.push({ _tag: "Pin", range }, { _tag: "Send", records })
  const send = { records, bytes: bytesOf(records), at: now, range }
  return { ...s, hot: left, next: range.last + 1, send, lastBatch: records.length }
}

const remainderOf = (hot: Hot, taken: number): Hot => {
  const records = hot.records.slice(taken)
  return { records, bytes: bytesOf(records), first: hot.first + taken }
}

const sendIsolated = (s: State, now: number, out: Array<Command>): State | undefined => {
  if (s.isolation === undefined || s.writingDeadLetter) return undefined
  const { verdict } = s.isolation
  if (verdict !== undefined) {
    if (s.disk === "failed" && now < s.diskRetryAt) return undefined
    out.push({ _tag: "DeadLetter", ...verdict })
    return { ...s, writingDeadLetter: true }
  }
  const group = Isolation.current(s.isolation)
  if (group === undefined) return undefined
  out.push({ _tag: "Send", records: group.records })
  return { ...s, send: { records: group.records, bytes: bytesOf(group.records), at: now, range: s.isolation.range } }
}

const startPersist = (s: State, now: number, out: Array<Command>): State | undefined => {
  if (s.persisting || s.acked <= s.durable || (s.disk === "failed" && now < s.diskRetryAt)) return undefined
  const due = s.acked - s.durable >= s.options.cursorEvery || now - s.persistedAt >= s.options.cursorInterval
  const last = s.next >= s.tail && s.send === undefined && s.append === undefined
  if (!due && !last && s.stopping === "no") return undefined
  out.push({ _tag: "Persist" })
  return { ...s, persisting: true }
}

const drop = (records: ReadonlyArray<EventRecord>, out: Array<Command>): void => {
  if (records.length > 0) {
    out.push({ _tag: "Account", from: "in_flight", to: "dropped", records, reason: "full" })
  }
}

/** H7: held for long enough; by the policy the oldest or the newest go, counted, but never one that Kafka may have. */
const shed = (s: State, now: number, out: Array<Command>): State | undefined => {
  const { fullPolicy } = s.options
  if (fullPolicy === "block") return undefined
  if (s.pressureSince === undefined || now - s.pressureSince < s.options.holdFor) return undefined
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

// ---------------------------------------------------------------------------------------------------------------------
// memory

const bytesOf = (records: ReadonlyArray<EventRecord>): number =>
  records.reduce((sum, record) => sum + sizeOf(record), 0)

const parcelOf = (records: ReadonlyArray<EventRecord>, at: number): Parcel => ({
  records,
  bytes: bytesOf(records),
  at,
  attempted: false
})

const pushBack = (s: State, parcel: Parcel): State => ({
  ...s,
  buffer: Chunk.append(s.buffer, parcel),
  bufferRecords: s.bufferRecords + parcel.records.length,
  bufferBytes: s.bufferBytes + parcel.bytes
})

const pushFront = (s: State, parcel: Parcel): State => ({
  ...s,
  buffer: Chunk.prepend(s.buffer, parcel),
  bufferRecords: s.bufferRecords + parcel.records.length,
  bufferBytes: s.bufferBytes + parcel.bytes
})

const isUnspooled = (send: Send | undefined): send is Send => send !== undefined && send.range === undefined

/** Acceptance time of the oldest record that is neither acknowledged nor durable. */
const oldestInMemory = (s: State): number | undefined => {
  if (isUnspooled(s.send)) return s.send.at
  const [first] = s.buffer
  return first?.at
}

const trackPressure = (s: State, now: number): State => {
  const pressed = !hasRoom(s)
  if (pressed === (s.pressureSince !== undefined)) return s
  return { ...s, pressureSince: pressed ? now : undefined }
}

const withinLimits = (records: ReadonlyArray<EventRecord>, options: Options): ReadonlyArray<EventRecord> => {
  let bytes = 0
  let count = 0
  for (const record of records) {
    bytes += sizeOf(record)
    if (count > 0 && (count >= options.maxBatchRecords || bytes > options.maxBatchBytes)) break
    count += 1
  }
  return count === records.length ? records : records.slice(0, count)
}

/** The longest run from the front of the buffer that one send may carry; at least one record. */
const takeBatch = (s: State): readonly [batch: Parcel, rest: State] => {
  const { maxBatchBytes, maxBatchRecords } = s.options
  const records: Array<EventRecord> = []
  const rest: Array<Parcel> = []
  let bytes = 0
  let at: number | undefined
  let full = false
  for (const parcel of s.buffer) {
    if (full) {
      rest.push(parcel)
      continue
    }
    at ??= parcel.at
    if (records.length + parcel.records.length <= maxBatchRecords && bytes + parcel.bytes <= maxBatchBytes) {
      for (const record of parcel.records) records.push(record)
      bytes += parcel.bytes
      continue
    }
    full = true
    let taken = 0
    for (const record of parcel.records) {
      const size = sizeOf(record)
      if (records.length > 0 && (records.length >= maxBatchRecords || bytes + size > maxBatchBytes)) break
      records.push(record)
      bytes += size
      taken += 1
    }
    const left = taken === 0 ? parcel.records : parcel.records.slice(taken)
    if (left.length > 0) rest.push({ ...parcel, records: left, bytes: bytesOf(left) })
  }
  return [{ records, bytes, at: at ?? 0, attempted: false }, {
    ...s,
    buffer: Chunk.fromIterable(rest),
    bufferRecords: s.bufferRecords - records.length,
    bufferBytes: rest.reduce((sum, parcel) => sum + parcel.bytes, 0)
  }]
}
