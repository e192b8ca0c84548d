/**
 * What was true of a fake's books, state by state, and what a feed made of it: each state that a reader came to was one of them, in their
 * order; wherever nobody was there to hear of a change, a gap says so before the next state; each gap that is opened is closed.
 */
import type { Book as Sides } from "../../../src/layers/testing/FakeBooks.ts"
import type { FakeConnection } from "../../../src/layers/testing/FakeConnection.ts"
import type { FakeExchange } from "../../../src/layers/testing/FakeExchange.ts"
import type { Book, BookDelta, MarketEvent, Status } from "../../../src/services/MarketEvent.ts"

/** How a fake's books are looked at and moved. */
export interface Books {
  /** As a reader has to come to it. */
  readonly book: (exchangeSymbol: string) => Sides
  /** Another order, told to whoever is subscribed; does nothing where something else moves the books. */
  readonly move: (exchangeSymbol: string) => void
  /** `around` is given each market whose book is about to change, and what changes it. */
  readonly watch: (around: (exchangeSymbol: string, change: () => void) => void) => void
  /** One side a message: a reader's two sides need not have been true in one moment. */
  readonly isSided: boolean
}

/** A book, or one side of it, since the beginning. */
interface Track {
  /** Places in the order of states. A state may come back: a level that is set and taken away again. */
  readonly places: Map<string, Array<number>>
  /** Of those that nobody heard of. */
  readonly unheard: Array<number>
  last: string
  count: number
}

/** How far a reader has come on a track: it stands somewhere between the two. */
interface Standing {
  least: number
  most: number
}

/** A silent market that is subscribed to anew may be deaf for so long, untold, ms (docs/design/books.md "States"). */
const deafFor = 10_000

type Level = readonly [price: string, amount: string]

const textOf = (levels: Iterable<Level>): string => Array.from(levels, ([p, a]) => `${p} ${a}`).sort().join()

const tracked = (isSided: boolean, { asks, bids }: { readonly [Side in keyof Sides]: Iterable<Level> }) =>
  isSided ? [textOf(bids), textOf(asks)] : [`${textOf(bids)};${textOf(asks)}`]

export interface TrueBooks {
  /** Sentences about what was wrong with the events of books; none: nothing. */
  readonly judge: (events: ReadonlyArray<MarketEvent>) => ReadonlyArray<string>
}

/** Keeps each state from now on. `topicsOf`: of a market's book. */
export const make = (
  fake: FakeExchange,
  { book, isSided, watch }: Books,
  topicsOf: (exchangeSymbol: string) => ReadonlyArray<string>
): TrueBooks => {
  const all = new Map<string, ReadonlyArray<Track>>()

  const note = (exchangeSymbol: string, isHeard: boolean): void => {
    const states = tracked(isSided, book(exchangeSymbol))
    const tracks = all.get(exchangeSymbol) ??
      states.map((): Track => ({ places: new Map(), unheard: [], last: "", count: 0 }))
    all.set(exchangeSymbol, tracks)
    tracks.forEach((track, i) => {
      const state = states[i] ?? ""
      if (track.count > 0 && state === track.last) return
      const places = track.places.get(state) ?? []
      track.places.set(state, places)
      places.push(track.count)
      if (!isHeard) track.unheard.push(track.count)
      track.last = state
      track.count += 1
    })
  }

  /** When a market was last heard on a connection, epoch ms. */
  const heardAt = new WeakMap<FakeConnection, Map<string, number>>()

  const isHeard = (exchangeSymbol: string): boolean => {
    const topics = topicsOf(exchangeSymbol)
    const now = Date.now()
    return [...fake.server.connections].some((connection) => {
      if (!connection.alive) return false
      const times = heardAt.get(connection) ?? new Map<string, number>()
      heardAt.set(connection, times)
      if (topics.every((topic) => connection.subscriptions.has(topic))) times.set(exchangeSymbol, now)
      return now - (times.get(exchangeSymbol) ?? 0) < deafFor
    })
  }

  for (const { exchangeSymbol } of fake.tradable) note(exchangeSymbol, true)
  watch((exchangeSymbol, change) => {
    // Asked before: a connection may be told to end right behind what it is sent. Of a mute server nobody hears it, subscribed or not, and
    // silence makes no book doubtful.
    const heard = fake.server.isMuted(exchangeSymbol) || isHeard(exchangeSymbol)
    change()
    note(exchangeSymbol, heard)
  })

  /** Where a reader that has come to `state` stands; undefined: nowhere. */
  const step = (track: Track, standing: Standing | undefined, state: string): Standing | undefined => {
    const places = track.places.get(state) ?? []
    const least = places.find((place) => place >= (standing?.least ?? 0))
    return least === undefined ? undefined : { least, most: places.at(-1) ?? least }
  }

  const judgeOne = (exchangeSymbol: string, events: ReadonlyArray<Book | BookDelta | Status>): Array<string> => {
    const problems: Array<string> = []
    const tracks = all.get(exchangeSymbol) ?? []
    const standings: Array<Standing | undefined> = tracks.map(() => undefined)
    let bids = new Map<string, string>()
    let asks = new Map<string, string>()
    let isTold = false
    let open: Status | undefined
    let isAfterGap = false
    /** A gap was told since the reader's state on that track was another: what is recovered begins with the state of before. */
    const isCovered = tracks.map(() => false)
    const wrong = (event: Book | BookDelta | Status, what: string) =>
      void problems.push(`${exchangeSymbol}, ${event.type} ${event.id}: ${what}`)
    for (const event of events) {
      if (event.type === "status") {
        const isEnd = event["complete"] === true
        if (!isEnd && open !== undefined) wrong(event, "a gap in a gap")
        if (isEnd && (open?.["gapId"] !== event["gapId"] || open?.["from"] !== event["from"])) {
          wrong(event, "a gap ends that did not begin")
        }
        open = isEnd ? undefined : event
        isAfterGap = true
        isCovered.fill(true)
        continue
      }
      if (open !== undefined) wrong(event, "told within a gap")
      if (event.type === "book") {
        bids = new Map(event.bids)
        asks = new Map(event.asks)
        if (!isInOrder(event)) wrong(event, "not best first")
      } else {
        if (isAfterGap || !isTold) wrong(event, "a change of nothing")
        apply(bids, event.bids)
        apply(asks, event.asks)
      }
      tracked(isSided, { bids, asks }).forEach((state, i) => {
        const track = tracks[i]
        const standing = standings[i]
        if (track === undefined) return
        const next = step(track, standing, state)
        if (next === undefined) {
          wrong(event, track.places.has(state) ? "older than the one before" : "was never true")
          return
        }
        standings[i] = next
        if (standing === undefined || next.least <= standing.most) return
        const isMissed = track.unheard.some((place) => place > standing.most && place <= next.least)
        if (isMissed && isCovered[i] !== true) wrong(event, "behind a change that nobody heard, and no gap tells of it")
        isCovered[i] = false
      })
      isTold = true
      isAfterGap = false
    }
    if (open !== undefined) wrong(open, "a gap without an end")
    return problems
  }

  return {
    judge: (events) => {
      const bySymbol = new Map<string, Array<Book | BookDelta | Status>>()
      for (const event of events) {
        if (!isOfBooks(event)) continue
        const of = bySymbol.get(event.symbol ?? "") ?? []
        bySymbol.set(event.symbol ?? "", of)
        of.push(event)
      }
      return fake.tradable.flatMap(({ exchangeSymbol, symbol }) => judgeOne(exchangeSymbol, bySymbol.get(symbol) ?? []))
    }
  }
}

/** A book, a change of one, or a word about a stretch without one. */
export const isOfBooks = (event: MarketEvent): event is Book | BookDelta | Status =>
  event.type === "book" || event.type === "book_delta" || isGap(event)

export const isGap = (event: MarketEvent): event is Status =>
  event.type === "status" && event.event === "gap" && event.channel === "books"

const apply = (side: Map<string, string>, levels: BookDelta["bids"]): void => {
  for (const [price, amount] of levels) {
    if (amount === "0") side.delete(price)
    else side.set(price, amount)
  }
}

/** A double is good enough to tell which of two neighbours is the better. */
const isInOrder = ({ asks, bids }: Book): boolean =>
  bids.every(([price], i) => i === 0 || Number(price) < Number(bids[i - 1]?.[0])) &&
  asks.every(([price], i) => i === 0 || Number(price) > Number(asks[i - 1]?.[0]))
