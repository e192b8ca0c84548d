/**
 * `QUEUE_MAX_BYTES`, shared by all lanes: what their files take together. When it runs out, first what is acknowledged goes, then
 * the oldest of the lane that matters least: books before trades (docs/design/queue.md "Full").
 */
import * as Effect from "effect/Effect"
import type { FileOps } from "../FileOps.ts"
import * as Time from "../Time.ts"
import * as Drop from "./Drop.ts"
import { FileQueueError } from "./Model.ts"
import type { Settings, Shared } from "./Shared.ts"
import * as State from "./State.ts"

export interface Budget {
  /** Room for a batch of `shared`, kept for it until `state.reserved` says otherwise. */
  readonly reserve: (shared: Shared, bytes: number) => Effect.Effect<void, FileQueueError>
  /** False if the disk would then be fuller than the cursor can bear. Asks the system once a second at most, unless in doubt. */
  readonly roomOnDisk: (directory: string, bytes: number, now: Time.Instant) => Effect.Effect<boolean>
  readonly lanes: Set<Shared>
}

/** Kept free for cursor and checkpoint: with a full disk the backlog could be sent, but never be forgotten. */
const reserveBytes = 256 * 1024

const askEvery = 1000

export const make = (ops: FileOps["Type"], settings: Settings): Budget => {
  const lock = Effect.unsafeMakeSemaphore(1)
  const lanes = new Set<Shared>()

  const used = (): number => {
    let sum = 0
    for (const { state } of lanes) sum += State.fileBytes(state)
    return sum
  }

  const fits = (bytes: number): boolean => used() + bytes <= settings.maxBytes

  /** In one step with `fits`: nothing else runs in between. */
  const take = (shared: Shared, bytes: number): boolean => {
    if (!fits(bytes)) return false
    shared.state.reserved = bytes
    return true
  }

  const makeRoom = Effect.fnUntraced(function*(shared: Shared): Effect.fn.Return<void, FileQueueError> {
    const byOrder = Array.from(lanes).sort((a, b) => a.state.dropOrder - b.state.dropOrder)
    for (const lane of byOrder) if (yield* Drop.reclaim(lane)) return
    if (settings.fullPolicy !== "drop_oldest") return yield* noRoom(shared, "refused")
    for (const lane of byOrder) if (yield* Drop.dropOldest(lane)) return
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

  const noRoom = (shared: Shared, reason: "full" | "refused"): FileQueueError =>
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
