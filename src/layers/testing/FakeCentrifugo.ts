/**
 * A Centrifugo server of JSON protocol 2, as strict as the real one (docs/design/exchanges/centrifugo.md): what a client may not do ends its connection.
 */
import type { FakeConnection } from "./FakeConnection.ts"
import type { FakeServer, Which } from "./FakeServer.ts"
import type { Issued } from "./Oracle.ts"

/**
 * What the server is set to.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Milliseconds between the server's pings; the first comes after half of that to all of it. */
  readonly ping?: number
  /** Milliseconds within which a ping is to be answered, else 3012. */
  readonly pongTimeout?: number
  /** Milliseconds within which a client is to send `connect`, else 3502. */
  readonly connectTimeout?: number
  /** Documents joined in one frame, at most 16; 1 sends each by itself. */
  readonly batch?: number
  /** Channels allowed on one connection: one more is answered with 106. */
  readonly channelLimit?: number
  /** `pub.data` as a JSON string. */
  readonly dataAsString?: boolean
  /** Subscribe replies carry `recoverable`, `epoch` and `offset`, and a client may recover what it missed from them. */
  readonly recovery?: boolean
  /**
   * With `recovery`: only the last publication is kept, as in Centrifugo's cache mode. It is what a client is given that missed any, and that is
   * called recovered.
   */
  readonly cache?: boolean
  /** The last publication comes inside the subscribe reply. */
  readonly publicationsInReply?: boolean
}

/**
 * What the server asks the exchange.
 *
 * @since 0.1.0
 * @category options
 */
export interface Channels {
  readonly symbolOf: (channel: string) => string | undefined
  readonly random: () => number
  readonly server: FakeServer
}

interface Publication {
  readonly data: unknown
  readonly offset: number
  readonly issued: ReadonlyArray<Issued>
}

interface Session {
  connected: boolean
  /** Pings not answered yet. */
  pings: number
  /** Takes back that it will be hung up on, for want of `connect`. */
  readonly stays: () => void
  /** The same, for want of a pong. */
  ponged: (() => void) | undefined
}

/** Publications a channel remembers for recovery. */
const historySize = 100

/** Documents in a frame: Centrifugo's own limit. */
const maxBatch = 16

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * The server side of Centrifugo's JSON protocol.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeCentrifugo {
  private readonly options: Options
  private readonly channels: Channels
  private readonly sessions = new Map<FakeConnection, Session>()
  private readonly histories = new Map<string, Array<Publication>>()
  private readonly offsets = new Map<string, number>()
  private restarts = 0

  constructor(options: Options, channels: Channels) {
    this.options = options
    this.channels = channels
  }

  /** Of all channels; another after each restart. */
  get epoch(): string {
    return `e${this.restarts}`
  }

  /** Offsets begin anew, and nothing from before can be recovered. */
  restarted(): void {
    this.restarts += 1
    this.histories.clear()
    this.offsets.clear()
  }

  /** Documents joined in one frame. */
  get batch(): number {
    return Math.min(this.options.batch ?? 1, maxBatch)
  }

  open(connection: FakeConnection): void {
    this.sessions.set(connection, {
      connected: false,
      pings: 0,
      stays: connection.after(this.options.connectTimeout ?? 10_000, () => {
        if (!this.channels.server.script.silent) connection.end(3502)
      }),
      ponged: undefined
    })
  }

  close(connection: FakeConnection): void {
    this.sessions.delete(connection)
  }

  frame(connection: FakeConnection, text: string): void {
    const session = this.sessions.get(connection)
    if (session === undefined) return
    for (const line of text.replace(/\n$/, "").split("\n")) {
      if (!connection.alive || !this.command(connection, session, line)) return connection.end(3501)
    }
  }

  /** To all subscribers, and into the channel's history. */
  publish(channel: string, data: unknown, issued: ReadonlyArray<Issued>): void {
    const offset = (this.offsets.get(channel) ?? 0) + 1
    this.offsets.set(channel, offset)
    const publication = { data: this.options.dataAsString === true ? JSON.stringify(data) : data, offset, issued }
    const history = this.histories.get(channel) ?? []
    this.histories.set(channel, history)
    history.push(publication)
    if (history.length > historySize) history.shift()
    let text: string | undefined
    for (const connection of this.sessions.keys()) {
      if (!connection.subscriptions.has(channel)) continue
      text ??= JSON.stringify({ push: { channel, pub: { data: publication.data, offset } } })
      connection.send(text, issued)
    }
  }

  /** Pings now, whether or not the last was answered: two of them are two pongs allowed. */
  ping(which: Which = () => true): void {
    for (const [connection, session] of this.sessions) {
      if (session.connected && which(connection)) this.pingOne(connection, session)
    }
  }

  /** A push of any kind, such as `{channel, join: {...}}` or one that no client knows. */
  push(body: object, which: Which = () => true): void {
    for (const connection of this.sessions.keys()) {
      if (which(connection)) connection.send(JSON.stringify({ push: body }))
    }
  }

  /** The server ends subscriptions: a code of 2500 and more asks the client to come back. */
  unsubscribe(channel: string, code: number, reason: string): void {
    const subscribed: Which = (connection) => connection.subscriptions.delete(channel)
    this.push({ channel, unsubscribe: { code, reason } }, subscribed)
  }

  /** False: a bad request. */
  private command(connection: FakeConnection, session: Session, line: string): boolean {
    let command: unknown
    try {
      command = JSON.parse(line)
    } catch {
      return false
    }
    if (!isObject(command)) return false
    const { id } = command
    if (id === undefined || id === 0) {
      // Whatever has no id is taken for a pong, and a pong that nobody asked for is a bad request.
      if (session.pings === 0) return false
      session.pings -= 1
      connection.pongs += 1
      session.ponged?.()
      session.ponged = undefined
      return true
    }
    if (typeof id !== "number") return false
    if (isObject(command["connect"])) return this.connect(connection, session, id)
    if (!session.connected) return false
    if (isObject(command["subscribe"])) return this.subscribe(connection, id, command["subscribe"])
    if (isObject(command["unsubscribe"])) {
      connection.subscriptions.delete(String(command["unsubscribe"]["channel"]))
      connection.send(JSON.stringify({ id, unsubscribe: {} }))
      return true
    }
    return false
  }

  private connect(connection: FakeConnection, session: Session, id: number): boolean {
    if (session.connected) return false
    session.connected = true
    session.stays()
    const ping = this.options.ping ?? 25_000
    const client = "9ac9de4e-5289-4ad6-9aa7-8447f007083e"
    const reply = { id, connect: { client, version: "0.0.0", ping: Math.ceil(ping / 1000), pong: true } }
    connection.send(JSON.stringify(reply))
    const beat = () => {
      if (session.ponged !== undefined) return
      session.pings = 0
      this.pingOne(connection, session)
    }
    connection.after(ping * (1 + this.channels.random()) / 2, () => {
      beat()
      connection.every(ping, beat)
    })
    return true
  }

  private pingOne(connection: FakeConnection, session: Session): void {
    if (!connection.alive || this.channels.server.script.silent) return
    session.pings += 1
    connection.send("{}")
    session.ponged ??= connection.after(this.options.pongTimeout ?? 8_000, () => {
      // Who hears nothing does not close.
      if (!this.channels.server.script.silent) connection.end(3012)
    })
  }

  private subscribe(connection: FakeConnection, id: number, request: Readonly<Record<string, unknown>>): boolean {
    const channel = String(request["channel"] ?? "")
    if (channel === "") return false
    const symbol = this.channels.symbolOf(channel)
    this.channels.server.decide(connection, symbol ?? "", (granted) => {
      const { subscriptions } = connection
      const error = symbol === undefined
        ? { code: 102, message: "unknown channel" }
        : !granted
        ? { code: 103, message: "permission denied" }
        : subscriptions.has(channel)
        ? { code: 105, message: "already subscribed" }
        : subscriptions.size >= (this.options.channelLimit ?? 128)
        ? { code: 106, message: "limit exceeded" }
        : undefined
      if (error !== undefined) return void connection.send(JSON.stringify({ id, error }))
      subscriptions.set(channel, this.channels.server.clock.wall())
      const { issued, result } = this.result(channel, request)
      connection.send(JSON.stringify({ id, subscribe: result }), issued)
    })
    return true
  }

  /** What false, zero or empty is, is left out, as the real one does. */
  private result(channel: string, request: Readonly<Record<string, unknown>>) {
    const { publicationsInReply, recovery } = this.options
    const history = this.histories.get(channel) ?? []
    const offset = this.offsets.get(channel) ?? 0
    let publications = publicationsInReply === true ? history.slice(-1) : []
    const asked = recovery === true && request["recover"] === true
    let recovered = false
    if (asked) {
      // All or nothing: an epoch gone by or an offset too old recovers nothing.
      const since = typeof request["offset"] === "number" ? request["offset"] : 0
      const missed = history.filter((publication) => publication.offset > since)
      const isHere = request["epoch"] === this.epoch
      if (this.options.cache === true) {
        recovered = history.length > 0
        publications = isHere && since === offset ? [] : history.slice(-1)
      } else {
        recovered = isHere && since <= offset && missed.length === offset - since
        publications = recovered ? missed : []
      }
    }
    const result = {
      ...(recovery === true ? { recoverable: true, epoch: this.epoch } : {}),
      ...(publications.length > 0
        ? { publications: publications.map((publication) => ({ data: publication.data, offset: publication.offset })) }
        : {}),
      ...(recovered ? { recovered } : {}),
      ...(recovery === true && offset > 0 ? { offset } : {}),
      ...(asked ? { was_recovering: true } : {})
    }
    return { result, issued: publications.flatMap(({ issued }) => issued) }
  }
}
