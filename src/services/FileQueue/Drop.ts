/**
 * Segments go: because all of them is acknowledged, or to make room (`drop_oldest`, docs/design/delivery.md H6). Always the cursor first,
 * durable, then the file: a crash in between leaves a file that the next opening removes without counting it again.
 */
import * as Effect from "effect/Effect"
import { withFile } from "../FileOps.ts"
import * as Active from "./Active.ts"
import * as Drops from "./Drops.ts"
import type { FileQueueError, Loss } from "./Model.ts"
import type * as Ranges from "./Ranges.ts"
import * as Segment from "./Segment.ts"
import { ioError, lossesOf, type Shared, tellLosses, writeCursor } from "./Shared.ts"
import * as State from "./State.ts"
import * as Walk from "./Walk.ts"

/** The cursor is made durable, and what it leaves behind removed. Says where it is. */
export const persist = (shared: Shared): Effect.Effect<number, FileQueueError> =>
  Effect.mapError(Drops.settle(shared), (error) => ioError(error)).pipe(
    Effect.andThen(writeCursor(shared)),
    Effect.tap(() =>
      shared.state.segments.some((segment) => isRemovable(shared, segment))
        ? shared.structure.withPermits(1)(removeSpent(shared))
        : Effect.void
    ),
    Effect.uninterruptible
  )

const isRemovable = (shared: Shared, segment: State.Segment): boolean =>
  segment !== shared.active?.segment && State.isSpent(shared.state, segment)

/** Guarded by `structure`. No directory fsync: a file that a crash brings back is below the cursor. */
const removeSpent = Effect.fnUntraced(function*(shared: Shared): Effect.fn.Return<void, FileQueueError> {
  const { ops, state } = shared
  for (const segment of state.segments.filter((one) => isRemovable(shared, one))) {
    yield* ops.unlink(segment.path).pipe(
      Effect.catchIf((error) => error.code === "ENOENT", () => Effect.void),
      Effect.mapError((error) => ioError(error))
    )
    state.segments = state.segments.filter((one) => one !== segment)
  }
})

/** All that is acknowledged goes, the active segment too. True if that made room. */
export const reclaim = (shared: Shared): Effect.Effect<boolean, FileQueueError> =>
  Effect.suspend(() => {
    const { state } = shared
    const before = State.fileBytes(state)
    const { active } = shared
    const idle = active !== undefined && active.segment.end <= state.ackedTo
    return (idle ? shared.structure.withPermits(1)(Active.seal(shared)) : Effect.void).pipe(
      Effect.andThen(persist(shared)),
      Effect.map(() => State.fileBytes(state) < before)
    )
  })

/** The oldest records of the lane go, a segment's worth of them. False if there is nothing that may go. */
export const dropOldest = (shared: Shared): Effect.Effect<boolean, FileQueueError> =>
  shared.structure.withPermits(1)(
    // No read may see the records between the decision and its being durable.
    shared.reading.withPermits(1)(Effect.gen(function*() {
      const { state } = shared
      const choice = State.oldestDroppable(state)
      if (choice === undefined) return false
      const { ranges, segment } = choice
      if (shared.active?.segment === segment) yield* Active.seal(shared)
      yield* lose(shared, "full", ranges)
      yield* removeSpent(shared)
      if (state.segments.includes(segment)) yield* cutBehindPin(shared, segment, ranges)
      return true
    }))
  ).pipe(Effect.uninterruptible)

/** Guarded by `structure` and `reading`. First the note for those who are to be told, then the cursor. */
const lose = Effect.fnUntraced(function*(
  shared: Shared,
  reason: Loss["reason"],
  ranges: Ranges.Ranges
): Effect.fn.Return<void, FileQueueError> {
  const losses = lossesOf(shared, reason, ranges)
  yield* Effect.mapError(Drops.keep(shared, losses), (error) => ioError(error))
  yield* writeCursor(shared, ranges)
  State.lose(shared.state, ranges)
  yield* tellLosses(shared, losses)
})

/** Records go that are older than the newest by more than `QUEUE_MAX_AGE`; those of the unresolved send stay (H6). */
export const expire = (shared: Shared): Effect.Effect<void, FileQueueError> =>
  Effect.suspend(() => {
    const { settings: { maxAgeMs }, state } = shared
    if (maxAgeMs === undefined || State.expired(state, maxAgeMs).length === 0) return Effect.void
    return shared.structure.withPermits(1)(
      shared.reading.withPermits(1)(Effect.gen(function*() {
        yield* lose(shared, "expired", State.expired(state, maxAgeMs))
        yield* removeSpent(shared)
      }))
    )
  }).pipe(Effect.uninterruptible)

/** What is left of the segment are records of the unresolved send: its file ends behind them. */
const cutBehindPin = (
  shared: Shared,
  segment: State.Segment,
  gone: Ranges.Ranges
): Effect.Effect<void, FileQueueError> => {
  const from = gone.at(-1)?.first ?? segment.end
  // Records behind the hole are still wanted.
  if (gone.at(-1)?.last !== segment.end - 1) return Effect.void
  return withFile(
    shared.ops,
    segment.path,
    "write",
    Effect.fnUntraced(function*(file) {
      const walk = Walk.make({
        file,
        offset: Segment.headerBytes,
        limit: segment.size,
        seed: segment.seed,
        crc32: shared.ops.crc32
      })
      let size = Segment.headerBytes
      for (let step = walk.next(); step._tag !== "End"; step = walk.next()) {
        if (step._tag === "Fill") yield* walk.fill(step.bytes)
        if (step._tag !== "Frame") continue
        if (step.frame.seq >= from) break
        size = walk.offset()
      }
      yield* file.truncate(size)
      segment.size = size
    })
  ).pipe(Effect.mapError((error) => ioError(error)))
}
