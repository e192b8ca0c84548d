/** A lane's alarms when time passes between its looks at the clock. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Option, Queue, TestClock } from "effect"
import * as CircuitBreaker from "../../../src/services/CircuitBreaker.ts"
import * as Handover from "../../../src/services/Delivery/Handover.ts"
import * as Lane from "../../../src/services/Delivery/Lane.ts"
import { FileQueueError, type Queue as DiskQueue } from "../../../src/services/FileQueue.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"
import * as RetryPolicy from "../../../src/services/RetryPolicy.ts"

const record = (n: number): EventRecord => ({
  key: "bitpin:BTC/IRT",
  value: "x",
  headers: { id: `bitpin:${n}` },
  timestamp: n
})

/** The test's clock, but while it is restless a millisecond passes with each look at it. */
const restless = (clock: Clock.Clock) => {
  const hand = { isRestless: false }
  let extra = 0
  const look = () => (extra += hand.isRestless ? 1 : 0)
  const nanos = () => clock.unsafeCurrentTimeNanos() + BigInt(look()) * 1_000_000n
  const millis = () => clock.unsafeCurrentTimeMillis() + look()
  const moved: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos),
    sleep: (duration) => clock.sleep(duration)
  }
  return { hand, moved }
}

describe("a lane's alarms", () => {
  it.scoped("what becomes due between two looks at the clock is not forgotten: no record waits a second, and takes the disk", () =>
    Effect.gen(function*() {
      const { hand, moved } = restless(yield* Effect.clock)
      let appends = 0
      const refused = new FileQueueError({ reason: "failed", path: "/data", message: "no disk" })
      const queue: DiskQueue = {
        id: "0",
        recovery: { records: 0, lost: 0, quarantinedBytes: 0, tornTail: false, cursorReset: false },
        append: () =>
          Effect.suspend(() => {
            appends += 1
            return Effect.fail(refused)
          }),
        read: () => Effect.fail(refused),
        readAhead: () => Effect.void,
        ack: () => Effect.void,
        pin: () => Effect.void,
        persist: Effect.fail(refused),
        snapshot: Effect.succeed({
          records: 0,
          bytes: 0,
          segments: 0,
          nextSeq: 1,
          ackedTo: 1,
          durableAckedTo: 1,
          recovered: 0,
          state: "ok",
          oldest: null,
          oldestAge: 0
        }),
        untold: () => Effect.succeed([]),
        forgetTold: Effect.void
      }
      const sent = yield* Queue.unbounded<EventRecord>()
      const lane = yield* Effect.withClock(
        Lane.make(
          {
            name: "trade",
            topic: "t",
            handover: { ...Handover.defaults, linger: 20 },
            retry: RetryPolicy.defaults
          },
          () => Effect.succeed(queue),
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
                send: (records) => Queue.offerAll(sent, records),
                partitionOf: () => Effect.succeed(0)
              }),
            deadLetters: { record: () => Effect.void, frame: () => Effect.void },
            ledger: Ledger.make(),
            checkpoint: { resolve: () => Effect.void },
            onDropped: () => Effect.void
          }
        ),
        moved
      )
      // The second record comes ever later after the first was sent, until it goes at once: at some distance its time is between two looks.
      for (let distance = 0; distance < 25; distance++) {
        yield* lane.offer([record(distance)])
        assert.strictEqual((yield* Queue.take(sent)).headers["id"], `bitpin:${distance}`)
        yield* TestClock.adjust(distance)
        hand.isRestless = true
        yield* lane.offer([record(100 + distance)])
        yield* Effect.repeatN(Effect.yieldNow(), 20)
        hand.isRestless = false
        yield* TestClock.adjust(100)
        assert.strictEqual(
          (yield* Queue.poll(sent).pipe(Effect.map(Option.getOrUndefined)))?.headers["id"],
          `bitpin:${100 + distance}`
        )
        yield* TestClock.adjust(100)
      }
      assert.strictEqual(appends, 0)
    }))
})
