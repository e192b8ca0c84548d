/**
 * Times as the exchanges give them: ISO-8601 in UTC with 3, 6 or 9 decimals, such as `2026-06-11T12:59:45.263627Z`. All digits are
 * kept as text: a double holds seven decimals of today's epoch seconds at most, and a `Date` three.
 */
import * as Iso from "./Iso.ts"

/**
 * A time of an exchange's, with all the digits that it gave.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExchangeTime {
  /** Epoch ms; digits below are cut off. */
  readonly timestamp: number
  /** The whole time as text, where it has more digits than `timestamp`. */
  readonly time?: string | undefined
}

/** Decimals that are kept; what an exchange gives beyond is cut off. */
const maxDecimals = 9

const isDigits = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x30 || code > 0x39) return false
  }
  return true
}

/** Three digits that may be followed by others, or be cut short. */
const millisOf = (fraction: string): number => {
  let millis = 0
  for (let i = 0; i < 3; i++) millis = millis * 10 + (i < fraction.length ? fraction.charCodeAt(i) - 0x30 : 0)
  return millis
}

const filled = (fraction: string): string => {
  const { length } = fraction
  return length === 6 || length === maxDecimals
    ? fraction
    : fraction.slice(0, maxDecimals).padEnd(length <= 6 ? 6 : maxDecimals, "0")
}

/**
 * `seconds`: whole epoch seconds. `fraction`: the decimals as given, of any number, none too. They are filled up to 3, 6 or 9.
 * Undefined beyond the years 1970 to 9999, and if the decimals are no digits.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (seconds: number, fraction: string): ExchangeTime | undefined => {
  const timestamp = seconds * 1000 + millisOf(fraction)
  if (!isDigits(fraction) || !(timestamp >= 0 && timestamp <= Iso.maxTime)) return undefined
  if (fraction.length <= 3) return { timestamp }
  return { timestamp, time: `${Iso.ofSecond(Math.floor(timestamp / 1000))}${filled(fraction)}Z` }
}

/**
 * The text of it; null where the exchange gave no time.
 *
 * @since 0.1.0
 * @category conversions
 */
export const timeOf = (
  { time, timestamp }: { readonly timestamp: number | null; readonly time?: string | undefined }
): string | null => time ?? (timestamp === null ? null : Iso.ofMillis(timestamp))

/** Length of `2026-06-11T12:59:45.` */
const toSecond = 20

/** The second asked for last, which most of the next share: `Date.parse` of each was a third of what the checkpoint took. */
let known = { second: "", ms: NaN }

const parsed = (time: string): number => Date.parse(`${time.slice(0, toSecond + 3)}Z`)

/**
 * Epoch ms of such a text, digits below the millisecond cut off. NaN of any other text.
 *
 * @since 0.1.0
 * @category conversions
 */
export const epochMsOf = (time: string): number => {
  const millis = time.slice(toSecond, toSecond + 3)
  if (time[toSecond - 1] !== "." || millis.length < 3 || !isDigits(millis)) return parsed(time)
  if (known.second === "" || !time.startsWith(known.second)) {
    const second = time.slice(0, toSecond)
    known = { second, ms: parsed(`${second}000`) }
  }
  return known.ms + millisOf(millis)
}

/** `2026-06-11T12:59:45.` and nine decimals. */
const fullLength = toSecond + maxDecimals

/**
 * Which of two such texts is the earlier: below zero if `a` is, above if `b` is. Zero for one time in different digits: as texts they
 * would differ, and `...45.263Z` would come after `...45.263627Z`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const compare = (a: string, b: string): number => {
  const areAlike = a.length === b.length
  const left = areAlike ? a : a.slice(0, -1).padEnd(fullLength, "0")
  const right = areAlike ? b : b.slice(0, -1).padEnd(fullLength, "0")
  return left < right ? -1 : left > right ? 1 : 0
}
