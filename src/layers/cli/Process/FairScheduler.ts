/**
 * Effect's default scheduler takes up to 2048 turns of the microtask queue, for each fiber, before Node's event loop has its own: a
 * burst of frames is worked off in one go, and a health probe that came meanwhile waits for all of it (50 to 100 ms seen at 5 000
 * trades a second). This one gives the loop its turn every few milliseconds.
 */
import * as FiberRef from "effect/FiberRef"
import * as Scheduler from "effect/Scheduler"

/** Longest that fibers go on by microtasks alone, ms. Below it there is nothing to gain for people, and each turn costs an epoll. */
const slice = 4

export const make = (): Scheduler.Scheduler => {
  let turn = performance.now()
  let waiting: Array<() => void> = []

  const flush = () => {
    turn = performance.now()
    const batches = waiting
    waiting = []
    for (const run of batches) run()
  }

  const mayGoOn = () => performance.now() - turn < slice

  return Scheduler.makeBatched(
    (run) => {
      if (mayGoOn()) {
        queueMicrotask(run)
        return
      }
      if (waiting.length === 0) setImmediate(flush)
      waiting.push(run)
    },
    // The clock costs more than most steps: it is asked at each 64th.
    (fiber) =>
      fiber.currentOpCount > 2048 || (fiber.currentOpCount % 64 === 63 && !mayGoOn())
        ? fiber.getFiberRef(FiberRef.currentSchedulingPriority)
        : false
  )
}
