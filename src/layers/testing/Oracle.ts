/**
 * Every trade a fake exchange issued, as it must come out at the other end. Its decimals are printed from integers, by no line of the
 * code under test.
 */
import type { MarketEvent, Status, Trade } from "../../services/MarketEvent.ts"

/**
 * What a delivered trade must say.
 *
 * @since 0.1.0
 * @category models
 */
export interface Expected {
  readonly exchange: string
  readonly symbol: string
  readonly exchangeSymbol: string
  readonly price: string
  readonly amount: string
  readonly side: "buy" | "sell"
  readonly timestamp: string
  /** What REST says of the same time, where it has other digits. */
  readonly restTimestamp?: string
}

/**
 * One trade that a fake has issued, and who may have seen it.
 *
 * @since 0.1.0
 * @category models
 */
export class Issued {
  readonly expected: Expected
  /** With an exchange id: the event's id. Without: the id up to the counter, which only the number of equal trades decides. */
  readonly id: string
  /** The id wants a counter: 1 for the first of equal trades, 2 for the next. */
  readonly counted: boolean
  /** Copies on their way to somebody: live, in a later window, in a reply. */
  pushed = 0
  /** Of those: never written, or written within the last second of a connection that then broke. */
  doubted = 0
  /** It was in an answer to a REST call. */
  served = false

  constructor(expected: Expected, id: string, counted: boolean) {
    this.expected = expected
    this.id = id
    this.counted = counted
  }

  /** Somebody was subscribed and could surely read it. */
  get sent(): boolean {
    return this.pushed > this.doubted
  }

  /** Somebody may have seen it. */
  get reachable(): boolean {
    return this.pushed > 0 || this.served
  }
}

/**
 * What is wrong with what was delivered; all lists empty: nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Verdict {
  /** Surely sent to somebody but not delivered. */
  readonly missing: ReadonlyArray<string>
  /** Not delivered, and sent only over connections that broke at once. Whoever knows that they were read wants it empty too. */
  readonly doubtful: ReadonlyArray<string>
  /** Not delivered, and never sent to anybody: nobody was subscribed, or the market was mute. */
  readonly unsent: ReadonlyArray<string>
  /** Delivered but never issued or never told to anybody, or with another content. */
  readonly foreign: ReadonlyArray<string>
  /** Of those, what was issued, with the fields that differ. */
  readonly wrong: ReadonlyArray<{ readonly id: string; readonly fields: ReadonlyArray<string> }>
  /** Ids delivered more than once. */
  readonly duplicates: ReadonlyArray<string>
  /** Ids first delivered behind a later trade of their market that came the same way (`ws` or `rest`). */
  readonly disordered: ReadonlyArray<string>
}

/**
 * A decimal: `units / 10^scale`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Units {
  readonly units: bigint
  readonly scale: number
}

/**
 * A decimal of plain digits with at most one point, such as `"0.0108687"`. Throws on any other text.
 *
 * @since 0.1.0
 * @category conversions
 */
export const parsed = (text: string): Units => {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new Error(`not a decimal: ${text}`)
  const [whole = "", fraction = ""] = text.split(".")
  return { units: BigInt(whole + fraction), scale: fraction.length }
}

/**
 * `units / 10^scale`, without trailing zeros.
 *
 * @since 0.1.0
 * @category conversions
 */
export const printed = ({ scale, units }: Units): string => {
  const text = units.toString().padStart(scale + 1, "0")
  const whole = text.slice(0, text.length - scale)
  const fraction = scale === 0 ? "" : text.slice(-scale).replace(/0+$/, "")
  return fraction === "" ? whole : `${whole}.${fraction}`
}

/**
 * With exactly so many decimals, as exchanges print it; what does not fit is cut off.
 *
 * @since 0.1.0
 * @category conversions
 */
export const padded = ({ scale, units }: Units, decimals: number): string => {
  const shifted = decimals >= scale ? units * 10n ** BigInt(decimals - scale) : units / 10n ** BigInt(scale - decimals)
  const text = shifted.toString().padStart(decimals + 1, "0")
  return decimals === 0 ? text : `${text.slice(0, text.length - decimals)}.${text.slice(-decimals)}`
}

/**
 * `a / b` to 18 decimals, half to even.
 *
 * @since 0.1.0
 * @category combinators
 */
export const divided = (a: Units, b: Units): Units => {
  const top = a.units * 10n ** BigInt(18 + b.scale)
  const bottom = b.units * 10n ** BigInt(a.scale)
  const quotient = top / bottom
  const twice = (top - quotient * bottom) * 2n
  return { units: twice > bottom || (twice === bottom && quotient % 2n === 1n) ? quotient + 1n : quotient, scale: 18 }
}

const timestampBy = ({ restTimestamp, timestamp }: Expected, source: Trade["source"]): string =>
  source === "rest" ? restTimestamp ?? timestamp : timestamp

const differing = (expected: Expected, trade: Trade): ReadonlyArray<string> =>
  [
    expected.exchange === trade.exchange ? "" : "exchange",
    expected.symbol === trade.symbol ? "" : "symbol",
    expected.exchangeSymbol === trade.exchangeSymbol ? "" : "exchangeSymbol",
    expected.price === trade.price ? "" : "price",
    expected.amount === trade.amount ? "" : "amount",
    expected.side === trade.side ? "" : "side",
    timestampBy(expected, trade.source) === trade.timestamp ? "" : "timestamp"
  ].filter((field) => field !== "")

/** Equal trades; one, where the exchange gives ids. */
interface Group {
  readonly expected: Expected
  readonly counted: boolean
  /** Places in the order of issue of those that somebody may have seen. */
  readonly places: Array<number>
  sent: number
  doubtful: number
  total: number
  /** Numbers delivered. */
  readonly seen: Set<number>
}

const grouped = (issued: ReadonlyArray<Issued>): ReadonlyMap<string, Group> => {
  const groups = new Map<string, Group>()
  issued.forEach((one, place) => {
    const { counted, expected } = one
    let group = groups.get(one.id)
    if (group === undefined) {
      group = { expected, counted, places: [], sent: 0, doubtful: 0, total: 0, seen: new Set() }
      groups.set(one.id, group)
    }
    group.total += 1
    if (one.reachable) group.places.push(place)
    if (one.sent) group.sent += 1
    else if (one.pushed > 0) group.doubtful += 1
  })
  return groups
}

/**
 * Judges what was delivered, in order of delivery (per market at least). Equal trades without an exchange id cannot be told apart,
 * so of them the number must be right: ids 1 to n, n between those surely sent and those anybody may have seen.
 *
 * @since 0.1.0
 * @category operations
 */
export const judge = (issued: ReadonlyArray<Issued>, delivered: ReadonlyArray<Trade>): Verdict => {
  const groups = grouped(issued)
  const foreign: Array<string> = []
  const wrong: Array<{ readonly id: string; readonly fields: ReadonlyArray<string> }> = []
  const duplicates: Array<string> = []
  const firsts: Array<{ readonly trade: Trade; readonly group: Group; readonly n: number }> = []
  for (const trade of delivered) {
    const { group, n } = lookup(groups, trade.id)
    if (group === undefined || n > group.places.length) {
      foreign.push(trade.id)
      continue
    }
    const fields = differing(group.expected, trade)
    if (fields.length > 0) {
      foreign.push(trade.id)
      wrong.push({ id: trade.id, fields })
    } else if (group.seen.has(n)) duplicates.push(trade.id)
    else {
      group.seen.add(n)
      firsts.push({ trade, group, n })
    }
  }
  return { ...undelivered(groups), foreign, wrong, duplicates, disordered: disorder(firsts) }
}

const lookup = (groups: ReadonlyMap<string, Group>, id: string) => {
  const whole = groups.get(id)
  if (whole !== undefined) return { group: whole.counted ? undefined : whole, n: 1 }
  const [, start = "", n = ""] = /^(.*):([1-9]\d*)$/.exec(id) ?? []
  const group = groups.get(start)
  return { group: group?.counted === true ? group : undefined, n: Number(n) }
}

const undelivered = (groups: ReadonlyMap<string, Group>) => {
  const missing: Array<string> = []
  const doubtful: Array<string> = []
  const unsent: Array<string> = []
  for (const [id, { counted, seen, sent, total, doubtful: doubts }] of groups) {
    // Numbers go from 1 without a hole.
    const wanted = Math.max(sent, ...seen)
    for (let n = 1; n <= total; n++) {
      if (seen.has(n)) continue
      const full = counted ? `${id}:${n}` : id
      if (n <= wanted) missing.push(full)
      else if (n <= sent + doubts) doubtful.push(full)
      else unsent.push(full)
    }
  }
  return { missing, doubtful, unsent }
}

/** Which of equal trades a number stands for is known only if all were seen: else it has a first and a last possible place. */
const disorder = (
  firsts: ReadonlyArray<{ readonly trade: Trade; readonly group: Group; readonly n: number }>
): ReadonlyArray<string> => {
  const latest = new Map<string, number>()
  return firsts.flatMap(({ group: { places, seen }, n, trade }) => {
    const key = `${trade.exchange}:${trade.symbol}:${trade.source}`
    const before = latest.get(key) ?? -1
    const first = places[n - 1] ?? -1
    const last = places[places.length - seen.size + n - 1] ?? places.at(-1) ?? -1
    if (last < before) return [trade.id]
    latest.set(key, Math.max(before, first))
    return []
  })
}

/** To compare times of any digits as texts. */
const comparable = (time: string): string => {
  const [whole = "", fraction = ""] = time.replace("Z", "").split(".")
  return `${whole}.${fraction.padEnd(9, "0")}`
}

const isWithin = (time: string, { from, to }: Status): boolean =>
  (typeof from !== "string" || comparable(from) <= comparable(time)) && typeof to === "string" &&
  comparable(time) <= comparable(to)

/**
 * Ids of trades that are lost and not told: issued later than their market's first delivered trade, since of a market without a past nothing
 * is owed; not delivered; and in no hole that is told and stayed open. `events`: all that was delivered, in order; the last word about a
 * hole holds.
 *
 * @since 0.1.0
 * @category combinators
 */
export const untold = (issued: ReadonlyArray<Issued>, events: ReadonlyArray<MarketEvent>): ReadonlyArray<string> => {
  const trades = events.filter((event): event is Trade => event.type === "trade")
  const holes = new Map<unknown, Status>()
  for (const event of events) {
    if (event.type === "status" && event.event === "gap") holes.set(event["gapId"] ?? event.id, event)
  }
  const firsts = new Map<string, string>()
  for (const { exchange, symbol, timestamp } of trades) {
    const key = `${exchange}:${symbol}`
    const time = comparable(timestamp ?? "")
    if (time < (firsts.get(key) ?? "~")) firsts.set(key, time)
  }
  const expected = new Map(issued.map((one) => [one.id, one.expected]))
  const { doubtful, missing, unsent } = judge(issued, trades)
  return [...missing, ...doubtful, ...unsent].filter((id) => {
    const one = expected.get(id) ?? expected.get(id.replace(/:\d+$/, ""))
    if (one === undefined) return true
    const { exchange, symbol, timestamp } = one
    if (comparable(timestamp) <= (firsts.get(`${exchange}:${symbol}`) ?? "~")) return false
    return ![...holes.values()].some((hole) =>
      hole["complete"] === false && hole.exchange === exchange && hole.symbol === symbol && isWithin(timestamp, hole)
    )
  })
}
