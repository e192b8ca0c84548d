/** Levels of order books, as exchanges give them: rows of price, amount, and whatever else. */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { canonical, isPositive } from "../../services/Decimal.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Level } from "../Exchange.ts"

/** One side, with numbers as text (`Json.ts`). */
export const Side = Schema.Array(Schema.Tuple([Schema.String, Schema.String], Schema.Unknown))

/**
 * One side of a whole picture. A level that is none spoils it: without that level the book would not be true. One without an amount is no
 * level, and left out.
 */
export const whole = (
  name: string,
  rows: typeof Side.Type
): Either.Either<ReadonlyArray<Level>, DecodeFailure.DecodeFailure> => {
  const levels: Array<Level> = []
  for (const row of rows) {
    const [price, amount] = [canonical(row[0]), canonical(row[1])]
    if (price === undefined || amount === undefined || !isPositive(price) || amount.startsWith("-")) {
      return Either.left(DecodeFailure.make("number", `${name}: ${row[0]} x ${row[1]}`))
    }
    if (amount !== "0") levels.push([price, amount])
  }
  return Either.right(levels)
}
