/**
 * What one lane's queue knows of itself: its segments, where it begins and ends, what is missing in between. Plain data and plain
 * functions; `Writer`, `Reader`, `Retention` and `Cursor` are its callers.
 */
import { type EventRecord, exchangeOf } from "../MarketEvent.ts"
import type { Loss, QueueSnapshot } from "./Model.ts"
import * as Origins from "./Origins.ts"
import * as Ranges from "./Ranges.ts"

export interface Segment {
  /** First sequence number: its name. */
  readonly base: number
  readonly path: string
  readonly seed: number
  /** Written by an earlier life. */
  readonly inherited: boolean
  readonly createdMs: number
  /** One after its last record. Of an inherited one that is not the last: where the next begins. */
  end: number
  /** Bytes that may be read: of the active one, what is durable (as far as `QUEUE_FSYNC` asks). */
  size: number
  /** Exchange of each record, as an index into `State.exchanges`; empty if inherited. */
  origins: Origins.Origins
  /** Pairs of sequence number and enqueued time, at most one a second. */
  readonly times: Array<readonly [seq: number, ms: number]>
}

export interface State {
  readonly topic: string
  readonly directory: string
  readonly dropOrder: number
  /** In order; each begins at or after the end of the one before. */
  segments: Array<Segment>
  nextSeq: number
  /** First sequence number of this life. */
  readonly liveFrom: number
  ackedTo: number
  durableAckedTo: number
  /** Gone, between `ackedTo` and `nextSeq`: dropped or damaged, and told. */
  holes: Ranges.Ranges
  durableHoles: Ranges.Ranges
  /** The next number to be given, as the cursor on disk has it: what it has seen is told as lost, should its files be removed. */
  durableNext: number
  generation: number
  /** Records of the unresolved send, and of the last read until its records are pinned: neither may be dropped. */
  pinned: Ranges.Range | undefined
  readPin: Ranges.Range | undefined
  status: QueueSnapshot["state"]
  /** Where a record begins that is about to be the first: after a read, the one behind it. */
  hint: { readonly seq: number; readonly base: number; readonly offset: number } | undefined
  /** Bytes promised to a batch that is being written. */
  reserved: number
  /** Exchange by index; an index for each key, so that a busy market is looked up once. */
  readonly exchanges: Array<string>
  readonly indexByKey: Map<string, number>
  /** The first record that a read has met: when it was enqueued. */
  head: { readonly seq: number; readonly ms: number } | undefined
  /** When the newest record was appended, epoch ms, told by a clock that does not jump; null if none was in this life. */
  newest: number | null
}

/** What the cursor file says (`Cursor.ts`). */
export interface Cursor {
  readonly generation: number
  readonly nextSeq: number
  /** Where the record `nextSeq` begins, if known: base of its segment, and byte offset. Zeros: not known. */
  readonly hint: { readonly base: number; readonly offset: number }
  readonly nextAssign: number
  readonly holes: Ranges.Ranges
}

export const make = (options: {
  readonly topic: string
  readonly directory: string
  readonly dropOrder: number
  readonly segments: Array<Segment>
  readonly cursor: Cursor
  readonly durableNext: number
}): State => ({
  topic: options.topic,
  directory: options.directory,
  dropOrder: options.dropOrder,
  segments: options.segments,
  nextSeq: options.cursor.nextAssign,
  liveFrom: options.cursor.nextAssign,
  ackedTo: options.cursor.nextSeq,
  durableAckedTo: options.cursor.nextSeq,
  holes: options.cursor.holes,
  durableHoles: options.cursor.holes,
  durableNext: options.durableNext,
  generation: options.cursor.generation,
  pinned: undefined,
  readPin: undefined,
  status: "ok",
  hint: { seq: options.cursor.nextSeq, ...options.cursor.hint },
  reserved: 0,
  exchanges: [],
  indexByKey: new Map(),
  head: undefined,
  newest: null
})

// ---------------------------------------------------------------------------------------------------------------------
// what is here

export const records = (s: State): number => s.nextSeq - s.ackedTo - Ranges.count(s.holes)

const inherited = (s: State): number => countHere(s, { first: s.ackedTo, last: s.liveFrom - 1 })

const countHere = (s: State, range: Ranges.Range): number => Ranges.count(Ranges.missing(s.holes, range))

/** On disk, acknowledged or not. */
export const fileBytes = (s: State): number => s.segments.reduce((sum, { size }) => sum + size, s.reserved)

/** Of records that are still here; of a segment that is partly acknowledged, its share. */
export const bytes = (s: State): number => {
  let sum = 0
  for (const segment of s.segments) {
    const all = segment.end - segment.base
    const here = countHere(s, { first: Math.max(segment.base, s.ackedTo), last: segment.end - 1 })
    if (here > 0) sum += here === all ? segment.size : Math.ceil(segment.size * here / all)
  }
  return sum
}

const oldest = (s: State): number | null => {
  if (records(s) === 0) return null
  if (s.head?.seq === s.ackedTo) return s.head.ms
  const segment = s.segments.find(({ end }) => end > s.ackedTo)
  if (segment === undefined) return null
  let ms = segment.createdMs
  for (const [seq, time] of segment.times) {
    if (seq > s.ackedTo) break
    ms = time
  }
  return ms
}

/** `now`: epoch ms by the queue's own clock, that of `enqueued`. */
export const snapshot = (s: State, now: number): QueueSnapshot => ({
  records: records(s),
  bytes: bytes(s),
  segments: s.segments.length,
  nextSeq: s.nextSeq,
  ackedTo: s.ackedTo,
  durableAckedTo: s.durableAckedTo,
  recovered: inherited(s),
  state: s.status,
  oldest: oldest(s),
  oldestAge: Math.max(0, now - (oldest(s) ?? now))
})

// ---------------------------------------------------------------------------------------------------------------------
// what happens to it

/** One a second is enough for the age of the oldest record. */
const timeResolution = 1000

/** More keys than markets there are: someone invents them. */
const maxKeys = 20_000

/** A batch is durable in `segment`. */
export const appended = (
  s: State,
  segment: Segment,
  batch: ReadonlyArray<EventRecord>,
  size: number,
  now: number
): void => {
  segment.origins = Origins.append(segment.origins, segment.end - segment.base, batch.map((one) => indexOf(s, one)))
  const last = segment.times.at(-1)
  if (last === undefined || Math.abs(now - last[1]) >= timeResolution) segment.times.push([segment.end, now])
  segment.end += batch.length
  segment.size += size
  s.nextSeq = segment.end
  s.newest = now
}

/** Nothing is appended to it any more. */
export const closed = (segment: Segment): void => {
  segment.origins = Origins.pack(segment.origins, segment.end - segment.base)
}

const indexOf = (s: State, record: EventRecord): number => {
  const known = s.indexByKey.get(record.key)
  if (known !== undefined) return known
  const exchange = exchangeOf(record)
  let index = s.exchanges.indexOf(exchange)
  if (index === -1) index = s.exchanges.push(exchange) - 1
  if (s.indexByKey.size >= maxKeys) s.indexByKey.clear()
  s.indexByKey.set(record.key, index)
  return index
}

/** Never backwards, never beyond the end, and over holes at once: what is behind the last record delivered is the next one here. */
export const acknowledge = (s: State, nextSeq: number): void => {
  s.ackedTo = Math.max(s.ackedTo, Math.min(nextSeq, s.nextSeq))
  s.ackedTo = Ranges.skip(s.holes, s.ackedTo)
  s.holes = Ranges.from(s.holes, s.ackedTo)
}

/** Of these, the ones that are still here. */
export const present = (s: State, range: Ranges.Range): Ranges.Ranges => {
  const first = Math.max(range.first, s.ackedTo)
  return first > range.last ? Ranges.empty : Ranges.missing(s.holes, { first, last: range.last })
}

/** Where the queue begins, and its holes, without these. */
const without = (s: State, gone: Ranges.Ranges): Pick<State, "ackedTo" | "holes"> => {
  let holes = s.holes
  for (const range of gone) holes = Ranges.add(holes, range)
  const ackedTo = Ranges.skip(holes, s.ackedTo)
  return { ackedTo, holes: Ranges.from(holes, ackedTo) }
}

/** These are gone. */
export const lose = (s: State, gone: Ranges.Ranges): void => {
  Object.assign(s, without(s, gone))
}

/** Of whom the records were. */
const originsOf = (
  s: State,
  range: Ranges.Range
): { readonly byExchange: ReadonlyMap<string, number>; readonly recovered: number } => {
  const byExchange = new Map<string, number>()
  for (const segment of s.segments) {
    if (segment.inherited) continue
    const last = Math.min(range.last, segment.end - 1)
    for (let seq = Math.max(range.first, segment.base); seq <= last; seq++) {
      const exchange = s.exchanges[Origins.at(segment.origins, seq - segment.base)] ?? ""
      byExchange.set(exchange, (byExchange.get(exchange) ?? 0) + 1)
    }
  }
  return { byExchange, recovered: Math.max(0, Math.min(range.last, s.liveFrom - 1) - range.first + 1) }
}

/** When records of an earlier life or this one were appended, as far as is known: at the earliest, at the latest. Epoch ms. */
const timesOf = (
  s: State,
  range: Ranges.Range
): { readonly from: number | null; readonly to: number | null } => {
  let from: number | null = null
  let to: number | null = null
  for (const segment of s.segments) {
    for (const [seq, ms] of segment.times) {
      if (seq <= range.first) from = ms
      else if (seq > range.last && to === null) to = ms
    }
    if (segment.times.length === 0 && segment.createdMs > 0 && segment.base <= range.first) from = segment.createdMs
    if (segment.base > range.last && to === null && segment.createdMs > 0) to = segment.createdMs
  }
  return { from, to: to ?? s.newest }
}

/** Of records that are gone: how many of each exchange, and of an earlier life. */
export const lossesOf = (s: State, reason: Loss["reason"], ranges: Ranges.Ranges): ReadonlyArray<Loss> =>
  ranges.map((range): Loss => ({
    reason,
    firstSeq: range.first,
    lastSeq: range.last,
    count: range.last - range.first + 1,
    ...originsOf(s, range),
    ...timesOf(s, range)
  }))

/** Of what is here, all that is older than the newest by more than that, but for what is pinned. */
export const expired = (s: State, maxAgeMs: number): Ranges.Ranges => {
  if (s.newest === null) return Ranges.empty
  const limit = s.newest - maxAgeMs
  // Of a segment without times all is older than the next one's beginning.
  let end = s.ackedTo
  for (const [i, segment] of s.segments.entries()) {
    const next = s.segments[i + 1]
    if (segment.times.length === 0 && next !== undefined && next.createdMs > 0 && next.createdMs < limit) {
      end = segment.end
    }
    for (const [j, [, ms]] of segment.times.entries()) {
      // One entry a second: what follows it was appended within that.
      const after = segment.times[j + 1]?.[0] ?? segment.end
      if (ms + timeResolution <= limit) end = after
    }
  }
  return end <= s.ackedTo ? Ranges.empty : Ranges.missing(pinnedAnd(s, s.holes), { first: s.ackedTo, last: end - 1 })
}

const pinnedAnd = (s: State, ranges: Ranges.Ranges): Ranges.Ranges => {
  let spared = ranges
  for (const pin of [s.pinned, s.readPin]) if (pin !== undefined) spared = Ranges.add(spared, pin)
  return spared
}

/** The cursor to be written; `gone`: as if they were gone already. */
export const cursorOf = (s: State, gone: Ranges.Ranges): Cursor => {
  const { ackedTo, holes } = without(s, gone)
  return {
    generation: s.generation + 1,
    nextSeq: ackedTo,
    hint: s.hint?.seq === ackedTo ? { base: s.hint.base, offset: s.hint.offset } : { base: 0, offset: 0 },
    nextAssign: s.nextSeq,
    holes
  }
}

/** Where the queue begins is on disk. */
export const isCursorDurable = (s: State): boolean => s.ackedTo === s.durableAckedTo && s.holes === s.durableHoles

/** Where it ends, too. */
export const isEndDurable = (s: State): boolean => s.nextSeq === s.durableNext

export const cursorWritten = (s: State, cursor: Cursor): void => {
  s.generation = cursor.generation
  s.durableAckedTo = cursor.nextSeq
  s.durableNext = cursor.nextAssign
  s.durableHoles = cursor.holes
}

/** By what is on disk, nothing in it is wanted any more. */
export const isSpent = (s: State, segment: Segment): boolean => {
  const first = Math.max(segment.base, s.durableAckedTo)
  return first >= segment.end || Ranges.covers(s.durableHoles, { first, last: segment.end - 1 })
}

/**
 * What `drop_oldest` takes next: of the oldest segment that has anything to give, all but the records of the unresolved send
 * (docs/design/delivery.md H6).
 */
export const oldestDroppable = (
  s: State
): { readonly segment: Segment; readonly ranges: Ranges.Ranges } | undefined => {
  const spared = pinnedAnd(s, s.holes)
  for (const segment of s.segments) {
    const first = Math.max(segment.base, s.ackedTo)
    const ranges = first < segment.end ? Ranges.missing(spared, { first, last: segment.end - 1 }) : Ranges.empty
    if (ranges.length > 0) return { segment, ranges }
  }
  return undefined
}
