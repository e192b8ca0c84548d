/**
 * Circuit breaker: a pure state machine under one `Ref` (BREAKER-AND-RETRY.md, the ten rules; DELIVERY.md section 6).
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Machine from "./CircuitBreaker/Machine.ts"

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
  /** Failures in a row that open it. */
  readonly maxFailures: number
  /** How long it stays open. */
  readonly timeout: Duration.DurationInput
  /** Successes in a row that close it when half-open. */
  readonly successThreshold: number
  /** A half-open call that has not ended for so long no longer keeps others out; a minute by default. */
  readonly probeTimeout?: Duration.DurationInput | undefined
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

const nowMs = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** Interruption is nobody's fault; any failure or defect is the other side's. */
const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Machine.Outcome =>
  Exit.isSuccess(exit) ? "success" : Cause.isInterruptedOnly(exit.cause) ? "ignored" : "failure"

/** A breaker on its own. `publish` is told of each transition, outside the state's update. */
export const make = Effect.fnUntraced(function*(
  options: Options,
  publish: (transition: Transition) => Effect.Effect<unknown> = () => Effect.void
): Effect.fn.Return<CircuitBreaker> {
  const machine: Machine.Options = {
    maxFailures: options.maxFailures,
    openFor: Duration.toMillis(options.timeout),
    successThreshold: options.successThreshold,
    probeTimeout: Duration.toMillis(options.probeTimeout ?? "1 minute")
  }
  const ref = yield* Ref.make(Machine.initial)
  const ids = yield* Ref.make(0)
  const changes = yield* PubSub.sliding<Transition>(64)
  /** Anything that may let a waiting caller in: a transition, or a probe that gave its place back. */
  const openings = yield* PubSub.sliding<void>(1)

  const announce = (from: Machine.State, to: Machine.State) =>
    from === to ? Effect.void : Effect.gen(function*() {
      yield* PubSub.publish(openings, undefined)
      if (from._tag === to._tag) return
      const at = yield* Clock.currentTimeMillis
      const transition = { name: options.name, group: options.group, from: from._tag, to: to._tag, at }
      yield* PubSub.publish(changes, transition)
      yield* publish(transition)
    })

  /** One atomic step, then the news of it. */
  const modify = <A>(step: (state: Machine.State, now: number) => readonly [A, Machine.State]) =>
    Effect.flatMap(nowMs, (now) =>
      Ref.modify(ref, (before) => {
        const [result, after] = step(before, now)
        return [{ result, before, after }, after]
      })).pipe(
        Effect.tap(({ after, before }) => announce(before, after)),
        Effect.map(({ result }) => result),
        Effect.uninterruptible
      )

  const admission = Effect.flatMap(
    Ref.updateAndGet(ids, (n) => n + 1),
    (id) => modify((state, now) => Machine.admit(state, machine, now, id))
  )

  const settle = (permit: { readonly epoch: number; readonly probe: number | undefined }, outcome: Machine.Outcome) =>
    modify((state, now) => [undefined, Machine.settle(state, machine, now, permit, outcome)])

  const admit = Effect.flatMap(admission, (answer): Effect.Effect<Permit, CircuitOpen> => {
    if (answer._tag !== "admitted") {
      return new CircuitOpen({
        name: options.name,
        reason: answer._tag === "open" ? "open" : "half_open_busy",
        retryAfter: Duration.millis(answer.retryAfter)
      })
    }
    // What was settled stays so, but that a long call may go on succeeding.
    let settled: Machine.Outcome | undefined
    const once = (outcome: Machine.Outcome) =>
      Effect.suspend(() => {
        if (settled !== undefined && !(settled === "success" && outcome === "success")) return Effect.void
        settled = outcome
        return settle(answer, outcome)
      })
    return Effect.succeed({ succeed: once("success"), fail: once("failure"), release: once("ignored") })
  })

  return {
    name: options.name,
    admit,
    run: (effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(admit, (permit) =>
          Effect.onExit(restore(effect), (exit) => {
            const outcome = outcomeOf(exit)
            return outcome === "success" ? permit.succeed : outcome === "failure" ? permit.fail : permit.release
          }))
      ),
    trip: modify((state, now) => [undefined, Machine.trip(state, machine, now)]),
    awaitAdmittance: Effect.scoped(Effect.gen(function*() {
      const news = yield* PubSub.subscribe(openings)
      while (true) {
        const now = yield* nowMs
        const wait = Machine.waitOf(yield* Ref.get(ref), machine, now)
        if (wait <= 0) return
        yield* news.take.pipe(Effect.timeoutOption(Duration.millis(wait)))
      }
    })),
    snapshot: Effect.gen(function*() {
      const state = yield* Ref.get(ref)
      const wall = yield* Clock.currentTimeMillis
      const now = yield* nowMs
      return {
        name: options.name,
        group: options.group,
        state: state._tag,
        retryAt: state._tag === "open" ? Math.round(wall + Math.max(0, state.until - now)) : null
      }
    }),
    transitions: Stream.fromPubSub(changes)
  }
})

/** The registry of one program. */
export const layer: Layer.Layer<CircuitBreakers> = Layer.effect(
  CircuitBreakers,
  Effect.gen(function*() {
    const all = yield* Ref.make<ReadonlyArray<CircuitBreaker>>([])
    const changes = yield* PubSub.sliding<Transition>(256)
    return {
      make: (options) =>
        make(options, (transition) => PubSub.publish(changes, transition)).pipe(
          Effect.tap((breaker) => Ref.update(all, (before) => [...before, breaker]))
        ),
      snapshots: Effect.flatMap(Ref.get(all), Effect.forEach((breaker) => breaker.snapshot)),
      transitions: Stream.fromPubSub(changes)
    }
  })
)
