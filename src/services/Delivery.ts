/**
 * The engine of delivery, whatever the output: one lane for each topic, each with its own queue, producer and breaker
 * (docs/design/delivery.md "The hand-over").
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Checkpoint } from "./Checkpoint.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Complaint from "./Complaint.ts"
import { DeadLetters } from "./DeadLetters.ts"
import * as BookGate from "./Delivery/BookGate.ts"
import type * as Bookkeeping from "./Delivery/Bookkeeping.ts"
import * as Handover from "./Delivery/Handover.ts"
import * as Lane from "./Delivery/Lane.ts"
import { EventSink } from "./EventSink.ts"
import { FileQueue, type FileQueueError } from "./FileQueue.ts"
import { Ledger } from "./Ledger.ts"
import { type Encoder, type LaneName, laneOf, makeEncoder, type MarketEvent } from "./MarketEvent.ts"
import { Producer } from "./Producer.ts"
import type * as RetryPolicy from "./RetryPolicy.ts"
import * as Time from "./Time.ts"

/**
 * A lane at one moment: what waits in memory and on disk, and how its output and its disk are.
 *
 * @since 0.1.0
 * @category models
 */
export type LaneStatus = Lane.LaneStatus

/**
 * What lanes there are, and how they send. Each lane has a queue of its own, opened when the layer is built.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Topics are `<prefix>.trade.v1`, `<prefix>.book.v1`, `<prefix>.status.v1`. */
  readonly topicPrefix: string
  readonly lanes: ReadonlyArray<LaneName>
  /** `fallback`: the queue takes over when the output cannot; `journal`: every event is on disk before it is sent. */
  readonly mode: "fallback" | "journal"
  /** How long an event may wait for others to be sent with it. */
  readonly linger: Duration.Duration
  /** Of each lane: failures in a row that open it, how long it stays open, successes in a row that close it. */
  readonly breaker: {
    readonly maxFailures: number
    readonly timeout: Duration.Duration
    readonly successThreshold: number
  }
  readonly retry: RetryPolicy.Options
  /**
   * Whose books these are, for the header `collector`: the name that their feeds have (`FeedOptions.collector`). Left out: they have no such
   * header.
   */
  readonly collector?: string | undefined
  /** For tests, and for those who measured. */
  readonly handover?: Partial<Handover.Options>
}

/**
 * What is known of the lanes, and how they stop.
 *
 * @since 0.1.0
 * @category tags
 */
export class Delivery extends Context.Tag("effect-exchange-feeds/services/Delivery")<Delivery, {
  readonly lanes: Effect.Effect<ReadonlyArray<LaneStatus>>
  /**
   * Clean stop (docs/design/delivery.md H8): the heads are awaited for most of the time given, the rest is appended, cursors and checkpoint
   * are written. False if something could not be made durable. Nothing may be offered afterwards.
   */
  readonly stop: (timeout: Duration.Duration) => Effect.Effect<boolean>
  /** Dies when a lane does, or what writes the checkpoint; otherwise never returns. Either must end the process (docs/design/contract.md "Health"). */
  readonly ended: Effect.Effect<never>
}>() {}

/**
 * The topic of a lane, such as `<prefix>.trade.v1`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const topicOf = (prefix: string, lane: LaneName): string => `${prefix}.${lane}.v1`

/** Milliseconds that a record waits for others at most, whatever the setting. */
const longestLinger = 500

/** Books go before trades when the shared budget runs out; status events are few and last. */
const dropOrder: Record<LaneName, number> = { book: 0, trade: 1, status: 2 }

const checkpointEvery = "1 second"

/** Bounds on one read while catching up with the queue at open. */
const catchUp = { maxRecords: 1000, maxBytes: 8 * 1024 * 1024 }

/**
 * One append, and one send (which pins its records), must be small parts of a small queue: what is larger than it would be refused
 * for ever.
 */
const fitting = (maxBytes: number): Pick<Handover.Options, "spillBytes" | "maxBatchBytes"> => {
  const { maxBatchBytes, spillBytes } = Handover.defaults
  return {
    spillBytes: Math.min(spillBytes, Math.max(64 * 1024, Math.floor(maxBytes / 8))),
    maxBatchBytes: Math.min(maxBatchBytes, Math.max(16 * 1024, Math.floor(maxBytes / 32)))
  }
}

/**
 * Opens a queue for each lane, takes up what an earlier life left there, and sends until the scope ends. Fails if a queue cannot be
 * opened; whether the output is there does not matter.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<
  { readonly sink: EventSink["Type"]; readonly delivery: Delivery["Type"] },
  FileQueueError,
  Checkpoint | CircuitBreaker.CircuitBreakers | DeadLetters | FileQueue | Producer | Scope.Scope
> {
  const breakers = yield* CircuitBreaker.CircuitBreakers
  const checkpoint = yield* Checkpoint
  const deadLetters = yield* DeadLetters
  const files = yield* FileQueue
  const ledger = yield* Ledger
  const producers = yield* Producer
  const { maxBytes } = yield* files.usage

  const openLane = Effect.fnUntraced(function*(name: LaneName) {
    const topic = topicOf(options.topicPrefix, name)
    const breaker = yield* breakers.make({ name: `kafka_${name}`, group: "kafka", ...options.breaker })
    return yield* Lane.make(
      {
        name,
        topic,
        handover: {
          ...Handover.defaults,
          journal: options.mode === "journal",
          // A record that waited for a second goes over the disk: one that waits for others must be on its way long before.
          linger: Math.min(Duration.toMillis(options.linger), longestLinger),
          fullPolicy: files.fullPolicy,
          ...fitting(maxBytes),
          ...options.handover
        },
        retry: options.retry
      },
      Effect.fnUntraced(function*(onLoss) {
        const queue = yield* files.open({ topic, dropOrder: dropOrder[name], onLoss })
        const { nextSeq, records } = yield* queue.snapshot
        ledger.inherited(name, records)
        if (name === "trade") {
          // docs/design/checkpoint.md "What it knows": what became durable after the last checkpoint is known from the queue itself.
          let from = (yield* checkpoint.coveredSeq) + 1
          while (from < nextSeq) {
            const more = yield* queue.read({ from, ...catchUp })
            const last = more.at(-1)
            if (last === undefined) break
            yield* checkpoint.settle(more, last.seq)
            from = last.seq + 1
          }
        }
        return queue
      }),
      {
        onDropped: (queueId, losses) => tellDropped(name, topic, queueId, losses),
        producer: (onRequestTimeout) => producers.lane({ topic, onRequestTimeout }),
        breaker,
        deadLetters,
        ledger,
        checkpoint: name === "trade" ? checkpoint : { resolve: checkpoint.resolve }
      }
    )
  })

  const lanes = new Map<LaneName, Lane.Lane>()
  const encode = makeEncoder(options.collector)

  const tellDropped = (name: LaneName, topic: string, queueId: string, losses: ReadonlyArray<Bookkeeping.Dropped>) =>
    Effect.flatMap(
      Time.wall,
      (now) =>
        offerTo(lanes, encode, "status", losses.flatMap((loss) => droppedEvents(name, topic, queueId, loss, now)))
    )

  for (const name of options.lanes) lanes.set(name, yield* openLane(name))

  const complaint = Complaint.make()
  const writeCheckpoint = checkpoint.write.pipe(
    Effect.andThen(complaint.over("the checkpoint is written again", {})),
    Effect.as(true),
    Effect.catchTag(
      "CheckpointError",
      (error) =>
        Effect.as(complaint.tell("the checkpoint cannot be written", { path: error.path, error: error.message }), false)
    )
  )
  const checkpointing = yield* Effect.sleep(checkpointEvery).pipe(
    Effect.andThen(writeCheckpoint),
    Effect.forever,
    Effect.forkScoped
  )

  const all = Array.from(lanes.values())

  const books = lanes.has("book")
    ? yield* BookGate.make({ usage: files.usage, ledger, pass: (events) => offerTo(lanes, encode, "book", events) })
    : undefined

  const offerAs = (name: LaneName, events: ReadonlyArray<MarketEvent>) =>
    name === "book" && books !== undefined && events.length > 0
      ? books.offer(events)
      : offerTo(lanes, encode, name, events)

  return {
    sink: {
      offer: (events) => {
        const first = events[0]
        if (first === undefined) return Effect.void
        // Nearly always a chunk is of one lane.
        const lane = laneOf(first)
        if (events.every((event) => laneOf(event) === lane)) return offerAs(lane, events)
        return Effect.forEach(
          lanes.keys(),
          (name) => offerAs(name, events.filter((event) => laneOf(event) === name)),
          { discard: true }
        )
      }
    },
    delivery: {
      lanes: Effect.forEach(all, (lane) => lane.status),
      stop: (timeout) =>
        (books?.release(Duration.times(timeout, 0.1)) ?? Effect.void).pipe(
          Effect.andThen(Effect.forEach(all, (lane) => lane.stop(timeout), { concurrency: "unbounded" })),
          Effect.andThen((durable) => Effect.map(writeCheckpoint, (written) => written && durable.every((one) => one)))
        ),
      // Not `raceAll`, which waits for a success as long as one of them lives.
      ended: all.reduce((ended, lane) => Effect.raceFirst(ended, lane.ended), died(checkpointing))
    }
  }
})

/** Dies if it did; otherwise never returns. */
const died = (fiber: Fiber.RuntimeFiber<never>): Effect.Effect<never> =>
  Effect.flatMap(Fiber.await(fiber), (exit) =>
    Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)
      ? Effect.die(Cause.squash(exit.cause))
      : Effect.never)

/** Epoch ms, as a queue tells it. */
const iso = (time: number | null): string | null => time === null ? null : Time.iso(Time.wallTime(time))

/** One for each exchange; `collector` for records of an earlier life, whose exchange is not known. Told again, it has the same id. */
const droppedEvents = (
  name: LaneName,
  topic: string,
  queueId: string,
  { byExchange, firstSeq, from, lastSeq, reason, recovered, to }: Bookkeeping.Dropped,
  now: Time.WallTime
): ReadonlyArray<MarketEvent> => {
  const ms = Time.epochMillis(now)
  const counts = new Map(byExchange)
  if (recovered > 0) counts.set("collector", recovered)
  return Array.from(counts, ([exchange, count]): MarketEvent => ({
    type: "status",
    v: 1,
    exchange,
    event: "dropped",
    id: `${exchange}:status:${queueId}:${topic}:${firstSeq ?? `memory-${ms}`}-${lastSeq ?? ms}`,
    channel: name === "trade" ? "trades" : name === "book" ? "books" : "status",
    reason,
    count,
    firstSequence: firstSeq,
    lastSequence: lastSeq,
    from: iso(from),
    to: iso(to),
    receivedAt: Time.iso(now)
  }))
}

const offerTo = (
  lanes: ReadonlyMap<LaneName, Lane.Lane>,
  encode: Encoder,
  name: LaneName,
  events: ReadonlyArray<MarketEvent>
): Effect.Effect<void> => {
  const lane = lanes.get(name)
  if (events.length === 0 || lane === undefined) return Effect.void
  return Effect.flatMap(Time.moment, (now) => lane.offer(events.map((event) => encode(event, now))))
}

/**
 * Gives the sink and what is known of its lanes. Needs the checkpoint, the breakers, the dead letters, a `FileQueue` and a `Producer`.
 * Fails if a queue cannot be opened.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<
  EventSink | Delivery,
  FileQueueError,
  Checkpoint | CircuitBreaker.CircuitBreakers | DeadLetters | FileQueue | Producer
> =>
  Layer.scopedContext(
    Effect.map(
      make(options),
      ({ delivery, sink }) => Context.make(EventSink, sink).pipe(Context.add(Delivery, delivery))
    )
  )
