/**
 * Bytes of a segment file (docs/design/queue.md "The segment"): a header of 64 bytes, then records, each padded to 8. Pure.
 *
 * Record: 0 marker | 4 u32 length of the body | 8 u32 crc | 12 u8 type | 13 u8 flags, u16 0 | 16 u64 seq | 24 i64 enqueued, epoch ms |
 * 32 body. The crc covers everything but itself and is seeded with the segment's number, so that damage is found wherever it is, and
 * a record of another segment, or one inside a payload, never passes for one of this.
 */
import { align8, ascii, type Crc32, getI64, getU64, isAscii, putI64, putU64, viewOf } from "./Bytes.ts"

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

export const nameOf = (base: number): string => `${String(base).padStart(nameDigits, "0")}.seg`

/** First sequence number of a segment by its file name; undefined for files that are none of ours. */
export const baseOf = (name: string): number | undefined => {
  if (!namePattern.test(name)) return undefined
  const base = Number(name.slice(0, nameDigits))
  return Number.isSafeInteger(base) ? base : undefined
}

const text = new TextEncoder()

/** From the name, so that a damaged header costs nothing. */
export const seedOf = (base: number, crc32: Crc32): number => crc32(text.encode(`exchange-feeds:${base}`), 0)

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
// records

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
