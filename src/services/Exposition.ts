/**
 * What `/metrics` says of one program: collectors that tell what they know when asked, the instruments that parts write, and the text for
 * whoever scrapes it. On the roof: it knows all parts, and none knows it. Nothing is kept twice: families are made from the ledger, the breakers, the status of feeds and lanes at the moment of a scrape.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Effects from "./Exposition/Effects.ts"
import type { Family } from "./Exposition/Family.ts"
import * as Text from "./Exposition/Text.ts"
import { Instruments } from "./Instruments.ts"

export * from "./Exposition/Families.ts"
export type { Family, HistogramSample, Labels, Sample } from "./Exposition/Family.ts"
export type { Rendered } from "./Exposition/Text.ts"

/**
 * Makes families of what a part knows at that moment. Asked at every scrape: it must not wait.
 *
 * @since 0.1.0
 * @category models
 */
export type Collector = Effect.Effect<ReadonlyArray<Family>>

/**
 * What `/metrics` answers, and who is asked for it.
 *
 * @since 0.1.0
 * @category tags
 */
export class Exposition extends Context.Tag("effect-exchange-feeds/services/Exposition")<Exposition, {
  /** Until the scope ends. */
  readonly register: (collector: Collector) => Effect.Effect<void, never, Scope.Scope>
  /** `accept` as the request has it: OpenMetrics if that is preferred, else Prometheus' own format. */
  readonly expose: (accept: string | undefined) => Effect.Effect<Text.Rendered>
}>() {}

/**
 * Each program has its own, with the instruments of its context: two embedded collectors do not mix. Of Effect's registry, which is the
 * process', both tell what is not an instrument of ours.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Exposition["Type"]> = Effect.map(Instruments, (instruments) => {
  const collectors = new Set<Collector>()
  return {
    register: (collector) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          // An entry of its own, should the same collector be registered twice.
          const entry = Effect.suspend(() => collector)
          collectors.add(entry)
          return entry
        }),
        (entry) => Effect.sync(() => collectors.delete(entry))
      ).pipe(Effect.asVoid),
    expose: (accept) =>
      Effect.map(
        Effect.forEach(collectors, (collector) => collector),
        (all) => Text.render([...all.flat(), ...Effects.families(instruments)], accept)
      )
  }
})

/**
 * The exposition of one program, with the instruments of its context and as yet without collectors. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Exposition> = Layer.effect(Exposition, make)
