/**
 * The routes of the HTTP server (docs/design/contract.md "Health"). All are read-only; probes are answered from memory and not logged.
 */
import * as HttpLayerRouter from "@effect/platform/HttpLayerRouter"
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import type * as PlatformServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Exposition from "../../services/Exposition.ts"
import * as Health from "../../services/Health.ts"
import * as Instruments from "../../services/Instruments.ts"
import * as Time from "../../services/Time.ts"
import * as ProcessMetrics from "../node/ProcessMetrics.ts"
import * as HttpServer from "./HttpServer.ts"
import * as Monitor from "./Monitor.ts"
import * as StatusPage from "./StatusPage.ts"

/**
 * What the routes show.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** From memory: it must not wait. */
  readonly report: Effect.Effect<StatusPage.Report>
}

/**
 * The routes of the service, to be added to a router of one's own: `/`, `/api/status`, `/events`, `/metrics` and the health checks. Needs
 * a router, `Health` and `Exposition`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<never, never, HttpLayerRouter.HttpRouter | Health.Health | Exposition.Exposition> =>
  HttpLayerRouter.use(Effect.fnUntraced(function*(router) {
    const health = yield* Health.Health
    const metrics = yield* Exposition.Exposition
    const probe = (codeOf: (status: Health.Status) => number) =>
      Effect.map(health.answer, (answer) => json(answer, codeOf(answer.status)))
    const pages = new Map<HttpLayerRouter.PathInput, Effect.Effect<HttpServerResponse.HttpServerResponse>>([
      ["/", Effect.map(options.report, (report) => html(StatusPage.render(report)))],
      ["/health", probe(Health.codeOf)],
      ["/health/ready", probe(Health.codeOf)],
      // A restart mends neither Kafka nor an exchange: alive is who answers (docs/design/platform.md "Liveness looks at nothing").
      ["/health/live", probe(() => 200)],
      ["/api/status", Effect.map(options.report, (report) => json(report, 200))]
    ])
    const registry = yield* Instruments.Instruments
    for (const [path, page] of pages) yield* add(registry, router, path, page)
    yield* add(registry, router, "/events", yield* eventsOf(options.report, metrics))
    yield* add(
      registry,
      router,
      "/metrics",
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) => metrics.expose(headers["accept"])).pipe(
        Effect.map(({ body, contentType }) =>
          HttpServerResponse.text(body, { contentType, headers: { vary: "accept" } })
        )
      )
    )
  }))

/**
 * Listens until the scope ends, with the metrics of a collector and of the process; succeeds with the address as `http://127.0.0.1:8080`.
 * Fails if it cannot listen there. `history`: what the charts show, in place of what it keeps by itself.
 *
 * @since 0.1.0
 * @category operations
 */
export const serve = Effect.fnUntraced(function*(
  address: HttpServer.Options,
  sources: Monitor.Sources,
  history?: Effect.Effect<StatusPage.Series>
): Effect.fn.Return<string, HttpServer.HttpServerUnavailable, Scope.Scope> {
  const metrics = yield* Exposition.make
  yield* metrics.register(Monitor.collector(sources))
  yield* metrics.register(yield* ProcessMetrics.make)
  const routes = layer({ report: StatusPage.report(sources, history ?? (yield* StatusPage.keepHistory(sources))) })
    .pipe(
      Layer.provide(Layer.succeed(Health.Health, sources.health)),
      Layer.provide(Layer.succeed(Exposition.Exposition, metrics))
    )
  const server: Layer.Layer<PlatformServer.HttpServer, HttpServer.HttpServerUnavailable> = HttpLayerRouter.serve(
    routes,
    { disableLogger: true, disableListenLog: true }
  ).pipe(
    // A listener of `/events` would be a span of hours, and probes are noise.
    HttpMiddleware.withTracerDisabledWhen(() => true),
    Layer.provideMerge(HttpServer.layer(address))
  )
  const context: Context.Context<PlatformServer.HttpServer> = yield* Layer.build(server)
  return yield* Effect.provide(HttpServer.url, context)
})

// internal

/** Half of all connections at most: the rest is for probes. */
const maxListeners = Math.min(32, Math.floor(HttpServer.maxConnections / 2))

/** Less than the second between two events of one listener, ms. */
const madeFor = 900

/**
 * The page as it changes, once a second; made once for all who listen, and whoever reads slowly gets the newest, not all of them.
 * Its end is the server's: see `HttpServer`.
 */
const eventsOf = Effect.fnUntraced(
  function*(report: Effect.Effect<StatusPage.Report>, metrics: Exposition.Exposition["Type"]) {
    const making = yield* Effect.makeSemaphore(1)
    let made: { readonly at: Time.Instant; readonly event: Uint8Array } | undefined
    // Not `Effect.cachedWithTTL`: it lives by the wall clock, and one that is set back would show the same page for as long.
    const event = making.withPermits(1)(Effect.gen(function*() {
      const at = yield* Time.now
      if (made !== undefined && Time.between(made.at, at) < madeFor) return made.event
      made = { at, event: new TextEncoder().encode(StatusPage.event(yield* report)) }
      return made.event
    }))
    let listeners = 0
    yield* metrics.register(Effect.sync(() => [
      {
        name: "feeds_sse_clients",
        help: "Who listens to `/events`.",
        type: "gauge",
        samples: [{ labels: {}, value: listeners }]
      }
    ]))
    const stream = Stream.acquireRelease(
      Effect.sync(() => {
        listeners += 1
      }),
      () =>
        Effect.sync(() => {
          listeners -= 1
        })
    ).pipe(
      Stream.flatMap(() =>
        Stream.concat(
          Stream.make(new TextEncoder().encode("retry: 2000\n\n")),
          Stream.repeatEffectWithSchedule(event, Schedule.spaced("1 second"))
        )
      )
    )
    return Effect.map(HttpServerRequest.HttpServerRequest, ({ method }) => {
      // Proxies that compress, or wait for more, hold back what is to be seen now: nginx minds the first, others the second.
      const headers = { "x-accel-buffering": "no", "cache-control": "no-store, no-transform" }
      const contentType = "text/event-stream"
      if (method === "HEAD") return HttpServerResponse.empty({ headers: { ...headers, "content-type": contentType } })
      return listeners >= maxListeners
        ? HttpServerResponse.text(`${maxListeners} pages are open already\n`, { status: 503 })
        : HttpServerResponse.stream(stream, { contentType, headers })
    })
  }
)

type Handler<R> = Effect.Effect<HttpServerResponse.HttpServerResponse, never, R>

/** GET and HEAD, and 405 for the rest. */
const add = <R extends HttpLayerRouter.Provided = never>(
  registry: Instruments.Registry,
  router: HttpLayerRouter.HttpRouter,
  path: HttpLayerRouter.PathInput,
  handler: Handler<R>
) => {
  const answers = Instruments.httpRequests(registry, path)
  return router.addAll([
    HttpLayerRouter.route(
      "GET",
      path,
      handler.pipe(
        Effect.tapErrorCause((cause) => Effect.logError("a request failed", cause)),
        Effect.map((response) => {
          answers(String(response.status)).add(1)
          return HttpServerResponse.setHeaders(response, { ...security, ...response.headers })
        })
      )
    ),
    ...(["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const).map((method) =>
      HttpLayerRouter.route(method, path, notAllowed)
    )
  ])
}

const notAllowed = Effect.succeed(HttpServerResponse.empty({ status: 405, headers: { allow: "GET, HEAD" } }))

const security = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
  "content-security-policy": StatusPage.contentSecurityPolicy
}

const json = (value: unknown, status: number) =>
  HttpServerResponse.text(JSON.stringify(value), { status, contentType: "application/json" })

const html = (body: string) => HttpServerResponse.text(body, { contentType: "text/html; charset=utf-8" })
