/**
 * What exchanges' fields have in common. Numbers arrive as text (`Json.ts`), so a field that is a string on one channel and a number
 * on another is one and the same here.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { canonical, isPositive } from "../../services/Decimal.ts"
import * as ExchangeTime from "../../services/ExchangeTime.ts"
import type { Side } from "../../services/MarketEvent.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Level, TradeRow } from "../Exchange.ts"
import * as Shape from "./Shape.ts"

type Result<A> = Either.Either<A, DecodeFailure.DecodeFailure>

/** Compiled once; never throws, as `Json.parse` bounds the depth. */
export const decoder = <A, I>(schema: Schema.Schema<A, I>): (input: unknown) => Result<A> => {
  const decode = Schema.decodeUnknownEither(schema)
  return (input) =>
    Either.mapLeft(
      decode(input),
      (error) => DecodeFailure.make("schema", ParseResult.TreeFormatter.formatErrorSync(error))
    )
}

/**
 * As `decoder`, for what comes by the thousand. A well-formed value (`Shape`) is answered as it is, with whatever other fields it has:
 * its fields are to be read by their names, not copied as a whole.
 */
export const rowDecoder = <A, I>(schema: Schema.Schema<A, I>): (input: unknown) => Result<A> => {
  const isWellFormed = Shape.check(schema)
  const judge = decoder(schema)
  return (input) => isWellFormed(input) ? Either.right(input) : judge(input)
}

const failed = (reason: DecodeFailure.Reason, field: PropertyKey, text: string): Result<never> =>
  Either.left(DecodeFailure.make(reason, `${String(field)}: ${text}`))

/** Canonical, above zero; else undefined. */
const positiveDecimal = (text: string): string | undefined => {
  const decimal = canonical(text)
  return decimal !== undefined && isPositive(decimal) ? decimal : undefined
}

/** A price or an amount: canonical, above zero. */
export const positive = (name: string, text: string): Result<string> => {
  const decimal = positiveDecimal(text)
  return decimal === undefined ? failed("number", name, text) : Either.right(decimal)
}

/**
 * A side of a book, or what changes of it, with levels of amount zero; what a row has behind its amount is left out. A price is above zero, an
 * amount is not below. One that is none spoils all of it: a book without a level that is there is not true.
 */
export const levels = (
  name: string,
  rows: Iterable<readonly [price: string, amount: string, ...others: ReadonlyArray<unknown>]>
): Result<ReadonlyArray<Level>> => {
  const side: Array<Level> = []
  for (const [price, amount] of rows) {
    const canonicalPrice = positiveDecimal(price)
    if (canonicalPrice === undefined) return failed("number", `${name} price`, price)
    const canonicalAmount = canonical(amount)
    if (canonicalAmount === undefined || canonicalAmount.startsWith("-")) {
      return failed("number", `${name} amount`, amount)
    }
    side.push([canonicalPrice, canonicalAmount])
  }
  return Either.right(side)
}

/** Names of the fields that are text; where a row is a list, their places: `"0"`. */
type Texts<Row> = keyof { [Field in keyof Row as Row[Field] extends string ? Field : never]: unknown }

/** Which fields of a row make a trade of it. */
export interface TradeFields<Row> {
  /** Left out where trades have no ids. */
  readonly id?: Texts<Row> | undefined
  readonly price: Texts<Row>
  readonly amount: Texts<Row>
  /** The taker's. */
  readonly side: (row: Row) => Side
  /** How it is read: `isoTime`, `epochSeconds`, `epochMillis`. A row without a time that can be read is refused. */
  readonly time: readonly [field: Texts<Row>, read: (text: string) => ExchangeTime.ExchangeTime | undefined]
}

/**
 * Rows of trades that need nothing else: each price canonical and above zero, each amount canonical (zero is the feed's to leave out), the
 * time with all its digits.
 */
export const tradeDecoder = <Row, I>(
  schema: Schema.Schema<Row, I>,
  fields: TradeFields<Row>
): (input: unknown) => Result<TradeRow> => {
  const decode = rowDecoder(schema)
  const [timeField, readTime] = fields.time
  return (input) => {
    const decoded = decode(input)
    if (Either.isLeft(decoded)) return Either.left(decoded.left)
    const row = decoded.right
    const text = (field: Texts<Row>): string => String(row[field])
    const price = positiveDecimal(text(fields.price))
    if (price === undefined) return failed("number", fields.price, text(fields.price))
    const amount = canonical(text(fields.amount))
    if (amount === undefined || amount.startsWith("-")) return failed("number", fields.amount, text(fields.amount))
    const time = readTime(text(timeField))
    if (time === undefined) return failed("time", timeField, text(timeField))
    const id = fields.id === undefined ? undefined : text(fields.id)
    return Either.right({ id, price, amount, side: fields.side(row), ...time })
  }
}

/** The digit at an index of a text; NaN if there is none. */
const digit = (text: string, at: number): number => {
  const value = text.charCodeAt(at) - 0x30
  return value >= 0 && value <= 9 ? value : NaN
}

/** Index of the first that is no digit. */
const digitsEnd = (text: string, from: number): number => {
  let i = from
  while (digit(text, i) >= 0) i++
  return i
}

/** Digits of whole epoch seconds; the year 9999 has as many. */
const maxSecondsDigits = 12

/** Epoch seconds with a fraction. */
export const epochSeconds = (text: string): ExchangeTime.ExchangeTime | undefined => {
  const { length } = text
  const whole = digitsEnd(text, 0)
  if (whole === length || (text[whole] === "." && digitsEnd(text, whole + 1) === length && whole + 1 < length)) {
    if (whole === 0 || whole > maxSecondsDigits) return undefined
    return ExchangeTime.make(Number(text.slice(0, whole)), text.slice(whole + 1))
  }
  // An exponent is allowed by JSON, if by nobody's clock.
  const plain = text.includes("e") || text.includes("E") ? canonical(text) : undefined
  return plain === undefined ? undefined : epochSeconds(plain)
}

/** Whole epoch milliseconds. */
export const epochMillis = (text: string): ExchangeTime.ExchangeTime | undefined =>
  text === "" || text.length > maxSecondsDigits + 3 || digitsEnd(text, 0) !== text.length
    ? undefined
    : ExchangeTime.make(Number(text.slice(0, -3)), text.slice(-3).padStart(3, "0"))

const isoPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,30}))?(Z|[+-]\d\d:\d\d)$/

const twoDigits = (text: string, at: number): number => digit(text, at) * 10 + digit(text, at + 1)

/** Without the leap day: it goes the long way. */
const daysOf = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Nearly every time: UTC, and no leap day. Of all else undefined, which says nothing. */
const utcTime = (text: string): ExchangeTime.ExchangeTime | undefined => {
  const last = text.length - 1
  if (text[last] !== "Z" || text[4] !== "-" || text[7] !== "-" || text[10] !== "T") return undefined
  if (text[13] !== ":" || text[16] !== ":") return undefined
  if (last !== 19 && (text[19] !== "." || last < 21 || last > 50 || digitsEnd(text, 20) !== last)) return undefined
  const [year, month, day] = [twoDigits(text, 0) * 100 + twoDigits(text, 2), twoDigits(text, 5), twoDigits(text, 8)]
  const [hour, minute, second] = [twoDigits(text, 11), twoDigits(text, 14), twoDigits(text, 17)]
  if (!(year >= 1970 && day >= 1 && day <= (daysOf[month - 1] ?? 0))) return undefined
  if (!(hour <= 23 && minute <= 59 && second <= 59)) return undefined
  return ExchangeTime.make(Date.UTC(year, month - 1, day, hour, minute, second) / 1000, text.slice(20, last))
}

/** ISO-8601 with a zone. */
export const isoTime = (text: string): ExchangeTime.ExchangeTime | undefined => utcTime(text) ?? anyTime(text)

const anyTime = (text: string): ExchangeTime.ExchangeTime | undefined => {
  const match = isoPattern.exec(text)
  if (match === null) return undefined
  const [, whole = "", fraction = "", zone = ""] = match
  // A day or an hour that does not exist is NaN, and NaN is in no range.
  return ExchangeTime.make(Date.parse(whole + zone) / 1000, fraction)
}

/** History comes newest first from all we know; the rows' own times decide where they can. */
export const newestLast = (
  rows: ReadonlyArray<Either.Either<TradeRow, DecodeFailure.DecodeFailure>>
): ReadonlyArray<Either.Either<TradeRow, DecodeFailure.DecodeFailure>> => {
  const times = rows.flatMap((row) => Either.isRight(row) && row.right.timestamp !== null ? [row.right.timestamp] : [])
  return (times[0] ?? 0) < (times.at(-1) ?? 0) ? rows : [...rows].reverse()
}
