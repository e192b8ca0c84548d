/**
 * Walks the records of one segment from front to end, over whatever damage it meets, with a bounded window of the file in memory.
 * Pure but for `fill`, which the caller does when the walk asks for it.
 */
import * as Effect from "effect/Effect"
import { type File, type FileOpsError, readFully } from "../FileOps.ts"
import { type Crc32, type Frame, frameAt, frameBytes, isMarked, viewOf } from "./Format.ts"

/** One read. Large enough that reading is no bottleneck, small enough for many lanes. */
const windowBytes = 256 * 1024

/** What a disk loses at a time. */
const blockBytes = 4096

export type Step =
  | { readonly _tag: "Frame"; readonly frame: Frame }
  /** Nothing valid in these bytes of the file, of which `to` is where the next valid record, or the end, is. */
  | { readonly _tag: "Damage"; readonly from: number; readonly to: number }
  | { readonly _tag: "Fill"; readonly bytes: number }
  | { readonly _tag: "End" }

const end: Step = { _tag: "End" }

export interface Walk {
  /** Position in the file of the next record. */
  readonly offset: () => number
  readonly next: () => Step
  /** After `Fill`: reads on. A file that is shorter than thought ends there. */
  readonly fill: (bytes: number) => Effect.Effect<void, FileOpsError>
  /** As `fill`, but blocks that cannot be read are zeros: damage, to be skipped and counted. */
  readonly fillAround: (bytes: number) => Effect.Effect<void, FileOpsError>
  /** Goes on from this position of the file, where a record begins. */
  readonly jump: (offset: number) => void
  /** The frame that came last comes next. */
  readonly back: (frame: Frame) => void
  /** The bytes that the offsets of a frame refer to. */
  readonly window: () => { readonly bytes: Uint8Array; readonly view: DataView }
  /** The file has grown; everything below is durable. */
  readonly extend: (limit: number) => void
}

export const make = (options: {
  readonly file: File
  readonly offset: number
  /** Nothing at or beyond this position is looked at. */
  readonly limit: number
  readonly seed: number
  readonly crc32: Crc32
}): Walk => {
  const { crc32, file, seed } = options
  let { limit, offset } = options
  let bytes = new Uint8Array(0)
  let view = viewOf(bytes)
  /** Position in the file of the window's first byte. */
  let start = offset
  let damagedFrom: number | undefined
  /** Found behind damage that has to be told first. */
  let found: Frame | undefined

  const advance = (frame: Frame): Step => {
    offset = start + frame.next
    return { _tag: "Frame", frame }
  }

  const damageUpTo = (to: number): Step => {
    const from = damagedFrom ?? to
    damagedFrom = undefined
    offset = to
    return { _tag: "Damage", from, to }
  }

  /** The next place, in steps of 8, that looks like a record, or where the window ends. */
  const search = (): void => {
    let at = offset + 8 - start
    while (at + frameBytes <= bytes.length && !isMarked(view, at)) at += 8
    offset = start + at
  }

  const slide = Effect.fnUntraced(function*(
    need: number,
    read: (into: Uint8Array, position: number) => Effect.Effect<number, FileOpsError>
  ): Effect.fn.Return<void, FileOpsError> {
    const length = Math.min(Math.max(need, windowBytes), limit - offset)
    const next = new Uint8Array(length)
    const kept = bytes.subarray(Math.min(bytes.length, offset - start))
    next.set(kept)
    const count = kept.length + (yield* read(next.subarray(kept.length), offset + kept.length))
    if (count < length) limit = offset + count
    bytes = count < length ? next.subarray(0, count) : next
    view = viewOf(bytes)
    start = offset
  })

  const readBlock = (into: Uint8Array, position: number): Effect.Effect<void> =>
    readFully(file, into, position).pipe(
      Effect.catchTag("FileOpsError", () => Effect.sync(() => into.fill(0))),
      Effect.asVoid
    )

  return {
    offset: () => offset,
    window: () => ({ bytes, view }),
    extend: (to) => {
      limit = to
    },
    next: () => {
      if (found !== undefined) {
        const frame = found
        found = undefined
        return advance(frame)
      }
      for (;;) {
        if (offset + frameBytes > limit) {
          if (offset < limit) damagedFrom ??= offset
          return damagedFrom === undefined ? end : damageUpTo(limit)
        }
        const frame = frameAt(bytes, view, offset - start, seed, crc32)
        if (typeof frame === "number") {
          if (offset + frame <= limit) return { _tag: "Fill", bytes: frame }
        } else if (frame !== undefined) {
          if (damagedFrom === undefined) return advance(frame)
          found = frame
          return damageUpTo(offset)
        }
        damagedFrom ??= offset
        search()
      }
    },
    jump: (to) => {
      offset = to
      if (to >= start && to <= start + bytes.length) return
      bytes = new Uint8Array(0)
      view = viewOf(bytes)
      start = to
    },
    back: (frame) => {
      offset = start + frame.start - frameBytes
    },
    fill: (need) => slide(need, (into, position) => readFully(file, into, position)),
    fillAround: (need) =>
      slide(
        need,
        Effect.fnUntraced(function*(into, position) {
          for (let at = 0; at < into.length;) {
            const end = at + blockBytes - ((position + at) % blockBytes)
            yield* readBlock(into.subarray(at, end), position + at)
            at = end
          }
          return into.length
        })
      )
  }
}
