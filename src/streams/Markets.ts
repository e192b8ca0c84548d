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
import * as DecodeFailure from "./DecodeFailure.ts"
import type { Exchange, Listed, Market } from "./Exchange.ts"
import type { Board } from "./Feed/Board.ts"
import * as Json from "./protocols/Json.ts"
import type { Rest } from "./Rest.ts"

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
  /** What is this collector's of them; all by default. */
  readonly share?: ((symbol: string) => boolean) | undefined
  readonly refresh: Duration.DurationInput
  readonly retry: RetryPolicy.Options
  readonly cache: Cache | undefined
  /** Told of each list, chosen and tradable only, in the exchange's order. Never told of an empty one. */
  readonly onList: (markets: ReadonlyArray<Market>) => Effect.Effect<void>
}

/** More than any exchange we know lists; an API gone mad must not open a hundred sockets (OPERATIONS.md section 7). */
const maxMarkets = 2000

const isCanonical = Schema.is(CanonicalSymbol)

const exchangeSymbolPattern = /^[A-Za-z0-9_]{1,64}$/

/** Wallex says TMN for Toman; the Iranian quote is always IRT. */
const quoteOf = (quote: string): string => quote === "TMN" ? "IRT" : quote

/** The market of a row of the list; its symbols are allow-listed, since they end in keys, labels and frames. */
export const marketOf = (listed: Listed): Either.Either<Market, DecodeFailure.DecodeFailure> => {
  const symbol = `${listed.base.toUpperCase()}/${quoteOf(listed.quote.toUpperCase())}`
  return isCanonical(symbol) && exchangeSymbolPattern.test(listed.exchangeSymbol)
    ? Either.right({ symbol, exchangeSymbol: listed.exchangeSymbol })
    : Either.left(DecodeFailure.make("symbol", `${listed.exchangeSymbol}: ${symbol}`))
}

/** Whether a canonical symbol is chosen: `*` stands for any characters, `?` for one. No globs choose everything. */
export const matcher = (globs: ReadonlyArray<string>): (symbol: string) => boolean => {
  if (globs.length === 0) return () => true
  const patterns = globs.map((glob) => {
    const escaped = glob.toUpperCase().replaceAll(/[\\^$.|+()[\]{}]/g, "\\$&")
    return new RegExp(`^${escaped.replaceAll(/\*+/g, ".*").replaceAll("?", ".")}$`)
  })
  return (symbol) => patterns.some((pattern) => pattern.test(symbol))
}

/** By globs, and ours. */
export const chosenBy = (
  { globs, share }: Pick<Options, "globs" | "share">
): (symbol: string) => boolean => {
  const matches = matcher(globs)
  return share === undefined ? matches : (symbol) => matches(symbol) && share(symbol)
}

export interface Choice {
  readonly markets: ReadonlyArray<Market>
  readonly failures: ReadonlyArray<DecodeFailure.DecodeFailure>
}

/**
 * Tradable, chosen, each once. `known`: canonical symbols of the list before. They keep their places when a list is too long: an API
 * gone mad must not push living markets out.
 */
export const choose = (
  rows: ReadonlyArray<Either.Either<Listed, DecodeFailure.DecodeFailure>>,
  isChosen: (symbol: string) => boolean,
  known: ReadonlySet<string> = new Set()
): Choice => {
  const listed = new Map<string, Market>()
  const failures: Array<DecodeFailure.DecodeFailure> = []
  for (const row of rows) {
    if (Either.isRight(row) && !row.right.tradable) continue
    const market = Either.flatMap(row, marketOf)
    if (Either.isLeft(market)) failures.push(market.left)
    else if (!isChosen(market.right.symbol)) continue
    else if (listed.has(market.right.symbol)) {
      failures.push(DecodeFailure.make("symbol", `${market.right.symbol} is listed twice`))
    } else listed.set(market.right.symbol, market.right)
  }
  const all = Array.from(listed.values())
  if (all.length <= maxMarkets) return { markets: all, failures }
  let room = maxMarkets - all.filter(({ symbol }) => known.has(symbol)).length
  const markets: Array<Market> = []
  for (const market of all) {
    if (known.has(market.symbol) || room-- > 0) markets.push(market)
    else failures.push(DecodeFailure.make("too_large", market.symbol))
  }
  return { markets, failures }
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
    const { failures, markets } = choose(rows, isChosen, new Set(last.map(({ symbol }) => symbol)))
    for (const { reason } of failures) board.failure(reason)
    board.show()
    const beyond = failures.filter(({ reason }) => reason === "too_large").length
    if (beyond > 0) yield* annotate(Effect.logWarning(`more than ${maxMarkets} markets are listed; left out`, beyond))
    if (markets.length === 0) yield* annotate(Effect.logWarning("no market is chosen", options.globs))
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

  /** Closes the API's breaker, which a list each ten minutes would leave open (DELIVERY.md section 6). */
  const check = Effect.suspend(() => {
    const market = last[0]
    return market === undefined
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
