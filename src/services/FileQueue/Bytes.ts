/**
 * Numbers in bytes, little-endian. Sequence numbers and times stay below 2^53, so no bigint is needed.
 */
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
