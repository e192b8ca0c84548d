/**
 * @effect/cli writes its help in colours, into files too. Here they go where nobody wants them.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"

// oxlint-disable-next-line no-control-regex
const ansi = /\u001b\[[0-9;]*m/g

const strip = (args: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  args.map((arg) => typeof arg === "string" ? arg.replace(ansi, "") : arg)

/** Which of the two takes colours. */
export interface Colors {
  readonly stdout: boolean
  readonly stderr: boolean
}

const plain = (console: Console.Console, colors: Colors): Console.Console => {
  const out = (args: ReadonlyArray<unknown>) => colors.stdout ? args : strip(args)
  const err = (args: ReadonlyArray<unknown>) => colors.stderr ? args : strip(args)
  const { unsafe } = console
  return {
    ...console,
    log: (...args) => console.log(...out(args)),
    error: (...args) => console.error(...err(args)),
    unsafe: {
      ...unsafe,
      log: (...args) => unsafe.log(...out(args)),
      error: (...args) => unsafe.error(...err(args))
    }
  }
}

export const withColors = (colors: Colors) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Console.consoleWith((console) => Effect.withConsole(self, plain(console, colors)))
