/**
 * What the fake exchanges share: an HTTP and WebSocket server on loopback that does to its clients what the script says. The
 * controls are plain synchronous functions, but for those that open and close the listener; lifetimes belong to a scope.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import { FakeConnection } from "./FakeConnection.ts"
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
 * How an exchange speaks.
 *
 * @since 0.1.0
 * @category options
 */
export interface Protocol {
  readonly wsPath: string
  /** Messages joined in one frame by newlines; 1 sends each by itself. */
  readonly batch: number
  /** The JSON for a GET, or undefined for 404. */
  readonly rest: (url: URL) => string | undefined
  readonly opened: (connection: FakeConnection) => void
  readonly received: (connection: FakeConnection, text: string) => void
  readonly closed: (connection: FakeConnection) => void
  /** The server was away and is back: it has forgotten what it kept in memory. */
  readonly restarted: () => void
}

/**
 * Which connections a control is for; all if left out.
 *
 * @since 0.1.0
 * @category options
 */
export type Which = (connection: FakeConnection) => boolean

/** What a client may send in one frame: Centrifugo's default. */
const maxPayload = 65_536

/**
 * A server on loopback that answers as its protocol says, and misbehaves as its script says.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeServer {
  script: Script = quiet()
  /** Those that exist now. */
  readonly connections = new Set<FakeConnection>()
  /** Those that ever were, in order. */
  readonly accepted: Array<FakeConnection> = []
  readonly dials: Array<Dial> = []
  readonly restCalls: Array<RestCall> = []
  private readonly protocol: Protocol
  private readonly sockets = new Set<Socket>()
  private server: Server
  private port = 0

  constructor(protocol: Protocol) {
    this.protocol = protocol
    this.server = this.build()
  }

  get apiUrl(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${this.port}${this.protocol.wsPath}`
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
    await this.stop()
  }

  /** Listens, on the same port as before if there was one: then the server has been restarted. */
  async listen(): Promise<void> {
    if (this.port !== 0) {
      this.server = this.build()
      this.protocol.restarted()
    }
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject)
      this.server.listen(this.port, "127.0.0.1", resolve)
    })
    const address = this.server.address()
    if (typeof address === "object" && address !== null) this.port = address.port
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.ws.terminate()
    await this.stop()
  }

  private async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    if (this.server.listening) await new Promise((resolve) => this.server.close(resolve))
  }

  private chosen(which: Which = () => true): ReadonlyArray<FakeConnection> {
    return [...this.connections].filter(which)
  }

  private build(): Server {
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload })
    const server = createServer((request, response) => this.answer(request, response))
    server.on("connection", (socket: Socket) => {
      this.sockets.add(socket)
      socket.on("close", () => this.sockets.delete(socket))
    })
    server.on("upgrade", (request: IncomingMessage, _socket: unknown, head: Buffer) => {
      const { socket } = request
      // A client that gives up while it is refused or left hanging is no error of the test.
      socket.on("error", () => socket.destroy())
      const wrongPath = new URL(request.url ?? "/", this.apiUrl).pathname !== this.protocol.wsPath
      const refusal: Answer | undefined = wrongPath ? { status: 404 } : this.script.upgrade
      this.dials.push({ at: Date.now(), accepted: refusal === undefined })
      if (refusal === "hang") return
      if (refusal !== undefined) return refuseUpgrade(socket, refusal)
      sockets.handleUpgrade(request, socket, head, (ws) => this.accept(ws, socket))
    })
    return server
  }

  private accept(ws: WebSocket, socket: Socket): void {
    const connection = new FakeConnection(ws, socket, this.protocol.batch, () => this.script)
    this.connections.add(connection)
    this.accepted.push(connection)
    ws.on("close", () => {
      this.connections.delete(connection)
      this.protocol.closed(connection)
    })
    // `ws` closes by itself after a bad frame or a reset, which `closeCode` then tells.
    ws.on("error", () => {})
    ws.on("pong", () => {
      connection.pongs += 1
    })
    ws.on("message", (data) => {
      if (!connection.alive) return
      const text = String(data)
      connection.received.push(text)
      if (!this.script.silent) this.protocol.received(connection, text)
    })
    if (this.script.acceptThenClose !== undefined) return connection.end(this.script.acceptThenClose)
    this.protocol.opened(connection)
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.apiUrl)
    this.restCalls.push({ at: Date.now(), url: `${url.pathname}${url.search}` })
    const { rest, restDelay } = this.script
    if (rest === "hang") return
    const { body = "", headers = {}, status } = rest ?? truth(this.protocol.rest(url))
    if (restDelay === 0) {
      response.writeHead(status, headers)
      response.end(body)
      return
    }
    const date = new Date().toUTCString()
    const timer = setTimeout(() => {
      response.writeHead(status, { date, ...headers })
      response.end(body)
    }, restDelay)
    response.on("close", () => clearTimeout(timer))
  }
}

const truth = (body: string | undefined): Exclude<Answer, "hang"> => ({
  status: body === undefined ? 404 : 200,
  headers: { "content-type": "application/json" },
  body: body ?? "{\"detail\":\"Not found.\"}"
})

const refuseUpgrade = (socket: Socket, { body = "", headers = {}, status }: Exclude<Answer, "hang">): void => {
  const lines = Object.entries({
    ...headers,
    "content-length": String(Buffer.byteLength(body)),
    connection: "close"
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join("")}\r\n${body}`)
}

/**
 * Listening when it succeeds; everything is closed with the scope.
 *
 * @since 0.1.0
 * @category operations
 */
export const listen = (server: FakeServer): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.promise(() => server.listen()), () => Effect.promise(() => server.close()))
