/** Whether a part of a book follows from what is known. */
import type { BookPart, Link } from "../../Exchange.ts"

/** Of one market, in the canonical unit. A whole side is in order, best first (`Levels.sideOf`); changes are as the frame has them. */
export type Part = Omit<BookPart, "_tag" | "exchangeSymbol">

type Numbered = Pick<BookPart, "previous" | "sequence">

/** `follows`: nothing is missing between. `old`: it says nothing that is not known. `missing`: something between was not heard. */
export type Verdict = "follows" | "old" | "missing"

/**
 * Of a change. `ours`: the number that the book has. By `exact` none is old, however low its number: after the exchange began to count anew
 * numbers are lower than ours, and one that does not follow says that the beginning was missed.
 */
export const judge = (link: Link, ours: bigint | undefined, { previous, sequence }: Numbered): Verdict => {
  switch (link) {
    case "exact":
      return previous !== undefined && previous === ours ? "follows" : "missing"
    case "overlap":
      if (previous === undefined || sequence === undefined || ours === undefined) return "missing"
      return sequence <= ours ? "old" : previous <= ours ? "follows" : "missing"
    // Who numbers the connection's frames tells of a hole by itself, and a checksum is judged when the part was applied.
    case "counted":
    case "none":
      return "follows"
    case "replaced":
      return "missing"
  }
}

/**
 * Which of the changes that wait for a picture come after it: those from that place on; undefined if the first of them does not begin where
 * the picture ends, or before: then the picture is too old. They follow one another.
 *
 * The first one that is left straddles the picture where the exchange joins changes: none need begin at its number, nor hold it.
 */
export const bridge = (picture: bigint, waiting: ReadonlyArray<Numbered>): number | undefined => {
  let first = 0
  while (isKnown(waiting[first], picture)) first += 1
  const next = waiting[first]
  return next === undefined || (next.previous !== undefined && next.previous <= picture) ? first : undefined
}

const isKnown = (part: Numbered | undefined, picture: bigint): boolean =>
  part?.sequence !== undefined && part.sequence <= picture
