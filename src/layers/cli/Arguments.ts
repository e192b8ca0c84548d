/**
 * What @effect/cli gets wrong about arguments is put right before it sees them (docs/design/platform.md "@effect/cli and arguments"): `--log-level` works at
 * any place and takes the words of LOG_LEVEL, `--help` behind other options, and a misspelt command is told its neighbour.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { quote } from "../AppConfig/Parsers.ts"
import { nearest } from "../AppConfig/Suggest.ts"
import { service } from "../AppConfig/Variables.ts"

export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", {
  message: Schema.String
}) {}

export interface Arguments {
  readonly args: ReadonlyArray<string>
  /** Valid text for LOG_LEVEL. */
  readonly logLevel: string | undefined
}

const flag = "--log-level"

/** Takes `--log-level X` and `--log-level=X` out; the last one counts. */
export const takeLogLevel = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>
): Effect.fn.Return<Arguments, UsageError> {
  const rest: Array<string> = []
  let logLevel: string | undefined
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? ""
    if (arg !== flag && !arg.startsWith(`${flag}=`)) {
      rest.push(arg)
      continue
    }
    logLevel = arg === flag ? args[++index] ?? "" : arg.slice(flag.length + 1)
    const level = service.logLevel.parse(logLevel)
    if (Either.isLeft(level)) return yield* new UsageError({ message: `${flag} ${level.left}` })
  }
  return { args: rest, logLevel }
})

/** Where `--help` or `-h` is anywhere, only the command's words and that are left: behind another option @effect/cli takes it for an unknown one. */
export const helpAlone = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  // What is behind `--` is no option.
  const end = args.indexOf("--")
  const isAsked = (end === -1 ? args : args.slice(0, end)).some((arg) => arg === "--help" || arg === "-h")
  if (!isAsked) return args
  return [...args.slice(0, args.findIndex((arg) => arg.startsWith("-"))), "--help"]
}

/** The first argument must be a command or an option. */
export const checkCommand = Effect.fnUntraced(function*(
  args: ReadonlyArray<string>,
  commands: ReadonlyArray<string>
): Effect.fn.Return<void, UsageError> {
  const [name] = args
  if (name === undefined || name.startsWith("-") || commands.includes(name)) return
  const near = nearest(name.toLowerCase(), commands)
  const hint = near === undefined ? `the commands are ${commands.join(", ")}` : `did you mean ${near}?`
  return yield* new UsageError({ message: `unknown command ${quote(name)}; ${hint}` })
})
