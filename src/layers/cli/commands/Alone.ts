/** One exchange's feed by itself, as `run` would have it: no queue, no Kafka, no memory of earlier lives. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as CircuitBreaker from "../../../services/CircuitBreaker.ts"
import type { Channel, MarketEvent } from "../../../services/MarketEvent.ts"
import * as Breakers from "../../../streams/Breakers.ts"
import * as Defaults from "../../../streams/Defaults.ts"
import * as Feed from "../../../streams/Feed.ts"
import type { Recorder } from "../../../streams/Recorder.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as NodeProxy from "../../node/Proxy.ts"
import * as NodeWebSocket from "../../node/WebSocket.ts"

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
