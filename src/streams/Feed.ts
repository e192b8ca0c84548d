/**
 * One exchange as a plain `Stream` that never fails: it finds the markets, spreads them over connections, keeps these alive, and
 * normalises, identifies and merges what they bring. A slow consumer pauses the sockets; nothing is dropped.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Socket from "@effect/platform/Socket"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as RateLimiter from "effect/RateLimiter"
import * as Stream from "effect/Stream"
import type { HoleStore, MarketMemory } from "../services/Checkpoint.ts"
import * as CircuitBreaker from "../services/CircuitBreaker.ts"
import { FeedStatus } from "../services/FeedStatus.ts"
import * as Instruments from "../services/Instruments.ts"
import { Ledger } from "../services/Ledger.ts"
import type { Channel, MarketEvent } from "../services/MarketEvent.ts"
import type * as RetryPolicy from "../services/RetryPolicy.ts"
import * as Time from "../services/Time.ts"
import { adviceOf } from "./Advice.ts"
import * as Board from "./Board.ts"
import * as BooksChannel from "./books/BooksChannel.ts"
import type { BooksOptions } from "./books/Options.ts"
import * as Breakers from "./Breakers.ts"
import * as Defaults from "./Defaults.ts"
import type { Endpoints, Exchange, Market } from "./Exchange.ts"
import * as Connection from "./Feed/Connection.ts"
import * as DialGate from "./Feed/DialGate.ts"
import type { Shared } from "./Feed/Session.ts"
import * as Subscriptions from "./Feed/Subscriptions.ts"
import * as Topics from "./Feed/Topics.ts"
import * as Markets from "./Markets.ts"
import type { Recorder } from "./Recorder.ts"
import * as Rest from "./Rest.ts"
import * as Rhythm from "./Rhythm.ts"
import * as StatusEvents from "./StatusEvents.ts"
import * as Spans from "./trades/Spans.ts"
import * as TradesChannel from "./trades/TradesChannel.ts"

export type { Undecodable } from "./Feed/Connection.ts"

/**
 * What a feed subscribes to, and how it dials, retries and fills holes.
 *
 * @since 0.1.0
 * @category options
 */
export interface FeedOptions {
  readonly endpoints: Endpoints
  readonly channels: ReadonlyArray<Channel>
  /** Globs over canonical symbols, such as `BTC/IRT` or `BTC/*`; empty: all tradable markets. */
  readonly markets: ReadonlyArray<string>
  /** The setting that has them, to be named where one finds nothing; `MARKETS` by default. */
  readonly marketsSetting?: string | undefined
  /** Which of the chosen symbols are this collector's; all of them by default. */
  readonly share?: ((symbol: string) => boolean) | undefined
  /** Topics of one socket; the exchange's own number by default. */
  readonly subscriptionsPerConnection?: number | undefined
  /** The least time between two dials. */
  readonly stagger: Duration.Duration
  /** Any frame counts. */
  readonly idleTimeout: Duration.Duration
  readonly breakers: {
    readonly api: CircuitBreaker.CircuitBreaker
    readonly ws: CircuitBreaker.CircuitBreaker
  }
  /** Of dials and of the list of markets: both are tried for ever. */
  readonly retry: RetryPolicy.Options
  /** By `exchange:symbol`: trades of earlier lives are not told again (`Checkpoint`). */
  readonly memory: ReadonlyMap<string, MarketMemory>
  /**
   * Where holes are kept for the next life, before trades behind them are handed over (`Checkpoint` is one). Without it holes die with
   * the feed: they are told, and what is behind them goes on all the same.
   */
  readonly holes?: HoleStore | undefined
  /** How long live trades of a market wait for its history after a lost connection; 5 s by default, 0: not at all. */
  readonly backfillHold?: Duration.Duration | undefined
  /** A hole that ended longer ago, by the exchange's clock, is told but not filled; a day by default, 0: whatever its age. */
  readonly backfillMaxAge?: Duration.Duration | undefined
  /**
   * Whose books these are: a part of their ids and numbers where the exchange counts none, the same over all lives of a collector. Lower
   * case letters and digits; by default a random one of this feed's life.
   */
  readonly collector?: string | undefined
  /** How order books are told, where `books` is one of the channels. */
  readonly books?: BooksOptions | undefined
  /** How often the list of markets is fetched. */
  readonly marketsRefresh: Duration.DurationInput
  readonly marketsCache?: Markets.Cache | undefined
  /** When silence is strange; by default from 60 s to an hour, by each stream's own rhythm. */
  readonly timing?: Topics.Timing | undefined
  /** Instead of the exchange's own. */
  readonly rotateAfter?: Duration.Duration | undefined
  /** Is told of all that the sockets bring, before anything is made of it, and of each REST answer that became events. */
  readonly recorder?: Recorder | undefined
  readonly onUndecodable?: ((frame: Connection.Undecodable) => Effect.Effect<void>) | undefined
  /**
   * When it completes, every socket is closed within 2 s; what had arrived is emitted, then the stream ends. Never by default.
   */
  readonly stop?: Effect.Effect<void> | undefined
}

/**
 * What a feed needs of its platform: an HTTP client (`NodeHttp.layer`) and a WebSocket. Only of one that knows `pause`
 * (`NodeWebSocket.layer`) a slow reader slows the exchange down; of any other, what is not taken waits in memory.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirements = HttpClient.HttpClient | Socket.WebSocketConstructor

/** Both connections listen so long together when one replaces the other, ms: trades of one timestamp are heard by one of them (I4). */
const overlapOf = (exchange: Exchange): number => Spans.settledAfter(exchange) + 200

/** A successor that does not come to hear in this time is given up; the old connection goes on. */
const successorTimeout = "1 minute"

/** Chunks of socket reads that may wait for the consumer; beyond it the sockets wait. */
const outboxCapacity = 16

/**
 * The events of one exchange, for ever: a lost connection or an API that is away is a status event, not a failure. Chunks are those of
 * the sockets' reads; a market's events keep their order.
 *
 * @since 0.1.0
 * @category constructors
 */
export const events = (
  exchange: Exchange,
  options: FeedOptions
): Stream.Stream<MarketEvent, never, Requirements> => Stream.unwrapScoped(start(exchange, options))

/**
 * As `events`, with the service's defaults for whatever is not given: all tradable markets, the exchange's public addresses, breakers
 * of its own, no memory of earlier lives.
 *
 * @since 0.1.0
 * @category constructors
 */
export const live = (
  exchange: Exchange,
  options: Partial<FeedOptions> = {}
): Stream.Stream<MarketEvent, never, Requirements> =>
  Stream.unwrap(Effect.gen(function*() {
    const breaker = (group: "api" | "ws") =>
      CircuitBreaker.make(Breakers.optionsOf(exchange, group, Defaults.breakers[group]))
    return events(exchange, {
      endpoints: exchange.endpoints,
      channels: Defaults.channels,
      markets: [],
      stagger: Defaults.stagger,
      idleTimeout: Defaults.idleTimeout,
      retry: Defaults.retry,
      memory: new Map(),
      marketsRefresh: Defaults.marketsRefresh,
      ...options,
      breakers: options.breakers ?? { api: yield* breaker("api"), ws: yield* breaker("ws") }
    })
  }))

/** Nothing is too old where there is no bound. */
const maxAgeOf = (age: Duration.Duration): Duration.Duration => Duration.toMillis(age) === 0 ? Duration.infinity : age

const start = Effect.fnUntraced(function*(exchange: Exchange, options: FeedOptions) {
  const board = Board.make(yield* FeedStatus, exchange.id)
  const collector = (yield* Random.nextIntBetween(0, 2 ** 47)).toString(36)
  const ledger = yield* Ledger
  const statusEvents = StatusEvents.make(exchange.id, collector)
  const gate = yield* DialGate.make({
    stagger: options.stagger,
    dialsPerMinute: exchange.limits.dialsPerMinute,
    breaker: options.breakers.ws
  })
  const outbox = yield* Mailbox.make<ReadonlyArray<MarketEvent>>({ capacity: outboxCapacity })
  const emit = (events: ReadonlyArray<MarketEvent>) => outbox.offer(events)
  const isPolled = exchange.rest.polling !== undefined && options.channels.includes("trades")
  const rest = yield* Rest.make({
    exchange: exchange.id,
    apiUrl: options.endpoints.apiUrl,
    restPerMinute: exchange.limits.restPerMinute,
    restApart: exchange.limits.restApart,
    breaker: options.breakers.api,
    board,
    refused: exchange.rest.refused,
    advice: adviceOf(exchange, options.endpoints),
    instead: exchange.rest.instead,
    isSteady: isPolled,
    isPatient: exchange.rest.history.pages !== undefined,
    onChange: (answers, reason, at) =>
      emit([statusEvents.make("api", at, { state: answers ? "healthy" : "unhealthy", reason })])
  })
  /**
   * A defect, ours or an adapter's, ends the stream: it must not leave half an exchange unheard. Not only interrupted: a defect
   * interrupts what runs beside it, and has both in its cause.
   */
  const supervise = <R>(effect: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
    Effect.onExit(
      effect,
      (exit) =>
        Exit.isFailure(exit) && !Cause.isInterruptedOnly(exit.cause) ? outbox.failCause(exit.cause) : Effect.void
    )
  const trades = yield* TradesChannel.make({
    exchange,
    rest,
    retry: options.retry,
    memory: options.memory,
    holes: options.holes,
    hold: options.backfillHold ?? Defaults.backfillHold,
    maxAge: maxAgeOf(options.backfillMaxAge ?? Defaults.backfillMaxAge),
    collector,
    ledger,
    board,
    statusEvents,
    emit,
    supervise,
    recorder: options.recorder,
    polled: isPolled ? { isAlone: exchange.books === undefined || !options.channels.includes("books") } : undefined,
    lag: Instruments.lag(yield* Instruments.Instruments, {
      exchange: exchange.id,
      stage: "exchange_to_receive",
      path: "live"
    })
  })
  const wantedBooks = options.books ?? Defaults.books
  const books = yield* BooksChannel.make({
    exchange,
    books: wantedBooks,
    rest,
    collector: options.collector ?? collector,
    ledger,
    board,
    statusEvents,
    emit,
    supervise,
    recorder: options.recorder
  })
  const channels = [trades, books].filter(({ name }) => options.channels.includes(name))
  const shared: Shared = {
    exchange,
    board,
    channels,
    statusEvents,
    timing: options.timing ?? Topics.defaultTiming,
    positions: new Map(),
    refused: new Set(),
    recorder: options.recorder
  }
  const paced = yield* RateLimiter.make({ limit: exchange.limits.commandsPerSecond, interval: "1 second" })
  const fibers = yield* FiberMap.make<number, void, never>()
  const connections = new Map<number, Connection.Connection>()
  /** By the id of the connection that they are to replace; they share its topics. */
  const successors = new Map<number, Connection.Connection>()
  /** Successors that are to be replaced themselves, and have not taken their place yet. */
  const leaving = new Set<number>()
  const replacements = yield* Queue.unbounded<number>()
  const displacements = yield* Queue.unbounded<void>()
  const socket = yield* Socket.WebSocketConstructor
  const stopping = yield* Deferred.make<void>()
  let nextId = 0
  let current: ReadonlyArray<Market> = []

  /** Which connections a channel is heard on, and what is put behind their address: those of another address are of another kind. */
  const placeOf = (channel: Channel) => {
    const { kind, path = "", subscriptions: capacity } = exchange.socket.connection?.(channel) ?? { kind: "" }
    return { kind: `${kind} ${path}`, path, capacity }
  }

  const connect = (id: number, place: Connection.Place) =>
    Connection.make(id, place, {
      endpoints: options.endpoints,
      idleTimeout: options.idleTimeout,
      retry: options.retry,
      gate,
      shared,
      onUndecodable: options.onUndecodable,
      emit,
      paced,
      rotateAfter: options.rotateAfter ?? exchange.limits.rotateAfter,
      onReplace: (id) => replacements.unsafeOffer(id),
      onDisplaced: (id, topics) => {
        for (const topic of topics) connections.get(id)?.place.topics.delete(topic)
        displacements.unsafeOffer(undefined)
      }
    })

  /** It was told to leave: of one that is dialled again, its next opening says it. */
  const left = (id: number) =>
    Effect.flatMap(Deferred.isDone(stopping), (isStopping) =>
      // A stop makes no book doubtful, nor does its capture.
      isStopping ? Effect.void : Effect.map(Time.wall, (now) => options.recorder?.changed?.(id, [], now)))

  const launch = ({ id, run }: Connection.Connection) =>
    // A fiber inherits that it must not be interrupted.
    FiberMap.run(
      fibers,
      id,
      Effect.interruptible(
        Effect.provideService(supervise(Effect.andThen(run, left(id))), Socket.WebSocketConstructor, socket)
      )
    )

  /** Brings the connections in line with a list of markets. */
  const follow = Effect.fnUntraced(function*(markets: ReadonlyArray<Market>) {
    const wanted = new Map<string, Subscriptions.Wanted>()
    for (const market of markets) {
      for (const { name: channel } of channels) {
        const { capacity, kind } = placeOf(channel)
        for (const topic of exchange.socket.topics(channel, market, wantedBooks)) {
          wanted.set(topic, { channel, market, kind, capacity })
        }
      }
    }
    current = markets
    const symbols = new Set(markets.map(({ symbol }) => symbol))
    for (const { follow, listed } of channels) {
      if (follow !== undefined) yield* follow(markets)
      listed(symbols)
    }
    board.listed(symbols)
    const shards = Array.from(connections.values(), ({ id, place, taken }) => ({
      id,
      kind: place.kind,
      topics: place.topics,
      taken: taken()
    }))
    const capacity = options.subscriptionsPerConnection ?? exchange.limits.subscriptionsPerConnection
    const { join, leave } = Subscriptions.plan(shards, wanted, capacity, nextId)
    for (const { shard, topic } of leave) connections.get(shard)?.place.topics.delete(topic)
    const fresh: Array<Connection.Connection> = []
    for (const { shard, topic, wanted: subject } of join) {
      let connection = connections.get(shard)
      if (connection === undefined) {
        connection = yield* connect(shard, { ...placeOf(subject.channel), topics: new Map(), rhythm: Rhythm.make() })
        connections.set(shard, connection)
        fresh.push(connection)
        nextId = shard + 1
      }
      connection.place.topics.set(topic, subject)
    }
    for (const connection of connections.values()) {
      const pair = [connection, ...Option.toArray(Option.fromNullable(successors.get(connection.id)))]
      if (connection.place.topics.size === 0) connections.delete(connection.id)
      yield* Effect.forEach(pair, ({ leave, place, sync }) => place.topics.size > 0 ? sync : leave, { discard: true })
    }
    yield* Effect.forEach(fresh, launch, { discard: true })
    board.show()
  })

  /** Make before break: the old connection leaves when its successor hears (docs/design/delivery.md I4). */
  const replace = Effect.fnUntraced(function*(old: Connection.Connection) {
    const successor = yield* connect(nextId, old.place)
    nextId += 1
    successors.set(old.id, successor)
    yield* launch(successor)
    const hears = yield* Effect.timeoutOption(successor.settled, successorTimeout)
    if (Option.isSome(hears)) yield* Effect.sleep(overlapOf(exchange))
    successors.delete(old.id)
    const isLeaving = leaving.delete(successor.id)
    if (Option.isNone(hears) || !connections.has(old.id)) return yield* successor.leave
    connections.delete(old.id)
    connections.set(successor.id, successor)
    yield* old.leave
    if (isLeaving) replacements.unsafeOffer(successor.id)
  })
  const replacing = Effect.flatMap(Queue.take(replacements), (id) => {
    const old = connections.get(id)
    // Forgotten, the exchange would cut it with nobody in its place.
    if (old === undefined && Array.from(successors.values()).some((successor) => successor.id === id)) leaving.add(id)
    return old === undefined || successors.has(id) ? Effect.void : Effect.forkScoped(supervise(replace(old)))
  })
  const displacing = Effect.flatMap(Queue.take(displacements), () => Effect.uninterruptible(follow(current)))

  const watching = Markets.watch({
    exchange,
    rest,
    board,
    globs: options.markets,
    setting: options.marketsSetting,
    share: options.share,
    refresh: options.marketsRefresh,
    retry: options.retry,
    cache: options.marketsCache,
    isProbed: isPolled,
    // Not to be cut in two by a stop: a connection that was made is also told to leave.
    onList: (markets) => Effect.uninterruptible(follow(markets)),
    onTidings: (event) => Effect.flatMap(Time.wall, (now) => emit([statusEvents.make("markets", now, { ...event })]))
  })

  const life = Effect.gen(function*() {
    yield* Effect.raceFirst(
      Effect.all([watching, Effect.forever(replacing), Effect.forever(displacing)], {
        concurrency: "unbounded",
        discard: true
      }),
      Deferred.await(stopping)
    )
    for (const { stopping } of channels) stopping?.()
    for (const { leave } of [...connections.values(), ...successors.values()]) yield* leave
    yield* FiberMap.awaitEmpty(fibers)
    yield* Effect.forEach(channels, ({ flush }) => flush, { discard: true })
    yield* outbox.end
  })

  board.show()
  yield* Effect.forkScoped(supervise(life))
  yield* Effect.forkScoped(Effect.andThen(options.stop ?? Effect.never, Deferred.succeed(stopping, undefined)))

  return Stream.repeatEffectChunkOption(
    Effect.mapBoth(outbox.take, { onFailure: () => Option.none(), onSuccess: Chunk.unsafeFromArray })
  )
})
