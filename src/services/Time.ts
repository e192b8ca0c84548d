/**
 * The two clocks, as two types that cannot be mixed.
 *
 * An `Instant` is monotonic: durations, deadlines, ages and patience are made of instants alone. A `WallTime` says what a calendar
 * would show; it steps by seconds to hours (NTP, a suspended machine, no clock chip), so nothing can be subtracted from it: it becomes
 * a text, or the time of a Kafka record. An exchange's own time is neither: it is a plain number of epoch milliseconds.
 *
 * Both are numbers at run time, so they print, compare in tests and go through JSON as such. `npm run check` refuses every other way
 * to a clock in `src` (`scripts/check-clocks.mjs`).
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Iso from "./Iso.ts"

declare const InstantTypeId: unique symbol
declare const WallTimeTypeId: unique symbol

/**
 * Milliseconds of a clock that only goes forward. Its zero says nothing, and differs from process to process.
 *
 * @since 0.1.0
 * @category models
 */
export interface Instant {
  readonly [InstantTypeId]: "Instant"
}

/**
 * Epoch milliseconds by this machine's calendar.
 *
 * @since 0.1.0
 * @category models
 */
export interface WallTime {
  readonly [WallTimeTypeId]: "WallTime"
}

/**
 * One reading of both clocks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly at: Instant
  readonly wall: WallTime
}

/**
 * From a plain number: for tests, and for what came from a file.
 *
 * @since 0.1.0
 * @category constructors
 */
export const instant = (ms: number): Instant => ms as unknown as Instant

/**
 * From epoch milliseconds: for tests, and for what came from a file.
 *
 * @since 0.1.0
 * @category constructors
 */
export const wallTime = (epochMs: number): WallTime => epochMs as unknown as WallTime

/**
 * An instant before all others.
 *
 * @since 0.1.0
 * @category constants
 */
export const never: Instant = instant(-Infinity)

/**
 * The clock in one call, for code that no fiber runs. By Effect's own clock it is `process.hrtime`, which a step of the wall clock
 * does not move; by a TestClock the test's.
 *
 * @since 0.1.0
 * @category accessors
 */
export const instantOf = (clock: Clock.Clock): Instant => instant(Number(clock.unsafeCurrentTimeNanos() / 1_000_000n))

/**
 * What the calendar shows, for code that no fiber runs.
 *
 * @since 0.1.0
 * @category accessors
 */
export const wallOf = (clock: Clock.Clock): WallTime => wallTime(clock.unsafeCurrentTimeMillis())

/**
 * Both clocks at once, for code that no fiber runs.
 *
 * @since 0.1.0
 * @category accessors
 */
export const momentOf = (clock: Clock.Clock): Moment => ({ at: instantOf(clock), wall: wallOf(clock) })

// Not `Clock.currentTimeNanos`: of a TestClock between two milliseconds it is a defect.
/**
 * The monotonic clock. Never fails.
 *
 * @since 0.1.0
 * @category accessors
 */
export const now: Effect.Effect<Instant> = Effect.clockWith((clock) => Effect.sync(() => instantOf(clock)))

/**
 * What the calendar shows. Never fails.
 *
 * @since 0.1.0
 * @category accessors
 */
export const wall: Effect.Effect<WallTime> = Effect.clockWith((clock) => Effect.sync(() => wallOf(clock)))

/**
 * Both clocks at once. Never fails.
 *
 * @since 0.1.0
 * @category accessors
 */
export const moment: Effect.Effect<Moment> = Effect.clockWith((clock) => Effect.sync(() => momentOf(clock)))

const millis = (at: Instant): number => at as unknown as number

/**
 * Milliseconds from one instant to a later one; negative if it is earlier.
 *
 * @since 0.1.0
 * @category accessors
 */
export const between = (from: Instant, to: Instant): number => millis(to) - millis(from)

/**
 * `ms` after an instant.
 *
 * @since 0.1.0
 * @category combinators
 */
export const plus = (at: Instant, ms: number): Instant => instant(millis(at) + ms)

/**
 * The latest of them; `never` of none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const latest = (...all: ReadonlyArray<Instant>): Instant => instant(Math.max(...all.map(millis)))

/**
 * The earliest of those that are given; undefined of none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const earliest = (...all: ReadonlyArray<Instant | undefined>): Instant | undefined => {
  const given = all.filter((at) => at !== undefined)
  return given.length === 0 ? undefined : instant(Math.min(...given.map(millis)))
}

/**
 * Epoch milliseconds, to be written down: into a Kafka record, a metric, a file's name. Not to be subtracted from.
 *
 * @since 0.1.0
 * @category conversions
 */
export const epochMillis = (time: WallTime): number => time as unknown as number

/**
 * ISO-8601 UTC with milliseconds.
 *
 * @since 0.1.0
 * @category conversions
 */
export const iso = (time: WallTime): string => Iso.ofMillis(epochMillis(time))

/**
 * What the calendar shows `ms` after a reading: the text of an instant that was not read with it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const wallAfter = ({ wall }: Moment, ms: number): WallTime => wallTime(Math.round(epochMillis(wall) + ms))
