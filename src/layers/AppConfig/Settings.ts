/**
 * The settings as the program uses them.
 */
import type * as Duration from "effect/Duration"
import type * as LogLevel from "effect/LogLevel"
import type * as Redacted from "effect/Redacted"
import type { Assignment } from "../../services/Assignment.ts"
import type { BooksOptions } from "../../streams/books/Options.ts"
import type { Endpoints } from "../../streams/Exchange.ts"

/**
 * The id of an exchange of `Exchanges`.
 *
 * @since 0.1.0
 * @category models
 */
export type ExchangeId = string

/**
 * When a breaker opens and closes.
 *
 * @since 0.1.0
 * @category models
 */
export interface BreakerSettings {
  /** Failures in a row that open it. */
  readonly maxFailures: number
  /** How long it stays open. */
  readonly timeout: Duration.Duration
  /** Successes in a row that close it again. */
  readonly successThreshold: number
}

/**
 * The login at Kafka.
 *
 * @since 0.1.0
 * @category models
 */
export interface SaslSettings {
  readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512"
  readonly username: string
  readonly password: Redacted.Redacted
  /** Path of the file that each came from, if it did: it may be changed while the program runs. */
  readonly files?: { readonly username: string | undefined; readonly password: string | undefined } | undefined
}

/**
 * How Kafka is spoken to.
 *
 * @since 0.1.0
 * @category models
 */
export interface SecuritySettings {
  readonly protocol: "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL"
  /** There if and only if the protocol wants it. */
  readonly sasl: SaslSettings | undefined
  /** Paths of PEM files. */
  readonly caLocation: string | undefined
  readonly certificateLocation: string | undefined
  readonly keyLocation: string | undefined
}

/**
 * What is logged, and in which form.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogSettings {
  readonly level: LogLevel.LogLevel
  readonly format: "auto" | "pretty" | "json" | "logfmt"
}

/**
 * Where spans go, if anywhere.
 *
 * @since 0.1.0
 * @category models
 */
export interface TraceSettings {
  /** Base address of OTLP over HTTP, without a slash at its end; undefined = off. */
  readonly endpoint: string | undefined
  /** May hold a token. */
  readonly headers: Redacted.Redacted<Readonly<Record<string, string>>> | undefined
  readonly serviceName: string
  /** Of the resource. */
  readonly attributes: Readonly<Record<string, string>>
}

/**
 * All settings of the service, as docs/configuration.md explains them. Sizes are bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  readonly sink: "kafka" | "file" | "stdout"
  readonly kafka: {
    /** `host:port`. */
    readonly brokers: ReadonlyArray<string>
    readonly topicPrefix: string
    readonly createTopics: boolean
    readonly topicPartitions: number
    readonly compression: "gzip" | "none"
    readonly linger: Duration.Duration
    readonly security: SecuritySettings
    readonly breaker: BreakerSettings
  }
  readonly dataDir: string
  readonly http: {
    readonly host: string
    /** 0 = any free one. */
    readonly port: number
  }
  readonly log: LogSettings
  readonly traces: TraceSettings
  readonly exchanges: ReadonlyArray<ExchangeId>
  readonly channels: ReadonlyArray<"trades" | "books">
  /** Globs over canonical symbols, upper case; empty = all tradable. */
  readonly markets: ReadonlyArray<string>
  readonly shard: Assignment
  /** In place of `markets`, for those exchanges that have their own. */
  readonly marketsOf: Readonly<Record<ExchangeId, ReadonlyArray<string>>>
  readonly endpoints: Readonly<Record<ExchangeId, Endpoints>>
  readonly proxy: {
    /** May hold credentials: never to be shown. */
    readonly https: string | undefined
    readonly no: ReadonlyArray<string>
  }
  readonly ws: {
    /** Undefined = as the exchange likes it. */
    readonly subscriptionsPerConnection: number | undefined
    readonly stagger: Duration.Duration
    readonly idleTimeout: Duration.Duration
    /** Bytes; undefined = as the exchange needs. */
    readonly maxPayload: number | undefined
    readonly breaker: BreakerSettings
  }
  readonly api: { readonly breaker: BreakerSettings }
  readonly retry: {
    readonly maxAttempts: number
    readonly baseDelay: Duration.Duration
    readonly maxDelay: Duration.Duration
    /** 0.1 = ten per cent either way. */
    readonly jitter: number
  }
  readonly backfill: {
    /** 0: live trades never wait for a history. */
    readonly hold: Duration.Duration
    /** 0: no bound. */
    readonly maxAge: Duration.Duration
  }
  /** Of the channel `books`. */
  readonly books: BooksOptions
  readonly queue: {
    readonly mode: "fallback" | "journal"
    readonly maxBytes: number
    readonly fullPolicy: "drop_oldest" | "drop_newest" | "block"
    readonly maxAge: Duration.Duration | undefined
    readonly fsync: "always" | "interval" | "never"
    readonly fsyncInterval: Duration.Duration
  }
  readonly shutdownTimeout: Duration.Duration
  readonly startupGrace: Duration.Duration
}
