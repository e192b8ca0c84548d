/** The way from a lane to Kafka: through its breaker, with a jittered wait after each failure, and what came of it. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { CircuitBreaker } from "../CircuitBreaker.ts"
import type { KafkaRejected, LaneProducer } from "../KafkaProducer.ts"
import type { EventRecord } from "../MarketEvent.ts"
import * as Metrics from "../Metrics.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import type * as Handover from "./Handover.ts"
import * as Lag from "./Lag.ts"

export interface Status {
  /** Epoch ms of the last acknowledged send. */
  readonly ackedAt: number | null
  readonly failedAt: number | null
  /** One line, of the last failure; null after a success. */
  readonly message: string | null
}

export interface Sender {
  /** Tells the machine what came of it: `Sent`, `SendFailed` or `SendRejected`. `fit`: `LaneProducer.send`. */
  readonly send: (records: ReadonlyArray<EventRecord>, fit: number) => Effect.Effect<unknown>
  /** H5's fuse: an outage that Kafka itself does not call one. */
  readonly trip: Effect.Effect<void>
  readonly status: () => Status
}

interface Options {
  readonly topic: string
  readonly retry: RetryPolicy.Options
  readonly breaker: CircuitBreaker
  readonly producer: (onRequestTimeout: Effect.Effect<void>) => Effect.Effect<LaneProducer, never, Scope.Scope>
  readonly clock: Clock.Clock
  readonly tell: (input: Handover.Input) => Effect.Effect<unknown>
}

/** Of a batch, never of an event; names are OpenTelemetry's. */
export const spanOf = (topic: string, operation: "send" | "spill", records: ReadonlyArray<EventRecord>) => ({
  kind: operation === "send" ? "producer" as const : "internal" as const,
  root: true,
  captureStackTrace: false,
  attributes: {
    "messaging.system": "kafka",
    "messaging.operation.name": operation,
    "messaging.destination.name": topic,
    "messaging.batch.message_count": records.length
  }
})

export const make = Effect.fnUntraced(function*(
  { breaker, clock, producer: connect, retry, tell, topic }: Options
): Effect.fn.Return<Sender, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const wall = () => clock.unsafeCurrentTimeMillis()
  const lags = Lag.make()
  const durations = Metrics.kafkaSend(topic)
  const batches = Metrics.kafkaBatch(topic)
  const failures = Metrics.kafkaFailures(topic)
  const backoff = yield* Schedule.driver(RetryPolicy.forever(retry))
  let status: Status = { ackedAt: null, failedAt: null, message: null }
  let reopening = false

  /** After a failure: wait, then for the breaker, then let the machine try again. */
  const reopen = Effect.suspend(() => {
    if (reopening) return Effect.void
    reopening = true
    return backoff.next(undefined).pipe(
      Effect.catchTag("None", () => Effect.dieMessage("a schedule without end has ended")),
      Effect.andThen(breaker.awaitAdmittance),
      Effect.andThen(Effect.suspend(() => {
        reopening = false
        return tell({ _tag: "GateOpened" })
      })),
      Effect.forkIn(scope),
      Effect.asVoid
    )
  })

  const producer = yield* connect(
    // H3: at once, without waiting for the send itself to fail.
    breaker.trip.pipe(Effect.andThen(tell({ _tag: "GateClosed" })), Effect.andThen(reopen))
  )

  const failed = (message: string) =>
    Effect.suspend(() => {
      status = { ...status, failedAt: wall(), message }
      return tell({ _tag: "SendFailed" })
    }).pipe(Effect.andThen(reopen))

  const rejected = (records: ReadonlyArray<EventRecord>, error: KafkaRejected) =>
    Effect.forEach(records, (record) => producer.partitionOf(record.key)).pipe(
      Effect.andThen((partitions) =>
        tell({
          _tag: "SendRejected",
          reason: error.reason,
          partitions: partitions.map((partition) => partition ?? 0)
        })
      )
    )

  const sent = (records: ReadonlyArray<EventRecord>, startedAt: number) =>
    Effect.suspend(() => {
      const now = wall()
      status = { ...status, ackedAt: now, message: null }
      lags.acknowledged(records, now)
      durations.observe(now - startedAt)
      batches.observe(records.length)
      return tell({ _tag: "Sent" })
    })

  return {
    send: (records, fit) =>
      breaker.admit.pipe(
        Effect.matchEffect({
          onFailure: () => tell({ _tag: "SendFailed" }).pipe(Effect.andThen(reopen)),
          onSuccess: (permit) => {
            const startedAt = wall()
            return producer.send(records, fit).pipe(
              Effect.withSpan(`${topic} send`, spanOf(topic, "send", records)),
              Effect.onInterrupt(() => permit.release),
              Effect.matchEffect({
                onFailure: (error) => {
                  failures(error.reason).add(1)
                  return error._tag === "KafkaRejected"
                    // An answer about a record, from a broker that works.
                    ? permit.succeed.pipe(Effect.andThen(rejected(records, error)))
                    : permit.fail.pipe(Effect.andThen(failed(error.message)))
                },
                onSuccess: () =>
                  permit.succeed.pipe(Effect.andThen(sent(records, startedAt)), Effect.andThen(backoff.reset))
              })
            )
          }
        })
      ),
    trip: breaker.trip.pipe(Effect.andThen(failed("Kafka rejects everything: an outage, not poison"))),
    status: () => status
  }
})
