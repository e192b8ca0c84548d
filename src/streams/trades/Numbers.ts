/**
 * Trade ids that are whole numbers and count up (`Exchange.tradeIds`): which numbers a row stands for, and which of them an answer of the
 * history proves. Plain functions of plain data.
 */
import type { TradeRow } from "../Exchange.ts"

/** The ids that one row stands for, both ends included. */
export interface Range {
  readonly first: bigint
  readonly last: bigint
}

/** How an exchange's history comes in pages (`Exchange.Pages`). */
export interface Paging {
  readonly size: number
  readonly holds: "oldest" | "newest"
  readonly empty?: "end" | undefined
}

/** A question for the page above a trade. */
export interface Question {
  /** All up to that id is known. */
  readonly above: bigint
  /** Its time; null where that is not known. */
  readonly at: { readonly ms: number; readonly text: string } | null
  /** Ids that it asks for, beginning behind `above`: see `Exchange.Pages.path`. */
  readonly reach: number
  /** So many of them, from the lowest, earlier pages did not have. */
  readonly passed: number
}

/** What an answer says of ids: all trades above `after` up to `upTo` that the history has. */
export interface Coverage {
  readonly after: bigint
  readonly upTo: bigint
}

const pattern = /^\d{1,30}$/

/** Undefined: the id is no number. */
export const numberOf = (id: string): bigint | undefined => pattern.test(id) ? BigInt(id) : undefined

/** Undefined: the row has no number for an id. */
export const rangeOf = ({ first, id }: Pick<TradeRow, "first" | "id">): Range | undefined => {
  const last = id === undefined ? undefined : numberOf(id)
  if (last === undefined) return undefined
  const begin = first === undefined ? last : numberOf(first) ?? last
  return { first: begin < last ? begin : last, last }
}

/**
 * What the rows of an answer, lowest first, say. `asked`: the page that they are; null: they are the market's last trades. Null: they say
 * nothing.
 */
export const coverageOf = (
  rows: ReadonlyArray<Range>,
  asked: Question | null,
  paging: Paging | undefined
): Coverage | null => {
  const [first] = rows
  const last = rows.at(-1)
  if (first === undefined || last === undefined) return null
  const begin = first.first - 1n
  if (asked === null || paging === undefined) return { after: begin, upTo: last.last }
  // A page that holds the trade too, unless the history has lost it: one that begins further up says nothing of what is between.
  const isContinuous = paging.empty === "end" || begin <= asked.above + BigInt(asked.passed)
  return { after: isContinuous && asked.above < begin ? asked.above : begin, upTo: last.last }
}

/** The history has nothing behind what this answer says: below a ceiling by the next number, which would be there. */
export const isEnd = (
  coverage: Coverage | null,
  count: number,
  asked: Question | null,
  paging: Paging | undefined
): boolean => {
  if (asked === null || paging === undefined) return coverage !== null
  if (coverage === null) return count === 0 && paging.empty === "end"
  if (paging.holds === "oldest") return count < paging.size
  return coverage.upTo < asked.above + BigInt(asked.reach)
}

/**
 * The next question for the same trade, after a page that brought nothing above it; null: it is to be asked the same again, later.
 * `next`: the number of a trade known to be behind.
 */
export const further = (
  asked: Question,
  coverage: Coverage | null,
  next: bigint | null,
  { holds, size }: Paging
): Question | null => {
  if (holds === "oldest" || coverage === null) return null
  // It began further up than what earlier pages did not have.
  if (coverage.after > asked.above) {
    const reach = asked.passed + size
    // Where that is no nearer, its lowest rows were not understood: the same page at once would say the same.
    return reach < asked.reach ? { ...asked, reach } : null
  }
  if (next === null || asked.above + BigInt(asked.reach) >= next) return null
  return { ...asked, passed: asked.reach, reach: asked.reach * 2 }
}
