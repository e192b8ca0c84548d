/**
 * The status page as HTML.
 */
import type { Events, Exchange, Report } from "./Report.ts"

export const render = (report: Report): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="5">
<title>${text(report.health.status)} - ${text(report.name)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${text(report.name)} <small>${text(report.version)}</small></h1>
<p>${badge(report.health.status)} at ${text(report.timestamp)}</p>
</header>
<main>
${section("Checks", table(["check", "status", "last check", "took", "message"], checkRows(report)))}
${section("Exchanges", table(exchangeColumns, report.exchanges.map(exchangeRow)))}
${section("Events", table(eventColumns, eventRows(report)))}
${section("Kafka and the queue", table(laneColumns, laneRows(report)) + usage(report))}
${section("Circuit breakers", table(["breaker", "state", "next try"], breakerRows(report)))}
${section("Markets", table(["exchange", "market", "trades", "last price", "last event"], marketRows(report)))}
</main>
</body>
</html>
`

export const style = `
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif }
body { max-width: 75rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.4rem; margin: 0 }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .5rem }
small { font-weight: normal; opacity: .7 }
section { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #8884; white-space: nowrap }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
td.wide { white-space: normal; overflow-wrap: anywhere }
.badge { padding: .1rem .5rem; border-radius: .5rem; color: #fff; background: #666 }
.good { background: #1a7f37 }
.fair { background: #9a6700 }
.poor { background: #cf222e }
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
  draining: "fair",
  degraded: "fair",
  starting: "fair",
  unhealthy: "poor"
}

const badge = (state: string): string => `<span class="badge ${classes[state] ?? ""}">${text(state)}</span>`

const badgeCell = (state: string): Cell => ({ html: badge(state) })

const section = (title: string, html: string): string => `<section><h2>${text(title)}</h2>${html}</section>`

const tag = (name: "td" | "th", { html, kind }: Cell): string =>
  `<${name}${kind === undefined ? "" : ` class="${kind}"`}>${html}</${name}>`

/** A column is aligned as its first row. */
const table = (columns: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>): string => {
  const heads = columns.map((column, i) => {
    const kind = rows[0]?.[i]?.kind
    return tag("th", kind === undefined ? { html: text(column) } : { html: text(column), kind })
  })
  const body = rows.map((row) => `<tr>${row.map((one) => tag("td", one)).join("")}</tr>`).join("\n")
  return `<table><thead><tr>${heads.join("")}</tr></thead><tbody>\n${body}\n</tbody></table>`
}

type Rows = ReadonlyArray<ReadonlyArray<Cell>>

const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)

const checkRows = ({ health }: Report): Rows =>
  Object.entries(health.checks).map(([name, { duration, last_check, message, status }]) => [
    cell(name),
    badgeCell(status),
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
  "undecodable",
  "last error"
]

const exchangeRow = (one: Exchange): ReadonlyArray<Cell> => {
  const open = one.connections.filter(({ state }) => state === "open").length
  const active = one.connections.reduce((sum, { subscriptions }) => sum + subscriptions.active, 0)
  const requested = one.connections.reduce((sum, { subscriptions }) => sum + subscriptions.requested, 0)
  return [
    cell(one.exchange),
    cell(`${open} of ${one.connections.length} open`),
    cell(`${active} of ${requested} active`),
    cell(`${one.markets.filter(({ lastAt }) => lastAt !== null).length} of ${one.listed} live`),
    cell(one.lastDataAt),
    cell(one.dials),
    cell(one.reconnects),
    cell(total(one.decodeFailures)),
    wide(one.lastError)
  ]
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
    badgeCell(lane.mode),
    cell(lane.waitingRecords),
    cell(lane.sending),
    cell(lane.queued),
    cell(lane.oldest),
    cell(lane.ackedAt),
    wide(lane.message)
  ])

const usage = ({ queue }: Report): string =>
  queue === null
    ? "<p>The queue is being recovered.</p>"
    : `<p>${text(queue.bytes)} of ${text(queue.maxBytes)} bytes in use.</p>`

const breakerRows = ({ breakers }: Report): Rows =>
  breakers.map(({ name, retryAt, state }) => [cell(name), badgeCell(state), cell(retryAt)])

const marketRows = ({ exchanges }: Report): Rows =>
  exchanges.flatMap(({ exchange, markets }) =>
    markets.map(({ lastAt, lastPrice, symbol, trades }) => [
      cell(exchange),
      cell(symbol),
      cell(trades),
      // As text, but to the right like the numbers that they are.
      { html: text(lastPrice), kind: "number" as const },
      cell(lastAt)
    ])
  )
