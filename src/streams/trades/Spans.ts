/**
 * A span: a stretch of one market's time in which nobody listened. What it contains, what an answer of the history covers of it, what
 * is told of it. Plain functions of plain data.
 */
import { compare, epochMsOf, timeOf } from "../../services/ExchangeTime.ts"
import * as Time from "../../services/Time.ts"
import type { Cause } from "../Channel.ts"
import type { TradeRow } from "../Exchange.ts"
import * as Numbers from "./Numbers.ts"

/** A time of the exchange's clock: `text` with all its digits, ISO-8601; `ms` the same as epoch ms, cut. */
export interface Stamp {
  readonly ms: number
  readonly text: string
}

/** Of a row; null where the exchange gives no time. */
export const stampOf = (row: Pick<TradeRow, "timestamp" | "time">): Stamp | null => {
  const text = timeOf(row)
  return row.timestamp === null || text === null ? null : { ms: row.timestamp, text }
}

export const stampOfMs = (ms: number): Stamp => ({ ms, text: new Date(ms).toISOString() })

/** With all digits: of two times within a millisecond one is the earlier. */
export const isBefore = (a: Stamp, b: Stamp): boolean => compare(a.text, b.text) < 0

/** Of a text that `ExchangeTime` made. */
export const parsed = (text: string): Stamp => ({ ms: epochMsOf(text), text })

/** A trade by its number, where ids are numbers that count up. */
export interface Mark {
  readonly id: bigint
  readonly stamp: Stamp | null
}

export interface Span {
  readonly cause: Cause
  /** Of the last trade known before it; null if none is. Both edges belong to it. */
  readonly from: Stamp | null
  /** Of the first trade known behind it; null while none is. */
  readonly to: Stamp | null
  /** By then the market was surely heard again: stands for `to` in what is told while no trade is known. Null where the exchange's clock is not known. */
  readonly by: Stamp | null
  /** When the market was heard again: a question that was sent before says nothing of its end. Null while nobody hears it. */
  readonly until: Time.Instant | null
  /** `id` of the first event that told of it; null: none did. */
  readonly gapId: string | null
  /** Trades that histories have brought. */
  readonly recovered: number
  /** Id of the last one that this life has handed over. */
  readonly lastTrade: string | null
  /** When this life of the collector came to know of it. */
  readonly since: Time.Instant
  /** An earlier life left it: it may have begun long before this one. */
  readonly isInherited: boolean
  /**
   * Where ids count up: the trade before it, as `from` is its time. Such a span is judged by numbers, not by time. Null: no number is known.
   */
  readonly start: Mark | null
  /** All up to this trade was handed over: it begins as `start` and moves up with each page, while `from` stays. */
  readonly after: Mark | null
  /** Number of the first trade known behind it, as `to` is its time; null while none is. */
  readonly before: bigint | null
  /** Of one that holds nothing up: when it is told. Null: it was, or is told before what is behind it. */
  readonly tellAt: Time.Instant | null
  /** Rows of a page were not understood: it cannot be called filled any more. */
  readonly isUnsound: boolean
}

/** A trade that is known. `stamp`: null where the exchange gives no time. */
export interface Trade {
  /** Without its `exchange:symbol:t:`. */
  readonly id: string
  readonly stamp: Stamp | null
  /** Where ids count up: those that it stands for. */
  readonly numbers?: Numbers.Range | undefined
}

/**
 * A timestamp is over in a history so long after it began, ms: its unit must have passed, and an exchange's servers may differ by a
 * second.
 */
export const settledAfter = ({ clockUnit = 1_000 }: { readonly clockUnit?: number | undefined }): number =>
  clockUnit + 1_000

/** `start`: the trade that `from` is the time of, where ids count up. */
export const make = (cause: Cause, from: Stamp | null, since: Time.Instant, start: Mark | null = null): Span => ({
  cause,
  from,
  to: null,
  by: null,
  until: null,
  gapId: null,
  recovered: 0,
  lastTrade: null,
  since,
  isInherited: false,
  start,
  after: start,
  before: null,
  tellAt: null,
  isUnsound: false
})

export const contains = ({ from, to }: Span, ms: number | null): boolean =>
  ms === null || ((from === null || from.ms <= ms) && (to === null || ms <= to.ms))

/** What may be missing of a span that is judged by numbers. */
export const isMissing = ({ after, before }: Span, { first, last }: Numbers.Range): boolean =>
  after !== null && last > after.id && (before === null || first < before)

/** A trade of that time and, where ids count up, of those numbers may belong to it. */
export const holds = (span: Span, ms: number | null, numbers: Numbers.Range | undefined): boolean =>
  span.after === null || numbers === undefined ? contains(span, ms) : isMissing(span, numbers)

/** Numbers leave no room for a trade in it. */
export const isClosed = ({ after, before }: Span): boolean =>
  after !== null && before !== null && before <= after.id + 1n

/**
 * What is left of it when one of the missing trades came by itself: one span or two, closed ones too. Of one that was told `from` stays, and
 * what lies in its middle does too: it is known by its id.
 */
export const without = (
  span: Span,
  numbers: Numbers.Range,
  stamp: Stamp | null,
  id: string
): ReadonlyArray<Span> => {
  const { after, before, tellAt } = span
  if (after === null || !isMissing(span, numbers)) return [span]
  const mark: Mark = { id: numbers.last, stamp: stamp ?? after.stamp }
  const above: Span = {
    ...span,
    after: mark,
    lastTrade: id,
    ...tellAt === null ? {} : { from: stamp ?? span.from, start: mark }
  }
  const below: Span = { ...span, before: numbers.first, to: stamp ?? span.to, lastTrade: id }
  if (numbers.first <= after.id + 1n) return [above]
  if (before !== null && numbers.last >= before - 1n) return [below]
  return tellAt === null ? [span] : [below, above]
}

/**
 * The first new trade behind it ends it. Where none of them is known to be behind it (older ones, or without a time), it ends at the
 * latest where the market was heard again; null: not known.
 */
export const endedBy = (span: Span, trades: ReadonlyArray<Trade>): Span => {
  if (span.to !== null || span.before !== null) return span
  const { after, by, from } = span
  if (after !== null) {
    const next = trades.find(({ numbers }) => numbers !== undefined && numbers.last > after.id)
    if (next?.numbers === undefined) return span
    return { ...span, to: next.stamp ?? by, before: next.numbers.first }
  }
  const first = trades.find(({ stamp }) => stamp !== null && (from === null || !isBefore(stamp, from)))
  return { ...span, to: first?.stamp ?? (by !== null && from !== null && isBefore(by, from) ? from : by) }
}

/** Where nothing was known before a span, what is older than this life was never missed; but not of one that an earlier life left. */
const sinceOf = ({ isInherited }: Span, since: number | null): number | null => isInherited ? null : since

/** An answer to a question of that moment may say something of it. */
export const isAskable = ({ until }: Span, sentAt: Time.Instant): boolean =>
  until !== null && Time.between(until, sentAt) >= 0

/**
 * Of an answer's rows, oldest first, those that may belong to one of the spans, each timestamp as a whole: of rows without an id the
 * oldest timestamp may be cut in two, and the `growing` one is not over. `since`: where nothing was known before a span, what is older
 * was never missed (epoch ms of the exchange's clock; null: not known, so that all of it may be).
 */
export const within = (
  spans: ReadonlyArray<Span>,
  rows: ReadonlyArray<TradeRow>,
  since: number | null,
  growing: number | null
): ReadonlyArray<TradeRow> => {
  if (spans.length === 0) return []
  const oldest = rows[0]?.timestamp ?? null
  return rows.filter(({ id, timestamp }) => {
    if (id === undefined && (timestamp === oldest || timestamp === growing)) return false
    return spans.some((span) => {
      const bound = sinceOf(span, since)
      return contains(span, timestamp) &&
        (span.from !== null || bound === null || timestamp === null || timestamp >= bound)
    })
  })
}

/** The answer reaches back to what was known before the span. */
export const isStartCovered = (
  span: Span,
  rows: ReadonlyArray<TradeRow>,
  known: ReadonlySet<string>,
  since: number | null
): boolean => {
  const { from } = span
  if (from !== null) {
    return rows.some(({ id, timestamp }) => {
      const isKnown = id !== undefined && known.has(id)
      return timestamp === null ? isKnown : timestamp < from.ms || (timestamp === from.ms && isKnown)
    })
  }
  const oldest = rows[0]
  // A market that never traded has lost nothing; but of one that has, an empty answer says nothing.
  if (oldest === undefined) return span.to === null && span.recovered === 0
  const bound = sinceOf(span, since)
  return bound !== null && oldest.timestamp !== null && oldest.timestamp < bound
}

/** The answer reaches to where the socket took over. `growing`: the newest timestamp of rows without ids, if it is not over. */
export const isEndCovered = ({ to }: Span, rows: ReadonlyArray<TradeRow>, growing: number | null): boolean => {
  const newest = rows.at(-1)
  if (newest === undefined) return true
  if (to === null) return growing === null
  const reached = stampOf(newest)
  if (reached === null) return true
  return !isBefore(reached, to) && (reached.ms > to.ms || growing === null)
}

/**
 * What an answer that begins within the span leaves missing: all before its oldest row. Compared with all digits: two times of one
 * millisecond may differ below it, and the hole must not be told to end later than it does.
 */
export const narrowed = (span: Span, oldest: Stamp | null): Span =>
  oldest === null || !contains(span, oldest.ms) || (span.to !== null && !isBefore(oldest, span.to))
    ? span
    : { ...span, to: oldest }

/** It ended before that, epoch ms of the exchange's clock; `noEnd`: or began, if there will be no end. */
export const isOlderThan = ({ by, from, to }: Span, bound: number, noEnd: boolean): boolean => {
  const end = to ?? by ?? (noEnd ? from : null)
  return end !== null && end.ms < bound
}

const lengthOf = ({ from, to }: Span): number => from === null || to === null ? Infinity : to.ms - from.ms

export const largest = (spans: ReadonlyArray<Span>): Span | undefined =>
  spans.reduce<Span | undefined>(
    (best, span) => best === undefined || lengthOf(span) > lengthOf(best) ? span : best,
    undefined
  )

/** A `gap` event to be told of a span. */
export interface Gap {
  readonly id: string
  readonly gapId: string
  readonly cause: Cause
  readonly from: Stamp | null
  readonly to: Stamp | null
  readonly recovered: number
  readonly complete: boolean
}

export const gapOf = (span: Span, complete: boolean, id: string): Gap => {
  const { by, cause, from, gapId, recovered } = span
  const end = span.to ?? by
  return {
    id,
    gapId: gapId ?? id,
    cause,
    from,
    // Never before its beginning: the two may come from clocks that differ.
    to: end !== null && from !== null && isBefore(end, from) ? from : end,
    recovered,
    complete
  }
}
