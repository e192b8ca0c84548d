/** Holes in the checkpoint: durable before what is behind them goes on, many markets in one write. */
import * as Effect from "effect/Effect"
import * as Holes from "../Holes.ts"
import { toHole } from "./Kept.ts"
import { keyOf, type Market, prefixOf, type Step } from "./Market.ts"
import type { Options } from "./Options.ts"

export interface Durable {
  /** What is open of it is in the next write, whenever that is. */
  readonly keep: (market: Market) => void
  /** It is written at once, and the machine told whether that could be done. */
  readonly persist: (market: Market) => void
  /** It is over, and leaves the checkpoint when what it brought and what was told of it is resolved. */
  readonly close: (market: Market, command: Extract<Holes.Command<unknown>, { readonly _tag: "Close" }>) => void
  /** Writes what waits for it, waiting for some. */
  readonly write: Effect.Effect<void>
}

export const make = (
  { exchange, holes, step }: Pick<Options, "exchange" | "holes"> & { readonly step: Step }
): Effect.Effect<Durable> =>
  Effect.map(Effect.makeLatch(false), (toWrite) => {
    const unwritten = new Set<Market>()

    const keep = (market: Market): void => {
      const { exchangeSymbol, symbol } = market.state.market
      const spans = Holes.spansToKeep(market.holes).map((span) => toHole(span, null, prefixOf(exchange, symbol)))
      holes?.keepHoles(keyOf(exchange, symbol), exchangeSymbol, spans)
    }

    return {
      keep,
      persist: (market) => {
        unwritten.add(market)
        toWrite.unsafeOpen()
      },
      close: (market, { complete, lastEvent, span }) => {
        const { symbol } = market.state.market
        const prefix = prefixOf(exchange, symbol)
        keep(market)
        holes?.closeHole(keyOf(exchange, symbol), toHole(span, complete ? "filled" : "given up", prefix), {
          trade: span.lastTrade === null ? null : prefix + span.lastTrade,
          event: lastEvent
        })
      },
      write: Effect.andThen(
        toWrite.await,
        Effect.suspend(() => {
          toWrite.unsafeClose()
          const all = Array.from(unwritten)
          unwritten.clear()
          for (const market of all) keep(market)
          const done = (ok: boolean) =>
            Effect.sync(() => all.forEach((market) => step(market, { _tag: "Persisted", ok })))
          if (holes === undefined) return done(false)
          return holes.write.pipe(
            Effect.matchEffect({
              onSuccess: () => done(true),
              onFailure: (error) =>
                Effect.logWarning(
                  "holes cannot be kept for the next life; they are told, and what is behind them goes on"
                ).pipe(
                  Effect.annotateLogs({ exchange: exchange.id, markets: all.length, error: error.message }),
                  Effect.andThen(done(false))
                )
            })
          )
        })
      )
    }
  })
