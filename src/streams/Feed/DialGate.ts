/**
 * All dials of one exchange pass here, one at a time: never two within `stagger`, whether at start or after sockets dropped
 * together, and never more in a minute than the exchange's budget (docs/design/delivery.md B5). The breaker is asked at the gate, right before
 * the dial, so that a queue of waiting sockets cannot run on into an exchange that has just failed.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CircuitBreaker, Permit } from "../../services/CircuitBreaker.ts"
import * as Time from "../../services/Time.ts"

export interface DialGate {
  /** Returns when a dial may go out, now, with the permit it has to settle. */
  readonly pass: Effect.Effect<Permit>
  /** The exchange asked for it: nobody dials until then. */
  readonly hold: (time: Duration.Duration) => Effect.Effect<void>
}

const minute = 60_000

export const make = Effect.fnUntraced(function*(options: {
  readonly stagger: Duration.Duration
  readonly dialsPerMinute: number
  readonly breaker: CircuitBreaker
}): Effect.fn.Return<DialGate> {
  const turn = yield* Effect.makeSemaphore(1)
  const stagger = Duration.toMillis(options.stagger)
  /** Of the last ones, oldest first. */
  const dials: Array<Time.Instant> = []

  let heldUntil = Time.never

  const earliest = (): Time.Instant => {
    const last = dials[dials.length - 1] ?? Time.never
    const budget = dials.length < options.dialsPerMinute ? Time.never : dials[0] ?? Time.never
    return Time.latest(Time.plus(last, stagger), Time.plus(budget, minute), heldUntil)
  }

  const wait = Effect.map(Time.now, (now) => Time.between(now, earliest()))

  const attempt = turn.withPermits(1)(Effect.gen(function*() {
    // Asked again after the wait: it may have grown meanwhile.
    for (let ms = yield* wait; ms > 0; ms = yield* wait) yield* Effect.sleep(ms)
    const permit = yield* options.breaker.admit
    dials.push(yield* Time.now)
    if (dials.length > options.dialsPerMinute) dials.shift()
    return permit
  }))

  const pass: Effect.Effect<Permit> = Effect.catchTag(
    attempt,
    "CircuitOpen",
    () => Effect.andThen(options.breaker.awaitAdmittance, pass)
  )
  return {
    pass,
    hold: (time) =>
      Effect.map(Time.now, (now) => {
        heldUntil = Time.latest(heldUntil, Time.plus(now, Duration.toMillis(time)))
      })
  }
})
