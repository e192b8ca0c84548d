/**
 * REST answers meant to exhaust or to mislead, from a real server on loopback (docs/design/laws.md "Input is hostile"): each is refused with
 * a typed reason, its connection is hung up on, and the process keeps its memory.
 */
import { FetchHttpClient, HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Layer, Option } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib"
import * as NodeHttp from "../../src/layers/node/Http.ts"
import * as NodeProxy from "../../src/layers/node/Proxy.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import * as Script from "../../src/layers/testing/Script.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as FeedStatus from "../../src/services/FeedStatus.ts"
import * as Board from "../../src/streams/Board.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import * as Rest from "../../src/streams/Rest.ts"
import * as Proxy from "../support/proxy.ts"
import { layer, run, until } from "./Running.ts"

const mebi = 1024 * 1024

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** What a server has seen of its clients. */
interface Api {
  readonly url: string
  readonly sent: () => number
  readonly requests: () => number
  /** Answers whose connection is still there and that have not ended. A client's spare connections do not count. */
  readonly pending: () => number
  /** Connections that ever were. */
  readonly connections: () => number
}

const api = (handler: Handler) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<Api & { readonly close: Effect.Effect<void> }>((resume) => {
        const sockets = new Set<IncomingMessage["socket"]>()
        let requests = 0
        let pending = 0
        let connections = 0
        let gone = 0
        const server = createServer((request, response) => {
          requests += 1
          pending += 1
          response.on("error", () => {})
          response.on("close", () => pending -= 1)
          handler(request, response)
        })
        server.on("connection", (socket) => {
          sockets.add(socket)
          connections += 1
          socket.on("error", () => {})
          socket.on("close", () => {
            gone += socket.bytesWritten
            sockets.delete(socket)
          })
        })
        const sent = () => Array.from(sockets, ({ bytesWritten }) => bytesWritten).reduce((a, b) => a + b, gone)
        const close = Effect.async<void>((done) => {
          for (const socket of sockets) socket.destroy()
          server.close(() => done(Effect.void))
        })
        server.listen(0, "127.0.0.1", () => {
          const { port } = server.address() as AddressInfo
          const url = `http://127.0.0.1:${port}`
          resume(Effect.succeed({
            url,
            sent,
            requests: () => requests,
            pending: () => pending,
            connections: () => connections,
            close
          }))
        })
      }),
      ({ close }) => close
    ),
    ({ connections, pending, requests, sent, url }): Api => ({ url, sent, requests, pending, connections })
  )

/** Writes as long as there is somebody who reads. */
const pour = (response: ServerResponse, chunk: string | Uint8Array, total: number): void => {
  let written = 0
  const more = (): void => {
    if (response.destroyed) return
    if (written >= total) return void response.end()
    written += chunk.length
    if (response.write(chunk)) setImmediate(more)
    else response.once("drain", more)
  }
  more()
}

const drip = (response: ServerResponse, chunk: string, everyMs: number): void => {
  const timer = setInterval(() => void response.write(chunk), everyMs)
  response.on("close", () => clearInterval(timer))
}

const ask = (url: string) =>
  Effect.gen(function*() {
    const status = FeedStatus.make(["x"])
    const rest = yield* Rest.make({
      exchange: "bitpin",
      apiUrl: url,
      restPerMinute: 60,
      breaker: yield* CircuitBreaker.make({
        name: "x_api",
        group: "api",
        maxFailures: 5,
        timeout: "1 minute",
        successThreshold: 3
      }),
      board: Board.make(status, "x")
    })
    const answer = yield* Effect.either(rest.get("/", (body) => Either.right(body)))
    return { answer, told: status.exchanges()[0]?.api.message ?? null }
  }).pipe(Effect.scoped)

const json = { "content-type": "application/json" }
const big = "x".repeat(64 * 1024)

/** Made before it is asked for: that takes longer than an answer may. */
let packed: Buffer | undefined
const bomb = (): Buffer => packed ??= gzipSync(Buffer.alloc(200 * mebi, " "))

interface Case {
  readonly name: string
  /** One at a time: all in one process, they would take each other's time. */
  readonly large?: true
  readonly handler: Handler
  readonly reason: Rest.RestError["reason"]
  readonly says: RegExp
}

const cases: ReadonlyArray<Case> = [
  {
    name: "a body of 100 MB",
    large: true,
    handler: (_, response) => pour(response.writeHead(200, json), big, 100 * mebi),
    reason: "body",
    says: /an answer of over 33554432 bytes/
  },
  {
    name: "a body of 100 MB, announced",
    large: true,
    handler: (_, response) => pour(response.writeHead(200, { ...json, "content-length": 100 * mebi }), big, 100 * mebi),
    reason: "body",
    says: /an answer of over 33554432 bytes/
  },
  {
    name: "a body without end",
    large: true,
    handler: (_, response) => pour(response.writeHead(200, json), big, Number.POSITIVE_INFINITY),
    reason: "body",
    says: /an answer of over/
  },
  {
    name: "a gzip bomb of 200 MB",
    large: true,
    handler: (_, response) =>
      void response.writeHead(200, { ...json, "content-encoding": "gzip" }).end(
        bomb()
      ),
    reason: "body",
    says: /an answer of over/
  },
  {
    name: "a body that drips",
    handler: (_, response) => drip(response.writeHead(200, json), " ", 50),
    reason: "timeout",
    says: /no answer within 10s/
  },
  { name: "no answer", handler: () => {}, reason: "timeout", says: /no answer within 10s/ },
  {
    name: "headers without end",
    handler: (_, response) => {
      const { socket } = response
      socket?.write("HTTP/1.1 200 OK\r\n")
      for (let i = 0; i < 10_000; i++) socket?.write(`x-${i}: ${"y".repeat(100)}\r\n`)
    },
    reason: "transport",
    says: /./
  },
  {
    name: "HTML with 200",
    handler: (_, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>\n</html>"),
    reason: "body",
    says: /^json: /
  },
  {
    name: "noise that says it is JSON",
    handler: (_, response) => void response.writeHead(200, json).end(Buffer.from([0xff, 0xfe, 0, 0x5b, 0x80])),
    reason: "body",
    says: /^json: /
  },
  {
    name: "nothing with 204",
    handler: (_, response) => void response.writeHead(204).end(),
    reason: "body",
    says: /EmptyBody/
  },
  {
    name: "nested 1e5 deep",
    handler: (_, response) => void response.writeHead(200, json).end("[".repeat(1e5)),
    reason: "body",
    says: /^too_deep: /
  },
  {
    name: "a body that breaks off",
    handler: (_, response) => {
      response.writeHead(200, { ...json, "content-length": 100 }).write("[")
      setTimeout(() => response.socket?.destroy(), 50)
    },
    reason: "transport",
    says: /./
  },
  {
    name: "503 with a body without end",
    large: true,
    handler: (_, response) => pour(response.writeHead(503), big, Number.POSITIVE_INFINITY),
    reason: "status",
    says: /^HTTP 503$/
  }
]

/** The service's own client, directly and through a proxy, and the one of the platform that a library's user may have. */
const clients: ReadonlyArray<readonly [name: string, client: Layer.Layer<HttpClient.HttpClient>]> = [
  ["directly", NodeHttp.layer()],
  [
    "through a proxy",
    Layer.unwrapScoped(Effect.map(
      Effect.acquireRelease(Effect.promise(() => Proxy.http()), (proxy) => Effect.promise(() => proxy.close())),
      ({ url }) => NodeProxy.httpClient({ https: url, no: [] })
    ))
  ],
  ["by fetch", FetchHttpClient.layer]
]

describe.each(clients)("hostile answers, %s", (_, client) => {
  it.scopedLive("each is refused by its reason, and its connection does not stay", () =>
    Effect.gen(function*() {
      const rss = process.memoryUsage.rss()
      bomb()
      const judge = ({ handler, name, reason, says }: Case) =>
        Effect.gen(function*() {
          const server = yield* api(handler)
          const { answer, told } = yield* ask(server.url)
          if (Either.isRight(answer)) return yield* Effect.dieMessage(`${name} was taken`)
          assert.strictEqual(answer.left.reason, reason, name)
          assert.match(answer.left.message, says, name)
          assert.isAtMost(answer.left.message.length, 200, name)
          assert.strictEqual(told, `${answer.left.reason}: ${answer.left.message}`)
          assert.strictEqual(server.requests(), 1, name)
          yield* until(`${name}: hung up`, () => server.pending() === 0, 2_000)
          assert.isBelow(server.sent(), 56 * mebi, name)
        })
      yield* Effect.forEach(cases.filter(({ large }) => large === true), judge, { discard: true })
      const small = cases.filter(({ large }) => large !== true)
      yield* Effect.forEach(small, judge, { concurrency: "unbounded", discard: true })
      assert.isBelow(process.memoryUsage.rss() - rss, 400 * mebi)
    }).pipe(Effect.provide(client)), 90_000)

  it.scopedLive("what was compressed is understood, and what is not what it says is refused", () =>
    Effect.gen(function*() {
      const plain = JSON.stringify(Array.from({ length: 2_000 }, (_, i) => `trade ${i} of many`))
      const codings: ReadonlyArray<readonly [string, Buffer]> = [
        ["", Buffer.from(plain)],
        ["identity", Buffer.from(plain)],
        ["gzip", gzipSync(plain)],
        ["X-GZIP", gzipSync(plain)],
        ["br", brotliCompressSync(plain)],
        ["deflate", deflateSync(plain)],
        ["gzip, br", brotliCompressSync(gzipSync(plain))]
      ]
      for (const [coding, bytes] of codings) {
        const headers = coding === "" ? json : { ...json, "content-encoding": coding }
        const server = yield* api((_, response) => void response.writeHead(200, headers).end(bytes))
        const { answer } = yield* ask(server.url)
        assert.deepStrictEqual(answer, Either.right(JSON.parse(plain)), coding)
      }
      const server = yield* api((_, response) =>
        void response.writeHead(200, { ...json, "content-encoding": "gzip" }).end(plain)
      )
      const { answer } = yield* ask(server.url)
      assert.deepInclude(Either.getLeft(answer).pipe(Option.getOrUndefined), { _tag: "RestError" })
      yield* until("hung up", () => server.pending() === 0, 2_000)
    }).pipe(Effect.provide(client)))
})

describe("hostile answers", () => {
  it.scopedLive("a coding that nobody was asked for is named", () =>
    Effect.gen(function*() {
      for (const coding of ["exi", "gzip, gzip, gzip"]) {
        const server = yield* api((_, response) =>
          void response.writeHead(200, { "content-encoding": coding }).end("x")
        )
        const { answer } = yield* ask(server.url)
        assert.deepInclude(Either.getLeft(answer).pipe(Option.getOrUndefined), {
          reason: "transport",
          message: `content-encoding "${coding}" is not understood`
        })
        yield* until("hung up", () => server.pending() === 0, 2_000)
      }
    }).pipe(Effect.provide(NodeHttp.layer())))

  it.scopedLive("a redirect is not followed, wherever it points", () =>
    Effect.gen(function*() {
      const trap = yield* api((_, response) => void response.writeHead(200, json).end("[]"))
      for (const status of [301, 302, 303, 307, 308]) {
        const server = yield* api((_, response) => void response.writeHead(status, { location: `${trap.url}/` }).end())
        const { answer } = yield* ask(server.url)
        if (Either.isRight(answer)) return yield* Effect.dieMessage("followed")
        assert.deepInclude(answer.left, { reason: "status", status })
      }
      assert.strictEqual(trap.requests(), 0)
      assert.strictEqual(trap.connections(), 0)
      // Control: the same client, left to itself, walks into the trap.
      const server = yield* api((_, response) => void response.writeHead(302, { location: `${trap.url}/` }).end())
      yield* HttpClient.get(server.url)
      assert.strictEqual(trap.requests(), 1)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("the word on the label does not decide: JSON is JSON", () =>
    Effect.gen(function*() {
      const server = yield* api((_, response) =>
        void response.writeHead(200, { "content-type": "text/html" }).end("[1]")
      )
      const { answer } = yield* ask(server.url)
      assert.deepStrictEqual(answer, Either.right(["1"]))
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("Retry-After is heard, never beyond ten minutes, and never when it makes no sense", () =>
    Effect.gen(function*() {
      const headers: ReadonlyArray<readonly [string, number | undefined]> = [
        ["7", 7_000],
        ["0", 0],
        ["99999999999999999999", 600_000],
        ["9".repeat(400), 600_000],
        ["Fri, 31 Dec 9999 23:59:59 GMT", 600_000],
        ["Wed, 21 Oct 2015 07:28:00 GMT", 0],
        ["-5", undefined],
        ["1e9", undefined],
        ["soon", undefined],
        ["0x10", undefined]
      ]
      for (const status of [429, 503]) {
        for (const [header, asked] of headers) {
          const server = yield* api((_, response) =>
            void response.writeHead(status, { "retry-after": header }).end("later")
          )
          const { answer } = yield* ask(server.url)
          if (Either.isRight(answer)) return yield* Effect.dieMessage("taken")
          assert.deepInclude(answer.left, { reason: "status", status }, header)
          const { retryAfter } = answer.left
          assert.strictEqual(retryAfter === undefined ? undefined : Duration.toMillis(retryAfter), asked, header)
        }
      }
    }).pipe(Effect.provide(layer)))

  it.scopedLive(
    "a feed whose API goes mad trades on, says why, asks with back-off, and is well again after",
    () =>
      Effect.gen(function*() {
        const fake = yield* FakeWallex.make({ markets: 2 })
        const { apiUrl, wsUrl } = fake
        const running = yield* run(exchanges.wallex, { endpoints: { apiUrl, wsUrl }, marketsRefresh: "200 millis" })
        yield* Effect.promise(() => fake.ready())
        const stopFlood = fake.flood(100)
        const answers: ReadonlyArray<readonly [Script.Answer, RegExp]> = [
          [{ status: 200, body: "<html>\u001b[2J\n</html>" }, /^body: json/],
          [Script.notSuccessful, /^body: schema/],
          [{ status: 200, body: "{\"success\":true,\"result\":{\"markets\":[]}}" }, /^body: schema/],
          [Script.redirect("http://127.0.0.1:9/"), /^status: HTTP 302$/],
          [{ status: 200, body: "x".repeat(33 * mebi) }, /^body: an answer of over/]
        ]
        for (const [answer, says] of answers) {
          fake.server.script.rest = answer
          yield* until(String(says), () => says.test(running.status().api.message ?? ""), 15_000)
          const had = running.trades().length
          yield* until("trades", () => running.trades().length > had + 10, 2_000)
        }
        const calls = fake.server.restCalls.length
        yield* Effect.sleep("1 second")
        assert.isAtMost(fake.server.restCalls.length - calls, 5)
        fake.server.heal()
        yield* until("the API well again", () => running.status().api.ok === true, 15_000)
        stopFlood()
        assert.strictEqual(fake.server.dials.length, 1)
      }).pipe(Effect.provide(layer)),
    60_000
  )
})
