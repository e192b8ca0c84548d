/** Records in memory: how they are measured, put in line and taken from it within the limits of one send. */
import * as Chunk from "effect/Chunk"
import { type EventRecord, sizeOf } from "../../MarketEvent.ts"
import * as Time from "../../Time.ts"
import type { Hot, Options, Parcel, State } from "./State.ts"

export const bytesOf = (records: ReadonlyArray<EventRecord>): number => {
  let bytes = 0
  for (const record of records) bytes += sizeOf(record)
  return bytes
}

export const parcelOf = (
  records: ReadonlyArray<EventRecord>,
  at: Time.Instant,
  bytes: number = bytesOf(records)
): Parcel => ({
  records,
  bytes,
  at,
  attempted: false
})

export const pushBack = (s: State, parcel: Parcel): State => ({
  ...s,
  buffer: Chunk.append(s.buffer, parcel),
  bufferRecords: s.bufferRecords + parcel.records.length,
  bufferBytes: s.bufferBytes + parcel.bytes
})

export const pushFront = (s: State, parcel: Parcel): State => ({
  ...s,
  buffer: Chunk.prepend(s.buffer, parcel),
  bufferRecords: s.bufferRecords + parcel.records.length,
  bufferBytes: s.bufferBytes + parcel.bytes
})

export const withinLimits = (records: ReadonlyArray<EventRecord>, options: Options): ReadonlyArray<EventRecord> => {
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
export const takeBatch = (s: State): readonly [batch: Parcel, rest: State] => {
  const { maxBatchBytes, maxBatchRecords } = s.options
  const records: Array<EventRecord> = []
  const rest: Array<Parcel> = []
  let bytes = 0
  let at: Time.Instant | undefined
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
  return [{ records, bytes, at: at ?? Time.never, attempted: false }, {
    ...s,
    buffer: Chunk.fromIterable(rest),
    bufferRecords: s.bufferRecords - records.length,
    bufferBytes: rest.reduce((sum, parcel) => sum + parcel.bytes, 0)
  }]
}

/** What is left of a batch in memory when so many of it are sent. */
export const remainderOf = (hot: Hot, taken: number): Hot => {
  const records = hot.records.slice(taken)
  return { records, bytes: bytesOf(records), first: hot.first + taken }
}
