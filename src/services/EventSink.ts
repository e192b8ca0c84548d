/**
 * Where events go. `KafkaSink` is the sink of the service; a caller's own sink is one layer of this tag.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type { MarketEvent } from "./MarketEvent.ts"

/**
 * Whoever takes the events of feeds (`Pipeline.run`).
 *
 * @since 0.1.0
 * @category tags
 */
export class EventSink extends Context.Tag("effect-exchange-feeds/services/EventSink")<EventSink, {
  /**
   * Takes a chunk over, in order. Returns when the sink is responsible for it; suspends only when neither Kafka nor the
   * disk can keep up, which is how back-pressure reaches the socket (docs/design/laws.md "Keep reading, then spill, then pause"). At-least-once: a sink may
   * deliver an event twice after a crash, always with the same `id`.
   */
  readonly offer: (events: ReadonlyArray<MarketEvent>) => Effect.Effect<void>
}>() {}

/**
 * Keeps everything it was offered: for tests and for trying things out.
 *
 * @since 0.1.0
 * @category tags
 */
export class MemorySink extends Context.Tag("effect-exchange-feeds/services/EventSink/MemorySink")<MemorySink, {
  readonly events: Effect.Effect<ReadonlyArray<MarketEvent>>
}>() {}

/**
 * A sink that keeps every event in memory, for ever, and what it kept. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<EventSink | MemorySink> = Layer.effectContext(
  Effect.gen(function*() {
    const events = yield* Ref.make<ReadonlyArray<MarketEvent>>([])
    return Context.make(EventSink, { offer: (more) => Ref.update(events, (all) => [...all, ...more]) }).pipe(
      Context.add(MemorySink, { events: Ref.get(events) })
    )
  })
)
