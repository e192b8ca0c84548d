/**
 * A clock whose wall time can be stepped, as NTP, a suspend or an administrator do; timers are the monotonic one's. Of a TestClock
 * `TestClock.adjust` moves both on, and `step` the wall's alone; without one both are the machine's.
 */
import { Clock, Duration, Effect } from "effect"

export interface Wall {
  /** Steps add up. */
  readonly step: (by: Duration.DurationInput, direction: "forward" | "back") => Effect.Effect<void>
}

/** Runs what it is given under such a clock. TestClock works within as ever. */
export const run = <A, E, R>(use: (wall: Wall) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Clock.clockWith((test) => {
    // A TestClock's both begin at 0: its wall clock is put to today, so that nobody can take one for the other.
    let offset = test.unsafeCurrentTimeMillis() < 1e11 ? Date.parse("2026-06-11T12:00:00Z") : 0
    const millis = () => test.unsafeCurrentTimeMillis() + offset
    // All else, `adjust` and the sleepers among it, is the TestClock's own.
    const clock: Clock.Clock = Object.create(test, {
      // The TestClock's own makes it of the milliseconds.
      unsafeCurrentTimeNanos: { value: () => test.unsafeCurrentTimeNanos() },
      unsafeCurrentTimeMillis: { value: millis },
      currentTimeMillis: { value: Effect.sync(millis) }
    })
    return use({
      step: (by, direction) =>
        Effect.sync(() => {
          offset += Duration.toMillis(by) * (direction === "forward" ? 1 : -1)
        })
    }).pipe(Effect.withClock(clock))
  })

/** The steps that each situation is tried with. */
export const steps = [
  ["an hour forward", "1 hour", "forward"],
  ["an hour back", "1 hour", "back"],
  ["ten minutes forward", "10 minutes", "forward"],
  ["ten minutes back", "10 minutes", "back"],
  ["a second forward", "1 second", "forward"],
  ["a second back", "1 second", "back"]
] as const
