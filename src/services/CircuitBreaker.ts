/**
 * Circuit breaker: a pure state machine under one `Ref` (BREAKER-AND-RETRY.md, the ten rules; DELIVERY.md section 6).
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"

export type State = "closed" | "open" | "half_open"

/** Which check of `/health` a breaker belongs to. */
export type Group = "api" | "ws" | "kafka"

export class CircuitOpen extends Schema.TaggedError<CircuitOpen>()("CircuitOpen", {
  name: Schema.String,
  reason: Schema.Literal("open", "half_open_busy"),
  retryAfter: Schema.DurationFromSelf
}) {}

export interface Options {
  /** For metrics and logs: `bitpin_api`, `wallex_ws`, `kafka_trade`. */
  readonly name: string
  readonly group: Group
  readonly maxFailures: number
  readonly timeout: Duration.DurationInput
  readonly successThreshold: number
}

export interface Transition {
  readonly name: string
  readonly group: Group
  readonly from: State
  readonly to: State
  /** Epoch ms. */
  readonly at: number
}

export interface Snapshot {
  readonly name: string
  readonly group: Group
  readonly state: State
  /** Epoch ms at which an open breaker lets a probe through, null otherwise. */
  readonly retryAt: number | null
}

/** A call that was let through. The first `succeed`, `fail` or `release` settles it. */
export interface Permit {
  /** May be repeated for a long call (a WebSocket session): each later one is one more success while half-open. */
  readonly succeed: Effect.Effect<void>
  readonly fail: Effect.Effect<void>
  /** Neutral: cancelled, or not the other side's fault. */
  readonly release: Effect.Effect<void>
}

export interface CircuitBreaker {
  readonly name: string
  /** Never waits. */
  readonly admit: Effect.Effect<Permit, CircuitOpen>
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R>
  /** Opens at once, whatever was counted. */
  readonly trip: Effect.Effect<void>
  /** Returns when a call may be let through: waits for the open time or for a transition, never polls. */
  readonly awaitAdmittance: Effect.Effect<void>
  readonly snapshot: Effect.Effect<Snapshot>
  readonly transitions: Stream.Stream<Transition>
}

/** All breakers of one program: health, metrics and status events look here. */
export class CircuitBreakers extends Context.Tag("effect-exchange-feeds/services/CircuitBreakers")<CircuitBreakers, {
  readonly make: (options: Options) => Effect.Effect<CircuitBreaker>
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>
  readonly transitions: Stream.Stream<Transition>
}>() {}
