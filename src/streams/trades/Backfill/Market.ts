/** One market of an exchange, as the parts of `Backfill` have it between them. */
import type { MarketEvent } from "../../../services/MarketEvent.ts"
import type * as Time from "../../../services/Time.ts"
import type { Exchange } from "../../Exchange.ts"
import type * as Holes from "../Holes.ts"
import type { Identified, MarketState } from "../Identity.ts"
import * as Numbers from "../Numbers.ts"
import * as Spans from "../Spans.ts"
import type { View } from "../TradeGroups.ts"
import type { Spoilt } from "./Spoilt.ts"

export interface Market {
  state: MarketState
  holes: Holes.State<MarketEvent>
  /** When it was first subscribed to in this life. */
  heardSince: Time.Instant | undefined
  /**
   * Session that brought trades of it last while nobody was subscribed: its end is told by nobody. Undefined: none did since somebody was.
   */
  speaker: View | undefined
  /** Rows of it could not be read just now; undefined: all could. */
  spoilt: Spoilt | undefined
  /** Since when its next question is due; undefined: none is. A hole that begins anew meanwhile leaves it. */
  dueSince: Time.Instant | undefined
}

/** Tells a market's machine, and carries out what follows. */
export type Step = (market: Market, input: Holes.Input<MarketEvent>) => void

/** As the checkpoint calls the market. */
export const keyOf = (exchange: Pick<Exchange, "id">, symbol: string): string => `${exchange.id}:${symbol}`

/** What the ids of its trades begin with. */
export const prefixOf = (exchange: Pick<Exchange, "id">, symbol: string): string => `${keyOf(exchange, symbol)}:t:`

/** New trades with their events, as the machine has them. */
export const freshOf = (
  exchange: Pick<Exchange, "id" | "tradeIds">,
  { market }: MarketState,
  identified: ReadonlyArray<Identified>,
  events: ReadonlyArray<MarketEvent>
): ReadonlyArray<Holes.Fresh<MarketEvent>> => {
  const cut = prefixOf(exchange, market.symbol).length
  return identified.flatMap(({ id, row }, i) => {
    const event = events[i]
    if (event === undefined) return []
    const numbers = exchange.tradeIds === undefined ? undefined : Numbers.rangeOf(row)
    return [{ id: id.slice(cut), stamp: Spans.stampOf(row), event, numbers }]
  })
}
