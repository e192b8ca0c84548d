/** What of an answer of the history has become trades, for who records it (`RestAnswer`): played again, it becomes the same. */
import * as Either from "effect/Either"
import type { TradeRow } from "../Exchange.ts"
import type { RestAnswer } from "../Recorder.ts"

/**
 * `value`: the answer. `candidates`: rows of it that were looked at; `identified`: those that had not been seen before, perhaps with another
 * unit of price. Equal trades without ids are counted: of those all candidates are needed, and what was known of their groups.
 */
export const taken = (
  value: ReadonlyArray<Either.Either<TradeRow, unknown>>,
  candidates: ReadonlyArray<TradeRow>,
  identified: ReadonlyArray<{ readonly row: TradeRow }>,
  known: ReadonlyArray<string>
): Pick<RestAnswer, "rows" | "known"> => {
  const ids = new Set(identified.map(({ row }) => row.id))
  const wanted = new Set(candidates.filter(({ id }) => id === undefined || ids.has(id)))
  const rows = value.flatMap((row, i) => Either.isRight(row) && wanted.has(row.right) ? [i] : [])
  return candidates.some(({ id }) => id === undefined) && known.length > 0 ? { rows, known } : { rows }
}
