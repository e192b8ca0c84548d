/**
 * Checksums that exchanges send with their books: CRC-32 (IEEE 802.3, as zlib has it) over texts of the best levels. What of a level goes in is
 * its `digits`, of the texts received: canonical decimals have lost zeros that count.
 */
import type { Level } from "../Exchange.ts"

/** Of each byte, by the reversed polynomial. */
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte
  for (let i = 0; i < 8; i++) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1
  return rest
})

/**
 * Of a text of ASCII: 0 to 4294967295.
 */
export const crc32 = (text: string): number => {
  let rest = 0xffffffff
  for (let i = 0; i < text.length; i++) {
    rest = (table[(rest ^ text.charCodeAt(i)) & 0xff] ?? 0) ^ (rest >>> 8)
  }
  return (rest ^ 0xffffffff) >>> 0
}

/** Without the point, and without the zeros before the first other digit. */
const bare = (text: string): string => text.replace(".", "").replace(/^0+/, "")

/**
 * The digits of a level for `listed`: of price and amount as received, without points and leading zeros. `83744.3` and `0.00044780` give
 * `83744344780`.
 */
export const listedDigits = (price: string, amount: string): string => bare(price) + bare(amount)

/**
 * Kraken's: the digits of all asks, then of all bids, best first (`Books.checksum` of 10 levels). The number is unsigned.
 */
export const listed = (asks: ReadonlyArray<Level>, bids: ReadonlyArray<Level>): string =>
  String(crc32(textOf(asks) + textOf(bids)))

const textOf = (levels: ReadonlyArray<Level>): string => {
  let text = ""
  for (const [, , digits = ""] of levels) text += digits
  return text
}
