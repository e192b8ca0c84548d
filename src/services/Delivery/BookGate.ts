/** The way of books to their lane: through at once, or conflated while the queue is nearly full. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isNearlyFull } from "../FileQueue.ts"
import type * as Ledger from "../Ledger.ts"
import type { MarketEvent } from "../MarketEvent.ts"
import * as Time from "../Time.ts"
import * as Conflation from "./Conflation.ts"

export interface BookGate {
  readonly offer: (books: ReadonlyArray<MarketEvent>) => Effect.Effect<void>
  /** Before a stop: what is held goes on; what finds no room in time is dropped, and counted. */
  readonly release: (limit: Duration.Duration) => Effect.Effect<void>
}

interface Options {
  readonly usage: Effect.Effect<{ readonly bytes: number; readonly maxBytes: number }>
  readonly ledger: Ledger.Shape
  /** To the lane, as they are. */
  readonly pass: (books: ReadonlyArray<MarketEvent>) => Effect.Effect<void>
}

/** How often held books are looked at. */
const dueEvery = "250 millis"

export const make = Effect.fnUntraced(function*(
  { ledger, pass, usage }: Options
): Effect.fn.Return<BookGate, never, Scope.Scope> {
  const conflation = Conflation.make()
  /** One after the other, so that no book overtakes another. */
  const inLine = yield* Effect.makeSemaphore(1)

  const leave = (place: "filtered" | "dropped", reason: Ledger.Reason, { exchange }: MarketEvent) =>
    ledger.move({ lane: "book", exchange }, "in_flight", place, 1, reason)

  /** The last one of a market must come too, though no other follows. */
  const passDue = inLine.withPermits(1)(Effect.gen(function*() {
    const nearlyFull = isNearlyFull(yield* usage)
    yield* pass(nearlyFull ? conflation.due(yield* Time.now) : conflation.release())
  }))
  yield* Effect.sleep(dueEvery).pipe(Effect.andThen(passDue), Effect.forever, Effect.forkScoped)

  return {
    offer: (books) =>
      inLine.withPermits(1)(Effect.gen(function*() {
        if (!isNearlyFull(yield* usage)) return yield* pass([...conflation.release(), ...books])
        const now = conflation.offer(books, yield* Time.now)
        for (const book of now.replaced) leave("filtered", book.type === "book_delta" ? "merged" : "conflated", book)
        yield* pass(now.pass)
      })),
    release: (limit) =>
      Effect.gen(function*() {
        const end = Time.plus(yield* Time.now, Duration.toMillis(limit))
        for (const book of conflation.release()) {
          const left = Math.max(0, Time.between(yield* Time.now, end))
          const taken = yield* pass([book]).pipe(Effect.interruptible, Effect.timeoutOption(Duration.millis(left)))
          if (taken._tag === "None") leave("dropped", "full", book)
        }
      })
  }
})
