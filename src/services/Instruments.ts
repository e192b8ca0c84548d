/**
 * Counters and histograms that parts of the program write, for the hot path: bound once, then some ten nanoseconds an update
 * (docs/design/platform.md "Metrics on the hot path"). Each collector has a registry of its own, so that two in one process do not mix;
 * streams without a collector write into Effect's, which is the process'.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type * as MetricHook from "effect/MetricHook"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import type * as MetricPair from "effect/MetricPair"
import * as MetricRegistry from "effect/MetricRegistry"

/**
 * Names and values of the labels of one series.
 *
 * @since 0.1.0
 * @category models
 */
export type Labels = Readonly<Record<string, string>>

/**
 * A count that only grows. What is not a number, or less than nothing, is not counted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counter {
  readonly add: (count: number) => void
}

/**
 * Values sorted into buckets. Whoever made it says in which unit `observe` takes them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Histogram {
  readonly observe: (value: number) => void
}

/**
 * Where the instruments of one program are kept, each by its name and labels: asked for again, the same one comes back.
 *
 * @since 0.1.0
 * @category models
 */
export interface Registry {
  /** There with 0 from now on. What is not a number, or less than nothing, is not counted. */
  readonly counter: (name: string, help: string, labels: Labels) => Counter
  /**
   * There without an observation too. Bounds are upper ones, ascending, one list for all series of a name. One NaN would spoil its sum for
   * ever, so only finite values are taken.
   */
  readonly histogram: (name: string, help: string, bounds: ReadonlyArray<number>, labels: Labels) => Histogram
  /** What is in it; null for Effect's own, of which the whole process is told. */
  readonly snapshot: (() => ReadonlyArray<MetricPair.MetricPair.Untyped>) | null
}

/** Sorted: to Effect the order of labels is part of a metric's identity. */
const labelsOf = (labels: Labels): ReadonlyArray<MetricLabel.MetricLabel> =>
  Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1).map(([key, value]) => MetricLabel.make(key, value))

const boundaries = new WeakMap<ReadonlyArray<number>, MetricBoundaries.MetricBoundaries>()

/** One for each list: Effect compares boundaries by identity, and would keep a series of its own for each that is made anew. */
const boundariesOf = (bounds: ReadonlyArray<number>): MetricBoundaries.MetricBoundaries => {
  const known = boundaries.get(bounds) ?? MetricBoundaries.fromIterable(bounds)
  boundaries.set(bounds, known)
  return known
}

type Hook = Pick<MetricHook.MetricHook<number, unknown>, "update">

const of = (
  counterHook: (key: MetricKey.MetricKey.Counter<number>) => Hook,
  histogramHook: (key: MetricKey.MetricKey.Histogram) => Hook,
  snapshot: Registry["snapshot"]
): Registry => ({
  counter: (name, help, labels) => {
    const key = MetricKey.counter(name, { description: help, incremental: true })
    const hook = counterHook(MetricKey.taggedWithLabels(key, labelsOf(labels)))
    hook.update(0)
    return {
      add: (count) => {
        if (count > 0 && count !== Infinity) hook.update(count)
      }
    }
  },
  histogram: (name, help, bounds, labels) => {
    const key = MetricKey.histogram(name, boundariesOf(bounds), help)
    const hook = histogramHook(MetricKey.taggedWithLabels(key, labelsOf(labels)))
    return {
      observe: (value) => {
        if (Number.isFinite(value)) hook.update(value)
      }
    }
  },
  snapshot
})

const none: ReadonlyArray<MetricLabel.MetricLabel> = []

/** Effect's own. */
const ofProcess: Registry = of(
  (key) => {
    const metric = Metric.fromMetricKey(key)
    return { update: (count) => metric.unsafeUpdate(count, none) }
  },
  (key) => {
    const metric = Metric.fromMetricKey(key)
    metric.unsafeValue(none)
    return { update: (value) => metric.unsafeUpdate(value, none) }
  },
  null
)

/**
 * A registry that is nobody else's.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): Registry => {
  const registry = MetricRegistry.make()
  return of((key) => registry.get(key), (key) => registry.get(key), () => registry.snapshot())
}

/**
 * Where instruments are written; Effect's registry where nothing is provided.
 *
 * @since 0.1.0
 * @category tags
 */
export class Instruments extends Context.Reference<Instruments>()(
  "effect-exchange-feeds/services/Instruments",
  { defaultValue: (): Registry => ofProcess }
) {}

const batchBounds = [1, 5, 10, 50, 100, 500, 1000]

const syncBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]

const lagBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** OpenTelemetry's, for calls of a client of a message broker. */
const callBounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/**
 * How far behind: from an exchange's own time to us (`exchange_to_receive`), from us to Kafka's acknowledgement
 * (`receive_to_ack`), milliseconds. `path` keeps a replayed backlog out of the live quantiles.
 *
 * @since 0.1.0
 * @category constructors
 */
export const lag = (registry: Registry, labels: {
  readonly exchange: string
  readonly stage: "exchange_to_receive" | "receive_to_ack"
  readonly path: "live" | "replay"
}): Histogram => {
  const seconds = registry.histogram("feeds_lag_seconds", "How far behind events are, by stage.", lagBounds, {
    ...labels
  })
  const negative = registry.counter(
    "feeds_clock_negative_lag_total",
    "Events that an exchange says happened after we received them: one of the clocks is wrong.",
    { exchange: labels.exchange }
  )
  return {
    observe: (millis) => {
      if (millis < 0) negative.add(1)
      seconds.observe(Math.max(0, millis) / 1000)
    }
  }
}

/**
 * `feeds_kafka_send_duration_seconds`: from the call to the acknowledgement or the failure; `observe` takes milliseconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const kafkaSend = (registry: Registry, topic: string): Histogram => {
  const seconds = registry.histogram("feeds_kafka_send_duration_seconds", "Duration of sends to Kafka.", callBounds, {
    topic
  })
  return { observe: (millis) => seconds.observe(millis / 1000) }
}

/** One for each value of a label, there from the beginning; `other` takes what is not among them. */
const each = <Value extends string, Instrument>(
  values: ReadonlyArray<Value>,
  make: (value: Value | "other") => Instrument
): (value: string) => Instrument => {
  const known = new Map<string, Instrument>(values.map((value) => [value, make(value)]))
  const other = make("other")
  return (value) => known.get(value) ?? other
}

/**
 * `feeds_kafka_batch_messages`: records of one send that was acknowledged.
 *
 * @since 0.1.0
 * @category constructors
 */
export const kafkaBatch = (registry: Registry, topic: string): Histogram =>
  registry.histogram("feeds_kafka_batch_messages", "Records of sends that Kafka acknowledged.", batchBounds, {
    topic
  })

/**
 * `feeds_kafka_delivery_failures_total`, a counter for each reason. `reasons`: all that a failure may have; another is counted as
 * `other`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const kafkaFailures = (
  registry: Registry,
  topic: string,
  reasons: ReadonlyArray<string>
): (reason: string) => Counter =>
  each(
    reasons,
    (reason) =>
      registry.counter("feeds_kafka_delivery_failures_total", "Sends that failed, by reason.", { topic, reason })
  )

/**
 * `feeds_queue_errors_total`, a counter for each reason. `reasons`: all that an error may have; another is counted as `other`;
 * `dead_letter` stands for a dead letter that could not be written.
 *
 * @since 0.1.0
 * @category constructors
 */
export const queueErrors = (
  registry: Registry,
  topic: string,
  reasons: ReadonlyArray<string>
): (reason: string) => Counter =>
  each(
    [...reasons, "dead_letter"],
    (reason) =>
      registry.counter("feeds_queue_errors_total", "Writes and reads of the queue that failed, by reason.", {
        topic,
        reason
      })
  )

/**
 * `feeds_queue_fsync_duration_seconds`: how long the queue's syncs to disk take; `observe` takes milliseconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const queueSync = (registry: Registry): Histogram => {
  const seconds = registry.histogram(
    "feeds_queue_fsync_duration_seconds",
    "Duration of the queue's syncs to disk.",
    syncBounds,
    {}
  )
  return { observe: (millis) => seconds.observe(millis / 1000) }
}

/**
 * `feeds_received_bytes_total`: the length of the frames received, in UTF-16 units of text, which are bytes but for the few that are not
 * ASCII.
 *
 * @since 0.1.0
 * @category constructors
 */
export const receivedBytes = (registry: Registry, exchange: string): Counter =>
  registry.counter("feeds_received_bytes_total", "Length of the frames received, after decompression.", { exchange })

/**
 * `feeds_connection_closes_total`: sessions that ended, by the code of the other side's close, or our own reason, one of `reasons`;
 * another is counted as `other`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const closes = (
  registry: Registry,
  exchange: string,
  reasons: ReadonlyArray<string>
): (why: { readonly code?: number | undefined; readonly reason: string }) => Counter => {
  const help = "Sessions that ended, by who ended them and why: a close code, or our reason."
  const of = (initiator: string) => (reason: string) =>
    registry.counter("feeds_connection_closes_total", help, { exchange, initiator, reason })
  const remote = each(["1000", "1001", "1006", "1009", "1011", "1012"], of("remote"))
  const local = each(reasons, of("local"))
  return ({ code, reason }) => code === undefined ? local(reason) : remote(String(code))
}

/**
 * `feeds_rest_request_duration_seconds`: from the request to the decoded answer; `observe` takes milliseconds. `outcome`: `ok`, or one of
 * `reasons`; another is counted as `other`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const restRequest = (
  registry: Registry,
  exchange: string,
  reasons: ReadonlyArray<string>
): (outcome: string) => Histogram =>
  each(["ok", ...reasons], (outcome) => {
    const seconds = registry.histogram(
      "feeds_rest_request_duration_seconds",
      "Duration of calls of an exchange's REST API, by outcome.",
      callBounds,
      { exchange, outcome }
    )
    return { observe: (millis: number) => seconds.observe(millis / 1000) }
  })

/**
 * `feeds_http_requests_total`: answers of our own routes, by HTTP status: `200`, `503`, or `other`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const httpRequests = (registry: Registry, route: string): (status: string) => Counter =>
  each(
    ["200", "503"],
    (status) =>
      registry.counter("feeds_http_requests_total", "Requests answered, by route and status.", { route, status })
  )
