/**
 * `exchange-feeds check`: what would go wrong at the first run, one line each: settings, the data directory, Kafka step by step, the
 * proxy, one handshake with each exchange and a look at its clock. Changes nothing that was there.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { DirectoryLock } from "../../../services/DirectoryLock.ts"
import { FileOps, replaceFile } from "../../../services/FileOps.ts"
import { Exchanges } from "../../../streams/Exchanges.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as AppLayer from "../../AppLayer.ts"
import * as BookCost from "../../BookCost.ts"
import * as NodeDirectoryLock from "../../node/DirectoryLock.ts"
import * as NodeFileOps from "../../node/FileOps.ts"
import * as Inodes from "../../node/Inodes.ts"
import { connected, tunnels, viaProxy } from "./Check/Exchange.ts"
import type { Finding, Tell } from "./Check/Finding.ts"
import { kafka } from "./Check/Kafka.ts"
import { Problem, problem } from "./Check/Problem.ts"

/** Something would go wrong; each thing was told. */
export class CheckFailed extends Schema.TaggedError<CheckFailed>()("CheckFailed", {
  message: Schema.String
}) {}

const patience = Duration.seconds(30)

export const check = Effect.fnUntraced(function*(
  env: AppConfig.Environment
): Effect.fn.Return<void, CheckFailed, FileSystem.FileSystem> {
  let failures = 0
  const tell: Tell = (what, finding) =>
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
  const books = [...(yield* AppLayer.withoutBooks(settings)), ...(yield* AppLayer.withFewerLevels(settings))]
  for (const warning of [...warnings, ...books]) {
    yield* Console.log(`note    ${warning}`)
  }

  yield* tell("data directory", dataDirectory(settings))
  yield* tell("disk", disk(settings))
  if (settings.sink === "kafka") yield* kafka(settings, tell)
  const exchanges = yield* Effect.forEach(settings.exchanges, (id) => AppConfig.choose(settings, id)).pipe(
    Effect.mapError(({ message }) => new CheckFailed({ message }))
  )
  const proxied = exchanges.filter((exchange) => viaProxy(settings, exchange).length > 0)
  const hasWay = proxied.length === 0 || (yield* tell("proxy", tunnels(settings, proxied)))
  const listed = new Map<string, number>()
  yield* Effect.forEach(
    exchanges.filter((exchange) => hasWay || !proxied.includes(exchange)),
    (exchange) =>
      tell(exchange.exchange.id, connected(settings, exchange, (count) => listed.set(exchange.exchange.id, count))),
    { concurrency: "unbounded" }
  )
  for (const line of BookCost.lines(settings, yield* Exchanges, listed)) yield* Console.log(`note    ${line}`)
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
    Effect.tap(() =>
      Effect.try({ try: () => Inodes.areThere(dataDir), catch: problem }).pipe(
        Effect.filterOrFail((are) => are, () => new Problem({ message: Inodes.none }))
      )
    ),
    Effect.filterOrFail(
      (free) => free >= queue.maxBytes,
      (free) => new Problem({ message: `${mebibytes(free)} free, and QUEUE_MAX_BYTES is ${mebibytes(queue.maxBytes)}` })
    ),
    Effect.map((free) => `${mebibytes(free)} free, room for a queue of ${mebibytes(queue.maxBytes)}`),
    Effect.provide(NodeFileOps.layer)
  )
