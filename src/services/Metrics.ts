/**
 * Metrics of one program: collectors that say what they know when asked, and the text for whoever scrapes it. Nothing is kept
 * twice: families are made from the ledger, the breakers, the status of feeds and lanes at the moment of a scrape.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Effects from "./Metrics/Effects.ts"
import type { Family } from "./Metrics/Family.ts"
import * as Text from "./Metrics/Text.ts"

export * from "./Metrics/Families.ts"
export type { Family, HistogramSample, Labels, Sample } from "./Metrics/Family.ts"
export * from "./Metrics/Instruments.ts"
export type { Exposition } from "./Metrics/Text.ts"

/** Asked at every scrape: it must not wait. */
export type Collector = Effect.Effect<ReadonlyArray<Family>>

export class Metrics extends Context.Tag("effect-exchange-feeds/services/Metrics")<Metrics, {
  /** Until the scope ends. */
  readonly register: (collector: Collector) => Effect.Effect<void, never, Scope.Scope>
  /** `accept` as the request has it: OpenMetrics if that is preferred, else Prometheus' own format. */
  readonly expose: (accept: string | undefined) => Effect.Effect<Text.Exposition>
}>() {}

/** Each program has its own: two embedded collectors do not mix. Effect's registry is the process', and told by both. */
export const make: Effect.Effect<Metrics["Type"]> = Effect.sync(() => {
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
        (all) => Text.render([...all.flat(), ...Effects.families()], accept)
      )
  }
})

export const layer: Layer.Layer<Metrics> = Layer.effect(Metrics, make)
