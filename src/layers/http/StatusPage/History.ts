/**
 * The last half hour, for charts that are there when the page is opened: one point each ten seconds, so that memory is bounded. Pure but
 * for its memory; by the monotonic clock.
 */
import * as Time from "../../../services/Time.ts"

/** Milliseconds from one point to the next. */
export const every = 10_000

/** Points that are kept: half an hour. */
export const points = 180

/** Counts since the start, and what there is now. */
export interface Totals {
  readonly received: number
  readonly delivered: number
  /** On disk. */
  readonly queued: number
  readonly queuedBytes: number
  readonly openHoles: number
}

/** Oldest first, all of one length. */
export interface Series {
  /** Milliseconds from one point to the next. */
  readonly every: number
  /** Events each second, the mean of a point's stretch. */
  readonly received: ReadonlyArray<number>
  readonly delivered: ReadonlyArray<number>
  /** As it was at the point. */
  readonly queued: ReadonlyArray<number>
  readonly queuedBytes: ReadonlyArray<number>
  readonly openHoles: ReadonlyArray<number>
}

export interface History {
  readonly sample: (totals: Totals, now: Time.Instant) => void
  readonly series: () => Series
}

interface Point extends Totals {
  readonly at: Time.Instant
}

const rates = (all: ReadonlyArray<Point>, of: (totals: Totals) => number): ReadonlyArray<number> =>
  all.slice(1).map((point, i) => {
    const before = all[i] ?? point
    const seconds = Time.between(before.at, point.at) / 1000
    return seconds <= 0 ? 0 : Math.round(10 * Math.max(0, of(point) - of(before)) / seconds) / 10
  })

export const make = (): History => {
  /** One more than points, since a rate is of two. */
  let all: ReadonlyArray<Point> = []
  return {
    sample: (totals, at) => {
      all = [...all.slice(-points), { ...totals, at }]
    },
    series: () => {
      const later = all.slice(1)
      return {
        every,
        received: rates(all, ({ received }) => received),
        delivered: rates(all, ({ delivered }) => delivered),
        queued: later.map(({ queued }) => queued),
        queuedBytes: later.map(({ queuedBytes }) => queuedBytes),
        openHoles: later.map(({ openHoles }) => openHoles)
      }
    }
  }
}

export const none: Series = make().series()
