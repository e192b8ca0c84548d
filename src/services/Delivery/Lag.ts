/** How long records took from their receipt to Kafka's acknowledgement, by exchange, the replayed ones apart. */
import * as Instruments from "../Instruments.ts"
import { type EventRecord, exchangeOf } from "../MarketEvent.ts"
import * as Time from "../Time.ts"

export interface Lag {
  readonly acknowledged: (records: ReadonlyArray<EventRecord>, now: Time.Moment) => void
}

export const make = (registry: Instruments.Registry): Lag => {
  const live = new Map<string, Instruments.Histogram>()
  const replay = new Map<string, Instruments.Histogram>()
  return {
    acknowledged: (records, now) => {
      for (const record of records) {
        const exchange = exchangeOf(record)
        const isReplay = record.headers["spooled"] !== undefined
        const known = isReplay ? replay : live
        let lag = known.get(exchange)
        if (lag === undefined) {
          lag = Instruments.lag(registry, { exchange, stage: "receive_to_ack", path: isReplay ? "replay" : "live" })
          known.set(exchange, lag)
        }
        // What was read back may be of an earlier life: only its own time tells how old it is.
        const age = record.since === undefined
          ? Math.max(0, Time.epochMillis(now.wall) - record.timestamp)
          : Time.between(record.since, now.at)
        lag.observe(age)
      }
    }
  }
}
