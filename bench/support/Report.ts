/** From lines of results to tables and plots. Pure: `report.ts` reads and writes. */
import { rounded, type Spread, spread } from "./Statistics.ts"
import * as Svg from "./Svg.ts"

/** As the benchmarks print it. */
export type Line = Readonly<Record<string, unknown>>

export interface Table {
  readonly head: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

/** What one benchmark comes to. */
export interface Section {
  readonly name: string
  readonly tables: ReadonlyArray<Table>
  /** By name of the file, without its ending. */
  readonly plots: Readonly<Record<string, string>>
}

/** Throws on a line that is no JSON object, with its number. */
export const parse = (text: string): ReadonlyArray<Line> =>
  text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return []
    try {
      const value: unknown = JSON.parse(line)
      if (typeof value === "object" && value !== null && !Array.isArray(value)) return [value as Line]
    } catch {
      // Told below, as what is JSON and no object.
    }
    throw new Error(`line ${i + 1}: expected a JSON object, found ${line.slice(0, 80)}`)
  })

// Rounds of the same

interface Rounds {
  /** Of the first of them. */
  readonly line: Line
  /** Over all of them. Undefined: none of them has this number. */
  readonly of: (field: string) => Spread | undefined
}

/** Lines that are alike in `fields`, in the order in which the first of each comes. */
const roundsOf = (lines: ReadonlyArray<Line>, fields: ReadonlyArray<string>): ReadonlyArray<Rounds> => {
  const groups = new Map<string, Array<Line>>()
  for (const line of lines) {
    const key = JSON.stringify(fields.map((field) => line[field] ?? null))
    const those = groups.get(key)
    if (those === undefined) groups.set(key, [line])
    else those.push(line)
  }
  return Array.from(groups.values(), (those): Rounds => ({
    line: those[0] ?? {},
    of: (field) => spread(those.map((line) => line[field]).filter((value) => typeof value === "number"))
  }))
}

const text = (line: Line, field: string): string => String(line[field] ?? "")
const figure = (value: number): string => Number(rounded(value)).toLocaleString("en-US").replaceAll(",", " ")
const medianOf = (found: Spread | undefined): string => found === undefined ? "" : figure(found.median)

/** The median, and what the rounds ranged over. */
const withRange = (found: Spread | undefined): string =>
  found === undefined
    ? ""
    : found.n === 1
    ? figure(found.median)
    : `${figure(found.median)} (${figure(found.min)}-${figure(found.max)})`

const threads = (rounds: Rounds): string =>
  ["mainUs", "v8Us", "libuvUs"].map((field) => medianOf(rounds.of(field))).join(" / ")

const threadNames = ["main thread", "V8's (garbage, compiling)", "libuv's (gzip, files)"]
const threadParts = (rounds: Rounds): ReadonlyArray<number> =>
  ["mainUs", "v8Us", "libuvUs"].map((field) => rounds.of(field)?.median ?? 0)

const wholeOf = (found: Spread | undefined): Pick<Svg.Bar, "total" | "range"> =>
  found === undefined ? {} : { total: found.median, range: [found.min, found.max] }

const ratio = (of: Spread | undefined, to: Spread | undefined): string =>
  of === undefined || to === undefined ? "" : (of.median / to.median).toFixed(2)

// Sections

const shapeNames: Readonly<Record<string, string>> = {
  one: "one trade a frame",
  ten: "ten new trades a frame",
  window: "window of 20, one new"
}

const shapeOf = (line: Line): string => shapeNames[text(line, "shape")] ?? text(line, "shape")

const endToEnd = (lines: ReadonlyArray<Line>): Omit<Section, "name"> => {
  const all = roundsOf(lines, ["shape", "markets", "subject"])
  const groupOf = ({ line }: Rounds) => `${shapeOf(line)}, markets: ${text(line, "markets")}`
  const bareOf = (one: Rounds) =>
    all.find((other) => other.line["subject"] === "bare loop" && groupOf(other) === groupOf(one))
  const groups = [...new Set(all.map(groupOf))]
  return {
    tables: [{
      head: [
        "frames",
        "markets",
        "subject",
        "CPU µs a trade",
        "main / V8 / libuv",
        "of bare's CPU",
        "trades/s",
        "of bare's",
        "peak RSS MiB"
      ],
      rows: all.map((one) => [
        shapeOf(one.line),
        text(one.line, "markets"),
        text(one.line, "subject"),
        withRange(one.of("cpuUs")),
        threads(one),
        ratio(one.of("cpuUs"), bareOf(one)?.of("cpuUs")),
        withRange(one.of("perSecond")),
        ratio(one.of("perSecond"), bareOf(one)?.of("perSecond")),
        withRange(one.of("rssPeakMiB"))
      ])
    }],
    plots: {
      "end-to-end": Svg.bars({
        title: "CPU a trade at full speed",
        unit: "µs, medians; the line: range of the rounds",
        legend: threadNames,
        groups: groups.map((title) => ({
          title,
          bars: all.filter((one) => groupOf(one) === title).map((one) => ({
            label: text(one.line, "subject"),
            parts: threadParts(one),
            ...wholeOf(one.of("cpuUs"))
          }))
        }))
      })
    }
  }
}

/** Of `KAFKA_LINGER`, ms; what is measured as `null`. */
const defaultLinger = 5

const paced = (lines: ReadonlyArray<Line>): Omit<Section, "name"> => {
  const all = roundsOf(lines, ["rate", "subject", "linger"])
  const nameOf = ({ line }: Rounds) =>
    typeof line["linger"] === "number" ? `${text(line, "subject")}, linger ${line["linger"]} ms` : text(line, "subject")
  const isMain = ({ line }: Rounds) => (line["linger"] ?? null) === null || line["linger"] === 0
  const rates = [...new Set(all.map(({ line }) => Number(line["rate"])))].sort((a, b) => a - b)
  const at = (rate: number) => all.filter((one) => one.line["rate"] === rate)
  const percent = (one: Rounds) => (one.of("cpuUs")?.median ?? 0) * Number(one.line["rate"]) / 1e4
  const lingerOf = ({ line }: Rounds) => typeof line["linger"] === "number" ? line["linger"] : defaultLinger
  const ours = (rate: number) =>
    at(rate).filter(({ line }) => line["subject"] === "exchange-feeds").sort((a, b) => lingerOf(a) - lingerOf(b))
  return {
    tables: [
      {
        head: ["trades/s", "subject", "p50 ms", "p99 ms", "CPU µs a trade", "main / V8 / libuv", "peak RSS MiB"],
        rows: rates.flatMap((rate) =>
          at(rate).filter(isMain).map((one) => [
            figure(rate),
            nameOf(one),
            withRange(one.of("p50Ms")),
            withRange(one.of("p99Ms")),
            withRange(one.of("cpuUs")),
            threads(one),
            withRange(one.of("rssPeakMiB"))
          ])
        )
      },
      {
        head: ["`KAFKA_LINGER` ms", ...rates.map((rate) => `${figure(rate)}/s: p50 / p99 ms, CPU µs, of a core`)],
        rows: [...new Set(rates.flatMap((rate) => ours(rate).map(lingerOf)))].sort((a, b) => a - b).map((linger) => [
          linger === defaultLinger ? `${linger} (default)` : `${linger}`,
          ...rates.map((rate) => {
            const one = ours(rate).find((other) => lingerOf(other) === linger)
            return one === undefined
              ? ""
              : `${medianOf(one.of("p50Ms"))} / ${medianOf(one.of("p99Ms"))}, ${medianOf(one.of("cpuUs"))}, ${
                figure(percent(one))
              } %`
          })
        ])
      }
    ],
    plots: {
      latency: Svg.bars({
        title: "From the exchange's write to Kafka's acknowledgement",
        unit: "ms, medians of the rounds",
        legend: ["p50", "up to p99"],
        groups: rates.map((rate) => ({
          title: `${figure(rate)} trades a second`,
          bars: at(rate).filter(isMain).map((one) => {
            const [p50, p99] = [one.of("p50Ms")?.median ?? 0, one.of("p99Ms")?.median ?? 0]
            return { label: nameOf(one), parts: [p50, Math.max(0, p99 - p50)] }
          })
        }))
      }),
      linger: Svg.lines({
        title: "What promptness costs: CPU by KAFKA_LINGER",
        x: "KAFKA_LINGER, ms",
        y: "% of a core",
        series: rates.map((rate) => ({
          name: `${figure(rate)}/s`,
          points: ours(rate).map((one) => [lingerOf(one), percent(one)] as const)
        }))
      })
    }
  }
}

/** One row for what is alike in `fields`; of the others each a column. */
const plain = (
  fields: Readonly<Record<string, string>>,
  columns: Readonly<Record<string, string>>
) =>
(lines: ReadonlyArray<Line>): Omit<Section, "name"> => ({
  tables: [{
    head: [...Object.values(fields), ...Object.values(columns)],
    rows: roundsOf(lines, Object.keys(fields)).map((one) => [
      ...Object.keys(fields).map((field) => text(one.line, field)),
      ...Object.keys(columns).map((column) => withRange(one.of(column)))
    ])
  }],
  plots: {}
})

const sections: Readonly<Record<string, (lines: ReadonlyArray<Line>) => Omit<Section, "name">>> = {
  "end-to-end": endToEnd,
  paced,
  outage: plain({ rate: "trades/s meanwhile", frozenSeconds: "Kafka away, s" }, {
    backlog: "waiting then",
    backAfterMs: "first record after, ms",
    drainPerSecond: "drained a second, live ones included",
    cpuUs: "CPU µs a trade of the drain",
    outageCpuUs: "of the outage",
    rssPeakMiB: "peak RSS MiB"
  }),
  idle: plain({ markets: "markets", connections: "connections" }, {
    percentOfCore: "% of a core",
    rssMiB: "RSS MiB"
  }),
  start: plain({ markets: "markets", subject: "subject" }, { startMs: "until all is subscribed, ms" }),
  overload: plain({ subject: "subject", mode: "`QUEUE_MODE`" }, {
    perSecond: "trades/s",
    cpuUs: "CPU µs a trade",
    rssPeakMiB: "peak RSS MiB"
  }),
  ratios: plain({ shape: "frames", markets: "markets" }, {
    cpuUs: "CPU µs a trade",
    bareUs: "of the bare loop",
    ratio: "ratio",
    atMost: "at most"
  })
}

/** Of those benchmarks that have lines. Others, whose lines are told as they are, have none. */
export const sectionsOf = (lines: ReadonlyArray<Line>): ReadonlyArray<Section> =>
  Object.entries(sections).flatMap(([name, make]) => {
    const those = lines.filter(({ bench }) => bench === name)
    return those.length === 0 ? [] : [{ name, ...make(those) }]
  })

/** On what it was measured; the last machine of the file holds. */
export const machineOf = (lines: ReadonlyArray<Line>): string => {
  const line = lines.findLast(({ bench }) => bench === "machine")
  if (line === undefined) return "a machine that is not told of"
  const isPinned = lines.some(({ pinned }) => pinned === true)
  return `${text(line, "at").slice(0, 10)}, commit ${text(line, "commit")}, Node ${text(line, "node")}, ${
    text(line, "cores")
  } cores of ${text(line, "cpu")}, ${text(line, "memoryGiB")} GiB, ${text(line, "os")}; ${
    isPinned ? "the subject on a core of its own" : "all on the same cores, unpinned"
  }`
}

export const markdown = ({ head, rows }: Table): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

/** For a terminal. */
export const aligned = ({ head, rows }: Table): string => {
  const all = [head, ...rows]
  const widths = head.map((_, i) => Math.max(...all.map((cells) => (cells[i] ?? "").length)))
  return all.map((cells) => cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()).join("\n")
}

/**
 * The page with the figures of these sections between `<!-- figures: NAME -->` and `<!-- end of NAME -->`; what else is between them is as it was.
 * Throws if the page has no place for a section, or has it open.
 */
export const fill = (page: string, sections: ReadonlyArray<Section>, machine: string): string =>
  sections.filter(({ name }) => name !== "ratios").reduce((filled, { name, plots, tables }) => {
    const [open, close] = [`<!-- figures: ${name} -->`, `<!-- end of ${name} -->`]
    const [from, to] = [filled.indexOf(open), filled.indexOf(close)]
    if (from < 0 || to < from) throw new Error(`the page has no "${open}" with a "${close}" after it`)
    const images = Object.keys(plots).map((plot) => `![${plot}](performance/${plot}.svg)`)
    const parts = [...tables.map(markdown), ...images, `Measured ${machine}.`]
    return `${filled.slice(0, from)}${open}\n\n${parts.join("\n\n")}\n\n${filled.slice(to)}`
  }, page)
