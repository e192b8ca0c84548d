/**
 * Kafka by kafkajs, behind the tag `Producer`. Only this file and its folder import kafkajs.
 *
 * kafkajs is used within the ten rules of docs/design/kafkajs.md "The rules": no idempotence, no retry of its own, every partition's answer
 * checked, sockets ended when a request times out, and a client that cannot recover replaced by a new one.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Address } from "../Address.ts"
import type { EventRecord } from "../MarketEvent.ts"
import {
  type LaneProducer,
  type LaneProducerOptions,
  Producer,
  type ProducerRejected,
  type ProducerUnavailable
} from "../Producer.ts"
import * as Time from "../Time.ts"
import { classify, ruinsClient, unavailable } from "./Kafkajs/classify.ts"
import * as Client from "./Kafkajs/Client.ts"
import * as Cluster from "./Kafkajs/Cluster.ts"
import * as Home from "./Kafkajs/Home.ts"
import * as Partitions from "./Kafkajs/Partitions.ts"
import * as Patches from "./Kafkajs/patches.ts"
import * as Rounds from "./Kafkajs/Rounds.ts"
import * as Secrets from "./Kafkajs/Secrets.ts"
import type { Transport } from "./Kafkajs/Transport.ts"

export type { Sasl, Security, Ssl } from "./Kafkajs/Secrets.ts"
export type { Transport }

/**
 * A Kafka cluster, and how it is spoken to.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** `host:port`; others are learned from them. */
  readonly brokers: ReadonlyArray<string>
  readonly clientId: string
  /** `gzip` at level 1. */
  readonly compression: "gzip" | "none"
  /** Missing topics are created with the broker's default replication; undefined: they are waited for. */
  readonly createTopics: { readonly partitions: number } | undefined
  readonly security: Secrets.Security
  /**
   * Reads `security` again where it came from: run before the next client is made, once a broker has refused a login or one side the
   * other's certificate. If it fails, what was read before stays in use, and a warning has its message: one line, no secrets.
   */
  readonly readSecurityAgain?: Effect.Effect<Secrets.Security, { readonly message: string }> | undefined
  /** By default 3 s, 5 s, 5 s, 4 s (docs/design/kafkajs.md "Times and sizes"). */
  readonly timeouts?: {
    readonly connection: Duration.DurationInput
    readonly authentication: Duration.DurationInput
    readonly request: Duration.DurationInput
    readonly ack: Duration.DurationInput
  } | undefined
}

/**
 * A producer over kafkajs, which connects with the first send. Never fails, whether Kafka is there or not.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  options: Options,
  transport: Transport
): Effect.fn.Return<Producer["Type"]> {
  Patches.calmTimers()
  Patches.steadyClocks()
  Patches.encodeBy(transport.gzip)
  const settings = settingsOf(options, transport, yield* Secrets.make(options.security, options.readSecurityAgain))
  const home = Home.make(settings)
  return {
    lane: (lane) => makeLane(settings, home, options.createTopics?.partitions, lane),
    probe: home.ask,
    missing: (topics) =>
      Effect.map(Cluster.topics(settings), (there) => topics.filter((topic) => !there.includes(topic)))
  }
})

const asked = <A>(
  options: Options,
  transport: Transport,
  question: (settings: Client.Settings) => Effect.Effect<A, ProducerUnavailable>
): Effect.Effect<A, ProducerUnavailable> =>
  Effect.flatMap(
    Secrets.make(options.security, options.readSecurityAgain),
    (secrets) => question(settingsOf(options, transport, secrets))
  )

/**
 * `host:port` of all brokers as the cluster tells them to its clients, by one of ours that answers: nothing else is dialled.
 *
 * @since 0.1.0
 * @category operations
 */
export const advertised = (
  options: Options,
  transport: Transport
): Effect.Effect<ReadonlyArray<Address>, ProducerUnavailable> => asked(options, transport, Cluster.advertised)

/**
 * Of topics that exist, those of whose records Kafka keeps only the newest of each key (`cleanup.policy=compact`). Fails with the reason
 * `authorization` where describing a topic's configuration is not allowed, with `topic` if one does not exist.
 *
 * @since 0.1.0
 * @category operations
 */
export const compacted = (
  options: Options,
  transport: Transport,
  topics: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, ProducerUnavailable> =>
  asked(options, transport, (settings) => Cluster.compacted(settings, topics))

/**
 * Gives a `Producer` over kafkajs. Needs nothing, connects to nothing before the first send, and never fails.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options, transport: Transport): Layer.Layer<Producer> =>
  Layer.effect(Producer, make(options, transport))

// internal

/** The last word if kafkajs never settles: more than its longest regular way to a rejection. */
const patienceOf = ({ authentication, connection, request }: Client.Timeouts): number =>
  4 * request + 2 * connection + authentication

/** How often it is looked whether one is that late. */
const patienceCheck = Duration.seconds(1)

/** A send that kafkajs has not answered. */
interface Unanswered {
  readonly since: Time.Instant
  readonly giveUp: () => void
}

/** A client that has failed so often in a row is replaced whatever it said: kafkajs has more stuck states than we know. */
const maxFailures = 3

const closeTimeout = Duration.seconds(2)

const makeLane = Effect.fnUntraced(function*(
  settings: Client.Settings,
  home: Home.Home,
  createPartitions: number | undefined,
  options: LaneProducerOptions
): Effect.fn.Return<LaneProducer, never, Scope.Scope> {
  const { topic } = options
  const run = yield* FiberSet.makeRuntime<never>()
  const clock = yield* Effect.clock
  const partitions = Partitions.make()
  const creating = yield* Effect.makeSemaphore(1)
  /** Those that a client was connected to when it last worked: a new client is not lost when only the brokers of the settings are away. */
  let learned: ReadonlySet<string> = new Set()
  let moves = home.moves()
  /** Connections of this client that had ended when it was last asked whose cluster it is. */
  let ended = 0
  let generation = 0
  let failures = 0
  let client: Client.Client | undefined
  let partitionCount: number | undefined
  /** Kafka measures batches after compression, and refused one for its size: from then on small ones are compressed too. */
  let compressSmall = false

  const open = (): Client.Client => {
    // Each client begins with another broker: kafkajs itself never turns from one that takes connections and says nothing.
    const brokers = [...settings.brokers, ...learned]
    const first = generation++ % brokers.length
    const rotated = { ...settings, brokers: [...brokers.slice(first), ...brokers.slice(0, first)] }
    return Client.make(rotated, topic, partitions, {
      onRequestTimeout: (broker) => {
        run(options.onRequestTimeout(broker))
      }
    })
  }

  const giveUp = Effect.sync(() => {
    client?.abandon()
    client = undefined
    failures = 0
    ended = 0
  })

  const isLearned = (broker: string) => !settings.brokers.includes(broker)

  /** The next dial may be to a broker that was learned: by now of the cluster of before, which would take what is meant for another. */
  const mayStray = (): boolean => {
    if (client === undefined) return learned.size > 0
    return client.sockets.ended() !== ended && client.sockets.dialled().some(isLearned)
  }

  const askHome = Effect.suspend(() => {
    if (!mayStray()) return Effect.void
    const now = client?.sockets.ended() ?? 0
    return home.ask.pipe(
      // Nobody there: then what was learned is all there is.
      Effect.catchTag("ProducerUnavailable", () => Effect.void),
      Effect.andThen(() => {
        ended = now
      })
    )
  })

  const followHome = Effect.suspend(() => {
    if (moves === home.moves()) return Effect.void
    moves = home.moves()
    learned = new Set()
    return giveUp
  })

  const attempt = (records: ReadonlyArray<EventRecord>) =>
    askHome.pipe(
      Effect.andThen(followHome),
      // Of a client that is there already nothing is read: it has its login and its certificates.
      Effect.andThen(Effect.when(settings.secrets.renewed, () => client === undefined)),
      Effect.andThen(sending(records))
    )

  const patience = patienceOf(settings.timeouts)
  const out = new Set<Unanswered>()

  // One for all sends: a timeout of its own for each cost two fibers and a timer a request, for what hardly ever happens.
  yield* Effect.flatMap(Time.now, (now) =>
    Effect.sync(() => {
      for (const { giveUp, since } of out) if (Time.between(since, now) >= patience) giveUp()
    })).pipe(Effect.delay(patienceCheck), Effect.forever, Effect.forkScoped)

  const sending = (records: ReadonlyArray<EventRecord>) =>
    Effect.async<void, ProducerUnavailable | ProducerRejected>((resume) => {
      const unanswered: Unanswered = {
        since: Time.instantOf(clock),
        giveUp: () => resume(Effect.fail(unavailable("client", "kafkajs gave no answer")))
      }
      out.add(unanswered)
      client ??= open()
      // Both outcomes are handled also when nobody waits any more: no rejection is ever unhandled.
      client.send(records, compressSmall).then(
        () => resume(Effect.void),
        (cause: unknown) => resume(Effect.fail(failureOf(cause)))
      ).finally(() => out.delete(unanswered))
      return Effect.sync(() => out.delete(unanswered))
    }).pipe(
      Effect.onExit((exit) => {
        if (exit._tag === "Success") {
          failures = 0
          learned = new Set(client?.sockets.connected().filter(isLearned))
          return Effect.void
        }
        failures += 1
        if (exit.cause._tag === "Fail") settings.secrets.failed(exit.cause.error)
        const useless = exit.cause._tag !== "Fail" || ruinsClient(exit.cause.error) || client?.isConnected() === false
        return useless || failures >= maxFailures ? giveUp : Effect.void
      })
    )

  const watchPartitions = Effect.suspend(() => {
    const before = partitionCount
    partitionCount = partitions.count()
    return before === undefined || before === partitionCount ? Effect.void : Effect.logWarning(
      "the number of partitions has changed: keys move, and their order across the change is broken"
    ).pipe(Effect.annotateLogs({ topic, before, now: partitionCount }))
  })

  const create = (numPartitions: number) =>
    creating.withPermits(1)(Cluster.createTopic(settings, topic, numPartitions)).pipe(
      Effect.tap((created) =>
        created
          ? Effect.logInfo("topic created").pipe(Effect.annotateLogs({ topic, partitions: numPartitions }))
          : Effect.void
      )
    )

  if (createPartitions !== undefined) {
    yield* create(createPartitions).pipe(
      // Kafka may be away: a send will find the topic missing and try again.
      Effect.catchTag(
        "ProducerUnavailable",
        (failure) => Effect.logDebug("topic not created").pipe(Effect.annotateLogs({ topic, reason: failure.message }))
      ),
      Effect.forkScoped
    )
  }

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      const last = client
      return last === undefined ? Effect.void : Effect.promise(() => last.disconnect()).pipe(
        Effect.interruptible,
        Effect.timeoutOption(closeTimeout),
        Effect.andThen(giveUp)
      )
    })
  )

  /** A record that only fits when it is compressed is none that Kafka never takes. */
  const fitting = (records: ReadonlyArray<EventRecord>) =>
    Effect.catchIf(attempt(records), isTooLarge, (refusal) => {
      if (compressSmall || settings.compression === "none") return refusal
      compressSmall = true
      return attempt(records)
    })

  const sendRound = (records: ReadonlyArray<EventRecord>) =>
    fitting(records).pipe(
      createPartitions === undefined ? (self) => self : Effect.catchIf(
        (failure) => failure._tag === "ProducerUnavailable" && failure.reason === "topic",
        (missing) =>
          create(createPartitions).pipe(
            Effect.mapError((failure) =>
              unavailable("topic", `${missing.message}; creating it failed: ${failure.message}`, failure)
            ),
            Effect.andThen(fitting(records))
          )
      ),
      Effect.tap(watchPartitions)
    )

  return {
    topic,
    send: (records, fit = Infinity) =>
      Effect.forEach(
        records.length === 0 ? [] : Rounds.of(records, fit, partitions.of),
        (round) => sendRound(round),
        { discard: true }
      ),
    partitionOf: (key) => Effect.sync(() => partitions.of(key))
  }
})

const isTooLarge = (failure: ProducerUnavailable | ProducerRejected): failure is ProducerRejected =>
  failure._tag === "ProducerRejected" &&
  (failure.reason === "MESSAGE_TOO_LARGE" || failure.reason === "RECORD_LIST_TOO_LARGE")

const failureOf = (cause: unknown): ProducerUnavailable | ProducerRejected =>
  cause instanceof Client.IncompleteAnswer ? unavailable("incomplete", cause.message, cause) : classify(cause)

const settingsOf = (options: Options, transport: Transport, secrets: Secrets.Secrets): Client.Settings => {
  const millis = (input: Duration.DurationInput) => Duration.toMillis(input)
  const { timeouts } = options
  return {
    brokers: options.brokers,
    clientId: options.clientId,
    compression: options.compression,
    secrets,
    transport,
    timeouts: {
      connection: millis(timeouts?.connection ?? 3_000),
      authentication: millis(timeouts?.authentication ?? 5_000),
      request: millis(timeouts?.request ?? 5_000),
      ack: millis(timeouts?.ack ?? 4_000)
    }
  }
}
