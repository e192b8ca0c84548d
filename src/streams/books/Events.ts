/** What a book's machine tells, as events. */
import * as Iso from "../../services/Iso.ts"
import type { Book, BookDelta, Status } from "../../services/MarketEvent.ts"
import * as Time from "../../services/Time.ts"
import type { Market } from "../Exchange.ts"
import type { StatusEvents } from "../StatusEvents.ts"
import type { Command, Told } from "./Machine.ts"

/** `now`: when it is handed over. */
export const told = (
  exchange: string,
  { exchangeSymbol, symbol }: Market,
  { _tag, asks, bids, id, previous, receivedAt, sequence, source, timestamp }: Told,
  now: Time.Moment
): Book | BookDelta => {
  const received = Iso.ofMillis(receivedAt)
  const common = { v: 1, exchange, symbol, exchangeSymbol, id } as const
  return _tag === "Book"
    ? {
      type: "book",
      ...common,
      sequence,
      bids,
      asks,
      timestamp,
      receivedAt: received,
      sentAt: Time.iso(now.wall),
      source
    }
    : { type: "book_delta", ...common, previous, sequence, bids, asks, timestamp, receivedAt: received, source }
}

/** `gapId`: of the first of the two that tell of a hole; undefined: this is the first. */
export const gap = (
  statusEvents: StatusEvents,
  { symbol }: Market,
  { cause, complete, from, fromSequence, to, toSequence }: Extract<Command, { readonly _tag: "Gap" }>,
  gapId: string | undefined,
  now: Time.Moment
): Status => {
  const id = statusEvents.nextId(now.wall)
  return statusEvents.gap(id, now.wall, {
    gapId: gapId ?? id,
    channel: "books",
    symbol,
    from,
    to,
    fromSequence,
    toSequence,
    cause,
    complete
  })
}
