/**
 * Metrics kept in registries of Effect: those of its runtime, ours that are counted on the hot path, and whatever a program around us
 * has. Counters, gauges and histograms; its summaries cannot be aggregated and its frequencies have no bounded set of labels
 * (docs/design/platform.md "Metrics on the hot path"), so these are left out.
 */
import * as Metric from "effect/Metric"
import * as MetricKeyType from "effect/MetricKeyType"
import type * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"
import * as Option from "effect/Option"
import type { Labels, Registry } from "../Instruments.ts"
import type { Family } from "./Family.ts"

/** Names of Effect's runtime that are not what Prometheus calls such things; undefined: left out (35 buckets, in milliseconds). */
const runtime: ReadonlyMap<string, Pick<Family, "name" | "help" | "type"> | undefined> = new Map([
  ["effect_fiber_started", { name: "effect_fibers_started_total", help: "Fibers started.", type: "counter" }],
  ["effect_fiber_active", { name: "effect_fibers_active", help: "Fibers that run or wait.", type: "gauge" }],
  ["effect_fiber_successes", {
    name: "effect_fibers_succeeded_total",
    help: "Fibers that succeeded.",
    type: "counter"
  }],
  ["effect_fiber_failures", { name: "effect_fibers_failed_total", help: "Fibers that failed.", type: "counter" }],
  ["effect_fiber_lifetimes", undefined]
])

/**
 * Of a registry of its own all; of Effect's what is not named as ours are: that is of plain streams elsewhere in the process, and a second
 * family of one name would make the text invalid.
 */
export const families = ({ snapshot }: Registry): ReadonlyArray<Family> => {
  const ofProcess = Metric.unsafeSnapshot().flatMap(familyOf)
  if (snapshot === null) return ofProcess
  return [...snapshot().flatMap(familyOf), ...ofProcess.filter(({ name }) => !name.startsWith(ours))]
}

const ours = "feeds_"

const labelsOf = (pair: MetricPair.MetricPair.Untyped): Labels =>
  Object.fromEntries(pair.metricKey.tags.map(({ key, value }) => [key, value]))

const familyOf = (pair: MetricPair.MetricPair.Untyped): ReadonlyArray<Family> => {
  const { metricKey, metricState: state } = pair
  const labels = labelsOf(pair)
  const help = Option.getOrElse(metricKey.description, () => metricKey.name)
  if (runtime.has(metricKey.name)) {
    const known = runtime.get(metricKey.name)
    if (known === undefined || known.type === "histogram" || !MetricState.isCounterState(state)) return []
    return [{ ...known, type: known.type, samples: [{ labels, value: Number(state.count) }] }]
  }
  if (MetricState.isCounterState(state)) {
    const name = metricKey.name.endsWith("_total") ? metricKey.name : `${metricKey.name}_total`
    return [{ name, help, type: "counter", samples: [{ labels, value: Number(state.count) }] }]
  }
  if (MetricState.isGaugeState(state)) {
    return [{ name: metricKey.name, help, type: "gauge", samples: [{ labels, value: Number(state.value) }] }]
  }
  if (MetricState.isHistogramState(state) && MetricKeyType.isHistogramKey(metricKey.keyType)) {
    const { buckets, count, sum } = state
    return [{ name: metricKey.name, help, type: "histogram", samples: [{ labels, buckets, count, sum }] }]
  }
  return []
}
