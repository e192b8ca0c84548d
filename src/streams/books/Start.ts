/** How long markets that begin together waited for their first pictures. */
import * as Time from "../../services/Time.ts"

export interface Start {
  /** The first of them began to wait. */
  began: Time.Instant
  /** The last of them had its picture. */
  ended: Time.Instant
  isRunning: boolean
}

/** Markets that begin so soon after the others, ms, as those of the next connection do, belong to the same start. */
const together = 60_000

export const make = (): Start => ({ began: Time.never, ended: Time.never, isRunning: false })

/** So many wait now. What the last start took, ms; null while it goes on, and before there was one. */
export const waiting = (s: Start, count: number, now: Time.Instant): number | null => {
  if (count > 0 && !s.isRunning) {
    if (Time.between(s.ended, now) > together) s.began = now
    s.isRunning = true
  }
  if (count === 0 && s.isRunning) {
    s.ended = now
    s.isRunning = false
  }
  return s.isRunning || s.ended === Time.never ? null : Time.between(s.began, s.ended)
}
