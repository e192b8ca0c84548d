/** What was neither delivered nor told as missing: by what the exchanges know they issued. */
import { type Issued, judge } from "../../src/layers/testing/Oracle.ts"
import type { Status, Trade } from "../../src/services/MarketEvent.ts"

export interface Told {
  /** Issued once its market had a past that we know, not delivered, and in no hole that was told as not filled. */
  readonly untold: ReadonlyArray<string>
  readonly missing: ReadonlyArray<string>
  readonly foreign: ReadonlyArray<string>
  /** Events. */
  readonly gaps: ReadonlyArray<Status>
}

/** To the millisecond, as the ends of some holes are. */
const millis = (time: unknown, otherwise: number): number => typeof time === "string" ? Date.parse(time) : otherwise

/** The last event of a hole holds. */
const openHoles = (gaps: ReadonlyArray<Status>): ReadonlyArray<Status> => {
  const last = new Map<unknown, Status>()
  for (const gap of gaps) last.set(gap["gapId"] ?? gap.id, gap)
  return [...last.values()].filter((gap) => gap["complete"] === false)
}

/** `statuses` in the order of their topic. */
export const told = (
  issued: ReadonlyArray<Issued>,
  trades: ReadonlyArray<Trade>,
  statuses: ReadonlyArray<Status>
): Told => {
  const verdict = judge(issued, trades)
  const known = new Map<string, number>()
  for (const { exchange, symbol, timestamp } of trades) {
    const key = `${exchange}:${symbol}`
    known.set(key, Math.min(known.get(key) ?? Infinity, millis(timestamp, Infinity)))
  }
  const expected = new Map(issued.map((one) => [one.id, one.expected]))
  const missing = [...verdict.missing, ...verdict.doubtful, ...verdict.unsent]
  const gaps = statuses.filter(({ event }) => event === "gap")
  const holes = openHoles(gaps)
  const untold = missing.filter((id) => {
    const one = expected.get(id) ?? expected.get(id.replace(/:\d+$/, ""))
    if (one === undefined) return true
    const at = millis(one.timestamp, 0)
    if (at < (known.get(`${one.exchange}:${one.symbol}`) ?? Infinity)) return false
    return !holes.some((hole) =>
      hole.exchange === one.exchange && hole.symbol === one.symbol &&
      millis(hole["from"], -Infinity) <= at && at <= millis(hole["to"], Infinity)
    )
  })
  return { untold, missing, foreign: verdict.foreign, gaps }
}
