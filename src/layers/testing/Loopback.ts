/**
 * Carries a fake exchange by real sockets on loopback, with all that TCP can do to a client.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import { type Carrier, type Ear, type Host, type Place, serve, type Served, type Wire } from "./Carrier.ts"
import * as FakeClock from "./FakeClock.ts"
import type { Answer } from "./Script.ts"

/** What a client may send in one frame: Centrifugo's default. */
const maxPayload = 65_536

class LoopbackWire implements Wire {
  private readonly ws: WebSocket
  private readonly socket: Socket

  constructor(ws: WebSocket, socket: Socket) {
    this.ws = ws
    this.socket = socket
  }

  hear(ear: Ear): void {
    this.socket.on("drain", () => ear.drained())
    this.ws.on("close", (code) => ear.closed(code))
    // `ws` closes by itself after a bad frame or a reset, which the code then tells.
    this.ws.on("error", () => {})
    this.ws.on("pong", (payload) => ear.ponged(payload.toString()))
    this.ws.on("ping", () => ear.pinged?.())
    this.ws.on("message", (data) => ear.heard(String(data)))
  }

  get isOpen(): boolean {
    return this.ws.readyState === this.ws.OPEN
  }

  get isFull(): boolean {
    return this.socket.writableNeedDrain
  }

  get isBroken(): boolean {
    return this.socket.errored !== null
  }

  send(data: string | Uint8Array): void {
    this.ws.send(data)
  }

  write(bytes: Uint8Array): boolean {
    return this.socket.write(bytes)
  }

  ping(payload = ""): void {
    this.ws.ping(payload)
  }

  close(code: number, reason?: string): void {
    this.ws.close(code, reason)
  }

  hangUp(): void {
    this.socket.end()
  }

  reset(): void {
    this.socket.resetAndDestroy()
  }

  pause(): void {
    this.ws.pause()
  }

  resume(): void {
    this.ws.resume()
  }

  soon(run: () => void): void {
    setImmediate(run)
  }
}

class Loopback implements Carrier {
  private readonly host: Host
  private readonly sockets = new Set<Socket>()
  private server: Server | undefined
  private port = 0

  constructor(host: Host) {
    this.host = host
  }

  get apiUrl(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get wsUrl(): string {
    return `ws://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const server = this.build()
    this.server = server
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject)
      server.listen(this.port, "127.0.0.1", resolve)
    })
    const address = server.address()
    if (typeof address === "object" && address !== null) this.port = address.port
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    const { server } = this
    if (server?.listening === true) await new Promise((resolve) => server.close(resolve))
  }

  private build(): Server {
    const { host } = this
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
      const refusal = host.refusal(request.url ?? "/")
      if (refusal === "hang") return
      if (refusal !== undefined) return refuseUpgrade(socket, refusal)
      sockets.handleUpgrade(request, socket, head, (ws) => host.accept(new LoopbackWire(ws, socket)))
    })
    return server
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const reply = this.host.reply(new URL(request.url ?? "/", this.apiUrl))
    if (reply === undefined) return
    const { body, delay, headers, status } = reply
    const send = () => {
      response.writeHead(status, headers)
      response.end(body)
    }
    if (delay === 0) return send()
    response.on("close", this.host.clock.after(delay, send))
  }
}

const refuseUpgrade = (socket: Socket, { body = "", headers = {}, status }: Exclude<Answer, "hang">): void => {
  const lines = Object.entries({
    ...headers,
    "content-length": String(Buffer.byteLength(body)),
    connection: "close"
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join("")}\r\n${body}`)
}

/**
 * By this machine's clock, or another.
 *
 * @since 0.1.0
 * @category combinators
 */
export const place = (clock: FakeClock.FakeClock = FakeClock.live): Place => ({
  clock,
  carry: (host) => new Loopback(host)
})

/**
 * Listening when it succeeds, by the clock of the fiber; everything is closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Fake extends Served>(born: (place: Place) => Fake): Effect.Effect<Fake, never, Scope.Scope> =>
  Effect.flatMap(FakeClock.make, (clock) => serve(() => born(place(clock))))
