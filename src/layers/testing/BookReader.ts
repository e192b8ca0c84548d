/**
 * Order books as a reader of the topic has them, by the rule of docs/design/contract.md "Books": a `book`, then each `book_delta` whose
 * `previous` is the own `sequence`; at anything else what was read is forgotten until the next `book`.
 */
import type { Book as BookEvent, BookDelta, MarketEvent } from "../../services/MarketEvent.ts"
import type { Book } from "./FakeBooks.ts"
import { parsed, type Units } from "./Oracle.ts"

/**
 * A reader of one collector's books.
 *
 * @since 0.1.0
 * @category models
 */
export interface BookReader {
  /** Events of any kind, in the order of the topic. */
  readonly read: (events: Iterable<MarketEvent>) => void
  /** By `exchange:symbol`: its book as it is now; undefined while there is none to be trusted. */
  readonly book: (key: string) => Book | undefined
  /** How often it had to forget what it had read. */
  readonly distrusts: () => number
}

interface Kept {
  sequence: string | undefined
  bids: Map<string, string>
  asks: Map<string, string>
  /** `(id, previous)` of what was read last: a topic that is delivered at least once repeats runs of it. */
  readonly read: Set<string>
}

/** So many are remembered of each market. */
const remembered = 10_000

const apply = (side: Map<string, string>, levels: BookDelta["bids"]): void => {
  for (const [price, amount] of levels) {
    if (amount === "0") side.delete(price)
    else side.set(price, amount)
  }
}

const compare = (a: Units, b: Units): number => {
  const difference = a.units * 10n ** BigInt(b.scale) - b.units * 10n ** BigInt(a.scale)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

const sorted = (side: ReadonlyMap<string, string>, sign: 1 | -1) =>
  [...side].sort(([a], [b]) => sign * compare(parsed(a), parsed(b)))

/**
 * One that has read nothing yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): BookReader => {
  const books = new Map<string, Kept>()
  let distrusts = 0

  const take = (kept: Kept, event: BookEvent | BookDelta): void => {
    const previous = event.type === "book_delta" ? event.previous : undefined
    const name = `${event.id} ${previous ?? ""}`
    if (kept.sequence !== undefined && previous !== undefined && kept.sequence !== previous) {
      if (kept.read.has(name)) return
      kept.sequence = undefined
      distrusts += 1
      return
    }
    if (previous !== undefined && kept.sequence === undefined) return
    kept.read.add(name)
    for (const oldest of kept.read) {
      if (kept.read.size <= remembered) break
      kept.read.delete(oldest)
    }
    kept.sequence = event.sequence
    if (event.type === "book") [kept.bids, kept.asks] = [new Map(event.bids), new Map(event.asks)]
    else {
      apply(kept.bids, event.bids)
      apply(kept.asks, event.asks)
    }
  }

  return {
    read: (events) => {
      for (const event of events) {
        if (event.type !== "book" && event.type !== "book_delta") continue
        const key = `${event.exchange}:${event.symbol}`
        let kept = books.get(key)
        if (kept === undefined) {
          kept = { sequence: undefined, bids: new Map(), asks: new Map(), read: new Set() }
          books.set(key, kept)
        }
        take(kept, event)
      }
    },
    book: (key) => {
      const kept = books.get(key)
      return kept?.sequence === undefined
        ? undefined
        : { bids: sorted(kept.bids, -1), asks: sorted(kept.asks, 1) }
    },
    distrusts: () => distrusts
  }
}
