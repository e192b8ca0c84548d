/** A line over the last half hour as SVG, of numbers alone: seen without a script. */
import * as Words from "./Words.ts"

const width = 360
const height = 60

interface Options {
  /** Names the chart, and its line in the page. */
  readonly id: string
  /** What it shows, for who does not see it. */
  readonly label: string
  /** How a value is said. */
  readonly say: (value: number) => string
  readonly values: ReadonlyArray<number>
  /** Milliseconds from one value to the next. */
  readonly every: number
  /** Values that fill the whole width: fewer stand at its right end. */
  readonly room: number
}

/** The top of the scale: the first round number that holds all. */
export const scale = (values: ReadonlyArray<number>): number => {
  const most = values.reduce((top, value) => Math.max(top, value), 0)
  if (most <= 1) return 1
  const unit = 10 ** Math.floor(Math.log10(most))
  return [1, 2, 5, 10].map((step) => step * unit).find((top) => top >= most) ?? most
}

const placed = ({ room, values }: Options, top: number): ReadonlyArray<string> =>
  values.slice(-room).map((value, i, shown) => {
    const x = width - (shown.length - 1 - i) * width / Math.max(1, room - 1)
    const y = height - 1 - value / top * (height - 3)
    return `${x.toFixed(1)},${y.toFixed(1)}`
  })

/** Its texts are of this program alone. */
export const chart = (options: Options): string => {
  const { every, id, label, room, say, values } = options
  const top = scale(values)
  const line = placed(options, top)
  const first = line[0]?.split(",")[0]
  const last = values.at(-1)
  const summary = last === undefined ? "nothing yet" : `${say(Math.max(...values))} at most, ${say(last)} at last`
  return `<figure id="${id}" data-live>` +
    `<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${label}: ${summary}">` +
    `<path class="grid" d="M0 2H${width}M0 ${height / 2}H${width}"/>` +
    (first === undefined
      ? ""
      : `<polygon points="${first},${height} ${line.join(" ")} ${width},${height}"/><polyline points="${
        line.join(" ")
      }"/>`) +
    `</svg><figcaption><span>${Words.span(room * every)} ago</span><span>top ${
      say(top)
    }</span><span>now</span></figcaption></figure>`
}
