/**
 * Every Schedule of the project (docs/design/breaker-and-retry.md "Retry"). Delay before retry k: `base * 2^k * (1 ± jitter)`, never above the maximum,
 * and at the maximum still different from each other.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"

/**
 * How often is tried, and how long is waited in between.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Of one operation, the first try included. */
  readonly maxAttempts: number
  readonly baseDelay: Duration.Duration
  readonly maxDelay: Duration.Duration
  /** 0.1 = ten per cent either way. */
  readonly jitter: number
}

/**
 * Five tries, from one second to thirty, ten per cent of jitter.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults: Options = {
  maxAttempts: 5,
  baseDelay: Duration.seconds(1),
  maxDelay: Duration.seconds(30),
  jitter: 0.1
}

/** Beyond it doubling only risks overflow: the cap was reached long before. */
const maxExponent = 64

/** The delay before retry `attempt` = 0, 1, 2, ... */
const delay = (options: Options, attempt: number): Effect.Effect<Duration.Duration> => {
  const cap = Duration.toMillis(options.maxDelay)
  // The cap is on the middle, so that jitter around it neither exceeds the maximum nor piles up at it.
  const middle = Math.min(
    cap / (1 + options.jitter),
    Duration.toMillis(options.baseDelay) * 2 ** Math.min(attempt, maxExponent)
  )
  return Effect.map(
    Random.nextRange(1 - options.jitter, 1 + options.jitter),
    (factor) => Duration.millis(Math.min(cap, middle * factor))
  )
}

/**
 * Retries for ever, with the delays of `options`; `maxAttempts` is not looked at. Its output counts the retries from 0.
 *
 * @since 0.1.0
 * @category constructors
 */
export const forever = (options: Options): Schedule.Schedule<number> =>
  Schedule.addDelayEffect(Schedule.forever, (attempt) => delay(options, attempt))

/**
 * `maxAttempts` tries in all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bounded = (options: Options): Schedule.Schedule<number> =>
  forever(options).pipe(
    Schedule.intersect(Schedule.recurs(options.maxAttempts - 1)),
    Schedule.map(([attempt]) => attempt)
  )

/**
 * A schedule for sessions that come and go, and what a session says of itself to it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reconnecting {
  readonly schedule: Schedule.Schedule<number>
  /** The session was healthy for long enough: the next delay is the base again. */
  readonly reset: Effect.Effect<void>
  /** The other side said not to come back soon: the next delay is the maximum. */
  readonly toMaximum: Effect.Effect<void>
}

/**
 * For sessions: the attempt is counted outside the schedule, since only `reset` and `toMaximum` decide how it goes on: an exchange that
 * accepts, sends one frame and drops is to be dialled more and more rarely.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reconnecting = (options: Options): Effect.Effect<Reconnecting> =>
  Effect.map(Ref.make(0), (attempts) => ({
    schedule: Schedule.addDelayEffect(
      Schedule.forever,
      () => Effect.flatMap(Ref.getAndUpdate(attempts, (n) => n + 1), (attempt) => delay(options, attempt))
    ),
    reset: Ref.set(attempts, 0),
    toMaximum: Ref.set(attempts, maxExponent)
  }))

/** Longest wait that another side may ask for: what an exchange sends is not to be trusted (docs/design/laws.md "Bounds"). */
const longestAsked = Duration.minutes(10)

/** Where an answer names a moment but not what time it is itself: how far off the moment is nobody can tell. */
const unknownWait = Duration.minutes(1)

/** The three forms of RFC 9110 all begin with a day; the one without a zone is not sent any more. */
const httpDatePattern = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*, .* GMT$/

/**
 * An HTTP date in epoch ms; undefined if the text is none.
 *
 * @since 0.1.0
 * @category conversions
 */
export const httpDate = (text: string): number | undefined => {
  const date = httpDatePattern.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : date
}

/** Epoch ms of the other side's clock. */
const dateOf = (text: string | undefined): number => httpDate(text?.trim() ?? "") ?? Number.NaN

/** From here on a number is no wait, of thirty years, but a moment: epoch seconds, or milliseconds. */
const epochSeconds = 1e9
const epochMillis = 1e12

/**
 * What a `Retry-After` header asks for: seconds, an HTTP date, or epoch seconds or milliseconds. A moment is taken relative to `date`,
 * the `Date` header of the same answer: both are of the other side's clock, ours may be hours off. Undefined if it is none of them;
 * never less than nothing, never more than ten minutes.
 *
 * @since 0.1.0
 * @category conversions
 */
export const retryAfter = (header: string, date: string | undefined): Duration.Duration | undefined => {
  const text = header.trim()
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (number < epochSeconds) return Duration.min(Duration.seconds(number), longestAsked)
  const moment = Number.isNaN(number) ? dateOf(text) : number < epochMillis ? number * 1000 : number
  if (Number.isNaN(moment)) return undefined
  const now = dateOf(date)
  return Number.isNaN(now)
    ? unknownWait
    : Duration.min(Duration.millis(Math.max(0, moment - now)), longestAsked)
}
