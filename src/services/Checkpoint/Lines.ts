/** Lines of a file that only grows: each begins with the CRC-32 of the rest, so that one which a crash cut off is not taken for whole. */

type Crc32 = (data: Uint8Array, seed: number) => number

const newline = 0x0a

/** Eight hexadecimal digits and a blank. */
const headLength = 9

/**
 * A line of UTF-8 with its checksum before it and a line break behind. `text` has no line break.
 *
 * @since 0.1.0
 * @category conversions
 */
export const print = (crc32: Crc32, text: string): Uint8Array => {
  const body = new TextEncoder().encode(text)
  const head = new TextEncoder().encode(`${crc32(body, 0).toString(16).padStart(8, "0")} `)
  const line = new Uint8Array(head.length + body.length + 1)
  line.set(head)
  line.set(body, head.length)
  line[line.length - 1] = newline
  return line
}

/**
 * `damaged`: how many lines are not as they were written. The last line of the file is not among them: it may be one that a crash cut
 * off, of which nobody was told that it is durable. Texts are without checksum and line break.
 *
 * @since 0.1.0
 * @category conversions
 */
export const parse = (
  crc32: Crc32,
  bytes: Uint8Array
): { readonly texts: ReadonlyArray<string>; readonly damaged: number } => {
  const decoder = new TextDecoder()
  const texts: Array<string> = []
  let damaged = 0
  let start = 0
  while (start < bytes.length) {
    const found = bytes.indexOf(newline, start)
    const end = found === -1 ? bytes.length : found
    const head = decoder.decode(bytes.subarray(start, Math.min(start + headLength, end)))
    const body = bytes.subarray(Math.min(start + headLength, end), end)
    const isLast = end + 1 >= bytes.length
    if (found !== -1 && /^[0-9a-f]{8} $/.test(head) && Number.parseInt(head, 16) === crc32(body, 0)) {
      texts.push(decoder.decode(body))
    } else if (!isLast) damaged += 1
    start = end + 1
  }
  return { texts, damaged }
}
