/**
 * Books when the queue is nearly full (docs/delivery-guarantees.md "What a full queue does"): of each market what is the newest, once a
 * second. A book is the whole picture: one that a newer stands for is no loss, nor is what changed before it. Changes are merged, the later
 * level wins: their chain goes on without a hole. Pure but for its memory.
 */
import type { BookDelta, MarketEvent } from "../MarketEvent.ts"
import * as Time from "../Time.ts"

/** What is held of a market goes on in so many ms. */
const every = 1000

export interface Conflation {
  /** `pass`: go on now, in this order. `replaced`: never will, for what is newer tells it. All others are held. */
  readonly offer: (
    books: ReadonlyArray<MarketEvent>,
    now: Time.Instant
  ) => { readonly pass: ReadonlyArray<MarketEvent>; readonly replaced: ReadonlyArray<MarketEvent> }
  /** Of what is held, that whose second is over. */
  readonly due: (now: Time.Instant) => ReadonlyArray<MarketEvent>
  /** All that is held: there is room again, or an end. */
  readonly release: () => ReadonlyArray<MarketEvent>
}

interface Market {
  /** When something of it last went on. */
  passedAt: Time.Instant
  /** In their order: at most one book, and one change behind it. */
  held: ReadonlyArray<MarketEvent>
}

const keyOf = (event: MarketEvent): string => `${event.exchange}:${event.symbol ?? ""}`

type Levels = BookDelta["bids"]

const laterWins = (earlier: Levels, later: Levels): Levels => {
  const amounts = new Map(earlier)
  for (const [price, amount] of later) amounts.set(price, amount)
  return Array.from(amounts)
}

/** Both in one; undefined if the one does not follow the other. */
const merged = (earlier: MarketEvent | undefined, later: BookDelta): BookDelta | undefined =>
  earlier?.type !== "book_delta" || earlier.sequence !== later.previous ? undefined : {
    ...later,
    previous: earlier.previous,
    bids: laterWins(earlier.bids, later.bids),
    asks: laterWins(earlier.asks, later.asks)
  }

/** What is held after one more, and what never goes on. */
const after = (
  held: ReadonlyArray<MarketEvent>,
  event: MarketEvent
): { readonly held: ReadonlyArray<MarketEvent>; readonly replaced: ReadonlyArray<MarketEvent> } => {
  if (event.type !== "book_delta") return { held: [event], replaced: held }
  const last = held.at(-1)
  const both = merged(last, event)
  return both === undefined || last === undefined
    ? { held: [...held, event], replaced: [] }
    : { held: [...held.slice(0, -1), both], replaced: [last] }
}

export const make = (): Conflation => {
  const markets = new Map<string, Market>()

  const isDue = ({ passedAt }: Market, now: Time.Instant): boolean => Time.between(passedAt, now) >= every

  const take = (which: (market: Market) => boolean, now?: Time.Instant): ReadonlyArray<MarketEvent> => {
    const taken: Array<MarketEvent> = []
    for (const market of markets.values()) {
      if (market.held.length === 0 || !which(market)) continue
      taken.push(...market.held)
      market.held = []
      if (now !== undefined) market.passedAt = now
    }
    return taken
  }

  return {
    offer: (books, now) => {
      const pass: Array<MarketEvent> = []
      const replaced: Array<MarketEvent> = []
      for (const book of books) {
        const key = keyOf(book)
        const market = markets.get(key)
        if (market === undefined) {
          markets.set(key, { passedAt: now, held: [] })
          pass.push(book)
          continue
        }
        const next = after(market.held, book)
        replaced.push(...next.replaced)
        market.held = next.held
        if (!isDue(market, now)) continue
        pass.push(...market.held)
        market.held = []
        market.passedAt = now
      }
      return { pass, replaced }
    },
    due: (now) => take((market) => isDue(market, now), now),
    release: () => {
      const all = take(() => true)
      markets.clear()
      return all
    }
  }
}
