/**
 * Carries fake exchanges within the process: no socket, no timer, no port. Whoever runs a feed in the context of these layers reaches them,
 * by Effect's clock; under a TestClock an hour takes as long as its events do.
 *
 * What is not there is TCP: `sendRaw` is a defect, a reader that is behind has 64 frames of buffer. The `Script` works as on loopback.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Socket from "@effect/platform/Socket"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type Carrier, type Ear, type Host, type Place, type Reply, serve, type Served, type Wire } from "./Carrier.ts"
import * as FakeClock from "./FakeClock.ts"
import { MemorySocket } from "./MemorySocket.ts"

/**
 * How much the network within the process takes.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Bytes of the largest frame that clients take, 1 MiB by default: a larger one ends its connection, with 1009. */
  readonly maxPayload?: number
}

/**
 * What the fakes of one process live in.
 *
 * @since 0.1.0
 * @category tags
 */
export class Network extends Context.Tag("effect-exchange-feeds/layers/testing/Network")<Network, {
  /** For a fake that its clients are to reach. Each has a host of its own. */
  readonly place: Place
}>() {}

/**
 * What reaches the fakes: all that a feed asks for.
 *
 * @since 0.1.0
 * @category models
 */
export type Reachable = Network | HttpClient.HttpClient | Socket.WebSocketConstructor

/** Frames on their way to a client that does not read. */
const buffer = 64

class MemoryWire implements Wire {
  private readonly socket: MemorySocket
  private readonly maxPayload: number
  private paused = false

  constructor(socket: MemorySocket, maxPayload: number) {
    this.socket = socket
    this.maxPayload = maxPayload
  }

  hear(ear: Ear): void {
    const { socket } = this
    socket.server = (frame) => {
      if (this.paused) socket.bufferedAmount += Buffer.byteLength(frame)
      else ear.heard(frame)
    }
    socket.onPong = (payload) => ear.ponged(payload)
    socket.onPing = () => void (this.paused || ear.pinged?.())
    socket.onDrain = () => ear.drained()
    socket.onClose = (code) => ear.closed(code)
  }

  get isOpen(): boolean {
    return this.socket.readyState === 1
  }

  get isBroken(): boolean {
    return this.socket.isBroken
  }

  get isFull(): boolean {
    return this.socket.unread >= buffer
  }

  send(data: string | Uint8Array): void {
    if (Buffer.byteLength(data) <= this.maxPayload) return this.socket.push(data)
    this.socket.refuse("Max payload size exceeded", { code: "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" }, 1009)
  }

  write(): never {
    throw new Error("there are no bytes of TCP within the process: this needs a fake on loopback")
  }

  ping(payload = ""): void {
    this.socket.pingClient(payload)
  }

  close(code: number, reason?: string): void {
    this.socket.drop(code, reason)
  }

  hangUp(): void {
    this.socket.drop(1006)
  }

  reset(): void {
    this.socket.reset()
  }

  pause(): void {
    this.paused = true
    this.socket.stubborn = true
  }

  resume(): void {
    this.paused = false
    this.socket.stubborn = false
  }

  soon(run: () => void): void {
    queueMicrotask(run)
  }
}

class Memory implements Carrier {
  readonly apiUrl: string
  readonly wsUrl: string
  private readonly host: Host
  private readonly maxPayload: number
  private isUp = false
  /** Cut off what is there. */
  private readonly cuts = new Set<() => void>()

  constructor(host: Host, name: string, maxPayload: number) {
    this.host = host
    this.apiUrl = `http://${name}`
    this.wsUrl = `ws://${name}`
    this.maxPayload = maxPayload
  }

  async start(): Promise<void> {
    this.isUp = true
  }

  async stop(): Promise<void> {
    this.isUp = false
    for (const cut of this.cuts) cut()
    this.cuts.clear()
  }

  dial(socket: MemorySocket, path: string): void {
    if (socket.ended) return
    if (!this.isUp) return socket.refuse("connect ECONNREFUSED")
    const refusal = this.host.refusal(path)
    if (refusal === "hang" || refusal === undefined) {
      const cut = () => socket.reset()
      this.cuts.add(cut)
      socket.addEventListener("close", () => this.cuts.delete(cut), { once: true })
    }
    if (refusal === "hang") return
    if (refusal === undefined) return socket.open(() => this.host.accept(new MemoryWire(socket, this.maxPayload)))
    const { headers = {}, status } = refusal
    const { date, "retry-after": retryAfter } = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])
    )
    // As `NodeWebSocket` has it.
    socket.refuse(`Unexpected server response: ${status}`, { status, retryAfter, date })
  }

  ask(url: URL): Effect.Effect<Reply, string> {
    return Effect.async((resume) => {
      if (!this.isUp) return resume(Effect.fail("connect ECONNREFUSED"))
      const reply = this.host.reply(url)
      if (reply?.delay === 0) return resume(Effect.succeed(reply))
      const cut = () => end(Effect.fail("socket hang up"))
      const cancel = reply === undefined
        ? () => {}
        : this.host.clock.after(reply.delay, () => end(Effect.succeed(reply)))
      const forget = () => {
        this.cuts.delete(cut)
        cancel()
      }
      const end = (result: Effect.Effect<Reply, string>) => {
        forget()
        resume(result)
      }
      this.cuts.add(cut)
      return Effect.sync(forget)
    })
  }
}

const responseOf = (request: HttpClientRequest.HttpClientRequest, { body, headers, status }: Reply) =>
  HttpClientResponse.fromWeb(request, new Response(body === "" ? null : body, { status, headers }))

/**
 * Their clients are `HttpClient` and `Socket.WebSocketConstructor`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const networkWith = (options: Options): Layer.Layer<Reachable> =>
  Layer.effectContext(Effect.map(FakeClock.make, (clock) => {
    const { maxPayload = 1024 * 1024 } = options
    const hosts = new Map<string, Memory>()
    const place: Place = {
      clock,
      carry: (host) => {
        const name = `fake${hosts.size + 1}.memory`
        const carrier = new Memory(host, name, maxPayload)
        hosts.set(name, carrier)
        return carrier
      }
    }
    const client = HttpClient.make((request, url) => {
      const answer = hosts.get(url.host)?.ask(url) ?? Effect.fail(`getaddrinfo ENOTFOUND ${url.host}`)
      return Effect.mapBoth(answer, {
        onFailure: (description) => new HttpClientError.RequestError({ request, reason: "Transport", description }),
        onSuccess: (reply) => responseOf(request, reply)
      })
    })
    const construct = (address: string): globalThis.WebSocket => {
      const url = new URL(address)
      const socket = new MemorySocket(address)
      queueMicrotask(() => {
        const carrier = hosts.get(url.host)
        if (carrier === undefined) socket.refuse(`getaddrinfo ENOTFOUND ${url.host}`)
        else carrier.dial(socket, url.pathname)
      })
      // What a feed uses of it is there.
      return socket as unknown as globalThis.WebSocket
    }
    return Context.make(Network, { place }).pipe(
      Context.add(HttpClient.HttpClient, client),
      Context.add(Socket.WebSocketConstructor, construct)
    )
  }))

/**
 * One for all fakes of a context: several `memory` layers, merged, are reached by the same clients.
 *
 * @since 0.1.0
 * @category combinators
 */
export const network: Layer.Layer<Reachable> = networkWith({})

/**
 * There when it succeeds; gone with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Fake extends Served>(
  born: (place: Place) => Fake
): Effect.Effect<Fake, never, Network | Scope.Scope> => Effect.flatMap(Network, ({ place }) => serve(() => born(place)))

/**
 * A fake with its network.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <I, Fake extends Served>(
  tag: Context.Tag<I, Fake>,
  born: (place: Place) => Fake
): Layer.Layer<I | Reachable> => Layer.provideMerge(Layer.scoped(tag, make(born)), network)
