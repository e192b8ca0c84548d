/** One market's part of the checkpoint. Changed in place: there are thousands, and each trade changes one. */
import { compare, epochMsOf } from "../ExchangeTime.ts"
import { type Awaited, type Edge, type Hole, type MarketMemory, memoryOfMarket, type OpenHole } from "./Model.ts"

/** Trades within holes that are kept beside the newest: more than a feed may have to remember of a market. */
const maxWithinHoles = 8192

/** A hole that is over, until what it waits for cannot be lost any more. */
export interface Closing {
  readonly hole: Hole
  readonly awaited: Awaited
}

/** How far an open hole is filled once a trade cannot be lost any more. */
interface Fill {
  readonly hole: Hole
  readonly after: Edge
  readonly trade: string
}

/** Fills of one hole that wait; beyond them the newest stands for those between. */
const maxFills = 16

const maxLeft = 16

export interface Market {
  readonly key: string
  exchangeSymbol: string | undefined
  /** More than is to be kept, and some twice: `trim` sees to that now and then, not at each trade. */
  ids: Array<string>
  /** Of each of `ids`: see `MarketMemory.times`. */
  times: Array<number | null>
  /** Exchange time of the newest trade, ISO-8601. */
  last: string | null
  open: ReadonlyArray<Hole>
  closing: ReadonlyArray<Closing>
  /** Of `open`, oldest first. */
  fills: ReadonlyArray<Fill>
  /** The last that were open and are not any more: how far one was filled is asked for when it is closed, just after. */
  left: ReadonlyArray<Hole>
  /** Trades that were lost and counted while there were holes: what is closed later need not wait for them. */
  readonly lost: Set<string>
  /** Of `open` and `closing`, epoch ms, edges included. */
  spans: ReadonlyArray<readonly [from: number, to: number]>
  /** The newest id taken over from version 1's file: what stands behind it there, that version has delivered since. */
  lastOfOld: string | undefined
  /** How many of `ids`, at their end, no write has. `all`: nor does any have the rest as it is now. */
  unwritten: number | "all"
  areHolesUnwritten: boolean
  /** `ids` are trimmed when they are so many. */
  trimAt: number
  /** None came since: they are in order, and each is there once. */
  isTrimmed: boolean
}

export const make = (key: string): Market => ({
  key,
  exchangeSymbol: undefined,
  ids: [],
  times: [],
  last: null,
  open: [],
  closing: [],
  fills: [],
  left: [],
  lost: new Set(),
  spans: [],
  lastOfOld: undefined,
  unwritten: "all",
  areHolesUnwritten: false,
  trimAt: 2 * memoryOfMarket,
  isTrimmed: true
})

// ---------------------------------------------------------------------------------------------------------------------
// trades

const isWithinHole = ({ spans }: Market, time: number | null | undefined): boolean =>
  time !== null && time !== undefined && spans.some(([from, to]) => from <= time && time <= to)

const timeAt = ({ times }: Market, i: number): number => times[i] ?? -Infinity

/** As a market nearly always is: trades come by their times, and each once. */
const isInOrder = (market: Market): boolean => {
  const { ids } = market
  for (let i = 1; i < ids.length; i++) if (timeAt(market, i - 1) > timeAt(market, i)) return false
  return new Set(ids).size === ids.length
}

/** Of two infinities the difference is not a number, and so they go by order of delivery too. */
const inOrder = (market: Market): Array<number> =>
  Array.from(new Map(market.ids.map((id, i) => [id, i])).values())
    .sort((a, b) => timeAt(market, a) - timeAt(market, b) || a - b)

/** Indices into `ids`, oldest first, each trade once: the newest, and of the older ones those within holes. */
const select = (market: Market) => {
  const { ids, times } = market
  const order = market.isTrimmed || isInOrder(market) ? Array.from(ids.keys()) : inOrder(market)
  const cut = Math.max(0, order.length - memoryOfMarket)
  return {
    older: order.slice(0, cut).filter((i) => isWithinHole(market, times[i])).slice(-maxWithinHoles),
    newest: order.slice(cut)
  }
}

/** Leaves those that are to be kept: a page of history does not push out trades that are newer. */
export const trim = (market: Market): void => {
  const { ids, times } = market
  const { newest, older } = select(market)
  const kept = [...older, ...newest]
  market.ids = kept.map((i) => ids[i] ?? "")
  market.times = kept.map((i) => times[i] ?? null)
  // In another order now: those that no write has are not the last ones any more.
  if (market.unwritten !== 0) market.unwritten = "all"
  market.trimAt = kept.length + Math.max(memoryOfMarket, kept.length)
  market.isTrimmed = true
}

/** `time`: epoch ms of the exchange, null where it gave none. */
export const add = (market: Market, id: string, time: number | null): void => {
  market.ids.push(id)
  market.times.push(time ?? (market.last === null ? null : epochMsOf(market.last)))
  market.isTrimmed = false
  if (market.unwritten !== "all") market.unwritten += 1
  if (market.ids.length >= market.trimAt) trim(market)
}

/** A trade of that time is known, ISO-8601. */
export const advance = (market: Market, time: string): void => {
  if (market.last === null || compare(time, market.last) > 0) market.last = time
}

// ---------------------------------------------------------------------------------------------------------------------
// holes

/** What is known below where it is filled up to, nobody has to know by id. */
const startOf = ({ after, from }: Hole): number => {
  const time = after?.time ?? from
  return time === null ? -Infinity : epochMsOf(time)
}
const endOf = ({ to }: Hole): number => to === null ? Infinity : epochMsOf(to)

const isSame = (a: Hole, b: Hole): boolean => a.gapId === b.gapId && (a.gapId !== null || a.from === b.from)

/** What an earlier life closed untold, this one may have told of: as the same hole it begins where that one did, and ends no sooner. */
const isAgain = (now: Hole, before: Hole): boolean =>
  isSame(now, before) || (before.gapId === null && now.from === before.from && endOf(now) >= endOf(before))

export const setHoles = (market: Market, open: ReadonlyArray<Hole>, closing: ReadonlyArray<Closing>): void => {
  market.open = open
  market.closing = closing
  market.spans = [...open, ...closing.map(({ hole }) => hole)].map((hole) => [startOf(hole), endOf(hole)])
  market.areHolesUnwritten = true
}

const isResolved = ({ ids, lost }: Market, trade: string): boolean => ids.includes(trade) || lost.has(trade)

const filledTo = (hole: Hole, after: Edge | undefined): Hole =>
  after === undefined || after === hole.after ? hole : { ...hole, after }

/** In place of those that were open. One that was closing in an earlier life may be among them: this life closes it again. */
export const keepHoles = (market: Market, given: ReadonlyArray<OpenHole>): void => {
  let fills: ReadonlyArray<Fill> = []
  const open = given.map(({ filled, ...hole }): Hole => {
    const after = market.open.find((one) => isSame(one, hole))?.after ?? hole.after
    if (filled === undefined || filled.after.id === after?.id) return filledTo(hole, after)
    const waiting = market.fills.filter((one) => isSame(one.hole, hole))
    const isKnown = waiting.some((one) => one.after.id === filled.after.id)
    if (waiting.length === 0 && isResolved(market, filled.trade)) return filledTo(hole, filled.after)
    fills = [...fills, ...isKnown ? waiting : [...waiting.slice(0, maxFills - 1), { ...filled, hole }]]
    return filledTo(hole, after)
  })
  market.fills = fills
  market.left = [...market.left, ...market.open.filter((one) => !open.some((hole) => isSame(one, hole)))].slice(
    -maxLeft
  )
  setHoles(market, open, market.closing.filter(({ hole }) => !open.some((one) => isAgain(one, hole))))
}

/** The trade of that id cannot be lost any more: what waited for it is filled so far. True if something did. */
export const fill = (market: Market, id: string): boolean => {
  if (market.fills.length === 0) return false
  const done = market.fills.filter(({ trade }) => trade === id)
  if (done.length === 0) return false
  const isDone = (one: Fill, of: Fill) =>
    isSame(one.hole, of.hole) && market.fills.indexOf(one) <= market.fills.indexOf(of)
  market.fills = market.fills.filter((one) => !done.some((of) => isDone(one, of)))
  const open = market.open.map((hole) => filledTo(hole, done.findLast((one) => isSame(one.hole, hole))?.after))
  setHoles(market, open, market.closing)
  return true
}

export const closeHole = (market: Market, hole: Hole, { event, trade }: Awaited): void => {
  // An answer before the one that closes it may have brought its last trade.
  const awaited = { event, trade: trade !== null && isResolved(market, trade) ? null : trade }
  const closing = market.closing.filter((one) => !isAgain(hole, one.hole))
  const isAwaiting = awaited.trade !== null || event !== null
  const open = market.open.filter((one) => !isSame(hole, one))
  const before = [...market.open, ...market.left].find((one) => isSame(hole, one))
  market.fills = market.fills.filter((one) => !isSame(hole, one.hole))
  setHoles(market, open, isAwaiting ? [...closing, { hole: filledTo(hole, before?.after), awaited }] : closing)
}

/** The trade of that id is lost and counted, or it is no trade. */
export const lose = (market: Market, id: string): void => {
  if (market.spans.length === 0) return market.lost.clear()
  if (!id.startsWith(`${market.key}:t:`)) return
  market.lost.add(id)
  if (market.lost.size <= maxWithinHoles) return
  for (const oldest of market.lost) {
    market.lost.delete(oldest)
    return
  }
}

/** True if a closing hole waited for it. */
export const resolve = (market: Market, id: string): boolean => {
  if (!market.closing.some(({ awaited: { event, trade } }) => event === id || trade === id)) return false
  const closing = market.closing.map(({ awaited: { event, trade }, hole }): Closing => ({
    hole,
    awaited: { trade: trade === id ? null : trade, event: event === id ? null : event }
  }))
  setHoles(market, market.open, closing.filter(({ awaited: { event, trade } }) => event !== null || trade !== null))
  return true
}

// ---------------------------------------------------------------------------------------------------------------------
// for the next life

export const memoryOf = (market: Market): MarketMemory => {
  const { closing, exchangeSymbol, ids, last, open, times } = market
  const { newest, older } = select(market)
  const idOf = (i: number) => ids[i] ?? ""
  return {
    ids: newest.map(idOf),
    lastTimestamp: last,
    times: newest.map((i) => times[i] ?? null),
    exchangeSymbol,
    holes: [
      // Not filled while the trade that fills it may be lost.
      ...closing.map(({ awaited: { trade }, hole }): Hole => trade === null ? hole : { ...hole, over: null }),
      ...open
    ].sort((a, b) => startOf(a) - startOf(b) || 0),
    kept: [...older, ...newest.filter((i) => isWithinHole(market, times[i]))].map(idOf)
  }
}
