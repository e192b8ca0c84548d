import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { HoleStore, MarketMemory } from "../../../services/Checkpoint.ts"
import type * as Ledger from "../../../services/Ledger.ts"
import type { MarketEvent } from "../../../services/MarketEvent.ts"
import type * as RetryPolicy from "../../../services/RetryPolicy.ts"
import type { Board } from "../../Board.ts"
import type { Exchange } from "../../Exchange.ts"
import type { Recorder } from "../../Recorder.ts"
import type * as Rest from "../../Rest.ts"
import type { StatusEvents } from "../../StatusEvents.ts"
import type { Identity } from "../Identity.ts"

export interface Options {
  readonly exchange: Exchange
  readonly rest: Rest.Rest
  readonly retry: RetryPolicy.Options
  readonly identity: Identity
  /** By `exchange:symbol`, of earlier lives. */
  readonly memory: ReadonlyMap<string, MarketMemory>
  /** Undefined: holes die with the process. */
  readonly holes: HoleStore | undefined
  readonly hold: Duration.Duration
  readonly maxAge: Duration.Duration
  /** Unique to this life of the feed. */
  readonly collector: string
  readonly ledger: Ledger.Shape
  readonly board: Board
  readonly statusEvents: StatusEvents
  /** Is told of each answer that became events. */
  readonly recorder?: Recorder | undefined
  readonly emit: (events: ReadonlyArray<MarketEvent>) => Effect.Effect<unknown>
  /** Around each fiber: without it one that dies of a defect would leave holes that nobody asks for, and nobody would know. */
  readonly supervise: <R>(effect: Effect.Effect<void, never, R>) => Effect.Effect<void, never, R>
}
