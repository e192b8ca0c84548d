/** The texts of the checkpoint, read by Schema. */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Awaited, Hole } from "./Model.ts"

/** What an entry says of a market. Ids are whole, times epoch ms. */
export interface MarketEntry {
  readonly key: string
  /** `gone`: nothing is kept of it. `whole`: this is all there is. `more`: to be added to what earlier entries say. */
  readonly kind: "gone" | "whole" | "more"
  readonly exchangeSymbol?: string | undefined
  readonly last?: string | null | undefined
  readonly ids: ReadonlyArray<string>
  /** Of each of `ids`. */
  readonly times: ReadonlyArray<number | null>
  /** All of them; undefined: as they were. */
  readonly holes?: ReadonlyArray<Hole & Awaited> | undefined
  readonly lastOfOld?: string | undefined
}

/** What stands behind the markets of an entry: it holds from that entry on. */
export interface Position {
  /** Highest sequence number of the trade lane's queue that the checkpoint covers. */
  readonly seq: number
  /** Mark of the version 1 file that was taken over; undefined: none was. */
  readonly old: number | undefined
}

export interface Entry {
  readonly position: Position
  /** Number of an earlier segment that is durable to its end; only in the first entry of a segment. */
  readonly after: number | undefined
  readonly markets: ReadonlyArray<MarketEntry>
}

/** `version` was written by a later version of this program; undefined: by none. */
export interface Unreadable {
  readonly version: number | undefined
}

const HoleText = Schema.Struct({
  cause: Schema.String,
  gapId: Schema.NullOr(Schema.String),
  from: Schema.NullOr(Schema.String),
  to: Schema.NullOr(Schema.String),
  recovered: Schema.Number,
  over: Schema.NullOr(Schema.Literal("filled", "given up")),
  after: Schema.optional(Schema.Struct({ id: Schema.String, time: Schema.NullOr(Schema.String) })),
  before: Schema.optional(Schema.String),
  isUnsound: Schema.optional(Schema.Boolean),
  trade: Schema.NullOr(Schema.String),
  event: Schema.NullOr(Schema.String)
})

/** Short names: a line has hundreds of these. */
const MarketText = Schema.Struct({
  k: Schema.String,
  kind: Schema.Literal("gone", "whole", "more"),
  s: Schema.optional(Schema.String),
  last: Schema.optional(Schema.NullOr(Schema.String)),
  /** Without their `<key>:t:`. */
  ids: Schema.optional(Schema.Array(Schema.String)),
  /** Each as the difference from the one before it; left out where each id begins with its time, as those of equal trades do. */
  times: Schema.optional(Schema.Array(Schema.NullOr(Schema.Number))),
  holes: Schema.optional(Schema.Array(HoleText)),
  old: Schema.optional(Schema.String)
})

const EntryText = Schema.Struct({
  v: Schema.Literal(2),
  seq: Schema.Number,
  old: Schema.optional(Schema.Number),
  after: Schema.optional(Schema.Number),
  markets: Schema.Array(MarketText)
})

const OldText = Schema.Struct({
  v: Schema.Literal(1),
  seq: Schema.Number,
  /** `[key, last timestamp, ids without their "exchange:symbol:t:"]`: an array, so that no exchange names a property. */
  markets: Schema.Array(Schema.Tuple(Schema.String, Schema.NullOr(Schema.String), Schema.Array(Schema.String)))
})

export type OldFile = typeof OldText.Type

// ---------------------------------------------------------------------------------------------------------------------
// ids and times

/** In front of an id that is not `<key>:t:...`: a program that embeds the sink may have its own. */
const foreign = "\u0000"

const shorten = (key: string, id: string): string =>
  id.startsWith(`${key}:t:`) ? id.slice(key.length + 3) : `${foreign}${id}`

export const lengthen = (key: string, short: string): string =>
  short.startsWith(foreign) ? short.slice(foreign.length) : `${key}:t:${short}`

const leadingTime = /^(\d{1,15}):/

/** Epoch ms that an id without its prefix begins with; null if it begins with none. */
export const timeIn = (short: string): number | null => {
  const time = leadingTime.exec(short)?.[1]
  return time === undefined ? null : Number(time)
}

const toDifferences = (times: ReadonlyArray<number | null>): ReadonlyArray<number | null> => {
  let before = 0
  return times.map((time) => {
    if (time === null) return null
    const difference = time - before
    before = time
    return difference
  })
}

const fromDifferences = (differences: ReadonlyArray<number | null>): ReadonlyArray<number | null> => {
  let time = 0
  return differences.map((difference) => difference === null ? null : time += difference)
}

// ---------------------------------------------------------------------------------------------------------------------
// printing

export const printMarket = ({ ids, key, kind, lastOfOld, times, ...rest }: MarketEntry): string => {
  const short = ids.map((id) => shorten(key, id))
  const areTimesInIds = short.every((id, i) => times[i] !== null && times[i] === timeIn(id))
  const text: typeof MarketText.Type = {
    k: key,
    kind,
    s: rest.exchangeSymbol,
    last: rest.last,
    ids: short.length === 0 ? undefined : short,
    times: areTimesInIds ? undefined : toDifferences(times),
    holes: rest.holes,
    old: lastOfOld
  }
  return JSON.stringify(text)
}

/** `markets`: printed ones. */
export const printEntry = (
  { old, seq }: Position,
  after: number | undefined,
  markets: ReadonlyArray<string>
): string => `${JSON.stringify({ v: 2, seq, old, after }).slice(0, -1)},"markets":[${markets.join(",")}]}`

// ---------------------------------------------------------------------------------------------------------------------
// reading

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const unreadable = (value: unknown, known: number): Unreadable => {
  const version = typeof value === "object" && value !== null && "v" in value ? value.v : undefined
  return { version: typeof version === "number" && version !== known ? version : undefined }
}

const toMarketEntry = ({ ids = [], k, kind, old, s, times, ...rest }: typeof MarketText.Type): MarketEntry => ({
  key: k,
  kind,
  exchangeSymbol: s,
  last: rest.last,
  ids: ids.map((id) => lengthen(k, id)),
  times: times === undefined ? ids.map(timeIn) : fromDifferences(times),
  holes: rest.holes,
  lastOfOld: old
})

const decodeEntry = Schema.decodeUnknownEither(EntryText)

export const parseEntry = (text: string): Either.Either<Entry, Unreadable> => {
  const value = parse(text)
  return Either.mapBoth(decodeEntry(value), {
    onLeft: () => unreadable(value, 2),
    onRight: ({ after, markets, old, seq }): Entry => ({
      position: { seq, old },
      after,
      markets: markets.map(toMarketEntry)
    })
  })
}

const decodeOld = Schema.decodeUnknownEither(OldText)

/** The file of version 1. */
export const parseOld = (text: string): Either.Either<OldFile, Unreadable> => {
  const value = parse(text)
  return Either.mapLeft(decodeOld(value), () => unreadable(value, 1))
}
