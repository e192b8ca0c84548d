/**
 * Circuit breaker: a pure state machine under one `Ref` (docs/design/breaker-and-retry.md "The breaker's rules").
 */
import * as Cause from "effect/Cause"
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
import * as Time from "./Time.ts"

/**
 * `closed` lets calls through. `open` refuses them. `half_open` lets one through at a time, to find out whether they succeed again.
 *
 * @since 0.1.0
 * @category models
 */
export type State = "closed" | "open" | "half_open"

/**
 * Which check of `/health` a breaker belongs to.
 *
 * @since 0.1.0
 * @category models
 */
export type Group = "api" | "ws" | "kafka"

/**
 * The breaker did not let the call through: it never went out. `half_open_busy`: another call is finding out just now. `retryAfter`: how
 * long until one may be let through.
 *
 * @since 0.1.0
 * @category errors
 */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen>()("CircuitOpen", {
  name: Schema.String,
  reason: Schema.Literal("open", "half_open_busy"),
  retryAfter: Schema.DurationFromSelf
}) {
  override get message(): string {
    return `${this.name} is ${this.reason === "open" ? "open" : "half open and busy"}, next try in ${
      Duration.format(this.retryAfter)
    }`
  }
}

/**
 * What became of a call. `ignored`: cancelled, or not the other side's fault.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = Machine.Outcome

/**
 * What opens and closes a breaker.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** For metrics and logs: `bitpin_api`, `wallex_ws`, `kafka_trade`. */
  readonly name: string
  readonly group: Group
  /** Whose it is, if it is an exchange's. */
  readonly exchange?: string | undefined
  /** Failures in a row that open it. */
  readonly maxFailures: number
  /** How long it stays open. */
  readonly timeout: Duration.DurationInput
  /** Successes in a row that close it when half-open. */
  readonly successThreshold: number
  /** A half-open call that has not ended for so long no longer keeps others out; a minute by default. */
  readonly probeTimeout?: Duration.DurationInput | undefined
  /** What `run` counts. By default interruption is ignored, any failure or defect is the other side's. */
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
}

/**
 * A breaker has changed its state, at the wall time `at`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  readonly name: string
  readonly group: Group
  /** Whose breaker it is; left out if it is no exchange's. */
  readonly exchange?: string
  readonly from: State
  readonly to: State
  readonly at: Time.WallTime
}

/**
 * A breaker at one moment, for health and metrics.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly name: string
  readonly group: Group
  readonly state: State
  /** When an open breaker lets a probe through, for people; null otherwise. The wait itself is monotonic. */
  readonly retryAt: Time.WallTime | null
  /** Since the start. `rejected` never went out; `stale` ended after the state had changed, and counted for nothing. */
  readonly calls: Readonly<Record<Outcome | "rejected" | "stale", number>>
  /** Since the start, each way there is. */
  readonly transitions: ReadonlyArray<{ readonly from: State; readonly to: State; readonly count: number }>
}

/**
 * A call that was let through. The first `succeed`, `fail` or `release` settles it; see to one of them also when interrupted
 * (`run` does), else others wait for the probe's time to be up.
 *
 * @since 0.1.0
 * @category models
 */
export interface Permit {
  /** May be repeated for a long call (a WebSocket session): each later one is one more success while half-open. */
  readonly succeed: Effect.Effect<void>
  readonly fail: Effect.Effect<void>
  /** Neutral: cancelled, or not the other side's fault. */
  readonly release: Effect.Effect<void>
}

/**
 * One breaker. `run` admits, runs and settles in one; `admit` is for calls that are not one effect.
 *
 * @since 0.1.0
 * @category models
 */
export interface CircuitBreaker {
  readonly name: string
  /** Never waits. */
  readonly admit: Effect.Effect<Permit, CircuitOpen>
  /** `classify`: what this call counts as, in place of `Options.classify`. */
  readonly run: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    classify?: (exit: Exit.Exit<A, E>) => Outcome
  ) => Effect.Effect<A, E | CircuitOpen, R>
  /** Opens at once, whatever was counted. */
  readonly trip: Effect.Effect<void>
  /** Returns when a call may be let through: waits for the open time or for a transition, never polls. */
  readonly awaitAdmittance: Effect.Effect<void>
  readonly snapshot: Effect.Effect<Snapshot>
  readonly transitions: Stream.Stream<Transition>
}

/**
 * All breakers of one program: health, metrics and status events look here.
 *
 * @since 0.1.0
 * @category tags
 */
export class CircuitBreakers extends Context.Tag("effect-exchange-feeds/services/CircuitBreakers")<CircuitBreakers, {
  readonly make: (options: Options) => Effect.Effect<CircuitBreaker>
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>
  readonly transitions: Stream.Stream<Transition>
}>() {}

/** Interruption is nobody's fault; any failure or defect is the other side's. */
const classify = (exit: Exit.Exit<unknown, unknown>): Outcome =>
  Exit.isSuccess(exit) ? "success" : Cause.isInterruptedOnly(exit.cause) ? "ignored" : "failure"

const ways: ReadonlyArray<readonly [from: State, to: State]> = [
  ["closed", "open"],
  ["open", "half_open"],
  ["half_open", "open"],
  ["half_open", "closed"]
]

/**
 * A breaker on its own. `publish` is told of each transition, outside the state's update and in order.
 *
 * @since 0.1.0
 * @category constructors
 */
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
  const outcomeOf = options.classify ?? classify
  const owner = options.exchange === undefined ? {} : { exchange: options.exchange }
  const ref = yield* Ref.make(Machine.initial)
  const changes = yield* PubSub.sliding<Transition>(64)
  /** Anything that may let a waiting caller in: a transition, or a probe that gave its place back. */
  const openings = yield* PubSub.sliding<void>(1)
  const telling = yield* Effect.makeSemaphore(1)
  /** Made with the state, told after it: a fiber that is set aside in between must not let a later one go first. */
  const unpublished: Array<Transition | undefined> = []
  const calls = { success: 0, failure: 0, ignored: 0, rejected: 0, stale: 0 }
  const passed = ways.map(([from, to]) => ({ from, to, count: 0 }))
  let ids = 0

  const tell = telling.withPermits(1)(Effect.suspend(() => {
    const news = unpublished.splice(0)
    if (news.length === 0) return Effect.void
    return PubSub.publish(openings, undefined).pipe(
      Effect.andThen(Effect.forEach(
        news,
        (transition) =>
          transition === undefined
            ? Effect.void
            : Effect.andThen(PubSub.publish(changes, transition), publish(transition)),
        { discard: true }
      ))
    )
  }))

  /** One atomic step, then the news of it. */
  const modify = <A>(
    step: (state: Machine.State, now: Time.Instant) => readonly [A, Machine.State]
  ): Effect.Effect<A> =>
    Effect.clockWith((clock) =>
      Ref.modify(ref, (before) => {
        // Monotonic (docs/design/breaker-and-retry.md "Rule 8"): no jump of the wall clock opens or closes anything.
        const [result, after] = step(before, Time.instantOf(clock))
        const from = before._tag
        const to = after._tag
        if (from !== to) {
          const way = passed.find((one) => one.from === from && one.to === to)
          if (way !== undefined) way.count += 1
          const at = Time.wallOf(clock)
          unpublished.push({ name: options.name, group: options.group, ...owner, from, to, at })
        } else if (before !== after) unpublished.push(undefined)
        return [result, after]
      })
    ).pipe(Effect.tap(() => unpublished.length === 0 ? Effect.void : tell), Effect.uninterruptible)

  const settle = (permit: Machine.Permit, outcome: Outcome, first: boolean) =>
    modify((state, now) => {
      if (first) calls[permit.epoch === state.epoch ? outcome : "stale"] += 1
      return [undefined, Machine.settle(state, machine, now, permit, outcome)]
    })

  const permitOf = (admitted: Machine.Permit): Permit => {
    // What was settled stays so, but that a long call may go on succeeding.
    let settled: Outcome | undefined
    const once = (outcome: Outcome) =>
      Effect.uninterruptible(Effect.suspend(() => {
        const first = settled === undefined
        if (!first && !(settled === "success" && outcome === "success")) return Effect.void
        settled = outcome
        return settle(admitted, outcome, first)
      }))
    return { succeed: once("success"), fail: once("failure"), release: once("ignored") }
  }

  const admit = Effect.flatMap(
    modify((state, now) => Machine.admit(state, machine, now, ids++)),
    (answer): Effect.Effect<Permit, CircuitOpen> => {
      if (answer._tag === "admitted") return Effect.succeed(permitOf(answer))
      calls.rejected += 1
      return new CircuitOpen({
        name: options.name,
        reason: answer._tag === "open" ? "open" : "half_open_busy",
        retryAfter: Duration.millis(answer.retryAfter)
      })
    }
  )

  return {
    name: options.name,
    admit,
    run: (effect, classify = outcomeOf) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(admit, (permit) =>
          Effect.onExit(restore(effect), (exit) => {
            const outcome = classify(exit)
            return outcome === "success" ? permit.succeed : outcome === "failure" ? permit.fail : permit.release
          }))
      ),
    trip: modify((state, now) => [undefined, Machine.trip(state, machine, now)]),
    awaitAdmittance: Effect.scoped(Effect.gen(function*() {
      const news = yield* PubSub.subscribe(openings)
      while (true) {
        const wait = Machine.waitOf(yield* Ref.get(ref), machine, yield* Time.now)
        if (wait <= 0) return
        yield* news.take.pipe(Effect.timeoutOption(Duration.millis(wait)))
      }
    })),
    snapshot: Effect.gen(function*() {
      const state = yield* Ref.get(ref)
      const now = yield* Time.moment
      return {
        name: options.name,
        group: options.group,
        state: state._tag,
        retryAt: state._tag === "open"
          ? Time.wallAfter(now, Math.max(0, Time.between(now.at, state.until)))
          : null,
        calls: { ...calls },
        transitions: passed.map((way) => ({ ...way }))
      }
    }),
    transitions: Stream.fromPubSub(changes)
  }
})

/**
 * The registry of one program, empty. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
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
