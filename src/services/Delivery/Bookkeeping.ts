/**
 * A lane's book-keeping: each record that changes places is told to the ledger, and what is dropped is kept until somebody can be told
 * of it (docs/design/delivery.md H6).
 */
import * as Effect from "effect/Effect"
import type { Loss, Queue as DiskQueue } from "../FileQueue.ts"
import type * as Ledger from "../Ledger.ts"
import { type EventRecord, exchangeOf, type LaneName } from "../MarketEvent.ts"
import type * as Handover from "./Handover.ts"

/** Without sequence numbers: dropped from memory, before any queue had them. */
export type Dropped =
  & Pick<Loss, "byExchange" | "recovered" | "reason" | "from" | "to">
  & { readonly firstSeq: number | null; readonly lastSeq: number | null }

type Account = Extract<Handover.Command, { readonly _tag: "Account" }>

export interface Bookkeeping {
  /** The queue is open: below `seq` are records of an earlier life, whose exchange is not known. */
  readonly openedAt: (seq: number) => void
  readonly account: (command: Account) => void
  /** Lost by the queue itself. */
  readonly lost: (loss: Loss) => void
  /** A dead letter before it came to the machine. */
  readonly oversize: (record: EventRecord) => void
  /** What went since the last call, of the queue below `upTo` and from memory. */
  readonly untold: (queue: DiskQueue, upTo: number) => Effect.Effect<ReadonlyArray<Dropped>>
}

/** `onRefused`: something was dropped because there is no room. */
export const make = (ledger: Ledger.Shape, lane: LaneName, onRefused: () => void): Bookkeeping => {
  // Losses may be told while the queue opens.
  let liveFrom = Infinity
  let shed: { readonly byExchange: Map<string, number>; from: number; to: number } | undefined

  const remember = (counts: ReadonlyMap<string, number>, records: ReadonlyArray<EventRecord>): void => {
    shed ??= { byExchange: new Map(), from: Infinity, to: -Infinity }
    for (const [exchange, count] of counts) shed.byExchange.set(exchange, (shed.byExchange.get(exchange) ?? 0) + count)
    for (const { timestamp } of records) {
      shed.from = Math.min(shed.from, timestamp)
      shed.to = Math.max(shed.to, timestamp)
    }
  }

  return {
    openedAt: (seq) => {
      liveFrom = seq
    },
    account: ({ from, reason, records, to }) => {
      const live = new Map<string, number>()
      let recovered = 0
      for (const record of records) {
        if ("seq" in record && typeof record.seq === "number" && record.seq < liveFrom) recovered += 1
        else {
          const exchange = exchangeOf(record)
          live.set(exchange, (live.get(exchange) ?? 0) + 1)
        }
      }
      const why = reason === undefined ? undefined : ledgerReason(reason)
      for (const [exchange, count] of live) ledger.move({ lane, exchange }, from, to, count, why)
      ledger.move({ lane, exchange: undefined }, from, to, recovered, why)
      if (to === "dropped") {
        onRefused()
        remember(live, records)
      }
    },
    lost: ({ byExchange, reason, recovered }) => {
      for (const [exchange, count] of byExchange) ledger.move({ lane, exchange }, "queued", "dropped", count, reason)
      ledger.move({ lane, exchange: undefined }, "queued", "dropped", recovered, reason)
      if (reason === "full") onRefused()
    },
    oversize: (record) =>
      ledger.move({ lane, exchange: exchangeOf(record) }, "in_flight", "dead_lettered", 1, "too_large"),
    untold: (queue, upTo) =>
      Effect.map(queue.untold(upTo), (losses): ReadonlyArray<Dropped> => {
        const memory = shed
        shed = undefined
        return memory === undefined
          ? losses
          : [...losses, { reason: "full", firstSeq: null, lastSeq: null, recovered: 0, ...memory }]
      })
  }
}

const ledgerReason = (reason: string): Ledger.Reason => {
  switch (reason) {
    case "MESSAGE_TOO_LARGE":
    case "RECORD_LIST_TOO_LARGE":
    case "too_large":
      return "too_large"
    case "INVALID_RECORD":
      return "invalid"
    default:
      return "full"
  }
}
