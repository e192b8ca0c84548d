/**
 * Exact decimal text: prices and amounts never pass through a double (docs/design/laws.md "No doubles").
 *
 * A canonical decimal has no exponent, no leading `+`, no leading or trailing zeros: `"0.0108687"`, `"11379465211"`, `"0"`.
 * Everything here is a pure function of text; `undefined` means "not a decimal we accept".
 */
import * as Schema from "effect/Schema"

/** Digits accepted on each side of the point, after an exponent has been expanded (docs/design/platform.md "JSON and numbers"). */
const maxDigits = 30

const canonicalPattern = /^-?(?:0|[1-9]\d{0,29})(?:\.\d{0,29}[1-9])?$/

/**
 * A decimal as events carry it: exact, canonical.
 *
 * @since 0.1.0
 * @category models
 */
export const DecimalString: Schema.Schema<string> = Schema.String.pipe(Schema.pattern(canonicalPattern))

const literal = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/

const render = (negative: boolean, whole: string, fraction: string): string | undefined => {
  const int = whole.replace(/^0+(?=\d)/, "")
  const frac = fraction.replace(/0+$/, "")
  if (int.length > maxDigits || frac.length > maxDigits) return undefined
  const text = frac === "" ? int : `${int}.${frac}`
  return negative && text !== "0" ? `-${text}` : text
}

const point = 0x2e
const zero = 0x30
const nine = 0x39

/** Nearly every decimal: digits, or digits with a point between them. Of all else undefined, which says nothing. */
const plain = (text: string): string | undefined => {
  const { length } = text
  let wholeEnd = length
  /** Behind the last digit of the fraction that is no zero. */
  let end = 0
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code === point && wholeEnd === length) wholeEnd = i
    else if (code < zero || code > nine) return undefined
    else if (code !== zero && i > wholeEnd) end = i + 1
  }
  if (wholeEnd === 0) return undefined
  let from = 0
  while (from < wholeEnd - 1 && text.charCodeAt(from) === zero) from++
  if (end === 0) end = wholeEnd
  if (wholeEnd - from > maxDigits || end - wholeEnd - 1 > maxDigits) return undefined
  return from === 0 && end === length ? text : text.slice(from, end)
}

/**
 * Canonical form of a decimal or JSON number literal, digits exact as received.
 *
 * `"6.400000"` gives `"6.4"`, `1.6e-05` gives `"0.000016"`; `"Infinity"`, `"0x10"`, `""` and absurdly long numbers give `undefined`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const canonical = (text: string): string | undefined => {
  if (text.length > 128) return undefined
  const scanned = plain(text)
  if (scanned !== undefined) return scanned
  const match = literal.exec(text)
  if (match === null) return undefined
  const [, sign, whole = "", fraction = "", exponent] = match
  if (exponent === undefined) return render(sign === "-", whole, fraction)
  const shift = Number(exponent)
  if (Math.abs(shift) > maxDigits * 2) return undefined
  const point = whole.length + shift
  const digits = whole + fraction
  if (point <= 0) return render(sign === "-", "0", "0".repeat(-point) + digits)
  if (point >= digits.length) return render(sign === "-", digits + "0".repeat(point - digits.length), "")
  return render(sign === "-", digits.slice(0, point), digits.slice(point))
}

/**
 * True for canonical decimals above zero: what a price or an amount has to be.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isPositive = (decimal: string): boolean => decimal !== "0" && !decimal.startsWith("-")

/**
 * A canonical decimal times ten to the power of `places`, exactly: -1 makes Toman of Rial. Undefined beyond 30 digits.
 *
 * @since 0.1.0
 * @category combinators
 */
export const shift = (decimal: string, places: number): string | undefined =>
  places === 0 ? decimal : canonical(`${decimal}e${places}`)

const wholeDigits = (text: string): number => {
  const at = text.indexOf(".")
  return at === -1 ? text.length : at
}

/**
 * Below zero if `a` is the smaller, above if it is the larger, zero of equal ones. Both must be canonical and not negative.
 *
 * @since 0.1.0
 * @category accessors
 */
export const compare = (a: string, b: string): number => {
  if (a === b) return 0
  const digits = wholeDigits(a) - wholeDigits(b)
  // As many digits before the point: digit by digit. A text that goes on where the other ends has the longer fraction.
  return digits === 0 ? (a < b ? -1 : 1) : digits
}

const scaled = (decimal: string): readonly [digits: bigint, scale: number] => {
  const [whole = "0", fraction = ""] = decimal.split(".")
  return [BigInt(whole + fraction), fraction.length]
}

/**
 * `numerator / denominator` to 18 decimals, half to even, zeros stripped: BitPin's tiny trades come with `base_amount "0.00"`
 * and their amount is `quote_amount / price` (docs/design/exchanges/bitpin.md "Tiny trades"). Both must be canonical and the denominator above zero.
 *
 * @since 0.1.0
 * @category combinators
 */
export const divide = (numerator: string, denominator: string): string | undefined => {
  if (!isPositive(denominator)) return undefined
  const [n, ns] = scaled(numerator)
  const [d, ds] = scaled(denominator)
  const top = n * 10n ** BigInt(18 + ds)
  const bottom = d * 10n ** BigInt(ns)
  const negative = top < 0n
  const magnitude = negative ? -top : top
  const quotient = magnitude / bottom
  const twice = (magnitude % bottom) * 2n
  const rounded = twice > bottom || (twice === bottom && quotient % 2n === 1n) ? quotient + 1n : quotient
  const text = rounded.toString().padStart(19, "0")
  return render(negative, text.slice(0, -18), text.slice(-18))
}
