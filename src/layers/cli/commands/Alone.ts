/** One exchange's feed by itself, as `run` would have it: no queue, no Kafka, no memory of earlier lives. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as CircuitBreaker from "../../../services/CircuitBreaker.ts"
import type { MarketEvent } from "../../../services/MarketEvent.ts"
import type { Recorder } from "../../../streams/Capture.ts"
import { exchanges } from "../../../streams/exchanges/index.ts"
import * as Feed from "../../../streams/Feed.ts"
import * as Defaults from "../../../streams/Feed/Defaults.ts"
import type { Settings } from "../../AppConfig.ts"
import * as NodeProxy from "../../node/Proxy.ts"
import * as NodeWebSocket from "../../node/WebSocket.ts"

export interface Options {
  readonly exchange: Settings["exchanges"][number]
  /** Globs; empty: all. */
  readonly markets: ReadonlyArray<string>
  readonly recorder?: Recorder
}

/** Never fails, and ends only with its consumer. */
export const events = (settings: Settings, { exchange, markets, recorder }: Options): Stream.Stream<MarketEvent> =>
  Stream.unwrap(Effect.gen(function*() {
    return Feed.live(exchanges[exchange], {
      endpoints: settings.endpoints[exchange],
      markets,
      subscriptionsPerConnection: settings.ws.subscriptionsPerConnection,
      stagger: settings.ws.stagger,
      idleTimeout: settings.ws.idleTimeout,
      breakers: {
        api: yield* CircuitBreaker.make({ name: `${exchange}_api`, group: "api", ...settings.api.breaker }),
        ws: yield* CircuitBreaker.make({ name: `${exchange}_ws`, group: "ws", ...settings.ws.breaker })
      },
      retry: settings.retry,
      recorder
    })
  })).pipe(
    Stream.provideSomeLayer(
      NodeWebSocket.layer({
        maxPayload: settings.ws.maxPayload ?? Defaults.maxPayload(exchanges[exchange]),
        proxy: NodeProxy.make(settings.proxy)
      })
    ),
    Stream.provideSomeLayer(NodeProxy.httpClient(settings.proxy))
  )
