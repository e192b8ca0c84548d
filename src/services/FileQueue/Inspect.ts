/**
 * The files of a queue as they are, read without owning or changing them: beside a running service too, whose newest records may
 * then be half written. Memory does not grow with the backlog.
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { closeQuietly, type FileOps, FileOpsError, readFile, readFully, withFile } from "../FileOps.ts"
import type { EventRecord } from "../MarketEvent.ts"
import * as Cursor from "./Cursor.ts"
import * as Format from "./Format.ts"
import * as Ranges from "./Ranges.ts"
import * as Walk from "./Walk.ts"

/**
 * One file of a queue, as it lies on the disk.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentInfo {
  readonly path: string
  /** Sequence number of its first record. */
  readonly base: number
  readonly bytes: number
  readonly header: "sound" | "damaged" | "unsupported"
}

/**
 * The files of one queue and its cursor. `bytes` are those of all segments.
 *
 * @since 0.1.0
 * @category models
 */
export interface Overview {
  readonly segments: ReadonlyArray<SegmentInfo>
  /** First record not acknowledged, and the next number to be given; null: no cursor, or one that cannot be read. */
  readonly cursor: { readonly nextSeq: number; readonly nextAssign: number; readonly holes: number } | null
  readonly cursorState: "sound" | "damaged" | "unsupported" | "missing"
  readonly bytes: number
}

/**
 * A record that is still to be sent, or bytes that are none.
 *
 * @since 0.1.0
 * @category models
 */
export type Item =
  | { readonly _tag: "Record"; readonly seq: number; readonly enqueued: number; readonly record: EventRecord }
  /** Valid, but its body is not: a later version's, or damage that the checksum does not see. */
  | { readonly _tag: "Undecodable"; readonly seq: number; readonly path: string }
  | { readonly _tag: "Damage"; readonly path: string; readonly from: number; readonly to: number }
  /** Numbers that no file holds. */
  | { readonly _tag: "Missing"; readonly first: number; readonly last: number }

const inspect = Effect.fnUntraced(function*(
  ops: FileOps["Type"],
  directory: string,
  name: string,
  base: number
): Effect.fn.Return<SegmentInfo, FileOpsError> {
  const path = `${directory}/${name}`
  return yield* withFile(ops, path, "read", (file) => {
    const head = new Uint8Array(Format.headerBytes)
    return Effect.map(Effect.all([readFully(file, head, 0), file.size]), ([count, bytes]): SegmentInfo => {
      const header = Format.decodeHeader(head.subarray(0, count), ops.crc32)
      return { path, base, bytes, header: typeof header === "string" ? header : "sound" }
    })
  })
})

/** A segment that its owner removed in the meantime is none. */
const unlessGone = <A>(effect: Effect.Effect<A, FileOpsError>): Effect.Effect<Option.Option<A>, FileOpsError> =>
  Effect.map(effect, Option.some).pipe(
    Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.succeedNone)
  )

/**
 * The files of the queue in `directory` (of one lane, `DATA_DIR/queue/<topic>`). Only reads: the service may run meanwhile. Fails if the
 * directory or a file in it cannot be read.
 *
 * @since 0.1.0
 * @category operations
 */
export const overview = Effect.fnUntraced(function*(
  ops: FileOps["Type"],
  directory: string
): Effect.fn.Return<Overview, FileOpsError> {
  const names = yield* ops.readDirectory(directory)
  const found = yield* Effect.forEach(names, (name) => {
    const base = Format.segmentBase(name)
    return base === undefined ? Effect.succeedNone : unlessGone(inspect(ops, directory, name, base))
  })
  const segments = found.flatMap(Option.toArray).sort((a, b) => a.base - b.base)
  const bytes = yield* readFile(ops, Cursor.pathIn(directory))
  const decoded = bytes === undefined ? undefined : Cursor.decode(bytes, ops.crc32)
  const cursor = typeof decoded === "object"
    ? { nextSeq: decoded.nextSeq, nextAssign: decoded.nextAssign, holes: Ranges.count(decoded.holes) }
    : null
  return {
    segments,
    cursor,
    cursorState: cursor !== null
      ? "sound"
      : bytes === undefined
      ? "missing"
      : decoded === undefined
      ? "damaged"
      : "unsupported",
    bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0)
  }
})

const itemsOf = (
  ops: FileOps["Type"],
  segment: SegmentInfo,
  isPending: (seq: number) => boolean
): Stream.Stream<Item, FileOpsError> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const file = yield* Effect.acquireRelease(
      ops.open(segment.path, "read"),
      closeQuietly
    )
    const walk = Walk.make({
      file,
      offset: Format.headerBytes,
      limit: yield* file.size,
      seed: Format.segmentSeed(segment.base, ops.crc32),
      crc32: ops.crc32
    })
    const decoder = Format.makeDecoder()
    const pull: Effect.Effect<Chunk.Chunk<Item>, Option.Option<FileOpsError>> = Effect.suspend(() => {
      const items: Array<Item> = []
      for (;;) {
        const step = walk.next()
        if (step._tag === "Fill") {
          return Effect.as(Effect.mapError(walk.fillAround(step.bytes), Option.some), Chunk.unsafeFromArray(items))
        }
        if (step._tag === "End") {
          return items.length === 0 ? Effect.fail(Option.none()) : Effect.succeed(Chunk.unsafeFromArray(items))
        }
        if (step._tag === "Damage") {
          items.push({ _tag: "Damage", path: segment.path, from: step.from, to: step.to })
          continue
        }
        const { frame } = step
        if (frame.type !== Format.typeData || !isPending(frame.seq)) continue
        const { bytes, view } = walk.window()
        const record = decoder.decode(bytes, view, frame)
        items.push(
          record === undefined
            ? { _tag: "Undecodable", seq: frame.seq, path: segment.path }
            : { _tag: "Record", seq: frame.seq, enqueued: frame.enqueued, record }
        )
      }
    })
    return Stream.repeatEffectChunkOption(pull)
  }))

/**
 * All that is still to be sent of the queue in `directory`, in order, and what is wrong in between. Only reads: the service may run
 * meanwhile. Fails if a file cannot be read.
 *
 * @since 0.1.0
 * @category operations
 */
export const items = (ops: FileOps["Type"], directory: string): Stream.Stream<Item, FileOpsError> =>
  Stream.unwrap(Effect.gen(function*() {
    // First the cursor: what a running service appends meanwhile is beyond it, not missing.
    const bytes = yield* readFile(ops, Cursor.pathIn(directory))
    const decoded = bytes === undefined ? undefined : Cursor.decode(bytes, ops.crc32)
    const cursor = typeof decoded === "object" ? decoded : undefined
    const { segments } = yield* overview(ops, directory)
    const holes = cursor?.holes ?? Ranges.empty
    let next = cursor?.nextSeq ?? segments[0]?.base ?? 1
    const isPending = (seq: number) =>
      seq >= next && Ranges.count(Ranges.missing(holes, { first: seq, last: seq })) === 1
    const live = segments.filter((_, i) => (segments[i + 1]?.base ?? Infinity) > next)
    const missingTo = (last: number) =>
      Ranges.missing(holes, { first: next, last }).map((range): Item => ({ _tag: "Missing", ...range }))
    return Stream.fromIterable(live).pipe(
      Stream.flatMap((segment) =>
        itemsOf(ops, segment, isPending).pipe(
          Stream.catchAll((error) => error.code === "ENOENT" ? Stream.empty : Stream.fail(error))
        )
      ),
      Stream.mapConcatChunk((item) => {
        if (item._tag !== "Record" && item._tag !== "Undecodable") return Chunk.of(item)
        const lost = missingTo(item.seq - 1)
        next = item.seq + 1
        return Chunk.unsafeFromArray<Item>([...lost, item])
      }),
      Stream.concat(Stream.suspend(() => Stream.fromIterable(missingTo((cursor?.nextAssign ?? next) - 1))))
    )
  }))
