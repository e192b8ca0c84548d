/**
 * How long records stay: until they are acknowledged, or the disk has no room for them (`QUEUE_MAX_BYTES`, of all lanes together), or they
 * are too old (`QUEUE_MAX_AGE`). What goes unacknowledged is noted as a loss, then the cursor passes it, durable, then its file goes: a
 * crash in between leaves a file that the next opening removes without counting it again (docs/design/delivery.md H6).
 */
import * as Effect from "effect/Effect"
import { type FileOps, withFile } from "../FileOps.ts"
import * as Time from "../Time.ts"
import * as Active from "./Active.ts"
import { ioError, type QueueContext, type Settings } from "./Context.ts"
import * as Cursor from "./Cursor.ts"
import * as Format from "./Format.ts"
import * as Losses from "./Losses.ts"
import { FileQueueError, type Loss } from "./Model.ts"
import type * as Ranges from "./Ranges.ts"
import * as State from "./State.ts"
import * as Walk from "./Walk.ts"

// ---------------------------------------------------------------------------------------------------------------------
// the budget

/**
 * `QUEUE_MAX_BYTES`, shared by all lanes: what their files take together. When it runs out, first what is acknowledged goes, then
 * the oldest of the lane that matters least: books before trades (docs/design/queue.md "Full").
 */
export interface Budget {
  /** Room for a batch of `shared`, kept for it until `state.reserved` says otherwise. */
  readonly reserve: (shared: QueueContext, bytes: number) => Effect.Effect<void, FileQueueError>
  /** False if the disk would then be fuller than the cursor can bear. Asks the system once a second at most, unless in doubt. */
  readonly roomOnDisk: (directory: string, bytes: number, now: Time.Instant) => Effect.Effect<boolean>
  readonly lanes: Set<QueueContext>
}

/** Kept free for cursor and checkpoint: with a full disk the backlog could be sent, but never be forgotten. */
const reserveBytes = 256 * 1024

const askEvery = 1000

export const makeBudget = (ops: FileOps["Type"], settings: Settings): Budget => {
  const lock = Effect.unsafeMakeSemaphore(1)
  const lanes = new Set<QueueContext>()

  const used = (): number => {
    let sum = 0
    for (const { state } of lanes) sum += State.fileBytes(state)
    return sum
  }

  const fits = (bytes: number): boolean => used() + bytes <= settings.maxBytes

  /** In one step with `fits`: nothing else runs in between. */
  const take = (shared: QueueContext, bytes: number): boolean => {
    if (!fits(bytes)) return false
    shared.state.reserved = bytes
    return true
  }

  const makeRoom = Effect.fnUntraced(function*(shared: QueueContext): Effect.fn.Return<void, FileQueueError> {
    const byOrder = Array.from(lanes).sort((a, b) => a.state.dropOrder - b.state.dropOrder)
    for (const lane of byOrder) if (yield* reclaim(lane)) return
    if (settings.fullPolicy !== "drop_oldest") return yield* noRoom(shared, "refused")
    for (const lane of byOrder) if (yield* dropOldest(lane)) return
    return yield* noRoom(shared, "full")
  })

  let disk = { free: 0, at: Time.never }

  const ask = (directory: string, now: Time.Instant) =>
    ops.freeBytes(directory).pipe(
      // Then the writes themselves tell.
      Effect.catchTag("FileOpsError", (error) =>
        Effect.as(Effect.logDebug("the free space is not known").pipe(Effect.annotateLogs({ error })), Infinity)),
      Effect.map((free) => {
        disk = { free, at: now }
      })
    )

  const takeDisk = (bytes: number): boolean => {
    if (disk.free - bytes < reserveBytes) return false
    disk.free -= bytes
    return true
  }

  const noRoom = (shared: QueueContext, reason: "full" | "refused"): FileQueueError =>
    new FileQueueError({ reason, path: shared.state.directory, message: `the ${settings.maxBytes} bytes are taken` })

  return {
    lanes,
    roomOnDisk: (directory, bytes, now) =>
      Effect.suspend(() => {
        const fresh = Time.between(disk.at, now) < askEvery
        if (fresh && takeDisk(bytes)) return Effect.succeed(true)
        return Effect.map(ask(directory, now), () => takeDisk(bytes))
      }),
    reserve: (shared, bytes) =>
      Effect.suspend(() =>
        take(shared, bytes)
          ? Effect.void
          : lock.withPermits(1)(Effect.gen(function*() {
            // Not even if everything else went.
            if (bytes > settings.maxBytes) return yield* noRoom(shared, "full")
            while (!take(shared, bytes)) yield* makeRoom(shared)
          }))
      )
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// what goes

/** All that is acknowledged goes, the active segment too. True if that made room. */
const reclaim = (shared: QueueContext): Effect.Effect<boolean, FileQueueError> =>
  Effect.suspend(() => {
    const { state } = shared
    const before = State.fileBytes(state)
    const { active } = shared
    const idle = active !== undefined && active.segment.end <= state.ackedTo
    return (idle ? shared.structure.withPermits(1)(Active.seal(shared)) : Effect.void).pipe(
      Effect.andThen(Cursor.persist(shared)),
      Effect.map(() => State.fileBytes(state) < before)
    )
  })

/** The oldest records of the lane go, a segment's worth of them. False if there is nothing that may go. */
const dropOldest = (shared: QueueContext): Effect.Effect<boolean, FileQueueError> =>
  shared.structure.withPermits(1)(
    // No read may see the records between the decision and its being durable.
    shared.reading.withPermits(1)(Effect.gen(function*() {
      const { state } = shared
      const choice = State.oldestDroppable(state)
      if (choice === undefined) return false
      const { ranges, segment } = choice
      if (shared.active?.segment === segment) yield* Active.seal(shared)
      yield* lose(shared, "full", ranges)
      yield* Cursor.removeSpent(shared)
      if (state.segments.includes(segment)) yield* cutBehindPin(shared, segment, ranges)
      return true
    }))
  ).pipe(Effect.uninterruptible)

/** Guarded by `structure` and `reading`. First the note for those who are to be told, then the cursor. */
const lose = Effect.fnUntraced(function*(
  shared: QueueContext,
  reason: Loss["reason"],
  ranges: Ranges.Ranges
): Effect.fn.Return<void, FileQueueError> {
  const losses = State.lossesOf(shared.state, reason, ranges)
  yield* Effect.mapError(Losses.keep(shared, losses), (error) => ioError(error))
  yield* Cursor.write(shared, ranges)
  State.lose(shared.state, ranges)
  yield* Losses.report(shared, losses)
})

/** Records go that are older than the newest by more than `QUEUE_MAX_AGE`; those of the unresolved send stay (H6). */
export const expire = (shared: QueueContext): Effect.Effect<void, FileQueueError> =>
  Effect.suspend(() => {
    const { settings: { maxAgeMs }, state } = shared
    if (maxAgeMs === undefined || State.expired(state, maxAgeMs).length === 0) return Effect.void
    return shared.structure.withPermits(1)(
      shared.reading.withPermits(1)(Effect.gen(function*() {
        yield* lose(shared, "expired", State.expired(state, maxAgeMs))
        yield* Cursor.removeSpent(shared)
      }))
    )
  }).pipe(Effect.uninterruptible)

/** What is left of the segment are records of the unresolved send: its file ends behind them. */
const cutBehindPin = (
  shared: QueueContext,
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
        offset: Format.headerBytes,
        limit: segment.size,
        seed: segment.seed,
        crc32: shared.ops.crc32
      })
      let size = Format.headerBytes
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
