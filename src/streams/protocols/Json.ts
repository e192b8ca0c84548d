/**
 * JSON from the outside: bounded, and without a double anywhere (docs/design/laws.md "No doubles").
 *
 * One pass that builds the value and keeps each number as the text it was: `1.6e-05`, `30834.00000000000001`. It takes what `JSON.parse`
 * takes, within bounds of depth, numbers and lists.
 */
import * as Either from "effect/Either"
import * as DecodeFailure from "../DecodeFailure.ts"

/**
 * How much of a JSON document is taken.
 *
 * @since 0.1.0
 * @category options
 */
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
 *
 * @since 0.1.0
 * @category constants
 */
export const frameLimits: Limits = { size: Infinity, items: 10_000, perItem: 50 }

/**
 * A REST answer: Wallex's list of markets has about 600 KB, Binance's some 15 MB.
 *
 * @since 0.1.0
 * @category constants
 */
export const bodyLimits: Limits = { size: 32 * 1024 * 1024, items: 10_000 }

/** Bounds the recursion too. */
const maxDepth = 32

/** UTF-16 units of one number literal. A string may be as long as its document: some exchanges put JSON into one. */
const maxNumber = 64 * 1024

/**
 * Rows that are known of an earlier frame (`Repeats`): asked about the first list of a frame that has objects or lists in it.
 *
 * @since 0.1.0
 * @category options
 */
export interface Rows {
  /** Strings of rows that are read are made whole: the values outlive the frame. */
  readonly isKept: boolean
  /** The list begins, at that depth. */
  readonly begin: (depth: number) => void
  /** A row with the very text that begins there; undefined: it is to be read. */
  readonly known: (at: number) => { readonly text: string; readonly value: unknown } | undefined
  /** It was read, and had no escapes. */
  readonly read: (from: number, to: number, value: unknown) => void
  /** The list is over. */
  readonly end: (list: ReadonlyArray<unknown>) => void
}

/** One document being read. Whoever returns `undefined` has left a failure here. */
interface Reading {
  readonly text: string
  /** Its UTF-16 units, and a zero behind them, which JSON has nowhere. */
  readonly codes: Uint8Array | Uint16Array
  readonly maxItems: number
  /** Strings are made whole. */
  isWhole: boolean
  /** Until the list is there that they are asked about. */
  rows: Rows | undefined
  at: number
  depth: number
  /** A string had an escape: the keys that were read may hold a quote. */
  hasEscapes: boolean
  failure: DecodeFailure.DecodeFailure | undefined
}

const quote = 0x22
const comma = 0x2c
const minus = 0x2d
const colon = 0x3a
const backslash = 0x5c

const encoder = new TextEncoder()
const scratch = new Uint8Array(64 * 1024)

/**
 * `charCodeAt` asks at each character what kind of string it has before it: 2 ns, a third of a frame's decode. Out of an array it is a
 * quarter of that. Text that is not ASCII, as lists of markets in Persian, pays for it.
 */
const codesOf = (text: string): Uint8Array | Uint16Array => {
  const { length } = text
  const bytes = length < scratch.length ? scratch : new Uint8Array(length + 1)
  const { read, written } = encoder.encodeInto(text, bytes)
  // A character that is not ASCII takes more than one byte.
  if (read === length && written === length) {
    bytes[length] = 0
    return bytes
  }
  const units = new Uint16Array(length + 1)
  for (let i = 0; i < length; i++) units[i] = text.charCodeAt(i)
  return units
}

/** What V8 copies when it is cut out; of what is longer it makes a slice, which keeps all of its document in memory. */
const shortestSlice = 13

/**
 * False: it is surely a text of its own.
 *
 * @since 0.1.0
 * @category predicates
 */
export const mayBeSlice = (text: string): boolean => text.length >= shortestSlice

/**
 * A text of its own, of one that was perhaps cut out of a larger one: for what is kept when the larger one is gone.
 *
 * @since 0.1.0
 * @category conversions
 */
export const whole = (text: string): string =>
  mayBeSlice(text) ? [text.slice(0, shortestSlice - 1), text.slice(shortestSlice - 1)].join("") : text

const fail = (reading: Reading, reason: DecodeFailure.Reason, detail: string): undefined => {
  reading.failure ??= DecodeFailure.make(reason, detail)
  return undefined
}

const expected = (reading: Reading, what: string): undefined =>
  fail(reading, "json", `${what} expected at ${reading.at}`)

/** The next code that is no white space; it is not passed. */
const next = (reading: Reading): number => {
  const { codes } = reading
  let i = reading.at
  let code = codes[i] ?? 0
  while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = codes[++i] ?? 0
  reading.at = i
  return code
}

const cut = ({ at, isWhole, text }: Reading, from: number, end = at): string =>
  isWhole ? whole(text.slice(from, end)) : text.slice(from, end)

const string = (reading: Reading): string | undefined => {
  const { codes } = reading
  const from = reading.at + 1
  let i = from
  let code = codes[i] ?? 0
  while (code !== quote) {
    if (code === backslash) return escaped(reading)
    if (code < 0x20) return expected(reading, "the end of the string")
    code = codes[++i] ?? 0
  }
  reading.at = i + 1
  return cut(reading, from, i)
}

/** Few strings have escapes: `JSON.parse` reads those. */
const escaped = (reading: Reading): string | undefined => {
  const { at, codes, text } = reading
  let i = at + 1
  let code = codes[i] ?? 0
  while (code !== quote) {
    if (i >= text.length) return expected(reading, "the end of the string")
    code = codes[i += code === backslash ? 2 : 1] ?? 0
  }
  try {
    const value: unknown = JSON.parse(text.slice(at, i + 1))
    reading.at = i + 1
    reading.hasEscapes = true
    return String(value)
  } catch {
    return expected(reading, "a string")
  }
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39

/** Index of the first that is no digit. */
const digitsEnd = (codes: Reading["codes"], from: number): number => {
  let i = from
  while (isDigit(codes[i] ?? 0)) i++
  return i
}

const number = (reading: Reading): string | undefined => {
  const { at, codes } = reading
  const first = codes[at] === minus ? at + 1 : at
  let end = codes[first] === 0x30 ? first + 1 : digitsEnd(codes, first)
  if (end === first) return expected(reading, "a value")
  if (codes[end] === 0x2e) {
    const from = end + 1
    end = digitsEnd(codes, from)
    if (end === from) return expected(reading, "a number")
  }
  if (codes[end] === 0x65 || codes[end] === 0x45) {
    const sign = codes[end + 1]
    const from = sign === 0x2b || sign === minus ? end + 2 : end + 1
    end = digitsEnd(codes, from)
    if (end === from) return expected(reading, "a number")
  }
  if (end - at > maxNumber) return fail(reading, "too_large", `a number of ${end - at} characters`)
  reading.at = end
  return cut(reading, at)
}

const word = <A>(reading: Reading, text: string, value: A): A | undefined => {
  if (!reading.text.startsWith(text, reading.at)) return expected(reading, "a value")
  reading.at += text.length
  return value
}

/** `like`: keys of an object that this one is probably like. */
const value = (reading: Reading, like?: ReadonlyArray<string>): unknown => {
  switch (next(reading)) {
    case quote:
      return string(reading)
    case 0x7b:
      return object(reading, like)
    case 0x5b:
      return list(reading)
    case 0x74:
      return word(reading, "true", true)
    case 0x66:
      return word(reading, "false", false)
    case 0x6e:
      return word(reading, "null", null)
    default:
      return number(reading)
  }
}

/** Steps into a list or an object: true if it is to be read, false if it is empty and passed, undefined if it is too deep. */
const entered = (reading: Reading, end: number): boolean | undefined => {
  reading.depth += 1
  if (reading.depth > maxDepth) return fail(reading, "too_deep", `nested deeper than ${maxDepth}`)
  reading.at += 1
  if (next(reading) !== end) return true
  return left(reading)
}

const left = (reading: Reading): false => {
  reading.at += 1
  reading.depth -= 1
  return false
}

/** Behind the item of that number: true if another follows, false if that was the last. */
const goesOn = (reading: Reading, items: number, end: number): boolean | undefined => {
  const code = next(reading)
  if (code === end) return left(reading)
  if (code !== comma) return expected(reading, `"," or "${String.fromCharCode(end)}"`)
  if (items >= reading.maxItems) return fail(reading, "too_large", `a list of over ${reading.maxItems} items`)
  reading.at += 1
  return true
}

/** Steps over a key if it is that one, which was written without an escape: it need not be made anew. */
const isNextKey = (reading: Reading, key: string): boolean => {
  const { codes } = reading
  const from = reading.at + 1
  const { length } = key
  for (let i = 0; i < length; i++) if (codes[from + i] !== key.charCodeAt(i)) return false
  if (codes[from + length] !== quote) return false
  reading.at = from + length + 1
  return true
}

const object = (reading: Reading, like: ReadonlyArray<string> | undefined): object | undefined => {
  const made: Record<string, unknown> = {}
  let more = entered(reading, 0x7d)
  for (let items = 1; more === true; items++) {
    if (next(reading) !== quote) return expected(reading, "a key")
    const guess = like?.[items - 1]
    const key = guess !== undefined && isNextKey(reading, guess) ? guess : string(reading)
    if (key === undefined) return undefined
    if (next(reading) !== colon) return expected(reading, `":"`)
    reading.at += 1
    const member = value(reading)
    if (member === undefined) return undefined
    // An assignment would set the prototype.
    if (key === "__proto__") {
      Object.defineProperty(made, key, { value: member, configurable: true, enumerable: true, writable: true })
    } else made[key] = member
    more = goesOn(reading, items, 0x7d)
  }
  return more === undefined ? undefined : made
}

const isRow = (code: number): boolean => code === 0x7b || code === 0x5b

const list = (reading: Reading): ReadonlyArray<unknown> | undefined => {
  const made: Array<unknown> = []
  /** Rows of a list have the same keys in the same order: the first one's. */
  let like: ReadonlyArray<string> | undefined
  let more = entered(reading, 0x5d)
  const rows = more === true && isRow(reading.codes[reading.at] ?? 0) ? reading.rows : undefined
  if (rows !== undefined) {
    reading.rows = undefined
    rows.begin(reading.depth)
  }
  for (let items = 1; more === true; items++) {
    const item = rows === undefined ? value(reading, like) : row(reading, rows, like)
    if (item === undefined) return undefined
    if (items === 1 && typeof item === "object" && item !== null && !reading.hasEscapes) like = Object.keys(item)
    made.push(item)
    more = goesOn(reading, items, 0x5d)
  }
  if (more === undefined) return undefined
  rows?.end(made)
  return made
}

const row = (reading: Reading, rows: Rows, like: ReadonlyArray<string> | undefined): unknown => {
  const from = isRow(next(reading)) ? reading.at : undefined
  if (from === undefined) return value(reading, like)
  const known = rows.known(from)
  if (known !== undefined) {
    reading.at = from + known.text.length
    return known.value
  }
  const { hasEscapes, isWhole } = reading
  reading.hasEscapes = false
  reading.isWhole ||= rows.isKept
  const made = value(reading, like)
  if (made !== undefined && !reading.hasEscapes) rows.read(from, reading.at, made)
  reading.isWhole = isWhole
  reading.hasEscapes ||= hasEscapes
  return made
}

const read = (
  text: string,
  { items, perItem = Infinity, size }: Limits,
  isWhole: boolean,
  rows?: Rows
): Either.Either<unknown, DecodeFailure.DecodeFailure> => {
  if (text.length > size) return Either.left(DecodeFailure.make("too_large", `${text.length} characters`))
  const maxItems = Math.max(items, Math.floor(text.length / perItem))
  const reading: Reading = {
    text,
    codes: codesOf(text),
    maxItems,
    isWhole,
    rows,
    at: 0,
    depth: 0,
    hasEscapes: false,
    failure: undefined
  }
  const made = value(reading)
  if (made !== undefined) {
    next(reading)
    if (reading.at < text.length) expected(reading, "the end")
  }
  return reading.failure === undefined ? Either.right(made) : Either.left(reading.failure)
}

/**
 * Total: never throws. Numbers arrive as strings.
 *
 * @since 0.1.0
 * @category conversions
 */
export const parse = (
  text: string,
  limits: Limits = frameLimits
): Either.Either<unknown, DecodeFailure.DecodeFailure> => read(text, limits, true)

/**
 * The same of a WebSocket frame, for `Protocol.decode`: its longer strings may be slices of it. The feed makes whole what it keeps
 * (`whole`); whoever keeps something else has to do so too, or keeps the frame. `rows`: those that are known of an earlier frame.
 *
 * @since 0.1.0
 * @category conversions
 */
export const parseFrame = (text: string, rows?: Rows): Either.Either<unknown, DecodeFailure.DecodeFailure> =>
  read(text, frameLimits, false, rows)
