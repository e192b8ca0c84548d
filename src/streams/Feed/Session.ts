/**
 * One session of one connection, as a machine that is fed what arrives and says what follows: events, frames to send, frames not
 * understood. Synchronous; the fiber that owns the socket carries it out (`Connection.ts`).
 */
import type * as Ledger from "../../services/Ledger.ts"
import type { MarketEvent, Trade } from "../../services/MarketEvent.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Exchange, Market, Message, TradeRow } from "../Exchange.ts"
import { FeedError, line } from "../FeedError.ts"
import type { Arrival } from "../WebSocketFeed.ts"
import type { Board } from "./Board.ts"
import type { Identity, MarketState } from "./Identity.ts"
import type { StatusEvents } from "./StatusEvents.ts"

/** What all sessions of one exchange share. */
export interface Shared {
  readonly exchange: Exchange
  readonly identity: Identity
  readonly ledger: Ledger.Shape
  readonly board: Board
  readonly statusEvents: StatusEvents
}

export interface DeadFrame {
  readonly failure: DecodeFailure.DecodeFailure
  readonly text: string
  /** Epoch ms. */
  readonly receivedAt: number
}

export interface Outcome {
  readonly events: ReadonlyArray<MarketEvent>
  readonly send: ReadonlyArray<string>
  readonly dead: ReadonlyArray<DeadFrame>
  /** Trades were decoded, new or not. */
  readonly decoded: boolean
  readonly error: FeedError | undefined
}

export interface Session {
  readonly handle: (arrivals: ReadonlyArray<Arrival>) => Outcome
  /** Frames for what has joined or left the connection's topics since; also asks again for what was rejected. */
  readonly sync: () => ReadonlyArray<string>
  /** The server is ready and every topic was asked for. */
  readonly isReady: () => boolean
  /** Places taken on this connection, by topics that left too. */
  readonly taken: () => number
  /** No more trades come of this view. */
  readonly end: () => void
}

/** Command ids below are the protocol's own. */
const firstId = 2

/** `topics` is the connection's living map: it changes when markets join or leave. */
export const make = (shared: Shared, connection: number, topics: ReadonlyMap<string, Market>): Session => {
  const { board, exchange, identity, ledger, statusEvents } = shared
  const { socket } = exchange
  const status = board.connection(connection)
  const view = identity.views.open()
  const entry = { exchange: exchange.id, lane: "trade" } as const
  let nextId = firstId
  let ready = false
  /** What commands were about. */
  const commands = new Map<string, string>()
  /** The last command about a topic; earlier ones are forgotten, or a server that takes back all it grants would fill the memory. */
  const lastCommand = new Map<string, string>()
  const requested = new Set<string>()
  const active = new Set<string>()
  const rejected = new Set<string>()
  let states = new Map<string, MarketState>()
  let receivedAt = -1
  let receivedText = ""

  const topicOf = (id: string): string | undefined => commands.get(id)

  const count = (): void => {
    status.subscriptions = {
      requested: requested.size,
      active: socket.acknowledges ? active.size : requested.size,
      rejected: rejected.size
    }
  }

  const subscribe = (topic: string): string => {
    const id = nextId++
    if (socket.acknowledges) {
      commands.delete(lastCommand.get(topic) ?? "")
      commands.set(String(id), topic)
      lastCommand.set(topic, String(id))
    }
    requested.add(topic)
    rejected.delete(topic)
    return socket.subscribe(topic, id)
  }

  const sync = (): ReadonlyArray<string> => {
    states = new Map()
    for (const market of topics.values()) states.set(market.exchangeSymbol, identity.market(market))
    if (!ready) return []
    const frames: Array<string> = []
    for (const topic of requested) {
      if (topics.has(topic) || socket.unsubscribe === undefined) continue
      frames.push(socket.unsubscribe(topic, nextId++))
      for (const set of [requested, active, rejected]) set.delete(topic)
    }
    for (const topic of topics.keys()) {
      if (!requested.has(topic) || rejected.has(topic)) frames.push(subscribe(topic))
    }
    count()
    return frames
  }

  const isoOf = (at: number): string => {
    if (at !== receivedAt) {
      receivedAt = at
      receivedText = new Date(at).toISOString()
    }
    return receivedText
  }

  /** What one run over arrivals gathers. */
  interface Gathering {
    readonly events: Array<MarketEvent>
    readonly send: Array<string>
    readonly dead: Array<DeadFrame>
    received: number
    foreign: number
    fresh: number
    error: FeedError | undefined
  }

  const trades = (into: Gathering, exchangeSymbol: string, rows: ReadonlyArray<TradeRow>, at: number): void => {
    into.received += rows.length
    const state = states.get(exchangeSymbol)
    if (state === undefined) {
      into.foreign += rows.length
      return
    }
    const { market, status } = state
    for (const { id, row } of state.identify(view, rows, at)) {
      const trade: Trade = {
        type: "trade",
        v: 1,
        exchange: exchange.id,
        symbol: market.symbol,
        exchangeSymbol,
        id,
        price: row.price,
        amount: row.amount,
        side: row.side,
        timestamp: row.timestamp === null ? null : new Date(row.timestamp).toISOString(),
        receivedAt: isoOf(at),
        source: "ws"
      }
      into.events.push(trade)
      into.fresh += 1
      status.trades += 1
      status.lastPrice = row.price
      status.lastAt = at
    }
  }

  const becomeReady = (into: Gathering, at: number): void => {
    if (ready) return
    ready = true
    status.state = "open"
    into.send.push(...sync())
    into.events.push(statusEvents.make("connected", at, { connection, subscriptions: requested.size }))
  }

  const apply = (into: Gathering, message: Message, at: number): void => {
    switch (message._tag) {
      case "trades":
        return trades(into, message.exchangeSymbol, message.rows, at)
      case "ping":
        into.send.push(message.reply)
        return
      case "ready":
        return becomeReady(into, at)
      case "subscribed":
        active.add(message.topic)
        return
      case "rejected":
        active.delete(message.topic)
        rejected.add(message.topic)
        return
      case "unsubscribed":
        active.delete(message.topic)
        if (!topics.has(message.topic)) return
        if (message.resubscribe) into.send.push(subscribe(message.topic))
        else rejected.add(message.topic)
        return
      case "refused":
        into.error = new FeedError({
          reason: "refused",
          message: line(`refused with ${message.code} ${message.message}`),
          code: message.code
        })
        return
      case "failure":
        board.failure(message.failure.reason)
        return
    }
  }

  const text = (into: Gathering, frame: string, at: number): void => {
    let failure: DecodeFailure.DecodeFailure | undefined
    for (const message of socket.decode(frame, topicOf)) {
      if (message._tag === "failure") failure ??= message.failure
      apply(into, message, at)
    }
    // One entry for each frame, however many of its rows were bad.
    if (failure !== undefined) into.dead.push({ failure, text: frame, receivedAt: at })
  }

  const binary = (into: Gathering, at: number): void => {
    const failure = DecodeFailure.make("binary", "a binary frame")
    board.failure(failure.reason)
    into.dead.push({ failure, text: "", receivedAt: at })
  }

  sync()
  return {
    sync,
    isReady: () => ready,
    taken: () => socket.unsubscribe === undefined ? new Set([...requested, ...topics.keys()]).size : topics.size,
    end: () => identity.views.close(view),
    handle: (arrivals) => {
      const into: Gathering = { events: [], send: [], dead: [], received: 0, foreign: 0, fresh: 0, error: undefined }
      for (const arrival of arrivals) {
        if (arrival._tag === "text") text(into, arrival.text, arrival.at)
        else if (arrival._tag === "binary") binary(into, arrival.at)
        else if (socket.hello === undefined) becomeReady(into, arrival.at)
        else into.send.push(socket.hello)
      }
      const { foreign, fresh, received } = into
      if (received > 0) {
        ledger.received(entry, received)
        ledger.move(entry, "in_flight", "filtered", received - foreign - fresh, "duplicate")
        ledger.move(entry, "in_flight", "filtered", foreign, "market")
      }
      const last = arrivals[arrivals.length - 1]
      if (last !== undefined) {
        status.lastFrameAt = last.at
        board.frame(last.at)
        if (received > 0) board.data(last.at)
      }
      count()
      board.show()
      return { events: into.events, send: into.send, dead: into.dead, decoded: received > 0, error: into.error }
    }
  }
}
