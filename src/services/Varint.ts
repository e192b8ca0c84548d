/**
 * Numbers of as many bytes as they need, seven bits each, the lowest first; and texts of UTF-8 behind their length. As the queue's
 * records have them, and Kafka's, which doubles each number (a zigzag, of which only the positive half is used).
 */

/** 1: the number as it is. 2: Kafka's. */
export type Scale = 1 | 2

export const bytesOfVarint = (value: number): number => {
  let bytes = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1
  return bytes
}

/** Where it ends. */
export const putVarint = (bytes: Uint8Array, offset: number, value: number): number => {
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

const utf8 = new TextEncoder()

/** Most bytes a text can take: three for each UTF-16 unit. */
export const roomForText = (text: string | Uint8Array): number =>
  (typeof text === "string" ? text.length * 3 : text.length) + 5

/** Up to this a loop is faster than the encoder, and its length is one byte of either scale: keys and headers. */
const shortText = 63

/** Undefined if it is not ASCII. */
const putShortAscii = (bytes: Uint8Array, offset: number, text: string, scale: Scale): number | undefined => {
  bytes[offset] = text.length * scale
  let at = offset + 1
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 127) return undefined
    bytes[at] = code
    at += 1
  }
  return at
}

/** Where it ends. */
export const putText = (bytes: Uint8Array, offset: number, text: string | Uint8Array, scale: Scale): number => {
  if (typeof text !== "string") {
    const start = putVarint(bytes, offset, text.length * scale)
    bytes.set(text, start)
    return start + text.length
  }
  if (text.length <= shortText) {
    const end = putShortAscii(bytes, offset, text, scale)
    if (end !== undefined) return end
  }
  return putBehindLength(
    bytes,
    offset,
    text.length,
    scale,
    (start) => start + utf8.encodeInto(text, bytes.subarray(start)).written
  )
}

/** The length is known afterwards; nearly always it takes as many bytes as the guess. Where it ends. */
export const putBehindLength = (
  bytes: Uint8Array,
  offset: number,
  guess: number,
  scale: Scale,
  put: (start: number) => number
): number => {
  const start = offset + bytesOfVarint(guess * scale)
  const length = put(start) - start
  const moved = offset + bytesOfVarint(length * scale)
  if (moved !== start) bytes.copyWithin(moved, start, start + length)
  putVarint(bytes, offset, length * scale)
  return moved + length
}
