/** What a lane's hand-over knows, what it is told, and what it wants done. Plain data. */
import * as Chunk from "effect/Chunk"
import type { FullPolicy } from "../../FileQueue.ts"
import type { EventRecord } from "../../MarketEvent.ts"
import * as Time from "../../Time.ts"
import type * as Isolation from "../Isolation.ts"

export interface Options {
  /** `QUEUE_MODE=journal`: append first, send what is durable, from memory (H10). */
  readonly journal: boolean
  readonly maxBatchRecords: number
  readonly maxBatchBytes: number
  /** How long the head may be unacknowledged before everything goes to disk (H3), ms. */
  readonly spillAfter: number
  /** How many bytes may wait in memory before everything goes to disk (H3). */
  readonly spillBytes: number
  /** The most that a record waits for others to be sent with it (`Linger`), ms. */
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
  readonly fullPolicy: FullPolicy
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
export interface Parcel {
  readonly records: ReadonlyArray<EventRecord>
  readonly bytes: number
  /** When they were accepted. */
  readonly at: Time.Instant
  /** They were in a send that failed: Kafka may have them, so a full memory never drops them (H6). */
  readonly attempted: boolean
}

/** Records of the queue that are still in memory (journal mode). */
export interface Hot {
  readonly records: ReadonlyArray<EventRecord>
  readonly bytes: number
  readonly first: number
}

/** The unresolved send. */
export interface Send {
  readonly records: ReadonlyArray<EventRecord>
  readonly bytes: number
  readonly at: Time.Instant
  /** Sequence numbers, if the records are in the queue (also when an early spill put them there meanwhile). */
  readonly range: Range | undefined
}

export interface Range {
  readonly first: number
  readonly last: number
}

export interface Append {
  readonly parcels: ReadonlyArray<Parcel>
  readonly bytes: number
  readonly startedAt: Time.Instant
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
  readonly persistedAt: Time.Instant
  readonly gate: "open" | "closed"
  /** Rejections since the last acceptance (H5's fuse). */
  readonly rejections: number
  readonly disk: "ok" | "failed"
  readonly diskRetryAt: Time.Instant
  /** Since when more waits in memory than should, and nothing takes it; undefined if that is not so. */
  readonly pressureSince: Time.Instant | undefined
  /** H8: `head`: only what is in memory is still sent; `append`: nothing is. */
  readonly stopping: "no" | "head" | "append"
  /** When the last send began; `Time.never` before the first. */
  readonly lastSendAt: Time.Instant
  /** The most bytes of one partition that Kafka took in one request since it had refused more; Infinity: it never did. */
  readonly fit: number
}

export type Input =
  /** `bytes`: of all of them, if they were counted already (`bytesOf`). */
  | { readonly _tag: "Offer"; readonly records: ReadonlyArray<EventRecord>; readonly bytes?: number | undefined }
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
  /** At most `fit` bytes of one partition in one request. */
  | { readonly _tag: "Send"; readonly records: ReadonlyArray<EventRecord>; readonly fit: number }
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
  now: Time.Instant
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
  diskRetryAt: Time.never,
  pressureSince: undefined,
  stopping: "no",
  lastSendAt: Time.never,
  fit: Infinity
})

/** Where a lane is, in the words of docs/design/words.md "Delivery". */
export const mode = (s: State): "straight" | "spooling" | "draining" =>
  s.straight ? "straight" : s.gate === "closed" ? "spooling" : "draining"

/** Everything that was accepted is durable or delivered, and the cursor says so: what a clean stop waits for (H8). */
export const isDurable = (s: State): boolean =>
  s.bufferRecords === 0 && s.append === undefined && !s.persisting && s.durable >= s.acked &&
  (s.send === undefined || s.send.range !== undefined)

/** As `isDurable`, and no answer of Kafka is awaited. */
export const isSettled = (s: State): boolean =>
  isDurable(s) && s.send === undefined && s.reading === undefined && s.isolation === undefined

/** True while another offer may be taken at once; otherwise it waits (docs/design/laws.md "Keep reading, then spill, then pause"). */
export const hasRoom = (s: State): boolean => waitingBytes(s) < s.options.spillBytes

/** Bytes that neither Kafka nor the disk has taken yet. */
export const waitingBytes = (s: State): number => s.bufferBytes + (s.append?.bytes ?? 0)

export const isUnspooled = (send: Send | undefined): send is Send => send !== undefined && send.range === undefined

/** Acceptance time of the oldest record that is neither acknowledged nor durable. */
export const oldestInMemory = (s: State): Time.Instant | undefined => {
  if (isUnspooled(s.send)) return s.send.at
  const [first] = s.buffer
  return first?.at
}

/** For the ledger: these went, because memory is full. */
export const drop = (records: ReadonlyArray<EventRecord>, out: Array<Command>): void => {
  if (records.length > 0) {
    out.push({ _tag: "Account", from: "in_flight", to: "dropped", records, reason: "full" })
  }
}
