/** What earlier lives of the collector left of a market, once each; and what later ones are to know of one that is gone. */
import { spansOf } from "./Kept.ts"
import { keyOf, type Market, prefixOf, type Step } from "./Market.ts"
import type { Options } from "./Options.ts"

export interface Lives {
  /** The market is met: what an earlier life left is taken over. True: a hole begins by that. */
  readonly inherit: (market: Market) => boolean
  /** Symbols of remembered markets that nobody has met yet, with the exchange's own. */
  readonly unmet: () => ReadonlyArray<{ readonly symbol: string; readonly exchangeSymbol: string }>
  /** The checkpoint knows nothing of it until it is heard again. */
  readonly forget: (market: Market) => void
  /** It is heard. True: the checkpoint is to know of it again. */
  readonly isBack: (market: Market) => boolean
}

export const make = (
  { exchange, holes, identity, memory, step }: Pick<Options, "exchange" | "holes" | "identity" | "memory"> & {
    readonly step: Step
  }
): Lives => {
  const met = new Set<string>()
  const forgotten = new Set<string>()
  return {
    inherit: (market) => {
      const { symbol } = market.state.market
      if (met.has(symbol)) return false
      met.add(symbol)
      const found = memory.get(keyOf(exchange, symbol))
      if (found === undefined) return false
      const prefix = prefixOf(exchange, symbol)
      const edge = market.state.edge()
      const spans = spansOf(found, edge, exchange.tradeIds, prefix)
      if (spans.length > 0) {
        step(market, {
          _tag: "TakenOver",
          spans,
          known: [...edge.known, ...(found.kept ?? []).map((id) => id.slice(prefix.length))]
        })
      }
      if (!identity.isRemembered(symbol) && spans.length === 0) return false
      // What that life knew of may be no more than the trade behind its hole, which died with it.
      step(market, {
        _tag: "Lost",
        listener: null,
        cause: "restart",
        edge: { ...edge, last: edge.last ?? spans.at(-1)?.to ?? null }
      })
      return true
    },
    unmet: () => {
      const prefix = keyOf(exchange, "")
      return Array.from(memory).flatMap(([key, { exchangeSymbol }]) => {
        const symbol = key.slice(prefix.length)
        const isOurs = key.startsWith(prefix) && !met.has(symbol)
        return isOurs && exchangeSymbol !== undefined ? [{ symbol, exchangeSymbol }] : []
      })
    },
    forget: ({ state: { market: { symbol } } }) => {
      holes?.forget(keyOf(exchange, symbol))
      forgotten.add(symbol)
    },
    isBack: ({ state: { market: { symbol } } }) => forgotten.delete(symbol)
  }
}
