/**
 * What opening does (docs/design/queue.md "Opening"). Never refuses because of bad data: only because of a format that a later version
 * wrote, and then nothing has been touched.
 */
import * as Effect from "effect/Effect"
import { type FileOps, type FileOpsError, readFile, readFully, withFile } from "../FileOps.ts"
import { ioError, logged } from "./Context.ts"
import * as Cursor from "./Cursor.ts"
import * as Format from "./Format.ts"
import { FileQueueError, type Recovery } from "./Model.ts"
import * as Origins from "./Origins.ts"
import * as Quarantine from "./Quarantine.ts"
import * as Ranges from "./Ranges.ts"
import * as State from "./State.ts"
import * as Walk from "./Walk.ts"

/** Sequence numbers begin with 1: the checkpoint's "covers up to 0" means none (docs/design/checkpoint.md "What it knows"). */
const firstSeq = 1

export interface Opened {
  readonly state: State.State
  readonly recovery: Recovery
  /** Of an earlier life, if one of its segments still tells. */
  readonly queueId: Uint8Array | undefined
}

interface Options {
  readonly ops: FileOps["Type"]
  readonly dir: string
  readonly directory: string
  readonly topic: string
  readonly dropOrder: number
}

export const open = (options: Options): Effect.Effect<Opened, FileQueueError> =>
  recover(options).pipe(Effect.catchTag("FileOpsError", (error) => ioError(error)), Effect.uninterruptible)

const recover = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Opened, FileQueueError | FileOpsError> {
  const { directory, dropOrder, ops, topic } = options
  yield* ops.makeDirectory(directory)
  const names = yield* ops.readDirectory(directory)
  const found = yield* Effect.forEach(
    names.flatMap((name) => Format.segmentBase(name) ?? []),
    (base) => inspect(options, base)
  )
  const bytes = yield* readFile(ops, Cursor.pathIn(directory))
  const decoded = bytes === undefined ? undefined : Cursor.decode(bytes, ops.crc32)
  if (decoded === "unsupported") return yield* unsupported(Cursor.pathIn(directory))

  // From here on things are changed. What the last life renamed and created may be known to the page cache only.
  yield* logged("sync", ops.syncDirectory(directory))
  if (names.includes("cursor.tmp")) yield* ops.unlink(`${directory}/cursor.tmp`)
  if (bytes !== undefined && decoded === undefined) {
    yield* Effect.logWarning("the cursor of the queue is damaged; starting at its oldest record").pipe(
      Effect.annotateLogs({ topic })
    )
    yield* Quarantine.keepFile(ops, options.dir, Cursor.pathIn(directory), `${topic}.cursor`)
  }
  const oldest = found[0]?.base ?? firstSeq
  const cursor = decoded ?? { generation: 0, nextSeq: oldest, nextAssign: oldest, hint: noHint, holes: Ranges.empty }
  const cursorReset = decoded === undefined && (bytes !== undefined || oldest > firstSeq)

  const last = found.at(-1)
  const tail = last === undefined ? undefined : yield* scan(options, last, cursor.nextSeq)
  const segments: Array<State.Segment> = []
  for (const [i, one] of found.entries()) {
    const next = found[i + 1]
    const end = next === undefined ? tail?.end ?? one.base : next.base
    if (end <= cursor.nextSeq || end === one.base) yield* ops.unlink(one.path)
    else segments.push({ ...one, end, size: one === last ? tail?.size ?? one.size : one.size })
  }
  const nextAssign = Math.max(cursor.nextAssign, cursor.nextSeq, tail?.end ?? firstSeq)
  yield* logged("sync", ops.syncDirectory(directory))

  const state = State.make({
    topic,
    directory,
    dropOrder,
    segments,
    cursor: { ...cursor, nextAssign },
    durableNext: decoded?.nextAssign ?? 0
  })
  State.acknowledge(state, cursor.nextSeq)
  // What the cursor has seen, and no file holds any more: told when a read comes there.
  const unseen = Ranges.count(State.present(state, { first: tail?.end ?? cursor.nextSeq, last: nextAssign - 1 }))
  return {
    state,
    queueId: found.reduce<Uint8Array | undefined>((id, one) => one.queueId ?? id, undefined),
    recovery: {
      records: State.records(state),
      lost: (tail?.lost ?? 0) + unseen,
      quarantinedBytes: tail?.quarantined ?? 0,
      tornTail: tail?.torn ?? false,
      cursorReset
    }
  }
})

const noHint = { base: 0, offset: 0 }

type Found = State.Segment & { readonly queueId: Uint8Array | undefined }

const unsupported = (path: string): FileQueueError =>
  new FileQueueError({ reason: "unsupported", path, message: "written by a later version of this program" })

/** Reads its header, nothing else. */
const inspect = Effect.fnUntraced(function*(
  { directory, ops }: Options,
  base: number
): Effect.fn.Return<Found, FileQueueError | FileOpsError> {
  const path = `${directory}/${Format.segmentName(base)}`
  const [bytes, size] = yield* withFile(ops, path, "read", (file) => {
    const head = new Uint8Array(Format.headerBytes)
    return Effect.all([Effect.map(readFully(file, head, 0), (count) => head.subarray(0, count)), file.size])
  })
  const header = Format.decodeHeader(bytes, ops.crc32)
  if (header === "unsupported") return yield* unsupported(path)
  return {
    base,
    path,
    seed: Format.segmentSeed(base, ops.crc32),
    inherited: true,
    createdMs: header === "damaged" ? 0 : header.createdMs,
    end: base,
    size,
    origins: Origins.empty,
    times: [],
    queueId: header === "damaged" ? undefined : header.queueId
  }
})

interface Tail {
  readonly end: number
  readonly size: number
  readonly lost: number
  readonly torn: boolean
  readonly quarantined: number
}

/** The last segment: where its records end. What follows is a batch that a crash cut off, or damage; it is kept aside and cut. */
const scan = (
  options: Options,
  segment: Found,
  nextSeq: number
): Effect.Effect<Tail, FileQueueError | FileOpsError> => {
  const { dir, ops, topic } = options
  return withFile(
    ops,
    segment.path,
    "write",
    Effect.fnUntraced(function*(file) {
      const walk = Walk.make({
        file,
        offset: Format.headerBytes,
        limit: segment.size,
        seed: segment.seed,
        crc32: ops.crc32
      })
      let end = segment.base
      let size = Math.min(segment.size, Format.headerBytes)
      let lost = 0
      for (let step = walk.next(); step._tag !== "End"; step = walk.next()) {
        if (step._tag === "Fill") yield* walk.fill(step.bytes)
        if (step._tag !== "Frame") continue
        const { frame } = step
        if (!frame.skip && frame.type !== Format.typeData) return yield* unsupported(segment.path)
        size = walk.offset()
        if (frame.skip || frame.seq < end) continue
        lost += Math.max(0, frame.seq - Math.max(end, nextSeq))
        end = frame.seq + 1
      }
      const torn = size < segment.size
      const name = `${topic}.${Format.segmentName(segment.base)}`
      const quarantined = torn ? yield* Quarantine.keep(ops, dir, name, file, size, segment.size) : 0
      if (torn) yield* file.truncate(size)
      // What was read may be known to the page cache only: a life that died before its sync. From now on it counts as ours.
      yield* logged("sync", file.sync)
      return { end, size, lost, torn, quarantined }
    })
  )
}
