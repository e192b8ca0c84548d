/**
 * Appends (docs/design/queue.md "Appending", "When a write fails"): a batch is written, synced and acknowledged as a whole, or not at all. A file that failed
 * once is never written or synced again.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { type FileOpsError, isNoRoom, writeAll } from "../FileOps.ts"
import type { EventRecord } from "../MarketEvent.ts"
import * as Time from "../Time.ts"
import * as Active from "./Active.ts"
import { ioError, type QueueContext } from "./Context.ts"
import * as Format from "./Format.ts"
import { FileQueueError } from "./Model.ts"
import * as Retention from "./Retention.ts"
import * as State from "./State.ts"

export interface Appended {
  readonly firstSeq: number
  readonly lastSeq: number
}

interface Waiting {
  readonly records: ReadonlyArray<EventRecord>
  /** Set once its group is written, or refused. */
  outcome: Exit.Exit<Appended, FileQueueError> | undefined
  /** Called then; or before, if it is this call's turn to write. */
  wake: (() => void) | undefined
}

/** Most records in one group commit, unless a single call brings more. */
const maxGroup = 4096

/**
 * Concurrent calls share one group commit: one of them writes for all who wait, then leaves that to the one who waits longest.
 * Who was written for is told at once, however busy the others are. Cannot be interrupted: a batch that was handed over may be on
 * disk.
 */
export const make = (
  shared: QueueContext,
  budget: Retention.Budget
): (records: ReadonlyArray<EventRecord>) => Effect.Effect<Appended, FileQueueError> => {
  let waiting: Array<Waiting> = []
  /** One of the calls writes. */
  let busy = false

  const takeGroup = (): ReadonlyArray<Waiting> => {
    let count = 0
    let taken = 0
    for (const one of waiting) {
      if (taken > 0 && count + one.records.length > maxGroup) break
      count += one.records.length
      taken += 1
    }
    const group = waiting.slice(0, taken)
    waiting = waiting.slice(taken)
    return group
  }

  const commitTogether = (group: ReadonlyArray<Waiting>): Effect.Effect<void> =>
    Effect.exit(
      commit(shared, budget, group.length === 1 ? group[0]?.records ?? [] : group.flatMap((one) => one.records))
    ).pipe(
      Effect.flatMap((exit) => {
        // One of them alone may be at fault: each for itself.
        if (group.length > 1 && isTooLarge(exit)) {
          return Effect.forEach(group, (one) => commitTogether([one]), { discard: true })
        }
        settle(group, exit)
        return Effect.void
      })
    )

  const handOver = Effect.sync(() => {
    const [next] = waiting
    if (next === undefined) busy = false
    else next.wake?.()
  })

  /** Never without a call that waits: the one whose turn it is. */
  const writeNext = Effect.zipRight(Effect.suspend(() => commitTogether(takeGroup())), handOver)

  return (records) =>
    Effect.uninterruptible(Effect.suspend(() => {
      const own: Waiting = { records, outcome: undefined, wake: undefined }
      waiting.push(own)
      const result: Effect.Effect<Appended, FileQueueError> = Effect.suspend(() =>
        own.outcome ?? Effect.flatMap(writeNext, () => result)
      )
      if (!busy) {
        busy = true
        return result
      }
      // At once, not when this fiber comes to wait: until then it may give way, and a call to wake it would find nobody.
      const awake = Deferred.unsafeMake<void>(FiberId.none)
      own.wake = () => Deferred.unsafeDone(awake, Effect.void)
      return Effect.flatMap(Deferred.await(awake), () => result)
    }))
}

const isTooLarge = (exit: Exit.Exit<number, FileQueueError>): boolean =>
  Exit.isFailure(exit) && exit.cause._tag === "Fail" && exit.cause.error.reason === "too_large"

/** Their sequence numbers follow each other in the order of their calls. */
const settle = (group: ReadonlyArray<Waiting>, exit: Exit.Exit<number, FileQueueError>): void => {
  let behind = 0
  for (const one of group) {
    const before = behind
    behind += one.records.length
    one.outcome = Exit.map(exit, (first) => ({ firstSeq: first + before, lastSeq: first + behind - 1 }))
    one.wake?.()
  }
}

const probeEvery = "1 second"

/** Succeeds with the first sequence number. */
const commit = Effect.fnUntraced(function*(
  shared: QueueContext,
  budget: Retention.Budget,
  records: ReadonlyArray<EventRecord>
): Effect.fn.Return<number, FileQueueError> {
  const { state } = shared
  if (records.length === 0) return state.nextSeq
  const now = shared.steady()
  const batch = shared.encoder.encode(records, now)
  if (batch === undefined) {
    return yield* new FileQueueError({
      reason: "too_large",
      path: state.directory,
      message: `a record over ${Format.maxBodyBytes} bytes`
    })
  }
  const free = yield* budget.roomOnDisk(state.directory, batch.length, yield* Time.now)
  if (!free) {
    yield* becomeFull(shared, budget)
    return yield* new FileQueueError({ reason: "full", path: state.directory, message: "no space left on the disk" })
  }
  yield* budget.reserve(shared, batch.length + Format.headerBytes)
  const written = yield* Effect.exit(shared.structure.withPermits(1)(write(shared, budget, records, batch, now)))
  state.reserved = 0
  const firstSeq = yield* written
  yield* expireAt(shared, now)
  return firstSeq
})

const expireEvery = 1000

/** The batch is in, whatever becomes of this: it is tried again with a later one. */
const expireAt = (shared: QueueContext, now: number): Effect.Effect<void> => {
  if (now - shared.expiredAt < expireEvery) return Effect.void
  shared.expiredAt = now
  return Retention.expire(shared).pipe(
    Effect.catchTag("FileQueueError", (error) =>
      shared.complaint.tell("records past QUEUE_MAX_AGE cannot be dropped", {
        topic: shared.state.topic,
        error: error.message
      }))
  )
}

const write = Effect.fnUntraced(function*(
  shared: QueueContext,
  budget: Retention.Budget,
  records: ReadonlyArray<EventRecord>,
  batch: Uint8Array,
  now: number
): Effect.fn.Return<number, FileQueueError> {
  const { state } = shared
  const attempt = tryWrite(shared, batch, now)
  // Once more, into a new file; in trouble already: that was the one attempt (docs/design/queue.md "When a write fails").
  const twice = state.status === "ok"
    ? Effect.catchIf(attempt, (error) => !isNoRoom(error), () => tryWrite(shared, batch, now))
    : attempt
  const failed = yield* Effect.match(twice, { onFailure: (error) => error, onSuccess: () => undefined })
  if (failed !== undefined) {
    const full = isNoRoom(failed)
    if (full) yield* becomeFull(shared, budget)
    else state.status = "failed"
    return yield* ioError(failed, full ? "full" : "failed")
  }
  state.status = "ok"
  const { active } = shared
  const firstSeq = state.nextSeq
  if (active !== undefined) State.appended(state, active.segment, records, batch.length, now)
  return firstSeq
})

/** A full disk heals without an append to try it: nobody may have anything to append. */
const becomeFull = (shared: QueueContext, budget: Retention.Budget): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { state } = shared
    state.status = "full"
    if (shared.healing) return Effect.void
    shared.healing = true
    const look = Effect.flatMap(Time.now, (now) => budget.roomOnDisk(state.directory, 0, now))
    return look.pipe(
      Effect.delay(probeEvery),
      Effect.repeat({ until: (room) => room || state.status !== "full" }),
      Effect.andThen(Effect.sync(() => {
        shared.healing = false
        if (state.status === "full") state.status = "ok"
      })),
      Effect.interruptible,
      Effect.forkIn(shared.scope)
    )
  })

const tryWrite = Effect.fnUntraced(function*(
  shared: QueueContext,
  batch: Uint8Array,
  now: number
): Effect.fn.Return<void, FileOpsError> {
  const { ops, settings, state } = shared
  yield* Active.restore(shared, now)
  yield* Active.rollIfDue(shared, now)
  const active = shared.active ?? (yield* Active.create(shared, now))
  const { file, segment } = active
  Format.stamp(batch, state.nextSeq, segment.seed, ops.crc32)
  yield* writeAll(file, batch, segment.size).pipe(
    Effect.andThen(settings.fsync === "always" ? Active.sync(shared, file) : Effect.void),
    Effect.tapError(() => Active.abandon(shared))
  )
  active.dirty = settings.fsync !== "always"
})
