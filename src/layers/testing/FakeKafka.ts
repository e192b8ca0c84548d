/**
 * Kafka in memory: what a lane sees of a broker, its faults by script, and what is in its topics. Time is the `Clock`'s.
 *
 * It misbehaves as the real one does (docs/design/kafkajs.md): a frozen broker still has the request and executes it when it
 * thaws, a rejected record takes its partition's whole batch with it and no other, and a lost answer means a copy.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import type { EventRecord } from "../../services/MarketEvent.ts"
import { partitionOf } from "../../services/Murmur2.ts"
import {
  type LaneProducer,
  type LaneProducerOptions,
  Producer,
  ProducerRejected,
  ProducerUnavailable
} from "../../services/Producer.ts"

/**
 * Every topic has as many.
 *
 * @since 0.1.0
 * @category constants
 */
export const partitions = 12

/**
 * After which a frozen or slow broker is given up, as the real producer does.
 *
 * @since 0.1.0
 * @category constants
 */
export const requestTimeout: Duration.Duration = Duration.seconds(5)

/**
 * A record as the fake keeps it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stored {
  readonly topic: string
  readonly partition: number
  /** Within its partition, from 0. */
  readonly offset: number
  readonly key: string
  /** UTF-8 text. */
  readonly value: string
  readonly headers: Readonly<Record<string, string>>
  /** Record timestamp, epoch ms. */
  readonly timestamp: number
  /** When it was written, epoch ms. */
  readonly storedAt: number
}

/**
 * Which records are refused: `true` for good, `"INVALID_TIMESTAMP"` for their time.
 *
 * @since 0.1.0
 * @category options
 */
export type Refusal = (record: EventRecord, topic: string) => boolean | "INVALID_TIMESTAMP"

/**
 * A Kafka in memory that fails as told.
 *
 * @since 0.1.0
 * @category tags
 */
export class FakeKafka extends Context.Tag("effect-exchange-feeds/layers/testing/FakeKafka")<FakeKafka, {
  /** Answers, and at once; a frozen one first executes what it was sent meanwhile. */
  readonly up: Effect.Effect<void>
  /** Connections are refused. */
  readonly down: Effect.Effect<void>
  /** Takes requests and answers none, until `up` or `down`. */
  readonly freeze: Effect.Effect<void>
  /** Every answer takes so long. */
  readonly slow: (delay: Duration.DurationInput) => Effect.Effect<void>
  /**
   * Refuses what the predicate picks, from now on, for good (`true`: MESSAGE_TOO_LARGE) or for its time (INVALID_TIMESTAMP); undefined:
   * nothing.
   */
  readonly reject: (predicate: Refusal | undefined) => Effect.Effect<void>
  /** The next so many sends are written, and nobody learns of it. */
  readonly loseAnswers: (count: number) => Effect.Effect<void>
  /** As a consumer of the whole topic would see it: in order within each partition, and here over all by time of writing. */
  readonly records: (topic: string) => Effect.Effect<ReadonlyArray<Stored>>
  readonly topics: Effect.Effect<ReadonlyArray<string>>
}>() {}

interface Request {
  readonly topic: string
  readonly records: ReadonlyArray<EventRecord>
  readonly answer: Deferred.Deferred<void, ProducerUnavailable | ProducerRejected>
}

const decoder = new TextDecoder()

const refused = new ProducerUnavailable({ reason: "connection", message: "ECONNREFUSED: the fake Kafka is down" })

const timedOut = new ProducerUnavailable({ reason: "timeout", message: "request timed out" })

const rejected = new ProducerRejected({
  code: 10,
  reason: "MESSAGE_TOO_LARGE",
  message: "MESSAGE_TOO_LARGE: the fake Kafka was told to refuse it"
})

const refusedByTime = new ProducerRejected({
  code: 32,
  reason: "INVALID_TIMESTAMP",
  message: "INVALID_TIMESTAMP: the fake Kafka was told to refuse it"
})

const make = Effect.gen(function*() {
  const underway = yield* FiberSet.make()
  const logs = new Map<string, Array<Stored>>()
  const ends = new Map<string, number>()
  const keys = new Map<string, number>()
  let state: "up" | "down" | "frozen" = "up"
  let delay = Duration.zero
  let rejects: Refusal | undefined
  let toLose = 0
  let frozen: Array<Request> = []

  const partition = (key: string): number => {
    const known = keys.get(key) ?? partitionOf(key, partitions)
    keys.set(key, known)
    return known
  }

  const store = (topic: string, record: EventRecord, storedAt: number) => {
    const log = logs.get(topic) ?? []
    logs.set(topic, log)
    const at = partition(record.key)
    const offset = ends.get(`${topic}/${at}`) ?? 0
    ends.set(`${topic}/${at}`, offset + 1)
    log.push({
      topic,
      partition: at,
      offset,
      key: record.key,
      value: typeof record.value === "string" ? record.value : decoder.decode(record.value),
      headers: record.headers,
      timestamp: record.timestamp,
      storedAt
    })
  }

  /** What the broker does with a request: partition by partition, all of a batch or nothing. */
  const execute = ({ records, topic }: Request) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const refusedAt = new Map<number, ProducerRejected>()
      for (const record of records) {
        const refusal = rejects?.(record, topic) ?? false
        if (refusal !== false) refusedAt.set(partition(record.key), refusal === true ? rejected : refusedByTime)
      }
      for (const record of records) if (!refusedAt.has(partition(record.key))) store(topic, record, now)
      // As kafkajs, whose first one is all that is known.
      const [first] = refusedAt.values()
      return first ?? Effect.void
    })

  const arrive = (request: Request) =>
    Effect.suspend((): Effect.Effect<unknown> => {
      if (state === "down") return Deferred.fail(request.answer, refused)
      if (state === "frozen") return Effect.sync(() => frozen.push(request))
      if (toLose === 0) return Effect.intoDeferred(execute(request), request.answer)
      toLose -= 1
      return Effect.exit(execute(request))
    })

  const leaveFrozen = (next: "up" | "down") =>
    Effect.suspend(() => {
      const held = frozen
      frozen = []
      state = next
      delay = Duration.zero
      return Effect.forEach(held, arrive, { discard: true })
    })

  const send =
    (topic: string, onRequestTimeout: LaneProducerOptions["onRequestTimeout"]) =>
    (records: ReadonlyArray<EventRecord>) =>
      Effect.gen(function*() {
        const request: Request = {
          topic,
          records,
          answer: yield* Deferred.make<void, ProducerUnavailable | ProducerRejected>()
        }
        const { answer } = request
        // On its way a request belongs to the broker: it arrives also when its sender has given up.
        if (Duration.toMillis(delay) === 0 || state === "down") yield* arrive(request)
        else yield* FiberSet.run(underway, Effect.delay(arrive(request), delay))
        // The event at the first timeout, the rejection at the second, as with kafkajs (docs/design/kafkajs.md "The event comes before the rejection").
        return yield* Deferred.await(answer).pipe(
          Effect.timeoutTo({ duration: requestTimeout, onSuccess: () => true, onTimeout: () => false }),
          Effect.flatMap((answered) =>
            answered ? Effect.void : Effect.zipRight(
              onRequestTimeout("fake:9092"),
              Deferred.await(answer).pipe(
                Effect.timeoutFail({ duration: requestTimeout, onTimeout: () => timedOut })
              )
            )
          )
        )
      })

  const producer: Producer["Type"] = {
    lane: ({ onRequestTimeout, topic }) =>
      Effect.succeed<LaneProducer>({
        topic,
        send: send(topic, onRequestTimeout),
        partitionOf: (key) => Effect.sync(() => partition(key))
      }),
    missing: () =>
      Effect.suspend(() => state === "up" ? Effect.succeed([]) : Effect.fail(state === "down" ? refused : timedOut)),
    probe: Effect.suspend(() => state === "up" ? Effect.void : Effect.fail(state === "down" ? refused : timedOut))
  }

  const control: FakeKafka["Type"] = {
    up: leaveFrozen("up"),
    down: leaveFrozen("down"),
    freeze: Effect.sync(() => {
      state = "frozen"
    }),
    slow: (input) =>
      Effect.sync(() => {
        delay = Duration.decode(input)
      }),
    reject: (predicate) =>
      Effect.sync(() => {
        rejects = predicate
      }),
    loseAnswers: (count) =>
      Effect.sync(() => {
        toLose = count
      }),
    records: (topic) => Effect.sync(() => Array.from(logs.get(topic) ?? [])),
    topics: Effect.sync(() => Array.from(logs.keys()))
  }

  return Context.make(Producer, producer).pipe(Context.add(FakeKafka, control))
})

/**
 * Gives the fake and a `Producer` that sends to it. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Producer | FakeKafka> = Layer.scopedContext(make)
