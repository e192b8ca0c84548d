/**
 * How often data usually comes on one stream, and so how long its silence is no surprise. Learned from the stream itself: a market
 * that trades each second is missed soon, one that trades twice a day is left alone. Plain data, changed in place by its one owner:
 * `heard` runs once a frame.
 */
import * as Time from "../services/Time.ts"

export interface Patience {
  /** Silence shorter than that is never strange, ms. */
  readonly floor: number
  /** Of a stream of which nothing is known yet, ms. */
  readonly unknown: number
  /** Longer than that no stream is trusted, ms. */
  readonly cap: number
}

export interface Rhythm {
  /** When data came last; null: never, or the time since then says nothing. */
  last: Time.Instant | null
  /** Gaps between data that were seen. */
  gaps: number
  /** Of these gaps, ms; younger ones count for more. */
  mean: number
  /** The longest gap lately, ms. */
  longest: number
}

/**
 * What is known of one market's data in one channel. All sessions of the exchange share it, two at a time while one connection replaces
 * another: a silence that was strange to the one may end in the other.
 */
export interface Pulse {
  readonly rhythm: Rhythm
  /** Its silence was longer than usual, and no data has come since. */
  suspect: boolean
}

/** Gaps before the stream counts as known. */
const enough = 5

/** Of each new gap in the mean. */
const weight = 0.1

/** The longest gap fades with each that follows: bursts are remembered for some hundred gaps. */
const fading = 0.99

/** Trades come in bursts: a wait of twenty usual gaps, and of three times the longest lately, is none of them. */
const ofMean = 20
const ofLongest = 3

export const make = (): Rhythm => ({ last: null, gaps: 0, mean: 0, longest: 0 })

export const pulse = (): Pulse => ({ rhythm: make(), suspect: false })

/** Data came. */
export const heard = (rhythm: Rhythm, at: Time.Instant): void => {
  if (rhythm.last !== null) {
    const gap = Math.max(0, Time.between(rhythm.last, at))
    rhythm.mean = rhythm.gaps === 0 ? gap : rhythm.mean + weight * (gap - rhythm.mean)
    rhythm.longest = Math.max(gap, rhythm.longest * fading)
    rhythm.gaps += 1
  }
  rhythm.last = at
}

/** The silence until the next `heard` says nothing of the stream: we did not listen. */
export const restart = (rhythm: Rhythm): void => {
  rhythm.last = null
}

/** The silence lasted so long, ms, and nothing was wrong with it, as far as we could find out. */
export const learn = (rhythm: Rhythm, silence: number): void => {
  rhythm.longest = Math.max(rhythm.longest, silence)
}

/** Silence that is strange, ms. */
export const patience = ({ gaps, longest, mean }: Rhythm, { cap, floor, unknown }: Patience): number => {
  const usual = Math.max(gaps < enough ? unknown : ofMean * mean, ofLongest * longest)
  return Math.min(cap, Math.max(floor, usual))
}
