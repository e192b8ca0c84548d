/** `exchange-feeds markets`: what an exchange lists, and what of it `MARKETS` and `SHARD` choose. */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Assignment from "../../../services/Assignment.ts"
import * as CircuitBreaker from "../../../services/CircuitBreaker.ts"
import * as FeedStatus from "../../../services/FeedStatus.ts"
import { Channel } from "../../../services/MarketEvent.ts"
import { adviceOf } from "../../../streams/Advice.ts"
import * as Board from "../../../streams/Board.ts"
import * as Breakers from "../../../streams/Breakers.ts"
import type { Exchange, Market } from "../../../streams/Exchange.ts"
import * as MarketList from "../../../streams/Markets.ts"
import * as Rest from "../../../streams/Rest.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as NodeProxy from "../../node/Proxy.ts"
import * as Output from "./Output.ts"

/** The list could not be had. */
export class MarketsFailed extends Schema.TaggedError<MarketsFailed>()("MarketsFailed", {
  message: Schema.String
}) {}

export interface Options {
  readonly json: boolean
}

/** What the exchange offers of a market, whatever CHANNELS says. */
const offered = ({ rest: { polling }, socket }: Exchange, market: Market): ReadonlyArray<Channel> =>
  Channel.literals.filter((channel) =>
    socket.topics(channel, market).length > 0 || (channel === "trades" && polling !== undefined)
  )

/**
 * Of the exchanges of EXCHANGES, in their order; tradable and chosen only, each with the channels that it has. What is left out, and globs that find
 * nothing: on stderr.
 */
export const markets = Effect.fnUntraced(function*(
  env: AppConfig.Environment,
  { json }: Options
): Effect.fn.Return<void, MarketsFailed | AppConfig.ConfigInvalid, FileSystem.FileSystem> {
  const { settings } = yield* AppConfig.load(env)
  for (const id of settings.exchanges) {
    const { endpoints, exchange, markets: globs, marketsSetting } = yield* AppConfig.choose(settings, id)
    const choice = yield* Effect.gen(function*() {
      const rest = yield* Rest.make({
        exchange: id,
        apiUrl: endpoints.apiUrl,
        restPerMinute: exchange.limits.restPerMinute,
        breaker: yield* CircuitBreaker.make(Breakers.optionsOf(exchange, "api", settings.api.breaker)),
        board: Board.make(FeedStatus.make([id]), id),
        refused: exchange.rest.refused,
        advice: adviceOf(exchange, endpoints)
      })
      return MarketList.choose(
        yield* rest.get(exchange.rest.markets.path, exchange.rest.markets.decode),
        MarketList.chosenBy({ globs, share: Assignment.share(settings.shard, id) }),
        new Set(),
        exchange.names
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(NodeProxy.httpClient(settings.proxy)),
      Effect.mapError(({ message, reason }) => new MarketsFailed({ message: `${id}: ${reason}: ${message}` }))
    )
    const { leftOut, markets, symbols } = choice
    const line = (market: Market) => {
      const { exchangeSymbol, symbol } = market
      const channels = offered(exchange, market)
      return json
        ? JSON.stringify({ exchange: id, symbol, exchangeSymbol, channels })
        : [id, symbol, exchangeSymbol, channels.join(",")].join("\t")
    }
    yield* Output.lines(Chunk.fromIterable(markets.map(line)))
    const vain = MarketList.Tidings.unmatched(globs, symbols)
    const remarks = [
      ...MarketList.Tidings.linesOf(leftOut),
      ...(vain.length === 0 ? [] : [MarketList.Tidings.unmatchedLine(vain, marketsSetting)])
    ]
    for (const remark of remarks) yield* Console.error(`${id}: ${remark}`)
  }
})
