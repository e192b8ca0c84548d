/**
 * Families as text, in Prometheus' own format or in OpenMetrics, whichever the scraper prefers (docs/design/platform.md "A text exporter of our own").
 */
import type { Family, HistogramSample, Labels, Sample } from "./Family.ts"

/**
 * The answer to a scrape: the value of `content-type`, and the body.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rendered {
  readonly contentType: string
  readonly body: string
}

/** `accept` as the request has it. */
export const render = (families: ReadonlyArray<Family>, accept: string | undefined): Rendered => {
  const open = prefersOpenMetrics(accept)
  const lines: Array<string> = []
  for (const family of merge(families)) writeFamily(lines, family, open)
  if (open) lines.push("# EOF")
  // The last line ends too, if there is one.
  lines.push("")
  return {
    contentType: open
      ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
      : "text/plain; version=0.0.4; charset=utf-8",
    body: lines.join("\n")
  }
}

// internal

/** The quality that an Accept header gives a type, 0 if none. */
const qualityOf = (accept: string, type: string): number => {
  let best = 0
  for (const part of accept.toLowerCase().split(",")) {
    const [name = "", ...parameters] = part.split(";").map((one) => one.trim())
    if (name !== type) continue
    const q = parameters.find((one) => one.startsWith("q="))
    const quality = q === undefined ? 1 : Number(q.slice(2))
    const version = parameters.find((one) => one.startsWith("version="))?.slice(8).replaceAll("\"", "")
    if (type !== "application/openmetrics-text" || version === undefined || version === "1.0.0") {
      best = Math.max(best, Number.isNaN(quality) ? 0 : quality)
    }
  }
  return best
}

const prefersOpenMetrics = (accept = ""): boolean => {
  const open = qualityOf(accept, "application/openmetrics-text")
  return open > 0 && open >= qualityOf(accept, "text/plain")
}

const validName = (name: string): string => name.replace(/[^a-zA-Z0-9_:]/g, "_").replace(/^(?=\d)|^$/, "_")

const validLabel = (name: string): string => name.replace(/[^a-zA-Z0-9_]/g, "_").replace(/^(?=\d)|^$/, "_")

/** Of labels that are frozen: with a thousand markets making these texts was most of a scrape. */
const texts = new WeakMap<Labels, string>()

const textOf = (labels: Labels): string => {
  if (!Object.isFrozen(labels)) return seriesOf(labels)
  let text = texts.get(labels)
  if (text === undefined) texts.set(labels, text = seriesOf(labels))
  return text
}

/** A label that is empty is as good as absent; the order is part of no series. */
const seriesOf = (labels: Labels): string =>
  Object.entries(labels)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${validLabel(name)}="${escape(value)}"`)
    .sort()
    .join(",")

const escape = (value: string): string => value.replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/"/g, "\\\"")

const numberOf = (value: number): string =>
  Number.isNaN(value) ? "NaN" : value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value)

/** OpenMetrics wants a bound to be a float. */
const boundOf = (bound: number, open: boolean): string =>
  open && Number.isInteger(bound) && Math.abs(bound) < 1e15 ? `${bound}.0` : numberOf(bound)

type Series<A> = Map<string, A>

/** A family in which every set of labels is there once. */
type Merged =
  | {
    readonly name: string
    readonly help: string
    readonly type: "counter" | "gauge"
    readonly series: Series<number>
  }
  | {
    readonly name: string
    readonly help: string
    readonly type: "histogram"
    readonly series: Series<Omit<HistogramSample, "labels">>
  }

/** Two collectors may know parts of one family. What does not agree in its type stays out: half of it is better than no scrape. */
const merge = (families: ReadonlyArray<Family>): ReadonlyArray<Merged> => {
  const all = new Map<string, Merged>()
  for (const family of families) {
    const name = validName(family.name)
    const known = all.get(name) ?? begin(family, name)
    if (family.type === "histogram" && known.type === "histogram") addHistograms(known.series, family.samples)
    else if (family.type !== "histogram" && family.type === known.type) {
      addNumbers(known.series, family.samples, family.type === "counter")
    }
    all.set(name, known)
  }
  return Array.from(all.values()).filter(({ series }) => series.size > 0)
}

const begin = ({ help, type }: Family, name: string): Merged =>
  type === "histogram" ? { name, help, type, series: new Map() } : { name, help, type, series: new Map() }

const addNumbers = (series: Series<number>, samples: ReadonlyArray<Sample>, add: boolean): void => {
  for (const { labels, value } of samples) {
    const key = textOf(labels)
    series.set(key, add ? (series.get(key) ?? 0) + value : value)
  }
}

const addHistograms = (
  series: Series<Omit<HistogramSample, "labels">>,
  samples: ReadonlyArray<HistogramSample>
): void => {
  for (const { buckets, count, labels, sum } of samples) {
    const key = textOf(labels)
    const known = series.get(key)
    if (known === undefined) series.set(key, { buckets, count, sum })
    else if (known.buckets.length === buckets.length) {
      series.set(key, {
        buckets: buckets.map(([bound, n], index) => [bound, n + (known.buckets[index]?.[1] ?? 0)]),
        count: known.count + count,
        sum: known.sum + sum
      })
    }
  }
}

const writeFamily = (lines: Array<string>, family: Merged, open: boolean): void => {
  const { help, name, type } = family
  const header = open && type === "counter" ? name.replace(/_total$/, "") : name
  const text = help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")
  lines.push(`# HELP ${header} ${open ? text.replace(/"/g, "\\\"") : text}`, `# TYPE ${header} ${type}`)
  const sample = (suffix: string, labels: string, value: number) =>
    lines.push(`${name}${suffix}${labels === "" ? "" : `{${labels}}`} ${numberOf(value)}`)
  if (family.type !== "histogram") {
    for (const [labels, value] of family.series) sample("", labels, value)
    return
  }
  for (const [labels, { buckets, count, sum }] of family.series) {
    const before = labels === "" ? "" : `${labels},`
    for (const [bound, n] of buckets) {
      if (Number.isFinite(bound)) sample("_bucket", `${before}le="${boundOf(bound, open)}"`, n)
    }
    sample("_bucket", `${before}le="+Inf"`, count)
    sample("_sum", labels, sum)
    sample("_count", labels, count)
  }
}
