/** All that leaves a hole goes through one queue and one fiber, so that what a step of the machine has let go first arrives first. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Queue from "effect/Queue"
import type { MarketEvent } from "../../../services/MarketEvent.ts"
import type { Market } from "./Market.ts"
import type { Options } from "./Options.ts"

export interface HandOver {
  /** Behind all that was given before. */
  readonly give: (market: Market, events: ReadonlyArray<MarketEvent>) => void
  /** All that was given so far is handed over. */
  readonly sent: Effect.Effect<void>
  /** Hands over the next chunk, waiting for one. */
  readonly next: Effect.Effect<void>
}

interface Handing {
  /** Undefined: somebody wants to know when all before it is handed over. */
  readonly market: Market | undefined
  readonly events: ReadonlyArray<MarketEvent>
  readonly done?: Deferred.Deferred<void> | undefined
}

/** Chunks of the queue that are handed over as one. */
const batch = 256

/** `handed`: is told of each market that something was given for, in order. */
export const make = (
  { emit, handed }: Pick<Options, "emit"> & { readonly handed: (market: Market) => void }
): Effect.Effect<HandOver> =>
  Effect.map(Queue.unbounded<Handing>(), (queue) => ({
    give: (market, events) => void queue.unsafeOffer({ market, events }),
    sent: Effect.suspend(() => {
      const done = Deferred.unsafeMake<void>(FiberId.none)
      queue.unsafeOffer({ market: undefined, events: [], done })
      return Deferred.await(done)
    }),
    next: Effect.flatMap(Queue.takeBetween(queue, 1, batch), (chunk) => {
      const all = Array.from(chunk)
      const events = all.flatMap(({ events }) => events)
      return (events.length === 0 ? Effect.void : emit(events)).pipe(
        Effect.andThen(Effect.sync(() => {
          for (const { done, market } of all) {
            if (done !== undefined) Deferred.unsafeDone(done, Exit.void)
            if (market !== undefined) handed(market)
          }
        }))
      )
    })
  }))
