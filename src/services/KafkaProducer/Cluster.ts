/**
 * What is asked of the cluster beside sending: does it answer, and does a topic exist. Each question has a connection of its
 * own, which cannot be stuck.
 */
import * as Effect from "effect/Effect"
import kafkajs, { type Admin } from "kafkajs"
import { classify, unavailable } from "./classify.ts"
import { configOf, type Settings } from "./Client.ts"
import type { KafkaUnavailable } from "./KafkaError.ts"
import { makeSockets } from "./Transport.ts"

const noDial = () => {}

/** Runs `use` within `limit` milliseconds; afterwards no socket is left. */
const ask = <A>(
  settings: Settings,
  limit: number,
  use: (admin: Admin) => Promise<A>
): Effect.Effect<A, KafkaUnavailable> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const sockets = makeSockets(settings.transport, noDial)
      const timeouts = {
        ...settings.timeouts,
        connection: Math.min(limit, settings.timeouts.connection),
        request: Math.min(limit, settings.timeouts.request)
      }
      const kafka = new kafkajs.Kafka(configOf({ ...settings, timeouts }, sockets.open))
      return { admin: kafka.admin({ retry: { retries: 0 } }), sockets }
    }),
    ({ admin }) =>
      Effect.tryPromise({
        try: () => admin.connect().then(() => use(admin)),
        catch: (cause) => {
          const failure = classify(cause)
          return failure._tag === "KafkaUnavailable" ? failure : unavailable("cluster", failure.message, cause)
        }
      }).pipe(Effect.timeoutFail({
        duration: limit,
        onTimeout: () => unavailable("timeout", `no answer from Kafka within ${limit} ms`)
      })),
    ({ admin, sockets }) =>
      Effect.sync(() => {
        sockets.close()
        admin.disconnect().then(() => {}, () => {}) // stops its timers; the sockets are gone
      })
  )

export const probe = (settings: Settings): Effect.Effect<void, KafkaUnavailable> =>
  Effect.asVoid(ask(settings, 2_000, (admin) => admin.describeCluster()))

/** A topic that exists is left as it is. True if it was created. */
export const createTopic = (
  settings: Settings,
  topic: string,
  numPartitions: number
): Effect.Effect<boolean, KafkaUnavailable> =>
  ask(settings, settings.timeouts.connection + 2 * settings.timeouts.request, (admin) =>
    admin.createTopics({
      topics: [{ topic, numPartitions, replicationFactor: -1 }],
      timeout: settings.timeouts.ack,
      waitForLeaders: true
    }))
