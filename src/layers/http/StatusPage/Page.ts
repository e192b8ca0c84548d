/**
 * The status page as HTML. It shows all without its script; with it, it is kept up to date: what has an id and `data-live`, and the
 * bodies of tables, are replaced by what `/events` brings.
 */
import * as Holes from "../../OpenHoles.ts"
import type { Events, Exchange, Report } from "./Report.ts"
import { script } from "./Script.ts"

export const render = (report: Report): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(report.health.status)} - ${text(report.name)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
${body(report)}
<script>${script}</script>
</body>
</html>
`

/** All that is seen. */
export const body = (report: Report): string =>
  `<header>
<h1>${text(report.name)} <small>${text(report.version)}</small></h1>
<p role="status" aria-live="polite" id="summary" data-live data-status="${text(report.health.status)}">${
    badge(report.health.status)
  } ${text(sentence(report))}</p>
<p class="quiet"><span id="age">${text(report.timestamp)}</span> · <span id="link">without updates</span> ·
<a href="health">health</a> · <a href="metrics">metrics</a> · <a href="api/status">as JSON</a></p>
<noscript><p>Without scripts this page does not follow what happens: load it again.</p></noscript>
</header>
<main>
<dl class="tiles">${tiles(report)}</dl>
${section("Checks", table("checks", ["check", "status", "last check", "took", "message"], checkRows(report)))}
${section("Exchanges", table("exchanges", exchangeColumns, report.exchanges.map(exchangeRow)))}
${section("Open holes", holes(report))}
${section("Kafka and the queue", table("lanes", laneColumns, laneRows(report)) + usage(report))}
${section("Circuit breakers", table("breakers", ["breaker", "state", "next try"], breakerRows(report)))}
${section("Events", table("events", eventColumns, eventRows(report)))}
${section("Markets", controls + marketTable(report))}
<section><h2>Since this page was opened</h2><ol id="log" class="log"></ol></section>
</main>`

export const style = `
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif }
body { max-width: 75rem; margin: 0 auto; padding: 1rem; color: #1f2328; background: #fff }
a { color: #0550ae }
h1 { font-size: 1.4rem; margin: 0 }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem }
small, .quiet { font-weight: normal; color: #59636e }
header p { margin: .4rem 0 }
section { overflow-x: auto }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; margin: 1rem 0 0 }
.tiles div { border: 1px solid #8886; border-radius: .5rem; padding: .6rem .8rem }
.tiles dt { color: #59636e }
.tiles dd { margin: 0; font-variant-numeric: tabular-nums }
.tiles .big { font-size: 1.5rem }
.tiles svg { display: block; width: 100%; height: 30px; margin-top: .3rem }
.tiles polyline { fill: none; stroke: #0969da; stroke-width: 1.5; vector-effect: non-scaling-stroke }
.controls { display: flex; flex-wrap: wrap; gap: .5rem 1.2rem; align-items: center; margin: 0 0 .5rem }
input, button { font: inherit }
th button { all: unset; cursor: pointer; font-weight: bold }
th button:focus-visible { outline: 2px solid #0969da; outline-offset: 2px }
th[aria-sort=ascending] button::after { content: " ↑" }
th[aria-sort=descending] button::after { content: " ↓" }
.log { font-variant-numeric: tabular-nums; padding-left: 1.5rem }
.log:empty::before { content: "nothing has changed" }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #8884; white-space: nowrap }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
td.wide { white-space: normal; overflow-wrap: anywhere; min-width: 12rem }
.badge { padding: .1rem .5rem; border-radius: .5rem; color: #fff; background: #59636e; white-space: nowrap }
.good { background: #1a7f37 }
.fair { background: #7d4e00 }
.poor { background: #cf222e }
@media (prefers-color-scheme: dark) {
body { color: #e6edf3; background: #0d1117 }
a { color: #79b8ff }
small, .quiet, .tiles dt { color: #9198a1 }
.tiles polyline { stroke: #58a6ff }
}
`

// internal

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

/** The only way into the page for what is not written here. */
const text = (value: string | number | null): string =>
  String(value ?? "-").replace(/[&<>"']/g, (character) => entities[character] ?? "")

/** HTML that was made by this file. */
interface Cell {
  readonly html: string
  readonly kind?: "number" | "wide"
}

const cell = (value: string | number | null): Cell =>
  typeof value === "number" ? { html: text(value), kind: "number" } : { html: text(value) }

const wide = (value: string | null): Cell => ({ html: text(value), kind: "wide" })

const classes: Readonly<Record<string, string>> = {
  healthy: "good",
  closed: "good",
  open: "poor",
  half_open: "fair",
  straight: "good",
  spooling: "fair",
  degraded: "fair",
  starting: "fair",
  draining: "fair",
  unhealthy: "poor",
  active: "good",
  pending: "fair",
  wanted: "fair",
  rejected: "poor",
  stale: "poor"
}

/** Never by colour alone. */
const symbols: Readonly<Record<string, string>> = { good: "●", fair: "▲", poor: "✖" }

const badge = (state: string): string => {
  const kind = classes[state] ?? ""
  return `<span class="badge ${kind}"><span aria-hidden="true">${symbols[kind] ?? "○"}</span> ${text(state)}</span>`
}

/** `key`: what it is the state of, for the log of changes. */
const badgeCell = (state: string, key?: string): Cell => ({
  html: key === undefined
    ? badge(state)
    : `<span data-key="${text(key)}" data-state="${text(state)}">${badge(state)}</span>`
})

/** Where it is wider than the screen it scrolls, by keyboard too. */
const section = (title: string, html: string): string =>
  `<section aria-label="${text(title)}" tabindex="0"><h2>${text(title)}</h2>${html}</section>`

const tag = (name: "td" | "th", { html, kind }: Cell): string =>
  `<${name}${name === "th" ? " scope=\"col\"" : ""}${kind === undefined ? "" : ` class="${kind}"`}>${html}</${name}>`

/** A column is aligned as its first row. */
const table = (id: string, columns: ReadonlyArray<string>, rows: Rows): string => {
  const heads = columns.map((column, i) => {
    const kind = rows[0]?.[i]?.kind
    return tag("th", kind === undefined ? { html: text(column) } : { html: text(column), kind })
  })
  return `<table><thead><tr>${heads.join("")}</tr></thead><tbody id="${id}">${
    rows.map(tableRow).join("\n")
  }</tbody></table>`
}

const tableRow = (row: ReadonlyArray<Cell>): string => `<tr>${row.map((one) => tag("td", one)).join("")}</tr>`

type Rows = ReadonlyArray<ReadonlyArray<Cell>>

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)

/** The answer to the first question: does data flow? */
const sentence = ({ exchanges, health, lanes }: Report): string => {
  const bad = Object.entries(health.checks).filter(([, { status }]) => status !== "healthy").map(([name]) => name)
  const live =
    exchanges.filter(({ api, connections, polling }) =>
      polling?.isAlone === true ? api.ok === true : connections.some(({ state }) => state === "open")
    ).length
  const behind = lanes.filter(({ mode }) => mode !== "straight").map(({ mode, topic }) => `${topic} ${mode}`)
  return [
    `${live} of ${exchanges.length} exchanges connected`,
    ...(bad.length > 0 ? [`not healthy: ${bad.join(", ")}`] : []),
    ...behind
  ].join("; ")
}

const tile = (name: string, big: string, rest: string): string =>
  `<div><dt>${name}</dt><dd>${big}</dd><dd>${rest}</dd></div>`

/** A figure that the script counts with. */
const figure = (id: string, value: number): string =>
  `<span id="${id}" data-live data-value="${value}">${text(value)}</span>`

const chart = (id: string, label: string): string =>
  `<svg viewBox="0 0 120 30" preserveAspectRatio="none" role="img" aria-label="${label}"><polyline id="${id}" points=""/></svg>`

const sumOf = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, one) => sum + one, 0)

const tiles = ({ exchanges, lanes, queue, recovered }: Report): string => {
  const events = [...exchanges.flatMap(({ events }) => events), ...recovered]
  const lost = sumOf(events.map(({ dropped }) => total(dropped)))
  const dead = sumOf(events.map(({ deadLettered }) => total(deadLettered)))
  const gaps = exchanges.map(({ gaps }) => gaps)
  const bytes = queue?.bytes ?? 0
  const capacity = queue?.maxBytes ?? 0
  return [
    tile(
      "Received",
      "<span class=\"big\" id=\"received-rate\">-</span>",
      `${figure("received", sumOf(events.map(({ received }) => received)))} in all${
        chart("received-line", "events received each second, the last two minutes")
      }`
    ),
    tile(
      "Delivered",
      "<span class=\"big\" id=\"delivered-rate\">-</span>",
      `${figure("delivered", sumOf(events.map(({ delivered }) => delivered)))} in all; <span id="lost" data-live>${
        text(`${lost} dropped, ${dead} dead letters`)
      }</span>`
    ),
    tile(
      "Queue",
      `<span class="big">${figure("queued", sumOf(lanes.map(({ queued }) => queued)))}</span> <span id="trend"></span>`,
      `${figure("bytes", bytes)} of ${figure("capacity", capacity)} bytes, <span id="share" data-live>${
        text(capacity === 0 ? "-" : `${Math.round(100 * bytes / capacity)} %`)
      }</span>${chart("queued-line", "records in the queue, the last two minutes")}`
    ),
    tile(
      "Holes in the data",
      `<span class="big" id="gaps-open" data-live>${text(`${sumOf(gaps.map(({ open }) => open))} open`)}</span>`,
      `<span id="gaps" data-live>${
        text(
          `${sumOf(gaps.map(({ filled }) => filled))} filled from history (${
            sumOf(gaps.map(({ recovered }) => recovered))
          } trades), ${sumOf(gaps.map(({ told }) => told))} told as not filled`
        )
      }</span>`
    )
  ].join("")
}

const checkRows = ({ health }: Report): Rows =>
  Object.entries(health.checks).map(([name, { duration, last_check, message, status }]) => [
    cell(name),
    badgeCell(status, name),
    cell(last_check),
    cell(duration),
    wide(message ?? "")
  ])

const exchangeColumns = [
  "exchange",
  "connections",
  "subscriptions",
  "markets",
  "last event",
  "dials",
  "reconnects",
  "holes open",
  "undecodable",
  "last error"
]

const exchangeRow = (one: Exchange): ReadonlyArray<Cell> => {
  const open = one.connections.filter(({ state }) => state === "open").length
  const active = one.connections.reduce((sum, { subscriptions }) => sum + subscriptions.active, 0)
  const requested = one.connections.reduce((sum, { subscriptions }) => sum + subscriptions.requested, 0)
  return [
    cell(one.exchange),
    cell(one.polling?.isAlone === true ? "not used" : `${open} of ${one.connections.length} open`),
    cell(`${active} of ${requested} active`),
    cell(
      `${one.markets.filter(({ lastAt }) => lastAt !== null).length} of ${one.listed} live` +
        (one.leftOut.length === 0 ? "" : `, ${one.leftOut.length} left out`)
    ),
    cell(one.lastDataAt),
    cell(one.dials),
    cell(one.reconnects),
    cell(one.gaps.open),
    cell(total(one.decodeFailures)),
    wide(one.lastError)
  ]
}

/** A lost connection opens one in each of its markets. */
const maxHoles = 20

const holes = ({ exchanges }: Report): string => {
  const open = Holes.all(exchanges)
  const more = open.length > maxHoles ? `and ${open.length - maxHoles} more` : open.length === 0 ? "none" : ""
  const rows = open.slice(0, maxHoles).map((hole) =>
    Holes.cells(hole).map((value, i) => Holes.columns[i] === "awaits" ? wide(String(value)) : cell(value))
  )
  return `${table("holes", Holes.columns, rows)}<p id="holes-more" data-live>${text(more)}</p>`
}

const eventColumns = [
  "exchange",
  "channel",
  "received",
  "delivered",
  "queued",
  "in flight",
  "dropped",
  "dead letters",
  "filtered"
]

const eventRow = (exchange: string, events: Events): ReadonlyArray<Cell> => [
  cell(exchange),
  cell(events.channel),
  cell(events.received),
  cell(events.delivered),
  cell(events.queued),
  cell(events.inFlight),
  cell(total(events.dropped)),
  cell(total(events.deadLettered)),
  cell(total(events.filtered))
]

const eventRows = ({ exchanges, recovered }: Report): Rows => [
  ...exchanges.flatMap(({ events, exchange }) => events.map((one) => eventRow(exchange, one))),
  ...recovered.map((one) => eventRow("(recovered)", one))
]

const laneColumns = ["topic", "mode", "waiting", "sending", "queued", "oldest", "last acknowledged", "message"]

const laneRows = ({ lanes }: Report): Rows =>
  lanes.map((lane) => [
    cell(lane.topic),
    badgeCell(lane.mode, lane.topic),
    cell(lane.waitingRecords),
    cell(lane.sending),
    cell(lane.queued),
    cell(lane.oldest),
    cell(lane.ackedAt),
    wide(lane.message)
  ])

const usage = ({ queue }: Report): string =>
  queue === null
    ? "<p id=\"usage\" data-live>The queue is being recovered.</p>"
    : `<p id="usage" data-live>${text(queue.bytes)} of ${text(queue.maxBytes)} bytes in use.</p>`

const breakerRows = ({ breakers }: Report): Rows =>
  breakers.map(({ name, retryAt, state }) => [cell(name), badgeCell(state, `breaker ${name}`), cell(retryAt)])

const controls = `<p class="controls"><label>Filter <input id="filter" type="search" autocomplete="off"></label>
<label><input id="stale-only" type="checkbox"> only stale</label> <span id="shown"></span></p>`

const marketColumns = ["exchange", "market", "trades", "last price", "last event", "state"]

const marketTable = ({ exchanges }: Report): string => {
  const heads = marketColumns.map((column, i) =>
    `<th scope="col" aria-sort="none"${
      i === 2 || i === 3 ? " class=\"number\"" : ""
    }><button type="button">${column}</button></th>`
  )
  const rows = exchanges.flatMap(({ exchange, markets }) =>
    markets.map(({ lastAt, lastPrice, stale, subscription, symbol, trades }) => {
      const cells: ReadonlyArray<Cell> = [
        cell(exchange),
        cell(symbol),
        cell(trades),
        // As text, but to the right like the numbers that they are.
        { html: text(lastPrice), kind: "number" },
        cell(lastAt),
        badgeCell(stale ? "stale" : subscription ?? "not subscribed")
      ]
      return `<tr${stale ? " data-stale=\"1\"" : ""}>${cells.map((one) => tag("td", one)).join("")}</tr>`
    })
  )
  return `<table id="markets"><thead><tr>${heads.join("")}</tr></thead><tbody id="market-rows">${
    rows.join("\n")
  }</tbody></table>`
}
