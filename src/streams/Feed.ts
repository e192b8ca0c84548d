/**
 * One exchange as a plain `Stream` that never fails: it finds the markets, spreads them over connections, keeps these alive, and
 * normalises, identifies and merges what they bring. A slow consumer pauses the sockets; nothing is dropped.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Socket from "@effect/platform/Socket"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type { MarketMemory } from "../services/Checkpoint.ts"
import type { CircuitBreaker } from "../services/CircuitBreaker.ts"
import { FeedStatus } from "../services/FeedStatus.ts"
import { Ledger } from "../services/Ledger.ts"
import type { Channel, MarketEvent } from "../services/MarketEvent.ts"
import type * as RetryPolicy from "../services/RetryPolicy.ts"
import type { Endpoints, Exchange, Market } from "./Exchange.ts"
import * as Board from "./Feed/Board.ts"
import * as Connection from "./Feed/Connection.ts"
import * as DialGate from "./Feed/DialGate.ts"
import * as Identity from "./Feed/Identity.ts"
import type { Shared } from "./Feed/Session.ts"
import * as StatusEvents from "./Feed/StatusEvents.ts"
import * as Subscriptions from "./Feed/Subscriptions.ts"
import * as Markets from "./Markets.ts"
import * as Rest from "./Rest.ts"

export type { Undecodable } from "./Feed/Connection.ts"

export interface FeedOptions {
  readonly endpoints: Endpoints
  readonly channels: ReadonlyArray<Channel>
  /** Globs over canonical symbols, such as `BTC/IRT` or `BTC/*`; empty: all tradable markets. */
  readonly markets: ReadonlyArray<string>
  /** Topics of one socket; the exchange's own number by default. */
  readonly subscriptionsPerConnection?: number | undefined
  /** The least time between two dials. */
  readonly stagger: Duration.Duration
  /** Any frame counts. */
  readonly idleTimeout: Duration.Duration
  readonly breakers: {
    readonly api: CircuitBreaker
    readonly ws: CircuitBreaker
  }
  /** Of dials and of the list of markets: both are tried for ever. */
  readonly retry: RetryPolicy.Options
  /** By `exchange:symbol`: trades of earlier lives are not told again (`Checkpoint`). */
  readonly memory: ReadonlyMap<string, MarketMemory>
  /** How often the list of markets is fetched. */
  readonly marketsRefresh: Duration.DurationInput
  readonly marketsCache?: Markets.Cache | undefined
  readonly onUndecodable?: ((frame: Connection.Undecodable) => Effect.Effect<void>) | undefined
  /**
   * When it completes, every socket is closed within 2 s; what had arrived is emitted, then the stream ends. Never by default.
   */
  readonly stop?: Effect.Effect<void> | undefined
}

export type Requirements = HttpClient.HttpClient | Socket.WebSocketConstructor

/** Chunks of socket reads that may wait for the consumer; beyond it the sockets wait. */
const outboxCapacity = 16

/** Chunks are those of the sockets' reads; a market's events keep their order. */
export const events = (
  exchange: Exchange,
  options: FeedOptions
): Stream.Stream<MarketEvent, never, Requirements> => Stream.unwrapScoped(start(exchange, options))

const start = Effect.fnUntraced(function*(exchange: Exchange, options: FeedOptions) {
  const board = Board.make(yield* FeedStatus, exchange.id)
  const collector = (yield* Random.nextIntBetween(0, 2 ** 47)).toString(36)
  const shared: Shared = {
    exchange,
    board,
    identity: Identity.make(exchange.id, options.memory, board),
    ledger: yield* Ledger,
    statusEvents: StatusEvents.make(exchange.id, collector)
  }
  const gate = yield* DialGate.make({
    stagger: options.stagger,
    dialsPerMinute: exchange.limits.dialsPerMinute,
    breaker: options.breakers.ws
  })
  const rest = yield* Rest.make({
    apiUrl: options.endpoints.apiUrl,
    restPerMinute: exchange.limits.restPerMinute,
    breaker: options.breakers.api,
    board
  })
  const outbox = yield* Mailbox.make<ReadonlyArray<MarketEvent>>({ capacity: outboxCapacity })
  const fibers = yield* FiberMap.make<number, void, never>()
  const connections = new Map<number, Connection.Connection>()
  const socket = yield* Socket.WebSocketConstructor
  const stopping = yield* Deferred.make<void>()
  let nextId = 0

  /** A defect of ours ends the stream: it must not leave half an exchange unheard. */
  const supervise = <R>(effect: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
    Effect.onExit(
      effect,
      (exit) => Exit.isFailure(exit) && !Exit.isInterrupted(exit) ? outbox.failCause(exit.cause) : Effect.void
    )

  const connect = Effect.fnUntraced(function*(id: number) {
    const connection = yield* Connection.make(id, {
      endpoints: options.endpoints,
      idleTimeout: options.idleTimeout,
      retry: options.retry,
      gate,
      shared,
      onUndecodable: options.onUndecodable,
      emit: (events) => outbox.offer(events)
    })
    connections.set(id, connection)
    return connection
  })

  /** Brings the connections in line with a list of markets. */
  const follow = Effect.fnUntraced(function*(markets: ReadonlyArray<Market>) {
    const wanted = new Map<string, Market>()
    for (const market of markets) {
      for (const channel of options.channels) {
        for (const topic of exchange.socket.topics(channel, market)) wanted.set(topic, market)
      }
    }
    board.listed(new Set(markets.map(({ symbol }) => symbol)))
    const shards = Array.from(connections.values(), ({ id, taken, topics }) => ({ id, topics, taken: taken() }))
    const capacity = options.subscriptionsPerConnection ?? exchange.limits.subscriptionsPerConnection
    const { join, leave } = Subscriptions.plan(shards, wanted, capacity, nextId)
    for (const { shard, topic } of leave) connections.get(shard)?.topics.delete(topic)
    const fresh: Array<Connection.Connection> = []
    for (const { market, shard, topic } of join) {
      let connection = connections.get(shard)
      if (connection === undefined) {
        connection = yield* connect(shard)
        fresh.push(connection)
        nextId = shard + 1
      }
      connection.topics.set(topic, market)
    }
    for (const connection of connections.values()) {
      if (connection.topics.size > 0) yield* connection.sync
      else {
        connections.delete(connection.id)
        yield* connection.leave
      }
    }
    for (const { id, run } of fresh) {
      const fiber = Effect.provideService(supervise(run), Socket.WebSocketConstructor, socket)
      // A fiber inherits that it must not be interrupted.
      yield* FiberMap.run(fibers, id, Effect.interruptible(fiber))
    }
    board.show()
  })

  const watching = Markets.watch({
    exchange,
    rest,
    board,
    globs: options.markets,
    refresh: options.marketsRefresh,
    retry: options.retry,
    cache: options.marketsCache,
    // Not to be cut in two by a stop: a connection that was made is also told to leave.
    onList: (markets) => Effect.uninterruptible(follow(markets))
  })

  const life = Effect.gen(function*() {
    yield* Effect.raceFirst(watching, Deferred.await(stopping))
    yield* Effect.forEach(connections.values(), (connection) => connection.leave, { discard: true })
    yield* FiberMap.awaitEmpty(fibers)
    yield* outbox.end
  })

  board.show()
  yield* Effect.forkScoped(supervise(life))
  yield* Effect.forkScoped(Effect.andThen(options.stop ?? Effect.never, Deferred.succeed(stopping, undefined)))

  return Stream.repeatEffectChunkOption(
    Effect.mapBoth(outbox.take, { onFailure: () => Option.none(), onSuccess: Chunk.unsafeFromArray })
  )
})
