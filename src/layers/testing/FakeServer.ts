/**
 * What the fake exchanges share: a server that does to its clients what the script says, whatever carries their frames. The controls are
 * plain synchronous functions, but for those that open and close it; lifetimes belong to a scope.
 */
import type { Carrier, Host, Place, Reply, Wire } from "./Carrier.ts"
import type { FakeClock } from "./FakeClock.ts"
import { FakeConnection } from "./FakeConnection.ts"
import * as Loopback from "./Loopback.ts"
import { type Answer, type End, quiet, type Script } from "./Script.ts"

/**
 * An attempt to open a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dial {
  /** Epoch ms. */
  readonly at: number
  /** The upgrade was granted. */
  readonly accepted: boolean
}

/**
 * A question to the REST API.
 *
 * @since 0.1.0
 * @category models
 */
export interface RestCall {
  /** Epoch ms. */
  readonly at: number
  /** Path and query. */
  readonly url: string
}

/**
 * How an exchange speaks: what it does when a client comes, says something, leaves, or asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Protocol {
  readonly wsPath: string
  /** What has to stand behind that path: one of these; nothing if left out. */
  readonly wsSuffixes?: ReadonlyArray<string>
  /** Messages joined in one frame by newlines; 1 sends each by itself. */
  readonly batch: number
  readonly open: (connection: FakeConnection) => void
  readonly frame: (connection: FakeConnection, text: string) => void
  /** It has sent a ping of the WebSocket protocol, which is answered already. */
  readonly pinged?: ((connection: FakeConnection) => void) | undefined
  /** It has answered a ping of the WebSocket protocol, with that payload. */
  readonly ponged?: ((connection: FakeConnection, payload: string) => void) | undefined
  readonly close: (connection: FakeConnection) => void
  /** The JSON for a GET, another answer, or undefined for 404. */
  readonly request: (url: URL) => string | Answer | undefined
  /** The server was away and is back: it has forgotten what it kept in memory. */
  readonly restarted: () => void
}

/**
 * Which connections a control is for; all if left out.
 *
 * @since 0.1.0
 * @category models
 */
export type Which = (connection: FakeConnection) => boolean

/**
 * A server that answers as its protocol says, and misbehaves as its script says, whatever carries it.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeServer implements Host {
  script: Script = quiet()
  /** Those that exist now. */
  readonly connections = new Set<FakeConnection>()
  /** Those that ever were, in order. */
  readonly accepted: Array<FakeConnection> = []
  readonly dials: Array<Dial> = []
  readonly restCalls: Array<RestCall> = []
  readonly clock: FakeClock
  private readonly protocol: Protocol
  private readonly carrier: Carrier
  private started = false

  /** On loopback, by this machine's clock, if it is not said where. */
  constructor(protocol: Protocol, place: Place = Loopback.place()) {
    this.protocol = protocol
    this.clock = place.clock
    this.carrier = place.carry(this)
  }

  get apiUrl(): string {
    return this.carrier.apiUrl
  }

  get wsUrl(): string {
    return `${this.carrier.wsUrl}${this.wsPath}`
  }

  get wsPath(): string {
    return this.protocol.wsPath
  }

  /** Everything is well again. Connections stay, half-open ones stay so. */
  heal(): void {
    this.script = quiet()
  }

  isMuted(symbol: string): boolean {
    const { mute, silent } = this.script
    return silent || mute === "all" || mute.has(symbol)
  }

  drop(how: End, which?: Which): void {
    for (const connection of this.chosen(which)) connection.end(how)
  }

  /** They stay open and are never served again; new ones are. */
  halfOpen(which?: Which): void {
    for (const connection of this.chosen(which)) connection.halfOpen()
  }

  /** A frame as it is: garbage, or something new. Bytes go as a binary frame. */
  frame(data: string | Uint8Array, which?: Which): void {
    for (const connection of this.chosen(which)) connection.sendFrame(data)
  }

  /** A frame of so many bytes, well-formed JSON that means nothing. */
  oversize(bytes: number, which?: Which): void {
    this.frame(`"${"x".repeat(bytes - 2)}"`, which)
  }

  /** Connections are refused, and those that exist are reset. Resolves when the port is closed. */
  async refuse(): Promise<void> {
    this.drop("reset")
    await this.carrier.stop()
  }

  /** Listens, on the same port as before if there was one: then the server has been restarted. */
  async listen(): Promise<void> {
    if (this.started) this.protocol.restarted()
    this.started = true
    await this.carrier.start()
  }

  async close(): Promise<void> {
    await this.carrier.stop()
  }

  /** A wish for a symbol's channel: `settle` is told whether it is granted, now, late or never, as the script has it. */
  decide(connection: FakeConnection, symbol: string, settle: (granted: boolean) => void): void {
    const { ackDelay, denied, ignored } = this.script
    if (ignored.has(symbol)) return
    const granted = !denied.has(symbol)
    if (ackDelay > 0) connection.after(ackDelay, () => settle(granted))
    else settle(granted)
  }

  /** Of a dial: the carrier's question. */
  refusal(path: string): Answer | undefined {
    const { wsSuffixes = [""] } = this.protocol
    const isRight = wsSuffixes.some((suffix) => new URL(path, "http://server").pathname === this.wsPath + suffix)
    const refusal: Answer | undefined = isRight ? this.script.upgrade : { status: 404 }
    this.dials.push({ at: this.clock.wall(), accepted: refusal === undefined })
    return refusal
  }

  /** A connection has come: the carrier's word. */
  accept(wire: Wire): void {
    const { clock, connections, protocol } = this
    const connection = new FakeConnection(wire, {
      clock,
      batch: protocol.batch,
      script: () => this.script,
      frame: (connection, text) => protocol.frame(connection, text),
      pinged: (connection) => protocol.pinged?.(connection),
      ponged: (connection, payload) => protocol.ponged?.(connection, payload),
      closed: (connection) => {
        connections.delete(connection)
        protocol.close(connection)
      }
    })
    connections.add(connection)
    this.accepted.push(connection)
    if (this.script.acceptThenClose !== undefined) return connection.end(this.script.acceptThenClose)
    protocol.open(connection)
  }

  /** Of a GET: the carrier's question. */
  reply(url: URL): Reply | undefined {
    const at = this.clock.wall()
    this.restCalls.push({ at, url: `${url.pathname}${url.search}` })
    const { rest, restDelay } = this.script
    const answer = rest ?? truth(this.protocol.request(url))
    if (answer === "hang") return undefined
    const { body = "", headers = {}, status } = answer
    return { status, headers: { date: new Date(at).toUTCString(), ...headers }, body, delay: restDelay }
  }

  private chosen(which: Which = () => true): ReadonlyArray<FakeConnection> {
    return [...this.connections].filter(which)
  }
}

const truth = (found: string | Answer | undefined): Answer =>
  typeof found === "object" || found === "hang" ? found : {
    status: found === undefined ? 404 : 200,
    headers: { "content-type": "application/json" },
    body: found ?? "{\"detail\":\"Not found.\"}"
  }
