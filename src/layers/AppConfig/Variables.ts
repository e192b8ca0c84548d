/**
 * Every setting, once (docs/design/contract.md "Settings"): the parsed settings, `.env.example`, the table of the docs and what
 * `exchange-feeds config` prints are all made of this table.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as LogLevel from "effect/LogLevel"
import * as Assignment from "../../services/Assignment.ts"
import * as Defaults from "../../streams/Defaults.ts"
import type { Exchange } from "../../streams/Exchange.ts"
import * as Exchanges from "../../streams/Exchanges.ts"
import * as Parsers from "./Parsers.ts"
import type { BreakerSettings } from "./Settings.ts"

/** What is known of a setting whatever its type. */
export interface Row {
  readonly name: string
  /** Empty if it has none. */
  readonly defaultText: string
  readonly help: string
  /** Its value never reaches a message, a page or a log. */
  readonly secret: boolean
  /** Read by other programs too: what we do not understand of it is a warning, and keeps nothing from starting. */
  readonly foreign: boolean
  /** As it is in effect, in its shortest form; a secret only as a mark. The text must be valid. */
  readonly show: (text: string) => string
}

export interface Variable<A> extends Row {
  readonly fallback: A
  readonly parse: (text: string) => Either.Either<A, string>
  /** Items of the text that are not in the value. */
  readonly leftOut: (text: string) => ReadonlyArray<string>
}

interface VariableOptions {
  readonly secret?: boolean
  readonly foreign?: boolean
}

export const redacted = "<redacted>"

const variable = <A>(
  name: string,
  parser: Parsers.Parser<A>,
  fallback: A,
  help: string,
  options: VariableOptions = {}
): Variable<A> => {
  const secret = options.secret === true
  const parse = (text: string) => parser.parse(parser.verbatim === true ? text : text.trim())
  return {
    name,
    help,
    secret,
    foreign: options.foreign === true,
    fallback,
    defaultText: parser.print(fallback),
    parse,
    leftOut: parser.leftOut ?? (() => []),
    show: (text) => secret ? redacted : Either.match(parse(text), { onLeft: () => text, onRight: parser.print })
  }
}

/** Without a default. */
const optional = <A>(
  name: string,
  parser: Parsers.Parser<A>,
  help: string,
  options: VariableOptions = {}
): Variable<A | undefined> => variable<A | undefined>(name, Parsers.optional(parser), undefined, help, options)

const breaker = (prefix: string, what: string, fallback: BreakerSettings) => ({
  maxFailures: variable(
    `${prefix}_BREAKER_MAX_FAILURES`,
    Parsers.count,
    fallback.maxFailures,
    `Failures in a row that open the breaker of ${what}`
  ),
  timeout: variable(
    `${prefix}_BREAKER_TIMEOUT`,
    Parsers.duration(),
    fallback.timeout,
    "How long it stays open"
  ),
  successThreshold: variable(
    `${prefix}_BREAKER_SUCCESS_THRESHOLD`,
    Parsers.count,
    fallback.successThreshold,
    "Successes in a row that close it again"
  )
})

export const kafka = {
  brokers: variable("KAFKA_BROKER", Parsers.brokers, ["localhost:9092"], "Brokers to begin with, `host:port` by comma"),
  topicPrefix: variable(
    "KAFKA_TOPIC_PREFIX",
    Parsers.topicPrefix,
    "marketdata",
    "Topics are `<prefix>.trade.v1`, `<prefix>.book.v1`, `<prefix>.status.v1`"
  ),
  createTopics: variable(
    "KAFKA_CREATE_TOPICS",
    Parsers.boolean,
    true,
    "Create missing topics, with the broker's default replication; that of books with `cleanup.policy=delete`, `retention.ms` of a day and `retention.bytes` of 2 GiB a partition"
  ),
  topicPartitions: variable("KAFKA_TOPIC_PARTITIONS", Parsers.count, 12, "Partitions of a topic created here"),
  compression: variable(
    "KAFKA_COMPRESSION",
    Parsers.choice("gzip", "none"),
    "gzip",
    "`gzip` (level 1, batches of 2 KiB and more) or `none`"
  ),
  linger: variable(
    "KAFKA_LINGER",
    Parsers.duration({ min: 0 }),
    Duration.millis(5),
    "The most that an event waits for others to be sent with it; one that comes later than that after the last send goes at once. 0: none waits; more than 500ms counts as 500ms"
  ),
  protocol: variable(
    "KAFKA_SECURITY_PROTOCOL",
    Parsers.choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "PLAINTEXT",
    "`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`"
  ),
  mechanism: optional(
    "KAFKA_SASL_MECHANISM",
    Parsers.choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`"
  ),
  username: optional("KAFKA_SASL_USERNAME", Parsers.words, "User name for SASL"),
  password: optional("KAFKA_SASL_PASSWORD", Parsers.secret, "Password for SASL", { secret: true }),
  caLocation: optional("KAFKA_SSL_CA_LOCATION", Parsers.path, "PEM file of the certificates to trust"),
  certificateLocation: optional("KAFKA_SSL_CERTIFICATE_LOCATION", Parsers.path, "PEM file of our own certificate"),
  keyLocation: optional("KAFKA_SSL_KEY_LOCATION", Parsers.path, "PEM file of its key"),
  ...breaker("KAFKA", "a topic", { maxFailures: 3, timeout: Duration.seconds(10), successThreshold: 1 })
}

export const service = {
  sink: variable(
    "SINK",
    Parsers.choice("kafka", "file", "stdout"),
    "kafka",
    "Where events go: `kafka`; `file`: NDJSON in `DATA_DIR/out`, rotated and compressed; `stdout`: NDJSON for a pipe"
  ),
  dataDir: variable(
    "DATA_DIR",
    Parsers.path,
    "./data",
    "Directory of the queue, the checkpoint and the dead letters; created 0700"
  ),
  port: variable(
    "HEALTH_PORT",
    Parsers.port,
    8080,
    "Port of `/health`, `/metrics` and the status page; 0 = any free one, told on stderr at the start: `top`, `gaps`, `healthcheck` then need `--url`"
  ),
  host: variable("HEALTH_HOST", Parsers.host, "127.0.0.1", "Address to listen at"),
  logLevel: variable(
    "LOG_LEVEL",
    Parsers.logLevel,
    LogLevel.Info,
    "`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `off`"
  ),
  logFormat: variable(
    "LOG_FORMAT",
    Parsers.choice("auto", "pretty", "json", "logfmt"),
    "auto",
    "`pretty`, `json` or `logfmt`; `auto` = pretty on a terminal, JSON otherwise"
  ),
  shutdownTimeout: variable(
    "SHUTDOWN_TIMEOUT",
    Parsers.duration(),
    Duration.seconds(15),
    "How long a stop may wait for Kafka; the process ends within 20s of SIGTERM in any case"
  ),
  startupGrace: variable(
    "STARTUP_GRACE",
    Parsers.duration({ min: 0 }),
    Duration.seconds(60),
    "How long an exchange may be without data after the start before it counts as unhealthy"
  )
}

const titleOf = ({ id, title }: Exchange): string => title ?? id

/** What a start with order books is refused without (`Checks.withoutMarkets`). */
const neededFor = (exchanges: ReadonlyArray<Exchange>): string => {
  const named = exchanges.filter(({ books }) => books?.ofNamedMarkets === true)
  return named.length === 0
    ? ""
    : `. With \`books\` in \`CHANNELS\` it is needed for ${named.map(({ id }) => `\`${id}\``).join(", ")}, ` +
      "or the setting of that exchange in its place"
}

const feedsOf = (exchanges: ReadonlyArray<Exchange>) => ({
  exchanges: variable(
    "EXCHANGES",
    Parsers.choices(...exchanges.map(({ id }) => id)),
    Exchanges.defaults(exchanges),
    `Some of ${exchanges.map(({ id }) => `\`${id}\``).join(", ")}`
  ),
  channels: variable("CHANNELS", Parsers.choices("trades", "books"), ["trades"], "Some of `trades`, `books`"),
  markets: variable(
    "MARKETS",
    Parsers.globs,
    [],
    `Globs over symbols, such as \`BTC/IRT,*/USDT\`; all tradable markets if not set${neededFor(exchanges)}`
  ),
  shard: variable(
    "SHARD",
    Parsers.shard,
    Assignment.whole,
    "`1/2` and `2/2`: two collectors that have each market once, by murmur2 of the record key"
  )
})

export const backfill = {
  hold: variable(
    "BACKFILL_HOLD",
    Parsers.duration({ min: 0 }),
    Defaults.backfillHold,
    "How long live trades of a market wait in memory for its history after a lost connection; `0` with `QUEUE_MODE=journal`"
  ),
  maxAge: variable(
    "BACKFILL_MAX_AGE",
    Parsers.duration({ min: 0 }),
    Defaults.backfillMaxAge,
    "A hole that ended longer ago, by the exchange's clock, is told and not asked for any more; `0` = no bound"
  )
}

export const books = {
  depth: variable(
    "BOOK_DEPTH",
    Parsers.depth,
    Defaults.books.depth,
    "Levels a side of a `book`, at most, from 1 to 5000; `all` = as many as are kept. With `BOOK_DELTAS` every `book` has all that are kept"
  ),
  interval: variable(
    "BOOK_INTERVAL",
    Parsers.duration({ min: 0 }),
    Defaults.books.interval,
    "The least time between two `book`s of a market, but for the first and the one after a hole; `0` = one for each change. With `BOOK_DELTAS` it governs nothing"
  ),
  refresh: variable(
    "BOOK_REFRESH",
    Parsers.duration({ min: 0 }),
    Defaults.books.refresh,
    "After so long without one, the `book` of a market is sent again, unchanged, for readers that come late; at least `BOOK_INTERVAL`; `0` = never, which cannot be had with `BOOK_DELTAS`"
  ),
  deltas: variable(
    "BOOK_DELTAS",
    Parsers.boolean,
    Defaults.books.deltas,
    "Also every change, as `book_delta`; a `book` is then an anchor: the first, the one after each hole, one each `BOOK_REFRESH`"
  )
}

/** What an exchange's settings begin with, before a `_`. */
export const prefixOf = ({ id }: Exchange): string => id.toUpperCase()

/** The settings of one exchange. */
const exchangeOf = (exchange: Exchange) => {
  const name = prefixOf(exchange)
  const { endpoints: { apiUrl, wsUrl }, help } = exchange
  return {
    apiUrl: variable(`${name}_API_URL`, Parsers.httpUrl, apiUrl, help?.apiUrl ?? "Base address of its REST API"),
    wsUrl: variable(`${name}_WS_URL`, Parsers.wsUrl, wsUrl, help?.wsUrl ?? "Address of its WebSocket"),
    markets: optional(`${name}_MARKETS`, Parsers.globs, "In place of `MARKETS` for this exchange")
  }
}

export const proxy = {
  https: optional(
    "HTTPS_PROXY",
    Parsers.proxy,
    "Proxy for REST and WebSocket alike: `http`, `https` or `socks5`; `host:port` is `http`",
    { secret: true, foreign: true }
  ),
  no: variable(
    "NO_PROXY",
    Parsers.hosts,
    [],
    "Hosts, domains and addresses (`10.0.0.0/8`) that are reached without it, by comma or blank",
    { foreign: true }
  )
}

/** Each exchange's frames, once: most need the same. */
const payloadsOf = (exchanges: ReadonlyArray<Exchange>): string => {
  const usual = Parsers.size.print(Defaults.usualPayload)
  const others = exchanges.filter((exchange) => Defaults.maxPayload(exchange) !== Defaults.usualPayload)
  return [usual, ...others.map((one) => `${titleOf(one)} ${Parsers.size.print(Defaults.maxPayload(one))}`)].join(", ")
}

const wsOf = (exchanges: ReadonlyArray<Exchange>) => ({
  subscriptionsPerConnection: optional(
    "WS_SUBSCRIPTIONS_PER_CONNECTION",
    Parsers.count,
    `Markets on one connection; if not set as each exchange likes it (${
      exchanges.map((one) => `${titleOf(one)} ${one.limits.subscriptionsPerConnection}`).join(", ")
    })`
  ),
  stagger: variable(
    "WS_STAGGER",
    Parsers.duration({ min: 0 }),
    Defaults.stagger,
    "The least time between two dials of one exchange"
  ),
  idleTimeout: variable(
    "WS_IDLE_TIMEOUT",
    Parsers.duration(),
    Defaults.idleTimeout,
    "A connection without any frame for so long is given up"
  ),
  maxPayload: optional(
    "WS_MAX_PAYLOAD",
    Parsers.size,
    `The largest frame taken: a larger one ends its connection, and what it held is a hole; if not set as each exchange needs (${
      payloadsOf(exchanges)
    })`
  ),
  ...breaker("WS", "an exchange's WebSocket", Defaults.breakers.ws)
})

export const api = breaker("API", "an exchange's REST API", Defaults.breakers.api)

export const retry = {
  maxAttempts: variable("RETRY_MAX_ATTEMPTS", Parsers.count, Defaults.retry.maxAttempts, "Attempts at one REST call"),
  baseDelay: variable(
    "RETRY_BASE_DELAY",
    Parsers.duration(),
    Defaults.retry.baseDelay,
    "Delay before the first retry; it doubles with each"
  ),
  maxDelay: variable("RETRY_MAX_DELAY", Parsers.duration(), Defaults.retry.maxDelay, "No delay is longer"),
  jitter: variable(
    "RETRY_JITTER",
    Parsers.fraction,
    Defaults.retry.jitter,
    "0.1 = each delay is up to a tenth longer or shorter"
  )
}

export const queue = {
  mode: variable(
    "QUEUE_MODE",
    Parsers.choice("fallback", "journal"),
    "fallback",
    "`fallback`: the queue takes over when Kafka cannot; `journal`: every event is on disk before it is sent"
  ),
  maxBytes: variable("QUEUE_MAX_BYTES", Parsers.size, 1024 ** 3, "Size of the queue, over all topics"),
  fullPolicy: variable(
    "QUEUE_FULL_POLICY",
    Parsers.choice("drop_oldest", "drop_newest", "block"),
    "drop_oldest",
    "What gives way when the queue is full: `drop_oldest`, `drop_newest` or `block`"
  ),
  maxAge: optional("QUEUE_MAX_AGE", Parsers.duration(), "Records so much older than the newest one are dropped"),
  fsync: variable(
    "QUEUE_FSYNC",
    Parsers.choice("always", "interval", "never"),
    "always",
    "When the queue is forced to disk: `always`, `interval` or `never`; the last two can lose data with the power"
  ),
  fsyncInterval: variable(
    "QUEUE_FSYNC_INTERVAL",
    Parsers.duration(),
    Duration.millis(500),
    "How often, with `QUEUE_FSYNC=interval`"
  )
}

export const traces = {
  endpoint: optional(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    Parsers.otlpEndpoint,
    "Base address of OTLP over HTTP, such as `http://localhost:4318`; no traces if not set",
    { foreign: true }
  ),
  headers: optional("OTEL_EXPORTER_OTLP_HEADERS", Parsers.secretPairs, "Its headers, `key=value` by comma", {
    secret: true,
    foreign: true
  }),
  serviceName: variable("OTEL_SERVICE_NAME", Parsers.words, "effect-exchange-feeds", "Name of the service in traces", {
    foreign: true
  }),
  attributes: variable(
    "OTEL_RESOURCE_ATTRIBUTES",
    Parsers.pairs,
    {},
    "Attributes of all traces, `key=value` by comma",
    {
      foreign: true
    }
  )
}

export interface Group {
  readonly title: string
  readonly rows: ReadonlyArray<Row>
}

/** Every setting of a collector that knows these exchanges, in the order of the documentation. */
export const tableOf = (exchanges: ReadonlyArray<Exchange>) => {
  const feeds = feedsOf(exchanges)
  const ws = wsOf(exchanges)
  const own = exchanges.map((exchange) => ({ exchange, variables: exchangeOf(exchange) }))
  const groups: ReadonlyArray<Group> = [
    { title: "Service", rows: Object.values(service) },
    {
      title: "Exchanges",
      rows: [...Object.values(feeds), ...own.flatMap(({ variables }) => Object.values<Row>(variables))]
    },
    { title: "Order books", rows: Object.values<Row>(books) },
    { title: "Holes in trades", rows: Object.values(backfill) },
    {
      title: "Connections",
      rows: [...Object.values(proxy), ...Object.values(ws), ...Object.values(api), ...Object.values(retry)]
    },
    { title: "Kafka", rows: Object.values(kafka) },
    { title: "Queue", rows: Object.values(queue) },
    { title: "Traces", rows: Object.values(traces) }
  ]
  return { exchanges: own, feeds, ws, groups, rows: groups.flatMap(({ rows }) => rows) }
}

export type Table = ReturnType<typeof tableOf>
