/** When the next question may leave, so that no minute has more than an exchange allows. Plain functions of plain data. */
import * as Time from "../../services/Time.ts"

export interface Budget {
  readonly perMinute: number
  /** Between two questions at the least, ms. */
  readonly spacing: number
  /** When the last ones left, at most `perMinute`, in a ring. */
  readonly times: Array<Time.Instant>
  /** Place of the next, and so of the oldest once all are taken. */
  next: number
}

/** A little more than a minute, ms: the ways of questions differ in length, and no minute of the exchange's may have one too many. */
const minute = 61_200

/** How far apart questions leave that never stop, ms: they are spread evenly. */
export const spacingOf = (perMinute: number): number => Math.ceil(minute / perMinute)

/** `spacing`: 0 where as many as are allowed may leave at once. */
export const make = (perMinute: number, spacing: number): Budget => ({ perMinute, spacing, times: [], next: 0 })

/** A question left that counts for so many. */
export const left = (self: Budget, now: Time.Instant, cost = 1): void => {
  for (let n = 0; n < Math.min(cost, self.perMinute); n++) {
    self.times[self.next] = now
    self.next = (self.next + 1) % self.perMinute
  }
}

/** How long the next one has to wait that counts for so many, ms. One that counts for more than a minute has goes alone. */
export const wait = ({ next, perMinute, spacing, times }: Budget, now: Time.Instant, cost = 1): number => {
  const last = times[(next + perMinute - 1) % perMinute]
  // The youngest of those whose places it takes.
  const places = Math.min(cost, perMinute)
  const oldest = times.length < perMinute
    ? times[times.length + places - 1 - perMinute]
    : times[(next + places - 1) % perMinute]
  return Math.max(
    0,
    last === undefined ? 0 : spacing - Time.between(last, now),
    oldest === undefined ? 0 : minute - Time.between(oldest, now)
  )
}
