/** Which question is to be asked next, where a history has pages: upwards from where a span is filled up to, one page at a time. */
import * as Numbers from "../Numbers.ts"
import type { Question } from "../Numbers.ts"
import * as Spans from "../Spans.ts"
import type { Span } from "../Spans.ts"
import { saidBy } from "./ByNumbers.ts"
import { type Answer, spans, type State } from "./State.ts"

/**
 * Spans that a page may be for. Those behind the first of the line wait: what fills them would stand in memory, or overtake what is before
 * them. So does a number that is missing while trades wait that are older than what fills it: what is known to have gone out would not be
 * all up to the highest number any more.
 */
export const turns = <E>(
  { line, open, vanished }: Pick<State<E>, "line" | "open" | "vanished">
): ReadonlyArray<Span> => {
  const [front] = line
  const first = front?._tag === "Span" && front.outcome === "open" ? [front.span] : []
  const untold = front === undefined || vanished ? open.filter(({ tellAt }) => tellAt !== null) : []
  return [...untold, ...open.filter(({ tellAt }) => tellAt === null), ...first].filter(({ until }) => until !== null)
}

/** An answer may settle something now. While what a page brought is on its way out, no other page is asked for. */
export const isAskable = <E>(s: State<E>): boolean =>
  s.options.pages === undefined
    ? spans(s).some(({ until }) => until !== null)
    : s.handing === 0 && turns(s).length > 0

/** Null: the market's last trades. After a page that brought nothing it is the next span's turn. */
export const question = <E>(s: State<E>): Question | null => {
  const { attempts, further, options: { pages }, quickAsks } = s
  if (pages === undefined) return null
  const all = turns(s)
  if (further !== null && all.some(({ after }) => after?.id === further.above)) return further
  const after = all[(attempts + quickAsks) % Math.max(1, all.length)]?.after ?? null
  return after === null ? null : { above: after.id, at: after.stamp, reach: pages.size, passed: 0 }
}

/** What follows an answer: the page above it, the same place again by another page, or nothing for a while. */
export type Next =
  | { readonly _tag: "Page" }
  | { readonly _tag: "Further"; readonly question: Question }
  | { readonly _tag: "Later" }

export const next = <E>(s: State<E>, all: ReadonlyArray<Span>, answer: Answer, isProgress: boolean): Next => {
  const { asked = null } = answer
  const { pages } = s.options
  if (pages === undefined) return { _tag: "Later" }
  if (isProgress) return { _tag: "Page" }
  if (asked === null) return { _tag: "Later" }
  const span = all.find(({ after }) => after?.id === asked.above)
  // What the page held was not taken where it was asked for before the market was heard again: passed over, it would be missing for ever.
  if (span !== undefined && !Spans.isAskable(span, answer.sentAt)) return { _tag: "Later" }
  const question = Numbers.further(asked, saidBy(s, answer).coverage, span?.before ?? null, pages)
  return question === null ? { _tag: "Later" } : { _tag: "Further", question }
}
