/** What the checkpoint's files say, read by Schema: a line that does not fit is passed over. */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Memory, OldMarkets } from "./Memory.ts"

const HoleText = Schema.Struct({
  cause: Schema.String,
  gapId: Schema.NullOr(Schema.String),
  from: Schema.NullOr(Schema.String),
  to: Schema.NullOr(Schema.String),
  recovered: Schema.Number,
  over: Schema.NullOr(Schema.Literal("filled", "given up")),
  trade: Schema.optional(Schema.NullOr(Schema.String)),
  event: Schema.optional(Schema.NullOr(Schema.String))
})

const MarketText = Schema.Struct({
  k: Schema.String,
  s: Schema.optional(Schema.String),
  last: Schema.optional(Schema.NullOr(Schema.String)),
  whole: Schema.optional(Schema.Literal(true)),
  gone: Schema.optional(Schema.Literal(true)),
  ids: Schema.Array(Schema.Union(Schema.String, Schema.Tuple(Schema.String, Schema.NullOr(Schema.Number)))),
  holes: Schema.optional(Schema.Array(HoleText)),
  kept: Schema.optional(Schema.Array(Schema.String))
})

/** One write. `v`, `old`: of the first entry of a segment; `old` is the mark of the version 1 file that was taken over. */
const EntryText = Schema.Struct({
  v: Schema.optional(Schema.Literal(2)),
  old: Schema.optional(Schema.Number),
  seq: Schema.Number,
  markets: Schema.Array(MarketText)
})

export type Entry = typeof EntryText.Type

const decodeEntry = Schema.decodeUnknownEither(EntryText)

export const Entry = (value: unknown): Entry | undefined => Either.getOrUndefined(decodeEntry(value))

export const applyEntry = (memory: Memory, { markets, seq }: Entry): void => memory.apply(seq, markets)

const OldText = Schema.Struct({
  v: Schema.Literal(1),
  seq: Schema.Number,
  /** `[key, last timestamp, ids without their "exchange:symbol:t:"]`: an array, so that no exchange names a property. */
  markets: Schema.Array(Schema.Tuple(Schema.String, Schema.NullOr(Schema.String), Schema.Array(Schema.String)))
})

const decodeOld = Schema.decodeUnknownEither(OldText)

/** The file of version 1. */
export const OldFile = (value: unknown): OldMarkets | undefined => Either.getOrUndefined(decodeOld(value))
