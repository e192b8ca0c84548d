/**
 * The platform's WebSocket tag without a network: each dial hands a socket to the test, which plays the server.
 */
import { Socket } from "@effect/platform"
import { Clock, Context, Effect, Layer, Queue } from "effect"

class CloseEvent extends Event {
  readonly code: number
  readonly reason: string
  constructor(code: number, reason: string) {
    super("close")
    this.code = code
    this.reason = reason
  }
}

class ErrorEvent extends Event {
  readonly message: string
  constructor(message: string) {
    super("error")
    this.message = message
  }
}

/** What the feed sees is `EventTarget` with `send`, `close`, and what `ws` has beyond: `pause`, `resume`, `terminate`, `on`. */
export class FakeSocket extends EventTarget {
  readonly url: string
  /** Of the dial, epoch ms. */
  readonly dialedAt: number
  readonly sent: Array<string> = []
  paused = false
  pauses = 0
  terminated = false
  closedWith: number | undefined
  ended = false
  /** A server that does not answer a close. */
  stubborn = false
  /** Answers what is sent. */
  server: (frame: string) => void = () => {}
  private readonly held: Array<() => void> = []
  private readonly pingListeners: Array<() => void> = []

  constructor(url: string, dialedAt: number) {
    super()
    this.url = url
    this.dialedAt = dialedAt
  }

  // What the feed uses.
  send(frame: string): void {
    this.sent.push(frame)
    this.server(frame)
  }
  close(code: number): void {
    if (this.closedWith !== undefined || this.ended) return
    this.closedWith = code
    if (!this.stubborn) this.drop(code)
  }
  pause(): void {
    this.paused = true
    this.pauses += 1
  }
  resume(): void {
    this.paused = false
    while (!this.paused && this.held.length > 0) this.held.shift()?.()
  }
  terminate(): void {
    this.terminated = true
    this.drop(1006)
  }
  on(event: string, listener: () => void): void {
    if (event === "ping") this.pingListeners.push(listener)
  }

  // What the server does; a paused socket notices nothing of it.
  private whenRead(action: () => void): void {
    if (this.paused) this.held.push(action)
    else action()
  }
  open(): void {
    this.dispatchEvent(new Event("open"))
  }
  push(...frames: ReadonlyArray<string>): void {
    for (const data of frames) this.whenRead(() => this.dispatchEvent(new MessageEvent("message", { data })))
  }
  pushBinary(): void {
    this.whenRead(() => this.dispatchEvent(new MessageEvent("message", { data: new Uint8Array(3) })))
  }
  ping(): void {
    this.whenRead(() => this.pingListeners.forEach((listener) => listener()))
  }
  drop(code: number, reason = ""): void {
    this.whenRead(() => {
      if (this.ended) return
      this.ended = true
      this.dispatchEvent(new CloseEvent(code, reason))
    })
  }
  /** As `ws` tells of a refused connection or an HTTP status. */
  refuse(message: string): void {
    this.dispatchEvent(new ErrorEvent(message))
    this.drop(1006)
  }
}

export class FakeSockets extends Context.Tag("test/FakeSockets")<FakeSockets, {
  /** The next dial, when it comes. */
  readonly accept: Effect.Effect<FakeSocket>
  readonly dials: ReadonlyArray<FakeSocket>
}>() {}

/** `behave`: what the server does with each new socket, in the tick after the dial. */
export const layer = (
  behave: (socket: FakeSocket) => void = () => {}
): Layer.Layer<FakeSockets | Socket.WebSocketConstructor> =>
  Layer.effectContext(Effect.gen(function*() {
    const accepted = yield* Queue.unbounded<FakeSocket>()
    const dials: Array<FakeSocket> = []
    const clock = yield* Clock.clockWith(Effect.succeed)
    return Context.make(FakeSockets, { accept: Queue.take(accepted), dials }).pipe(
      Context.add(Socket.WebSocketConstructor, (url) => {
        const socket = new FakeSocket(url, clock.unsafeCurrentTimeMillis())
        dials.push(socket)
        queueMicrotask(() => {
          behave(socket)
          Queue.unsafeOffer(accepted, socket)
        })
        return socket as unknown as globalThis.WebSocket
      })
    )
  }))

/** A Centrifugo that takes every subscription; `errors`: channels it answers with an error code instead. */
export const centrifugo = (errors: ReadonlyMap<string, number> = new Map()) => (socket: FakeSocket): void => {
  socket.server = (frame) => {
    const command: {
      readonly id?: number
      readonly connect?: object
      readonly subscribe?: { readonly channel: string }
      readonly unsubscribe?: object
    } = JSON.parse(frame)
    const { id } = command
    if (command.connect !== undefined) {
      socket.push(JSON.stringify({ id, connect: { client: "c", ping: 25, pong: true } }))
    }
    if (command.unsubscribe !== undefined) socket.push(JSON.stringify({ id, unsubscribe: {} }))
    if (command.subscribe !== undefined) {
      const code = errors.get(command.subscribe.channel)
      socket.push(JSON.stringify(code === undefined ? { id, subscribe: {} } : { id, error: { code, message: "no" } }))
    }
  }
  socket.open()
}

/** Wallex says nothing. */
export const silent = (socket: FakeSocket): void => socket.open()
