/**
 * Reads from any sequence number on; reading on from where the last read ended costs no search. Damage is skipped, kept aside,
 * counted and told once (docs/design/queue.md "Reading").
 */
import * as Effect from "effect/Effect"
import { closeQuietly, type File, type FileOpsError } from "../FileOps.ts"
import { sizeOf } from "../MarketEvent.ts"
import { ioError, logged, type QueueContext } from "./Context.ts"
import * as Format from "./Format.ts"
import * as Losses from "./Losses.ts"
import { FileQueueError, type QueuedRecord } from "./Model.ts"
import * as Quarantine from "./Quarantine.ts"
import * as Ranges from "./Ranges.ts"
import * as State from "./State.ts"
import * as Walk from "./Walk.ts"

interface Options {
  readonly from: number
  readonly maxRecords: number
  readonly maxBytes: number
}

interface Position {
  readonly segment: State.Segment
  readonly file: File
  readonly walk: Walk.Walk
  /** Nothing below it is met any more. */
  seq: number
  /**
   * How far the walk has been told to look, and one after the last record there: the segment may grow while it is read, and what
   * is appended meanwhile is not missing.
   */
  seen: { readonly size: number; readonly end: number }
  /**
   * Where the remaining records are, in order, if the file has them in another; empty if it has not. Not known before a damage.
   * `resume`: where those begin that were appended afterwards.
   */
  detour: { readonly places: ReadonlyArray<number>; readonly resume: number; next: number } | undefined
}

/** What a read has found, and what the state is to know of it once it is handed out. */
interface Batch {
  readonly records: Array<QueuedRecord>
  /** As `sizeOf` says. */
  bytes: number
  /** When the first of them was enqueued. */
  enqueued: number
  /** Where the next begins, if that is known. */
  hint: State.State["hint"]
}

export interface Reader {
  readonly read: (options: Options) => Effect.Effect<ReadonlyArray<QueuedRecord>, FileQueueError>
  readonly readAhead: (options: Options) => Effect.Effect<void>
  readonly close: Effect.Effect<void>
}

/** A read that fails is tried again at once this often: an interrupted call, a passing fault of a network disk. */
const retries = 2

/** So many failed calls at one place, each with a pause by the caller, and it is given up: damage, to be skipped and counted. */
const patience = 5

export const make = (shared: QueueContext): Reader => {
  const { ops, settings, state } = shared
  const decoder = Format.makeDecoder()
  let position: Position | undefined
  let ahead: Batch | undefined
  let unreadable = { path: "", offset: 0, times: 0 }

  const close = Effect.suspend(() => {
    const file = position?.file
    position = undefined
    return file === undefined ? Effect.void : closeQuietly(file)
  })

  const extend = (at: Position): void => {
    at.seen = { size: at.segment.size, end: at.segment.end }
    at.walk.extend(at.segment.size)
  }

  /** Undefined: somebody has taken the file away. Of the one that is appended to, what is in it is there as long as it is open. */
  const open = (segment: State.Segment): Effect.Effect<File | undefined, FileOpsError> =>
    ops.open(segment.path, "read").pipe(
      Effect.catchIf(({ code }) => code === "ENOENT", () =>
        Effect.sync((): File | undefined => {
          const { active } = shared
          return active?.segment === segment ? { ...active.file, close: Effect.void } : undefined
        }))
    )

  /** At or before the record `from` in `segment`; undefined if that is gone. */
  const seek = Effect.fnUntraced(function*(
    segment: State.Segment,
    from: number
  ): Effect.fn.Return<Position | undefined, FileOpsError> {
    if (position?.segment === segment && position.seq <= from) {
      extend(position)
      return position
    }
    yield* close
    const file = yield* open(segment)
    if (file === undefined) return undefined
    const { hint } = state
    const hinted = hint?.base === segment.base && hint.seq <= from && hint.offset >= Format.headerBytes
    const offset = hinted ? hint.offset : Format.headerBytes
    const walk = Walk.make({ file, offset, limit: segment.size, seed: segment.seed, crc32: ops.crc32 })
    position = {
      segment,
      file,
      walk,
      seq: hinted ? hint.seq : segment.base,
      seen: { size: segment.size, end: segment.end },
      detour: undefined
    }
    return position
  })

  /** `[first, last]` is not there. Told, unless it was before, or is acknowledged. */
  const missed = Effect.fnUntraced(function*(
    first: number,
    last: number,
    at: Position | undefined,
    damage: { readonly from: number; readonly to: number } | undefined
  ): Effect.fn.Return<void> {
    const fresh = State.present(state, { first, last })
    if (fresh.length === 0) return
    if (at !== undefined && damage !== undefined) {
      const name = `${state.topic}.${Format.segmentName(at.segment.base)}`
      yield* Quarantine.keep(ops, settings.dir, name, at.file, damage.from, damage.to)
    }
    const losses = State.lossesOf(state, "corrupt", fresh)
    yield* logged("remember a loss", Losses.keep(shared, losses))
    State.lose(state, fresh)
    yield* Losses.report(shared, losses)
  })

  /**
   * After a damage, once for a segment: the records that are still to come, if they are not in order (sectors that changed places).
   * Each says by itself where it belongs, so all that are whole are delivered, in their own order.
   */
  const survey = Effect.fnUntraced(function*(at: Position): Effect.fn.Return<Position["detour"], FileOpsError> {
    const { file, seen, segment, walk } = at
    const places = new Map<number, number>()
    let last = 0
    let inOrder = true
    const ahead = Walk.make({ file, offset: walk.offset(), limit: seen.size, seed: segment.seed, crc32: ops.crc32 })
    for (let step = ahead.next(); step._tag !== "End"; step = ahead.next()) {
      if (step._tag === "Fill") yield* ahead.fillAround(step.bytes)
      if (step._tag !== "Frame" || step.frame.skip) continue
      const { seq } = step.frame
      if (seq < at.seq || seq >= seen.end || places.has(seq)) continue
      inOrder = inOrder && seq > last
      last = seq
      places.set(seq, ahead.offset() - (step.frame.next - step.frame.start) - Format.frameBytes)
    }
    return inOrder
      ? { places: [], resume: seen.size, next: 0 }
      : { places: Array.from(places).sort(([a], [b]) => a - b).map(([, offset]) => offset), resume: seen.size, next: 0 }
  })

  const fill = (segment: State.Segment, walk: Walk.Walk, bytes: number) => {
    const offset = walk.offset()
    const same = unreadable.path === segment.path && unreadable.offset === offset
    if (same && unreadable.times >= patience) return walk.fillAround(bytes)
    return walk.fill(bytes).pipe(
      Effect.retry({ times: retries }),
      Effect.tapError(() =>
        Effect.sync(() => {
          unreadable = { path: segment.path, offset, times: same ? unreadable.times + 1 : 1 }
        })
      )
    )
  }

  /** From one segment into `batch`. Where to go on if there is nothing more to be had from it; undefined if that is full. */
  const readSegment = Effect.fnUntraced(function*(
    segment: State.Segment,
    from: number,
    options: Options,
    batch: Batch
  ): Effect.fn.Return<number | undefined, FileOpsError | FileQueueError> {
    const at = yield* seek(segment, from)
    if (at === undefined) {
      yield* missed(from, segment.end - 1, undefined, undefined)
      return segment.end
    }
    const { walk } = at
    const { records } = batch
    let damage: { readonly from: number; readonly to: number } | undefined
    for (;;) {
      if (records.length >= options.maxRecords) return undefined
      if (at.detour !== undefined && at.detour.places.length > 0) {
        const place = at.detour.places[at.detour.next]
        walk.jump(place ?? at.detour.resume)
        // All that was out of order is through.
        if (place === undefined) at.detour = { ...at.detour, places: [] }
      }
      const step = walk.next()
      switch (step._tag) {
        case "Fill":
          yield* fill(segment, walk, step.bytes)
          break
        case "Damage":
          damage = step
          break
        case "End":
          // Of what was there when the walk was told how far to look; what was appended since then is read, not missed.
          if (at.seq < at.seen.end) yield* missed(Math.max(at.seq, from), at.seen.end - 1, at, damage)
          at.seq = Math.max(at.seq, at.seen.end)
          if (segment.size === at.seen.size) return at.seq
          damage = undefined
          extend(at)
          break
        case "Frame": {
          const { frame } = step
          if (!frame.skip && frame.type !== Format.typeData) return yield* unknown(segment)
          // Of an attempt that failed and was repeated in the next segment; or copied by a damage.
          if (frame.seq >= segment.end || frame.seq < at.seq || frame.skip) break
          if (frame.seq > at.seq && at.detour === undefined) {
            walk.back(frame)
            at.detour = yield* survey(at)
            break
          }
          if (frame.seq > at.seq) yield* missed(Math.max(at.seq, from), frame.seq - 1, at, damage)
          damage = undefined
          at.seq = frame.seq + 1
          if (at.detour !== undefined) at.detour.next += 1
          // `ackedTo` may have come here since the read began: a damage at the head takes the holes behind it along.
          if (frame.seq < Math.max(from, state.ackedTo) || Ranges.skip(state.holes, frame.seq) !== frame.seq) break
          const { bytes: window, view } = walk.window()
          const record = decoder.decode(window, view, frame)
          if (record === undefined) {
            yield* missed(frame.seq, frame.seq, at, undefined)
            break
          }
          const size = sizeOf(record)
          if (records.length > 0 && batch.bytes + size > options.maxBytes) {
            walk.back(frame)
            at.seq = frame.seq
            if (at.detour !== undefined) at.detour.next -= 1
            return undefined
          }
          if (records.length === 0) batch.enqueued = frame.enqueued
          batch.bytes += size
          records.push(record)
        }
      }
    }
  })

  const collect = Effect.fnUntraced(function*(
    options: Options
  ): Effect.fn.Return<Batch, FileQueueError | FileOpsError> {
    const batch: Batch = { records: [], bytes: 0, enqueued: 0, hint: undefined }
    // What is acknowledged is gone, whether its file is or not.
    let from = Math.max(options.from, state.ackedTo)
    for (;;) {
      from = Ranges.skip(state.holes, from)
      const start = from
      const segment = state.segments.find(({ end }) => end > start)
      const next = segment === undefined ? state.nextSeq : segment.base
      if (from < next) {
        // A segment is missing.
        yield* missed(from, next - 1, undefined, undefined)
        from = next
      }
      if (segment === undefined) break
      const behind = yield* readSegment(segment, from, options, batch)
      if (behind === undefined) break
      from = behind
    }
    const last = batch.records.at(-1)
    if (
      last !== undefined && position !== undefined && position.seq === last.seq + 1 && position.detour === undefined
    ) {
      batch.hint = { seq: position.seq, base: position.segment.base, offset: position.walk.offset() }
    }
    return batch
  })

  /** What was read ahead, if it is what is asked for, and nothing of it was lost since. */
  const takeAhead = ({ from, maxBytes, maxRecords }: Options): Batch | undefined => {
    const batch = ahead
    ahead = undefined
    const first = batch?.records[0]?.seq
    const last = batch?.records.at(-1)?.seq
    if (batch === undefined || first === undefined || last === undefined) return undefined
    if (first !== Ranges.skip(state.holes, Math.max(from, state.ackedTo))) return undefined
    if (batch.records.length > maxRecords || batch.bytes > maxBytes) return undefined
    // All that was there when it was read is in it.
    return Ranges.count(State.present(state, { first, last })) === batch.records.length ? batch : undefined
  }

  const read = Effect.fnUntraced(function*(
    options: Options
  ): Effect.fn.Return<ReadonlyArray<QueuedRecord>, FileQueueError | FileOpsError> {
    state.readPin = undefined
    const { enqueued, hint, records } = takeAhead(options) ?? (yield* collect(options))
    const first = records[0]
    const last = records.at(-1)
    if (first !== undefined && last !== undefined) {
      // Until the caller pins them itself: what is handed out must not be dropped (docs/design/delivery.md H6).
      state.readPin = { first: first.seq, last: last.seq }
      state.head = { seq: first.seq, ms: enqueued }
      if (hint !== undefined) state.hint = hint
    }
    return records
  })

  /** Only if it makes a full batch: of a queue that is nearly empty, a later read has more. */
  const readAhead = (options: Options): Effect.Effect<void, FileQueueError | FileOpsError> =>
    Effect.suspend(() =>
      state.nextSeq - options.from < options.maxRecords ? Effect.void : Effect.map(collect(options), (batch) => {
        ahead = batch
      })
    )

  const unknown = (segment: State.Segment): FileQueueError =>
    new FileQueueError({ reason: "unsupported", path: segment.path, message: "a record of a later format" })

  return {
    read: (options) =>
      shared.reading.withPermits(1)(Effect.uninterruptible(read(options))).pipe(
        Effect.catchTag("FileOpsError", (error) => Effect.andThen(close, ioError(error)))
      ),
    readAhead: (options) =>
      shared.reading.withPermits(1)(Effect.uninterruptible(readAhead(options))).pipe(
        // The read that comes meets it too, and says so.
        Effect.catchAll(() => close)
      ),
    close
  }
}
