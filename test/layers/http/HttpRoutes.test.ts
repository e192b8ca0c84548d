import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Ref } from "effect"
import * as fc from "fast-check"
import { execFileSync } from "node:child_process"
import * as http from "node:http"
import * as HttpRoutes from "../../../src/layers/http/HttpRoutes.ts"
import * as Health from "../../../src/services/Health.ts"
import { diskOk, exchange, failed, now, sink } from "../../services/Health/inputs.ts"
import { loopback, make, type Stage } from "./sources.ts"

interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** The path goes out as it is, unlike with fetch. */
const request = (
  base: string,
  path: string,
  options: { readonly method?: string; readonly headers?: Record<string, string> } = {}
): Effect.Effect<Answer> =>
  Effect.async((resume) => {
    const { hostname, port } = new URL(base)
    const sent = http.request({ host: hostname, port, path, agent: false, ...options }, (response) => {
      let body = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => body += chunk)
      response.on("end", () =>
        resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, body })))
    })
    sent.on("error", (error) =>
      resume(Effect.die(error)))
    sent.end()
  })

const stage = Effect.fnUntraced(function*(over: Partial<Stage["sources"]> = {}) {
  const made = yield* make(over)
  return { ...made, base: yield* HttpRoutes.serve(loopback, made.sources) }
})

const paths = ["/", "/health", "/health/ready", "/health/live", "/metrics", "/api/status"]

describe("health", () => {
  it.scopedLive("by the table: ready and health say 503 when they have to, live never", () =>
    Effect.gen(function*() {
      const { base, inputs } = yield* stage()
      const table = [
        ["healthy", 200, {}],
        ["degraded", 200, { kafka: failed("down") }],
        ["starting", 503, { sink: undefined }],
        ["unhealthy", 503, { kafka: failed("down"), sink: sink({ refusedAt: now.at }) }],
        ["unhealthy", 503, { disk: { ...diskOk, outcome: "failed", code: "EROFS" } }],
        ["draining", 503, { draining: true }]
      ] as const
      const before = yield* Ref.get(inputs)
      for (const [status, code, over] of table) {
        yield* Ref.set(inputs, { ...before, ...over })
        for (const [path, expected] of [["/health", code], ["/health/ready", code], ["/health/live", 200]] as const) {
          const answer = yield* request(base, path)
          assert.strictEqual(answer.status, expected, `${path} ${status}`)
          assert.strictEqual(answer.headers["content-type"], "application/json")
          assert.include(JSON.parse(answer.body), { status })
        }
      }
    }))

  it.scopedLive("is answered within 50 ms though Kafka, the disk and the exchanges all hang", () =>
    Effect.gen(function*() {
      const health = yield* Health.make({
        startupGrace: "60 seconds",
        kafka: Effect.never,
        disk: Effect.never,
        exchanges: Effect.succeed([exchange("bitpin")]),
        breakers: Effect.succeed([]),
        sink: Effect.succeed(sink())
      })
      const { base } = yield* stage({ health })
      yield* request(base, "/health")
      const times: Array<number> = []
      for (let i = 0; i < 20; i++) {
        const begun = performance.now()
        yield* request(base, "/health")
        times.push(performance.now() - begun)
      }
      times.sort((a, b) => a - b)
      // The median: the machine of a test is not ours alone.
      assert.isBelow(times[10] ?? Infinity, 50)
    }))
})

describe("all routes", () => {
  it.scopedLive("HEAD is GET without the body; other methods are not allowed; other paths are not there", () =>
    Effect.gen(function*() {
      const { base } = yield* stage()
      for (const path of paths) {
        const get = yield* request(base, path)
        assert.strictEqual(get.status, 200, path)
        const head = yield* request(base, path, { method: "HEAD" })
        assert.deepStrictEqual([head.status, head.body], [200, ""])
        assert.strictEqual(head.headers["content-type"], get.headers["content-type"])
        for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
          const answer = yield* request(base, path, { method })
          assert.deepStrictEqual([answer.status, answer.headers.allow], [405, "GET, HEAD"], `${method} ${path}`)
        }
      }
      for (const path of ["/nothing", "/healthy", "/metrics/x", "/%ff", "/%", "/..%2f..%2fetc/passwd", "/api"]) {
        assert.include([400, 404], (yield* request(base, path)).status, path)
      }
      assert.strictEqual((yield* request(base, "/health?verbose=1")).status, 200)
    }))

  it.scopedLive("are not kept, not guessed at, not framed", () =>
    Effect.gen(function*() {
      const { base } = yield* stage()
      for (const path of paths) {
        const { headers } = yield* request(base, path)
        assert.strictEqual(headers["cache-control"], "no-store")
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
        assert.match(headers["content-security-policy"]?.toString() ?? "", /^default-src 'none'; style-src 'sha256-/)
        assert.isUndefined(headers["access-control-allow-origin"])
      }
    }))

  it.scopedLive("whatever path is asked for, the server answers and lives on", () =>
    Effect.gen(function*() {
      const { base } = yield* stage()
      const odd = fc.sample(
        fc.array(fc.constantFrom("/", "%", "2e", "..", "health", "?", ":", "*", "a", "+"), { maxLength: 8 }),
        {
          numRuns: 60,
          seed: 7
        }
      )
      for (const parts of odd) {
        assert.include([200, 400, 404], (yield* request(base, `/${parts.join("")}`)).status, parts.join(""))
      }
      assert.strictEqual((yield* request(base, "/health")).status, 200)
    }))

  it.scopedLive("nothing is logged about a request, unless it failed", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.replace(Logger.defaultLogger, Logger.make(({ message }) => logged.push(message)))
      const broken = Effect.dieMessage("bug")
      yield* Effect.gen(function*() {
        const { base } = yield* stage()
        for (const path of [...paths, "/nothing"]) yield* request(base, path)
        assert.deepStrictEqual(logged, [])
        const other = yield* stage({ sink: broken })
        assert.strictEqual((yield* request(other.base, "/api/status")).status, 500)
        assert.deepStrictEqual(logged, [["a request failed"]])
        assert.strictEqual((yield* request(other.base, "/health")).status, 200)
      }).pipe(Effect.provide(logger))
    }))
})

describe("/metrics", () => {
  it.scopedLive("tells the collector and the process, and promtool finds nothing to say about it", () =>
    Effect.gen(function*() {
      const { base } = yield* stage()
      const { body, headers } = yield* request(base, "/metrics")
      assert.strictEqual(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
      for (
        const name of [
          "feeds_build_info",
          "feeds_health_status",
          "feeds_events_received_total",
          "feeds_circuit_breaker_state",
          "feeds_connections",
          "feeds_queue_messages",
          "process_cpu_seconds_total",
          "process_resident_memory_bytes",
          "nodejs_eventloop_lag_p99_seconds",
          "nodejs_heap_size_used_bytes",
          "nodejs_gc_duration_seconds",
          "effect_fibers_started_total"
        ]
      ) {
        assert.match(body, new RegExp(`^# TYPE ${name} `, "m"))
      }
      assert.include(body, "feeds_events_delivered_total{channel=\"trades\",exchange=\"bitpin\"} 7\n")
      assert.strictEqual(execFileSync("promtool", ["check", "metrics"], { input: body, encoding: "utf8" }), "")
    }))

  it.scopedLive("speaks OpenMetrics to who asks for it", () =>
    Effect.gen(function*() {
      const { base } = yield* stage()
      const { body, headers } = yield* request(base, "/metrics", {
        headers: { accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5" }
      })
      assert.strictEqual(headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8")
      assert.strictEqual(headers.vary, "accept")
      assert.isTrue(body.endsWith("# EOF\n"))
    }))

  it.scopedLive("is there while the queues are being recovered", () =>
    Effect.gen(function*() {
      const { base } = yield* stage({ sink: Effect.sync(() => undefined) })
      const { body, status } = yield* request(base, "/metrics")
      assert.strictEqual(status, 200)
      assert.include(body, "feeds_events_received_total")
      assert.notInclude(body, "feeds_queue_messages")
    }))
})
