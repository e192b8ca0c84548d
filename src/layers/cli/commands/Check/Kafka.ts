/** Kafka, step by step: each name, each port, the login, where the cluster sends its clients, the topics. */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Address from "../../../../services/Address.ts"
import { Producer } from "../../../../services/Producer.ts"
import { type Options as KafkaOptions } from "../../../../services/producers/Kafkajs.ts"
import type * as AppConfig from "../../../AppConfig.ts"
import * as AppLayer from "../../../AppLayer.ts"
import * as NodeKafka from "../../../node/Kafka.ts"
import { reachable, type Tell } from "./Finding.ts"
import { Problem, problem } from "./Problem.ts"

/** From the addresses of the configuration to the topics; what cannot be reached has no more to say. */
export const kafka = Effect.fnUntraced(function*(
  settings: AppConfig.Settings,
  tell: Tell
): Effect.fn.Return<void, never, FileSystem.FileSystem> {
  let isThere = false
  for (const broker of settings.kafka.brokers) {
    const what = `kafka at ${broker}`
    if (yield* tell(what, reachable(what, brokerOf(broker)))) isThere = true
  }
  if (!isThere) return
  const topics = AppLayer.topicsOf(settings)
  const options = yield* Effect.either(AppLayer.kafkaOptions(settings.kafka))
  if (options._tag === "Left") return void (yield* tell("kafka", Effect.fail(problem(options.left))))
  let brokers: ReadonlyArray<string> = []
  // By one of the brokers that are configured, whatever the cluster calls itself: a name that leads nowhere is no login that fails.
  const login = NodeKafka.advertised(options.right).pipe(
    Effect.mapError(problem),
    Effect.map((addresses) => {
      brokers = addresses.map(Address.format)
      return settings.kafka.security.protocol
    })
  )
  if (!(yield* tell("kafka login", login))) return
  let isReached = true
  for (const broker of brokers.filter((one) => !settings.kafka.brokers.includes(one))) {
    const way = Effect.mapError(reachable(`kafka broker ${broker}`, brokerOf(broker)), ({ message }) =>
      new Problem({
        message: `${message}; it is where the cluster tells its clients to connect (advertised.listeners)`
      }))
    if (!(yield* tell(`kafka broker ${broker}`, way))) isReached = false
  }
  if (!isReached) return
  yield* tell(
    "kafka topics",
    Effect.flatMap(Producer, ({ missing }) => missing(topics)).pipe(
      Effect.mapError(problem),
      Effect.provide(NodeKafka.layer(options.right)),
      Effect.filterOrFail(
        (missing) => missing.length === 0 || settings.kafka.createTopics,
        (missing) => new Problem({ message: `${missing.join(", ")} missing, and KAFKA_CREATE_TOPICS is off` })
      ),
      Effect.tap((missing) => notCompacted(options.right, topics.filter((topic) => !missing.includes(topic)))),
      Effect.map((missing) => missing.length === 0 ? topics.join(", ") : `${missing.join(", ")} will be made`)
    )
  )
})

// internal

/** Who may not describe a topic is not told what it is like. */
const notCompacted = (options: KafkaOptions, topics: ReadonlyArray<string>): Effect.Effect<void, Problem> =>
  topics.length === 0 ? Effect.void : NodeKafka.compacted(options, topics).pipe(
    Effect.catchIf(({ reason }) => reason === "authorization", () => Effect.succeed([])),
    Effect.mapError(problem),
    Effect.filterOrFail(
      (compacted) => compacted.length === 0,
      (compacted) => new Problem({ message: `${compacted.join(", ")}: ${AppLayer.compaction}` })
    )
  )

const brokerOf = (broker: string): Address.Address => Address.parse(broker) ?? { host: broker, port: 0 }
