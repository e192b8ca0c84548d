/**
 * The cursor file: where the queue begins, and what between there and its end is gone. 64 bytes, 16 more for each hole:
 *
 * 0 "EXFQCUR1" | 8 u16 version | 10 u16 number of holes | 12 u32 0 | 16 u64 generation | 24 u64 nextSeq (first not acknowledged) |
 * 32 u64 hint segment | 40 u64 hint offset | 48 u64 nextAssign (highest ever assigned + 1) | 56 u32 0 | 60 u32 crc of all but itself |
 * 64 holes: u64 first, u64 last.
 *
 * A hole is a range of records that were dropped, or found damaged, behind records that are still to be sent (docs/design/delivery.md H6:
 * those of the unresolved send are spared). The cursor makes both kinds of drop durable in one step, before any file goes, so
 * that no record is dropped and delivered, and none is counted in two lives.
 */
import * as Effect from "effect/Effect"
import { type FileOpsError, inDirectory, replaceFile } from "../FileOps.ts"
import { ioError, isThere, type QueueContext } from "./Context.ts"
import { ascii, type Crc32, getU64, isAscii, putU64, viewOf } from "./Format.ts"
import * as Losses from "./Losses.ts"
import type { FileQueueError } from "./Model.ts"
import * as Ranges from "./Ranges.ts"
import * as State from "./State.ts"

const magic = "EXFQCUR1"
const version = 1
const headBytes = 64

/** More holes than any run of drops makes. What is beyond is told a second time in the next life. */
const maxHoles = 4096

const checksum = (bytes: Uint8Array, crc32: Crc32): number =>
  crc32(bytes.subarray(headBytes), crc32(bytes.subarray(0, 60), 0))

export const encode = (cursor: State.Cursor, crc32: Crc32): Uint8Array => {
  const holes = cursor.holes.slice(0, maxHoles)
  const bytes = new Uint8Array(headBytes + holes.length * 16)
  const view = viewOf(bytes)
  ascii(bytes, 0, magic)
  view.setUint16(8, version, true)
  view.setUint16(10, holes.length, true)
  putU64(view, 16, cursor.generation)
  putU64(view, 24, cursor.nextSeq)
  putU64(view, 32, cursor.hint.base)
  putU64(view, 40, cursor.hint.offset)
  putU64(view, 48, cursor.nextAssign)
  holes.forEach(({ first, last }, i) => {
    putU64(view, headBytes + i * 16, first)
    putU64(view, headBytes + i * 16 + 8, last)
  })
  view.setUint32(60, checksum(bytes, crc32), true)
  return bytes
}

/** Undefined if it is damaged; `unsupported` if a later version wrote it. */
export const decode = (bytes: Uint8Array, crc32: Crc32): State.Cursor | "unsupported" | undefined => {
  if (bytes.length < headBytes) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(60, true) !== checksum(bytes, crc32)) return undefined
  if (!isAscii(bytes, 0, magic) || view.getUint16(8, true) !== version) return "unsupported"
  const count = view.getUint16(10, true)
  if (bytes.length !== headBytes + count * 16) return undefined
  const holes = Array.from({ length: count }, (_, i) => ({
    first: getU64(view, headBytes + i * 16),
    last: getU64(view, headBytes + i * 16 + 8)
  }))
  return {
    generation: getU64(view, 16),
    nextSeq: getU64(view, 24),
    hint: { base: getU64(view, 32), offset: getU64(view, 40) },
    nextAssign: getU64(view, 48),
    holes
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// on disk

export const pathIn = (directory: string): string => `${directory}/cursor`

/**
 * Makes the position durable: temp file, fsync, rename, directory fsync. Says which. Nothing is written if nothing changed.
 * `gone`: records that leave with it; the state learns of them only when the cursor is durable.
 */
export const write = (
  shared: QueueContext,
  gone: Ranges.Ranges = Ranges.empty
): Effect.Effect<number, FileQueueError> =>
  shared.cursor.withPermits(1)(
    Effect.suspend(() =>
      gone.length === 0 && State.isCursorDurable(shared.state)
        ? Effect.succeed(shared.state.durableAckedTo)
        : replace(shared, gone)
    )
  ).pipe(Effect.mapError((error) => ioError(error)), Effect.uninterruptible)

/** As it is now: what changes while it is written is the next one's. Guarded by `cursor`. */
const replace = ({ ops, state }: QueueContext, gone: Ranges.Ranges): Effect.Effect<number, FileOpsError> =>
  Effect.suspend(() => {
    const cursor = State.cursorOf(state, gone)
    const replaced = replaceFile(ops, pathIn(state.directory), encode(cursor, ops.crc32))
    return Effect.map(inDirectory(ops, state.directory, replaced), () => {
      State.cursorWritten(state, cursor)
      return cursor.nextSeq
    })
  })

/**
 * The cursor knows the last number that was given, and is there: else records whose files are removed would be missed by nobody, and
 * their numbers given again. Not with each append, whose syncs it would double.
 */
export const writeEnd = (shared: QueueContext): Effect.Effect<void, FileOpsError> =>
  shared.cursor.withPermits(1)(Effect.gen(function*() {
    const { ops, state } = shared
    // Nothing was ever given.
    if (state.nextSeq === 1) return
    if (State.isEndDurable(state) && (yield* isThere(ops, pathIn(state.directory)))) return
    yield* replace(shared, Ranges.empty)
  })).pipe(Effect.uninterruptible)

/** The cursor may pass ranges that the file of losses still names, though they are here: that is put right first. */
export const writeEndAfterLosses = (shared: QueueContext): Effect.Effect<void, FileOpsError> =>
  Effect.suspend(() =>
    shared.losses.stale ? Effect.andThen(Losses.correct(shared), writeEnd(shared)) : writeEnd(shared)
  )

/** The cursor is made durable, and what it leaves behind removed. Says where it is. */
export const persist = (shared: QueueContext): Effect.Effect<number, FileQueueError> =>
  Effect.mapError(Losses.correct(shared), (error) => ioError(error)).pipe(
    Effect.andThen(write(shared)),
    Effect.tap(() =>
      shared.state.segments.some((segment) => isRemovable(shared, segment))
        ? shared.structure.withPermits(1)(removeSpent(shared))
        : Effect.void
    ),
    Effect.uninterruptible
  )

const isRemovable = (shared: QueueContext, segment: State.Segment): boolean =>
  segment !== shared.active?.segment && State.isSpent(shared.state, segment)

/** Files that hold nothing from the cursor on. Guarded by `structure`. No directory fsync: a file that a crash brings back is below the cursor. */
export const removeSpent = Effect.fnUntraced(function*(shared: QueueContext): Effect.fn.Return<void, FileQueueError> {
  const { ops, state } = shared
  for (const segment of state.segments.filter((one) => isRemovable(shared, one))) {
    yield* ops.unlink(segment.path).pipe(
      Effect.catchIf((error) => error.code === "ENOENT", () => Effect.void),
      Effect.mapError((error) => ioError(error))
    )
    state.segments = state.segments.filter((one) => one !== segment)
  }
})
