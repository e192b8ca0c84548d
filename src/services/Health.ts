/**
 * Health: checks that may wait run in the background, the answer is put together from what they found and from what lies in
 * memory. A probe does no I/O and never waits (docs/design/contract.md "Health").
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type { Snapshot } from "./CircuitBreaker.ts"
import type { ExchangeStatus } from "./FeedStatus.ts"
import { type FileOps, type FileOpsError, withFile, writeAll } from "./FileOps.ts"
import { evaluate, messageOf } from "./Health/Evaluate.ts"
import type { Answer, DiskResult, Result, SinkReport } from "./Health/Model.ts"
import * as Time from "./Time.ts"

export { codeOf, messageOf } from "./Health/Evaluate.ts"
export type { Answer, BreakerReport, Check, CheckStatus, SinkReport, Status } from "./Health/Model.ts"

/**
 * What `/health` answers.
 *
 * @since 0.1.0
 * @category tags
 */
export class Health extends Context.Tag("effect-exchange-feeds/services/Health")<Health, {
  /** From memory alone. */
  readonly answer: Effect.Effect<Answer>
  /** From now on the answer is `draining`. */
  readonly drain: Effect.Effect<void>
}>() {}

/**
 * Anything that can say in one line what is wrong.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failure {
  readonly message: string
}

/**
 * What health looks at. What may wait runs in the background each ten seconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** How long exchanges may take until they give data (STARTUP_GRACE). */
  readonly startupGrace: Duration.DurationInput
  /** Asks Kafka; made in the background. */
  readonly kafka: Effect.Effect<void, Failure>
  /** Writes to the data directory and says how many bytes are free; made in the background. See `probeDirectory`. */
  readonly disk: Effect.Effect<number, FileOpsError>
  /** From memory: these must not wait. */
  readonly exchanges: Effect.Effect<ReadonlyArray<ExchangeStatus>>
  readonly breakers: Effect.Effect<ReadonlyArray<Snapshot>>
  /** Undefined while the queues are being recovered. */
  readonly sink: Effect.Effect<SinkReport | undefined>
}

const period = Duration.seconds(10)

/** Of a check in the background. */
const timeout = Duration.seconds(3)

/** Of asking Kafka, which a dial, a login and two questions take a dozen ways there and back: 5 s to a cluster 400 ms away. */
const kafkaTimeout = Duration.seconds(9)

/**
 * Checks in the background until the scope ends; the first ones begin at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Health["Type"], never, Scope.Scope> {
  const startedAt = yield* Time.now
  const draining = yield* Ref.make(false)
  const kafka = yield* watch(options.kafka, kafkaTimeout)
  const disk = yield* watch(options.disk)

  return {
    drain: Ref.set(draining, true),
    answer: Effect.gen(function*() {
      const now = yield* Time.moment
      const asked = yield* Ref.get(kafka)
      const written = yield* Ref.get(disk)
      return evaluate({
        draining: yield* Ref.get(draining),
        uptime: Time.between(startedAt, now.at),
        startupGrace: Duration.toMillis(options.startupGrace),
        period: Duration.toMillis(period),
        kafka: asked === undefined ? undefined : resultOf(asked),
        disk: written === undefined ? undefined : diskResultOf(written),
        exchanges: yield* options.exchanges,
        breakers: yield* options.breakers,
        sink: yield* options.sink
      }, now)
    })
  }
})

/**
 * Gives `Health`, and checks in the background as long as the layer lives. What it needs is in `options`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Health> => Layer.scoped(Health, make(options))

/**
 * Whether a file can be made, written and removed in `directory`, which is made if it is not there yet: the first check comes
 * before all else. Succeeds with the bytes that are free there.
 *
 * @since 0.1.0
 * @category operations
 */
export const probeDirectory = Effect.fnUntraced(function*(
  ops: FileOps["Type"],
  directory: string
): Effect.fn.Return<number, FileOpsError> {
  const path = `${directory}/.probe`
  yield* ops.makeDirectory(directory)
  yield* withFile(ops, path, "replace", (file) => writeAll(file, new Uint8Array(1), 0))
  yield* ops.unlink(path)
  return yield* ops.freeBytes(directory)
})

// internal

interface Observation<A, E> {
  readonly checkedAt: Time.WallTime
  readonly at: Time.Instant
  readonly durationMs: number
  /** How long it was waited for. */
  readonly limit: Duration.Duration
  /** Undefined: it did not end in its time. */
  readonly exit: Exit.Exit<A, E> | undefined
}

/** Makes a check at once and then each period. One that hangs is told as such, and no second one is sent after it. */
const watch = Effect.fnUntraced(function*<A, E>(
  check: Effect.Effect<A, E>,
  limit: Duration.Duration = timeout
): Effect.fn.Return<Ref.Ref<Observation<A, E> | undefined>, never, Scope.Scope> {
  const ref = yield* Ref.make<Observation<A, E> | undefined>(undefined)
  const scope = yield* Effect.scope
  const once = Effect.gen(function*() {
    const begun = yield* Time.now
    const fiber = yield* Effect.forkIn(check, scope)
    const exit = yield* Fiber.await(fiber).pipe(Effect.timeoutOption(limit))
    const { at, wall } = yield* Time.moment
    yield* Ref.set(ref, {
      checkedAt: wall,
      at,
      durationMs: Time.between(begun, at),
      limit,
      exit: exit._tag === "Some" ? exit.value : undefined
    })
    if (exit._tag === "None") {
      // A call to the kernel cannot be interrupted: as long as it hangs, this check is stale.
      yield* Fiber.interruptFork(fiber)
      yield* Fiber.await(fiber)
    }
    const factor = yield* Random.nextRange(0.9, 1.1)
    yield* Effect.sleep(Duration.times(period, factor))
  })
  yield* Effect.forkScoped(Effect.forever(once))
  return ref
})

const resultOf = <A, E extends Failure>({ at, checkedAt, durationMs, exit, limit }: Observation<A, E>): Result => {
  const base = { at, checkedAt, durationMs }
  if (exit === undefined) {
    return { ...base, outcome: "unknown", message: `no answer within ${Duration.format(limit)}` }
  }
  if (Exit.isSuccess(exit)) return { ...base, outcome: "ok", message: null }
  const failure = Cause.failureOption(exit.cause)
  return {
    ...base,
    outcome: "failed",
    message: messageOf(failure._tag === "Some" ? failure.value.message : "the check itself has failed")
  }
}

const diskResultOf = (observation: Observation<number, FileOpsError>): DiskResult => {
  const { exit } = observation
  const failure = exit !== undefined && Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : undefined
  return {
    ...resultOf(observation),
    freeBytes: exit !== undefined && Exit.isSuccess(exit) ? exit.value : null,
    code: failure?._tag === "Some" ? failure.value.code : null
  }
}
