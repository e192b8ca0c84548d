/**
 * The platform's WebSocket tag without a network: each dial hands a socket to the test, which plays the server.
 */
import { Socket } from "@effect/platform"
import { Clock, Context, Effect, Layer, Queue } from "effect"
import { MemorySocket } from "../../../src/layers/testing/MemorySocket.ts"

/** With what the client did. */
export class FakeSocket extends MemorySocket {
  /** Of the dial, epoch ms. */
  readonly dialedAt: number
  readonly sent: Array<string> = []
  pauses = 0

  constructor(url: string, dialedAt: number) {
    super(url)
    this.dialedAt = dialedAt
  }

  override send(frame: string): void {
    this.sent.push(frame)
    super.send(frame)
  }
  override pause(): void {
    this.pauses += 1
    super.pause()
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
