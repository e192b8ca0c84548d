/**
 * What exchanges' fields have in common. Numbers arrive as text (`Json.ts`), so a field that is a string on one channel and a number
 * on another is one and the same here.
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { canonical, isPositive } from "../../services/Decimal.ts"
import * as ExchangeTime from "../../services/ExchangeTime.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { TradeRow } from "../Exchange.ts"
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

/** A price or an amount: canonical, above zero. */
export const positive = (name: string, text: string): Result<string> => {
  const decimal = canonical(text)
  return decimal !== undefined && isPositive(decimal)
    ? Either.right(decimal)
    : Either.left(DecodeFailure.make("number", `${name}: ${text}`))
}

const secondsPattern = /^(\d{1,12})(?:\.(\d+))?$/

/** Epoch seconds with a fraction. */
export const epochSeconds = (text: string): ExchangeTime.ExchangeTime | undefined => {
  // An exponent is allowed by JSON, if by nobody's clock.
  const match = secondsPattern.exec(text.includes("e") || text.includes("E") ? canonical(text) ?? "" : text)
  if (match === null) return undefined
  const [, whole = "", fraction = ""] = match
  return ExchangeTime.make(Number(whole), fraction)
}

const isoPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,30}))?(Z|[+-]\d\d:\d\d)$/

/** ISO-8601 with a zone. */
export const isoTime = (text: string): ExchangeTime.ExchangeTime | undefined => {
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
