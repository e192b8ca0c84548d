/**
 * Whose turn it is where markets are asked again and again: each once a round, the one that trades most first, and none sooner than is
 * wanted. Plain functions of plain data.
 */
import * as Time from "../../../services/Time.ts"

export interface Turn {
  readonly symbol: string
  /** Rounds in which it was asked, those before it was there included. */
  readonly rounds: number
  /** When it was asked last; null: never. */
  readonly askedAt: Time.Instant | null
  /** It has not been answered yet. */
  readonly isAsking: boolean
}

export interface Next {
  /** To be asked now; undefined: nobody is. */
  readonly turn: Turn | undefined
  /** When to look again if nothing happens; undefined: not at all. */
  readonly at: Time.Instant | undefined
}

/** A market that has just come takes part in the round that goes on. */
export const joined = (symbol: string, turns: Iterable<Turn>): Turn => {
  let rounds = Infinity
  for (const turn of turns) rounds = Math.min(rounds, turn.rounds)
  return { symbol, rounds: rounds === Infinity ? 0 : rounds, askedAt: null, isAsking: false }
}

export const asked = (turn: Turn, now: Time.Instant): Turn => ({
  ...turn,
  rounds: turn.rounds + 1,
  askedAt: now,
  isAsking: true
})

/** `sentAt`: of the answer. A question may have waited for its turn since it was asked for. */
export const answered = (turn: Turn, sentAt: Time.Instant | undefined): Turn => ({
  ...turn,
  askedAt: turn.askedAt === null || sentAt === undefined ? turn.askedAt : Time.latest(turn.askedAt, sentAt),
  isAsking: false
})

/** `every`: ms between two questions about one market, at least. `activity`: how much it has traded. */
export const next = (
  turns: Iterable<Turn>,
  activity: (symbol: string) => number,
  every: number,
  now: Time.Instant
): Next => {
  let best: { readonly turn: Turn; readonly trades: number } | undefined
  let at: Time.Instant | undefined
  for (const turn of turns) {
    if (turn.isAsking) continue
    const due = turn.askedAt === null ? now : Time.plus(turn.askedAt, every)
    if (Time.between(due, now) < 0) {
      at = Time.earliest(at, due)
      continue
    }
    const trades = activity(turn.symbol)
    if (
      best === undefined || turn.rounds < best.turn.rounds ||
      (turn.rounds === best.turn.rounds && trades > best.trades)
    ) best = { turn, trades }
  }
  return { turn: best?.turn, at }
}
