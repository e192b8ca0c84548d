/**
 * Reads what earlier lives have left.
 *
 * The last entry of a segment may be there and yet not durable: the process died before the sync, or the sync failed. A loss of power
 * would take it, and all that this life would have built on it. So what it says is written once more, unless a later one says it anew.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Format from "./Format.ts"
import * as Memory from "./Memory.ts"
import { CheckpointError, type Store } from "./Store.ts"

export interface Found {
  readonly memory: Memory.Memory
  /** The segment in which each market was last said as a whole; the longest ago first. */
  readonly wholes: Map<string, number>
  /** What the last durable entry says besides. */
  readonly position: Format.Position
  /** Mark of the version 1 file that `memory` has; undefined: there is none. */
  readonly old: number | undefined
  readonly segments: ReadonlyArray<number>
}

const ofLaterRelease = (path: string, version: number) =>
  new CheckpointError({
    reason: "version",
    path,
    message:
      `${path} has version ${version}: a later release of this program wrote it. Run that one; or move the file away, ` +
      "which may repeat trades and forgets holes"
  })

/**
 * What cannot be understood is no reason not to start: it means that less is known, which costs copies. A version that is not known is
 * one: it would be started as if for the first time.
 */
export const read = Effect.fnUntraced(function*(store: Store): Effect.fn.Return<Found, CheckpointError> {
  const memory = Memory.make()
  const wholes = new Map<string, number>()
  /** Markets of the last entry of a segment, and what it says besides, by the segment. */
  const doubtful = new Map<string, number>()
  const lastPositions = new Map<number, Format.Position>()
  let position: Format.Position = { seq: 0, old: undefined }
  let durable = position

  const apply = (segment: number, { after, markets, ...entry }: Format.Entry): void => {
    position = entry.position
    if (after !== undefined) {
      durable = lastPositions.get(after) ?? durable
      for (const [key, one] of doubtful) if (one === after) doubtful.delete(key)
    }
    memory.apply(position.seq, markets)
    for (const { key, kind } of markets) {
      if (kind !== "more") {
        wholes.delete(key)
        doubtful.delete(key)
      }
      // Also of one whose whole is damaged: it is said anew as the others are.
      if (kind !== "gone" && !wholes.has(key)) wholes.set(key, segment)
    }
  }

  const segments = yield* store.segments
  for (const segment of segments) {
    const path = store.pathOf(segment)
    const { damaged, texts } = yield* store.read(segment)
    let lines = damaged
    let last: Format.Entry | undefined
    for (const text of texts) {
      // A step of its own: others have their turn between two lines.
      const entry = yield* Effect.sync(() => Format.parseEntry(text))
      if (Either.isRight(entry)) {
        if (last !== undefined) durable = last.position
        last = entry.right
        apply(segment, last)
      } else if (entry.left.version === undefined) lines += 1
      else return yield* ofLaterRelease(path, entry.left.version)
    }
    lastPositions.set(segment, position)
    for (const { key } of last?.markets ?? []) doubtful.set(key, segment)
    if (lines > 0) {
      yield* Effect.logError("the checkpoint is damaged: trades may be repeated, holes forgotten").pipe(
        Effect.annotateLogs({ path, lines })
      )
    }
  }

  const { path, read } = store.old
  const old = yield* read
  // Another content than was taken over: it was not read yet, or that version ran again since, and knows more.
  if (old !== undefined && old.mark !== position.old) {
    const file = Format.parseOld(old.text)
    if (Either.isRight(file)) memory.takeOver(file.right)
    else if (file.left.version !== undefined) return yield* ofLaterRelease(path, file.left.version)
    else {
      yield* Effect.logError("the checkpoint of the version before cannot be read: trades may be repeated").pipe(
        Effect.annotateLogs({ path })
      )
    }
  }
  for (const key of doubtful.keys()) memory.unwrite(key)
  return { memory, wholes, position: durable, old: old?.mark ?? position.old, segments }
})
