/**
 * The cursor file: where the queue begins, and what between there and its end is gone. 64 bytes, 16 more for each hole:
 *
 * 0 "EXFQCUR1" | 8 u16 version | 10 u16 number of holes | 12 u32 0 | 16 u64 generation | 24 u64 nextSeq (first not acknowledged) |
 * 32 u64 hint segment | 40 u64 hint offset | 48 u64 nextAssign (highest ever assigned + 1) | 56 u32 0 | 60 u32 crc of all but itself |
 * 64 holes: u64 first, u64 last.
 *
 * A hole is a range of records that were dropped, or found damaged, behind records that are still to be sent (docs/design/delivery.md H6:
 * those of the unresolved send are spared). The cursor makes both kinds of drop durable in one step, before any file goes, so
 * that no record is dropped and delivered, and none is counted in two lives.
 */
import { ascii, type Crc32, getU64, isAscii, putU64, viewOf } from "./Bytes.ts"
import type { Ranges } from "./Ranges.ts"

export interface Cursor {
  readonly generation: number
  readonly nextSeq: number
  /** Where the record `nextSeq` begins, if known: base of its segment, and byte offset. Zeros: not known. */
  readonly hint: { readonly base: number; readonly offset: number }
  readonly nextAssign: number
  readonly holes: Ranges
}

const magic = "EXFQCUR1"
const version = 1
const headBytes = 64

/** More holes than any run of drops makes. What is beyond is told a second time in the next life. */
const maxHoles = 4096

const checksum = (bytes: Uint8Array, crc32: Crc32): number =>
  crc32(bytes.subarray(headBytes), crc32(bytes.subarray(0, 60), 0))

export const encode = (cursor: Cursor, crc32: Crc32): Uint8Array => {
  const holes = cursor.holes.slice(0, maxHoles)
  const bytes = new Uint8Array(headBytes + holes.length * 16)
  const view = viewOf(bytes)
  ascii(bytes, 0, magic)
  view.setUint16(8, version, true)
  view.setUint16(10, holes.length, true)
  putU64(view, 16, cursor.generation)
  putU64(view, 24, cursor.nextSeq)
  putU64(view, 32, cursor.hint.base)
  putU64(view, 40, cursor.hint.offset)
  putU64(view, 48, cursor.nextAssign)
  holes.forEach(({ first, last }, i) => {
    putU64(view, headBytes + i * 16, first)
    putU64(view, headBytes + i * 16 + 8, last)
  })
  view.setUint32(60, checksum(bytes, crc32), true)
  return bytes
}

/** Undefined if it is damaged; `unsupported` if a later version wrote it. */
export const decode = (bytes: Uint8Array, crc32: Crc32): Cursor | "unsupported" | undefined => {
  if (bytes.length < headBytes) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(60, true) !== checksum(bytes, crc32)) return undefined
  if (!isAscii(bytes, 0, magic) || view.getUint16(8, true) !== version) return "unsupported"
  const count = view.getUint16(10, true)
  if (bytes.length !== headBytes + count * 16) return undefined
  const holes = Array.from({ length: count }, (_, i) => ({
    first: getU64(view, headBytes + i * 16),
    last: getU64(view, headBytes + i * 16 + 8)
  }))
  return {
    generation: getU64(view, 16),
    nextSeq: getU64(view, 24),
    hint: { base: getU64(view, 32), offset: getU64(view, 40) },
    nextAssign: getU64(view, 48),
    holes
  }
}
