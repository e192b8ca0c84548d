/**
 * What order books will cost, by the settings alone: said before the first of them is sent (`check`, `config`). Not a measurement: what is
 * assumed is said with it.
 */
import * as Duration from "effect/Duration"
import { booksOf } from "../streams/books/Declared.ts"
import type { Exchange } from "../streams/Exchange.ts"
import type { Settings } from "./AppConfig.ts"

/** Bytes of `["0.32875","1690.4"],`, as the exchanges' samples have it on the average. */
const levelBytes = 28

/** Bytes of a `book` without its levels, of a `book_delta` too. */
const bareBytes = 300

/** Bytes that a record has beside its value on the disk: key, headers, frame. */
const frameBytes = 150

/** Where nothing bounds them: changes of a market in a second, and levels of one change. */
const changesPerSecond = 1
const levelsPerChange = 6

/** Levels a side that are kept of a book whose exchange does not say how many it gives. */
const keptAtMost = 5_000

/** Of JSON as it is sent to Kafka, by gzip at level 1. */
const gzipRatio = 5

/** Of an exchange whose list was not asked, and whose markets are not named one by one. */
const marketsUnknown = 300

/** Books of one exchange. */
export interface Books {
  readonly exchange: string
  readonly markets: number
  /** Levels a side that it gives at most; undefined: not known. */
  readonly levels: number | undefined
}

export interface Cost {
  readonly recordsPerSecond: number
  /** As they lie in the queue, and before compression. */
  readonly bytesPerSecond: number
  /** Of an outage of Kafka, until the queue is full; trades are not counted. */
  readonly minutes: number
}

/** Of all of them together, each second of a busy day. */
export const of = (
  { books, queue }: Pick<Settings, "books" | "queue">,
  all: ReadonlyArray<Books>
): Cost => {
  const { deltas, interval, refresh } = books
  const perSecond = (duration: Duration.Duration): number => 1000 / Duration.toMillis(duration)
  let recordsPerSecond = 0
  let bytesPerSecond = 0
  const add = (records: number, levels: number): void => {
    recordsPerSecond += records
    bytesPerSecond += records * (bareBytes + frameBytes + levels * levelBytes)
  }
  for (const one of all) {
    const { markets } = one
    const levels = counted(books, one)
    if (deltas) {
      add(markets * changesPerSecond, levelsPerChange)
      add(markets * perSecond(refresh), 2 * levels)
    } else add(markets * (Duration.isZero(interval) ? changesPerSecond : perSecond(interval)), 2 * levels)
  }
  return { recordsPerSecond, bytesPerSecond, minutes: queue.maxBytes / bytesPerSecond / 60 }
}

/** The books that these settings ask for, of the exchanges that have them. `listed`: how many markets an exchange was found to have. */
export const expected = (
  settings: Pick<Settings, "books" | "channels" | "exchanges" | "markets" | "marketsOf">,
  exchanges: ReadonlyArray<Exchange>,
  listed: ReadonlyMap<string, number> = new Map()
): { readonly books: ReadonlyArray<Books>; readonly guessed: ReadonlyArray<string> } => {
  const guessed: Array<string> = []
  const chosen = settings.channels.includes("books")
    ? exchanges.filter(({ id }) => settings.exchanges.includes(id))
    : []
  const books = chosen.flatMap((exchange) => {
    const { id } = exchange
    const books = booksOf(exchange, settings.books)
    if (books === undefined) return []
    const globs = settings.marketsOf[id] ?? settings.markets
    const named = globs.length > 0 && globs.every((glob) => !/[*?]/.test(glob)) ? globs.length : undefined
    const markets = listed.get(id) ?? named
    if (markets === undefined) guessed.push(id)
    return [{ exchange: id, markets: markets ?? marketsUnknown, levels: books.levels }]
  })
  return { books, guessed }
}

/** In words, what it comes to and what was assumed; nothing where no books are asked for. */
export const lines = (
  settings: Pick<Settings, "books" | "channels" | "exchanges" | "kafka" | "markets" | "marketsOf" | "queue" | "sink">,
  exchanges: ReadonlyArray<Exchange>,
  listed?: ReadonlyMap<string, number>
): ReadonlyArray<string> => {
  const { books, guessed } = expected(settings, exchanges, listed)
  const markets = books.reduce((sum, one) => sum + one.markets, 0)
  if (markets === 0) return []
  const { bytesPerSecond, minutes, recordsPerSecond } = of(settings, books)
  const perDay = (bytes: number): string => `${amount(bytes * 86_400 / 1e9)} GB a day`
  const zipped = settings.sink === "kafka" && settings.kafka.compression === "gzip"
    ? `, about ${perDay(bytesPerSecond / gzipRatio)} in Kafka by gzip`
    : ""
  const count = guessed.length === 0
    ? `${markets} markets`
    : `${markets} markets, ${marketsUnknown} of each of ${guessed.join(", ")} (MARKETS does not name them one by one)`
  return [
    `books: ${amount(recordsPerSecond)} records/s, ${perDay(bytesPerSecond)}${zipped}; ` +
    `QUEUE_MAX_BYTES holds ${amount(minutes)} minutes of them while Kafka is away`,
    `books, as assumed: ${count}, ${pace(settings.books, books)}, ${levelBytes} bytes a level; trades are not counted`
  ]
}

// internal

/** Levels a side of a `book`: no more than there are; as an anchor it has all that are kept. */
const counted = ({ deltas, depth }: Settings["books"], { levels = keptAtMost }: Books): number => {
  const kept = Math.min(levels, keptAtMost)
  return deltas || depth === "all" ? kept : Math.min(depth, kept)
}

/** One number, or of which exchange each is. */
const sizes = (settings: Settings["books"], all: ReadonlyArray<Books>): string => {
  const bySize = new Map<number, Array<string>>()
  for (const one of all.filter(({ markets }) => markets > 0)) {
    const levels = counted(settings, one)
    bySize.set(levels, [...(bySize.get(levels) ?? []), one.exchange])
  }
  const [only, ...others] = bySize.keys()
  if (others.length === 0) return `${only} levels a side`
  const each = Array.from(bySize).sort(([a], [b]) => a - b).map(([levels, of]) => `${levels} of ${of.join(", ")}`)
  return `levels a side: ${each.join("; ")}`
}

const pace = (settings: Settings["books"], all: ReadonlyArray<Books>): string => {
  const { deltas, interval, refresh } = settings
  const changes = `${changesPerSecond} change of each a second`
  const size = sizes(settings, all)
  if (deltas) {
    return `${changes} with ${levelsPerChange} levels, a book of each every ${Duration.format(refresh)} (${size})`
  }
  return Duration.isZero(interval)
    ? `${changes} (${size})`
    : `a change of each in every ${Duration.format(interval)} (${size})`
}

/** Two digits that count, none behind the point from ten on. */
const amount = (value: number): string => value >= 10 ? String(Math.round(value)) : String(Number(value.toPrecision(2)))
