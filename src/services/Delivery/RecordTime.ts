/**
 * The time that a record is sent with: that of its receipt, as long as Kafka takes it.
 *
 * Ahead of the present clock it never is: a clock that was two hours fast for seconds would block the topic for two hours. Nor is it
 * older than the topic takes (`message.timestamp.before.max.ms`), once such a record was refused alone. `receivedAt` in the value stays.
 */
import type { EventRecord } from "../MarketEvent.ts"
import * as Time from "../Time.ts"

export interface RecordTime {
  /** As they are to be sent now; the very same array if nothing of it changes. */
  readonly stamp: (records: ReadonlyArray<EventRecord>, now: Time.Moment) => ReadonlyArray<EventRecord>
  /** A record was refused with its own time, alone, and taken with the present one. */
  readonly learn: (record: EventRecord, now: Time.Moment) => void
}

/**
 * What is younger than a record that was too old, by so much of its age, counts as too old as well: Kafka's clock goes on, and a
 * backlog of an hour is not to be tried record by record.
 */
const margin = 0.99

/** A topic's limit may be raised while we run, ms. */
const rememberFor = 600_000

/** With the present time. */
export const present = (record: EventRecord, now: Time.Moment): EventRecord => ({
  ...record,
  timestamp: Time.epochMillis(now.wall)
})

export const isPresent = (record: EventRecord, now: Time.Moment): boolean =>
  record.timestamp === Time.epochMillis(now.wall)

export const make = (): RecordTime => {
  let tooOld: { readonly age: number; readonly learned: Time.Instant } | undefined

  return {
    stamp: (records, now) => {
      if (tooOld !== undefined && Time.between(tooOld.learned, now.at) >= rememberFor) tooOld = undefined
      const latest = Time.epochMillis(now.wall)
      const oldest = latest - (tooOld?.age ?? Infinity)
      const fits = ({ timestamp }: EventRecord): boolean => timestamp <= latest && timestamp > oldest
      return records.every(fits) ? records : records.map((record) => fits(record) ? record : present(record, now))
    },
    learn: (record, now) => {
      // Of what was received and refused while the clock was another, nothing is learned.
      const age = Math.floor((Time.epochMillis(now.wall) - record.timestamp) * margin)
      if (age > 0) tooOld = { age, learned: now.at }
    }
  }
}
