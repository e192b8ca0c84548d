/**
 * What is asked of the cluster beside sending: does it answer, and does a topic exist. Each question has a connection of its
 * own, which cannot be stuck.
 */
import * as Effect from "effect/Effect"
import kafkajs, { type Admin } from "kafkajs"
import * as Address from "../../Address.ts"
import type { ProducerUnavailable } from "../../Producer.ts"
import * as Time from "../../Time.ts"
import { classify, unavailable } from "./classify.ts"
import { configOf, type Settings } from "./Client.ts"
import { makeSockets } from "./Transport.ts"

/** Runs `use` within `limit` milliseconds; afterwards no socket is left. */
const ask = <A>(
  settings: Settings,
  limit: number,
  use: (admin: Admin) => Promise<A>
): Effect.Effect<A, ProducerUnavailable> =>
  settings.secrets.renewed.pipe(
    Effect.andThen(asking(settings, limit, use)),
    Effect.tapErrorTag("ProducerUnavailable", (failure) => Effect.sync(() => settings.secrets.failed(failure)))
  )

const asking = <A>(
  settings: Settings,
  limit: number,
  use: (admin: Admin) => Promise<A>
): Effect.Effect<A, ProducerUnavailable> => {
  return Effect.acquireUseRelease(
    Effect.sync(() => {
      const sockets = makeSockets(settings.transport)
      const timeouts = {
        ...settings.timeouts,
        connection: Math.min(limit, settings.timeouts.connection),
        request: Math.min(limit, settings.timeouts.request)
      }
      const kafka = new kafkajs.Kafka(configOf({ ...settings, timeouts }, sockets.open))
      return { admin: kafka.admin({ retry: { retries: 0 } }), sockets }
    }),
    ({ admin, sockets }) =>
      Effect.tryPromise({
        try: () => admin.connect().then(() => use(admin)),
        catch: (cause) => {
          const failure = classify(cause)
          return failure._tag === "ProducerUnavailable" ? failure : unavailable("cluster", failure.message, cause)
        }
      }).pipe(Effect.timeoutFail({
        duration: limit,
        onTimeout: () => {
          const broker = sockets.dialled().at(-1) ?? settings.brokers.join(", ")
          return unavailable("timeout", `${broker}: no answer within ${limit} ms`)
        }
      })),
    ({ admin, sockets }) =>
      Effect.sync(() => {
        sockets.close()
        admin.disconnect().then(() => {}, () => {}) // stops its timers; the sockets are gone
      })
  )
}

/** The health check waits a second longer (`Health.ts`). */
const probeLimit = 8_000

/** A cluster far away answers late, but it answers; one that is frozen says nothing at all for so long, ms. */
const silenceLimit = 2_000

/**
 * Which cluster answers at the addresses of the settings: its id, which not everything that speaks Kafka's protocol has. One address
 * after the other: kafkajs begins with the first each time, and one that is frozen would hide the others.
 */
export const probe = (settings: Settings): Effect.Effect<string | undefined, ProducerUnavailable> =>
  Effect.firstSuccessOf(settings.brokers.map((broker) => probeOne({ ...settings, brokers: [broker] }))).pipe(
    Effect.timeoutFail({
      duration: probeLimit,
      onTimeout: () => unavailable("timeout", `${settings.brokers.join(", ")}: no answer within ${probeLimit} ms`)
    })
  )

const probeOne = (settings: Settings): Effect.Effect<string | undefined, ProducerUnavailable> =>
  Effect.clockWith((clock) => {
    let signOfLife = Time.instantOf(clock)
    const connect: typeof settings.transport.connect = (target) => {
      const socket = settings.transport.connect(target)
      const heard = () => {
        signOfLife = Time.instantOf(clock)
      }
      socket.on("connect", heard)
      socket.on("data", heard)
      return socket
    }
    const silence: Effect.Effect<never, ProducerUnavailable> = Effect.suspend(() => {
      const left = silenceLimit - Time.between(signOfLife, Time.instantOf(clock))
      return left > 0
        ? Effect.andThen(Effect.sleep(left), silence)
        : unavailable("timeout", `${settings.brokers.join(", ")}: silent for ${silenceLimit} ms`)
    })
    const heeding = { ...settings, transport: { ...settings.transport, connect } }
    return Effect.map(
      Effect.raceFirst(ask(heeding, probeLimit, (admin) => admin.describeCluster()), silence),
      // kafkajs's types know no null.
      ({ clusterId }: { readonly clusterId: string | null }) => clusterId ?? undefined
    )
  })

/** A dial, a login and two questions of a cluster that is slow. */
const advertisedLimit = 12_000

/** Stays with the broker that it began with, whatever other the cluster has for it. */
const staying = (settings: Settings): Settings => {
  let begun: Address.Address | undefined
  return {
    ...settings,
    transport: {
      ...settings.transport,
      connect: (target) => {
        if (settings.brokers.includes(Address.format(target))) begun = { host: target.host, port: target.port }
        return settings.transport.connect({ ...target, ...begun })
      }
    }
  }
}

export const advertised = (settings: Settings): Effect.Effect<ReadonlyArray<Address.Address>, ProducerUnavailable> =>
  Effect.map(
    ask(staying(settings), advertisedLimit, (admin) => admin.describeCluster()),
    ({ brokers }) => brokers.map(({ host, port }) => ({ host, port }))
  )

export const topics = (settings: Settings): Effect.Effect<ReadonlyArray<string>, ProducerUnavailable> =>
  ask(settings, 5_000, (admin) => admin.listTopics())

/** Of topics that exist, those of whose records Kafka keeps only the newest of each key. Needs the right to describe their configuration. */
export const compacted = (
  settings: Settings,
  names: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, ProducerUnavailable> =>
  ask(settings, 5_000, (admin) =>
    admin.describeConfigs({
      includeSynonyms: false,
      resources: names.map((name) => ({
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name,
        configNames: ["cleanup.policy"]
      }))
    })).pipe(
      Effect.map(({ resources }) =>
        resources.filter(({ configEntries }) =>
          configEntries.some(({ configValue }) => configValue.includes("compact"))
        )
          .map(({ resourceName }) => resourceName)
      )
    )

/** What is not said is the broker's default. */
export interface NewTopic {
  readonly partitions: number
  /** By topic: configuration of its own, as Kafka spells it. */
  readonly configs?: Readonly<Record<string, Readonly<Record<string, string>>>> | undefined
}

/** A topic that exists is left as it is. True if it was created; its partitions then take records, unless a broker is very slow. */
export const createTopic = (
  settings: Settings,
  topic: string,
  { configs, partitions }: NewTopic
): Effect.Effect<boolean, ProducerUnavailable> => {
  const limit = settings.timeouts.connection + 2 * settings.timeouts.request
  const create = ask(settings, limit, (admin) =>
    admin.createTopics({
      topics: [{
        topic,
        numPartitions: partitions,
        replicationFactor: -1,
        configEntries: Object.entries(configs?.[topic] ?? {}).map(([name, value]) => ({ name, value }))
      }],
      timeout: settings.timeouts.ack,
      // kafkajs waits for leaders, but not until all brokers know the topic: that is an error to it.
      waitForLeaders: false
    }))
  // Only the leader itself can tell where a partition ends.
  const awaitLeaders: Effect.Effect<void, ProducerUnavailable> = Effect.suspend(() =>
    ask(settings, limit, (admin) => admin.fetchTopicOffsets(topic))
  ).pipe(
    Effect.asVoid,
    Effect.catchIf(
      ({ reason }) => reason === "topic" || reason === "cluster",
      () => Effect.delay(awaitLeaders, 100)
    )
  )
  return Effect.tap(create, (created) =>
    created
      ? awaitLeaders.pipe(
        Effect.timeoutOption(limit),
        // The topic is there; whoever may create it need not be allowed to describe it.
        Effect.catchTag("ProducerUnavailable", (failure) => Effect.logDebug("topic not described", failure.message))
      )
      : Effect.void)
}
