/**
 * Runs the program as a process: signals, what nobody caught, and the end. `NodeRuntime.runMain` would not do: it takes a repeat
 * of the signal for a second one, waits for ever, and reports on stdout.
 *
 * SIGTERM, SIGINT and SIGHUP stop it gracefully. npm and a terminal both pass Ctrl-C on, and a terminal that closes hangs up once
 * for the session and once for its foreground, so a repeat within a second is the same signal; a later one ends the process at once
 * (docs/design/platform.md "What a supervisor expects"). That SIGHUP was to be ignored (`nohup`) cannot be known: Node resets all signals at its
 * start.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { closeSync } from "node:fs"
import { constants } from "node:os"
import { isatty } from "node:tty"
import * as FairScheduler from "./Process/FairScheduler.ts"
import * as Watchdog from "./Process/Watchdog.ts"

export interface Options<E> {
  /** For a failure of the program. */
  readonly codeOf: (error: E) => number
  /** One line for people; undefined = it has been told already. */
  readonly messageOf: (error: E) => string | undefined
  /** The process has ended so many milliseconds after the first signal whatever hangs: under 20 s, from there on supervisors kill. */
  readonly lastResort?: number | undefined
}

/** BSD's sysexits, as docs/design/contract.md "Commands and exit codes" uses them. */
const software = 70
const temporaryFailure = 75

const sameSignal = 1_000

const say = (message: string): void => {
  process.stderr.write(`exchange-feeds: ${message}\n`)
}

/** One line and, of a defect, where it was. */
const sayDefect = (defect: unknown): void => {
  const pretty = defect instanceof Error ? defect.stack ?? defect.message : String(defect)
  say(`defect: ${pretty}`)
}

/** The main fiber's end, as an exit code. An interruption counts as a clean stop only if somebody asked for it. */
const conclude = <E>(exit: Exit.Exit<unknown, E>, asked: boolean, options: Options<E>): number => {
  if (Exit.isSuccess(exit)) return 0
  const failure = Cause.failureOption(exit.cause)
  if (failure._tag === "Some") {
    const message = options.messageOf(failure.value)
    if (message !== undefined) say(message)
    return options.codeOf(failure.value)
  }
  if (Cause.isInterruptedOnly(exit.cause) && asked) return 0
  sayDefect(Cause.squash(exit.cause))
  return software
}

/**
 * At its end Node gives each terminal the settings back that it found, and aborts (134, a core dump) if one of them has hung up
 * meanwhile. What is closed it passes over; a terminal that has hung up is none any more.
 */
const forgetClosedTerminals = (): void => {
  const terminals = [0, 1, 2].filter((fd) => isatty(fd))
  process.on("exit", () => {
    for (const fd of terminals) if (!isatty(fd)) closeSync(fd)
  })
}

/** The process ends with the program. */
export const runMain = <E>(effect: Effect.Effect<unknown, E>, options: Options<E>): void => {
  const lastResort = options.lastResort ?? 19_000
  let asked = false
  let signalled: number | undefined
  let watchdog: Watchdog.Watchdog | undefined

  /** At once, and even if a thread is stuck. */
  const leave = (code: number): never => {
    watchdog ??= Watchdog.start(lastResort)
    watchdog.hurry()
    process.exit(code)
  }

  /** When both streams have taken what was written; a reader that does not read does not hold it up. */
  const end = (code: number) => {
    // What has worked may be trusted to exit; a stop or a defect may have left a thread behind.
    const last = () => asked || code === software ? leave(code) : process.exit(code)
    process.stdout.write("", () => process.stderr.write("", last))
    setTimeout(last, 2_000)
  }

  const stop = () => {
    if (asked) return
    asked = true
    watchdog = Watchdog.start(lastResort + 500)
    setTimeout(() => {
      say("the stop took too long and was cut off")
      leave(temporaryFailure)
    }, lastResort)
    fiber.unsafeInterruptAsFork(fiber.id())
  }

  const onSignal = (signal: NodeJS.Signals) => {
    const now = performance.now()
    signalled ??= now
    if (now - signalled > sameSignal) leave(128 + constants.signals[signal])
    stop()
  }
  process.on("SIGTERM", onSignal)
  process.on("SIGINT", onSignal)
  process.on("SIGHUP", onSignal)
  forgetClosedTerminals()

  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (defect: unknown) => {
      sayDefect(defect)
      leave(software)
    })
  }

  // Nobody reads the data any more (`exchange-feeds demo | head`): that is a wish to stop, and no error.
  process.stdout.on("error", stop)
  // A log that nobody reads is no reason to stop.
  process.stderr.on("error", () => {})

  // A fiber that waits for nothing but other fibers does not keep Node alive.
  const keepAlive = setInterval(() => {}, 2 ** 30)
  // Last: it runs at once, and a signal that comes then must find its handler.
  const fiber = Effect.runFork(effect, { scheduler: FairScheduler.make() })
  fiber.addObserver((exit) => {
    clearInterval(keepAlive)
    end(conclude(exit, asked, options))
  })
}
