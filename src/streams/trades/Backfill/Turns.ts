/**
 * Whose history is asked next, of markets that wait for their question: the one that trades most, since its live trades are held up, but those
 * that were asked just now after all others, since they would use up the budget. So do pages. Connections that are lost faster than the budget
 * allows to ask for all of their markets make each of them one that was not asked yet, again and again: so every second question is
 * that of the market which has waited longest, once that is half a minute. Plain functions of plain data.
 */
import * as Time from "../../../services/Time.ts"

export interface Turn {
  /** Since when a question of it is due without having been asked. */
  readonly since: Time.Instant
  /** Questions since the last change (`Holes.timesAsked`). */
  readonly asked: number
  /** How much it has traded. */
  readonly trades: number
}

/** Of a market that has waited so long nobody can say any more that it will be its turn soon, ms. */
const long = 30_000

const isBefore = (a: Turn, b: Turn): boolean => a.asked === b.asked ? a.trades > b.trades : a.asked < b.asked

/** `n`: how many questions there were before. Undefined where nobody waits. */
export const next = <A extends Turn>(waiting: Iterable<A>, n: number, now: Time.Instant): A | undefined => {
  let best: A | undefined
  let oldest: A | undefined
  for (const one of waiting) {
    if (best === undefined || isBefore(one, best)) best = one
    if (oldest === undefined || Time.between(one.since, oldest.since) > 0) oldest = one
  }
  return oldest !== undefined && n % 2 === 1 && Time.between(oldest.since, now) >= long ? oldest : best
}
