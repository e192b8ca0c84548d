/**
 * The body of a record: i64 timestamp in epoch ms, then key, number of headers, each header's name and text, value; texts as
 * varint length and UTF-8. No topic (the directory is the lane), never a partition (docs/design/delivery.md H9). Pure.
 */
import type { EventRecord } from "../MarketEvent.ts"
import * as Varint from "../Varint.ts"
import { align8, getI64, isAscii, putI64, viewOf } from "./Bytes.ts"
import type { QueuedRecord } from "./Model.ts"
import { frameBytes, maxBodyBytes, putFrame, typeData } from "./Segment.ts"

// ---------------------------------------------------------------------------------------------------------------------
// encoding

/** A list of the names, as `Object.keys` makes one, costs more than all they say. */
const countOf = (headers: EventRecord["headers"]): number => {
  let count = 0
  for (const _ in headers) count += 1
  return count
}

const roomForRecord = (record: EventRecord): number => {
  let room = frameBytes + 8 + 8 + 5 + Varint.roomForText(record.key) + Varint.roomForText(record.value)
  for (const name in record.headers) room += Varint.roomForText(name) + Varint.roomForText(record.headers[name] ?? "")
  return room
}

const putBody = (bytes: Uint8Array, view: DataView, offset: number, record: EventRecord): number => {
  putI64(view, offset, record.timestamp)
  let at = Varint.putText(bytes, offset + 8, record.key, 1)
  const { headers } = record
  at = Varint.putVarint(bytes, at, countOf(headers))
  for (const name in headers) {
    at = Varint.putText(bytes, at, name, 1)
    at = Varint.putText(bytes, at, headers[name] ?? "", 1)
  }
  return Varint.putText(bytes, at, record.value, 1)
}

/** Where batches are encoded, one after another: what `encode` gives is good until it is called again. */
export interface Encoder {
  /** A batch as it is written, but for what `Segment.stamp` sets; undefined if one of its records is too large. */
  readonly encode: (records: ReadonlyArray<EventRecord>, enqueued: number) => Uint8Array | undefined
}

/** A larger buffer is not kept: such a batch comes once, when an outage begins. */
const keptBytes = 4 * 1024 * 1024

export const makeEncoder = (): Encoder => {
  let kept = new Uint8Array(0)
  return {
    encode: (records, enqueued) => {
      let room = 0
      for (const record of records) room += roomForRecord(record)
      const bytes = room <= kept.length ? kept : new Uint8Array(Math.max(room, Math.min(room * 2, keptBytes)))
      if (bytes.length <= keptBytes) kept = bytes
      const view = viewOf(bytes)
      let offset = 0
      for (const record of records) {
        const start = offset + frameBytes
        const end = putBody(bytes, view, start, record)
        if (end - start > maxBodyBytes) return undefined
        putFrame(view, offset, typeData, end - start, enqueued)
        offset = align8(end)
        // Whatever was there before; at most seven bytes.
        for (let at = end; at < offset; at++) bytes[at] = 0
      }
      return bytes.subarray(0, offset)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// decoding

export interface Decoder {
  /** `value` is a view into `bytes`; all else is the caller's own. Undefined if the body is not as this version writes it. */
  readonly decode: (
    bytes: Uint8Array,
    view: DataView,
    frame: { readonly seq: number; readonly start: number; readonly end: number }
  ) => QueuedRecord | undefined
}

interface Reader {
  at: number
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })

/** Places whose text is kept, and how long such a text may be: what damage or another program wrote is not to fill the memory. */
const maxPlaces = 32
const maxKept = 128

/**
 * What headers are called, and most of what they say, is the same record after record: a comparison costs a fraction of a decoding,
 * and no new string.
 */
export const makeDecoder = (): Decoder => {
  /** By place in the record, the text that was there last. */
  const last: Array<string | undefined> = []

  const getText = (bytes: Uint8Array, reader: Reader, end: number, place: number): string | undefined => {
    const length = getLength(bytes, reader, end)
    if (length === undefined) return undefined
    const from = reader.at - length
    const before = last[place]
    if (before?.length === length && isAscii(bytes, from, before)) return before
    const text = utf8.decode(bytes.subarray(from, reader.at))
    // A byte a unit: ASCII, or the mark of a broken byte, which is like no byte. Only such a text is compared byte by byte.
    if (place < maxPlaces && length <= maxKept && text.length === length) last[place] = text
    return text
  }

  return {
    decode: (bytes, view, { end, seq, start }) => {
      const reader = { at: start + 8 }
      const key = getText(bytes, reader, end, 0)
      const count = getVarint(bytes, reader, end)
      if (key === undefined || count === undefined) return undefined
      const headers: Record<string, string> = {}
      for (let i = 0; i < count; i++) {
        const name = getText(bytes, reader, end, 2 * i + 1)
        const value = getText(bytes, reader, end, 2 * i + 2)
        if (name === undefined || value === undefined) return undefined
        // An assignment to it would set the prototype.
        if (name === "__proto__") Object.defineProperty(headers, name, { value, ...ownProperty })
        else headers[name] = value
      }
      const value = getBytes(bytes, reader, end)
      return value === undefined || reader.at !== end
        ? undefined
        : { key, value, headers, timestamp: getI64(view, start), seq }
    }
  }
}

const ownProperty = { configurable: true, enumerable: true, writable: true }

const getVarint = (bytes: Uint8Array, reader: Reader, end: number): number | undefined => {
  let value = 0
  for (let scale = 1; reader.at < end && scale < 2 ** 35; scale *= 128) {
    const byte = bytes[reader.at] ?? 0
    reader.at += 1
    value += (byte & 127) * scale
    if (byte < 128) return value
  }
  return undefined
}

/** Of a text, in bytes; moves behind it. */
const getLength = (bytes: Uint8Array, reader: Reader, end: number): number | undefined => {
  const length = getVarint(bytes, reader, end)
  if (length === undefined || reader.at + length > end) return undefined
  reader.at += length
  return length
}

const getBytes = (bytes: Uint8Array, reader: Reader, end: number): Uint8Array | undefined => {
  const length = getLength(bytes, reader, end)
  return length === undefined ? undefined : bytes.subarray(reader.at - length, reader.at)
}
