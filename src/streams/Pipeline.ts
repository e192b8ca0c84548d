/**
 * Feeds into a sink, chunk by chunk: the sink's pace is the feeds' pace, down to the sockets.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Transition } from "../services/CircuitBreaker.ts"
import { EventSink } from "../services/EventSink.ts"
import type { MarketEvent } from "../services/MarketEvent.ts"
import * as Time from "../services/Time.ts"

/**
 * Runs feeds until all have ended, which a feed does only when it was told to stop. Needs an `EventSink` and what the feeds need; never
 * fails.
 *
 * @since 0.1.0
 * @category operations
 */
export const run = <R>(
  feeds: ReadonlyArray<Stream.Stream<MarketEvent, never, R>>
): Effect.Effect<void, never, EventSink | R> =>
  Effect.flatMap(EventSink, (sink) =>
    Effect.forEach(
      feeds,
      (feed) => Stream.runForEachChunk(feed, (events) => sink.offer(Chunk.toReadonlyArray(events))),
      { concurrency: "unbounded", discard: true }
    ))

/**
 * Breakers that open and close, as status events. `exchange` is the one whose breaker it is, or `collector` for Kafka's own.
 * `collector`: an id of this process, so that ids are unique over collectors.
 *
 * @since 0.1.0
 * @category conversions
 */
export const breakerEvents = (
  transitions: Stream.Stream<Transition>,
  collector: string
): Stream.Stream<MarketEvent> =>
  Stream.zipWithIndex(transitions).pipe(
    Stream.mapEffect(([transition, index]) =>
      Effect.map(Time.wall, (now): MarketEvent => {
        const exchange = transition.exchange ?? "collector"
        return {
          type: "status",
          v: 1,
          exchange,
          event: "breaker",
          id: `${exchange}:status:${collector}:${Time.epochMillis(transition.at)}:breaker-${index}`,
          name: transition.name,
          // As it was called at first.
          breaker: transition.name,
          state: transition.to,
          previous: transition.from,
          receivedAt: Time.iso(now)
        }
      })
    )
  )
