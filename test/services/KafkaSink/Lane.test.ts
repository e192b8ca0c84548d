/** One lane between a Kafka that answers when told to and a disk that takes nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Queue } from "effect"
import * as CircuitBreaker from "../../../src/services/CircuitBreaker.ts"
import { FileQueueError, type Queue as DiskQueue } from "../../../src/services/FileQueue.ts"
import * as Handover from "../../../src/services/KafkaSink/Handover.ts"
import * as Lane from "../../../src/services/KafkaSink/Lane.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"
import * as RetryPolicy from "../../../src/services/RetryPolicy.ts"
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
            checkpoint: { resolve: () => Effect.void },
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
        const isFull = Effect.map(full.status, ({ waitingBytes }) => waitingBytes >= 2_000)
        yield* Effect.repeat(Effect.delay(isFull, "5 millis"), { until: (yes) => yes })
        yield* Deferred.succeed(answer, undefined)
        const inTime = yield* Effect.timeoutOption(Deferred.await(told), "10 seconds")
        assert.isTrue(inTime._tag === "Some", "the lane waits for itself")
        yield* Effect.repeat(Queue.take(sent), { until: ({ timestamp }) => timestamp === 1_000 })
      }).pipe(quiet),
    30_000
  )
})
