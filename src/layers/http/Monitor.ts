/**
 * What there is to see of one collector, and its metrics.
 */
import * as Effect from "effect/Effect"
import type { CircuitBreakers } from "../../services/CircuitBreaker.ts"
import type { LaneStatus } from "../../services/Delivery.ts"
import * as Exposition from "../../services/Exposition.ts"
import type * as FeedStatus from "../../services/FeedStatus.ts"
import type { Health } from "../../services/Health.ts"
import type * as Ledger from "../../services/Ledger.ts"
import * as Time from "../../services/Time.ts"

export interface Sources {
  readonly version: string
  /** For series that are there from the start. */
  readonly exchanges: ReadonlyArray<string>
  readonly channels: ReadonlyArray<"trades" | "books">
  readonly ledger: Ledger.Shape
  readonly status: FeedStatus.Shape
  readonly breakers: CircuitBreakers["Type"]
  readonly health: Health["Type"]
  /** Undefined until the queues are recovered. */
  readonly sink: Effect.Effect<
    {
      readonly lanes: ReadonlyArray<LaneStatus>
      readonly usage: { readonly bytes: number; readonly maxBytes: number }
    } | undefined
  >
}

/** All families of one collector but those of the process. */
export const collector = (sources: Sources): Exposition.Collector =>
  Effect.gen(function*() {
    const sink = yield* sources.sink
    return [
      Exposition.buildFamily({ version: sources.version, node: process.version }),
      ...Exposition.healthFamilies(yield* sources.health.answer),
      ...Exposition.ledgerFamilies(sources.ledger.accounts(), sources.exchanges, sources.channels),
      ...Exposition.feedFamilies(sources.status.exchanges(), yield* Time.now),
      ...Exposition.bookFamilies(sources.status.exchanges()),
      ...Exposition.breakerFamilies(yield* sources.breakers.snapshots),
      ...(sink === undefined ? [] : Exposition.queueFamilies(sink.lanes, sink.usage))
    ]
  })
