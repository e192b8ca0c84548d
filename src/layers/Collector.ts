/**
 * One running collector: HTTP first, so that probes are answered while queues recover; then the data directory, the sink, the feeds.
 * Everything ends in the reverse order, with its scope.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Assignment from "../services/Assignment.ts"
import { Checkpoint, type HoleStore, type MarketMemory } from "../services/Checkpoint.ts"
import * as CircuitBreaker from "../services/CircuitBreaker.ts"
import * as Complaint from "../services/Complaint.ts"
import * as DeadLetters from "../services/DeadLetters.ts"
import * as Delivery from "../services/Delivery.ts"
import { DirectoryLock, type Locked } from "../services/DirectoryLock.ts"
import { EventSink } from "../services/EventSink.ts"
import * as FeedStatus from "../services/FeedStatus.ts"
import { FileOps, whileOurs } from "../services/FileOps.ts"
import * as FileQueue from "../services/FileQueue.ts"
import * as Health from "../services/Health.ts"
import * as Instruments from "../services/Instruments.ts"
import * as KafkaSink from "../services/KafkaSink.ts"
import * as Ledger from "../services/Ledger.ts"
import type { LaneName, MarketEvent } from "../services/MarketEvent.ts"
import { Producer } from "../services/Producer.ts"
import * as Breakers from "../streams/Breakers.ts"
import * as Defaults from "../streams/Defaults.ts"
import * as Feed from "../streams/Feed.ts"
import * as Pipeline from "../streams/Pipeline.ts"
import { choose, type Chosen, type ConfigInvalid, type Settings } from "./AppConfig.ts"
import * as DataDirectory from "./DataDirectory.ts"
import * as NodeDirectoryLock from "./node/DirectoryLock.ts"
import * as NodeFileOps from "./node/FileOps.ts"
import * as NodeProxy from "./node/Proxy.ts"
import * as NodeWebSocket from "./node/WebSocket.ts"

/**
 * `DATA_DIR` cannot be made, written, or understood.
 *
 * @since 0.1.0
 * @category errors
 */
export class DataDirectoryUnavailable
  extends Schema.TaggedError<DataDirectoryUnavailable>()("DataDirectoryUnavailable", {
    message: Schema.String
  })
{}

/**
 * A later release of this program wrote what is in `DATA_DIR`.
 *
 * @since 0.1.0
 * @category errors
 */
export class DataDirectoryTooNew extends Schema.TaggedError<DataDirectoryTooNew>()("DataDirectoryTooNew", {
  message: Schema.String
}) {}

/**
 * A fiber that never ends has ended: a supervisor has to start the process again.
 *
 * @since 0.1.0
 * @category errors
 */
export class PipelineEnded extends Schema.TaggedError<PipelineEnded>()("PipelineEnded", {
  message: Schema.String
}) {}

/** How long feeds may take to hand over what they have received, once told to stop. */
const feedsStop = Duration.seconds(3)

/**
 * A collector that runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Collector {
  readonly breakers: CircuitBreaker.CircuitBreakers["Type"]
  readonly lanes: Delivery.Delivery["Type"]["lanes"]
  readonly ledger: Ledger.Shape
  /** Sources first, then the lanes (docs/design/delivery.md H8). False if something could not be made durable. */
  readonly stop: Effect.Effect<boolean>
  /** Fails when a part that never ends has ended, or when another process owns the data directory: then without `stop`, which writes. */
  readonly ended: Effect.Effect<never, PipelineEnded | Locked>
}

/**
 * What can be told of a collector from the moment its process listens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observed {
  readonly ledger: Ledger.Shape
  readonly status: FeedStatus.Shape
  readonly breakers: CircuitBreaker.CircuitBreakers["Type"]
  readonly health: Health.Health["Type"]
  /** Undefined until the queues are recovered. */
  readonly sink: Effect.Effect<SinkView | undefined>
}

/**
 * The lanes at one moment, and the bytes of all their queues together.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkView {
  readonly lanes: ReadonlyArray<Delivery.LaneStatus>
  readonly usage: { readonly bytes: number; readonly maxBytes: number }
  /** Why the checkpoint could not be written the last time; null if it could. */
  readonly checkpointFailure: string | null
}

/**
 * The lanes that these settings need.
 *
 * @since 0.1.0
 * @category accessors
 */
export const lanesOf = (settings: Settings): ReadonlyArray<LaneName> => [
  ...(settings.channels.includes("trades") ? ["trade" as const] : []),
  "status"
]

interface Parts<E> {
  readonly kafka: Layer.Layer<Producer>
  readonly listen: (observed: Observed) => Effect.Effect<void, E, Scope.Scope>
}

/**
 * Starts a collector; it runs until `stop`. `listen` is given what there is to see, before anything that may take long. Its instruments
 * are its own: of two collectors in one process neither shows in its metrics what the other did. Fails if an exchange is not in the list,
 * if the data directory is in use, cannot be used, or was written by a later release, or as `listen` does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E>(
  settings: Settings,
  parts: Parts<E>
): Effect.Effect<Collector, Failure<E>, Scope.Scope> =>
  Effect.suspend(() => Effect.provideService(started(settings, parts), Instruments.Instruments, Instruments.make()))

type Failure<E> = E | ConfigInvalid | DataDirectoryTooNew | DataDirectoryUnavailable | Locked

const started = Effect.fnUntraced(function*<E>(
  settings: Settings,
  parts: Parts<E>
): Effect.fn.Return<Collector, Failure<E>, Scope.Scope> {
  const chosen = yield* Effect.forEach(settings.exchanges, (id) => choose(settings, id))
  const ledger = Ledger.make()
  const status = FeedStatus.make(settings.exchanges)
  const files = Context.get(yield* Layer.build(NodeFileOps.layer), FileOps)
  const breakers = Context.get(yield* Layer.build(CircuitBreaker.layer), CircuitBreaker.CircuitBreakers)
  const producer = Context.get(yield* Layer.build(parts.kafka), Producer)
  const view = yield* Ref.make<Effect.Effect<SinkView | undefined>>(Effect.succeed(undefined))
  const sinkView = Effect.flatten(Ref.get(view))

  const health = yield* Health.make({
    startupGrace: settings.startupGrace,
    kafka: kafkaCheck(producer, sinkView),
    disk: Health.probeDirectory(files, settings.dataDir),
    exchanges: Effect.sync(status.exchanges),
    breakers: breakers.snapshots,
    sink: sinkView
  })
  yield* parts.listen({ ledger, status, breakers, health, sink: sinkView })

  const lock = Context.get(yield* Layer.build(NodeDirectoryLock.layer), DirectoryLock)
  const ownership = yield* lock.acquire(settings.dataDir).pipe(
    Effect.catchTag("DirectoryLockError", (error) => unavailable(settings, error))
  )
  let isOwner = true
  const lost = Effect.tapError(ownership.lost, () =>
    Effect.sync(() => {
      isOwner = false
    }))
  yield* Effect.forkScoped(Effect.exit(lost))
  // What closes with its scope would else write over the new owner's files.
  const owned = whileOurs(files, () => isOwner)

  const storage = yield* Layer.build(
    KafkaSink.layerQueued({ delivery: deliveryOf(settings), queue: { dir: settings.dataDir, ...settings.queue } }).pipe(
      Layer.provideMerge(Layer.mergeAll(
        DeadLetters.layer(settings.dataDir),
        DataDirectory.checkpoint(settings.dataDir)
      )),
      Layer.provide(Layer.mergeAll(
        Layer.succeed(FileOps, owned),
        Layer.succeed(CircuitBreaker.CircuitBreakers, breakers),
        Layer.succeed(Producer, producer),
        Layer.succeed(Ledger.Ledger, ledger)
      ))
    )
  ).pipe(Effect.catchTags({
    CheckpointError: (error) =>
      error.reason === "version" ? new DataDirectoryTooNew({ message: error.message }) : unavailable(settings, error),
    FileQueueError: (error) => unavailable(settings, error)
  }))
  const sink = Context.get(storage, EventSink)
  const delivery = Context.get(storage, Delivery.Delivery)
  const queues = Context.get(storage, FileQueue.FileQueue)
  const checkpoint = Context.get(storage, Checkpoint)
  yield* Ref.set(
    view,
    Effect.all({ lanes: delivery.lanes, usage: queues.usage, checkpointFailure: checkpoint.failure })
  )

  const stopping = yield* Deferred.make<void>()
  const memory = yield* checkpoint.markets
  const letters = Context.get(storage, DeadLetters.DeadLetters)
  const feeds = yield* Effect.forEach(
    chosen,
    (one) =>
      feedOf(one, settings, {
        breakers,
        files: owned,
        holes: checkpoint,
        letters,
        memory,
        stop: Deferred.await(stopping)
      })
  )
  const collector = (yield* Random.nextIntBetween(0, 0x7fffffff)).toString(36)
  const breakerEvents = Pipeline.breakerEvents(breakers.transitions, collector).pipe(
    Stream.interruptWhen(Deferred.await(stopping))
  )
  const pipeline = yield* Pipeline.run([...feeds, breakerEvents]).pipe(
    Effect.provide(
      Context.make(EventSink, sink).pipe(
        Context.add(Ledger.Ledger, ledger),
        Context.add(FeedStatus.FeedStatus, status)
      )
    ),
    Effect.provide(NodeProxy.httpClient(settings.proxy)),
    Effect.forkScoped
  )

  return {
    breakers,
    lanes: delivery.lanes,
    ledger,
    ended: Effect.raceFirst(
      Effect.sandbox(delivery.ended),
      Fiber.await(pipeline).pipe(Effect.flatMap((exit) => Exit.isFailure(exit) ? Effect.fail(exit.cause) : Effect.void))
    ).pipe(
      Effect.tapErrorCause((cause) => Effect.logFatal("a part that never ends has ended", cause)),
      Effect.matchCauseEffect({
        onFailure: () => new PipelineEnded({ message: "a part that never ends has ended; see the log" }),
        onSuccess: () => new PipelineEnded({ message: "all feeds have ended without being told to" })
      }),
      Effect.raceFirst(lost)
    ),
    stop: Effect.gen(function*() {
      yield* health.drain
      yield* Deferred.succeed(stopping, undefined)
      // Interruptible, as the stop itself is not: else the limit would wait for what it limits.
      const handedOver = yield* Effect.interruptible(Fiber.await(pipeline)).pipe(Effect.timeoutOption(feedsStop))
      if (handedOver._tag === "None") yield* Fiber.interruptFork(pipeline)
      const budget = Duration.subtract(
        settings.shutdownTimeout,
        Duration.min(feedsStop, Duration.times(settings.shutdownTimeout, 0.2))
      )
      const durable = yield* delivery.stop(budget)
      return durable && handedOver._tag === "Some"
    })
  }
})

const deliveryOf = (settings: Settings): Delivery.Options => ({
  topicPrefix: settings.kafka.topicPrefix,
  lanes: lanesOf(settings),
  mode: settings.queue.mode,
  linger: settings.kafka.linger,
  breaker: settings.kafka.breaker,
  retry: {
    ...settings.retry,
    // A broker that is away for a moment is asked soon; the breaker sees to the long outages.
    baseDelay: Duration.min(settings.retry.baseDelay, "200 millis"),
    maxDelay: Duration.min(settings.retry.maxDelay, "5 seconds")
  }
})

const unavailable = ({ dataDir }: Settings, { message }: { readonly message: string }) =>
  new DataDirectoryUnavailable({
    message: DataDirectory.refusal(dataDir, message, { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 })
  })

/** The cluster answers, and the last send of every lane was acknowledged: the first says nothing of rights (docs/design/kafkajs.md "Probing a cluster"). */
const kafkaCheck = (producer: Producer["Type"], sink: Effect.Effect<SinkView | undefined>) =>
  producer.probe.pipe(
    Effect.mapError(({ message }) => ({ message })),
    Effect.andThen(sink),
    Effect.flatMap((view) => {
      const broken = view?.lanes.find(({ kafka }) => kafka.message !== null)
      return broken === undefined
        ? Effect.void
        : Effect.fail({ message: `${broken.topic}: ${broken.kafka.message ?? ""}` })
    })
  )

/**
 * What the settings say of one exchange's feed, as options of `Feed.events`; what belongs to a running collector is not among them.
 *
 * @since 0.1.0
 * @category conversions
 */
export const feedSettings = ({ endpoints, exchange, markets, marketsSetting }: Chosen, settings: Settings) => ({
  endpoints,
  channels: settings.channels,
  markets,
  marketsSetting,
  share: Assignment.share(settings.shard, exchange.id),
  subscriptionsPerConnection: settings.ws.subscriptionsPerConnection,
  stagger: settings.ws.stagger,
  idleTimeout: settings.ws.idleTimeout,
  retry: settings.retry,
  backfillHold: settings.backfill.hold,
  backfillMaxAge: settings.backfill.maxAge
} satisfies Partial<Feed.FeedOptions>)

const feedOf = Effect.fnUntraced(function*(
  chosen: Chosen,
  settings: Settings,
  parts: {
    readonly breakers: CircuitBreaker.CircuitBreakers["Type"]
    readonly files: FileOps["Type"]
    readonly holes: HoleStore
    readonly letters: DeadLetters.DeadLetters["Type"]
    readonly memory: ReadonlyMap<string, MarketMemory>
    readonly stop: Effect.Effect<void>
  }
): Effect.fn.Return<Stream.Stream<MarketEvent, never, HttpClient.HttpClient>> {
  const { breakers, files, holes, letters, memory, stop } = parts
  const { exchange } = chosen
  const unkept = Complaint.make()
  return Feed.events(exchange, {
    ...feedSettings(chosen, settings),
    breakers: {
      api: yield* breakers.make(Breakers.optionsOf(exchange, "api", settings.api.breaker)),
      ws: yield* breakers.make(Breakers.optionsOf(exchange, "ws", settings.ws.breaker))
    },
    memory,
    holes,
    marketsRefresh: Defaults.marketsRefresh,
    marketsCache: DataDirectory.marketsCache(files, settings.dataDir, exchange.id),
    onUndecodable: (frame) =>
      letters.frame(frame).pipe(
        Effect.catchTag("DeadLetterError", ({ message, path }) =>
          unkept.tell("a frame could not be kept", { exchange: exchange.id, path, error: message }))
      ),
    stop
  }).pipe(Stream.provideSomeLayer(NodeWebSocket.layer({
    maxPayload: settings.ws.maxPayload ?? Defaults.maxPayload(exchange),
    proxy: NodeProxy.make(settings.proxy)
  })))
})
