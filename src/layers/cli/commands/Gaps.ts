/**
 * `exchange-feeds gaps`: the holes in trades that are neither filled nor given up. Of a running service; if none answers, those that
 * its checkpoint has for the next life. Owns nothing and changes nothing.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Checkpoint from "../../../services/Checkpoint.ts"
import { FileOps, type FileOpsError } from "../../../services/FileOps.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as DataDirectory from "../../DataDirectory.ts"
import * as NodeFileOps from "../../node/FileOps.ts"
import * as Observability from "../../Observability.ts"
import * as Holes from "../../OpenHoles.ts"
import * as Arguments from "../Arguments.ts"
import * as Healthcheck from "./Healthcheck.ts"
import * as Output from "./Output.ts"

/** What answers is no service of this version, or the checkpoint cannot be read. */
export class GapsFailed extends Schema.TaggedError<GapsFailed>()("GapsFailed", {
  message: Schema.String
}) {}

export interface Options {
  /** One JSON object a line: `Holes.Hole`, and `source`, `service` or `checkpoint`. */
  readonly json: boolean
  /** Only a service there; by default where HEALTH_HOST and HEALTH_PORT say, and if none answers the checkpoint in DATA_DIR. */
  readonly url: string | undefined
  /** Only the checkpoint there. */
  readonly dataDir: string | undefined
}

interface Found {
  readonly source: "service" | "checkpoint"
  readonly holes: ReadonlyArray<Holes.Hole>
}

type Failure = Healthcheck.Unhealthy | GapsFailed | Arguments.UsageError | AppConfig.ConfigInvalid

export const gaps = (
  env: AppConfig.Environment,
  terminal: Observability.Terminal,
  options: Options
): Effect.Effect<void, Failure, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const { holes, source } = yield* find(env, options)
    const lines = options.json
      ? holes.map((hole) => JSON.stringify({ ...hole, source }))
      : holes.length === 0
      ? ["no open holes"]
      : Output.columns([Holes.columns.map((name) => name.toUpperCase()), ...holes.map(texts)])
    yield* Output.lines(Chunk.fromIterable(lines))
  }).pipe((effect) =>
    // What the checkpoint has to say of itself goes to stderr.
    Effect.flatMap(AppConfig.loadLog(env), (log) => Effect.provide(effect, Observability.layer(log, terminal)))
  )

// internal

const texts = (hole: Holes.Hole): ReadonlyArray<string> =>
  Holes.cells(hole).map((cell) => Observability.sanitise(String(cell ?? "-")))

const find = Effect.fnUntraced(function*(env: AppConfig.Environment, { dataDir, url }: Options) {
  if (dataDir !== undefined && url !== undefined) {
    return yield* new Arguments.UsageError({ message: "--url and --data-dir exclude each other" })
  }
  if (dataDir !== undefined) return yield* ofCheckpoint(dataDir)
  const base = Healthcheck.baseUrl(env, url)
  if (url !== undefined) return yield* Effect.flatMap(base, ofService)
  const { settings } = yield* AppConfig.load(env)
  return yield* base.pipe(
    Effect.flatMap((base) =>
      ofService(base).pipe(
        Effect.catchTag("Unhealthy", () => new Healthcheck.Unhealthy({ message: `no service answers at ${base}` }))
      )
    ),
    Effect.catchTag("Unhealthy", ({ message }) =>
      Effect.andThen(
        Console.error(`${message}: reading the checkpoint in ${settings.dataDir}`),
        ofCheckpoint(settings.dataDir)
      ))
  )
})

// a running service

const Hole = Schema.Struct({
  symbol: Schema.String,
  cause: Schema.String,
  from: Schema.NullOr(Schema.String),
  to: Schema.NullOr(Schema.String),
  gapId: Schema.NullOr(Schema.String),
  recovered: Schema.Number,
  published: Schema.Boolean,
  waiting: Schema.Number,
  ageMs: Schema.Number,
  awaits: Schema.String
})

const decode = Schema.decodeUnknownEither(
  Schema.parseJson(
    Schema.Struct({
      exchanges: Schema.Array(Schema.Struct({ exchange: Schema.String, openHoles: Schema.Array(Hole) }))
    })
  )
)

const ofService = (base: string): Effect.Effect<Found, Healthcheck.Unhealthy | GapsFailed> =>
  Effect.flatMap(Healthcheck.get(`${base}/api/status`), ({ text }) => {
    const status = decode(text)
    return Either.isRight(status)
      ? Effect.succeed({ source: "service" as const, holes: Holes.all(status.right.exchanges) })
      : new GapsFailed({
        message: `what answers at ${base} is no exchange-feeds, or one of another version, and tells no open holes; ` +
          "--data-dir reads a checkpoint instead"
      })
  })

// the checkpoint

const failed = ({ message }: { readonly message: string }): GapsFailed => new GapsFailed({ message })

/** A service that runs beside us may begin a new file and remove the old ones while we read them: then once more. */
const maxReads = 10

const ofCheckpoint = (directory: string): Effect.Effect<Found, GapsFailed> =>
  Layer.build(NodeFileOps.layer).pipe(
    Effect.flatMap((context) => read(Context.get(context, FileOps), directory)),
    Effect.map((holes): Found => ({ source: "checkpoint", holes })),
    Effect.scoped
  )

/** The open holes of a checkpoint's files. */
export const read = Effect.fnUntraced(function*(
  files: FileOps["Type"],
  directory: string
): Effect.fn.Return<ReadonlyArray<Holes.Hole>, GapsFailed> {
  for (let n = 0; n < maxReads; n++) {
    const before = yield* namesIn(files, directory)
    if (before.length === 0) return yield* new GapsFailed({ message: `${directory} holds no checkpoint` })
    const checkpoint = yield* Effect.mapError(
      Checkpoint.make(DataDirectory.checkpointStore(files, directory)),
      failed
    )
    const markets = yield* checkpoint.markets
    const after = new Set(yield* namesIn(files, directory))
    if (before.every((name) => after.has(name))) return holesOf(markets)
  }
  return yield* new GapsFailed({ message: `the checkpoint in ${directory} changes too fast to be read` })
})

const namesIn = (files: FileOps["Type"], directory: string): Effect.Effect<ReadonlyArray<string>, GapsFailed> =>
  files.readDirectory(directory).pipe(
    Effect.map((names) => names.filter((name) => name.startsWith("checkpoint"))),
    Effect.catchIf(({ code }: FileOpsError) => code === "ENOENT", () => Effect.succeed([])),
    Effect.mapError(failed)
  )

const holesOf = (markets: ReadonlyMap<string, Checkpoint.MarketMemory>): ReadonlyArray<Holes.Hole> =>
  Array.from(markets).flatMap(([key, { holes = [] }]) => {
    const cut = key.indexOf(":")
    return holes.filter(({ over }) => over === null).map(({ cause, from, gapId, recovered, to }) => ({
      exchange: key.slice(0, cut),
      symbol: key.slice(cut + 1),
      cause,
      from,
      to,
      gapId,
      recovered,
      // It has its id before it is told, so that a crash between the two leaves one hole and not two.
      published: gapId === null ? false : null,
      waiting: null,
      ageMs: null,
      awaits: "the next start"
    }))
  })
