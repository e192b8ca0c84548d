/** Plots as plain SVG: readable as an image in a document, light or dark, without a script. */

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

const style = `<style>
text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 } .soft { fill: #57606a }
.axis { stroke: #d0d7de } .whisker { stroke: #24292f } .line { fill: none; stroke-width: 2 }
.f0 { fill: #0969da } .f1 { fill: #bf8700 } .f2 { fill: #8250df } .f3 { fill: #1a7f37 }
.s0 { stroke: #0969da } .s1 { stroke: #bf8700 } .s2 { stroke: #8250df } .s3 { stroke: #1a7f37 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .soft { fill: #8d96a0 } .axis { stroke: #3d444d } .whisker { stroke: #e6edf3 }
}
</style>`

const at = (value: number): string => `${Math.round(value * 10) / 10}`

const textAt = (x: number, y: number, text: string, more = ""): string =>
  `<text x="${at(x)}" y="${at(y)}"${more}>${escape(text)}</text>`

const lineOf = (x1: number, y1: number, x2: number, y2: number, kind: string): string =>
  `<line x1="${at(x1)}" y1="${at(y1)}" x2="${at(x2)}" y2="${at(y2)}" class="${kind}"/>`

const svg = (width: number, height: number, title: string, parts: ReadonlyArray<string>): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${
    escape(title)
  }">\n${[style, textAt(8, 18, title, " class=\"title\""), ...parts].join("\n")}\n</svg>\n`

/** Round numbers from 0 on, four to eight of them, the last not below `most`. */
export const ticksTo = (most: number): ReadonlyArray<number> => {
  if (!(most > 0)) return [0, 1]
  const power = 10 ** Math.floor(Math.log10(most / 4))
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => most / one <= 8) ?? power * 10
  const count = Math.ceil(most / step - 1e-9)
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(6)))
}

const legend = (names: ReadonlyArray<string>, x: number, y: number): ReadonlyArray<string> => {
  let from = x
  return names.flatMap((name, i) => {
    const here = from
    from += 30 + name.length * 7
    return [
      `<rect x="${at(here)}" y="${y - 10}" width="12" height="12" class="f${i % 4}"/>`,
      textAt(here + 17, y, name)
    ]
  })
}

export interface Bar {
  readonly label: string
  /** One for each name of the legend, put end to end. */
  readonly parts: ReadonlyArray<number>
  /** What is written at its end, where that is not the sum: of parts that are medians each the sum is none. */
  readonly total?: number
  /** Of the whole bar. */
  readonly range?: readonly [min: number, max: number]
}

export interface Bars {
  readonly title: string
  readonly unit: string
  readonly legend: ReadonlyArray<string>
  readonly groups: ReadonlyArray<{ readonly title: string; readonly bars: ReadonlyArray<Bar> }>
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0)

const width = 760
const left = 190
const right = 60

/** Bars that lie, in groups. */
export const bars = ({ groups, legend: names, title, unit }: Bars): string => {
  const all = groups.flatMap((group) => group.bars)
  const ticks = ticksTo(Math.max(...all.map(({ parts, range }) => Math.max(sum(parts), range?.[1] ?? 0)), 0))
  const x = (value: number) => left + value / (ticks.at(-1) ?? 1) * (width - left - right)
  const top = 56
  const parts: Array<string> = []
  let y = top
  for (const group of groups) {
    parts.push(textAt(8, y + 12, group.title, " class=\"soft\""))
    y += 20
    for (const bar of group.bars) {
      parts.push(textAt(left - 8, y + 13, bar.label, " text-anchor=\"end\""))
      let from = 0
      bar.parts.forEach((value, i) => {
        parts.push(
          `<rect x="${at(x(from))}" y="${y}" width="${at(x(from + value) - x(from))}" height="18" class="f${i % 4}"/>`
        )
        from += value
      })
      if (bar.range !== undefined) parts.push(lineOf(x(bar.range[0]), y + 9, x(bar.range[1]), y + 9, "whisker"))
      parts.push(
        textAt(x(Math.max(from, bar.range?.[1] ?? 0)) + 6, y + 13, `${Number((bar.total ?? from).toPrecision(3))}`)
      )
      y += 24
    }
    y += 6
  }
  const axis = ticks.flatMap((tick) => [
    lineOf(x(tick), top, x(tick), y, "axis"),
    textAt(x(tick), y + 16, `${tick}`, " text-anchor=\"middle\" class=\"soft\"")
  ])
  const caption = textAt(width - 8, y + 34, unit, " text-anchor=\"end\" class=\"soft\"")
  return svg(width, y + 44, title, [...legend(names, 8, 42), ...axis, ...parts, caption])
}

export interface Lines {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly series: ReadonlyArray<{
    readonly name: string
    readonly points: ReadonlyArray<readonly [x: number, y: number]>
  }>
}

export const lines = ({ series, title, x: xTitle, y: yTitle }: Lines): string => {
  const all = series.flatMap(({ points }) => points)
  const xs = ticksTo(Math.max(...all.map(([x]) => x), 0))
  const ys = ticksTo(Math.max(...all.map(([, y]) => y), 0))
  const [top, bottom, from] = [64, 340, 56]
  const x = (value: number) => from + value / (xs.at(-1) ?? 1) * (width - from - right)
  const y = (value: number) => bottom - value / (ys.at(-1) ?? 1) * (bottom - top)
  return svg(width, bottom + 52, title, [
    ...legend(series.map(({ name }) => name), 8, 42),
    ...ys.flatMap((tick) => [
      lineOf(from, y(tick), width - right, y(tick), "axis"),
      textAt(from - 8, y(tick) + 4, `${tick}`, " text-anchor=\"end\" class=\"soft\"")
    ]),
    ...xs.map((tick) => textAt(x(tick), bottom + 18, `${tick}`, " text-anchor=\"middle\" class=\"soft\"")),
    textAt(width - right, bottom + 40, xTitle, " text-anchor=\"end\" class=\"soft\""),
    textAt(8, top - 8, yTitle, " class=\"soft\""),
    ...series.flatMap(({ points }, i) => [
      `<polyline points="${points.map(([a, b]) => `${at(x(a))},${at(y(b))}`).join(" ")}" class="line s${i % 4}"/>`,
      ...points.map(([a, b]) => `<circle cx="${at(x(a))}" cy="${at(y(b))}" r="3.5" class="f${i % 4}"/>`)
    ])
  ])
}
