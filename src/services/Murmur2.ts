/**
 * Which partition a key goes to, as Java's default partitioner has it (docs/design/contract.md "Kafka records"): murmur2 of the key's
 * UTF-8. Pure, and without a client of Kafka.
 */

const seed = 0x9747b28c
const m = 0x5bd1e995

const encoder = new TextEncoder()

const byteAt = (bytes: Uint8Array, i: number): number => bytes[i] ?? 0

/** 32 bits, signed, as Java has it. */
export const hash = (key: string): number => {
  const bytes = encoder.encode(key)
  const { length } = bytes
  let h = seed ^ length
  let i = 0
  for (; i + 4 <= length; i += 4) {
    let k = byteAt(bytes, i) | byteAt(bytes, i + 1) << 8 | byteAt(bytes, i + 2) << 16 | byteAt(bytes, i + 3) << 24
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  if (i < length) {
    for (let j = length - 1; j >= i; j--) h ^= byteAt(bytes, j) << 8 * (j - i)
    h = Math.imul(h, m)
  }
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ h >>> 15
}

/** From 0 to `count - 1`. */
export const partitionOf = (key: string, count: number): number => (hash(key) & 0x7fffffff) % count
