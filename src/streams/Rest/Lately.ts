/** Whether so many questions as matter left within the last minute: as many are remembered, however many are asked. */
import * as Time from "../../services/Time.ts"

export interface Lately {
  /** How many make it full. */
  readonly size: number
  /** When the last ones left, at most `size`, in a ring. */
  readonly times: Array<Time.Instant>
  /** Place of the next, and so of the oldest once all are taken. */
  next: number
}

/** ms */
const minute = 60_000

/** `size` is at least 1. */
export const make = (size: number): Lately => ({ size, times: [], next: 0 })

/** A question left that counts for so many. */
export const left = (self: Lately, now: Time.Instant, cost = 1): void => {
  for (let n = 0; n < Math.min(cost, self.size); n++) {
    self.times[self.next] = now
    self.next = (self.next + 1) % self.size
  }
}

/** `size` of them or more left within the last minute. */
export const isFull = ({ next, size, times }: Lately, now: Time.Instant): boolean => {
  const oldest = times[next]
  return times.length >= size && oldest !== undefined && Time.between(oldest, now) < minute
}
