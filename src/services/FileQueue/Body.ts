/**
 * The body of a record: i64 timestamp in epoch ms, then key, number of headers, each header's name and text, value; texts as
 * varint length and UTF-8. No topic (the directory is the lane), never a partition (DELIVERY.md H9). Pure.
 */
import type { EventRecord } from "../MarketEvent.ts"
import { getI64, putI64, viewOf } from "./Bytes.ts"
import { align8 } from "./Bytes.ts"
import { frameBytes, maxBodyBytes, putFrame, typeData } from "./Segment.ts"

const utf8 = new TextEncoder()

// ---------------------------------------------------------------------------------------------------------------------
// encoding

const varintBytes = (value: number): number => {
  let bytes = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1
  return bytes
}

const putVarint = (bytes: Uint8Array, offset: number, value: number): number => {
  let at = offset
  let rest = value
  while (rest >= 128) {
    bytes[at] = (rest % 128) | 128
    at += 1
    rest = Math.floor(rest / 128)
  }
  bytes[at] = rest
  return at + 1
}

/** Most bytes a text can take: three for each UTF-16 unit. */
const roomFor = (text: string | Uint8Array): number => (typeof text === "string" ? text.length * 3 : text.length) + 5

/** Below this a loop is faster than the encoder: keys and headers. */
const shortText = 64

/** Undefined if it is not ASCII. */
const putShortAscii = (bytes: Uint8Array, offset: number, text: string): number | undefined => {
  bytes[offset] = text.length
  let at = offset + 1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 127) return undefined
    bytes[at] = code
    at += 1
  }
  return at
}

const putText = (bytes: Uint8Array, offset: number, text: string | Uint8Array): number => {
  if (typeof text !== "string") {
    const start = putVarint(bytes, offset, text.length)
    bytes.set(text, start)
    return start + text.length
  }
  if (text.length <= shortText) {
    const end = putShortAscii(bytes, offset, text)
    if (end !== undefined) return end
  }
  // The length is known afterwards; nearly always its own length is as guessed.
  const guess = varintBytes(text.length)
  const { written } = utf8.encodeInto(text, bytes.subarray(offset + guess))
  const need = varintBytes(written)
  if (need !== guess) bytes.copyWithin(offset + need, offset + guess, offset + guess + written)
  putVarint(bytes, offset, written)
  return offset + need + written
}

const roomForRecord = (record: EventRecord): number => {
  let room = frameBytes + 8 + 8 + 5 + roomFor(record.key) + roomFor(record.value)
  for (const name in record.headers) room += roomFor(name) + roomFor(record.headers[name] ?? "")
  return room
}

const putBody = (bytes: Uint8Array, view: DataView, offset: number, record: EventRecord): number => {
  putI64(view, offset, record.timestamp)
  let at = putText(bytes, offset + 8, record.key)
  const names = Object.keys(record.headers)
  at = putVarint(bytes, at, names.length)
  for (const name of names) {
    at = putText(bytes, at, name)
    at = putText(bytes, at, record.headers[name] ?? "")
  }
  return putText(bytes, at, record.value)
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

const text = new TextDecoder()

/** `value` is a view into `bytes`. Undefined if the body is not as this version writes it. */
export const decode = (bytes: Uint8Array, view: DataView, start: number, end: number): EventRecord | undefined => {
  const reader = { at: start + 8 }
  const key = getText(bytes, reader, end)
  const count = getVarint(bytes, reader, end)
  if (key === undefined || count === undefined) return undefined
  const headers: Array<[string, string]> = []
  for (let i = 0; i < count; i++) {
    const name = getText(bytes, reader, end)
    const value = getText(bytes, reader, end)
    if (name === undefined || value === undefined) return undefined
    headers.push([name, value])
  }
  const value = getBytes(bytes, reader, end)
  // `fromEntries` defines properties: a header called `__proto__` is a header.
  return value === undefined || reader.at !== end
    ? undefined
    : { key, value, headers: Object.fromEntries(headers), timestamp: getI64(view, start) }
}

interface Reader {
  at: number
}

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

const getBytes = (bytes: Uint8Array, reader: Reader, end: number): Uint8Array | undefined => {
  const length = getVarint(bytes, reader, end)
  if (length === undefined || reader.at + length > end) return undefined
  const found = bytes.subarray(reader.at, reader.at + length)
  reader.at += length
  return found
}

const getText = (bytes: Uint8Array, reader: Reader, end: number): string | undefined => {
  const found = getBytes(bytes, reader, end)
  return found === undefined ? undefined : text.decode(found)
}
