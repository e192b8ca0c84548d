/**
 * Arguments, run, exit codes (docs/design/contract.md "Commands and exit codes").
 */
import * as ValidationError from "@effect/cli/ValidationError"
import * as AppConfig from "./layers/AppConfig.ts"
import * as Cli from "./layers/cli/Cli.ts"
import * as Names from "./layers/cli/Names.ts"
import * as Process from "./layers/cli/Process.ts"

/** Names as in BSD's sysexits.h. */
const codeOf = (error: Cli.CliError): number => {
  if (ValidationError.isValidationError(error)) return 64
  switch (error._tag) {
    case "DemoFailed":
      return error.code
    case "CaptureFailed":
    case "CheckFailed":
    case "GapsFailed":
    case "QueueFailed":
    case "Unhealthy":
      return 1
    case "UsageError":
      return 64
    case "HttpServerUnavailable":
    case "MarketsFailed":
    case "Unreached":
      return 69
    case "PipelineEnded":
      return 70
    case "DataDirectoryUnavailable":
      return 73
    case "Locked":
    case "ShutdownIncomplete":
      return 75
    case "ConfigInvalid":
    case "DataDirectoryTooNew":
      return 78
  }
}

/** @effect/cli and the demo have told what there is to tell. */
const messageOf = (error: Cli.CliError): string | undefined =>
  ValidationError.isValidationError(error) || error._tag === "DemoFailed" ? undefined : error.message

Names.install()
Process.runMain(
  Cli.run({
    argv: process.argv,
    env: AppConfig.environment(),
    stdoutIsTTY: process.stdout.isTTY,
    stderrIsTTY: process.stderr.isTTY
  }),
  { codeOf, messageOf }
)
