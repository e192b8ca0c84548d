import { HttpLayerRouter, HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import * as net from "node:net"
import * as HttpRoutes from "../../../src/layers/http/HttpRoutes.ts"
import * as HttpServer from "../../../src/layers/http/HttpServer.ts"
import * as StatusPage from "../../../src/layers/http/StatusPage.ts"
import * as Exposition from "../../../src/services/Exposition.ts"
import * as Health from "../../../src/services/Health.ts"
import * as SteppedClock from "../../support/SteppedClock.ts"
import { loopback, make } from "./sources.ts"

/** A connection that says what it is told, and no more. */
const connect = (base: string, said: string) =>
  Effect.acquireRelease(
    Effect.async<{ readonly socket: net.Socket; readonly heard: () => string; readonly closed: () => boolean }>(
      (resume) => {
        const { hostname, port } = new URL(base)
        let heard = ""
        let closed = false
        const socket = net.connect(Number(port), hostname, () => {
          socket.write(said, () => resume(Effect.succeed({ socket, heard: () => heard, closed: () => closed })))
        })
        socket.on("data", (chunk) => heard += String(chunk))
        socket.on("close", () => closed = true)
        socket.on("error", () => {})
      }
    ),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const until = (what: string, condition: () => boolean) =>
  Effect.sleep("10 millis").pipe(
    Effect.repeat({ until: condition }),
    Effect.timeoutFail({ duration: "20 seconds", onTimeout: () => new Error(`never: ${what}`) }),
    Effect.orDie
  )

/** Outside of Effect, as any client. */
const ask = async (url: string) => {
  const response = await fetch(url)
  return { status: response.status, body: await response.text() }
}

const get = (base: string) => Effect.map(Effect.promise(() => ask(`${base}/health`)), ({ status }) => status)

const seconds = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const begun = performance.now()
    return Effect.map(effect, (result) => ({ result, took: (performance.now() - begun) / 1000 }))
  })

const serve = Effect.flatMap(make(), ({ sources }) => HttpRoutes.serve(loopback, sources))

/** One route, that answers when it is told. */
const slow = Effect.fnUntraced(function*(answer: Effect.Effect<string>) {
  const entered = yield* Deferred.make<void>()
  const route = HttpLayerRouter.add(
    "GET",
    "/slow",
    Deferred.succeed(entered, undefined).pipe(
      Effect.andThen(answer),
      Effect.map((text) => HttpServerResponse.text(text))
    )
  )
  const server = HttpLayerRouter.serve(route, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(HttpServer.layer(loopback))
  )
  const context = yield* Layer.build(server)
  return { base: yield* Effect.provide(HttpServer.url, context), entered: Deferred.await(entered) }
})

describe("listening", () => {
  it.scopedLive("on any free port, which it tells", () =>
    Effect.gen(function*() {
      const base = yield* serve
      assert.match(base, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
      assert.strictEqual(yield* get(base), 200)
    }))

  it.scopedLive("a port in use is told in one line that names the setting", () =>
    Effect.gen(function*() {
      const port = Number(new URL(yield* serve).port)
      const { sources } = yield* make()
      const error = yield* Effect.flip(HttpRoutes.serve({ host: "127.0.0.1", port }, sources))
      assert.strictEqual(error._tag, "HttpServerUnavailable")
      assert.deepStrictEqual([error.host, error.port], ["127.0.0.1", port])
      assert.strictEqual(error.message, `port ${port} on 127.0.0.1 is in use; choose another with HEALTH_PORT`)
    }))

  it.scopedLive("an address of another machine, too", () =>
    Effect.gen(function*() {
      const { sources } = yield* make()
      const error = yield* Effect.flip(HttpRoutes.serve({ host: "192.0.2.1", port: 0 }, sources))
      assert.include(error.message, "HEALTH_HOST")
    }))

  it.scopedLive("the port is free again when the scope has ended", () =>
    Effect.gen(function*() {
      const base = yield* Effect.scoped(serve)
      const { sources } = yield* make()
      const again = yield* HttpRoutes.serve({ host: "127.0.0.1", port: Number(new URL(base).port) }, sources)
      assert.strictEqual(again, base)
    }))
})

describe("closing", () => {
  it.scopedLive("does not wait for a client that keeps its connection and says nothing", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const base = yield* Scope.extend(serve, scope)
      const silent = yield* connect(base, "")
      const half = yield* connect(base, "GET /health HTTP/1.1\r\nHost: x\r\n")
      const kept = yield* connect(base, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
      yield* until("an answer", () => kept.heard().includes("200 OK"))
      const { took } = yield* seconds(Scope.close(scope, Exit.void))
      assert.isBelow(took, 5)
      yield* until("all are closed", () => silent.closed() && half.closed() && kept.closed())
    }))

  it.scopedLive("does not wait for an answer that never comes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { base, entered } = yield* Scope.extend(slow(Effect.never), scope)
      yield* connect(base, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
      yield* entered
      const { took } = yield* seconds(Scope.close(scope, Exit.void))
      assert.isBelow(took, 5)
    }))

  it.scopedLive("answers what is under way, and takes no more", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const release = yield* Deferred.make<string>()
      const { base, entered } = yield* Scope.extend(slow(Deferred.await(release)), scope)
      const client = yield* connect(base, "GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      yield* entered
      const closing = yield* Effect.fork(seconds(Scope.close(scope, Exit.void)))
      yield* Effect.sleep("100 millis")
      const refused = yield* Effect.exit(Effect.tryPromise(() => ask(`${base}/slow`)))
      assert.isTrue(Exit.isFailure(refused))
      yield* Deferred.succeed(release, "finished")
      yield* until("the answer", () => client.closed())
      assert.include(client.heard(), "finished")
      // Nothing is open any more: no need for patience.
      assert.isBelow((yield* Fiber.join(closing)).took, 2.5)
    }))
})

describe("a limit of open files", () => {
  it.each([
    // What Node itself has open leaves nothing: then probes go before caution.
    [16, 4],
    [48, 8],
    [256, 112],
    [544, 256],
    [1_048_576, 256],
    [undefined, 256]
  ])("of %s leaves %i connections", (openFiles, connections) => {
    assert.strictEqual(HttpServer.connectionsFor(openFiles), connections)
  })
})

describe("slow clients", () => {
  it.scopedLive("three hundred of them do not keep a probe out", () =>
    Effect.gen(function*() {
      const base = yield* serve
      const clients = yield* Effect.forEach(
        Array.from({ length: 300 }),
        () => connect(base, "GET /health HTTP/1.1\r\nX-Slow: "),
        { concurrency: 50 }
      )
      const { result, took } = yield* seconds(get(base))
      assert.strictEqual(result, 200)
      assert.isBelow(took, 1)
      // The first had to go, the last are still there.
      yield* until("the first are closed", () => clients.filter(({ closed }) => closed()).length >= 44)
      assert.isFalse(clients.at(-1)?.closed())
    }))

  it.scopedLive("who does not finish his headers is cut off after some five seconds", () =>
    Effect.gen(function*() {
      const base = yield* serve
      const client = yield* connect(base, "GET /health HTTP/1.1\r\nX-Slow: ")
      const { took } = yield* seconds(until("it is closed", () => client.closed()))
      assert.isAbove(took, 3)
      assert.isBelow(took, 9)
      assert.include(client.heard(), "408")
    }))
})

describe("the events of the page", () => {
  const follow = (base: string) => connect(base, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")

  it.scopedLive(
    "thirty-two pages follow, one more is sent away, and a place becomes free again",
    () =>
      Effect.gen(function*() {
        const base = yield* serve
        const scope = yield* Scope.make()
        const first = yield* Scope.extend(follow(base), scope)
        const others = yield* Effect.all(Array.from({ length: 31 }, () => follow(base)))
        yield* until("all hear", () => [first, ...others].every(({ heard }) => heard().includes("data: ")))
        assert.include(first.heard(), "content-type: text/event-stream")
        // For proxies in between, each with a mind of its own.
        assert.include(first.heard(), "x-accel-buffering: no")
        assert.include(first.heard(), "cache-control: no-store, no-transform")
        // Each second anew.
        yield* until("a second event", () => first.heard().split("data: ").length > 2)
        assert.strictEqual((yield* Effect.promise(() => ask(`${base}/events`))).status, 503)
        yield* Scope.close(scope, Exit.void)
        // The server learns of the end when it next writes, at the latest.
        yield* Effect.repeat(
          Effect.gen(function*() {
            const late = yield* follow(base)
            yield* until("an answer", () => late.heard().includes("\r\n\r\n"))
            return late.heard().startsWith("HTTP/1.1 200")
          }),
          { until: (taken) => taken }
        )
      }),
    30_000
  )

  it.scopedLive("they go on when the wall clock is set back", () =>
    SteppedClock.run((wall) =>
      Effect.gen(function*() {
        let made = 0
        const { sources } = yield* make()
        const counted = {
          ...sources,
          health: { ...sources.health, answer: Effect.tap(sources.health.answer, () => Effect.sync(() => made += 1)) }
        }
        const page = yield* follow(yield* HttpRoutes.serve(loopback, counted))
        yield* until("a first event", () => made > 0)
        yield* wall.step("1 hour", "back")
        const before = made
        // Not the same page again: it is made anew.
        yield* until("two more", () => made >= before + 2)
        assert.include(page.heard(), "data: ")
      })
    ))

  it.scopedLive(
    "with three hundred slow clients and thirty-two pages probes are answered, and the server still ends",
    () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const base = yield* Scope.extend(serve, scope)
        const pages = yield* Effect.all(Array.from({ length: 32 }, () => follow(base)))
        yield* until("all hear", () => pages.every(({ heard }) => heard().includes("data: ")))
        yield* Effect.all(Array.from({ length: 300 }, () => connect(base, "GET /health HTTP/1.1\r\nX")), {
          concurrency: 50
        })
        for (let i = 0; i < 20; i++) assert.strictEqual(yield* get(base), 200)
        const { took } = yield* seconds(Scope.close(scope, Exit.void))
        assert.isBelow(took, 10)
        yield* until("the pages are cut off", () => pages.every(({ closed }) => closed()))
      }),
    60_000
  )
})

describe("an app's own router", () => {
  it.scopedLive("takes the routes beside its own", () =>
    Effect.gen(function*() {
      const { sources } = yield* make()
      const routes = Layer.merge(
        HttpLayerRouter.add("GET", "/mine", HttpServerResponse.text("mine")),
        HttpRoutes.layer({ report: StatusPage.report(sources) })
      ).pipe(Layer.provide(Layer.merge(Exposition.layer, Layer.succeed(Health.Health, sources.health))))
      const context = yield* Layer.build(
        HttpLayerRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
          Layer.provideMerge(HttpServer.layer(loopback))
        )
      )
      const base = yield* Effect.provide(HttpServer.url, context)
      assert.strictEqual((yield* Effect.promise(() => ask(`${base}/mine`))).body, "mine")
      assert.strictEqual(yield* get(base), 200)
    }))
})
