/** One lane between a Kafka that answers when told to and a disk that takes nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Deferred, Duration, Effect, Logger, Queue, TestClock } from "effect"
import * as CircuitBreaker from "../../../src/services/CircuitBreaker.ts"
import * as Handover from "../../../src/services/Delivery/Handover.ts"
import * as Lane from "../../../src/services/Delivery/Lane.ts"
import { FileQueueError, type Queue as DiskQueue } from "../../../src/services/FileQueue.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"
import { type LaneProducer, ProducerUnavailable } from "../../../src/services/Producer.ts"
import * as RetryPolicy from "../../../src/services/RetryPolicy.ts"
import * as Time from "../../../src/services/Time.ts"
import { quiet } from "../FileQueue/Harness.ts"

const record = (n: number, size = 600): EventRecord => ({
  key: "bitpin:BTC/IRT",
  value: "x".repeat(size),
  headers: { id: `bitpin:${n}` },
  timestamp: n
})

const broken = new FileQueueError({ reason: "failed", path: "/data", message: "no disk" })

const noDisk: DiskQueue = {
  id: "0",
  recovery: { records: 0, lost: 0, quarantinedBytes: 0, tornTail: false, cursorReset: false },
  append: () => Effect.fail(broken),
  read: () => Effect.fail(broken),
  readAhead: () => Effect.void,
  ack: () => Effect.void,
  pin: () => Effect.void,
  persist: Effect.fail(broken),
  snapshot: Effect.succeed({
    records: 0,
    bytes: 0,
    segments: 0,
    nextSeq: 1,
    ackedTo: 1,
    durableAckedTo: 1,
    recovered: 0,
    state: "failed",
    oldest: null,
    oldestAge: 0
  }),
  untold: () => Effect.succeed([]),
  forgetTold: Effect.void
}

describe("Lane", () => {
  it.scopedLive(
    "that is full tells of what it dropped through itself, and does not wait for itself",
    () =>
      Effect.gen(function*() {
        const sent = yield* Queue.unbounded<EventRecord>()
        const answer = yield* Deferred.make<void>()
        const told = yield* Deferred.make<void>()
        let lane: Lane.Lane | undefined
        let resolved = 0
        lane = yield* Lane.make(
          {
            name: "status",
            topic: "t",
            handover: {
              ...Handover.defaults,
              spillBytes: 2_000,
              spillAfter: 20,
              holdFor: 100,
              diskRetry: 60_000,
              linger: 1
            },
            retry: RetryPolicy.defaults
          },
          () => Effect.succeed(noDisk),
          {
            breaker: yield* CircuitBreaker.make({
              name: "kafka",
              group: "kafka",
              maxFailures: 3,
              timeout: Duration.seconds(1),
              successThreshold: 1
            }),
            producer: () =>
              Effect.succeed({
                topic: "t",
                send: (records) => Effect.andThen(Deferred.await(answer), Queue.offerAll(sent, records)),
                partitionOf: () => Effect.succeed(0)
              }),
            deadLetters: { record: () => Effect.void, frame: () => Effect.void },
            ledger: Ledger.make(),
            checkpoint: {
              resolve: (records) =>
                Effect.sync(() => {
                  resolved += records.length
                })
            },
            onDropped: () =>
              Effect.suspend(() => lane === undefined ? Effect.void : lane.offer([record(1_000)])).pipe(
                Effect.andThen(Deferred.succeed(told, undefined))
              )
          }
        )
        const full = lane
        yield* full.offer([record(0)])
        // Kafka does not answer and the disk takes nothing: held, then the oldest go, again and again.
        yield* Effect.forkScoped(Effect.forever(full.offer([record(1)])))
        const dropping = Effect.map(full.status, ({ refusedAt }) => refusedAt !== null)
        yield* Effect.repeat(Effect.delay(dropping, "5 millis"), { until: (yes) => yes })
        // Nothing was delivered: a hole must not wait for ever for what was dropped. Told a step of the lane's fiber after the count.
        yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => resolved > 0 })
        const isFull = Effect.map(full.status, ({ waitingBytes }) => waitingBytes >= 2_000)
        yield* Effect.repeat(Effect.delay(isFull, "5 millis"), { until: (yes) => yes })
        yield* Deferred.succeed(answer, undefined)
        const inTime = yield* Effect.timeoutOption(Deferred.await(told), "10 seconds")
        assert.isTrue(inTime._tag === "Some", "the lane waits for itself")
        yield* Effect.repeat(Queue.take(sent), { until: ({ timestamp }) => timestamp === 1_000 })
      }).pipe(quiet),
    30_000
  )

  it.scoped("says how long Kafka owes it an answer, and of a request that timed out, until one comes", () =>
    Effect.gen(function*() {
      const answers = yield* Queue.unbounded<void>()
      let timeOut: Effect.Effect<void> = Effect.void
      const away = "b:9092: a request has timed out"
      const lane = yield* Lane.make(
        { name: "trade", topic: "t", handover: { ...Handover.defaults, linger: 0 }, retry: RetryPolicy.defaults },
        () => Effect.succeed(noDisk),
        {
          breaker: yield* CircuitBreaker.make({
            name: "kafka",
            group: "kafka",
            maxFailures: 3,
            timeout: Duration.seconds(10),
            successThreshold: 1
          }),
          producer: (onRequestTimeout) => {
            timeOut = onRequestTimeout("b:9092")
            return Effect.succeed({
              topic: "t",
              send: () => Queue.take(answers),
              partitionOf: () => Effect.succeed(0)
            })
          },
          deadLetters: { record: () => Effect.void, frame: () => Effect.void },
          ledger: Ledger.make(),
          checkpoint: { resolve: () => Effect.void },
          onDropped: () => Effect.void
        }
      )
      const seen = Effect.map(lane.status, ({ awaited, kafka: { message } }) => ({ awaited, message }))
      const settled = (until: (status: Lane.LaneStatus) => boolean): Effect.Effect<Lane.LaneStatus> =>
        Effect.repeat(Effect.andThen(Effect.yieldNow(), () => lane.status), { until })
      assert.deepStrictEqual(yield* seen, { awaited: null, message: null })
      // Nothing is out that an answer could take back.
      yield* timeOut
      assert.deepStrictEqual(yield* seen, { awaited: null, message: null })
      yield* TestClock.adjust("11 seconds")
      yield* lane.offer([record(1)])
      yield* settled(({ sending }) => sending === 1)
      yield* TestClock.adjust("1200 millis")
      assert.deepStrictEqual(yield* seen, { awaited: 1_200, message: null })
      yield* timeOut
      assert.deepStrictEqual(yield* seen, { awaited: 1_200, message: away })
      yield* Queue.offer(answers, undefined)
      yield* settled(({ sending }) => sending === 0)
      assert.deepStrictEqual(yield* seen, { awaited: null, message: null })
    }).pipe(quiet))

  it.scoped("tells in one line that Kafka is away and why, and in one that it is back, however often it is tried", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ annotations, message }) => {
      const text = Array.isArray(message) ? message.join(" ") : String(message)
      if (text.includes("delivered")) {
        lines.push([text, ...Array.from(annotations, ([name, value]) => `${name}=${String(value)}`).sort()].join(" "))
      }
    })
    return Effect.gen(function*() {
      const refused = new ProducerUnavailable({
        reason: "connection",
        message: "b:9092: connect ECONNREFUSED 10.0.0.1:9092"
      })
      let answer: Effect.Effect<void, ProducerUnavailable> = Effect.void
      let timeOut: Effect.Effect<void> = Effect.void
      let attempts = 0
      const lane = yield* Lane.make(
        { name: "trade", topic: "t", handover: { ...Handover.defaults, linger: 0 }, retry: RetryPolicy.defaults },
        () => Effect.succeed(noDisk),
        {
          breaker: yield* CircuitBreaker.make({
            name: "kafka",
            group: "kafka",
            maxFailures: 3,
            timeout: Duration.seconds(1),
            successThreshold: 2
          }),
          producer: (onRequestTimeout) => {
            timeOut = onRequestTimeout("c:9092")
            return Effect.succeed({
              topic: "t",
              send: () => Effect.suspend(() => (attempts += 1, answer)),
              partitionOf: () => Effect.succeed(0)
            })
          },
          deadLetters: { record: () => Effect.void, frame: () => Effect.void },
          ledger: Ledger.make(),
          checkpoint: { resolve: () => Effect.void },
          onDropped: () => Effect.void
        }
      )
      const until = (done: () => boolean) =>
        Effect.repeat(Effect.zipLeft(TestClock.adjust("1 second"), Effect.yieldNow()), { until: done })
      const more = (n: number) =>
        Effect.suspend(() => {
          const enough = attempts + n
          return Effect.andThen(lane.offer([record(n)]), until(() => attempts >= enough))
        })
      yield* more(1)
      assert.deepStrictEqual(lines, [])
      answer = refused
      // A failure or two are no outage.
      yield* more(2)
      assert.deepStrictEqual(lines, [])
      yield* more(10)
      const away = (reason: string) => `records cannot be delivered, they wait in the queue reason=${reason} topic=t`
      assert.deepStrictEqual(lines, [away(refused.message)])
      answer = Effect.void
      // The breaker wants two.
      yield* more(1)
      yield* more(1)
      yield* until(() => lines.length > 1)
      assert.deepStrictEqual(lines.splice(0), [away(refused.message), "records are delivered again topic=t"])
      yield* timeOut
      yield* timeOut
      yield* more(1)
      yield* more(1)
      yield* until(() => lines.length > 1)
      assert.deepStrictEqual(lines, [away("c:9092: a request has timed out"), "records are delivered again topic=t"])
    }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
  })

  it.scoped("has an alarm for what comes next, not one for each send of the last second", () =>
    Effect.gen(function*() {
      let sends = 0
      const lane = yield* plain({ ...Handover.defaults, linger: 5 }, noDisk, {
        send: () => Effect.sync(() => sends += 1)
      })
      for (let n = 0; n < 200; n++) {
        yield* lane.offer([record(n)])
        yield* TestClock.adjust("1 millis")
      }
      assert.isAtLeast(sends, 40)
      assert.isAtMost(Chunk.size(yield* TestClock.sleeps()), 2)
    }).pipe(quiet))

  it.scoped("under a burst of ten times what Kafka takes nothing is in memory only for longer than a second", () =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      const now = () => Time.instantOf(clock)
      const onDisk: Array<EventRecord> = []
      /** When it was offered, by its id; until it is acknowledged or on the disk. */
      const inMemory = new Map<string, Time.Instant>()
      const isSafe = (records: ReadonlyArray<EventRecord>): void => {
        for (const { headers } of records) inMemory.delete(headers["id"] ?? "")
      }
      let appends = 0
      const disk: DiskQueue = {
        ...noDisk,
        append: (records) =>
          Effect.delay(
            Effect.sync(() => {
              appends += 1
              const firstSeq = onDisk.length + 1
              onDisk.push(...records)
              isSafe(records)
              return { firstSeq, lastSeq: onDisk.length }
            }),
            "20 millis"
          ),
        read: ({ from, maxRecords }) =>
          Effect.succeed(onDisk.slice(from - 1, from - 1 + maxRecords).map((one, n) => ({ ...one, seq: from + n }))),
        persist: Effect.succeed(1)
      }
      const lane = yield* plain({ ...Handover.defaults, maxBatchRecords: 100 }, disk, {
        send: (records) => Effect.delay(Effect.sync(() => isSafe(records)), "250 millis")
      })
      let oldest = 0
      for (let n = 0; n < 160; n++) {
        const records = Array.from({ length: 100 }, (_, i) => record(n * 100 + i, 50))
        for (const { headers } of records) inMemory.set(headers["id"] ?? "", now())
        yield* lane.offer(records)
        yield* TestClock.adjust("25 millis")
        for (const at of inMemory.values()) {
          oldest = Math.max(oldest, Time.between(at, now()))
          break
        }
      }
      assert.isAbove(appends, 10)
      // And what the disk takes to write it, and the step of this clock.
      assert.isAtMost(oldest, 1_000 + 20 + 25)
    }).pipe(quiet))
})

/** A lane that nothing was asked of but its way from memory to Kafka and the disk. */
const plain = (
  handover: Handover.Options,
  disk: DiskQueue,
  { send }: Pick<LaneProducer, "send">
) =>
  Effect.flatMap(
    CircuitBreaker.make({
      name: "kafka",
      group: "kafka",
      maxFailures: 3,
      timeout: Duration.seconds(10),
      successThreshold: 1
    }),
    (breaker) =>
      Lane.make({ name: "trade", topic: "t", handover, retry: RetryPolicy.defaults }, () => Effect.succeed(disk), {
        breaker,
        producer: () => Effect.succeed({ topic: "t", send, partitionOf: () => Effect.succeed(0) }),
        deadLetters: { record: () => Effect.void, frame: () => Effect.void },
        ledger: Ledger.make(),
        checkpoint: { resolve: () => Effect.void },
        onDropped: () => Effect.void
      })
  )
