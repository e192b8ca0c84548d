/**
 * What must hold of whatever lives (`Lives.ts`) made of an exchange's trades: nothing is missing untold, at no moment and not in the
 * end, nothing comes twice or out of order, and no hole is told wider than what was seen around it.
 */
import { assert } from "@effect/vitest"
import { compare } from "../../../src/services/ExchangeTime.ts"
import type { MarketEvent, Status, Trade } from "../../../src/services/MarketEvent.ts"
import type { Word } from "./Lives.ts"
import type { Issued, Name } from "./World.ts"

const textOf = (time: unknown): string | null => typeof time === "string" ? time : null

/** Both edges belong to it; one that is not known has no bound. */
const lies = (gap: Status, time: string): boolean => {
  const [from, to] = [textOf(gap["from"]), textOf(gap["to"])]
  return (from === null || compare(from, time) <= 0) && (to === null || compare(time, to) <= 0)
}

const later = (time: string, ms: number): string => new Date(Date.parse(time) + ms).toISOString()

/** Where trades have whole seconds, one that shares its second with an edge may have come before it or behind it. */
const liesWithin = (name: Name, gap: Status, time: string): boolean => {
  const [from, to] = [textOf(gap["from"]), textOf(gap["to"])]
  const unit = name === "wallex" ? 1_000 : 0
  const earliest = from === null || unit === 0 ? from : later(from, unit)
  const latest = unit === 0 ? time : later(time, unit)
  return (earliest === null || compare(earliest, time) < 0) && (to === null || compare(latest, to) < 0)
}

const symbolOf = (gap: Status): string => String(gap["symbol"])

/** Trades of one id where the exchange gives ids; else those that are equal, of which only the number counts. */
class Groups {
  private readonly ids = new Map<string, Set<string>>()
  add(group: string, id: string): void {
    const found = this.ids.get(group)
    if (found === undefined) this.ids.set(group, new Set([id]))
    else found.add(id)
  }
  of(group: string): ReadonlySet<string> {
    return this.ids.get(group) ?? new Set()
  }
}

interface Market {
  /** In the order in which they happened. */
  readonly issued: Array<{ readonly issued: Issued; readonly group: string; readonly rank: number }>
  /** The place of its first. */
  readonly places: Map<string, number>
}

/** Of one life. */
interface Present {
  readonly handedOver: Groups
  readonly fromHistory: Groups
  readonly heard: Groups
  readonly gaps: Map<string, Status>
  readonly trades: Array<Trade>
  /** By market: all issued before that place were looked for. */
  readonly checked: Map<string, number>
  /** By market: the time of the newest trade of a socket. */
  readonly newest: Map<string, string>
}

const born = (): Present => ({
  handedOver: new Groups(),
  fromHistory: new Groups(),
  heard: new Groups(),
  gaps: new Map(),
  trades: [],
  checked: new Map(),
  newest: new Map()
})

export interface Verdict {
  readonly delivered: ReadonlyArray<MarketEvent>
  /** The last that arrived of each hole. */
  readonly gaps: ReadonlyArray<Status>
}

/** `isAllOwed`: histories had all there is, and the disk took all: nothing may be missing in the end, told or not. */
export const judge = (
  name: Name,
  words: ReadonlyArray<Word>,
  { isAllOwed }: { readonly isAllOwed: boolean }
): Verdict => {
  const groupOf = (id: string): string => name === "wallex" ? id.slice(0, id.lastIndexOf(":")) : id
  const markets = new Map<string, Market>()
  const known = new Set<string>()
  const events: Array<MarketEvent> = []
  const delivered = new Groups()
  /** By `gapId`: the last one that arrived. */
  const told = new Map<string, Status>()
  const froms = new Map<string, string | null>()
  let unwritten = new Set<string>()
  const excusable = new Set<string>()
  let present = born()

  const gapIdOf = (gap: Status): string => textOf(gap["gapId"]) ?? `${symbolOf(gap)} from ${String(gap["from"])}`

  const isTold = ({ issued: { symbol, time } }: Market["issued"][number]): boolean =>
    [...told.values(), ...present.gaps.values()].some((gap) =>
      gap["complete"] === false && symbolOf(gap) === symbol && lies(gap, time)
    )
  const isThere = ({ group, rank }: Market["issued"][number]): boolean =>
    rank <= new Set([...delivered.of(group), ...present.handedOver.of(group)]).size

  const issue = (issued: Issued): void => {
    const { id, isHeard, symbol } = issued
    const market: Market = markets.get(symbol) ?? { issued: [], places: new Map() }
    markets.set(symbol, market)
    const group = groupOf(id)
    if (!market.places.has(group)) market.places.set(group, market.issued.length)
    market.issued.push({ issued, group, rank: market.issued.filter((one) => one.group === group).length + 1 })
    known.add(id)
    if (isHeard) present.heard.add(group, id)
  }

  const handOver = (trade: Trade): void => {
    const { id, source, symbol, timestamp } = trade
    const group = groupOf(id)
    const market = markets.get(symbol)
    const place = market?.places.get(group)
    assert.isTrue(known.has(id), `${id} was never issued`)
    if (market === undefined || place === undefined) return
    assert.isFalse(present.handedOver.of(group).has(id), `${id} was handed over twice`)
    present.handedOver.add(group, id)
    present.trades.push(trade)
    if (source === "rest") {
      present.fromHistory.add(group, id)
      const ofGroup = market.issued.filter((one) => one.group === group).length
      assert.isAtMost(
        present.fromHistory.of(group).size,
        ofGroup - present.heard.of(group).size,
        `a socket brought ${id}, and it is told as the history's`
      )
      return
    }
    if (timestamp !== null) {
      assert.isAtLeast(compare(timestamp, present.newest.get(symbol) ?? timestamp), 0, `${id} out of its order`)
      present.newest.set(symbol, timestamp)
    }
    // Whatever came before it is here, or was told.
    for (const before of market.issued.slice(present.checked.get(symbol) ?? 0, place)) {
      assert.isTrue(
        isThere(before) || isTold(before),
        `${before.issued.id} of ${before.issued.time} is missing untold, and ${id} was handed over`
      )
    }
    present.checked.set(symbol, place)
  }

  const tell = (gap: Status): void => {
    const [from, to] = [textOf(gap["from"]), textOf(gap["to"])]
    if (from !== null && to !== null) assert.isAtMost(compare(from, to), 0, JSON.stringify(gap))
    const gapId = gapIdOf(gap)
    assert.strictEqual(from, froms.get(gapId) ?? from, `from of ${gapId}`)
    froms.set(gapId, from)
    const inside = present.trades.filter(({ source, symbol, timestamp }) =>
      source === "ws" && symbol === symbolOf(gap) && timestamp !== null && liesWithin(name, gap, timestamp)
    )
    assert.deepStrictEqual(inside.map(({ id }) => id), [], `inside ${JSON.stringify(gap)}`)
    present.gaps.set(gapId, gap)
  }

  const deliver = (event: MarketEvent): void => {
    events.push(event)
    if (event.type === "trade") {
      const group = groupOf(event.id)
      assert.isTrue(!delivered.of(group).has(event.id) || excusable.has(event.id), `${event.id} was delivered twice`)
      delivered.add(group, event.id)
      unwritten.add(event.id)
    } else if (isGap(event)) told.set(gapIdOf(event), event)
  }

  for (const word of words) {
    switch (word._tag) {
      case "Begin":
        present = born()
        break
      case "Issued":
        issue(word.issued)
        break
      case "HandedOver":
        if (word.event.type === "trade") handOver(word.event)
        else if (isGap(word.event)) tell(word.event)
        break
      case "Delivered":
        deliver(word.event)
        break
      case "Written":
        unwritten = new Set()
        break
      case "Died":
        for (const id of unwritten) excusable.add(id)
        unwritten = new Set()
        present = born()
        break
    }
  }

  const owed = Array.from(markets.values()).flatMap(({ issued }) => issued)
  const gaps = Array.from(told.values())
  for (const one of owed) {
    const { id, time } = one.issued
    assert.isTrue(isThere(one) || isTold(one), `${id} of ${time} is missing in the end, and no gap says so`)
    if (isAllOwed) assert.isTrue(isThere(one), `${id} of ${time} was never brought: ${JSON.stringify(gaps)}`)
  }
  if (isAllOwed) {
    assert.deepStrictEqual(gaps.filter(({ complete }) => complete !== true), [], "told as missing, and never as filled")
  }
  return { delivered: events, gaps }
}

const isGap = (event: MarketEvent): event is Status => event.type === "status" && event.event === "gap"
