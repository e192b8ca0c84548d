/**
 * Every trade a fake exchange issued, as it must come out at the other end. Its decimals are printed from integers, by no line of the
 * code under test.
 */
import type { Trade } from "../../services/MarketEvent.ts"

/** What a delivered trade must say. */
export interface Expected {
  readonly exchange: string
  readonly symbol: string
  readonly exchangeSymbol: string
  readonly price: string
  readonly amount: string
  readonly side: "buy" | "sell"
  readonly timestamp: string
}

export interface Issued {
  readonly expected: Expected
  /** With an exchange id: the event's id. Without: the id up to the counter, which only the number of equal trades seen decides. */
  readonly id: string
  readonly counted: boolean
  /** Somebody was subscribed and was sent it, live or in a window. */
  sent: boolean
}

export interface Verdict {
  /** Sent to somebody but not delivered. */
  readonly missing: ReadonlyArray<string>
  /** Delivered but never issued, or with another content. */
  readonly foreign: ReadonlyArray<string>
  /** Ids delivered more than once. */
  readonly duplicates: ReadonlyArray<string>
  /** Ids first delivered behind a later trade of their market. */
  readonly disordered: ReadonlyArray<string>
}

/** `units / 10^scale`, without trailing zeros. */
export const printed = (units: bigint, scale: number): string => {
  const text = units.toString().padStart(scale + 1, "0")
  const whole = text.slice(0, text.length - scale)
  const fraction = scale === 0 ? "" : text.slice(-scale).replace(/0+$/, "")
  return fraction === "" ? whole : `${whole}.${fraction}`
}

/** The same with all its zeros, as exchanges print it. */
export const padded = (units: bigint, scale: number): string => {
  const text = units.toString().padStart(scale + 1, "0")
  return scale === 0 ? text : `${text.slice(0, text.length - scale)}.${text.slice(-scale)}`
}

const sameContent = (expected: Expected, trade: Trade): boolean =>
  expected.price === trade.price && expected.amount === trade.amount && expected.side === trade.side &&
  expected.timestamp === trade.timestamp && expected.exchangeSymbol === trade.exchangeSymbol &&
  expected.symbol === trade.symbol && expected.exchange === trade.exchange

/**
 * Judges what was delivered, in order of delivery (per market at least). Trades without an exchange id are equal to others of the
 * same moment, so of them the number must be right: ids 1 to n.
 */
export const judge = (issued: ReadonlyArray<Issued>, delivered: ReadonlyArray<Trade>): Verdict => {
  const wanted = new Map<string, { readonly issued: Issued; readonly position: number; used: boolean }>()
  const counts = new Map<string, number>()
  issued.forEach((one, position) => {
    if (!one.sent) return
    const n = (counts.get(one.id) ?? 0) + 1
    counts.set(one.id, n)
    wanted.set(one.counted ? `${one.id}:${n}` : one.id, { issued: one, position, used: false })
  })
  const foreign: Array<string> = []
  const duplicates: Array<string> = []
  const disordered: Array<string> = []
  const latest = new Map<string, number>()
  for (const trade of delivered) {
    const found = wanted.get(trade.id)
    if (found === undefined || !sameContent(found.issued.expected, trade)) foreign.push(trade.id)
    else if (found.used) duplicates.push(trade.id)
    else {
      found.used = true
      const key = `${trade.exchange}:${trade.symbol}`
      if (found.position < (latest.get(key) ?? -1)) disordered.push(trade.id)
      else latest.set(key, found.position)
    }
  }
  const missing = [...wanted].filter(([, { used }]) => !used).map(([id]) => id)
  return { missing, foreign, duplicates, disordered }
}
