/**
 * One open queue: recovered, then its parts put together.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Complaint from "../Complaint.ts"
import type { FileOps, FileOpsError } from "../FileOps.ts"
import * as Instruments from "../Instruments.ts"
import * as Time from "../Time.ts"
import * as Active from "./Active.ts"
import * as Body from "./Body.ts"
import type * as Budget from "./Budget.ts"
import * as Drop from "./Drop.ts"
import * as Drops from "./Drops.ts"
import type { FileQueueError, OpenOptions, Queue } from "./Model.ts"
import * as Reader from "./Reader.ts"
import * as Recovery from "./Recovery.ts"
import { complained, ioError, type Settings, type Shared, writeEnd } from "./Shared.ts"
import * as State from "./State.ts"
import * as Writer from "./Writer.ts"

export const open = Effect.fnUntraced(function*(
  ops: FileOps["Type"],
  settings: Settings,
  budget: Budget.Budget,
  options: OpenOptions
): Effect.fn.Return<Queue, FileQueueError, Scope.Scope> {
  const { dir } = settings
  const { dropOrder, topic } = options
  const opened = yield* Recovery.open({ ops, dir, directory: `${dir}/queue/${topic}`, topic, dropOrder })
  const { recovery, state } = opened
  if (recovery.lost > 0 || recovery.cursorReset || recovery.tornTail) {
    yield* Effect.logWarning("the queue was damaged").pipe(Effect.annotateLogs({ topic, ...recovery }))
  }
  const queueId = opened.queueId ?? (yield* randomId)
  const shared: Shared = {
    state,
    ops,
    settings,
    onLoss: options.onLoss,
    drops: yield* Effect.mapError(Drops.open(ops, state), (error) => ioError(error)),
    queueId,
    encoder: Body.makeEncoder(),
    structure: yield* Effect.makeSemaphore(1),
    reading: yield* Effect.makeSemaphore(1),
    cursor: yield* Effect.makeSemaphore(1),
    active: undefined,
    scope: yield* Effect.scope,
    steady: yield* steadyClock,
    expiredAt: -Infinity,
    lookedAt: -Infinity,
    healing: false,
    complaint: Complaint.make(),
    syncs: Instruments.queueSync(yield* Instruments.Instruments)
  }
  const reader = Reader.make(shared)
  const append = Writer.make(shared, budget)

  yield* Effect.acquireRelease(
    Effect.sync(() => budget.lanes.add(shared)),
    () =>
      Effect.sync(() => budget.lanes.delete(shared)).pipe(
        // An append of nothing: whoever called before is done then, and was told how it ended.
        Effect.andThen(Effect.exit(append([]))),
        Effect.andThen(shared.structure.withPermits(1)(Active.seal(shared))),
        Effect.andThen(complained(shared, "write the cursor", end(shared))),
        Effect.andThen(shared.reading.withPermits(1)(reader.close))
      )
  )
  // Of a life that was killed, its last segment knows more.
  yield* complained(shared, "write the cursor", end(shared))
  yield* watch(shared).pipe(Effect.delay(watchEvery), Effect.forever, Effect.forkScoped)
  if (settings.fsync === "interval") {
    yield* Active.syncActive(shared).pipe(
      Effect.delay(Duration.millis(settings.fsyncIntervalMs)),
      Effect.forever,
      Effect.forkScoped
    )
  }

  return {
    recovery,
    append,
    read: reader.read,
    readAhead: reader.readAhead,
    ack: (nextSeq) => Effect.sync(() => State.acknowledge(state, nextSeq)),
    pin: (range) =>
      Effect.sync(() => {
        state.pinned = range
        state.readPin = undefined
      }),
    persist: Drop.persist(shared),
    snapshot: Effect.sync(() => State.snapshot(state, shared.steady())),
    id: Array.from(queueId, (byte) => byte.toString(16).padStart(2, "0")).join(""),
    untold: (upTo) => Effect.sync(() => Drops.take(shared.drops, upTo)),
    forgetTold: Effect.mapError(Drops.forget(shared), (error) => ioError(error))
  }
})

const watchEvery = "1 second"

/** The cursor may pass ranges that the file of losses still names, though they are here: that is put right first. */
const end = (shared: Shared): Effect.Effect<void, FileOpsError> =>
  Effect.suspend(() => shared.drops.stale ? Effect.andThen(Drops.settle(shared), writeEnd(shared)) : writeEnd(shared))

/**
 * Somebody may take files away, such as a cleaner of temporary files. What only this process still knows is written again: the records
 * of the active segment, where the queue begins and ends, the losses to be told of. So whatever else is gone will be told as lost, by
 * the next life too. Appends do not wait for it, but for the active segment.
 */
const watch = (shared: Shared): Effect.Effect<void> =>
  Effect.suspend(() =>
    complained(
      shared,
      "write again what was taken away",
      shared.structure.withPermits(1)(Active.restore(shared, shared.steady()))
    )
  ).pipe(
    Effect.andThen(complained(shared, "write the cursor", end(shared))),
    Effect.andThen(complained(shared, "remember a loss", Drops.restore(shared))),
    Effect.uninterruptible
  )

const steadyClock = Effect.map(Effect.clock, (clock) => {
  const opened = Time.momentOf(clock)
  return () => Time.epochMillis(Time.wallAfter(opened, Time.between(opened.at, Time.instantOf(clock))))
})

const randomId = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 256), 16),
  (bytes) => Uint8Array.from(bytes)
)
