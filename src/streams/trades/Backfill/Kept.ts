/** A market's spans as the checkpoint keeps them, there and back. Plain functions of plain data. */
import type { Edge, Hole, MarketMemory, OpenHole } from "../../../services/Checkpoint.ts"
import * as Time from "../../../services/Time.ts"
import * as Channel from "../../Channel.ts"
import type { TradeIds } from "../../Exchange.ts"
import type { Found } from "../Holes.ts"
import * as Numbers from "../Numbers.ts"
import * as Spans from "../Spans.ts"
import type { Mark, Span, Stamp } from "../Spans.ts"

const edgeOf = ({ id, stamp }: Mark): Edge => ({ id: String(id), time: stamp?.text ?? null })

/** `prefix`: of the market's trade ids. */
export const toHole = (span: Span, over: Hole["over"], prefix: string): OpenHole => {
  const { after, before, cause, from, gapId, isUnsound, lastTrade, recovered, start, to } = span
  const hole: Hole = { cause, gapId, from: from?.text ?? null, to: to?.text ?? null, recovered, over }
  if (start === null || after === null) return hole
  return {
    ...hole,
    after: edgeOf(lastTrade === null ? after : start),
    ...before === null ? {} : { before: String(before) },
    ...isUnsound ? { isUnsound } : {},
    ...lastTrade === null || after.id === start.id
      ? {}
      : { filled: { after: edgeOf(after), trade: prefix + lastTrade } }
  }
}

const causeOf = (text: string): Channel.Cause => Channel.causes.find((one) => one === text) ?? "restart"

const markOf = ({ id, time }: Edge): Mark | null => {
  const number = Numbers.numberOf(id)
  return number === undefined ? null : { id: number, stamp: time === null ? null : Spans.parsed(time) }
}

const foundOf = ({ after, before, cause, from, gapId, isUnsound, over, recovered, to }: Hole): Found => ({
  cause: causeOf(cause),
  from: from === null ? null : Spans.parsed(from),
  to: to === null ? null : Spans.parsed(to),
  by: null,
  // It is over: any question may bring it. One without an end goes on until the market is heard.
  until: to === null && before === undefined ? null : Time.never,
  gapId,
  recovered,
  lastTrade: null,
  outcome: over ?? "open",
  after: after === undefined ? null : markOf(after),
  before: before === undefined ? null : Numbers.numberOf(before) ?? null,
  isUnsound: isUnsound ?? false
})

/** The time of each number that is remembered, in order. */
const numbersOf = ({ ids, times }: MarketMemory, prefix: string): ReadonlyArray<Mark> =>
  ids.flatMap((id, i): ReadonlyArray<Mark> => {
    const number = id.startsWith(prefix) ? Numbers.numberOf(id.slice(prefix.length)) : undefined
    const time = times?.[i] ?? null
    return number === undefined ? [] : [{ id: number, stamp: time === null ? null : Spans.stampOfMs(time) }]
  }).sort((a, b) => a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/**
 * Numbers missing among the newest trades that an earlier life left, and in none of its holes: it died before it had written that down.
 * Oldest first. `prefix`: of the market's trade ids.
 */
const missingOf = (memory: MarketMemory, spans: ReadonlyArray<Found>, prefix: string): ReadonlyArray<Found> => {
  const numbers = numbersOf(memory, prefix)
  /** The checkpoint has whole milliseconds: a trade that is missing just before the next one must not lie behind the hole. */
  const endOf = ({ stamp }: Mark): Stamp | null => stamp === null ? null : Spans.stampOfMs(stamp.ms + 1)
  return numbers.flatMap((next, i): ReadonlyArray<Found> => {
    const previous = numbers[i - 1]
    if (previous === undefined || next.id <= previous.id + 1n) return []
    const parts: Array<readonly [after: bigint, before: bigint]> = []
    let end = previous.id
    for (const { after = null, before = null } of spans) {
      if (after === null || after.id >= next.id || (before !== null && before <= end)) continue
      if (after.id > end) parts.push([end, after.id + 1n])
      end = before === null ? next.id : before - 1n
    }
    if (end + 1n < next.id) parts.push([end, next.id])
    return parts.map(([after, before]): Found => ({
      cause: "sequence",
      from: previous.stamp,
      to: endOf(next),
      by: null,
      until: Time.never,
      gapId: null,
      recovered: 0,
      lastTrade: null,
      outcome: "open",
      after: { id: after, stamp: previous.stamp },
      before,
      isUnsound: false
    }))
  })
}

/** What an earlier life left of a market, oldest first. `last`: the trade with the highest number that is known of it. */
const leftOf = ({ holes = [] }: MarketMemory, last: Mark | null): ReadonlyArray<Found> => {
  const spans = holes.map(foundOf)
  const isBehind = ({ after, before, outcome }: Found): boolean =>
    (after ?? null) !== null && outcome === "open" &&
    ((before ?? null) === null || last === null || (before ?? 0n) > last.id)
  const first = spans.findIndex(isBehind)
  if (first === -1) return spans
  // Trades at its edges may have died with that life: they were on their way when it was written down.
  let known = last
  return spans.map((span, i): Found => {
    const { after = null, before = null } = span
    if (i < first || after === null || span.outcome !== "open") return span
    const begin = known !== null && known.id < after.id ? known : after
    if (before !== null) known = { id: before - 1n, stamp: begin.stamp }
    return i === spans.length - 1
      ? { ...span, after: begin, to: null, before: null, until: null }
      : { ...span, after: begin }
  })
}

/** What was on its way before that span when its life died, and would be asked for by nobody. */
const unresolved = (span: Found, last: Stamp | null): Found => ({
  ...span,
  cause: "restart",
  from: last,
  to: span.from,
  until: Time.never,
  gapId: null,
  recovered: 0,
  after: null,
  before: null
})

/**
 * With what lies between the newest trade that is known (`last`) and what was left: the trade that a hole begins with may have died with that life.
 * Where one is known a restart begins there, and numbers do too (`leftOf`), but for a hole without an end, which a restart only makes longer.
 */
const withUnresolved = (spans: ReadonlyArray<Found>, last: Stamp | null): ReadonlyArray<Found> => {
  const at = last === null
    ? spans.findIndex(({ outcome }) => outcome === "open")
    : spans.findLastIndex(({ after = null, to }, i) => i === spans.length - 1 && to === null && after === null)
  const span = spans[at]
  if (span === undefined || span.outcome !== "open" || span.from === null) return spans
  if (last !== null && !Spans.isBefore(last, span.from)) return spans
  return [...spans.slice(0, at), unresolved(span, last), ...spans.slice(at)]
}

/**
 * All that is to be asked for of a market of which an earlier life left that, oldest first. `newest`: the newest trade that is known of it, and
 * the one with the highest number. `prefix`: of its trade ids.
 */
export const spansOf = (
  memory: MarketMemory,
  newest: { readonly last: Stamp | null; readonly mark?: Mark | null | undefined },
  tradeIds: TradeIds | undefined,
  prefix: string
): ReadonlyArray<Found> => {
  const last = newest.mark ?? null
  const spans = withUnresolved(leftOf(memory, last), newest.last)
  // Of a row that stands for several numbers only the last one is remembered.
  if (tradeIds !== "consecutive") return spans
  const startOf = ({ after }: Found): bigint => after?.id ?? -1n
  const all = [...spans, ...missingOf(memory, spans, prefix)]
  return all.sort((a, b) => startOf(a) < startOf(b) ? -1 : startOf(a) > startOf(b) ? 1 : 0)
}
