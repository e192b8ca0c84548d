/** The way from a lane to Kafka: through its breaker, with a jittered wait after each failure, and what came of it. */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { CircuitBreaker } from "../CircuitBreaker.ts"
import * as Instruments from "../Instruments.ts"
import type { EventRecord } from "../MarketEvent.ts"
import { type LaneProducer, type LaneProducerOptions, ProducerRejected, ProducerUnavailable } from "../Producer.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import * as Time from "../Time.ts"
import type * as Handover from "./Handover.ts"
import * as Lag from "./Lag.ts"
import * as RecordTime from "./RecordTime.ts"

export interface Status {
  /** Of the last acknowledged send. */
  readonly ackedAt: Time.Moment | null
  readonly failedAt: Time.Moment | null
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

export type OnRequestTimeout = LaneProducerOptions["onRequestTimeout"]

interface Options {
  readonly topic: string
  readonly retry: RetryPolicy.Options
  readonly breaker: CircuitBreaker
  readonly producer: (onRequestTimeout: OnRequestTimeout) => Effect.Effect<LaneProducer, never, Scope.Scope>
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

const isAboutTime = (error: ProducerUnavailable | ProducerRejected): error is ProducerRejected =>
  error._tag === "ProducerRejected" && error.reason === "INVALID_TIMESTAMP"

/** An outage: it ends when this clock, Kafka's, or the topic's limits are right again. */
const refusesThePresent = ({ message }: ProducerRejected): ProducerUnavailable =>
  new ProducerUnavailable({
    reason: "cluster",
    message: `the present time is refused too, so one of the clocks is wrong: ${message}`
  })

export const make = Effect.fnUntraced(function*(
  { breaker, clock, producer: connect, retry, tell, topic }: Options
): Effect.fn.Return<Sender, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const registry = yield* Instruments.Instruments
  const lags = Lag.make(registry)
  const recordTime = RecordTime.make()
  const durations = Instruments.kafkaSend(registry, topic)
  const batches = Instruments.kafkaBatch(registry, topic)
  const failures = Instruments.kafkaFailures(registry, topic, [
    ...ProducerUnavailable.fields.reason.literals,
    ...ProducerRejected.fields.reason.literals
  ])
  const backoff = yield* Schedule.driver(RetryPolicy.forever(retry))
  let status: Status = { ackedAt: null, failedAt: null, message: null }
  let reopening = false
  let sending = false
  /** Told of, and not back yet. */
  let away = false

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

  /** One line when the breaker opens and one when it closes, however long it takes and how often Kafka is tried in between. */
  const tellAway = (reason: string) =>
    Effect.flatMap(breaker.snapshot, ({ state }) => {
      if (away || state === "closed") return Effect.void
      away = true
      return Effect.annotateLogs(Effect.logWarning("records cannot be delivered, they wait in the queue"), {
        topic,
        reason
      })
    })

  const tellBack = Effect.suspend(() =>
    !away ? Effect.void : Effect.flatMap(breaker.snapshot, ({ state }) => {
      if (state !== "closed") return Effect.void
      away = false
      return Effect.annotateLogs(Effect.logInfo("records are delivered again"), { topic })
    })
  )

  const producer = yield* connect((broker) =>
    // H3: at once, without waiting for the send itself to fail.
    Effect.suspend(() => {
      const message = `${broker}: a request has timed out`
      // Until that send is answered, or tried again and answered. Where none is out there is nothing that would take it back.
      if (sending) status = { ...status, failedAt: Time.momentOf(clock), message }
      return Effect.andThen(breaker.trip, tellAway(message))
    }).pipe(Effect.andThen(tell({ _tag: "GateClosed" })), Effect.andThen(reopen))
  )

  const failed = (message: string) =>
    Effect.suspend(() => {
      status = { ...status, failedAt: Time.momentOf(clock), message }
      return Effect.andThen(tellAway(message), tell({ _tag: "SendFailed" }))
    }).pipe(Effect.andThen(reopen))

  const rejected = (records: ReadonlyArray<EventRecord>, error: ProducerRejected) =>
    Effect.forEach(records, (record) => producer.partitionOf(record.key)).pipe(
      Effect.andThen((partitions) =>
        tell({
          _tag: "SendRejected",
          reason: error.reason,
          partitions: partitions.map((partition) => partition ?? 0)
        })
      )
    )

  const sent = (records: ReadonlyArray<EventRecord>, startedAt: Time.Instant) =>
    Effect.suspend(() => {
      const ackedAt = Time.momentOf(clock)
      status = { ...status, ackedAt, message: null }
      lags.acknowledged(records, ackedAt)
      durations.observe(Time.between(startedAt, ackedAt.at))
      batches.observe(records.length)
      return tell({ _tag: "Sent" })
    })

  const once = (records: ReadonlyArray<EventRecord>, fit: number) =>
    producer.send(records, fit).pipe(
      Effect.withSpan(`${topic} send`, spanOf(topic, "send", records)),
      Effect.tapError(({ reason }) => Effect.sync(() => failures(reason).add(1)))
    )

  /**
   * With the times that Kafka takes (`RecordTime`). Fails with a rejection by time only for several records, of which some have a time
   * of their own: the machine then finds those that are meant. Where the present time is refused too, nothing can be sent.
   */
  const timed = (
    records: ReadonlyArray<EventRecord>,
    fit: number
  ): Effect.Effect<void, ProducerUnavailable | ProducerRejected> =>
    Effect.suspend(() => {
      const now = Time.momentOf(clock)
      const stamped = recordTime.stamp(records, now)
      return Effect.catchIf(once(stamped, fit), isAboutTime, (error): ReturnType<typeof once> => {
        if (stamped.every((record) => RecordTime.isPresent(record, now))) return refusesThePresent(error)
        const [alone, ...others] = records
        if (alone === undefined || others.length > 0) return error
        const again = Time.momentOf(clock)
        return once([RecordTime.present(alone, again)], fit).pipe(
          Effect.catchIf(isAboutTime, refusesThePresent),
          Effect.tap(() => Effect.sync(() => recordTime.learn(alone, again)))
        )
      })
    })

  return {
    send: (records, fit) =>
      breaker.admit.pipe(
        Effect.matchEffect({
          onFailure: () => tell({ _tag: "SendFailed" }).pipe(Effect.andThen(reopen)),
          onSuccess: (permit) => {
            const startedAt = Time.instantOf(clock)
            sending = true
            return timed(records, fit).pipe(
              Effect.ensuring(Effect.sync(() => {
                sending = false
              })),
              Effect.onInterrupt(() => permit.release),
              Effect.matchEffect({
                onFailure: (error) =>
                  error._tag === "ProducerRejected"
                    // An answer about a record, from a broker that works.
                    ? permit.succeed.pipe(Effect.andThen(tellBack), Effect.andThen(rejected(records, error)))
                    : permit.fail.pipe(Effect.andThen(failed(error.message))),
                onSuccess: () =>
                  permit.succeed.pipe(
                    Effect.andThen(tellBack),
                    Effect.andThen(sent(records, startedAt)),
                    Effect.andThen(backoff.reset)
                  )
              })
            )
          }
        })
      ),
    trip: breaker.trip.pipe(Effect.andThen(failed("Kafka rejects everything: an outage, not poison"))),
    status: () => status
  }
})
