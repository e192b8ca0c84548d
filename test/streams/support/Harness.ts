/** A feed with all its parts in memory. */
import type { HttpClient, Socket } from "@effect/platform"
import { Chunk, Duration, Effect, Queue, type Scope, Stream } from "effect"
import type * as Oracle from "../../../src/layers/testing/Oracle.ts"
import * as CircuitBreaker from "../../../src/services/CircuitBreaker.ts"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import type { MarketEvent, Status, Trade } from "../../../src/services/MarketEvent.ts"
import type { Exchange } from "../../../src/streams/Exchange.ts"
import * as Feed from "../../../src/streams/Feed.ts"
import * as FakeApi from "./FakeApi.ts"

export const breaker = (name: string, options: Partial<CircuitBreaker.Options> = {}) =>
  CircuitBreaker.make({ name, group: "ws", maxFailures: 3, timeout: "30 seconds", successThreshold: 2, ...options })

export interface Running {
  /** Events in order, waiting for them. */
  readonly next: Effect.Effect<MarketEvent>
  readonly nextTrade: Effect.Effect<Trade>
  readonly nextStatus: Effect.Effect<Status>
  /** All that came and was not taken. */
  readonly rest: Effect.Effect<ReadonlyArray<MarketEvent>>
  /** Completes when the stream does. */
  readonly ended: Effect.Effect<void>
  readonly ledger: Ledger.Shape
  readonly status: () => FeedStatus.ExchangeStatus
  readonly breakers: Feed.FeedOptions["breakers"]
}

export const retry = {
  maxAttempts: 5,
  baseDelay: Duration.seconds(1),
  maxDelay: Duration.seconds(30),
  jitter: 0
}

/** Runs a feed in the background. */
export const run = (
  exchange: Exchange,
  options: Partial<Feed.FeedOptions> = {}
): Effect.Effect<Running, never, Scope.Scope | HttpClient.HttpClient | Socket.WebSocketConstructor> =>
  Effect.gen(function*() {
    const ledger = Ledger.make()
    const status = FeedStatus.make([exchange.id])
    const breakers = {
      api: yield* breaker("api", { maxFailures: 5, timeout: "1 minute", successThreshold: 3 }),
      ws: yield* breaker("ws")
    }
    const queue = yield* Queue.unbounded<MarketEvent>()
    const fiber = yield* Feed.events(exchange, {
      endpoints: { apiUrl: "http://api.test", wsUrl: "ws://socket.test" },
      channels: ["trades"],
      markets: [],
      stagger: Duration.seconds(1),
      idleTimeout: Duration.seconds(60),
      breakers,
      retry,
      memory: new Map(),
      marketsRefresh: "10 minutes",
      ...options
    }).pipe(
      Stream.runForEachChunk((chunk) => Queue.offerAll(queue, chunk)),
      Effect.provideService(Ledger.Ledger, ledger),
      Effect.provideService(FeedStatus.FeedStatus, status),
      Effect.forkScoped
    )
    const next = Queue.take(queue)
    const nextOf = (type: MarketEvent["type"]): Effect.Effect<MarketEvent> =>
      Effect.flatMap(next, (event) => event.type === type ? Effect.succeed(event) : nextOf(type))
    return {
      next,
      nextTrade: nextOf("trade") as Effect.Effect<Trade>,
      nextStatus: nextOf("status") as Effect.Effect<Status>,
      rest: Effect.map(Queue.takeAll(queue), Chunk.toReadonlyArray),
      ended: fiber.await.pipe(Effect.flatten),
      ledger,
      status: () => {
        const [found] = status.exchanges()
        return found ?? FeedStatus.empty(exchange.id)
      },
      breakers
    }
  })

const immediate = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

/** Lets everything that is ready run, without time passing. */
export const settle: Effect.Effect<void> = Effect.promise(async () => {
  for (let n = 0; n <= 10; n++) await immediate()
})

/**
 * The test's clock as it is, but faster: before each step it looks three times whether all fibers are suspended, and goes by a timer of
 * a millisecond from one look to the next. An immediate is enough, as everything here is in memory.
 */
export const hurryClock: Effect.Effect<void> = Effect.map(
  Effect.clock,
  (clock) => void Object.assign(clock, { yieldTimer: Effect.promise(immediate) })
)

export const api = (body: string) => FakeApi.layer(() => Effect.succeed({ body }))

/** What an earlier life of the collector remembers that had all of these. */
export const lifeOf = (issued: ReadonlyArray<Oracle.Issued>): Feed.FeedOptions["memory"] => {
  const last = issued.at(-1)?.expected
  if (last === undefined) return new Map()
  const { exchange, exchangeSymbol, symbol, timestamp } = last
  return new Map([[`${exchange}:${symbol}`, {
    ids: issued.map(({ id }) => id),
    times: issued.map(({ expected }) => Date.parse(expected.timestamp)),
    lastTimestamp: timestamp,
    exchangeSymbol
  }]])
}
