/**
 * What both fake exchanges share: an HTTP and WebSocket server on loopback that does to its clients what the script says. Plain
 * synchronous controls; lifetimes belong to a scope.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { Duplex } from "node:stream"
import { type WebSocket, WebSocketServer } from "ws"

/** What a REST call or an upgrade is answered with instead of the truth. `hang`: nothing, ever. */
export type Answer =
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  | "hang"

export const html: Answer = {
  status: 502,
  body: "<html><body><h1>502 Bad Gateway</h1></body></html>",
  headers: { "content-type": "text/html" }
}

export interface Dial {
  /** Epoch ms. */
  readonly at: number
  readonly accepted: boolean
}

/** How an exchange speaks. */
export interface Protocol {
  readonly wsPath: string
  /** The JSON for a GET, or undefined for 404. */
  readonly rest: (url: URL) => string | undefined
  readonly opened: (connection: Connection) => void
  readonly received: (connection: Connection, text: string) => void
  readonly closed?: (connection: Connection) => void
}

export class Connection {
  readonly ws: WebSocket
  /** Channels or symbols, as the protocol names them. */
  readonly subscriptions = new Set<string>()
  readonly received: Array<string> = []
  pongs = 0
  sentFrames = 0
  /** Neither reads nor writes nor closes: the other side of a broken path. */
  dead = false
  private readonly server: FakeServer

  constructor(ws: WebSocket, server: FakeServer) {
    this.ws = ws
    this.server = server
  }

  send(text: string): void {
    if (this.dead || this.ws.readyState !== this.ws.OPEN) return
    this.sentFrames += 1
    const { closeAfterFrames, cutSlowAfterBytes, delay } = this.server.script
    if (cutSlowAfterBytes !== undefined && this.ws.bufferedAmount > cutSlowAfterBytes) {
      return this.ws.close(3008, "slow")
    }
    if (delay > 0) setTimeout(() => this.ws.send(text), delay)
    else this.ws.send(text)
    if (closeAfterFrames !== undefined && this.sentFrames >= closeAfterFrames.frames) this.drop(closeAfterFrames.code)
  }

  /** `reset`: the connection breaks without a word (the client sees 1006). */
  drop(how: number | "reset"): void {
    if (how === "reset") this.ws.terminate()
    else if (how === 1006) this.ws.terminate()
    else this.ws.close(how)
  }
}

export interface Script {
  upgrade: Answer | undefined
  rest: Answer | undefined
  /** Close with this code right after accepting. */
  acceptThenClose: number | undefined
  closeAfterFrames: { readonly frames: number; readonly code: number } | undefined
  /** `all`: nothing is pushed, pings go on. Otherwise these symbols. */
  mute: "all" | ReadonlySet<string>
  /** Nothing at all is sent, not even a greeting, reply or ping. */
  silent: boolean
  /** Milliseconds before each frame goes out. */
  delay: number
  /** A client that lets so many bytes wait is cut with 3008. */
  cutSlowAfterBytes: number | undefined
}

const quiet = (): Script => ({
  upgrade: undefined,
  rest: undefined,
  acceptThenClose: undefined,
  closeAfterFrames: undefined,
  mute: new Set(),
  silent: false,
  delay: 0,
  cutSlowAfterBytes: undefined
})

export class FakeServer {
  script: Script = quiet()
  readonly connections = new Set<Connection>()
  readonly dials: Array<Dial> = []
  readonly restCalls: Array<string> = []
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

  /** Everything is well again. Connections stay. */
  heal(): void {
    this.script = quiet()
  }

  isMuted(symbol: string): boolean {
    const { mute, silent } = this.script
    return silent || mute === "all" || mute.has(symbol)
  }

  drop(how: number | "reset"): void {
    for (const connection of this.connections) connection.drop(how)
  }

  /** All connections stay open and are never served again; new ones are. */
  halfOpen(): void {
    for (const connection of this.connections) {
      connection.dead = true
      connection.ws.pause()
    }
  }

  /** Connections are refused, and those that exist are broken. */
  async refuse(): Promise<void> {
    this.drop("reset")
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.server.close(resolve))
  }

  /** Listens (again), on the same port as before. */
  async listen(): Promise<void> {
    if (this.port !== 0) this.server = this.build()
    await new Promise<void>((resolve) => this.server.listen(this.port, "127.0.0.1", resolve))
    const address: AddressInfo | string | null = this.server.address()
    if (typeof address === "object" && address !== null) this.port = address.port
  }

  private build(): Server {
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
    const server = createServer((request, response) => this.answer(request, response))
    server.on("connection", (socket: Socket) => {
      this.sockets.add(socket)
      socket.on("close", () => this.sockets.delete(socket))
    })
    server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const { upgrade } = this.script
      this.dials.push({ at: Date.now(), accepted: upgrade === undefined })
      if (upgrade === "hang") return
      if (upgrade !== undefined) {
        const headers = Object.entries(upgrade.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`).join("")
        const body = upgrade.body ?? ""
        socket.end(
          `HTTP/1.1 ${upgrade.status} Refused\r\n${headers}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`
        )
        return
      }
      sockets.handleUpgrade(request, socket, head, (ws) => this.accept(ws))
    })
    return server
  }

  private accept(ws: WebSocket): void {
    const connection = new Connection(ws, this)
    this.connections.add(connection)
    ws.on("close", () => {
      this.connections.delete(connection)
      this.protocol.closed?.(connection)
    })
    ws.on("error", () => ws.terminate())
    ws.on("pong", () => {
      connection.pongs += 1
    })
    ws.on("message", (data) => {
      if (connection.dead) return
      const text = String(data)
      connection.received.push(text)
      if (!this.script.silent) this.protocol.received(connection, text)
    })
    if (this.script.acceptThenClose !== undefined) return connection.drop(this.script.acceptThenClose)
    if (!this.script.silent) this.protocol.opened(connection)
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.apiUrl)
    this.restCalls.push(url.pathname)
    const { rest } = this.script
    if (rest === "hang") return
    if (rest !== undefined) {
      response.writeHead(rest.status, rest.headers ?? {})
      response.end(rest.body ?? "")
      return
    }
    const body = this.protocol.rest(url)
    response.writeHead(body === undefined ? 404 : 200, { "content-type": "application/json" })
    response.end(body ?? "{\"detail\":\"Not found.\"}")
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.ws.terminate()
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.server.close(resolve))
  }
}

/** Listening when it succeeds; everything is closed with the scope. */
export const listen = (server: FakeServer): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.promise(() => server.listen()), () => Effect.promise(() => server.close()))
