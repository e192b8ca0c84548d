/**
 * Counters and histograms for the hot path: bound once, then some ten nanoseconds an update (OPERATIONS.md section 0, row 2).
 * They live in Effect's registry, so one process has one of each however many collectors run in it.
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import type { Labels } from "./Family.ts"

export interface Counter {
  readonly add: (count: number) => void
}

export interface Histogram {
  readonly observe: (value: number) => void
}

/** Sorted: to Effect the order of labels is part of a metric's identity (row 3). */
const labelsOf = (labels: Labels): ReadonlyArray<MetricLabel.MetricLabel> =>
  Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1).map(([key, value]) => MetricLabel.make(key, value))

const none: ReadonlyArray<MetricLabel.MetricLabel> = []

/** There with 0 from now on. What is not a number, or less than nothing, is not counted. */
export const counter = (name: string, help: string, labels: Labels): Counter => {
  const key = MetricKey.counter(name, { description: help, incremental: true })
  const metric = Metric.fromMetricKey(MetricKey.taggedWithLabels(key, labelsOf(labels)))
  metric.unsafeUpdate(0, none)
  return {
    add: (count) => {
      if (count > 0 && count !== Infinity) metric.unsafeUpdate(count, none)
    }
  }
}

/** Bounds are upper ones, ascending. One NaN would spoil its sum for ever (row 4), so only finite values are taken. */
export const histogram = (
  name: string,
  help: string,
  bounds: ReadonlyArray<number>,
  labels: Labels
): Histogram => {
  const key = MetricKey.histogram(name, MetricBoundaries.fromIterable(bounds), help)
  const metric = Metric.fromMetricKey(MetricKey.taggedWithLabels(key, labelsOf(labels)))
  return {
    observe: (value) => {
      if (Number.isFinite(value)) metric.unsafeUpdate(value, none)
    }
  }
}

const lagBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/** OpenTelemetry's, for calls of a client of a message broker. */
const callBounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/**
 * How far behind: from an exchange's own time to us (`exchange_to_receive`), from us to Kafka's acknowledgement
 * (`receive_to_ack`), milliseconds. `path` keeps a replayed backlog out of the live quantiles.
 */
export const lag = (labels: {
  readonly exchange: string
  readonly stage: "exchange_to_receive" | "receive_to_ack"
  readonly path: "live" | "replay"
}): Histogram => {
  const seconds = histogram("feeds_lag_seconds", "How far behind events are, by stage.", lagBounds, { ...labels })
  const negative = counter(
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

/** From the call to the acknowledgement or the failure, milliseconds. */
export const kafkaSend = (topic: string): Histogram => {
  const seconds = histogram("feeds_kafka_send_duration_seconds", "Duration of sends to Kafka.", callBounds, { topic })
  return { observe: (millis) => seconds.observe(millis / 1000) }
}
