/**
 * Version 1 of the checkpoint, as it was: `src/services/Checkpoint.ts` and what `src/layers/DataDirectory.ts` did with it, of commit
 * d731bbc. What an upgrade leaves for a rollback is judged by it.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { type FileOps, readFile, replaceFile } from "../../../src/services/FileOps.ts"
import type { EventRecord } from "../../../src/services/MarketEvent.ts"

/** How many ids are kept for each market: more than any window of recent trades an exchange is known to send. */
const memoryOfMarket = 256

const File = Schema.parseJson(Schema.Struct({
  v: Schema.Literal(1),
  seq: Schema.Number,
  /** `[key, last timestamp, ids without their "exchange:symbol:t:"]`: an array, so that no exchange names a property. */
  markets: Schema.Array(Schema.Tuple(Schema.String, Schema.NullOr(Schema.String), Schema.Array(Schema.String)))
}))

interface Market {
  ids: Array<string>
  lastTimestamp: string | null
  /** Its piece of the file; undefined after a change. Only changed markets are printed again each second. */
  text: string | undefined
}

const timestampIn = (value: string | Uint8Array): string | null => {
  const text = typeof value === "string" ? value : new TextDecoder().decode(value)
  return /"timestamp":"([^"]+)"/.exec(text)?.[1] ?? null
}

/**
 * A checkpoint over any store. A file that cannot be understood is no reason not to start: it means that nothing is known, which
 * costs duplicates, never a loss.
 */
export const open = Effect.fnUntraced(function*(files: FileOps["Type"], directory: string) {
  const path = `${directory}/checkpoint`
  const store = {
    load: Effect.map(
      readFile(files, path),
      (bytes) => bytes === undefined ? undefined : new TextDecoder().decode(bytes)
    ),
    save: (content: string) => replaceFile(files, path, new TextEncoder().encode(content))
  }
  const markets = new Map<string, Market>()
  let seq = 0
  let dirty = false
  const found = yield* store.load
  if (found !== undefined) {
    const decoded = Schema.decodeUnknownEither(File)(found)
    if (Either.isRight(decoded)) {
      seq = decoded.right.seq
      for (const [key, lastTimestamp, ids] of decoded.right.markets) {
        markets.set(key, { ids: ids.map((id) => `${key}:t:${id}`), lastTimestamp, text: undefined })
      }
    } else yield* Effect.logWarning("the checkpoint cannot be read; trades of the last moments may be repeated")
  }
  const print = (key: string, market: Market): string => {
    const prefix = `${key}:t:`.length
    return JSON.stringify([key, market.lastTimestamp, market.ids.map((id) => id.slice(prefix))])
  }
  const writing = yield* Effect.makeSemaphore(1)
  return {
    markets: Effect.sync(() => markets),
    coveredSeq: Effect.sync(() => seq),
    settle: (records: ReadonlyArray<EventRecord>, upTo?: number) =>
      Effect.sync(() => {
        dirty = true
        if (upTo !== undefined && upTo > seq) seq = upTo
        const last = new Map<Market, EventRecord>()
        for (const record of records) {
          const id = record.headers["id"]
          if (id === undefined) continue
          let market = markets.get(record.key)
          if (market === undefined) {
            market = { ids: [], lastTimestamp: null, text: undefined }
            markets.set(record.key, market)
          }
          market.ids.push(id)
          // Trimmed now and then, not at each trade.
          if (market.ids.length >= memoryOfMarket * 2) market.ids = market.ids.slice(-memoryOfMarket)
          market.text = undefined
          last.set(market, record)
        }
        for (const [market, record] of last) market.lastTimestamp = timestampIn(record.value) ?? market.lastTimestamp
      }),
    write: writing.withPermits(1)(Effect.suspend(() => {
      if (!dirty) return Effect.void
      dirty = false
      const parts: Array<string> = []
      for (const [key, market] of markets) {
        if (market.ids.length > memoryOfMarket) market.ids = market.ids.slice(-memoryOfMarket)
        market.text ??= print(key, market)
        parts.push(market.text)
      }
      return store.save(`{"v":1,"seq":${seq},"markets":[\n${parts.join(",\n")}\n]}\n`).pipe(
        Effect.onError(() =>
          Effect.sync(() => {
            dirty = true
          })
        )
      )
    }))
  }
})
