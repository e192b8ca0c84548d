/**
 * How often data usually comes on one stream, and so how long its silence is no surprise. Learned from the stream itself: a market
 * that trades each second is missed soon, one that trades twice a day is left alone. Plain arithmetic on what it is told.
 */

import * as Time from "../../services/Time.ts"

export interface Patience {
  /** Silence shorter than that is never strange, ms. */
  readonly floor: number
  /** Of a stream of which nothing is known yet, ms. */
  readonly unknown: number
  /** Longer than that no stream is trusted, ms. */
  readonly cap: number
}

export interface Rhythm {
  /** Data came. */
  readonly heard: (at: Time.Instant) => void
  /** The silence until the next `heard` says nothing of the stream: we did not listen. */
  readonly restart: () => void
  /** The silence lasted so long, ms, and nothing was wrong with it, as far as we could find out. */
  readonly learn: (silence: number) => void
  /** Silence that is strange, ms. */
  readonly patience: (options: Patience) => number
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

export const make = (): Rhythm => {
  let last: Time.Instant | undefined
  let gaps = 0
  let mean = 0
  let longest = 0
  return {
    heard: (at) => {
      if (last !== undefined) {
        const gap = Math.max(0, Time.between(last, at))
        mean = gaps === 0 ? gap : mean + weight * (gap - mean)
        longest = Math.max(gap, longest * fading)
        gaps += 1
      }
      last = at
    },
    restart: () => {
      last = undefined
    },
    learn: (silence) => {
      longest = Math.max(longest, silence)
    },
    patience: ({ cap, floor, unknown }) => {
      const usual = Math.max(gaps < enough ? unknown : ofMean * mean, ofLongest * longest)
      return Math.min(cap, Math.max(floor, usual))
    }
  }
}
