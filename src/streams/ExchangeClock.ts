/**
 * What time an exchange's clock shows, from the `Date` headers of its answers: bounds, since a `Date` is cut to the second, took its
 * time to come, and may be of an answer that somebody kept. Our wall clock has no part in it.
 */

import * as Time from "../services/Time.ts"

export interface Sample {
  /** The header, epoch ms. */
  readonly date: number
  /** When the question was sent and when the answer was here. */
  readonly sentAt: Time.Instant
  readonly at: Time.Instant
}

export interface ExchangeClock {
  /** The exchange's clock showed at least that at that instant, epoch ms; null: nothing is known. */
  readonly earliest: (at: Time.Instant) => number | null
  /** And at most that. */
  readonly latest: (at: Time.Instant) => number | null
  readonly heard: (sample: Sample) => void
}

/** A kept answer is late, never early: the best of so many lately is near the truth. */
const remembered = 32

/** A `Date` has whole seconds. */
const unit = 1_000

export const make = (): ExchangeClock => {
  const samples: Array<Sample> = []
  const best = (): Sample | undefined =>
    samples.reduce<Sample | undefined>(
      (found, one) => found === undefined || one.date - found.date > Time.between(found.at, one.at) ? one : found,
      undefined
    )
  return {
    earliest: (at) => {
      const sample = best()
      return sample === undefined ? null : Math.floor(sample.date + Time.between(sample.at, at))
    },
    latest: (at) => {
      const sample = best()
      return sample === undefined ? null : Math.ceil(sample.date + unit + Time.between(sample.sentAt, at))
    },
    heard: (sample) => {
      samples.push(sample)
      if (samples.length > remembered) samples.shift()
    }
  }
}
