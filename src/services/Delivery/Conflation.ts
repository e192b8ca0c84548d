/**
 * Books when the queue is nearly full: of each market one a second, the newest (docs/delivery-guarantees.md "What a full queue does"). A book is the whole picture, so one that a
 * newer replaces is no loss; a trade would be. Pure but for its memory.
 */
import type { MarketEvent } from "../MarketEvent.ts"
import * as Time from "../Time.ts"

/** One of a market goes on in so many ms. */
const every = 1000

export interface Conflation {
  /** `pass`: go on now, in this order. `replaced`: never will. All others are held: at most one for each market. */
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
  /** When its last book went on. */
  passedAt: Time.Instant
  held: MarketEvent | undefined
}

const keyOf = (event: MarketEvent): string => `${event.exchange}:${event.symbol ?? ""}`

export const make = (): Conflation => {
  const markets = new Map<string, Market>()

  const isDue = ({ passedAt }: Market, now: Time.Instant): boolean => Time.between(passedAt, now) >= every

  const take = (which: (market: Market) => boolean, now?: Time.Instant): ReadonlyArray<MarketEvent> => {
    const taken: Array<MarketEvent> = []
    for (const market of markets.values()) {
      if (market.held === undefined || !which(market)) continue
      taken.push(market.held)
      market.held = undefined
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
          markets.set(key, { passedAt: now, held: undefined })
          pass.push(book)
          continue
        }
        if (market.held !== undefined) replaced.push(market.held)
        market.held = book
        if (!isDue(market, now)) continue
        market.held = undefined
        market.passedAt = now
        pass.push(book)
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
