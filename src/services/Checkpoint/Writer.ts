/**
 * Writes what changed, so that what is written goes with what happens and not with all there is. A few of the markets that were said as
 * a whole the longest ago are added to each write; so the oldest segments come to say of no market the latest whole, and go.
 */
import * as Effect from "effect/Effect"
import * as Format from "./Format.ts"
import type { Found } from "./Reader.ts"
import type { CheckpointError, Store } from "./Store.ts"

/** In characters. */
export interface Sizes {
  /** Of an entry, more or less: it is printed in one step, in which the program does nothing else. */
  readonly entry: number
  /** After which a segment is left for a new one: it is read back in one step. */
  readonly segment: number
  /** The least and the most of unchanged markets that is added to a write, between them twice as much as there is of changed ones. */
  readonly copy: readonly [least: number, most: number]
}

export const defaults: Sizes = { entry: 128 * 1024, segment: 1024 * 1024, copy: [4 * 1024, 64 * 1024] }

export interface Writer {
  /** Durable when it succeeds; nothing is written if nothing changed. */
  readonly write: Effect.Effect<void, CheckpointError>
  /** Why the last one failed; null if it did not. */
  readonly failure: () => string | null
}

/** What one entry is to say. */
interface Draft {
  readonly markets: Array<Format.MarketEntry>
  readonly texts: Array<string>
  size: number
}

const say = (draft: Draft, market: Format.MarketEntry): void => {
  const text = Format.printMarket(market)
  draft.markets.push(market)
  draft.texts.push(text)
  draft.size += text.length
}

export const make = (store: Store, { memory, old, segments, wholes, ...found }: Found, sizes: Sizes): Writer => {
  const [copyLeast, copyMost] = sizes.copy
  let { position } = found
  let segment = (segments.at(-1) ?? 0) + 1
  let size = 0
  /** The last one that is durable to its end. */
  let after: number | undefined
  let oldest = segments[0] ?? segment
  let failure: string | null = null
  const writing = Effect.unsafeMakeSemaphore(1)

  const leave = (): void => {
    segment += 1
    size = 0
  }

  const copy = (draft: Draft): void => {
    const said = new Set(draft.markets.flatMap(({ key, kind }) => kind === "whole" ? [key] : []))
    const end = draft.size + Math.min(copyMost, Math.max(copyLeast, 2 * draft.size))
    for (const [key, number] of wholes) {
      if (number >= segment || draft.size >= end) return
      const market = said.has(key) ? undefined : memory.copy(key)
      if (market !== undefined) say(draft, market)
    }
  }

  const append = (draft: Draft, next: Format.Position) => {
    const text = Format.printEntry(next, size === 0 ? after : undefined, draft.texts)
    return store.append(segment, text).pipe(
      Effect.andThen(Effect.sync(() => {
        position = next
        size += text.length
        for (const { key, kind } of draft.markets) {
          if (kind !== "more") wholes.delete(key)
          if (kind === "whole") wholes.set(key, segment)
        }
      }))
    )
  }

  const removeOld = Effect.suspend(() => {
    const [needed = segment] = wholes.values()
    if (needed <= oldest) return Effect.void
    oldest = needed
    return store.removeBefore(needed)
  })

  const write = Effect.suspend(() => {
    const next: Format.Position = { seq: memory.seq(), old }
    const keys = memory.takeChanged()
    if (keys.length === 0 && next.seq === position.seq && next.old === position.old) return Effect.void
    let durable = 0
    const appendNext = Effect.suspend(() => {
      if (size >= sizes.segment) {
        after = segment
        leave()
      }
      const draft: Draft = { markets: [], texts: [], size: 0 }
      let end = durable
      for (; end < keys.length && draft.size < sizes.entry; end++) say(draft, memory.change(keys[end] ?? ""))
      const isLast = end === keys.length
      if (isLast) copy(draft)
      // A position covers all that was settled before it: it is said when all of that is.
      return append(draft, isLast ? next : position).pipe(
        Effect.andThen(Effect.sync(() => {
          durable = end
          return isLast
        }))
      )
    })
    return Effect.repeat(appendNext, { until: (isLast) => isLast }).pipe(
      Effect.andThen(removeOld),
      Effect.tap(() => {
        failure = null
      }),
      Effect.tapError(({ message, reason }) =>
        Effect.sync(() => {
          failure = message
          // What that segment holds now, nobody knows.
          leave()
          for (const key of keys.slice(durable)) memory.unwrite(key)
          if (reason !== "gone") return
          // Nor what is left of the others: all there is is said anew.
          after = undefined
          wholes.clear()
          for (const key of memory.keys()) memory.unwrite(key)
        })
      )
    )
  })

  return {
    // What was taken from memory must be written, or be given back.
    write: writing.withPermits(1)(Effect.uninterruptible(write)),
    failure: () => failure
  }
}
