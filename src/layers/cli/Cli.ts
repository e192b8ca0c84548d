/**
 * The command line. Data goes to stdout, everything else to stderr.
 */
import * as Args from "@effect/cli/Args"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Span from "@effect/cli/HelpDoc/Span"
import * as Options from "@effect/cli/Options"
import type * as ValidationError from "@effect/cli/ValidationError"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Channel } from "../../services/MarketEvent.ts"
import { Exchanges } from "../../streams/Exchanges.ts"
import * as AppConfig from "../AppConfig.ts"
import type * as AppLayer from "../AppLayer.ts"
import * as Observability from "../Observability.ts"
import { version } from "../Version.ts"
import * as Arguments from "./Arguments.ts"
import * as PlainConsole from "./Cli/PlainConsole.ts"
import type * as Alone from "./commands/Alone.ts"
import * as Capture from "./commands/Capture.ts"
import * as Check from "./commands/Check.ts"
import * as Config from "./commands/Config.ts"
import * as Demo from "./commands/Demo.ts"
import * as Gaps from "./commands/Gaps.ts"
import * as Healthcheck from "./commands/Healthcheck.ts"
import * as Markets from "./commands/Markets.ts"
import * as Queue from "./commands/Queue.ts"
import * as Run from "./commands/Run.ts"
import * as Tap from "./commands/Tap.ts"
import * as Top from "./commands/Top.ts"

/** The demo came to its end and lost events. It has told all there is to tell. */
export class DemoFailed extends Schema.TaggedError<DemoFailed>()("DemoFailed", {
  code: Schema.Int
}) {}

export type CliError =
  | Alone.Unreached
  | Arguments.UsageError
  | ValidationError.ValidationError
  | AppConfig.ConfigInvalid
  | AppLayer.StartupError
  | Healthcheck.Unhealthy
  | Capture.CaptureFailed
  | Check.CheckFailed
  | Gaps.GapsFailed
  | Markets.MarketsFailed
  | Queue.QueueFailed
  | DemoFailed

const name = "exchange-feeds"

/** What of the process a command line needs. */
export interface Host {
  /** As Node gives it: with the runtime and the script in front. */
  readonly argv: ReadonlyArray<string>
  readonly env: AppConfig.Environment
  readonly stdoutIsTTY: boolean
  readonly stderrIsTTY: boolean
}

export const run = Effect.fnUntraced(function*(host: Host): Effect.fn.Return<void, CliError> {
  const colors = (host.env["NO_COLOR"] ?? "") === ""
  const { args, logLevel } = yield* Arguments.takeLogLevel(host.argv.slice(2))
  const env = logLevel === undefined
    ? host.env
    : { ...host.env, LOG_LEVEL: logLevel, LOG_LEVEL_FILE: undefined }
  const terminal = { isTTY: host.stderrIsTTY, colors: host.stderrIsTTY && colors }
  const root = Command.make(name).pipe(
    Command.withDescription(
      "Collects market data of crypto exchanges and delivers it to Kafka. Loses nothing, and says so."
    ),
    Command.withSubcommands(
      commandsOf(env, terminal, host.stdoutIsTTY, feedOptionsOf((yield* Exchanges).map(({ id }) => id)))
    )
  )
  yield* Arguments.checkCommand(args, Array.from(HashMap.keys(Command.getSubcommands(root))).sort())
  yield* Command.run(root, { name, version, executable: name, summary, footer })(
    [...host.argv.slice(0, 2), ...Arguments.helpAlone(args)]
  ).pipe(
    PlainConsole.withColors({ stdout: host.stdoutIsTTY && colors, stderr: terminal.colors }),
    Effect.provide(environment),
    // Interrupted, the commands themselves decide what they end with: a failure to stop cleanly must not be lost on its way out
    // (`AppLayer.run`). Each but `run` may be interrupted as a whole.
    Effect.uninterruptible
  )
})

// internal

const environment = Layer.mergeAll(
  NodeFileSystem.layer,
  NodePath.layer,
  NodeTerminal.layer,
  CliConfig.layer({ showBuiltIns: false })
)

/** What they have to say they say on stdout. */
const quietly = Logger.withMinimumLogLevel(LogLevel.None)

const commandsOf = (
  env: AppConfig.Environment,
  terminal: Observability.Terminal,
  stdoutIsTTY: boolean,
  feedOptions: ReturnType<typeof feedOptionsOf>
) =>
  Arr.make(
    Command.make("run", {}, () => Run.run(env, terminal)).pipe(
      Command.withDescription("The service: exchanges to Kafka. Settings come from the environment.")
    ),
    Command.make(
      "demo",
      demoOptions,
      ({ port, seconds }) => Effect.interruptible(demo(env, terminal, port, seconds))
    ).pipe(
      Command.withDescription("Shows it all with fake exchanges and a fake Kafka that goes down. No network needed.")
    ),
    Command.make("check", {}, () => Effect.interruptible(Check.check(env)).pipe(quietly)).pipe(
      Command.withDescription(
        "Tells what would go wrong at the first run: settings, directory, disk, Kafka, each exchange. Exit code 1 if anything."
      )
    ),
    Command.make("markets", { json }, (options) => Effect.interruptible(Markets.markets(env, options)).pipe(quietly))
      .pipe(
        Command.withDescription(
          "Lists the markets that EXCHANGES, MARKETS and SHARD choose, each with the channels that its exchange offers of it."
        )
      ),
    Command.make(
      "top",
      topOptions,
      ({ count, url }) =>
        Effect.interruptible(
          Top.top(env, { count: Option.getOrUndefined(count), url: Option.getOrUndefined(url), isTTY: stdoutIsTTY })
        )
    ).pipe(
      Command.withDescription("How a running service is, as a live table in the terminal.")
    ),
    Command.make("gaps", gapsOptions, ({ dataDir, json, url }) =>
      Effect.interruptible(
        Gaps.gaps(env, terminal, {
          json,
          dataDir: Option.getOrUndefined(dataDir),
          url: Option.getOrUndefined(url)
        })
      )).pipe(
        Command.withDescription(
          "The holes in trades that are open: of a running service, or if none answers those in the checkpoint in DATA_DIR."
        )
      ),
    Command.make("config", configOptions, (options) => Effect.interruptible(Config.config(env, options))).pipe(
      Command.withDescription("Prints every setting as it is in effect, and where it comes from. Secrets are hidden.")
    ),
    Command.make(
      "healthcheck",
      healthcheckOptions,
      ({ ready, url }) => Effect.interruptible(Healthcheck.healthcheck(env, { ready, url: Option.getOrUndefined(url) }))
    ).pipe(
      Command.withDescription("Asks a running service how it is: exit code 0 or 1.")
    ),
    Command.make("tap", feedOptions, (options) => Effect.interruptible(Tap.tap(env, terminal, feedOf(options)))).pipe(
      Command.withDescription("Prints normalised events straight from an exchange. No Kafka needed.")
    ),
    Command.make("queue").pipe(
      Command.withDescription("Looks at the queue in DATA_DIR, delivers it, or throws it away."),
      Command.withSubcommands([
        Command.make("inspect", {}, () => Effect.interruptible(Queue.inspect(env))).pipe(
          Command.withDescription("What is in it. Also beside a running service.")
        ),
        Command.make("verify", {}, () => Effect.interruptible(Queue.verify(env))).pipe(
          Command.withDescription(
            "Reads all of it; exit code 1 if something is damaged. Also beside a running service."
          )
        ),
        Command.make("export", { format }, () => Effect.interruptible(Queue.export_(env))).pipe(
          Command.withDescription("Prints its records, one JSON object a line. Also beside a running service.")
        ),
        Command.make("replay", {}, () => Effect.interruptible(Queue.replay(env, terminal))).pipe(
          Command.withDescription("Delivers it to Kafka, and ends. The service must not run.")
        ),
        Command.make("purge", { yes }, () => Effect.interruptible(Queue.purge(env))).pipe(
          Command.withDescription("Throws every record away, for good. The service must not run.")
        )
      ])
    ),
    Command.make("capture").pipe(
      Command.withDescription("Records an exchange's raw frames, and replays them."),
      Command.withSubcommands([
        Command.make(
          "record",
          { ...feedOptions, out },
          ({ out, ...options }) => Effect.interruptible(Capture.record(env, terminal, { ...feedOf(options), out }))
        ).pipe(
          Command.withDescription(
            "Writes raw frames, and REST answers that became events, with the time of their receipt into a file."
          )
        ),
        Command.make("replay", { file }, ({ file }) => Effect.interruptible(Capture.replay(env, file))).pipe(
          Command.withDescription(
            "Prints what the decoder makes of a recorded file: each state of a book, by BOOK_DEPTH and BOOK_DELTAS."
          )
        )
      ])
    )
  )

const demo = Effect.fnUntraced(function*(
  env: AppConfig.Environment,
  terminal: Observability.Terminal,
  port: Option.Option<number>,
  seconds: Option.Option<number>
) {
  const log = yield* AppConfig.loadLog(env)
  const code = yield* Demo.demo({ port: Option.getOrUndefined(port), seconds: Option.getOrUndefined(seconds) }).pipe(
    Effect.provide(Observability.layer(log, terminal))
  )
  if (code !== 0) return yield* new DemoFailed({ code })
})

const demoOptions = {
  seconds: Options.float("seconds").pipe(
    Options.withDescription("End after so many seconds, with a summary; else run until it is stopped."),
    Options.withSchema(Schema.Positive),
    Options.optional
  ),
  port: Options.integer("port").pipe(
    Options.withDescription("Port of the status page; any free one if not given."),
    Options.withSchema(Schema.Int.pipe(Schema.between(0, 65_535))),
    Options.optional
  )
}

const feedOptionsOf = (exchanges: ReadonlyArray<string>) => ({
  exchange: Options.choice("exchange", exchanges).pipe(Options.withDescription("Which exchange.")),
  markets: Options.text("markets").pipe(
    Options.withDescription("Which markets, such as 'BTC/IRT,*/USDT'; goes before MARKETS and the exchange's own."),
    Options.optional
  ),
  channel: Options.choice("channel", Channel.literals).pipe(
    Options.withDescription("Trades or order books; goes before CHANNELS."),
    Options.optional
  ),
  seconds: Options.float("seconds").pipe(
    Options.withDescription("End after so many seconds; else run until it is stopped."),
    Options.withSchema(Schema.Positive),
    Options.optional
  )
})

const feedOf = ({ channel, exchange, markets, seconds }: {
  readonly exchange: Tap.Options["exchange"]
  readonly markets: Option.Option<string>
  readonly channel: Option.Option<Channel>
  readonly seconds: Option.Option<number>
}): Tap.Options => ({
  exchange,
  markets: Option.getOrUndefined(markets),
  channel: Option.getOrUndefined(channel),
  seconds: Option.getOrUndefined(seconds)
})

const json = Options.boolean("json").pipe(Options.withDescription("One JSON object a line."))

const topOptions = {
  url: Options.text("url").pipe(
    Options.withDescription(
      "Where it listens, such as http://127.0.0.1:8080; else as HEALTH_HOST and HEALTH_PORT say."
    ),
    Options.optional
  ),
  count: Options.integer("count").pipe(
    Options.withDescription("Tables to print; else until it is stopped."),
    Options.withSchema(Schema.Positive.pipe(Schema.int())),
    Options.optional
  )
}

const gapsOptions = {
  json,
  url: Options.text("url").pipe(
    Options.withDescription("Where the service listens; only it is asked."),
    Options.optional
  ),
  dataDir: Options.text("data-dir").pipe(
    Options.withDescription("A data directory; only its checkpoint is read, also beside a running service."),
    Options.optional
  )
}

const format = Options.choice("format", ["ndjson"]).pipe(
  Options.withDescription("One JSON object a line."),
  Options.withDefault("ndjson" as const)
)

// Without it the command is wrong usage: nothing is thrown away by accident.
const yes = Options.boolean("yes", { ifPresent: true }).pipe(
  Options.withDescription("Without it nothing is deleted: there is no way back."),
  Options.withSchema(
    Schema.Literal(true).annotations({
      message: () => "purge deletes every record in the queue, and there is no way back: to have that, add --yes"
    })
  )
)

const out = Options.text("out").pipe(
  Options.withDescription("The file to write; compressed if its name ends in .gz.")
)

// Else a mistyped option would be taken for a file.
const file = Args.text({ name: "file" }).pipe(
  Args.withDescription("A file that was recorded."),
  Args.withSchema(
    Schema.String.pipe(
      Schema.pattern(/^[^-]/, { message: () => "expected a file; one whose name begins with a dash as ./-name" })
    )
  )
)

const configOptions = {
  envExample: Options.boolean("env-example").pipe(
    Options.withDescription("Print an example of an .env file with all defaults instead.")
  ),
  markdown: Options.boolean("markdown").pipe(
    Options.withDescription("Print a table of all settings in Markdown instead.")
  )
}

const healthcheckOptions = {
  url: Options.text("url").pipe(
    Options.withDescription(
      "Where it listens, such as http://127.0.0.1:8080; else as HEALTH_HOST and HEALTH_PORT say."
    ),
    Options.optional
  ),
  ready: Options.boolean("ready").pipe(
    Options.withDescription("Ask whether it is ready instead of whether it is healthy.")
  )
}

const summary = Span.text("crypto exchange feeds to Kafka")

/** One row a line, the left column aligned. */
const table = (rows: Arr.NonEmptyReadonlyArray<readonly [left: string, right: string]>): HelpDoc.HelpDoc => {
  const width = Math.max(...rows.map(([left]) => left.length))
  return HelpDoc.enumeration(Arr.map(rows, ([left, right]) => HelpDoc.p(`${left.padEnd(width)}  ${right}`)))
}

const footer = HelpDoc.blocks([
  HelpDoc.h1("EVERYWHERE"),
  table([
    ["--log-level LEVEL", "trace, debug, info, warn, error, fatal or off; goes before LOG_LEVEL"],
    ["--help, --version", "of a command, or of all"],
    ["--completions SHELL", "prints what bash, zsh or fish needs to complete commands and options"]
  ]),
  HelpDoc.h1("EXAMPLES"),
  table([
    ["exchange-feeds demo --seconds 30", "see it work, without Kafka and without a network"],
    ["exchange-feeds check", "what would go wrong at the first run?"],
    ["KAFKA_BROKER=kafka:9092 exchange-feeds run", "deliver all markets to a broker"],
    ["SINK=stdout exchange-feeds run | jq .price", "the same into a pipe; SINK=file writes compressed files"],
    ["exchange-feeds top", "how is the service on this machine?"],
    ["exchange-feeds gaps", "which trades are not there yet, and what is awaited?"],
    ["MARKETS='BTC/IRT,*/USDT' exchange-feeds config", "check the settings, and see which are in effect"],
    ["exchange-feeds tap --exchange wallex --markets BTC/IRT", "watch an exchange's trades, without Kafka"],
    ["exchange-feeds tap --exchange wallex --channel books", "its order books, one JSON object a line"],
    ["exchange-feeds capture record --exchange bitpin --out raw.ndjson.gz", "keep raw frames"],
    ["exchange-feeds capture replay raw.ndjson.gz", "decode them again"],
    ["exchange-feeds queue inspect", "what waits on the disk?"],
    ["exchange-feeds healthcheck --ready", "is the service on this machine ready?"]
  ]),
  HelpDoc.h1("EXIT CODES"),
  table([
    ["0", "clean stop, also by SIGTERM, SIGINT or SIGHUP"],
    ["1", "a check, a health check or a demo that ended badly, or there was nothing to look at"],
    ["64", "wrong usage"],
    ["69", "unavailable: the port is in use, or an exchange is not reached (markets, tap, capture record)"],
    ["70", "a defect in the program"],
    ["73", "the data directory cannot be made"],
    ["75", "temporary: the data directory is in use, or the stop was cut off"],
    ["78", "the configuration is not valid, or a later release wrote the data directory"]
  ])
])
