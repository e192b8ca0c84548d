/**
 * The segment that is appended to: begun, closed, given up. A file that failed once is never written or synced again
 * (docs/design/queue.md "When a write fails"). All of it guarded by `structure`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { closeQuietly, type File, type FileOpsError, inDirectory, readFully, writeAll } from "../FileOps.ts"
import { complained, isThere, type QueueContext } from "./Context.ts"
import * as Cursor from "./Cursor.ts"
import * as Format from "./Format.ts"
import * as Origins from "./Origins.ts"
import * as State from "./State.ts"

/** The next segment: durable with its name before anything goes into it. */
export const create = Effect.fnUntraced(function*(shared: QueueContext, now: number): Effect.fn.Return<
  NonNullable<QueueContext["active"]>,
  FileOpsError
> {
  const { ops, queueId, state } = shared
  const base = state.nextSeq
  const path = `${state.directory}/${Format.segmentName(base)}`
  const file = yield* inDirectory(ops, state.directory, ops.open(path, "create")).pipe(
    // What is left of an attempt that failed; no record of it was acknowledged, or `base` would be higher.
    Effect.catchIf(
      (error) => error.code === "EEXIST",
      () => Effect.andThen(ops.unlink(path), ops.open(path, "create"))
    )
  )
  const header = Format.encodeHeader({ base, createdMs: now, queueId }, ops.crc32)
  yield* writeAll(file, header, 0).pipe(
    Effect.andThen(file.sync),
    Effect.andThen(ops.syncDirectory(state.directory)),
    Effect.tapError(() => discard(shared, file))
  )
  const segment: State.Segment = {
    base,
    path,
    seed: Format.segmentSeed(base, ops.crc32),
    inherited: false,
    createdMs: now,
    end: base,
    size: header.length,
    origins: Origins.empty,
    times: []
  }
  state.segments.push(segment)
  const active = { segment, file, dirty: false }
  shared.active = active
  shared.lookedAt = now
  // With all the segments before it. It is not what the append promises: should it fail, a later look does it.
  yield* complained(shared, "write the cursor", Cursor.writeEnd(shared))
  return active
})

const lookEvery = 1000

/**
 * Somebody may take the active segment's file away, such as a cleaner of temporary files: what is in it is there while it is open, and
 * would be gone with this process, though it was promised to be durable. It is written again under its name. Guarded by `structure`.
 */
export const restore = Effect.fnUntraced(
  function*(shared: QueueContext, now: number): Effect.fn.Return<void, FileOpsError> {
    if (Math.abs(now - shared.lookedAt) < lookEvery) return
    yield* restoreNow(shared)
    shared.lookedAt = now
  }
)

/** Whenever it was looked at last: before it is closed. */
const restoreNow = Effect.fnUntraced(function*(shared: QueueContext): Effect.fn.Return<void, FileOpsError> {
  const { active, ops, state } = shared
  if (active === undefined) return
  const { segment } = active
  if (yield* isThere(ops, segment.path)) return
  const bytes = new Uint8Array(segment.size)
  yield* readFully(active.file, bytes, 0)
  const file = yield* inDirectory(ops, state.directory, ops.open(segment.path, "replace"))
  yield* writeAll(file, bytes, 0).pipe(
    Effect.andThen(file.sync),
    Effect.andThen(ops.syncDirectory(state.directory)),
    Effect.tapError(() => discard(shared, file))
  )
  // Another one to whoever reads it: the file that is open there does not grow any more.
  const again = { ...segment }
  state.segments = state.segments.map((one) => one === segment ? again : one)
  shared.active = { segment: again, file, dirty: false }
  yield* closeQuietly(active.file)
  yield* Effect.logWarning("the file of the queue that is written was taken away; it is there again").pipe(
    Effect.annotateLogs({ path: segment.path, bytes: bytes.length })
  )
})

/** As the file's own, and measured. */
export const sync = ({ syncs }: QueueContext, file: File): Effect.Effect<void, FileOpsError> =>
  Effect.map(Effect.timed(file.datasync), ([took]) => syncs.observe(Duration.toMillis(took)))

const discard = (shared: QueueContext, file: File): Effect.Effect<void> =>
  Effect.andThen(closeQuietly(file), complained(shared, "remove", shared.ops.unlink(file.path)))

/** The active segment is done with, in order: what `append` promised to sync later is synced now. Guarded by `structure`. */
export const seal = (shared: QueueContext): Effect.Effect<void> =>
  Effect.suspend(() => {
    const wanted = shared.active !== undefined && shared.active.segment.end > shared.state.ackedTo
    // A file without a name is gone once it is closed, and nothing else has its records.
    const restored = complained(shared, "write again what was taken away", restoreNow(shared))
    return wanted ? Effect.andThen(restored, end(shared)) : end(shared)
  })

const end = Effect.fnUntraced(function*(shared: QueueContext): Effect.fn.Return<void> {
  const { active, settings } = shared
  if (active === undefined) return
  shared.active = undefined
  State.closed(active.segment)
  // Its records were acknowledged without a promise about a loss of power.
  if (active.dirty && settings.fsync === "interval") yield* complained(shared, "sync", sync(shared, active.file))
  yield* closeQuietly(active.file)
})

/** The active segment failed: what it holds durably stays, nothing is added. */
export const abandon = Effect.fnUntraced(function*(shared: QueueContext): Effect.fn.Return<void> {
  const { active, state } = shared
  if (active === undefined) return
  shared.active = undefined
  State.closed(active.segment)
  if (active.segment.end > active.segment.base) {
    // What was not acknowledged is not to come back after a crash, as far as the disk lets us; recovery does the rest.
    yield* complained(shared, "cut", active.file.truncate(active.segment.size))
    return yield* closeQuietly(active.file)
  }
  state.segments = state.segments.filter((segment) => segment !== active.segment)
  yield* discard(shared, active.file)
})

/** `QUEUE_FSYNC=interval`. */
export const syncActive = (shared: QueueContext): Effect.Effect<void> =>
  shared.structure.withPermits(1)(Effect.suspend(() => {
    const { active, state } = shared
    if (active === undefined || !active.dirty) return Effect.void
    return sync(shared, active.file).pipe(
      Effect.matchEffect({
        onFailure: (error) =>
          Effect.logWarning("the queue cannot be synced; a loss of power may take what it holds").pipe(
            Effect.annotateLogs({ path: error.path, code: error.code }),
            // The next append that succeeds, in a new segment, mends it.
            Effect.andThen(Effect.sync(() => {
              state.status = "failed"
            })),
            Effect.andThen(abandon(shared))
          ),
        onSuccess: () =>
          Effect.sync(() => {
            active.dirty = false
          })
      })
    )
  })).pipe(Effect.uninterruptible)

/** Full or old: the next batch begins another. */
export const rollIfDue = (shared: QueueContext, now: number): Effect.Effect<void, FileOpsError> => {
  const { active, settings } = shared
  if (active === undefined) return Effect.void
  const { createdMs, size } = active.segment
  const old = Math.abs(now - createdMs) >= settings.segmentAgeMs
  const due = size >= settings.segmentBytes || (old && size > Format.headerBytes)
  // It stays open as long as it cannot be written again: what it holds is nowhere else.
  return due ? Effect.andThen(restoreNow(shared), end(shared)) : Effect.void
}
