/**
 * Which markets an exchange has: its list, fetched again and again, and the last good one when it cannot be had.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { CanonicalSymbol } from "../services/MarketEvent.ts"
import * as RetryPolicy from "../services/RetryPolicy.ts"
import type { Board } from "./Board.ts"
import * as DecodeFailure from "./DecodeFailure.ts"
import type { Exchange, Market } from "./Exchange.ts"
import { choose, chosenBy } from "./Markets/Choice.ts"
import * as Tidings from "./Markets/Tidings.ts"
import * as Json from "./protocols/Json.ts"
import type { Rest } from "./Rest.ts"

export { type Choice, choose, chosenBy, type LeftOut, matcher } from "./Markets/Choice.ts"
export * as Tidings from "./Markets/Tidings.ts"

/** The last good list, kept by the app; text of ours. */
export interface Cache {
  readonly load: Effect.Effect<string | undefined>
  readonly save: (json: string) => Effect.Effect<void>
}

export interface Options {
  readonly exchange: Exchange
  readonly rest: Rest
  readonly board: Board
  /** Globs over canonical symbols; empty: all. */
  readonly globs: ReadonlyArray<string>
  /** The setting that has them, to be named where one finds nothing; `MARKETS` by default. */
  readonly setting?: string | undefined
  /** What is this collector's of them; all by default. */
  readonly share?: ((symbol: string) => boolean) | undefined
  readonly refresh: Duration.DurationInput
  readonly retry: RetryPolicy.Options
  readonly cache: Cache | undefined
  /** Others ask the API all the time: no check is needed to know whether it answers. */
  readonly isProbed?: boolean | undefined
  /** Told of each list, chosen and tradable only, in the exchange's order. Never told of an empty one. */
  readonly onList: (markets: ReadonlyArray<Market>) => Effect.Effect<void>
  /** Told of what is left out of a list, and of globs that find nothing, when that changes. */
  readonly onTidings: (event: Tidings.Event) => Effect.Effect<void>
}

const Cached = Schema.Array(Schema.Struct({ symbol: CanonicalSymbol, exchangeSymbol: Schema.String }))
const decodeCached = Schema.decodeUnknownEither(Cached)

const jitter = (around: Duration.Duration): Effect.Effect<Duration.Duration> =>
  Effect.map(Random.nextRange(0.85, 1.15), (factor) => Duration.times(around, factor))

const checkInterval = Duration.seconds(12)

/** Keeps the list up to date for ever, and asks whether the API is there in between. */
export const watch = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<never> {
  const { board, cache, exchange, rest } = options
  const isChosen = chosenBy(options)
  const annotate = Effect.annotateLogs({ exchange: exchange.id })
  const first = yield* Effect.makeLatch(false)
  let last: ReadonlyArray<Market> = []
  let saved = ""
  let told = Tidings.nothing

  const use = (markets: ReadonlyArray<Market>): Effect.Effect<void> => {
    last = markets
    return Effect.andThen(options.onList(markets), first.open)
  }

  const keep = (markets: ReadonlyArray<Market>): Effect.Effect<void> => {
    const json = JSON.stringify(markets)
    if (cache === undefined || json === saved) return Effect.void
    saved = json
    return cache.save(json)
  }

  /** What was chosen then may not be what is chosen now. */
  const fromCache = Effect.gen(function*() {
    if (cache === undefined || last.length > 0) return
    const json = yield* cache.load
    if (json === undefined) return
    const decoded = Either.flatMap(Json.parse(json, Json.bodyLimits), decodeCached)
    const markets = Either.isRight(decoded) ? decoded.right.filter(({ symbol }) => isChosen(symbol)) : []
    if (markets.length === 0) return
    yield* annotate(Effect.logWarning("the list of markets cannot be had; the last good one is used", markets.length))
    yield* use(markets)
  })

  const fetched = Effect.gen(function*() {
    const rows = yield* rest.get(exchange.rest.markets.path, (body) =>
      Either.filterOrLeft(
        exchange.rest.markets.decode(body),
        // An exchange that has lost all its markets has lost its mind: what trades, trades on.
        (rows) => rows.some((row) => Either.isRight(row) && row.right.tradable),
        () => DecodeFailure.make("schema", "a list without a tradable market")
      ))
    const choice = choose(rows, isChosen, new Set(last.map(({ symbol }) => symbol)), exchange.names)
    const { failures, leftOut, markets } = choice
    const tidings = Tidings.tell(told, choice, options.globs, options.setting)
    told = tidings.told
    // What is left out counts once; a row that cannot be read with each list, as anything that was not understood.
    const again = new Set(leftOut.filter(({ name }) => !tidings.fresh.has(name)).map(({ failure }) => failure))
    for (const failure of failures) if (!again.has(failure)) board.failure(failure.reason)
    board.leftOut(tidings.leftOut)
    board.show()
    yield* Effect.forEach(tidings.lines, (text) => annotate(Effect.logWarning(text)), { discard: true })
    yield* Effect.forEach(tidings.events, options.onTidings, { discard: true })
    yield* use(markets)
    yield* keep(markets)
  })

  const untilFetched = fetched.pipe(
    Effect.tapError((error) =>
      annotate(Effect.logWarning("no list of markets", `${error.reason}: ${error.message}`)).pipe(
        Effect.andThen(fromCache),
        // On top of the back-off, which alone would come too early.
        Effect.andThen(error.retryAfter === undefined ? Effect.void : Effect.sleep(error.retryAfter))
      )
    ),
    Effect.retry(RetryPolicy.forever(options.retry)),
    // The schedule has no end: nothing can fail beyond it.
    Effect.orDie
  )

  /** Closes the API's breaker, which a list each ten minutes would leave open (docs/design/breaker-and-retry.md "What counts as a call"). */
  const check = Effect.suspend(() => {
    const market = last[0]
    return market === undefined || options.isProbed === true
      ? Effect.void
      : rest.get(exchange.rest.check.path(market), exchange.rest.check.decode).pipe(
        Effect.retry({
          schedule: RetryPolicy.bounded(options.retry),
          while: ({ retryAfter }) => retryAfter === undefined
        }),
        Effect.catchTag(
          "RestError",
          (error) =>
            annotate(Effect.logDebug("the API does not answer", `${error.reason}: ${error.message}`)).pipe(
              Effect.andThen(error.retryAfter === undefined ? Effect.void : Effect.sleep(error.retryAfter))
            )
        )
      )
  })

  return yield* Effect.raceFirst(
    Effect.forever(Effect.andThen(untilFetched, Effect.sleep(options.refresh))),
    Effect.andThen(
      first.await,
      Effect.forever(Effect.andThen(Effect.flatMap(jitter(checkInterval), Effect.sleep), check))
    )
  )
})
