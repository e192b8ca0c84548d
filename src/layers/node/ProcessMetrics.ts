/**
 * Figures of the process under the names that prom-client gives them, so that dashboards made for Node show them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { constants, monitorEventLoopDelay, type PerformanceEntry, PerformanceObserver } from "node:perf_hooks"
import * as Exposition from "../../services/Exposition.ts"

const family = (type: "counter" | "gauge") => (name: string, help: string, value: number): Exposition.Family => ({
  name,
  help,
  type,
  samples: [{ labels: {}, value }]
})

const gauge = family("gauge")

const counter = family("counter")

/** Observes the event loop and the garbage collector until the scope ends. */
export const make: Effect.Effect<Exposition.Collector, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(Effect.sync(observe), (observers) => Effect.sync(observers.stop)),
  ({ collections, delay }) => Effect.sync(() => [...processFamilies(), ...loopFamilies(delay), collections()])
)

// internal

const gcKinds: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, "minor"],
  [constants.NODE_PERFORMANCE_GC_MAJOR, "major"],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, "incremental"],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, "weakcb"]
])

const gcBounds = [0.001, 0.01, 0.1, 1, 2, 5]

const kindOf = (entry: PerformanceEntry): number => {
  const detail: unknown = "detail" in entry ? entry.detail : undefined
  return typeof detail === "object" && detail !== null && "kind" in detail ? Number(detail.kind) : Number.NaN
}

/** How often the event loop is looked at, ms. */
const resolution = 10

function observe() {
  const delay = monitorEventLoopDelay({ resolution })
  delay.enable()
  const kinds = new Map(
    Array.from(gcKinds.values(), (kind) => [kind, { buckets: gcBounds.map(() => 0), sum: 0, count: 0 }])
  )
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const found = kinds.get(gcKinds.get(kindOf(entry)) ?? "")
      if (found === undefined) continue
      const seconds = entry.duration / 1000
      found.count += 1
      found.sum += seconds
      gcBounds.forEach((bound, i) => {
        if (seconds <= bound) found.buckets[i] = (found.buckets[i] ?? 0) + 1
      })
    }
  })
  observer.observe({ entryTypes: ["gc"] })
  return {
    delay,
    collections: (): Exposition.Family => ({
      name: "nodejs_gc_duration_seconds",
      help: "Garbage collections, by kind.",
      type: "histogram",
      samples: Array.from(kinds, ([kind, { buckets, count, sum }]) => ({
        labels: { kind },
        buckets: gcBounds.map((bound, i) => [bound, buckets[i] ?? 0] as const),
        sum,
        count
      }))
    }),
    stop: () => {
      delay.disable()
      observer.disconnect()
    }
  }
}

const processFamilies = (): ReadonlyArray<Exposition.Family> => {
  const { external, heapTotal, heapUsed, rss } = process.memoryUsage()
  const cpu = process.cpuUsage()
  const micro = 1e-6
  return [
    counter("process_cpu_user_seconds_total", "User CPU time.", cpu.user * micro),
    counter("process_cpu_system_seconds_total", "System CPU time.", cpu.system * micro),
    counter("process_cpu_seconds_total", "User and system CPU time.", (cpu.user + cpu.system) * micro),
    gauge("process_start_time_seconds", "Start of the process.", performance.timeOrigin / 1000),
    gauge("process_resident_memory_bytes", "Resident memory.", rss),
    gauge("nodejs_heap_size_total_bytes", "Size of the heap.", heapTotal),
    gauge("nodejs_heap_size_used_bytes", "Part of the heap in use.", heapUsed),
    gauge("nodejs_external_memory_bytes", "Memory outside the heap.", external)
  ]
}

/** Since the last scrape, less the time between two looks. */
const loopFamilies = (delay: ReturnType<typeof monitorEventLoopDelay>): ReadonlyArray<Exposition.Family> => {
  // Without a look since the last scrape all figures but the percentile are no numbers.
  const seconds = (nanos: number) => Number.isFinite(nanos) ? Math.max(0, nanos / 1e9 - resolution / 1000) : 0
  const families = [
    gauge("nodejs_eventloop_lag_seconds", "Mean lag of the event loop.", seconds(delay.mean)),
    gauge(
      "nodejs_eventloop_lag_max_seconds",
      "Longest lag of the event loop.",
      delay.count === 0 ? 0 : seconds(delay.max)
    ),
    gauge("nodejs_eventloop_lag_p99_seconds", "99th percentile of the lag.", seconds(delay.percentile(99)))
  ]
  delay.reset()
  return families
}
