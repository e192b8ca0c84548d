/**
 * `exchange-feeds check`: what would go wrong at the first run, one line each: settings, the data directory, Kafka step by step, one
 * handshake with each exchange. Changes nothing that was there.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as dns from "node:dns/promises"
import * as net from "node:net"
import { DirectoryLock } from "../../services/DirectoryLock.ts"
import * as FeedStatus from "../../services/FeedStatus.ts"
import { FileOps, replaceFile } from "../../services/FileOps.ts"
import { messageOf } from "../../services/Health.ts"
import { KafkaProducer, type Options as KafkaOptions } from "../../services/KafkaProducer.ts"
import * as AppConfig from "../AppConfig.ts"
import * as AppLayer from "../AppLayer.ts"
import * as NodeDirectoryLock from "../NodeDirectoryLock.ts"
import * as NodeFileOps from "../NodeFileOps.ts"
import * as NodeKafka from "../NodeKafka.ts"
import * as Alone from "./Alone.ts"

/** Something would go wrong; each thing was told. */
export class CheckFailed extends Schema.TaggedError<CheckFailed>()("CheckFailed", {
  message: Schema.String
}) {}

class Problem extends Schema.TaggedError<Problem>()("Problem", { message: Schema.String }) {}

const problem = (error: unknown): Problem =>
  new Problem({ message: messageOf(error instanceof Error ? error.message : String(error)) })

/** What to say when it is well. */
type Finding = Effect.Effect<string, Problem, FileSystem.FileSystem>

const patience = Duration.seconds(15)

export const check = Effect.fnUntraced(function*(
  env: AppConfig.Environment
): Effect.fn.Return<void, CheckFailed, FileSystem.FileSystem> {
  let failures = 0
  const tell = (what: string, finding: Finding) =>
    finding.pipe(
      Effect.timeoutFail({
        duration: patience,
        onTimeout: () => new Problem({ message: `no answer within ${Duration.format(patience)}` })
      }),
      Effect.matchEffect({
        onSuccess: (text) => Effect.as(Console.log(`ok      ${what}: ${text}`), true),
        onFailure: ({ message }) => {
          failures += 1
          return Effect.as(Console.log(`FAILED  ${what}: ${message}`), false)
        }
      })
    )

  const loaded = yield* Effect.either(AppConfig.load(env))
  if (loaded._tag === "Left") {
    const { problems } = loaded.left
    yield* Effect.forEach(problems, ({ name, problem }) => Console.log(`FAILED  ${name}: ${problem}`), {
      discard: true
    })
    return yield* new CheckFailed({ message: `${problems.length} settings are not valid` })
  }
  const { settings, warnings } = loaded.right
  yield* Console.log(`ok      configuration: ${settings.exchanges.join(", ")} to ${destination(settings)}`)
  for (const warning of warnings) yield* Console.log(`note    ${warning}`)

  yield* tell("data directory", dataDirectory(settings))
  yield* tell("disk", disk(settings))
  if (settings.sink === "kafka") {
    const reached: Array<boolean> = []
    for (const broker of settings.kafka.brokers) reached.push(yield* tell(`kafka at ${broker}`, reachable(broker)))
    // What cannot be reached has no more to say.
    if (reached.includes(true)) yield* kafka(settings, tell)
  }
  yield* Effect.forEach(settings.exchanges, (exchange) => tell(exchange, handshake(settings, exchange)), {
    concurrency: "unbounded"
  })
  if (failures > 0) return yield* new CheckFailed({ message: `${failures} checks failed` })
})

// internal

const destination = (settings: AppConfig.Settings): string => {
  switch (settings.sink) {
    case "kafka":
      return settings.kafka.brokers.join(", ")
    case "file":
      return AppLayer.outDirectory(settings)
    case "stdout":
      return "stdout"
  }
}

const dataDirectory = ({ dataDir }: AppConfig.Settings): Finding =>
  Effect.scoped(Effect.gen(function*() {
    yield* Effect.flatMap(DirectoryLock, (lock) => lock.acquire(dataDir))
    const files = yield* FileOps
    const path = `${dataDir}/check`
    yield* replaceFile(files, path, new Uint8Array(1))
    yield* files.unlink(path)
    return `${dataDir} is ours, and can be written`
  })).pipe(
    Effect.mapError(problem),
    Effect.provide(NodeDirectoryLock.layer),
    Effect.provide(NodeFileOps.layer)
  )

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MiB`

const disk = ({ dataDir, queue }: AppConfig.Settings): Finding =>
  Effect.flatMap(FileOps, (files) => files.freeBytes(dataDir)).pipe(
    Effect.mapError(problem),
    Effect.filterOrFail(
      (free) => free >= queue.maxBytes,
      (free) => new Problem({ message: `${mebibytes(free)} free, and QUEUE_MAX_BYTES is ${mebibytes(queue.maxBytes)}` })
    ),
    Effect.map((free) => `${mebibytes(free)} free, room for a queue of ${mebibytes(queue.maxBytes)}`),
    Effect.provide(NodeFileOps.layer)
  )

const connectTimeout = 3_000

/** DNS, then TCP: which of the two it is, is what one wants to know. */
const reachable = (broker: string): Finding =>
  Effect.gen(function*() {
    const colon = broker.lastIndexOf(":")
    const host = broker.slice(0, colon).replace(/^\[(.*)\]$/, "$1")
    const { address } = yield* Effect.tryPromise({ try: () => dns.lookup(host), catch: problem })
    yield* Effect.async<void, Problem>((resume) => {
      const socket = net.connect({ host: address, port: Number(broker.slice(colon + 1)), timeout: connectTimeout })
      const end = (effect: Effect.Effect<void, Problem>) => {
        socket.destroy()
        resume(effect)
      }
      socket.once("connect", () => end(Effect.void))
      socket.once("timeout", () =>
        end(new Problem({ message: `${address} does not answer within ${connectTimeout} ms` })))
      socket.once("error", (error) =>
        end(problem(error)))
      return Effect.sync(() => socket.destroy())
    })
    return address === host ? "connected" : `${address}, connected`
  })

/** What the cluster tells of itself, step by step; after the first that fails there is no more to be said. */
const kafka = (
  settings: AppConfig.Settings,
  tell: (what: string, finding: Finding) => Effect.Effect<boolean, never, FileSystem.FileSystem>
) =>
  Effect.gen(function*() {
    const topics = AppLayer.topicsOf(settings)
    const options = yield* Effect.either(AppLayer.kafkaOptions(settings.kafka))
    if (options._tag === "Left") return yield* tell("kafka", Effect.fail(problem(options.left)))
    const brokers: Array<string> = []
    const { protocol } = settings.kafka.security
    const login = NodeKafka.advertised(options.right).pipe(
      Effect.mapBoth({ onFailure: problem, onSuccess: (names) => brokers.push(...names) }),
      Effect.as(protocol)
    )
    if (!(yield* tell("kafka login", login))) return false
    // A client goes to each broker by the name that the cluster gives it, whatever is in the settings.
    const reached = yield* Effect.forEach(
      brokers.filter((broker) => !settings.kafka.brokers.includes(broker)),
      (broker) =>
        tell(
          `kafka at ${broker}`,
          reachable(broker).pipe(
            Effect.mapError(({ message }) =>
              new Problem({
                message: `${message}; this is the name that the cluster advertises (advertised.listeners)`
              })
            )
          )
        )
    )
    if (reached.includes(false)) return false
    return yield* tell(
      "kafka topics",
      Effect.flatMap(KafkaProducer, ({ missing }) => missing(topics)).pipe(
        Effect.mapError(problem),
        Effect.filterOrFail(
          (missing) => missing.length === 0 || settings.kafka.createTopics,
          (missing) => new Problem({ message: `${missing.join(", ")} missing, and KAFKA_CREATE_TOPICS is off` })
        ),
        Effect.tap((missing) => notCompacted(options.right, topics.filter((topic) => !missing.includes(topic)))),
        Effect.map((missing) => missing.length === 0 ? topics.join(", ") : `${missing.join(", ")} will be made`),
        Effect.provide(NodeKafka.layer(options.right))
      )
    )
  })

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

const handshake = (settings: AppConfig.Settings, exchange: AppConfig.Settings["exchanges"][number]): Finding =>
  Effect.suspend(() => {
    const status = FeedStatus.make([exchange])
    const why = () => {
      const [one] = status.exchanges()
      if (one?.api.ok !== true) return `API: ${one?.api.message ?? "no answer"}`
      return `WebSocket: ${one.lastError ?? "no answer"}`
    }
    return Alone.events(settings, { exchange, markets: settings.markets }).pipe(
      Stream.filter((event) => event.type === "status" && event.event === "connected"),
      Stream.runHead,
      Effect.provideService(FeedStatus.FeedStatus, status),
      // Less than the patience of all: then it is known why.
      Effect.timeoutOption("12 seconds"),
      Effect.map(Option.flatten),
      Effect.flatMap(Option.match({
        onNone: () => Effect.fail(new Problem({ message: messageOf(why()) })),
        onSome: () => Effect.succeed(`${status.exchanges()[0]?.listed ?? 0} markets, WebSocket connected`)
      }))
    )
  })
