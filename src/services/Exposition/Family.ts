/**
 * What `/metrics` is made of, before it is text.
 */

import type { Labels } from "../Instruments.ts"

export type { Labels }

/**
 * One series of a counter or gauge, and its value. Labels that are the same object at each scrape, and frozen, are made to text once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sample {
  readonly labels: Labels
  readonly value: number
}

/**
 * One series of a histogram. Bounds and `sum` are in the unit that the name of the family says.
 *
 * @since 0.1.0
 * @category models
 */
export interface HistogramSample {
  readonly labels: Labels
  /** Upper bounds, ascending, and how many observations were at or below each; the one without bound is `count`. */
  readonly buckets: ReadonlyArray<readonly [bound: number, count: number]>
  readonly sum: number
  readonly count: number
}

interface Named {
  readonly name: string
  readonly help: string
}

/**
 * All series of one name. The name of a counter ends in `_total`.
 *
 * @since 0.1.0
 * @category models
 */
export type Family =
  | Named & { readonly type: "counter" | "gauge"; readonly samples: ReadonlyArray<Sample> }
  | Named & { readonly type: "histogram"; readonly samples: ReadonlyArray<HistogramSample> }

export const counter = (name: string, help: string, samples: ReadonlyArray<Sample>): Family => ({
  name,
  help,
  type: "counter",
  samples
})

export const gauge = (name: string, help: string, samples: ReadonlyArray<Sample>): Family => ({
  name,
  help,
  type: "gauge",
  samples
})

/** One of a closed set of states is 1, the others are 0. */
export const stateSet = (labels: Labels, label: string, states: ReadonlyArray<string>, current: string) =>
  states.map((state): Sample => ({ labels: { ...labels, [label]: state }, value: state === current ? 1 : 0 }))
