/** What an answer makes of a span that lies between two numbers, where ids count up. */
import * as Time from "../../../services/Time.ts"
import type { Instant } from "../../../services/Time.ts"
import * as Numbers from "../Numbers.ts"
import * as Spans from "../Spans.ts"
import type { Mark, Span } from "../Spans.ts"
import type { Answer, Outcome, State } from "./State.ts"

export interface Verdict {
  readonly outcome: Outcome
  /** Rows that it lacks may leave now. */
  readonly takes: boolean
  /** How far it is filled then; null: as far as before. */
  readonly after: Mark | null
}

export const isPage = (asked: Answer["asked"]): boolean => asked !== undefined && asked !== null

/** Somebody heard the market when the question was sent, or nobody will any more. */
export const isHeardAt = <E>({ heardSince, vanished }: State<E>, sentAt: Instant): boolean =>
  vanished || (heardSince !== null && Time.between(heardSince, sentAt) >= 0)

/** What an answer says of ids. */
export interface Said {
  readonly coverage: Numbers.Coverage | null
  readonly isEnd: boolean
}

export const saidBy = <E>({ options: { pages, tradeIds } }: State<E>, { asked = null, count, rows }: Answer): Said => {
  if (tradeIds === undefined) return { coverage: null, isEnd: false }
  const ends = [rows[0], rows.at(-1)].flatMap((row) => row === undefined ? [] : [Numbers.rangeOf(row) ?? []].flat())
  const n = count ?? rows.length
  const coverage = Numbers.coverageOf(ends, asked, pages)
  return { coverage, isEnd: Numbers.isEnd(coverage, n, asked, pages) }
}

export const nothing: Verdict = { outcome: "open", takes: false, after: null }

/** `isFirst`: what comes for it may go out at once. */
export const byNumbers = <E>(
  s: State<E>,
  span: Span,
  after: Mark,
  isFirst: boolean,
  answer: Answer,
  { coverage, isEnd }: Said
): Verdict => {
  const { asked, sentAt, sound } = answer
  if (!Spans.isAskable(span, sentAt)) return nothing
  const { before } = span
  // What is known to be behind an empty page has not come to it yet.
  if (coverage === null) return isEnd && before === null && asked?.above === after.id ? settled(span, sound) : nothing
  const { upTo } = coverage
  // It does not have what is known: it is behind, or begins further up.
  if (upTo < after.id) return nothing
  const isEndReached = before === null ? isEnd : upTo >= before - 1n
  if (coverage.after > after.id) {
    if (isPage(asked) || s.options.pages !== undefined) return nothing
    // The market's last trades do not reach back to it, and there are no others to be had.
    const isOver = sound && isEndReached && isHeardAt(s, sentAt)
    return { outcome: isOver ? "given up" : "open", takes: isFirst || isOver, after: null }
  }
  if (isEndReached && (sound || isPage(asked))) {
    return { ...settled(span, sound), after: reached(after, span, upTo, answer) }
  }
  if (!isFirst) return nothing
  // Of the last trades, a row that was not understood may be understood the next time.
  return { outcome: "open", takes: true, after: sound || isPage(asked) ? reached(after, span, upTo, answer) : null }
}

const settled = ({ isUnsound }: Span, sound: boolean): Verdict => ({
  outcome: sound && !isUnsound ? "filled" : "given up",
  takes: true,
  after: null
})

/** The last trade of an answer that the span reaches to, or null if it has come so far before. */
const reached = (after: Mark, { before }: Span, upTo: bigint, { rows }: Answer): Mark | null => {
  const id = before !== null && before - 1n < upTo ? before - 1n : upTo
  if (id <= after.id) return null
  const row = rows.findLast((row) => (Numbers.rangeOf(row)?.last ?? id + 1n) <= id)
  return { id, stamp: (row === undefined ? null : Spans.stampOf(row)) ?? after.stamp }
}
