/**
 * `Json.ts` as it was before it read in one pass (commit 35b1f01), unchanged: what today's must agree with.
 *
 * JSON from the outside: bounded, and without a double anywhere (docs/design/laws.md "No doubles").
 *
 * One linear scan ahead of `JSON.parse` bounds nesting, strings and lists, and puts number literals in quotes, so that
 * `1.6e-05` or `30834.00000000000001` arrive as the text they were. `JSON.parse` stays the judge of what is JSON.
 */
import * as Either from "effect/Either"
import * as DecodeFailure from "../../src/streams/DecodeFailure.ts"

export interface Limits {
  /** UTF-16 units of the whole document. */
  readonly size: number
  /** Items of one list. */
  readonly items: number
  /** A long document may have more of them in a list: one for each so many of its UTF-16 units. */
  readonly perItem?: number | undefined
}

/**
 * A WebSocket frame. How large it may be is the socket's business alone (`WS_MAX_PAYLOAD`): a frame that it took and that was refused
 * here would be trades lost untold. So a list has room for as many rows as may stand in the frame; a trade takes over 50 characters.
 */
export const frameLimits: Limits = { size: Infinity, items: 10_000, perItem: 50 }

/** A REST answer: Wallex's list of markets has about 600 KB, Binance's some 15 MB. */
export const bodyLimits: Limits = { size: 32 * 1024 * 1024, items: 10_000 }

const maxDepth = 32

/** UTF-16 units of one number literal. A string may be as long as its document: some exchanges put JSON into one. */
const maxNumber = 64 * 1024

const quote = 34
const comma = 44
const minus = 45
const zero = 48
const nine = 57
const backslash = 92

const isDigit = (code: number): boolean => code >= zero && code <= nine

/** End of the number literal at `start` by JSON's grammar; `start` if there is none. */
const numberEnd = (text: string, start: number): number => {
  let i = start
  if (text.charCodeAt(i) === minus) i++
  if (!isDigit(text.charCodeAt(i))) return start
  if (text.charCodeAt(i) === zero) i++
  else while (isDigit(text.charCodeAt(i))) i++
  if (text[i] === "." && isDigit(text.charCodeAt(i + 1))) {
    i += 2
    while (isDigit(text.charCodeAt(i))) i++
  }
  if (text[i] === "e" || text[i] === "E") {
    let j = i + 1
    if (text[j] === "+" || text[j] === "-") j++
    if (isDigit(text.charCodeAt(j))) {
      while (isDigit(text.charCodeAt(j))) j++
      i = j
    }
  }
  return i
}

/** Index of the quote that closes the string opened at `start`, -1 if none. */
const stringEnd = (text: string, start: number): number => {
  let end = text.indexOf("\"", start + 1)
  while (end !== -1) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === backslash) slashes++
    if (slashes % 2 === 0) return end
    end = text.indexOf("\"", end + 1)
  }
  return -1
}

/** `JSON.parse` turns `{"1":2}` and, with its number quoted, `{1:2}` alike into an object: the latter must stay an error. */
const isKey = (text: string, end: number): boolean => {
  let i = end
  while (text[i] === " " || text[i] === "\t" || text[i] === "\n" || text[i] === "\r") i++
  return text[i] === ":"
}

type Result<A> = Either.Either<A, DecodeFailure.DecodeFailure>

const fail = (reason: DecodeFailure.Reason, detail: string): Result<never> =>
  Either.left(DecodeFailure.make(reason, detail))

/** The document with its number literals in quotes. */
const quoteNumbers = (text: string, { items: most, perItem = Infinity }: Limits): Result<string> => {
  const maxItems = Math.max(most, Math.floor(text.length / perItem))
  let out = ""
  let copied = 0
  let depth = 0
  const items: Array<number> = []
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === quote) {
      const end = stringEnd(text, i)
      if (end === -1) return fail("json", "a string does not end")
      i = end
    } else if (code === comma) {
      const count = (items[depth] ?? 0) + 1
      if (count >= maxItems) return fail("too_large", `a list of over ${maxItems} items`)
      items[depth] = count
    } else if (code === 0x5b || code === 0x7b) {
      depth++
      if (depth > maxDepth) return fail("too_deep", `nested deeper than ${maxDepth}`)
      items[depth] = 0
    } else if (code === 0x5d || code === 0x7d) {
      depth--
    } else if (isDigit(code) || code === minus) {
      const end = numberEnd(text, i)
      // No number: left as it is, for JSON.parse to refuse.
      if (end === i) continue
      if (isKey(text, end)) return fail("json", "a number as a key")
      if (end - i > maxNumber) return fail("too_large", `a number of ${end - i} characters`)
      out += `${text.slice(copied, i)}"${text.slice(i, end)}"`
      copied = end
      i = end - 1
    }
  }
  return Either.right(copied === 0 ? text : out + text.slice(copied))
}

/** Total: never throws. Numbers arrive as strings. */
export const parse = (text: string, limits: Limits = frameLimits): Result<unknown> => {
  if (text.length > limits.size) return fail("too_large", `${text.length} characters`)
  const quoted = quoteNumbers(text, limits)
  if (Either.isLeft(quoted)) return Either.left(quoted.left)
  try {
    return Either.right(JSON.parse(quoted.right))
  } catch (error) {
    return fail("json", error instanceof Error ? error.message : "not JSON")
  }
}
