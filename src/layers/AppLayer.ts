/**
 * THE composition: settings in, a running service out.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Delivery from "../services/Delivery.ts"
import type { Locked } from "../services/DirectoryLock.ts"
import type { Producer } from "../services/Producer.ts"
import type { Options as KafkaOptions, Security } from "../services/producers/Kafkajs.ts"
import { booksOf } from "../streams/books/Declared.ts"
import { Exchanges } from "../streams/Exchanges.ts"
import { ConfigInvalid, readSasl, type SaslSettings, type SecuritySettings, type Settings } from "./AppConfig.ts"
import * as Collector from "./Collector.ts"
import { DataDirectoryTooNew, DataDirectoryUnavailable, PipelineEnded } from "./Collector.ts"
import * as HttpRoutes from "./http/HttpRoutes.ts"
import type { HttpServerUnavailable } from "./http/HttpServer.ts"
import * as NodeKafka from "./node/Kafka.ts"
import * as NodeOutput from "./node/Output.ts"
import { version } from "./Version.ts"

export { DataDirectoryTooNew, DataDirectoryUnavailable, PipelineEnded }

/**
 * Something could not be made durable before the deadline (docs/design/delivery.md H8).
 *
 * @since 0.1.0
 * @category errors
 */
export class ShutdownIncomplete extends Schema.TaggedError<ShutdownIncomplete>()("ShutdownIncomplete", {
  message: Schema.String
}) {}

/**
 * Why a collector could not start, or did not end well.
 *
 * @since 0.1.0
 * @category errors
 */
export type StartupError =
  | ConfigInvalid
  | HttpServerUnavailable
  | DataDirectoryTooNew
  | DataDirectoryUnavailable
  | Locked
  | ShutdownIncomplete
  | PipelineEnded

/** Where the HTTP server listens, once it does. */
type OnListening = (url: string) => Effect.Effect<void>

/**
 * THE service: a collector with its HTTP server on Node, with the output that `SINK` names. `Layer.launch` runs it until it is interrupted.
 * It stops in order when its scope closes: feeds, then what is in flight is delivered or queued, then queues and checkpoint, the lock, the
 * HTTP server. Whether all of it could be made durable, and whether a part has ended by itself, `run` asks the `Collector.Running`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  settings: Settings,
  onListening: OnListening = logUrl(settings)
): Layer.Layer<Collector.Running, StartupError, FileSystem.FileSystem> =>
  layerWithoutDependencies(settings, onListening).pipe(
    Layer.provide(Layer.merge(Collector.node(settings), Layer.unwrapEffect(outputOf(settings))))
  )

/**
 * As `layer`, in another `Collector.World`: any part of what `Collector.node` gives, and the output, may be a test's own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWithoutDependencies = (
  settings: Settings,
  onListening: OnListening = logUrl(settings)
): Layer.Layer<Collector.Running, StartupError, Collector.World> =>
  Collector.layer(settings, (observed) => Effect.flatMap(serve(settings, observed), onListening))

/**
 * As `layer`, in the scope of the caller, on any Kafka.
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (
  settings: Settings,
  parts: {
    readonly kafka: Layer.Layer<Producer>
    readonly onListening: OnListening
  }
): Effect.Effect<Collector.Collector, StartupError, Scope.Scope> =>
  Collector.make(settings, {
    kafka: parts.kafka,
    listen: (observed) => Effect.flatMap(serve(settings, observed), parts.onListening)
  })

const logUrl = ({ http }: Settings): OnListening => (url) =>
  Effect.annotateLogs(Effect.logInfo("listening"), { url }).pipe(
    // Nobody could know the port otherwise, whatever the log level.
    Effect.andThen(http.port === 0 ? tellPort(url) : Effect.void)
  )

const serve = (
  settings: Settings,
  observed: Collector.Observed
): Effect.Effect<string, HttpServerUnavailable, Scope.Scope> =>
  HttpRoutes.serve(settings.http, {
    ...observed,
    version,
    exchanges: settings.exchanges,
    channels: settings.channels
  })

/**
 * Where `SINK=file` writes: `<DATA_DIR>/out`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const outDirectory = ({ dataDir }: Settings): string => `${dataDir}/out`

/**
 * The output that `SINK` names. Connects to nothing yet; fails if a file of TLS cannot be read.
 *
 * @since 0.1.0
 * @category constructors
 */
export const outputOf = (
  settings: Settings
): Effect.Effect<Layer.Layer<Producer>, ConfigInvalid, FileSystem.FileSystem> => {
  switch (settings.sink) {
    case "kafka":
      return Effect.map(kafkaOptions(settings.kafka), NodeKafka.layer)
    case "file":
      return Effect.succeed(NodeOutput.files(outDirectory(settings)))
    case "stdout":
      return Effect.succeed(NodeOutput.stdout)
  }
}

/** With the files of TLS as they are now. */
const securityOf = Effect.fnUntraced(function*(
  { caLocation, certificateLocation, keyLocation, protocol }: SecuritySettings,
  sasl: SaslSettings | undefined
): Effect.fn.Return<Security, ConfigInvalid, FileSystem.FileSystem> {
  if (!protocol.endsWith("SSL")) return { protocol, sasl }
  const locations = { ca: caLocation, certificate: certificateLocation, key: keyLocation }
  const ssl = yield* Effect.mapError(
    NodeKafka.readSsl(locations),
    ({ message }) =>
      new ConfigInvalid({ problems: [{ name: "KAFKA_SSL_*_LOCATION", problem: `cannot be read: ${message}` }] })
  )
  return { protocol, sasl, ssl }
})

const securityAgain = Effect.fnUntraced(function*(
  security: SecuritySettings
): Effect.fn.Return<Security, ConfigInvalid, FileSystem.FileSystem> {
  const sasl = security.sasl === undefined ? undefined : yield* readSasl(security.sasl)
  return yield* securityOf(security, sasl)
})

/**
 * What the topic of books is created with: a broker's default of a week would be some hundred GB of pictures that nobody asks for any more.
 * By size and by time, and not compacted: changes and pictures of a market have one key. A time needs files that end: a broker's own last
 * for a week, and the one that is written is never deleted.
 *
 * @since 0.1.0
 * @category constants
 */
export const bookTopic = {
  "cleanup.policy": "delete",
  /** A day. */
  "retention.ms": "86400000",
  /** 2 GiB of each partition. */
  "retention.bytes": "2147483648",
  /** Four hours. */
  "segment.ms": "14400000"
} as const

/**
 * What a client of Kafka is to be like. Fails if a file of TLS cannot be read.
 *
 * @since 0.1.0
 * @category constructors
 */
export const kafkaOptions = Effect.fnUntraced(function*(
  settings: Settings["kafka"]
): Effect.fn.Return<KafkaOptions, ConfigInvalid, FileSystem.FileSystem> {
  const { security } = settings
  const fs = yield* FileSystem.FileSystem
  return {
    brokers: settings.brokers,
    clientId: "effect-exchange-feeds",
    compression: settings.compression,
    createTopics: settings.createTopics
      ? {
        partitions: settings.topicPartitions,
        configs: { [Delivery.topicOf(settings.topicPrefix, "book")]: bookTopic }
      }
      : undefined,
    security: yield* securityOf(security, security.sasl),
    readSecurityAgain: securityAgain(security).pipe(
      Effect.mapError(({ problems }) => ({
        message: problems.map(({ name, problem }) => `${name} ${problem}`).join("; ")
      })),
      Effect.provideService(FileSystem.FileSystem, fs)
    )
  }
})

/**
 * The topics that a collector with these settings writes to.
 *
 * @since 0.1.0
 * @category accessors
 */
export const topicsOf = (settings: Settings): ReadonlyArray<string> =>
  Collector.lanesOf(settings).map((lane) => Delivery.topicOf(settings.kafka.topicPrefix, lane))

/**
 * What a compacted topic does to trades, for a warning and for `check`.
 *
 * @internal
 */
export const compaction =
  "cleanup.policy=compact: Kafka keeps only the newest record of each market and deletes the others"

const lookAgain = "1 minute"

/** Once Kafka can be asked: what it deletes by itself was delivered, and is gone all the same. */
const warnOfCompaction = (settings: Settings): Effect.Effect<void, ConfigInvalid, FileSystem.FileSystem> =>
  settings.sink !== "kafka" ? Effect.void : Effect.flatMap(
    kafkaOptions(settings.kafka),
    (options) =>
      NodeKafka.compacted(options, topicsOf(settings)).pipe(
        Effect.flatMap((topics) =>
          topics.length === 0
            ? Effect.void
            : Effect.annotateLogs(Effect.logWarning(compaction), { topics: topics.join(", ") })
        ),
        // Kafka is away, or a topic is not made yet. Who may not ask is not told.
        Effect.retry({ schedule: Schedule.spaced(lookAgain), while: ({ reason }) => reason !== "authorization" }),
        Effect.catchTag("ProducerUnavailable", ({ message }) => Effect.logDebug("topics cannot be described", message))
      )
  )

/**
 * Runs the service of these settings. Until it is interrupted; then it stops in order, and fails only if something could not be made
 * durable. Fails also when a part of it ends by itself. What it fails with after an interruption is seen only by a caller that is not
 * interruptible: Effect leaves nothing but the interruption of it on its way through any other.
 *
 * @since 0.1.0
 * @category operations
 */
export const run = Effect.fnUntraced(function*(
  settings: Settings
): Effect.fn.Return<void, StartupError, FileSystem.FileSystem> {
  yield* Effect.forEach(
    [...(yield* withoutBooks(settings)), ...(yield* withFewerLevels(settings)), ...atRisk(settings)],
    (line) => Effect.logWarning(line),
    { discard: true }
  )
  yield* Effect.scoped(Effect.uninterruptible(
    Effect.gen(function*() {
      const collector = Context.get(yield* Effect.interruptible(Layer.build(layer(settings))), Collector.Running)
      yield* Effect.forkScoped(Effect.interruptible(warnOfCompaction(settings)))
      const exit = yield* Effect.exit(Effect.interruptible(collector.ended))
      // What a stop writes would go between what the new owner of the data directory writes.
      if (
        Exit.isFailure(exit) && Cause.failureOption(exit.cause).pipe(Option.exists(({ _tag }) => _tag === "Locked"))
      ) {
        return yield* exit
      }
      const [took, durable] = yield* Effect.timed(collector.stop)
      yield* Effect.annotateLogs(Effect.logInfo("stopped"), {
        durable,
        took: Duration.format(Duration.millis(Math.round(Duration.toMillis(took))))
      })
      if (Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause)) return yield* exit
      if (!durable) return yield* new ShutdownIncomplete({ message: "not everything could be made durable in time" })
    })
  ))
})

/**
 * The data directory and Kafka, without exchanges and without HTTP: what an earlier life has left is delivered.
 *
 * @since 0.1.0
 * @category operations
 */
export const deliverOnly = Effect.fnUntraced(function*(
  settings: Settings
): Effect.fn.Return<Collector.Collector, StartupError, FileSystem.FileSystem | Scope.Scope> {
  const kafka = yield* outputOf(settings)
  return yield* Collector.make({ ...settings, exchanges: [] }, { kafka, listen: () => Effect.void })
})

const tellPort = (url: string) => Effect.sync(() => process.stderr.write(`exchange-feeds: listening on ${url}\n`))

/** What the queue can lose, where it is more than nothing (docs/design/queue.md "Appending"). */
const atRisk = ({ queue }: Settings): ReadonlyArray<string> => {
  switch (queue.fsync) {
    case "always":
      return []
    case "interval":
      return [
        `QUEUE_FSYNC=interval: a loss of power can take the last ${Duration.format(queue.fsyncInterval)} of the queue`
      ]
    case "never":
      return ["QUEUE_FSYNC=never: a loss of power can take whatever the system has not written to the disk yet"]
  }
}

/**
 * Of the exchanges chosen, those that have no order books though these are asked for. One line each.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withoutBooks = (settings: Settings): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(Exchanges, (exchanges) => {
    if (!settings.channels.includes("books")) return []
    const rest = settings.channels.length === 1 ? "nothing is collected from it" : "only its trades are collected"
    return exchanges
      .filter(({ books, id }) => books === undefined && settings.exchanges.includes(id))
      .map(({ id }) => `CHANNELS: ${id} has no order books here, ${rest}`)
  })

/**
 * Of the exchanges chosen, those that give fewer levels of their order books than are asked for. One line each.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withFewerLevels = (settings: Settings): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(Exchanges, (exchanges) => {
    const { books: { depth }, channels } = settings
    if (!channels.includes("books") || depth === "all") return []
    return exchanges.flatMap((exchange) => {
      const levels = booksOf(exchange, settings.books)?.levels
      return levels !== undefined && levels < depth && settings.exchanges.includes(exchange.id)
        ? [`BOOK_DEPTH: ${exchange.id} gives fewer levels here, ${levels} a side and not ${depth}`]
        : []
    })
  })
