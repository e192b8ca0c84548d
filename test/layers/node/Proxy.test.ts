import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, FastCheck as fc, Layer, Logger, LogLevel, Option } from "effect"
import { createServer as createHttps } from "node:https"
import { createServer as createTcpServer } from "node:net"
import { WebSocketServer } from "ws"
import * as NodeProxy from "../../../src/layers/node/Proxy.ts"
import * as NodeWebSocket from "../../../src/layers/node/WebSocket.ts"
import * as FakeWallex from "../../../src/layers/testing/FakeWallex.ts"
import { reasonOf } from "../../../src/services/ErrorText.ts"
import { exchanges } from "../../../src/streams/exchanges/index.ts"
import * as WebSocketFeed from "../../../src/streams/WebSocketFeed.ts"
import { run, until } from "../../hostile/Running.ts"
import * as Certificates from "../../kafka/Certificates.ts"
import * as Proxy from "../../support/proxy.ts"

const through = (https: string, no: ReadonlyArray<string> = []) =>
  Layer.mergeAll(
    NodeWebSocket.layer({ maxPayload: 1024 * 1024, proxy: NodeProxy.make({ https, no }) }),
    NodeProxy.httpClient({ https, no }),
    Logger.minimumLogLevel(LogLevel.None)
  )

const opened = (make: () => Promise<Proxy.Proxy>) =>
  Effect.acquireRelease(Effect.promise(make), (proxy) => Effect.promise(() => proxy.close()))

/** A password that has to be quoted in a URL. */
const credentials = { user: "us", password: "p@ss:w/rd" }

/** As people write it: the sign that quotes is not quoted itself. */
const unquoted = { user: "us", password: "100%" }

describe("NO_PROXY", () => {
  it("names hosts, domains, addresses, ports", () => {
    const table: ReadonlyArray<readonly [entry: string, url: string, direct: boolean]> = [
      ["*", "wss://api.wallex.ir/ws", true],
      ["api.wallex.ir", "wss://api.wallex.ir/ws", true],
      ["API.WALLEX.IR", "wss://api.wallex.ir/ws", true],
      ["wallex.ir", "https://api.wallex.ir", true],
      [".wallex.ir", "https://api.wallex.ir", true],
      ["*.wallex.ir", "https://api.wallex.ir", true],
      [".wallex.ir", "https://wallex.ir", true],
      ["allex.ir", "https://wallex.ir", false],
      ["wallex.ir.example", "https://wallex.ir", false],
      ["wallex.ir:443", "wss://wallex.ir/ws", true],
      ["wallex.ir:80", "wss://wallex.ir/ws", false],
      ["wallex.ir:80", "http://wallex.ir", true],
      ["wallex.ir:8443", "https://wallex.ir:8443", true],
      ["127.0.0.1", "ws://127.0.0.1:9000", true],
      ["127.0.0.1:9000", "ws://127.0.0.1:9000", true],
      ["127.0.0.1:9001", "ws://127.0.0.1:9000", false],
      ["::1", "ws://[::1]:9000", true],
      ["[::1]:9000", "ws://[::1]:9000", true],
      ["[::1]:9001", "ws://[::1]:9000", false],
      ["127.0.0.0/8", "ws://127.0.0.1:9000", true],
      ["10.0.0.0/8", "ws://127.0.0.1:9000", false],
      ["10.0.0.0/8", "wss://api.wallex.ir/ws", false],
      ["fd00::/64", "ws://[fd00::1]:9000", true],
      ["fd00::/64", "ws://[fd00:0:0:1::1]:9000", false],
      ["fd00::/64", "ws://10.0.0.1", false],
      ["0:0:0:0:0:0:0:1", "ws://[::1]:9000", true],
      ["127.0.0.1/33", "ws://127.0.0.1", false],
      [".svc", "http://kafka.data.svc:80", true],
      [".", "https://wallex.ir", false],
      ["", "https://wallex.ir", false]
    ]
    for (const [entry, url, direct] of table) {
      assert.strictEqual(NodeProxy.isDirect(url, [entry]), direct, `${entry} ${url}`)
      assert.strictEqual(NodeProxy.isDirect(url, ["other.example", entry]), direct, `${entry} ${url}`)
    }
  })

  it("throws at nothing", () => {
    fc.assert(fc.property(fc.array(fc.string()), (no) => {
      assert.isBoolean(NodeProxy.isDirect("wss://api.wallex.ir/ws", no))
    }))
  })
})

describe("HTTPS_PROXY", () => {
  const kinds: ReadonlyArray<readonly [string, () => Promise<Proxy.Proxy>]> = [
    ["http", () => Proxy.http()],
    ["http with a password", () => Proxy.http({ credentials })],
    ["http with a % in the password", () => Proxy.http({ credentials: unquoted, verbatim: true })],
    ["socks5", () => Proxy.socks5()],
    ["socks5 with a password", () => Proxy.socks5({ credentials })]
  ]
  for (const [kind, make] of kinds) {
    it.scopedLive(
      `${kind}: carries REST and WebSocket, and a feed comes back when it does`,
      () =>
        Effect.gen(function*() {
          const proxy = yield* opened(make)
          const fake = yield* FakeWallex.make({ markets: 2 })
          const { host, port } = new URL(fake.apiUrl)
          const running = yield* run(exchanges.wallex, {
            endpoints: { apiUrl: fake.apiUrl.replace("127.0.0.1", "localhost"), wsUrl: fake.wsUrl }
          }).pipe(Effect.provide(through(proxy.url)))
          yield* Effect.promise(() => fake.ready())
          const stopFlood = fake.flood(50)
          yield* until("data", () => running.trades().length > 0, 5_000)
          // The name is not looked up by us.
          assert.sameMembers([...new Set(proxy.tunnels)], [host, `localhost:${port}`])
          assert.strictEqual(proxy.visits(), proxy.tunnels.length)
          yield* Effect.promise(() => proxy.close())
          yield* until("lost", () => running.status().reconnects > 0, 5_000)
          assert.notInclude(running.status().lastError ?? "", credentials.user)
          yield* Effect.promise(() => proxy.listen())
          const had = running.trades().length
          yield* until("data again", () => running.trades().length > had, 12_000)
          stopFlood()
        }),
      { concurrent: true }
    )
  }

  it.scopedLive("wss: the proxy sees host and port, the certificate is looked at by us", () =>
    Effect.gen(function*() {
      const certificates = yield* Effect.promise(Certificates.make)
      const key = certificates.read("server.pem")
      const server = createHttps({ key, cert: key })
      const sockets = new WebSocketServer({ server })
      sockets.on("connection", (socket) => socket.send("hello"))
      yield* Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)))
      yield* Effect.addFinalizer(() => Effect.sync(() => void server.close()))
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const proxy = yield* opened(() => Proxy.http())
      const connection = yield* Effect.provide(
        WebSocketFeed.connect({ url: `wss://127.0.0.1:${port}/`, idleTimeout: Duration.seconds(5), maxPayload: 1024 }),
        through(proxy.url)
      )
      const end = yield* Effect.flip(connection.take)
      assert.match(JSON.stringify(end), /certificate/)
      assert.deepStrictEqual(proxy.tunnels, [`127.0.0.1:${port}`])
    }))

  it.scopedLive("an attempt that ends hangs up on a proxy that does not answer, whatever it speaks", () =>
    Effect.gen(function*() {
      const pem = (yield* Effect.promise(Certificates.make)).read("server.pem")
      const silent = createTcpServer((socket) => socket.on("error", () => {}).resume())
      yield* Effect.promise(() => new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve)))
      yield* Effect.addFinalizer(() => Effect.sync(() => void silent.close()))
      const address = silent.address()
      const host = `127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
      const kinds: ReadonlyArray<readonly [string, () => Promise<Proxy.Proxy>]> = [
        ["http, and nothing comes through the tunnel", () => Proxy.http()],
        ["http", () => Proxy.http({ mute: "at once" })],
        ["https", () => Proxy.http({ mute: "at once", pem })],
        ["socks5, to the greeting", () => Proxy.socks5({ mute: "at once" })],
        ["socks5, to the command", () => Proxy.socks5({ mute: "when asked" })]
      ]
      for (const [kind, make] of kinds) {
        const proxy = yield* opened(make)
        const layer = through(proxy.url)
        const attempts = 4
        const dials = Effect.replicateEffect(
          Effect.forkScoped(Effect.andThen(
            WebSocketFeed.connect({ url: `wss://${host}`, idleTimeout: Duration.seconds(60), maxPayload: 1024 * 1024 }),
            (connection) => connection.take
          )),
          attempts
        )
        const calls = Effect.forEach(
          ["http", "https"],
          (scheme) => Effect.replicateEffect(Effect.forkScoped(HttpClient.get(`${scheme}://${host}`)), attempts)
        )
        // Until the proxy has all of them, and then their end.
        yield* Effect.scoped(Effect.provide(
          Effect.andThen(
            Effect.all([dials, calls]),
            until(`${kind}: at the proxy`, () => proxy.visits() === 3 * attempts, 10_000)
          ),
          layer
        ))
        yield* until(`${kind}: hung up`, () => proxy.open() === 0, 10_000)
      }
    }))

  it.scopedLive.each([
    { kind: "http", make: () => Proxy.http({ mute: "at once", credentials }) },
    { kind: "socks5", make: () => Proxy.socks5({ mute: "at once", credentials }) }
  ])(
    "$kind: a mute proxy is named before the limit of the call or the dial is reached",
    ({ make }) =>
      Effect.gen(function*() {
        const proxy = yield* opened(make)
        const fake = yield* FakeWallex.make({ markets: 1 })
        const name = new URL(proxy.url).host
        const dial = Effect.flatMap(
          WebSocketFeed.connect({ url: fake.wsUrl, idleTimeout: Duration.minutes(1), maxPayload: 1024 * 1024 }),
          (connection) => Effect.flip(connection.take)
        )
        const call = Effect.flip(HttpClient.get(fake.apiUrl))
        const [end, error] = yield* Effect.provide(Effect.all([dial, call], { concurrency: 2 }), through(proxy.url))
        assert.deepInclude(Option.getOrUndefined(end), {
          reason: "dial",
          message: `proxy ${name}: no answer within 8s`
        })
        assert.include(reasonOf(error), `proxy ${name}: no answer within 8s`)
        yield* until("hung up", () => proxy.open() === 0, 10_000)
      }),
    30_000
  )

  it.scopedLive("over TLS to the proxy too; one whose certificate is not trusted is told", () =>
    Effect.gen(function*() {
      const pem = (yield* Effect.promise(Certificates.make)).read("server.pem")
      const proxy = yield* opened(() => Proxy.http({ pem }))
      const fake = yield* FakeWallex.make({ markets: 1 })
      const error = yield* Effect.flip(Effect.provide(HttpClient.get(fake.apiUrl), through(proxy.url)))
      assert.match(reasonOf(error), /^proxy 127\.0\.0\.1:\d+: .*certificate/)
    }))

  it.scopedLive("a wrong password, nobody there: told without the password", () =>
    Effect.gen(function*() {
      const asking = yield* opened(() => Proxy.http({ credentials }))
      const wrong = asking.url.replace("us:", "us:x")
      const gone = yield* Effect.scoped(opened(() => Proxy.http({ credentials })))
      const fake = yield* FakeWallex.make({ markets: 1 })
      for (const [url, message] of [[wrong, /407/], [gone.url, /ECONNREFUSED/]] as const) {
        const layer = through(url)
        const connection = yield* Effect.provide(
          WebSocketFeed.connect({ url: fake.wsUrl, idleTimeout: Duration.seconds(5), maxPayload: 1024 }),
          layer
        )
        const end = JSON.stringify(yield* Effect.flip(connection.take))
        assert.match(end, message)
        assert.include(end, "\"reason\":\"dial\"")
        const answer = yield* Effect.either(
          Effect.provide(Effect.flatMap(HttpClient.HttpClient, (client) => client.get(fake.apiUrl)), layer)
        )
        const rest = Either.isLeft(answer) ? String(answer.left.cause) : "an answer"
        for (const text of [end, rest]) assert.notMatch(text, /p@ss|p%40ss/)
        assert.match(rest, message)
      }
      assert.lengthOf(fake.server.dials, 0)
      assert.lengthOf(fake.server.restCalls, 0)
    }))

  it.scopedLive("is not used for what NO_PROXY names", () =>
    Effect.gen(function*() {
      const proxy = yield* opened(() => Proxy.http())
      const fake = yield* FakeWallex.make({ markets: 1 })
      yield* run(exchanges.wallex, { endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl } }).pipe(
        Effect.provide(through(proxy.url, ["127.0.0.1"]))
      )
      yield* Effect.promise(() => fake.ready())
      assert.strictEqual(proxy.visits(), 0)
    }))
})
