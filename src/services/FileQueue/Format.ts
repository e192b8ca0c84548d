/**
 * Bytes of a segment file (docs/design/queue.md "The segment"): a header of 64 bytes, then records, each padded to 8. Pure. Numbers are
 * little-endian; sequence numbers and times stay below 2^53, so no bigint is needed.
 *
 * Record: 0 marker | 4 u32 length of the body | 8 u32 crc | 12 u8 type | 13 u8 flags, u16 0 | 16 u64 seq | 24 i64 enqueued, epoch ms |
 * 32 body. The crc covers everything but itself and is seeded with the segment's number, so that damage is found wherever it is, and
 * a record of another segment, or one inside a payload, never passes for one of this.
 */
import type { EventRecord } from "../MarketEvent.ts"
import * as Varint from "../Varint.ts"
import type { QueuedRecord } from "./Model.ts"

export const headerBytes = 64
export const frameBytes = 32

/**
 * Longest body. The lane takes values up to 1 MiB of UTF-16 units, which UTF-8 may triple: what it takes must fit, or a lane would
 * offer the same batch for ever.
 */
export const maxBodyBytes = 4 * 1024 * 1024

const magic = "EXFQSEG1"
const major = 1
const algorithm = 1 // CRC-32 (IEEE)
const marker = 0x46584501 // 01 45 58 46

export const typeData = 1
/** Records that left the queue undelivered; takes no sequence number, carries that of the record which follows. */
export const typeGap = 2

/** Set in the flags of a record of a type unknown to this version: skip it. */
const skippable = 0x80

// ---------------------------------------------------------------------------------------------------------------------
// names

const nameDigits = 20
const namePattern = /^\d{20}\.seg$/

export const segmentName = (base: number): string => `${String(base).padStart(nameDigits, "0")}.seg`

/** First sequence number of a segment by its file name; undefined for files that are none of ours. */
export const segmentBase = (name: string): number | undefined => {
  if (!namePattern.test(name)) return undefined
  const base = Number(name.slice(0, nameDigits))
  return Number.isSafeInteger(base) ? base : undefined
}

const text = new TextEncoder()

/** From the name, so that a damaged header costs nothing. */
export const segmentSeed = (base: number, crc32: Crc32): number => crc32(text.encode(`exchange-feeds:${base}`), 0)

// ---------------------------------------------------------------------------------------------------------------------
// header

export interface Header {
  readonly base: number
  readonly createdMs: number
  readonly queueId: Uint8Array
}

export const encodeHeader = (header: Header, crc32: Crc32): Uint8Array => {
  const bytes = new Uint8Array(headerBytes)
  const view = viewOf(bytes)
  ascii(bytes, 0, magic)
  view.setUint16(8, major, true)
  view.setUint32(12, headerBytes, true)
  putU64(view, 16, header.base)
  view.setUint8(24, algorithm)
  putI64(view, 32, header.createdMs)
  bytes.set(header.queueId.subarray(0, 16), 40)
  view.setUint32(60, crc32(bytes.subarray(0, 60), 0), true)
  return bytes
}

/**
 * `damaged`: go on from the name. `unsupported`: whole, but of a format this version does not know. A header that is not whole
 * says nothing about its version.
 */
export const decodeHeader = (bytes: Uint8Array, crc32: Crc32): Header | "damaged" | "unsupported" => {
  if (bytes.length < headerBytes) return "damaged"
  const view = viewOf(bytes)
  if (view.getUint32(60, true) !== crc32(bytes.subarray(0, 60), 0)) return "damaged"
  if (!isAscii(bytes, 0, magic) || view.getUint16(8, true) !== major) return "unsupported"
  if (view.getUint8(24) !== algorithm || view.getUint32(12, true) !== headerBytes) return "unsupported"
  return { base: getU64(view, 16), createdMs: getI64(view, 32), queueId: bytes.slice(40, 56) }
}

// ---------------------------------------------------------------------------------------------------------------------
// records: what is the same of each

/** Everything but sequence number and crc, which `stamp` sets when the segment is known. Says where the next record begins. */
export const putFrame = (view: DataView, offset: number, type: number, bodyBytes: number, enqueued: number): number => {
  view.setUint32(offset, marker, true)
  view.setUint32(offset + 4, bodyBytes, true)
  view.setUint32(offset + 12, type, true)
  putI64(view, offset + 24, enqueued)
  return offset + align8(frameBytes + bodyBytes)
}

/** Numbers the records of a batch and seals each with the seed of the segment it goes into. May be done again for another one. */
export const stamp = (batch: Uint8Array, firstSeq: number, seed: number, crc32: Crc32): void => {
  const view = viewOf(batch)
  let seq = firstSeq
  for (let offset = 0; offset < batch.length;) {
    const end = offset + frameBytes + view.getUint32(offset + 4, true)
    putU64(view, offset + 16, seq)
    view.setUint32(offset + 8, checksum(batch, offset, end, seed, crc32), true)
    if (view.getUint8(offset + 12) === typeData) seq += 1
    offset = align8(end)
  }
}

const checksum = (bytes: Uint8Array, offset: number, end: number, seed: number, crc32: Crc32): number =>
  crc32(bytes.subarray(offset + 12, end), crcOfHead(bytes, offset, seed))

/** CRC-32 (IEEE) of each byte, reflected. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1
  return crc
})

/** Of marker and length: for eight bytes a call into the system costs more than they do. */
const crcOfHead = (bytes: Uint8Array, offset: number, seed: number): number => {
  let crc = ~seed
  for (let at = offset; at < offset + 8; at++) crc = (table[(crc ^ (bytes[at] ?? 0)) & 255] ?? 0) ^ (crc >>> 8)
  return ~crc >>> 0
}

export interface Frame {
  readonly type: number
  /** Of a later version, which says that it may be skipped; or a gap. */
  readonly skip: boolean
  readonly seq: number
  /** Epoch ms, information only. */
  readonly enqueued: number
  /** The body, as offsets into the bytes. */
  readonly start: number
  readonly end: number
  /** Where the next record begins. */
  readonly next: number
}

/** The record at `offset`; how many bytes it would need from there if there are too few; undefined if there is none. */
export const frameAt = (
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  seed: number,
  crc32: Crc32
): Frame | number | undefined => {
  if (offset + frameBytes > bytes.length) return frameBytes
  if (view.getUint32(offset, true) !== marker) return undefined
  const length = view.getUint32(offset + 4, true)
  if (length > maxBodyBytes) return undefined
  const start = offset + frameBytes
  const end = start + length
  const next = offset + align8(frameBytes + length)
  if (next > bytes.length) return next - offset
  if (view.getUint32(offset + 8, true) !== checksum(bytes, offset, end, seed, crc32)) return undefined
  const type = view.getUint8(offset + 12)
  const skip = type !== typeData && (type === typeGap || (view.getUint8(offset + 13) & skippable) !== 0)
  return { type, skip, seq: getU64(view, offset + 16), enqueued: getI64(view, offset + 24), start, end, next }
}

/** Marker at `offset`: worth a closer look when searching after damage. */
export const isMarked = (view: DataView, offset: number): boolean => view.getUint32(offset, true) === marker

// ---------------------------------------------------------------------------------------------------------------------
// records: the body, written. i64 timestamp in epoch ms, then key, number of headers, each header's name and text, value; texts as varint
// length and UTF-8. No topic (the directory is the lane), never a partition (docs/design/delivery.md H9).

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
  /** A batch as it is written, but for what `stamp` sets; undefined if one of its records is too large. */
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
// records: the body, read

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

// ---------------------------------------------------------------------------------------------------------------------
// numbers and texts in bytes

export type Crc32 = (data: Uint8Array, seed: number) => number

const two32 = 0x1_0000_0000

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const putU64 = (view: DataView, offset: number, value: number): void => {
  view.setUint32(offset, value % two32, true)
  view.setUint32(offset + 4, Math.floor(value / two32), true)
}

/** Above 2^53 what comes out is no safe integer: damage, for all who check. */
export const getU64 = (view: DataView, offset: number): number =>
  view.getUint32(offset + 4, true) * two32 + view.getUint32(offset, true)

export const putI64 = (view: DataView, offset: number, value: number): void => {
  const high = Math.floor(value / two32)
  view.setUint32(offset, value - high * two32, true)
  view.setInt32(offset + 4, high, true)
}

export const getI64 = (view: DataView, offset: number): number =>
  view.getInt32(offset + 4, true) * two32 + view.getUint32(offset, true)

export const ascii = (bytes: Uint8Array, offset: number, text: string): void => {
  for (let i = 0; i < text.length; i++) bytes[offset + i] = text.charCodeAt(i)
}

export const isAscii = (bytes: Uint8Array, offset: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (bytes[offset + i] !== text.charCodeAt(i)) return false
  return true
}

export const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

export const align8 = (length: number): number => (length + 7) & ~7
