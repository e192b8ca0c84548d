/**
 * Losses that nobody downstream was told of yet. A lost range is written here before the cursor passes it, and leaves when its
 * `dropped` event is safe: a crash in between repeats the event under the same id, it does not make the loss silent (docs/design/delivery.md H6).
 * One small JSON file beside the cursor, replaced as a whole.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type FileOps, type FileOpsError, inDirectory, readFile, replaceFile } from "../FileOps.ts"
import { isThere, logged, type Pending, type QueueContext } from "./Context.ts"
import type { Loss } from "./Model.ts"
import * as State from "./State.ts"

const Entry = Schema.Struct({
  reason: Schema.Literal("full", "corrupt", "expired"),
  firstSeq: Schema.Number,
  lastSeq: Schema.Number,
  count: Schema.Number,
  byExchange: Schema.ReadonlyMap({ key: Schema.String, value: Schema.Number }),
  recovered: Schema.Number,
  from: Schema.NullOr(Schema.Number),
  to: Schema.NullOr(Schema.Number)
})

const File = Schema.parseJson(Schema.Struct({ v: Schema.Literal(1), drops: Schema.Array(Entry) }))

const decode = Schema.decodeUnknownOption(File)
const encode = Schema.encodeSync(File)

export const pathIn = (directory: string): string => `${directory}/drops`

/** So many separate losses are told one by one; beyond, the last of a reason grows: counts stay exact, its range covers more. */
const maxEntries = 256

const merged = (a: Loss, b: Loss): Loss => {
  const byExchange = new Map(a.byExchange)
  for (const [exchange, count] of b.byExchange) byExchange.set(exchange, (byExchange.get(exchange) ?? 0) + count)
  return {
    reason: a.reason,
    firstSeq: Math.min(a.firstSeq, b.firstSeq),
    lastSeq: Math.max(a.lastSeq, b.lastSeq),
    count: a.count + b.count,
    byExchange,
    recovered: a.recovered + b.recovered,
    from: a.from === null || b.from === null ? null : Math.min(a.from, b.from),
    to: a.to === null || b.to === null ? null : Math.max(a.to, b.to)
  }
}

export const add = (pending: Pending, loss: Loss): void => {
  const { entries } = pending
  const index = entries.findLastIndex(({ loss: { reason, lastSeq }, isHandedOut }) =>
    !isHandedOut && reason === loss.reason && (lastSeq + 1 === loss.firstSeq || entries.length >= maxEntries)
  )
  const found = entries[index]
  pending.entries = found === undefined
    ? [...entries, { loss, isHandedOut: false }]
    : entries.with(index, { loss: merged(found.loss, loss), isHandedOut: false })
}

/** What is to be written is decided when it is written. */
const write = (
  ops: FileOps["Type"],
  directory: string,
  pending: Pending,
  change: () => void
): Effect.Effect<void, FileOpsError> =>
  pending.lock.withPermits(1)(Effect.suspend(() => {
    const before = pending.entries
    change()
    if (before === pending.entries && !pending.stale) return Effect.void
    const text = encode({ v: 1, drops: pending.entries.map(({ loss }) => loss) })
    return inDirectory(ops, directory, replaceFile(ops, pathIn(directory), new TextEncoder().encode(text))).pipe(
      Effect.tapBoth({
        onFailure: () =>
          Effect.sync(() => {
            pending.entries = before
          }),
        onSuccess: () =>
          Effect.sync(() => {
            pending.stale = false
          })
      })
    )
  })).pipe(Effect.uninterruptible)

/** Whoever opened the queue counts them. */
export const report = (shared: QueueContext, losses: ReadonlyArray<Loss>): Effect.Effect<void> =>
  Effect.forEach(losses, shared.onLoss, { discard: true })

/** Durable, before the cursor says so. */
export const keep = (shared: QueueContext, losses: ReadonlyArray<Loss>): Effect.Effect<void, FileOpsError> =>
  write(shared.ops, shared.state.directory, shared.losses, () => {
    for (const loss of losses) add(shared.losses, loss)
  })

/** What happened below `upTo` and was not handed out yet. */
export const take = (pending: Pending, upTo: number): ReadonlyArray<Loss> => {
  const due = pending.entries.filter(({ loss, isHandedOut }) => !isHandedOut && loss.lastSeq < upTo).map(({ loss }) =>
    loss
  )
  if (due.length > 0) {
    pending.entries = pending.entries.map((entry) =>
      entry.loss.lastSeq < upTo ? { ...entry, isHandedOut: true } : entry
    )
  }
  return due
}

/** Those that were handed out are safe elsewhere. */
export const forget = (shared: QueueContext): Effect.Effect<void, FileOpsError> =>
  write(shared.ops, shared.state.directory, shared.losses, () => {
    const { entries } = shared.losses
    if (entries.some(({ isHandedOut }) => isHandedOut)) {
      shared.losses.entries = entries.filter(({ isHandedOut }) => !isHandedOut)
    }
  })

/** Somebody may have taken the file away: what it held would be told by nobody after a crash. */
export const restore = (shared: QueueContext): Effect.Effect<void, FileOpsError> =>
  Effect.gen(function*() {
    const { losses: pending, ops, state } = shared
    if (pending.entries.length === 0 || (yield* isThere(ops, pathIn(state.directory)))) return
    yield* write(ops, state.directory, pending, () => {
      pending.stale = true
    })
  })

/** The file as it should be, where the opening found no room for it. */
export const correct = (shared: QueueContext): Effect.Effect<void, FileOpsError> =>
  write(shared.ops, shared.state.directory, shared.losses, () => {})

/** Of an earlier life. What its cursor did not come to say is still here, and no loss. */
export const open = (ops: FileOps["Type"], state: State.State): Effect.Effect<Pending, FileOpsError> =>
  Effect.gen(function*() {
    const pending: Pending = { lock: yield* Effect.makeSemaphore(1), entries: [], stale: false }
    const bytes = yield* readFile(ops, pathIn(state.directory))
    if (bytes === undefined) return pending
    const file = decode(new TextDecoder().decode(bytes))
    if (file._tag === "None") {
      yield* Effect.logWarning("the list of losses to be told of is damaged: it starts anew").pipe(
        Effect.annotateLogs({ path: pathIn(state.directory) })
      )
      return pending
    }
    const isGone = ({ firstSeq, lastSeq }: Loss) =>
      State.present(state, { first: firstSeq, last: lastSeq }).length === 0
    pending.entries = file.value.drops.filter(isGone).map((loss) => ({ loss, isHandedOut: false }))
    pending.stale = pending.entries.length < file.value.drops.length
    // A full disk keeps nobody from starting: then `correct` does it, before the cursor passes them.
    yield* logged("forget a loss that did not happen", write(ops, state.directory, pending, () => {}))
    return pending
  })
