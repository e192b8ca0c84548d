/** The real feed against a server on loopback, in real time, its waits scaled down. */
import type { HttpClient, Socket } from "@effect/platform"
import { Duration, Effect, Layer, Logger, LogLevel, type Scope, Stream } from "effect"
import * as NodeHttp from "../../src/layers/node/Http.ts"
import * as NodeWebSocket from "../../src/layers/node/WebSocket.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as FeedStatus from "../../src/services/FeedStatus.ts"
import * as Ledger from "../../src/services/Ledger.ts"
import type { MarketEvent, Trade } from "../../src/services/MarketEvent.ts"
import * as RetryPolicy from "../../src/services/RetryPolicy.ts"
import type { Endpoints, Exchange } from "../../src/streams/Exchange.ts"
import * as Feed from "../../src/streams/Feed.ts"

export const network = Layer.merge(NodeWebSocket.layer({ maxPayload: 1024 * 1024 }), NodeHttp.layer())

/** Without the log, which these tests would fill. */
export const layer = Layer.merge(network, Logger.minimumLogLevel(LogLevel.None))

/** The defaults of docs/configuration.md, divided by `scale`. */
export const defaults = (scale: number) => ({
  stagger: Duration.millis(1_000 / scale),
  idleTimeout: Duration.millis(60_000 / scale),
  wsBreaker: { maxFailures: 3, timeout: Duration.millis(30_000 / scale), successThreshold: 2 },
  apiBreaker: { maxFailures: 5, timeout: Duration.millis(60_000 / scale), successThreshold: 3 },
  retry: {
    ...RetryPolicy.defaults,
    baseDelay: Duration.millis(1_000 / scale),
    maxDelay: Duration.millis(30_000 / scale)
  }
})

export interface Running {
  readonly events: ReadonlyArray<MarketEvent>
  readonly trades: () => ReadonlyArray<Trade>
  readonly status: () => FeedStatus.ExchangeStatus
  readonly ledger: Ledger.Shape
  readonly undecodable: ReadonlyArray<Feed.Undecodable>
  readonly wsBreaker: CircuitBreaker.CircuitBreaker
}

export interface Options extends Partial<Feed.FeedOptions> {
  readonly endpoints: Endpoints
  readonly scale?: number
  /** Instead of keeping the events. */
  readonly consume?: (events: ReadonlyArray<MarketEvent>) => Effect.Effect<void>
}

/** Runs in the background until the scope closes. */
export const run = Effect.fnUntraced(function*(
  exchange: Exchange,
  { consume, scale = 10, ...options }: Options
): Effect.fn.Return<Running, never, Scope.Scope | HttpClient.HttpClient | Socket.WebSocketConstructor> {
  const scaled = defaults(scale)
  const ledger = Ledger.make()
  const status = FeedStatus.make([exchange.id])
  const events: Array<MarketEvent> = []
  const undecodable: Array<Feed.Undecodable> = []
  const ws = yield* CircuitBreaker.make({ name: `${exchange.id}_ws`, group: "ws", ...scaled.wsBreaker })
  const api = yield* CircuitBreaker.make({ name: `${exchange.id}_api`, group: "api", ...scaled.apiBreaker })
  // The budgets of docs/design/delivery.md B5 are a minute's: scaled like the rest, they are out of the way as they are by default.
  const { dialsPerMinute, restApart = Duration.zero, restPerMinute } = exchange.limits
  const limits = {
    ...exchange.limits,
    dialsPerMinute: dialsPerMinute * scale,
    restPerMinute: restPerMinute * scale,
    restApart: Duration.times(restApart, 1 / scale)
  }
  // As the time-out of a connection without frames is: a client that sent nothing for longer than that would hang up on a server that
  // speaks when it is spoken to, and take its silence for a broken path.
  const { keepAlive } = exchange.socket
  const socket = keepAlive === undefined
    ? exchange.socket
    : { ...exchange.socket, keepAlive: { ...keepAlive, every: Duration.times(keepAlive.every, 1 / scale) } }
  yield* Feed.events({ ...exchange, limits, socket }, {
    channels: ["trades"],
    markets: [],
    stagger: scaled.stagger,
    idleTimeout: scaled.idleTimeout,
    breakers: { api, ws },
    retry: scaled.retry,
    memory: new Map(),
    marketsRefresh: "10 minutes",
    onUndecodable: (frame) => Effect.sync(() => undecodable.push(frame)),
    ...options
  }).pipe(
    Stream.runForEachChunk((chunk) =>
      consume === undefined ? Effect.sync(() => events.push(...chunk)) : consume([...chunk])
    ),
    Effect.provideService(Ledger.Ledger, ledger),
    Effect.provideService(FeedStatus.FeedStatus, status),
    Effect.forkScoped
  )
  return {
    events,
    trades: () => events.filter((event): event is Trade => event.type === "trade"),
    status: () => status.exchanges()[0] ?? FeedStatus.empty(exchange.id),
    ledger,
    undecodable,
    wsBreaker: ws
  }
})

/** Polls in real time; dies with `what` after `within` ms. Gives how long it took, ms. */
export const until = (
  what: string,
  condition: () => boolean,
  within: number
): Effect.Effect<number> =>
  Effect.gen(function*() {
    const started = performance.now()
    while (!condition()) {
      const waited = performance.now() - started
      if (waited > within) return yield* Effect.dieMessage(`${what}: not within ${within} ms`)
      yield* Effect.sleep("10 millis")
    }
    return performance.now() - started
  })

/** The most of `times` (ms) that lie within any stretch of `width` ms. */
export const mostWithin = (times: ReadonlyArray<number>, width: number): number =>
  Math.max(0, ...times.map((start) => times.filter((time) => time >= start && time < start + width).length))
