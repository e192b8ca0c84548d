/** One exchange's feed by itself, as `run` would have it: no queue, no Kafka, no memory of earlier lives. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as CircuitBreaker from "../../../services/CircuitBreaker.ts"
import * as FeedStatus from "../../../services/FeedStatus.ts"
import { messageOf } from "../../../services/Health.ts"
import type { Channel, MarketEvent } from "../../../services/MarketEvent.ts"
import * as Breakers from "../../../streams/Breakers.ts"
import * as Defaults from "../../../streams/Defaults.ts"
import * as Feed from "../../../streams/Feed.ts"
import type { Recorder } from "../../../streams/Recorder.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as NodeProxy from "../../node/Proxy.ts"
import * as NodeWebSocket from "../../node/WebSocket.ts"

/** In its time nothing came of the exchange, not even a connection. */
export class Unreached extends Schema.TaggedError<Unreached>()("Unreached", {
  message: Schema.String
}) {}

/** The environment with what an option says in place of a setting. */
export const chosen = (
  env: AppConfig.Environment,
  options: { readonly channel: Channel | undefined; readonly exchange: string; readonly markets: string | undefined }
): AppConfig.Environment => {
  const { channel, exchange, markets } = options
  const channels = channel === undefined ? {} : { CHANNELS: channel, CHANNELS_FILE: undefined }
  return { ...AppConfig.withMarkets(env, exchange, markets), ...channels }
}

/** Never fails, and ends only with its consumer. */
export const events = (
  settings: AppConfig.Settings,
  { endpoints, exchange, markets, marketsSetting }: AppConfig.Chosen,
  recorder?: Recorder
): Stream.Stream<MarketEvent> =>
  Stream.unwrap(Effect.gen(function*() {
    return Feed.live(exchange, {
      endpoints,
      channels: settings.channels,
      books: settings.books,
      markets,
      marketsSetting,
      subscriptionsPerConnection: settings.ws.subscriptionsPerConnection,
      stagger: settings.ws.stagger,
      idleTimeout: settings.ws.idleTimeout,
      breakers: {
        api: yield* CircuitBreaker.make(Breakers.optionsOf(exchange, "api", settings.api.breaker)),
        ws: yield* CircuitBreaker.make(Breakers.optionsOf(exchange, "ws", settings.ws.breaker))
      },
      retry: settings.retry,
      recorder
    })
  })).pipe(
    Stream.provideSomeLayer(
      NodeWebSocket.layer({
        maxPayload: settings.ws.maxPayload ?? Defaults.maxPayload(exchange),
        proxy: NodeProxy.make(settings.proxy)
      })
    ),
    Stream.provideSomeLayer(NodeProxy.httpClient(settings.proxy))
  )

/**
 * As `events`; after so many seconds it ends, and fails if the exchange was not reached until then. A market without trades is no failure. Without
 * `seconds` it does neither.
 */
export const eventsFor = (
  seconds: number | undefined,
  settings: AppConfig.Settings,
  chosen: AppConfig.Chosen,
  recorder?: Recorder
): Stream.Stream<MarketEvent, Unreached> => {
  const all = events(settings, chosen, recorder)
  if (seconds === undefined) return all
  return Stream.suspend(() => {
    const { id } = chosen.exchange
    const status = FeedStatus.make([id])
    let isReached = false
    return all.pipe(
      Stream.mapChunks((chunk) => {
        isReached ||= Chunk.some(chunk, (event) => event.type !== "status" || event.event === "connected")
        return chunk
      }),
      Stream.provideService(FeedStatus.FeedStatus, status),
      Stream.interruptAfter(`${seconds} seconds`),
      Stream.concat(Stream.suspend(() =>
        isReached || needsNoSocket(status)
          ? Stream.empty
          : Stream.fail(new Unreached({ message: `${id}: not reached within ${seconds}s: ${whyUnreached(status)}` }))
      ))
    )
  })
}

/** The API comes first: without its list nothing is dialed. One line. */
export const whyUnreached = (status: FeedStatus.Shape): string => {
  const [one] = status.exchanges()
  return messageOf(
    one?.api.ok === true
      ? `WebSocket: ${one.lastError ?? "no answer"}`
      : `API: ${one?.api.message ?? "no answer"}`
  )
}

// internal

/** Its API answers, and nothing was dialed: no market is chosen, or trades are asked for by REST. A connection that ended is none any more. */
const needsNoSocket = (status: FeedStatus.Shape): boolean =>
  status.exchanges().some(({ api, dials }) => api.ok === true && dials === 0)
