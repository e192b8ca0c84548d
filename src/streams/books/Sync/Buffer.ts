/**
 * Changes that wait for a picture, each of which follows from the one before. Bounded: what is longer ago than the bounds goes, so that only a
 * newer picture fits.
 */
import type { Link } from "../../Exchange.ts"
import { bridge, judge, type Part } from "./Link.ts"

/** Of one market. */
const maxParts = 2_000
const maxBytes = 4 * 1024 * 1024

/** Of all markets that share a pool. */
const maxPooled = 64 * 1024 * 1024

/** What waits in all buffers of a pool, bytes. */
export interface Pool {
  bytes: number
}

export const pool = (): Pool => ({ bytes: 0 })

export interface Buffer {
  readonly pool: Pool
  readonly maxParts: number
  readonly parts: Array<Part>
  bytes: number
  /** Number of the newest part that went; undefined: none has. A picture of before does not know what that changed, nor does anybody. */
  gone: bigint | undefined
}

export const make = (pool: Pool, most = maxParts): Buffer => ({
  pool,
  maxParts: most,
  parts: [],
  bytes: 0,
  gone: undefined
})

/** In memory, about: texts with their headers, and the list that holds them. */
const bytesOf = ({ asks, bids }: Part): number => {
  let bytes = 256
  for (const levels of [bids, asks]) for (const [price, amount] of levels) bytes += 80 + price.length + amount.length
  return bytes
}

/** `early`: it waits now. */
export const push = (buffer: Buffer, link: Link, part: Part): "early" | "old" => {
  const { parts, pool } = buffer
  const last = parts.at(-1)
  if (last !== undefined) {
    const verdict = judge(link, last.sequence, part)
    if (verdict === "old") return "old"
    // No picture of before the hole is of use.
    if (verdict === "missing") clear(buffer)
  }
  parts.push(part)
  add(buffer, bytesOf(part))
  while (parts.length > buffer.maxParts || buffer.bytes > maxBytes || pool.bytes > maxPooled) {
    const first = parts.shift()
    if (first === undefined) break
    buffer.gone = first.sequence
    add(buffer, -bytesOf(first))
  }
  return "early"
}

export const clear = (buffer: Buffer): void => {
  add(buffer, -buffer.bytes)
  buffer.parts.length = 0
}

const add = (buffer: Buffer, bytes: number): void => {
  buffer.bytes += bytes
  buffer.pool.bytes += bytes
}

/** Those that come after a picture of that number; undefined: it is too old. */
export const after = ({ gone, parts }: Buffer, picture: bigint): ReadonlyArray<Part> | undefined => {
  if (gone !== undefined && picture < gone) return undefined
  const first = bridge(picture, parts)
  return first === undefined ? undefined : parts.slice(first)
}
