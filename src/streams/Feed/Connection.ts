/**
 * One place for a connection: a fiber that dials, listens, and dials again, until it is told to leave (docs/design/laws.md "One fiber owns a socket").
 */
import type * as Socket from "@effect/platform/Socket"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Permit } from "../../services/CircuitBreaker.ts"
import * as Instruments from "../../services/Instruments.ts"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import * as RetryPolicy from "../../services/RetryPolicy.ts"
import { oneLine } from "../../services/Text.ts"
import * as Time from "../../services/Time.ts"
import { adviceOf } from "../Advice.ts"
import type { Subject } from "../Channel.ts"
import * as Defaults from "../Defaults.ts"
import type { Endpoints } from "../Exchange.ts"
import { FeedError } from "../FeedError.ts"
import { heardOf } from "../Recorder.ts"
import type * as Rhythm from "../Rhythm.ts"
import * as WebSocketFeed from "../WebSocketFeed.ts"
import type { DialGate } from "./DialGate.ts"
import * as Session from "./Session.ts"

/**
 * A frame that was not understood, cut to 4 KiB.
 *
 * @since 0.1.0
 * @category models
 */
export interface Undecodable {
  readonly exchange: string
  readonly connection: number
  readonly reason: string
  readonly detail: string
  readonly text: string
  readonly receivedAt: Time.WallTime
}

export interface Options {
  readonly endpoints: Endpoints
  readonly idleTimeout: Duration.Duration
  readonly retry: RetryPolicy.Options
  readonly gate: DialGate
  readonly shared: Session.Shared
  readonly onUndecodable: ((frame: Undecodable) => Effect.Effect<void>) | undefined
  /** The one way out for all events of the connection: it suspends while the consumer is slower than the exchange. */
  readonly emit: (events: ReadonlyArray<MarketEvent>) => Effect.Effect<unknown>
  /** One command within the exchange's budget. */
  readonly paced: (command: Effect.Effect<void>) => Effect.Effect<void>
  /** The age at which it asks to be replaced. */
  readonly rotateAfter: Duration.Duration | undefined
  /** It should be replaced by another with the same topics, which is to be there before it leaves. */
  readonly onReplace: (id: number) => void
  /** It has no room for these topics. */
  readonly onDisplaced: (id: number, topics: ReadonlyArray<string>) => void
}

/** What outlives a connection: its successor takes it over. */
export interface Place {
  /** Topics of other kinds have other places (`Protocol.connection`). */
  readonly kind: string
  /** Is put behind the address. */
  readonly path: string
  /** Living: changed by the feed, followed by `sync`. */
  readonly topics: Map<string, Subject>
  readonly rhythm: Rhythm.Rhythm
}

export interface Connection {
  readonly id: number
  readonly place: Place
  /** Topics that it has, or more if it has no room for others. */
  readonly taken: () => number
  /** Completes when a session hears all that it was to hear, as far as that can be known. */
  readonly settled: Effect.Effect<void>
  /** Tells the other side what has joined or left. */
  readonly sync: Effect.Effect<void>
  /** Closes the socket within 2 s; `run` ends when all that had arrived is emitted. */
  readonly leave: Effect.Effect<void>
  readonly run: Effect.Effect<void, never, Socket.WebSocketConstructor>
}

/** The greeting has to come within this time of the open socket. */
const handshakeTimeout = Duration.seconds(10)

/** A session that stays up is a success to the breaker, each time this passes (docs/design/breaker-and-retry.md "What counts as a call"). */
const upInterval = Duration.seconds(10)

/** A session with decoded data that lasts so long ends the back-off. */
const healthyAfter = Duration.seconds(30)

const maxDeadText = 4096

/** A trade that a history already has may take that long to come by the socket. */
const onItsWay = Duration.seconds(2)

/** How often a session looks for what has not come. */
const checkInterval = Duration.seconds(1)

/** The window of `Limits.commandsPerHour`, and how often one that waits for it asks to be replaced, ms. */
const hour = 3_600_000
const askAgain = 600_000

/** Where nothing is answered and nothing trades, a session is taken to hear after this. */
const settledAfter = Duration.seconds(10)

/** `path` goes behind the address's own, before what is asked of it. */
const addressOf = (wsUrl: string, path: string): string => {
  if (path === "") return wsUrl
  const url = new URL(wsUrl)
  url.pathname = url.pathname.replace(/\/+$/, "") + path
  return url.href
}

export const make = Effect.fnUntraced(function*(
  id: number,
  place: Place,
  options: Options
): Effect.fn.Return<Connection> {
  const { gate, shared } = options
  const { board, exchange, recorder, statusEvents } = shared
  const { path, rhythm, topics } = place
  const url = addressOf(options.endpoints.wsUrl, path)
  const status = board.connection(id)
  const registry = yield* Instruments.Instruments
  const ended = Instruments.closes(registry, exchange.id, FeedError.fields.reason.literals)
  const length = Instruments.receivedBytes(registry, exchange.id)
  const leaving = yield* Deferred.make<void>()
  const reconnecting = yield* RetryPolicy.reconnecting(options.retry)
  /** Open while nothing of a session is left to be emitted: then leaving need not wait. */
  const waiting = yield* Effect.makeLatch(false)
  const settled = yield* Deferred.make<void>()
  /** Open while there are commands to be sent. */
  const commands = yield* Effect.makeLatch(false)
  let live: { readonly session: Session.Session; readonly socket: WebSocketFeed.Connection } | undefined
  let announced = false
  let isFull = false

  const send = (socket: WebSocketFeed.Connection, frames: ReadonlyArray<string>): void => {
    for (const frame of frames) socket.send(frame)
  }

  const setAside = (dead: ReadonlyArray<Session.DeadFrame>): Effect.Effect<void> => {
    const { onUndecodable } = options
    return onUndecodable === undefined ?
      Effect.void :
      Effect.forEach(dead, ({ failure, receivedAt, text }) =>
        onUndecodable({
          exchange: exchange.id,
          connection: id,
          reason: failure.reason,
          detail: failure.detail,
          text: text.slice(0, maxDeadText),
          receivedAt
        }), { discard: true })
  }

  /** Waits for the gate's permit, which the scope gives back if the session does not settle it; undefined when told to leave. */
  const admission: Effect.Effect<Permit | undefined, never, Scope.Scope> = Effect.uninterruptibleMask((restore) =>
    restore(Effect.raceFirst(gate.pass, Effect.as(Deferred.await(leaving), undefined))).pipe(
      Effect.tap((permit) => permit === undefined ? Effect.void : Effect.addFinalizer(() => permit.release))
    )
  )

  /** One session, from the dial to its end; succeeds when it was told to leave. */
  const oneSession: Effect.Effect<void, FeedError, Socket.WebSocketConstructor> = Effect.scoped(Effect.gen(function*() {
    waiting.unsafeClose()
    status.state = "connecting"
    board.show()
    const permit = yield* admission
    if (permit === undefined) return
    board.dialed()
    // From the dial to the end of the session, with its exit.
    yield* Effect.makeSpanScoped(`${exchange.id} connection`, {
      kind: "client",
      root: true,
      captureStackTrace: false,
      attributes: { "url.full": url, "feeds.connection": id, "feeds.topics": topics.size }
    })
    const socket = yield* WebSocketFeed.connect({
      url,
      idleTimeout: options.idleTimeout,
      maxPayload: Defaults.maxPayload(exchange),
      keepAlive: exchange.socket.keepAlive,
      advice: adviceOf(exchange, options.endpoints)
    }).pipe(Effect.tapError(() => permit.fail))
    const session = yield* Effect.acquireRelease(
      Effect.map(Time.now, (now) => {
        const session = Session.make({ shared, connection: id, topics, rhythm, now })
        live = { session, socket }
        return session
      }),
      (session) =>
        Effect.sync(() => {
          live = undefined
          session.end()
        })
    )
    const opened = yield* Effect.makeLatch(false)
    const ready = yield* Effect.makeLatch(false)
    const decoded = yield* Effect.makeLatch(false)
    let proved = false

    const beat = Effect.sync(() => {
      status.lastFrameAt = socket.lastFrameAt()
      board.show()
    })
    const greeted = Effect.sync(() => {
      if (session.isReady()) return
      const message = `no greeting within ${Duration.format(handshakeTimeout)}`
      socket.fail(new FeedError({ reason: "handshake", message }))
    })
    yield* Effect.forkScoped(opened.await.pipe(Effect.andThen(Effect.sleep(handshakeTimeout)), Effect.andThen(greeted)))
    yield* Effect.forkScoped(Effect.andThen(
      ready.await,
      Effect.forever(Effect.sleep(upInterval).pipe(Effect.andThen(permit.succeed), Effect.andThen(beat)))
    ))
    yield* Effect.forkScoped(
      opened.await.pipe(
        Effect.andThen(Effect.sleep(healthyAfter)),
        Effect.andThen(decoded.await),
        Effect.andThen(reconnecting.reset)
      )
    )
    yield* Effect.forkScoped(Effect.andThen(Deferred.await(leaving), socket.close))

    const { commandsPerHour } = exchange.limits
    /** When the last commands left, where an hour has so many at most. */
    const sent: Array<Time.Instant> = []
    const command = Effect.map(Time.now, (now) => {
      const frame = session.command(now)
      if (frame === undefined) return
      socket.send(frame)
      if (commandsPerHour !== undefined) sent.push(now)
    })
    /** The exchange takes no more of this connection for now; of another it does. */
    const roomInHour: Effect.Effect<void> = Effect.flatMap(Time.now, (now) => {
      if (commandsPerHour === undefined) return Effect.void
      while (sent[0] !== undefined && Time.between(sent[0], now) >= hour) sent.shift()
      if (sent[0] === undefined || sent.length < commandsPerHour) return Effect.void
      options.onReplace(id)
      const wait = Math.min(askAgain, hour - Time.between(sent[0], now))
      return Effect.logWarning(
        "the exchange takes no more commands of this connection in an hour; another is to take its place",
        sent.length
      )
        .pipe(
          Effect.annotateLogs({ exchange: exchange.id, connection: id }),
          Effect.andThen(Effect.sleep(wait)),
          Effect.andThen(roomInHour)
        )
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(
      commands.await,
      Effect.suspend(() => {
        if (session.hasCommands()) return Effect.andThen(roomInHour, options.paced(command))
        commands.unsafeClose()
        return Effect.void
      })
    )))

    const carryOut = (outcome: Session.Outcome): void => {
      send(socket, outcome.send)
      if (session.hasCommands()) commands.unsafeOpen()
      if (outcome.replace) options.onReplace(id)
      if (outcome.displaced.length > 0) {
        isFull = true
        options.onDisplaced(id, outcome.displaced)
      }
      if (outcome.error !== undefined) socket.fail(outcome.error)
      if (session.isSettled()) Deferred.unsafeDone(settled, Exit.void)
    }
    /** A trade that the history has may still be on its way to us when the answer is here. */
    const askAround = ({ isMissing, member, silentSince }: Session.Question) =>
      isMissing.pipe(
        Effect.tap((isMute) => isMute ? Effect.sleep(onItsWay) : Effect.void),
        Effect.map((isMute) => {
          if (!isMute || !session.isSilentSince(silentSince)) return
          const message = `the exchange has data of ${member.market.symbol} that the connection did not bring`
          socket.fail(new FeedError({ reason: "stale", message: oneLine(message) }))
        })
      )
    const scope = yield* Effect.scope
    const check = Effect.flatMap(Time.moment, (now) => {
      const outcome = session.check(now, socket.isWaiting())
      carryOut(outcome)
      const told = outcome.events.length === 0 ? Effect.void : options.emit(outcome.events)
      const { question } = outcome
      return question === undefined ? told : Effect.andThen(Effect.forkIn(askAround(question), scope), told)
    })
    yield* Effect.forkScoped(Effect.andThen(
      ready.await,
      Effect.forever(Effect.andThen(Effect.sleep(checkInterval), check))
    ))
    yield* Effect.forkScoped(Effect.andThen(
      ready.await,
      Effect.andThen(Effect.sleep(settledAfter), Deferred.succeed(settled, undefined))
    ))
    const { rotateAfter } = options
    if (rotateAfter !== undefined) {
      // Connections of the same age are not replaced all at once.
      const age = Duration.times(rotateAfter, 0.8 + 0.2 * (yield* Random.next))
      const ask = Effect.sync(() => options.onReplace(id))
      yield* Effect.forkScoped(Effect.andThen(ready.await, Effect.forever(Effect.andThen(Effect.sleep(age), ask))))
    }

    /** What of the last run goes to the dead letters. After its events: they must not wait for a disk while others overtake them. */
    let dead: ReadonlyArray<Session.DeadFrame> = []
    const setLastAside = Effect.suspend(() => {
      const frames = dead
      dead = []
      return frames.length === 0 ? Effect.void : setAside(frames)
    })
    yield* Effect.addFinalizer(() => setLastAside)

    const pull = Effect.flatMap(Effect.zipRight(setLastAside, socket.take), (arrivals) => {
      // The first arrival is that it opened.
      opened.unsafeOpen()
      length.add(arrivals.reduce((sum, one) => one._tag === "text" ? sum + one.text.length : sum, 0))
      const outcome = session.handle(arrivals)
      carryOut(outcome)
      if (session.isReady()) {
        announced = true
        ready.unsafeOpen()
      }
      dead = outcome.dead
      const emitted = outcome.events.length === 0 ? Effect.void : options.emit(outcome.events)
      if (!outcome.decoded || proved) return emitted
      proved = true
      decoded.unsafeOpen()
      return Effect.zipRight(permit.succeed, emitted)
    })
    const end = (reason: Option.Option<FeedError>): Effect.Effect<void, FeedError> => {
      if (Option.isNone(reason)) return Effect.void
      // What it held, nobody knows: of the holes that the end of the session leaves this is the cause.
      if (reason.value.frame === "too_large") session.end("undecoded")
      return Effect.zipRight(permit.fail, Effect.fail(reason.value))
    }
    return yield* Effect.catchAll(Effect.forever(pull), end)
  }))

  const disconnected = (cause: string, code: number | null): Effect.Effect<unknown> =>
    Effect.flatMap(Time.wall, (now) => {
      if (!announced) return Effect.void
      announced = false
      return options.emit([statusEvents.make("disconnected", now, { connection: id, cause, code })])
    })

  const lost = (error: FeedError): Effect.Effect<void> => {
    status.state = "backoff"
    status.subscriptions = { requested: topics.size, active: 0, rejected: 0 }
    isFull = false
    // A frame that no decoder sees is counted all the same (docs/design/laws.md "Input is hostile").
    if (error.frame !== undefined) board.failure(error.frame)
    ended(error).add(1)
    board.lost(error.message.startsWith(error.reason) ? error.message : `${error.reason}: ${error.message}`)
    board.show()
    const terminal = error.code !== undefined && exchange.socket.isTerminal(error.code)
    const annotations = { exchange: exchange.id, connection: id, reason: error.reason, code: error.code ?? null }
    const log = terminal
      ? Effect.andThen(
        reconnecting.toMaximum,
        Effect.logWarning("the exchange says not to come back soon", error.message)
      )
      : Effect.logWarning("connection lost", error.message)
    return disconnected(error.reason, error.code ?? null).pipe(
      Effect.andThen(error.retryAfter === undefined ? Effect.void : gate.hold(error.retryAfter)),
      Effect.andThen(Effect.annotateLogs(log, annotations)),
      Effect.andThen(waiting.open)
    )
  }

  const listen = oneSession.pipe(
    Effect.tapError(lost),
    Effect.retry(reconnecting.schedule),
    // The schedule has no end: nothing can fail beyond it.
    Effect.orDie,
    Effect.andThen(disconnected("left", null))
  )

  return {
    id,
    place,
    settled: Deferred.await(settled),
    taken: () => isFull ? Infinity : live?.session.taken() ?? topics.size,
    sync: Effect.map(Time.moment, ({ at: now, wall }) => {
      if (live !== undefined) recorder?.changed?.(id, heardOf(topics.values()), wall)
      if (live?.session.isReady() === true) {
        live.session.sync(now)
        if (live.session.hasCommands()) commands.unsafeOpen()
      }
      board.show()
    }),
    leave: Effect.asVoid(Deferred.succeed(leaving, undefined)),
    run: Effect.raceFirst(listen, Effect.andThen(Deferred.await(leaving), waiting.await)).pipe(
      Effect.ensuring(Effect.sync(() => {
        board.removeConnection(id)
        board.show()
      }))
    )
  }
})
