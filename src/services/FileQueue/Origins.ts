/**
 * Of which exchange each record of a segment is, by number: for the ledger, should it be dropped. While a segment grows, two bytes a
 * record; once it is done, as few bits as its exchanges need, for a full queue holds tens of millions of records.
 */
export interface Origins {
  /** Of each record. */
  readonly bits: 1 | 2 | 4 | 8 | 16
  readonly values: Uint8Array | Uint16Array
}

export const empty: Origins = { bits: 16, values: new Uint16Array(0) }

const firstRoom = 1024

/** With these behind the first `count`. Of one that was not packed. */
export const append = ({ bits, values }: Origins, count: number, more: ReadonlyArray<number>): Origins => {
  const need = count + more.length
  let room = values
  if (values.length < need) {
    room = new Uint16Array(Math.max(firstRoom, values.length * 2, need))
    room.set(values)
  }
  room.set(more, count)
  return { bits, values: room }
}

export const at = ({ bits, values }: Origins, index: number): number => {
  if (bits === 16) return values[index] ?? 0
  const bit = index * bits
  return ((values[Math.floor(bit / 8)] ?? 0) >> (bit % 8)) & ((1 << bits) - 1)
}

/** The first `count`, for good. */
export const pack = (origins: Origins, count: number): Origins => {
  if (origins.bits !== 16) return origins
  const used = origins.values.subarray(0, count)
  let highest = 0
  for (const value of used) highest = Math.max(highest, value)
  const bits = ([1, 2, 4, 8] as const).find((few) => highest < 1 << few)
  if (bits === undefined) return { bits: 16, values: used.slice() }
  const values = new Uint8Array(Math.ceil(count * bits / 8))
  used.forEach((value, i) => {
    const bit = i * bits
    const index = Math.floor(bit / 8)
    values[index] = (values[index] ?? 0) | (value << (bit % 8))
  })
  return { bits, values }
}
