/**
 * What this and earlier lives of the collector have delivered or made durable, per market: so that a restart neither repeats a
 * trade nor takes a new one for an old (DELIVERY.md section 2).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { EventRecord } from "./MarketEvent.ts"

/** A market's last trades. */
export interface MarketMemory {
  /** Trade ids in order of delivery, oldest first, at most `memoryOfMarket`. */
  readonly ids: ReadonlyArray<string>
  /** Exchange time of the last trade, null if none or unknown. */
  readonly lastTimestamp: string | null
}

/** How many ids are kept for each market: more than any window of recent trades an exchange is known to send. */
export const memoryOfMarket = 256

export class CheckpointError extends Schema.TaggedError<CheckpointError>()("CheckpointError", {
  path: Schema.String,
  message: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {}

export class Checkpoint extends Context.Tag("effect-exchange-feeds/services/Checkpoint")<Checkpoint, {
  /** By record key, `exchange:symbol`: as found at open, plus what was settled since. */
  readonly markets: Effect.Effect<ReadonlyMap<string, MarketMemory>>
  /**
   * The trade lane tells what Kafka acknowledged or the queue made durable, never what is only in memory.
   * `seq`: highest sequence number of the queue included.
   */
  readonly settle: (records: ReadonlyArray<EventRecord>, seq?: number) => Effect.Effect<void>
  /** Highest sequence number of the trade lane covered: at open only records beyond it are read back and settled. */
  readonly coveredSeq: Effect.Effect<number>
  /** Durable when it succeeds; nothing is written if nothing changed. */
  readonly write: Effect.Effect<void, CheckpointError>
}>() {}

/** Where the text lives: `save` replaces it atomically and durably. */
export interface Store {
  readonly load: Effect.Effect<string | undefined, CheckpointError>
  readonly save: (text: string) => Effect.Effect<void, CheckpointError>
}

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
export const make = Effect.fnUntraced(function*(
  store: Store
): Effect.fn.Return<Checkpoint["Type"], CheckpointError> {
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
    settle: (records, upTo) =>
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
