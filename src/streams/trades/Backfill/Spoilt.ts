/**
 * Rows of one market that nobody could read: what they said is missing. One hole for as long as each comes soon after the one before: a busy market
 * whose windows repeat a bad row would else make a hole with every frame. Plain functions of plain data.
 */
import * as Time from "../../../services/Time.ts"
import type { Edge } from "../Holes.ts"

export interface Spoilt {
  /** What was known of the market before the first of them. */
  readonly edge: Edge
  readonly since: Time.Instant
  /** When it is told, if no other comes. */
  until: Time.Instant
  /** Ids of the trades that were handed over since: they lie within the hole. */
  readonly known: Array<string>
}

/** Rows so far apart at the most are one hole's, ms. */
const soon = 1_000

/** However soon they follow each other, after so long the hole is made, ms. */
const longest = 30_000

/** Another one. `edge`: what is known of the market just now. */
export const spoilt = (before: Spoilt | undefined, edge: () => Edge, now: Time.Instant): Spoilt => {
  if (before === undefined) return { edge: edge(), since: now, until: Time.plus(now, soon), known: [] }
  before.until = Time.earliest(Time.plus(now, soon), Time.plus(before.since, longest)) ?? now
  return before
}

/** From before the first of them on. */
export const edgeOf = ({ edge, known }: Spoilt): Edge => ({ ...edge, known: [...edge.known, ...known] })
