/** What `NodeHttp` does beside decompressing, which `test/hostile/Answers.test.ts` has. */
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import dns from "node:dns"
import * as http from "node:http"
import type { Socket } from "node:net"
import { afterEach, vi } from "vitest"
import * as NodeHttp from "../../../src/layers/node/Http.ts"
import { reasonOf } from "../../../src/services/ErrorText.ts"

afterEach(() => {
  vi.restoreAllMocks()
})

/** Its address, and the sockets that it has taken. */
const serving = (answer: http.RequestListener) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly sockets: Array<Socket>; readonly server: http.Server }>((resume) => {
      const sockets: Array<Socket> = []
      const server = http.createServer(answer).on("connection", (socket) => sockets.push(socket))
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, sockets, server }))
      })
    }),
    ({ server, sockets }) =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets) socket.destroy()
      })
  )

const execute = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(HttpClient.HttpClient, (client) => client.execute(request))

const textOf = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.flatMap(execute(request), (response) => response.text)

describe("NodeHttp", () => {
  it.scopedLive("asks again where a spare connection is closed with the question on its way, but never sends twice", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const { url, sockets } = yield* serving((request, response) => {
        const isFirst = asked.length === 0 || request.socket !== sockets[0]
        asked.push(`${request.method} ${sockets.indexOf(request.socket as Socket)}`)
        if (isFirst) response.end("well")
        else request.socket.destroy()
      })
      assert.strictEqual(yield* textOf(HttpClientRequest.get(url)), "well")
      assert.strictEqual(yield* textOf(HttpClientRequest.get(url)), "well")
      assert.deepStrictEqual(asked, ["GET 0", "GET 0", "GET 1"])
    }).pipe(Effect.provide(NodeHttp.layer())))

  it.scopedLive("a question that changes something is not repeated", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const { url } = yield* serving((request, response) => {
        asked.push(request.method ?? "")
        if (asked.length === 1) response.end("well")
        else request.socket.destroy()
      })
      const post = HttpClientRequest.bodyUint8Array(HttpClientRequest.post(url), new Uint8Array([1]))
      assert.strictEqual(yield* textOf(post), "well")
      const failure = yield* Effect.flip(textOf(post))
      assert.strictEqual(failure._tag, "RequestError")
      assert.deepStrictEqual(asked, ["POST", "POST"])
    }).pipe(Effect.provide(NodeHttp.layer())))

  it.scopedLive("bytes are sent as they are, redirects are not followed, and what has no body has none", () =>
    Effect.gen(function*() {
      const { url } = yield* serving((request, response) => {
        switch (request.url) {
          case "/away":
            return void response.writeHead(302, { location: "/" }).end("moved")
          case "/none":
            return void response.writeHead(204).end()
          default:
            response.setHeader("x-method", request.method ?? "")
            request.pipe(response)
        }
      })
      const bytes = new Uint8Array([0, 255, 10])
      const echoed = yield* execute(HttpClientRequest.bodyUint8Array(HttpClientRequest.post(url), bytes))
      assert.deepStrictEqual(new Uint8Array(yield* echoed.arrayBuffer), bytes)
      const away = yield* execute(HttpClientRequest.get(`${url}/away`))
      assert.deepStrictEqual([away.status, away.headers["location"], yield* away.text], [302, "/", "moved"])
      assert.strictEqual((yield* execute(HttpClientRequest.get(`${url}/none`))).status, 204)
      assert.strictEqual((yield* execute(HttpClientRequest.head(url))).headers["x-method"], "HEAD")
      const stream = HttpClientRequest.bodyStream(HttpClientRequest.post(url), Stream.make(bytes))
      const failure = yield* Effect.flip(execute(stream))
      assert.deepInclude(failure, { _tag: "RequestError", reason: "Encode" })
    }).pipe(Effect.provide(NodeHttp.layer())))

  it.scopedLive("names each address of a name that refuses", () =>
    Effect.gen(function*() {
      const found = ["127.0.0.1", "127.0.0.2"].map((address) => ({ address, family: 4 }))
      vi.spyOn(dns, "lookup").mockImplementation(
        ((_host: string, _options: unknown, callback: (error: null, all: typeof found) => void) =>
          callback(null, found)) as unknown as typeof dns.lookup
      )
      const failure = yield* Effect.flip(execute(HttpClientRequest.get("http://two.test:1")))
      assert.strictEqual(reasonOf(failure), "connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED 127.0.0.2:1")
    }).pipe(Effect.provide(NodeHttp.layer())))

  it.scopedLive("whoever is interrupted leaves no connection", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      const { sockets, url } = yield* serving(() => Deferred.unsafeDone(arrived, Exit.void))
      const fiber = yield* Effect.fork(execute(HttpClientRequest.get(url)))
      yield* Deferred.await(arrived)
      yield* Fiber.interrupt(fiber)
      yield* Effect.async<void>((resume) => {
        const [socket] = sockets
        if (socket === undefined || socket.destroyed) return resume(Effect.void)
        socket.once("close", () => resume(Effect.void))
      })
    }).pipe(Effect.provide(NodeHttp.layer())))
})
