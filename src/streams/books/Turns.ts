/**
 * Which market's book is compared with pictures beside it (`Books.beside`), and for how long: one after the other, so that a connection hears one
 * topic more and no budget is felt. A pure machine, changed in place by its one owner.
 */
import * as Time from "../../services/Time.ts"

/** So long pictures are waited for, ms: a quiet market has few. */
const hearing = 30_000

/** After they are left, so long is the book given to come to what the last of them were of, ms. */
const catchingUp = 10_000

/** Before the next market's turn, ms: each turn takes two commands of those that subscriptions share. */
const rest = 5_000

/** A market that may have its turn. */
export interface Auditable {
  auditedAt: Time.Instant
  readonly isListed: boolean
  /** `leader`: the session whose book it is; undefined: nobody's. */
  readonly state: { readonly leader: number | undefined }
}

export interface Turn<A> {
  readonly kept: A
  readonly listener: number
  /** Pictures are heard; then the last of them are waited for. */
  isHeard: boolean
  until: Time.Instant
}

export interface State<A> {
  turn: Turn<A> | undefined
  nextAt: Time.Instant
}

export const initial = (): State<never> => ({ turn: undefined, nextAt: Time.never })

/** To the book of that market; what each means stands at `Linked.Input`. */
export type Command<A> =
  | { readonly _tag: "Audit"; readonly kept: A; readonly listener: number }
  | { readonly _tag: "AuditCeased" | "AuditOver" | "AuditCut"; readonly kept: A }

/** `isDone`: pictures of that market's turn have proved it by now; undefined: nothing is compared any more. */
export const step = <A extends Auditable>(
  s: State<A>,
  markets: Iterable<A>,
  isDone: (kept: A) => boolean | undefined,
  now: Time.Instant
): Command<A> | undefined => {
  const { turn } = s
  if (turn === undefined) return Time.between(s.nextAt, now) < 0 ? undefined : begin(s, markets, now)
  const { kept, listener } = turn
  const isOver = Time.between(turn.until, now) >= 0
  const proved = isDone(kept)
  const isGone = !kept.isListed || kept.state.leader !== listener || proved === undefined
  if (isGone || proved || (isOver && !turn.isHeard)) {
    s.turn = undefined
    s.nextAt = Time.plus(now, rest)
    return { _tag: isGone ? "AuditCut" : "AuditOver", kept }
  }
  if (!isOver) return undefined
  turn.isHeard = false
  turn.until = Time.plus(now, catchingUp)
  return { _tag: "AuditCeased", kept }
}

/** Whose last turn is longest ago. */
const begin = <A extends Auditable>(
  s: State<A>,
  markets: Iterable<A>,
  now: Time.Instant
): Command<A> | undefined => {
  let next: A | undefined
  for (const kept of markets) {
    if (!kept.isListed || kept.state.leader === undefined) continue
    if (next === undefined || Time.between(kept.auditedAt, next.auditedAt) > 0) next = kept
  }
  const listener = next?.state.leader
  if (next === undefined || listener === undefined) return undefined
  next.auditedAt = now
  s.turn = { kept: next, listener, isHeard: true, until: Time.plus(now, hearing) }
  return { _tag: "Audit", kept: next, listener }
}
