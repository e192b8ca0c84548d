/**
 * The clock of a fake exchange, which is another machine's: it follows Effect's, so a TestClock moves it as it moves the feed's.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"

/**
 * The clock of a fake: the machine's, or whatever clock its Effect runs on.
 *
 * @since 0.1.0
 * @category models
 */
export interface FakeClock {
  /** Epoch ms, as the exchange would write it down. */
  readonly wall: () => number
  /** Milliseconds of a clock that only goes forward: ages and delays. */
  readonly steady: () => number
  /** Runs once, so many milliseconds from now. Gives what takes that back. */
  readonly after: (ms: number, run: () => void) => () => void
}

interface Timer {
  readonly due: number
  readonly run: () => void
}

/** As a machine's timer: what a fake throws in it ends the test, where a fiber would take it with it. */
const loudly = (run: () => void): void => {
  try {
    run()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

const of = (clock: Clock.Clock, runtime: Runtime.Runtime<never>): FakeClock => {
  const steady = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6
  /** In the order in which they were asked for. */
  const timers = new Set<Timer>()
  /** Those of one moment in their order, as a machine has it: a TestClock wakes the last first. */
  const ring = (due: number): void => {
    const ripe = [...timers].filter((timer) => timer.due <= due).sort((a, b) => a.due - b.due)
    for (const timer of ripe) if (timers.delete(timer)) timer.run()
  }
  return {
    // A TestClock may stand between two milliseconds.
    wall: () => Math.floor(clock.unsafeCurrentTimeMillis()),
    steady,
    after: (ms, run) => {
      const timer = { due: steady() + ms, run }
      timers.add(timer)
      const sleep = Effect.andThen(clock.sleep(Duration.millis(ms)), Effect.sync(() => loudly(() => ring(timer.due))))
      const fiber = Runtime.runFork(runtime)(sleep)
      return () => {
        timers.delete(timer)
        fiber.unsafeInterruptAsFork(fiber.id())
      }
    }
  }
}

/**
 * This machine's. Not by Effect's timers: a fiber for each costs thirty times as much, and floods have one every 20 ms.
 *
 * @since 0.1.0
 * @category constants
 */
export const live: FakeClock = {
  wall: () => Date.now(),
  steady: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  }
}

/**
 * Of the fiber that asks.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<FakeClock> = Effect.flatMap(
  Effect.clock,
  (clock) =>
    clock === Context.get(DefaultServices.liveServices, Clock.Clock)
      ? Effect.succeed(live)
      : Effect.map(Effect.runtime<never>(), (runtime) => of(clock, runtime))
)
