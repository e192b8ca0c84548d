import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import * as Report from "../../bench/support/Report.ts"
import * as Svg from "../../bench/support/Svg.ts"

const machine: Report.Line = {
  bench: "machine",
  at: "2026-11-30T09:04:15.508Z",
  commit: "abc1234",
  node: "v20.20.2",
  cpu: "A <fast> one",
  cores: 2,
  memoryGiB: 24,
  os: "Linux 6.1"
}

const run = (subject: string, shape: string, cpuUs: number, perSecond: number): Report.Line => ({
  bench: "end-to-end",
  subject,
  shape,
  markets: 60,
  pinned: true,
  cpuUs,
  mainUs: cpuUs / 2,
  v8Us: cpuUs / 4,
  libuvUs: cpuUs / 4,
  perSecond,
  rssPeakMiB: 200
})

const endToEnd = [
  run("bare loop", "one", 20, 50_000),
  run("exchange-feeds", "one", 10, 90_000),
  run("bare loop", "one", 24, 40_000),
  run("exchange-feeds", "one", 14, 80_000),
  run("bare loop", "one", 22, 45_000),
  run("exchange-feeds", "one", 11, 85_000),
  run("exchange-feeds", "window", 30, 30_000)
]

const paced = [null, 0, 1, 20].flatMap((linger) =>
  [200, 1_000].map((rate): Report.Line => ({
    bench: "paced",
    subject: "exchange-feeds",
    linger,
    rate,
    pinned: true,
    cpuUs: 100 - (linger ?? 5),
    mainUs: 50,
    v8Us: 30,
    libuvUs: 20,
    p50Ms: linger ?? 5,
    p99Ms: 2 * (linger ?? 5),
    rssPeakMiB: 190
  }))
)

const sectionOf = (lines: ReadonlyArray<Report.Line>): Report.Section => {
  const [section] = Report.sectionsOf(lines)
  if (section === undefined) throw new Error("no section")
  return section
}

test("rounds become median and range, and the bare loop of the same frames is what they are measured by", () => {
  expect(sectionOf(endToEnd).tables[0]?.rows).toEqual([
    [
      "one trade a frame",
      "60",
      "bare loop",
      "22 (20-24)",
      "11 / 5.5 / 5.5",
      "1.00",
      "45 000 (40 000-50 000)",
      "1.00",
      "200 (200-200)"
    ],
    [
      "one trade a frame",
      "60",
      "exchange-feeds",
      "11 (10-14)",
      "5.5 / 2.75 / 2.75",
      "0.50",
      "85 000 (80 000-90 000)",
      "1.89",
      "200 (200-200)"
    ],
    ["window of 20, one new", "60", "exchange-feeds", "30", "15 / 7.5 / 7.5", "", "30 000", "", "200"]
  ])
})

test("the curve of linger has the default at its place, with CPU as part of a core", () => {
  const [rates, lingers] = sectionOf(paced).tables
  expect(rates?.rows.map((cells) => cells.slice(0, 5))).toEqual([
    ["200", "exchange-feeds", "5", "10", "95"],
    ["200", "exchange-feeds, linger 0 ms", "0", "0", "100"],
    ["1 000", "exchange-feeds", "5", "10", "95"],
    ["1 000", "exchange-feeds, linger 0 ms", "0", "0", "100"]
  ])
  expect(lingers?.rows.map(([linger, , thousand]) => [linger, thousand])).toEqual([
    ["0", "0 / 0, 100, 10 %"],
    ["1", "1 / 2, 99, 9.9 %"],
    ["5 (default)", "5 / 10, 95, 9.5 %"],
    ["20", "20 / 40, 80, 8 %"]
  ])
})

test("what is not JSON, or no object, is told with its line", () => {
  expect(Report.parse("{\"a\":1}\n\n{}\n")).toEqual([{ a: 1 }, {}])
  expect(() => Report.parse("{}\n{\"a\":")).toThrow("line 2: expected a JSON object, found {\"a\":")
  expect(() => Report.parse("[1]")).toThrow("line 1: expected a JSON object")
})

test("the page that is there has a place for each section; it is filled once, and filled again with the same is the same", () => {
  const page = readFileSync("docs/performance.md", "utf8")
  const lines = [
    machine,
    ...endToEnd,
    ...paced,
    ...["outage", "idle", "start", "overload", "ratios"].map((bench): Report.Line => ({
      bench,
      subject: "exchange-feeds"
    }))
  ]
  const sections = Report.sectionsOf(lines)
  const filled = Report.fill(page, sections, Report.machineOf(lines))
  expect(filled).toContain(
    "Measured 2026-11-30, commit abc1234, Node v20.20.2, 2 cores of A <fast> one, 24 GiB, Linux 6.1; the subject on a core of its own."
  )
  expect(filled).toContain("| one trade a frame | 60 | exchange-feeds | 11 (10-14) |")
  expect(filled.match(/!\[.*?\]\(performance\/\S+\.svg\)/g)).toEqual([
    "![end-to-end](performance/end-to-end.svg)",
    "![latency](performance/latency.svg)",
    "![linger](performance/linger.svg)"
  ])
  expect(Report.fill(filled, sections, Report.machineOf(lines))).toBe(filled)
  // What nobody measured this time stays.
  expect(Report.fill(filled, [], "")).toBe(filled)
})

test("a page without a place for a section is an error", () => {
  expect(() => Report.fill("# Performance\n<!-- figures: idle -->\n", [{ name: "idle", tables: [], plots: {} }], ""))
    .toThrow(
      "the page has no \"<!-- figures: idle -->\" with a \"<!-- end of idle -->\" after it"
    )
})

test("plots are well-formed: every number is one, text is escaped, and each part is there", () => {
  const bars = Svg.bars({
    title: "a < b & \"c\"",
    unit: "µs",
    legend: ["one", "two"],
    groups: [{
      title: "g",
      bars: [{ label: "<x>", parts: [1, 2], total: 3.456, range: [2, 4] }, { label: "nothing", parts: [] }]
    }]
  })
  const lines = Svg.lines({
    title: "t",
    x: "x",
    y: "y",
    series: [{ name: "s", points: [[0, 0], [5, 1000]] }, { name: "e", points: [] }]
  })
  for (const svg of [bars, lines, Svg.bars({ title: "", unit: "", legend: [], groups: [] })]) {
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
    expect(svg.replaceAll(/<style>[^]*<\/style>/g, "").match(/<(?!\/?(?:svg|style|text|rect|line|polyline|circle)\b)/))
      .toBeNull()
  }
  expect(bars).toContain("a &lt; b &amp; &quot;c&quot;")
  expect(bars).toContain(">3.46</text>")
  expect(bars.match(/<rect/g)).toHaveLength(4)
  expect(lines.match(/<circle/g)).toHaveLength(2)
})

test("ticks are round, not many, and reach the largest value", () => {
  expect(Svg.ticksTo(0)).toEqual([0, 1])
  expect(Svg.ticksTo(24.3)).toEqual([0, 5, 10, 15, 20, 25])
  for (const most of [0.003, 1, 7.9, 8, 19, 99, 101, 1234, 9e6]) {
    const ticks = Svg.ticksTo(most)
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(most)
    expect(ticks.length).toBeGreaterThan(3)
    expect(ticks.length).toBeLessThan(10)
  }
})
