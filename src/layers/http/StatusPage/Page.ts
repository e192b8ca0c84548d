/**
 * The status page as HTML. It shows all without its script; with it, it is kept up to date: what has an id and `data-live`, and the
 * bodies of tables, are replaced by what `/events` brings.
 */
import * as Holes from "../../OpenHoles.ts"
import { spread } from "../../Spread.ts"
import * as Chart from "./Chart.ts"
import * as Diagnosis from "./Diagnosis.ts"
import * as History from "./History.ts"
import type { Book, Events, Exchange, Report } from "./Report.ts"
import { script } from "./Script.ts"
import { style } from "./Style.ts"
import * as Words from "./Words.ts"

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
<p role="status" aria-live="polite" id="summary" class="summary" data-live data-status="${
    text(report.health.status)
  }">${badge(report.health.status)} ${Diagnosis.sentences(report).map(text).join("<br>")}</p>
<p class="quiet"><span id="age">as of ${text(report.timestamp)}</span> · <span id="link">without updates</span> ·
<a href="health">health</a> · <a href="metrics">metrics</a> · <a href="api/status">as JSON</a></p>
<noscript><p>Without scripts this page does not follow what happens: load it again.</p></noscript>
</header>
<main>
<dl class="tiles">${tiles(report)}</dl>
${section("Checks", table("checks", ["check", "status", "last check", "took", "message"], checkRows(report)))}
${
    section(
      "Exchanges",
      table(
        "exchanges",
        [...exchangeColumns, ...(hasBooks(report) ? ["books"] : [])],
        report.exchanges.map((one) => exchangeRow(one, report))
      )
    )
  }
${section("Open holes", holes(report))}
${section("Kafka and the queue", table("lanes", laneColumns, laneRows(report)) + usage(report))}
${section("Circuit breakers", table("breakers", ["breaker", "state", "next try"], breakerRows(report)))}
${section("Events", table("events", eventColumns, eventRows(report)))}
${section("Markets", controls + marketTable(report))}
<section><h2>Since this page was opened</h2><ol id="log" class="log"></ol></section>
</main>`

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
  /** What it is sorted by, where that is not what is seen. */
  readonly sort?: string | number
}

const cell = (value: string | number | null): Cell =>
  typeof value === "number" ? { html: text(value), kind: "number" } : { html: text(value) }

/** When something happened or will: in words, the exact time where the pointer rests. */
const when = (iso: string | null, { timestamp }: Report): Cell => {
  if (iso === null) return cell(null)
  const then = Date.parse(iso)
  // What is no time is shown as it is.
  const said = Number.isNaN(then) ? iso : Words.ago(then, Date.parse(timestamp))
  return { sort: iso, html: `<time datetime="${text(iso)}" title="${text(iso)}">${text(said)}</time>` }
}

/** A count that may grow large. */
const counted = (value: number): Cell => ({
  html: `<span title="${value}">${text(Words.count(value))}</span>`,
  kind: "number",
  sort: value
})

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
  stale: "poor",
  live: "good",
  waiting: "fair",
  doubtful: "poor"
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

const tag = (name: "td" | "th", { html, kind, sort }: Cell): string =>
  `<${name}${name === "th" ? " scope=\"col\"" : ""}${kind === undefined ? "" : ` class="${kind}"`}${
    sort === undefined ? "" : ` data-sort="${text(sort)}"`
  }>${html}</${name}>`

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

const tile = (name: string, big: string, rest: string): string =>
  `<div><dt>${name}</dt><dd>${big}</dd><dd>${rest}</dd></div>`

/** A figure that the script counts with; `at`: when it was true, where that matters. */
const figure = (id: string, value: number, said = Words.count(value), at?: string): string =>
  `<span id="${id}" data-live data-value="${value}"${
    at === undefined ? "" : ` data-at="${Date.parse(at)}"`
  }><span title="${value}">${text(said)}</span></span>`

/** What the script makes a live figure of; without it, the mean of the last stretch. */
const rateOf = (id: string, values: ReadonlyArray<number>): string => {
  const last = values.at(-1)
  return `<span class="big" id="${id}">${last === undefined ? "-" : text(Words.rate(last))}</span>`
}

const sumOf = (numbers: ReadonlyArray<number>): number => numbers.reduce((sum, one) => sum + one, 0)

const tiles = ({ exchanges, history, lanes, queue, recovered, timestamp }: Report): string => {
  const live = exchanges.flatMap(({ events }) => events)
  const events = [...live, ...recovered]
  const lost = sumOf(events.map(({ dropped }) => total(dropped)))
  const dead = sumOf(events.map(({ deadLettered }) => total(deadLettered)))
  const gaps = exchanges.map(({ gaps }) => gaps)
  const received = sumOf(live.map(({ received }) => received))
  const bytes = queue?.bytes ?? 0
  const capacity = queue?.maxBytes ?? 0
  const chart = (id: string, label: string, values: ReadonlyArray<number>, say: (value: number) => string) =>
    Chart.chart({ id, label, values, say, every: history.every, room: History.points })
  return [
    tile(
      "Received",
      rateOf("received-rate", history.received),
      `${figure("received", received, Words.count(received), timestamp)} in all${
        chart("received-chart", "Events received each second, the last half hour", history.received, Words.rate)
      }`
    ),
    tile(
      "Delivered",
      rateOf("delivered-rate", history.delivered),
      `${figure("delivered", sumOf(events.map(({ delivered }) => delivered)))} in all, <span id="lost" data-live${
        lost + dead > 0 ? ` class="alarm"` : ""
      }>${text(`${Words.count(lost)} dropped, ${Words.several(dead, "dead letter")}`)}</span>${
        chart("delivered-chart", "Events delivered each second, the last half hour", history.delivered, Words.rate)
      }`
    ),
    tile(
      "Waiting on disk",
      `<span class="big">${
        figure("queued", sumOf(lanes.map(({ queued }) => queued)))
      }</span> <span id="trend" data-live>${text(Diagnosis.trend({ history, queue }) ?? "")}</span>`,
      `${figure("bytes", bytes, Words.bytes(bytes))} of ${
        figure("capacity", capacity, Words.bytes(capacity))
      }, <span id="share" data-live>${text(capacity === 0 ? "-" : `${Math.round(100 * bytes / capacity)} %`)}</span>${
        chart("queued-chart", "Events that wait on disk, the last half hour", history.queued, Words.count)
      }`
    ),
    tile(
      "Holes in the data",
      `<span class="big" id="gaps-open" data-live>${
        text(`${Words.count(sumOf(gaps.map(({ open }) => open)))} open`)
      }</span>`,
      `<span id="gaps" data-live>${
        text(
          `${Words.count(sumOf(gaps.map(({ filled }) => filled)))} filled from history (${
            Words.several(sumOf(gaps.map(({ recovered }) => recovered)), "trade")
          }), ${Words.count(sumOf(gaps.map(({ told }) => told)))} told as not filled`
        )
      }</span>${chart("holes-chart", "Open holes, the last half hour", history.openHoles, Words.count)}`
    )
  ].join("")
}

const checkRows = (report: Report): Rows =>
  Object.entries(report.health.checks).map(([name, { duration, last_check, message, status }]) => [
    cell(name),
    badgeCell(status, name),
    when(last_check, report),
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

const hasBooks = ({ exchanges }: Report): boolean =>
  exchanges.some(({ markets }) => markets.some(({ book }) => book !== null))

const exchangeRow = (one: Exchange, report: Report): ReadonlyArray<Cell> => {
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
    when(one.lastDataAt, report),
    counted(one.dials),
    counted(one.reconnects),
    counted(one.gaps.open),
    counted(total(one.decodeFailures)),
    wide(one.lastError),
    ...(hasBooks(report) ? [wide(Words.books(one.books))] : [])
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
  counted(events.received),
  counted(events.delivered),
  counted(events.queued),
  counted(events.inFlight),
  counted(total(events.dropped)),
  counted(total(events.deadLettered)),
  counted(total(events.filtered))
]

const eventRows = ({ exchanges, recovered }: Report): Rows => [
  ...exchanges.flatMap(({ events, exchange }) => events.map((one) => eventRow(exchange, one))),
  ...recovered.map((one) => eventRow("(recovered)", one))
]

const laneColumns = ["topic", "mode", "waiting", "sending", "queued", "oldest", "last acknowledged", "message"]

const laneRows = (report: Report): Rows =>
  report.lanes.map((lane) => [
    cell(lane.topic),
    badgeCell(lane.mode, lane.topic),
    counted(lane.waitingRecords),
    counted(lane.sending),
    counted(lane.queued),
    when(lane.oldest, report),
    when(lane.ackedAt, report),
    wide(lane.message)
  ])

const usage = ({ queue }: Report): string =>
  queue === null
    ? "<p id=\"usage\" data-live>The queue is being recovered.</p>"
    : `<p id="usage" data-live><span title="${queue.bytes} of ${queue.maxBytes} bytes">${
      text(`${Words.bytes(queue.bytes)} of ${Words.bytes(queue.maxBytes)}`)
    }</span> in use.</p>`

const breakerRows = (report: Report): Rows =>
  report.breakers.map(({ name, retryAt, state }) => [
    cell(name),
    badgeCell(state, `breaker ${name}`),
    when(retryAt, report)
  ])

const controls = `<p class="controls"><label>Filter <input id="filter" type="search" autocomplete="off"></label>
<label><input id="stale-only" type="checkbox"> only stale</label> <span id="shown"></span></p>`

const spreadCell = (book: Book | null): Cell => {
  if (book === null) return { html: "-", kind: "number" }
  const share = spread(book)
  return {
    kind: "number",
    sort: Number.parseFloat(share),
    html: `<span title="${text(book.bestBid)} to ${text(book.bestAsk)}">${text(share)}</span>`
  }
}

const bookState = (book: Book | null): Cell => {
  if (book === null) return cell("-")
  return { sort: book.state, html: `${badge(book.state)} ${text(book.ageMs === null ? "" : Words.span(book.ageMs))}` }
}

/** The last two are there where order books are collected. */
const marketColumns = ["exchange", "market", "trades", "last price", "last event", "state", "spread", "book, its age"]

const marketTable = (report: Report): string => {
  const withBooks = hasBooks(report)
  const heads = marketColumns.slice(0, withBooks ? undefined : -2).map((column, i) =>
    `<th scope="col" aria-sort="none"${
      i === 2 || i === 3 || i === 6 ? " class=\"number\"" : ""
    }><button type="button">${column}</button></th>`
  )
  const rows = report.exchanges.flatMap(({ exchange, markets }) =>
    markets.map(({ book, lastAt, lastPrice, stale, subscription, symbol, trades }) => {
      const cells: ReadonlyArray<Cell> = [
        cell(exchange),
        cell(symbol),
        counted(trades),
        // As text, but to the right like the numbers that they are.
        { html: text(lastPrice), kind: "number" },
        when(lastAt, report),
        badgeCell(stale ? "stale" : subscription ?? "not subscribed"),
        ...(withBooks ? [spreadCell(book), bookState(book)] : [])
      ]
      return `<tr data-row="${text(`${exchange} ${symbol}`)}"${stale ? " data-stale=\"1\"" : ""}>${
        cells.map((one) => tag("td", one)).join("")
      }</tr>`
    })
  )
  return `<table id="markets"><thead><tr>${heads.join("")}</tr></thead><tbody id="market-rows">${
    rows.join("\n")
  }</tbody></table>`
}
