/**
 * What the environment says, as typed settings. The only file that reads the environment (docs/design/laws.md "One door"); services
 * take plain options.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Exchange } from "../streams/Exchange.ts"
import * as Exchanges from "../streams/Exchanges.ts"
import * as Checks from "./AppConfig/Checks.ts"
import { type Environment, type Problem, read, type ReadFile, unknown } from "./AppConfig/Environment.ts"
import { Reader } from "./AppConfig/Reader.ts"
import type { BreakerSettings, LogSettings, SaslSettings, SecuritySettings, Settings } from "./AppConfig/Settings.ts"
import * as Variables from "./AppConfig/Variables.ts"

export type { Environment } from "./AppConfig/Environment.ts"
export type * from "./AppConfig/Settings.ts"

/**
 * Everything that is wrong with the environment, at once. Its message has one line for each problem and shows no secret.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>()("ConfigInvalid", {
  problems: Schema.NonEmptyArray(Schema.Struct({ name: Schema.String, problem: Schema.String }))
}) {
  override get message(): string {
    const width = Math.max(...this.problems.map(({ name }) => name.length))
    const count = this.problems.length === 1 ? "1 problem" : `${this.problems.length} problems`
    return [
      `Configuration is not valid (${count}):`,
      ...this.problems.map(({ name, problem }) => `  ${name.padEnd(width)}  ${problem}`),
      "Run `exchange-feeds config --markdown` for every setting."
    ].join("\n")
  }
}

/**
 * One setting as it is in effect.
 *
 * @since 0.1.0
 * @category models
 */
export interface Effective {
  readonly name: string
  /** Empty if it is not set; a secret only as a mark. */
  readonly value: string
  /** `default`, `environment`, `file <path>`. */
  readonly source: string
}

/**
 * Settings that are valid, and where each came from.
 *
 * @since 0.1.0
 * @category models
 */
export interface Parsed {
  readonly settings: Settings
  /** For people: nothing here keeps the service from starting. */
  readonly warnings: ReadonlyArray<string>
  /** Of every setting, in the order of the documentation. */
  readonly effective: ReadonlyArray<Effective>
}

/**
 * Settings of an environment, for the exchanges of `Exchanges`. Pure but for the files that `NAME_FILE` names; a file that cannot be read
 * is one of the problems of `ConfigInvalid`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = Effect.fnUntraced(function*<E extends { readonly message: string }>(
  env: Environment,
  readFile: ReadFile<E>
): Effect.fn.Return<Parsed, ConfigInvalid> {
  const exchanges = yield* Exchanges.Exchanges
  const table = Variables.tableOf(exchanges)
  const texts = yield* read(env, readFile, table.rows)
  const reader = new Reader(texts)
  const settings = settingsOf(reader, table)
  const { problems, warnings } = Checks.check(reader, settings)
  const invalid = Exchanges.invalid(exchanges).map((problem): Problem => ({
    name: table.feeds.exchanges.name,
    problem
  }))
  const unused = Checks.withoutChannel(reader, settings, table.feeds.channels)
  const unnamed = Checks.withoutMarkets(reader, settings, exchanges, table.feeds.markets)
  const [first, ...more] = inOrder([...invalid, ...reader.problems(), ...problems, ...unnamed], table)
  if (first !== undefined) return yield* new ConfigInvalid({ problems: [first, ...more] })
  return {
    settings,
    warnings: [...unknown(env, table), ...reader.warnings(), ...warnings, ...unused],
    effective: table.rows.map((row) => effectiveOf(reader, settings, row))
  }
})

/**
 * The settings of the log alone, for commands that need no others.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parseLog = Effect.fnUntraced(function*<E extends { readonly message: string }>(
  env: Environment,
  readFile: ReadFile<E>
): Effect.fn.Return<LogSettings, ConfigInvalid> {
  const { logFormat, logLevel } = Variables.service
  const reader = new Reader(yield* read(env, readFile, [logLevel, logFormat]))
  const settings = logOf(reader)
  const [first, ...more] = reader.problems()
  return first === undefined ? settings : yield* new ConfigInvalid({ problems: [first, ...more] })
})

/**
 * What of order books is told at all, for commands that need no other settings: levels a side, and whether changes are told. With the files of
 * this machine.
 *
 * @since 0.1.0
 * @category constructors
 */
export const loadBookLevels = Effect.fnUntraced(function*(
  env: Environment
): Effect.fn.Return<Pick<Settings["books"], "depth" | "deltas">, ConfigInvalid, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const { deltas, depth } = Variables.books
  const reader = new Reader(yield* read(env, (path) => fs.readFileString(path), [depth, deltas]))
  const settings = { depth: reader.get(depth), deltas: reader.get(deltas) }
  const [first, ...more] = reader.problems()
  return first === undefined ? settings : yield* new ConfigInvalid({ problems: [first, ...more] })
})

/**
 * As `parse`, with the files of this machine.
 *
 * @since 0.1.0
 * @category constructors
 */
export const load = (env: Environment): Effect.Effect<Parsed, ConfigInvalid, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => parse(env, (path) => fs.readFileString(path)))

/**
 * As `parseLog`, with the files of this machine.
 *
 * @since 0.1.0
 * @category constructors
 */
export const loadLog = (env: Environment): Effect.Effect<LogSettings, ConfigInvalid, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => parseLog(env, (path) => fs.readFileString(path)))

/**
 * The login as its files have it now. What did not come from a file stays, and so does what is blank: a file that is being written.
 *
 * @since 0.1.0
 * @category operations
 */
export const readSasl = Effect.fnUntraced(function*(
  sasl: SaslSettings
): Effect.fn.Return<SaslSettings, ConfigInvalid, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const { password, username } = Variables.kafka
  const env = { [`${username.name}_FILE`]: sasl.files?.username, [`${password.name}_FILE`]: sasl.files?.password }
  const reader = new Reader(yield* read(env, (path) => fs.readFileString(path), [username, password]))
  const [first, ...more] = reader.problems()
  if (first !== undefined) return yield* new ConfigInvalid({ problems: [first, ...more] })
  return {
    ...sasl,
    username: reader.get(username) ?? sasl.username,
    password: reader.get(password) ?? sasl.password
  }
})

/**
 * Of one exchange, as the settings have it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Chosen {
  readonly exchange: Exchange
  readonly endpoints: Exchange["endpoints"]
  /** Globs; empty: all. */
  readonly markets: ReadonlyArray<string>
  /** The setting that has them. */
  readonly marketsSetting: string
}

/**
 * The exchange of that id. Fails if the list (`Exchanges`) has none: settings that were made by hand, or for another list.
 *
 * @since 0.1.0
 * @category accessors
 */
export const choose = (settings: Settings, id: string): Effect.Effect<Chosen, ConfigInvalid> =>
  Effect.flatMap(Exchanges.Exchanges, (exchanges) => {
    const exchange = exchanges.find((one) => one.id === id)
    if (exchange === undefined) {
      const problem = `expected some of ${exchanges.map((one) => one.id).join(", ")}, got ${JSON.stringify(id)}`
      return new ConfigInvalid({ problems: [{ name: "EXCHANGES", problem }] })
    }
    const own = settings.marketsOf[id]
    return Effect.succeed({
      exchange,
      endpoints: settings.endpoints[id] ?? exchange.endpoints,
      markets: own ?? settings.markets,
      marketsSetting: own === undefined ? "MARKETS" : `${Variables.prefixOf(exchange)}_MARKETS`
    })
  })

/**
 * The environment with these markets for an exchange, whatever else it says of them.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withMarkets = (env: Environment, id: string, markets: string | undefined): Environment => {
  const own = `${id.toUpperCase()}_MARKETS`
  return markets === undefined
    ? env
    : { ...env, MARKETS: markets, MARKETS_FILE: undefined, [own]: undefined, [`${own}_FILE`]: undefined }
}

/**
 * The environment of this process.
 *
 * @since 0.1.0
 * @category accessors
 */
export const environment = (): Environment => process.env

// internal

/** That of the documentation, whatever found them. */
const inOrder = (problems: ReadonlyArray<Problem>, { rows }: Variables.Table): ReadonlyArray<Problem> => {
  const place = ({ name }: Problem) => rows.findIndex((row) => row.name === name || `${row.name}_FILE` === name)
  return Array.from(problems).sort((a, b) => place(a) - place(b))
}

const breakerOf = (reader: Reader, variables: typeof Variables.api): BreakerSettings => ({
  maxFailures: reader.get(variables.maxFailures),
  timeout: reader.get(variables.timeout),
  successThreshold: reader.get(variables.successThreshold)
})

const logOf = (reader: Reader): LogSettings => ({
  level: reader.get(Variables.service.logLevel),
  format: reader.get(Variables.service.logFormat)
})

const securityOf = (reader: Reader): SecuritySettings => {
  const { caLocation, certificateLocation, keyLocation, mechanism, password, protocol, username } = Variables.kafka
  const sasl = { mechanism: reader.get(mechanism), username: reader.get(username), password: reader.get(password) }
  const files = { username: reader.fileOf(username), password: reader.fileOf(password) }
  const wanted = reader.get(protocol).startsWith("SASL_")
  return {
    protocol: reader.get(protocol),
    sasl: wanted && sasl.mechanism !== undefined && sasl.username !== undefined && sasl.password !== undefined
      ? {
        mechanism: sasl.mechanism,
        username: sasl.username,
        password: sasl.password,
        ...(files.username === undefined && files.password === undefined ? {} : { files })
      }
      : undefined,
    caLocation: reader.get(caLocation),
    certificateLocation: reader.get(certificateLocation),
    keyLocation: reader.get(keyLocation)
  }
}

/** What waits for a history is in memory: a journal has nothing there. Another value that is set is refused (`Checks`). */
const holdOf = (reader: Reader): Duration.Duration => {
  const hold = reader.get(Variables.backfill.hold)
  return reader.get(Variables.queue.mode) === "journal" ? Duration.zero : hold
}

/** Of one setting, as `config` prints it. */
const effectiveOf = (reader: Reader, settings: Settings, row: Variables.Row): Effective =>
  row === Variables.backfill.hold && !reader.isSet(row) && settings.queue.mode === "journal"
    ? { name: row.name, value: "0", source: "QUEUE_MODE=journal" }
    : reader.effective(row)

const settingsOf = (reader: Reader, { exchanges, feeds, ws }: Variables.Table): Settings => {
  const { backfill, books, kafka, proxy, queue, retry, service, traces } = Variables
  const own = exchanges.map(({ exchange, variables }) => ({
    id: exchange.id,
    endpoints: { apiUrl: reader.get(variables.apiUrl), wsUrl: reader.get(variables.wsUrl) },
    markets: reader.get(variables.markets)
  }))
  return {
    sink: reader.get(service.sink),
    kafka: {
      brokers: reader.get(kafka.brokers),
      topicPrefix: reader.get(kafka.topicPrefix),
      createTopics: reader.get(kafka.createTopics),
      topicPartitions: reader.get(kafka.topicPartitions),
      compression: reader.get(kafka.compression),
      linger: reader.get(kafka.linger),
      security: securityOf(reader),
      breaker: breakerOf(reader, kafka)
    },
    dataDir: reader.get(service.dataDir),
    http: { host: reader.get(service.host), port: reader.get(service.port) },
    log: logOf(reader),
    traces: {
      endpoint: reader.get(traces.endpoint),
      headers: reader.get(traces.headers),
      serviceName: reader.get(traces.serviceName),
      attributes: reader.get(traces.attributes)
    },
    exchanges: reader.get(feeds.exchanges),
    channels: reader.get(feeds.channels),
    markets: reader.get(feeds.markets),
    shard: reader.get(feeds.shard),
    marketsOf: Object.fromEntries(own.flatMap(({ id, markets }) => markets === undefined ? [] : [[id, markets]])),
    endpoints: Object.fromEntries(own.map(({ endpoints, id }) => [id, endpoints])),
    proxy: { https: reader.get(proxy.https), no: reader.get(proxy.no) },
    ws: {
      subscriptionsPerConnection: reader.get(ws.subscriptionsPerConnection),
      stagger: reader.get(ws.stagger),
      idleTimeout: reader.get(ws.idleTimeout),
      maxPayload: reader.get(ws.maxPayload),
      breaker: breakerOf(reader, ws)
    },
    api: { breaker: breakerOf(reader, Variables.api) },
    retry: {
      maxAttempts: reader.get(retry.maxAttempts),
      baseDelay: reader.get(retry.baseDelay),
      maxDelay: reader.get(retry.maxDelay),
      jitter: reader.get(retry.jitter)
    },
    backfill: { hold: holdOf(reader), maxAge: reader.get(backfill.maxAge) },
    books: {
      depth: reader.get(books.depth),
      interval: reader.get(books.interval),
      refresh: reader.get(books.refresh),
      deltas: reader.get(books.deltas)
    },
    queue: {
      mode: reader.get(queue.mode),
      maxBytes: reader.get(queue.maxBytes),
      fullPolicy: reader.get(queue.fullPolicy),
      maxAge: reader.get(queue.maxAge),
      fsync: reader.get(queue.fsync),
      fsyncInterval: reader.get(queue.fsyncInterval)
    },
    shutdownTimeout: reader.get(service.shutdownTimeout),
    startupGrace: reader.get(service.startupGrace)
  }
}
