/**
 * One running collector: HTTP first, so that probes are answered while queues recover; then the data directory, the sink, the feeds.
 * Everything ends in the reverse order, with its scope.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Socket from "@effect/platform/Socket"
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
import { Checkpoint, type MarketMemory } from "../services/Checkpoint.ts"
import * as CircuitBreaker from "../services/CircuitBreaker.ts"
import * as Complaint from "../services/Complaint.ts"
import * as DeadLetters from "../services/DeadLetters.ts"
import * as Delivery from "../services/Delivery.ts"
import { DirectoryLock, type Locked } from "../services/DirectoryLock.ts"
import * as FeedStatus from "../services/FeedStatus.ts"
import { FileOps, whileOurs } from "../services/FileOps.ts"
import * as FileQueue from "../services/FileQueue.ts"
import * as Health from "../services/Health.ts"
import * as Instruments from "../services/Instruments.ts"
import * as KafkaSink from "../services/KafkaSink.ts"
import * as Ledger from "../services/Ledger.ts"
import type { LaneName } from "../services/MarketEvent.ts"
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
export const lanesOf = (settings: Pick<Settings, "channels">): ReadonlyArray<LaneName> => [
  ...(settings.channels.includes("trades") ? ["trade" as const] : []),
  ...(settings.channels.includes("books") ? ["book" as const] : []),
  "status"
]

/**
 * The collector that a layer has started.
 *
 * @since 0.1.0
 * @category tags
 */
export class Running extends Context.Tag("effect-exchange-feeds/layers/Collector/Running")<Running, Collector>() {}

/**
 * Sockets to an exchange, whose messages may be of so many bytes.
 *
 * @since 0.1.0
 * @category tags
 */
export class Sockets extends Context.Tag("effect-exchange-feeds/layers/Collector/Sockets")<Sockets, {
  readonly layer: (options: { readonly maxPayload: number }) => Layer.Layer<Socket.WebSocketConstructor>
}>() {}

/**
 * What a collector touches the world with. All of it may be another's: a broker in memory, a disk that fails, an exchange in the same process.
 *
 * @since 0.1.0
 * @category models
 */
export type World = Producer | FileOps | DirectoryLock | Sockets | HttpClient.HttpClient

/**
 * The world but for the output, as Node has it.
 *
 * @since 0.1.0
 * @category layers
 */
export const node = ({ proxy }: Settings): Layer.Layer<Exclude<World, Producer>> =>
  Layer.mergeAll(
    NodeFileOps.layer,
    NodeDirectoryLock.layer,
    NodeProxy.httpClient(proxy),
    Layer.succeed(Sockets, { layer: (options) => NodeWebSocket.layer({ ...options, proxy: NodeProxy.make(proxy) }) })
  )

/** How the sink is seen: nothing of it, until the queues are recovered. */
class Sink extends Context.Tag("effect-exchange-feeds/layers/Collector/Sink")<
  Sink,
  Ref.Ref<Effect.Effect<SinkView | undefined>>
>() {}

/** Whose books these are, over all lives of the data directory. */
class Name extends Context.Tag("effect-exchange-feeds/layers/Collector/Name")<Name, string>() {}

/** The data directory is ours, so `FileOps` may write. */
class Ownership extends Context.Tag("effect-exchange-feeds/layers/Collector/Ownership")<Ownership, {
  readonly isOwner: () => boolean
  readonly lost: Effect.Effect<never, Locked>
}>() {}

type Failure = ConfigInvalid | DataDirectoryTooNew | DataDirectoryUnavailable | Locked

/**
 * A collector, as long as its scope: that closes as `stop` does, then come queues and checkpoint, the lock, the front and the world, each
 * after what is built on it. `listen` is given what there is to see, before anything that may take long. Its instruments are its own: of two
 * collectors in one process neither shows in its metrics what the other did.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E>(
  settings: Settings,
  listen: (observed: Observed) => Effect.Effect<void, E, Scope.Scope>
): Layer.Layer<Running, E | Failure, World> =>
  Layer.unwrapEffect(
    Effect.map(
      Effect.forEach(settings.exchanges, (id) => choose(settings, id)),
      (chosen) =>
        Layer.scoped(Running, running(settings, chosen)).pipe(
          Layer.provide(storage(settings)),
          Layer.provide(owned(settings)),
          Layer.provide(Layer.scopedDiscard(Effect.flatMap(observed, listen))),
          Layer.provide(health(settings)),
          // Its own: a program that merges two collectors, or has breakers itself, would have them all in one.
          Layer.provide(Layer.fresh(CircuitBreaker.layer)),
          Layer.provide(ground(settings))
        )
    )
  )

/**
 * As `layer`, in the scope of the caller, on Node.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E>(
  settings: Settings,
  parts: {
    readonly kafka: Layer.Layer<Producer>
    readonly listen: (observed: Observed) => Effect.Effect<void, E, Scope.Scope>
  }
): Effect.Effect<Collector, E | Failure, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.provide(layer(settings, parts.listen), Layer.merge(node(settings), parts.kafka))),
    Context.get(Running)
  )

/** What everybody writes into. */
const ground = ({ exchanges }: Settings) =>
  Layer.mergeAll(
    Layer.sync(Instruments.Instruments, Instruments.make),
    Layer.sync(Ledger.Ledger, Ledger.make),
    Layer.sync(FeedStatus.FeedStatus, () => FeedStatus.make(exchanges)),
    Layer.effect(Sink, Ref.make<Effect.Effect<SinkView | undefined>>(Effect.succeed(undefined)))
  )

const observed = Effect.gen(function*() {
  return {
    ledger: yield* Ledger.Ledger,
    status: yield* FeedStatus.FeedStatus,
    breakers: yield* CircuitBreaker.CircuitBreakers,
    health: yield* Health.Health,
    sink: Effect.flatten(Ref.get(yield* Sink))
  } satisfies Observed
})

const health = (settings: Settings) =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const sink = Effect.flatten(Ref.get(yield* Sink))
    return Health.layer({
      startupGrace: settings.startupGrace,
      kafka: kafkaCheck(yield* Producer, sink),
      disk: Health.probeDirectory(yield* FileOps, settings.dataDir),
      exchanges: Effect.sync((yield* FeedStatus.FeedStatus).exchanges),
      breakers: (yield* CircuitBreaker.CircuitBreakers).snapshots,
      sink
    })
  }))

/** Holds `DATA_DIR`. What closes with its scope would else write over a new owner's files, so `FileOps` ends with the ownership. */
const owned = (settings: Settings) =>
  Layer.scopedContext(Effect.gen(function*() {
    const lock = yield* DirectoryLock
    const ownership = yield* lock.acquire(settings.dataDir).pipe(
      Effect.catchTag("DirectoryLockError", (error) => unavailable(settings, error))
    )
    let isOwner = true
    const lost = Effect.tapError(ownership.lost, () =>
      Effect.sync(() => {
        isOwner = false
      }))
    yield* Effect.forkScoped(Effect.exit(lost))
    return Context.make(Ownership, { isOwner: () => isOwner, lost }).pipe(
      Context.add(FileOps, whileOurs(yield* FileOps, () => isOwner))
    )
  }))

/** After the checkpoint: a directory that a later release has written is left as it is. */
const named = (settings: Settings) =>
  Layer.effect(
    Name,
    Effect.zipRight(
      Checkpoint,
      Effect.flatMap(FileOps, (files) => DataDirectory.collector(files, settings.dataDir))
    )
  )

/** The lanes with their queues, the checkpoint, the dead letters. */
const storage = (settings: Settings) =>
  Layer.unwrapEffect(Effect.map(Name, (collector) =>
    KafkaSink.layerQueued({
      delivery: { ...deliveryOf(settings), collector },
      queue: { dir: settings.dataDir, ...settings.queue }
    }))).pipe(
      Layer.provideMerge(named(settings)),
      Layer.provideMerge(
        Layer.mergeAll(DeadLetters.layer(settings.dataDir), DataDirectory.checkpoint(settings.dataDir))
      ),
      Layer.mapError((error) =>
        error._tag === "CheckpointError" && error.reason === "version"
          ? new DataDirectoryTooNew({ message: error.message })
          : unavailable(settings, error)
      )
    )

const running = Effect.fnUntraced(function*(settings: Settings, chosen: ReadonlyArray<Chosen>) {
  const delivery = yield* Delivery.Delivery
  const queues = yield* FileQueue.FileQueue
  const checkpoint = yield* Checkpoint
  const breakers = yield* CircuitBreaker.CircuitBreakers
  const { drain } = yield* Health.Health
  const { isOwner, lost } = yield* Ownership
  yield* Ref.set(
    yield* Sink,
    Effect.all({ lanes: delivery.lanes, usage: queues.usage, checkpointFailure: checkpoint.failure })
  )

  const stopping = yield* Deferred.make<void>()
  const memory = yield* checkpoint.markets
  const feeds = yield* Effect.forEach(chosen, (one) => feedOf(one, settings, memory, Deferred.await(stopping)))
  const collector = (yield* Random.nextIntBetween(0, 0x7fffffff)).toString(36)
  const breakerEvents = Pipeline.breakerEvents(breakers.transitions, collector).pipe(
    Stream.interruptWhen(Deferred.await(stopping))
  )
  const pipeline = yield* Effect.forkScoped(Pipeline.run([...feeds, breakerEvents]))

  // In a fiber of its own: an interruption of whoever asked for it would end the waits in it, and with them the only stop there is.
  // Interruptible, as a finalizer is not: else a limit would wait for what it limits.
  const stopped = yield* Effect.cached(Effect.forkDaemon(Effect.interruptible(Effect.gen(function*() {
    yield* drain
    yield* Deferred.succeed(stopping, undefined)
    const handedOver = yield* Fiber.await(pipeline).pipe(Effect.timeoutOption(feedsStop))
    if (handedOver._tag === "None") yield* Fiber.interruptFork(pipeline)
    const budget = Duration.subtract(
      settings.shutdownTimeout,
      Duration.min(feedsStop, Duration.times(settings.shutdownTimeout, 0.2))
    )
    const durable = yield* delivery.stop(budget)
    return durable && handedOver._tag === "Some"
  }))))
  const stop = Effect.flatMap(stopped, Fiber.join)
  // What a stop writes would go between what a new owner of the data directory writes.
  yield* Effect.addFinalizer(() => Effect.suspend(() => isOwner() ? stop : Effect.void))

  return {
    breakers,
    lanes: delivery.lanes,
    ledger: yield* Ledger.Ledger,
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
    stop
  } satisfies Collector
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
  backfillMaxAge: settings.backfill.maxAge,
  books: settings.books
} satisfies Partial<Feed.FeedOptions>)

const feedOf = Effect.fnUntraced(function*(
  chosen: Chosen,
  settings: Settings,
  memory: ReadonlyMap<string, MarketMemory>,
  stop: Effect.Effect<void>
) {
  const breakers = yield* CircuitBreaker.CircuitBreakers
  const letters = yield* DeadLetters.DeadLetters
  const sockets = yield* Sockets
  const { exchange } = chosen
  const unkept = Complaint.make()
  return Feed.events(exchange, {
    ...feedSettings(chosen, settings),
    breakers: {
      api: yield* breakers.make(Breakers.optionsOf(exchange, "api", settings.api.breaker)),
      ws: yield* breakers.make(Breakers.optionsOf(exchange, "ws", settings.ws.breaker))
    },
    collector: yield* Name,
    memory,
    holes: yield* Checkpoint,
    marketsRefresh: Defaults.marketsRefresh,
    marketsCache: DataDirectory.marketsCache(yield* FileOps, settings.dataDir, exchange.id),
    onUndecodable: (frame) =>
      letters.frame(frame).pipe(
        Effect.catchTag("DeadLetterError", ({ message, path }) =>
          unkept.tell("a frame could not be kept", { exchange: exchange.id, path, error: message }))
      ),
    stop
  }).pipe(
    Stream.provideSomeLayer(sockets.layer({ maxPayload: settings.ws.maxPayload ?? Defaults.maxPayload(exchange) }))
  )
})
