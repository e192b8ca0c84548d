import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Option } from "effect"
import { createServer, type Server } from "node:http"
import { type AddressInfo, Socket } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import * as NodeWebSocket from "../../src/layers/node/WebSocket.ts"
import * as WebSocketFeed from "../../src/streams/WebSocketFeed.ts"

/** A server on loopback; `onConnection` with the raw socket. */
const serve = (onConnection: (socket: WebSocket) => void, configure: (http: Server) => void = () => {}) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly server: WebSocketServer; readonly http: Server }>((resume) => {
      const http = createServer()
      const server = new WebSocketServer({ noServer: true, perMessageDeflate: true })
      configure(http)
      if (http.listenerCount("upgrade") === 0) {
        http.on("upgrade", (request, socket, head) => server.handleUpgrade(request, socket, head, onConnection))
      }
      http.listen(0, "127.0.0.1", () => {
        resume(Effect.succeed({ url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}`, server, http }))
      })
    }),
    ({ http, server }) =>
      Effect.async<void>((resume) => {
        server.clients.forEach((client) => client.terminate())
        http.closeAllConnections()
        http.close(() => resume(Effect.void))
      })
  )

const connect = (url: string, over: Partial<WebSocketFeed.Options> = {}) =>
  WebSocketFeed.connect({ url, idleTimeout: Duration.seconds(60), maxPayload: 1024, ...over })

/** Texts until the end, and the end. */
const drain = (connection: WebSocketFeed.Connection) =>
  Effect.gen(function*() {
    const texts: Array<string> = []
    while (true) {
      const taken = yield* Effect.either(connection.take)
      if (taken._tag === "Left") return { texts, end: Option.getOrUndefined(taken.left) }
      for (const arrival of taken.right) if (arrival._tag === "text") texts.push(arrival.text)
    }
  })

/** A clock that goes on by a second whenever it is asked. */
const counting = (): Clock.Clock => {
  let seconds = 0
  return Object.assign(Clock.make(), {
    unsafeCurrentTimeMillis: () => (seconds += 1) * 1000,
    unsafeCurrentTimeNanos: () => BigInt(seconds += 1) * 1_000_000_000n
  })
}

const layer = NodeWebSocket.layer({ maxPayload: 1024 * 1024 })

describe("WebSocketFeed on a real socket", () => {
  it.scopedLive("keeps a server that wants pings of the protocol, and its pongs keep the connection", () =>
    Effect.gen(function*() {
      let pings = 0
      const { url } = yield* serve((socket) => {
        socket.on("ping", () => {
          pings += 1
          if (pings === 20) socket.close(1000, "enough")
        })
      })
      const connection = yield* WebSocketFeed.connect({
        url,
        // Nothing else comes: without the pongs it would be silent for longer than that.
        idleTimeout: Duration.millis(900),
        maxPayload: 1024,
        keepAlive: { every: Duration.millis(100) }
      })
      const { end } = yield* drain(connection)
      assert.deepInclude(end, { reason: "closed", message: "enough" })
      assert.strictEqual(pings, 20)
    }).pipe(Effect.provide(layer)))

  it.scopedLive("holds a server back while nobody takes, and then loses nothing and keeps the order", () =>
    Effect.gen(function*() {
      const count = 20_000
      const clients: Array<WebSocket> = []
      const { url } = yield* serve((socket) => {
        clients.push(socket)
        for (let i = 0; i < count; i++) socket.send(`${i} ${"x".repeat(1000)}`)
        socket.close(1000, "done")
      })
      const connection = yield* connect(url)
      // Until the server's kernel and ours are full: what is left to it no longer falls.
      let buffered = -1
      while (clients[0] === undefined || clients[0].bufferedAmount !== buffered) {
        buffered = clients[0]?.bufferedAmount ?? -1
        yield* Effect.sleep("200 millis")
      }
      assert.isAbove(buffered, 5_000_000)
      const { end, texts } = yield* drain(connection)
      assert.deepStrictEqual(
        texts.map((text) => Number(text.split(" ")[0])),
        Array.from({ length: count }, (_, i) => i)
      )
      assert.deepInclude(end, { reason: "closed", code: 1000, message: "done" })
    }).pipe(Effect.provide(layer)))

  it.scopedLive("takes what comes with the handshake, and a close in the same breath", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((socket) => {
        socket.send("hello")
        socket.close(4001, "bye")
      })
      const { end, texts } = yield* drain(yield* connect(url))
      assert.deepStrictEqual(texts, ["hello"])
      assert.deepInclude(end, { reason: "closed", code: 4001 })
    }).pipe(Effect.provide(layer)))

  it.scopedLive("says of frames that came with one read of the socket that they came together, and of later ones later", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((socket) => {
        const tcp: unknown = Reflect.get(socket, "_socket")
        assert.instanceOf(tcp, Socket)
        tcp.cork()
        socket.send("a")
        socket.send("b")
        tcp.uncork()
        socket.on("message", () => socket.send("c"))
      })
      const connection = yield* connect(url)
      const found: Array<WebSocketFeed.Arrival> = []
      while (found.filter(({ _tag }) => _tag === "text").length < 3) {
        const arrivals = yield* connection.take
        found.push(...arrivals)
        if (arrivals.some((one) => one._tag === "text" && one.text === "b")) connection.send("more")
      }
      const [a, b, c] = found.filter(({ _tag }) => _tag === "text")
      assert.deepStrictEqual([a?.at, a?.wall], [b?.at, b?.wall])
      assert.isAbove(Number(c?.wall), Number(b?.wall))
      // Each look at this clock finds it a second later.
    }).pipe(Effect.withClock(counting()), Effect.provide(layer)))

  it.scopedLive("breaks at a frame beyond the cap, after all that came before it", () =>
    Effect.gen(function*() {
      const { url } = yield* serve((socket) => {
        socket.send("before")
        socket.send("x".repeat(1024 * 1024 + 1))
      })
      const { end, texts } = yield* drain(yield* connect(url))
      assert.deepStrictEqual(texts, ["before"])
      assert.deepInclude(end, { reason: "broken", message: "Max payload size exceeded" })
    }).pipe(Effect.provide(layer)))

  it.scopedLive("negotiates no compression", () =>
    Effect.gen(function*() {
      const clients: Array<WebSocket> = []
      const { url } = yield* serve((socket) => {
        clients.push(socket)
        socket.close()
      })
      yield* drain(yield* connect(url))
      assert.deepStrictEqual(clients.map(({ extensions }) => extensions), [""])
    }).pipe(Effect.provide(layer)))

  it.scopedLive("tells what a dial came to: HTTP status, redirect, nobody there, nonsense for a URL", () =>
    Effect.gen(function*() {
      const answers = [
        ["HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", /503/],
        ["HTTP/1.1 429 Too Many Requests\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n", /429/],
        ["HTTP/1.1 302 Found\r\nlocation: ws://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", /302/]
      ] as const
      for (const [answer, message] of answers) {
        const { url } = yield* serve(() => {}, (http) => {
          http.on("upgrade", (_request, socket) => socket.end(answer))
        })
        const { end } = yield* drain(yield* connect(url))
        assert.strictEqual(end?.reason, "dial")
        assert.match(end?.message ?? "", message)
        assert.deepStrictEqual(end?.retryAfter, answer.includes("429") ? Duration.seconds(5) : undefined)
      }
      const closed = yield* Effect.scoped(Effect.map(serve(() => {}), ({ url }) => url))
      const { end } = yield* drain(yield* connect(closed))
      assert.deepInclude(end, { reason: "dial" })
      assert.match(end?.message ?? "", /ECONNREFUSED/)
      assert.deepInclude(yield* Effect.flip(connect("nonsense")), { reason: "dial" })
    }).pipe(Effect.provide(layer)))

  it.scopedLive("tells with the status of a refused dial what can be done about it, where there is an advice", () =>
    Effect.gen(function*() {
      const { url } = yield* serve(() => {}, (http) => {
        http.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 451 No\r\ncontent-length: 0\r\n\r\n"))
      })
      const told = (advice: Readonly<Record<number, string>>) =>
        Effect.flatMap(
          connect(url, { advice }),
          (connection) => Effect.map(drain(connection), ({ end }) => end?.message)
        )
      assert.strictEqual(yield* told({ 451: "go elsewhere" }), "Unexpected server response: 451: go elsewhere")
      assert.strictEqual(yield* told({ 403: "go elsewhere" }), "Unexpected server response: 451")
    }).pipe(Effect.provide(layer)))

  it.scopedLive("closes politely, and takes what still comes", () =>
    Effect.gen(function*() {
      const codes: Array<number> = []
      const { url } = yield* serve((socket) => {
        socket.on("message", () => {
          socket.send("first")
          socket.send("second")
        })
        socket.on("close", (code) => codes.push(code))
      })
      const connection = yield* connect(url)
      yield* connection.take
      connection.send("go")
      const closing = yield* Effect.fork(connection.close)
      const { end, texts } = yield* drain(connection)
      yield* closing.await
      assert.deepStrictEqual(texts, ["first", "second"])
      assert.isUndefined(end)
      assert.deepStrictEqual(codes, [1000])
    }).pipe(Effect.provide(layer)))
})
