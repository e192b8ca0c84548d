/**
 * `exchange-feeds top`: how a running service is, as a table in the terminal, each second anew. Piped it is one table after another,
 * without anything that moves a cursor.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Time from "../../../services/Time.ts"
import type * as AppConfig from "../../AppConfig.ts"
import * as StatusPage from "../../http/StatusPage.ts"
import type { Book, Report } from "../../http/StatusPage.ts"
import * as Holes from "../../OpenHoles.ts"
import { spread } from "../../Spread.ts"
import * as Healthcheck from "./Healthcheck.ts"
import * as Output from "./Output.ts"

export interface Options {
  readonly url: string | undefined
  /** Tables to print; undefined: until it is stopped. */
  readonly count: number | undefined
  readonly isTTY: boolean
}

export const top = Effect.fnUntraced(function*(
  env: AppConfig.Environment,
  { count, isTTY, url }: Options
): Effect.fn.Return<void, Healthcheck.Unhealthy | AppConfig.ConfigInvalid, FileSystem.FileSystem> {
  const base = yield* Healthcheck.baseUrl(env, url)
  let last: { readonly report: Report; readonly at: Time.Instant } | undefined
  const once = Effect.gen(function*() {
    const body = yield* Healthcheck.get(`${base}/api/status`)
    const report: Report = yield* Effect.try({
      try: () => JSON.parse(body.text),
      catch: () => new Healthcheck.Unhealthy({ message: `${base}/api/status is no JSON` })
    })
    const at = yield* Time.now
    const lines = table(report, last?.report, last === undefined ? 0 : Time.between(last.at, at) / 1000)
    last = { report, at }
    // Home, then each line with its old rest deleted, then all below: nothing flickers.
    yield* Output.lines(
      Chunk.fromIterable(isTTY ? [`\u001b[H${lines.map((line) => `${line}\u001b[K`).join("\n")}\u001b[J`] : lines)
    )
  })
  if (isTTY) yield* Output.lines(Chunk.of("\u001b[2J"))
  yield* count === undefined
    ? Effect.repeat(once, Schedule.spaced("1 second"))
    : Effect.repeat(once, Schedule.intersect(Schedule.spaced("1 second"), Schedule.recurs(count - 1)))
})

/** Plain text. Rates are from one table to the next, `seconds` later. */
export const table = (now: Report, before: Report | undefined, seconds: number): ReadonlyArray<string> => {
  const rate = (later: number, earlier: number | undefined): string =>
    seconds <= 0 || earlier === undefined ? "-" : (Math.max(0, later - earlier) / seconds).toFixed(1)
  const bad = Object.entries(now.health.checks).filter(([, { status }]) => status !== "healthy")
  return [
    `${now.name} ${now.version}  ${now.health.status}  ${now.timestamp}`,
    "",
    ...Output.columns([
      [
        "EXCHANGE",
        "CONNECTED",
        "MARKETS",
        "STALE",
        "IN/S",
        "OUT/S",
        "RECEIVED",
        "DELIVERED",
        "QUEUED",
        "LOST",
        "HOLES",
        "RECONNECTS"
      ],
      ...now.exchanges.map((one) => {
        const old = before?.exchanges.find(({ exchange }) => exchange === one.exchange)
        const events = total(one)
        const earlier = old === undefined ? undefined : total(old)
        return [
          one.exchange,
          `${one.connections.filter(({ state }) => state === "open").length}/${one.connections.length}`,
          String(one.listed),
          String(one.markets.filter(({ stale }) => stale).length),
          rate(events.received, earlier?.received),
          rate(events.delivered, earlier?.delivered),
          String(events.received),
          String(events.delivered),
          String(events.queued),
          String(events.dropped),
          String(one.gaps.open),
          String(one.reconnects)
        ]
      })
    ]),
    "",
    ...Output.columns([
      ["TOPIC", "MODE", "QUEUED", "OLDEST", "LAST ACK"],
      ...now.lanes.map((
        { ackedAt, mode, oldest, queued, topic }
      ) => [topic, mode, String(queued), oldest ?? "-", ackedAt ?? "-"])
    ]),
    ...books(now),
    ...holes(now),
    ...(bad.length === 0
      ? []
      : ["", ...Output.columns(bad.map(([name, { message, status }]) => [name, status, message ?? ""]))])
  ]
}

// internal

/** More would push what is below them off the screen. */
const maxHoles = 10
const maxBooks = 10

/** Those in trouble first, then the oldest. */
const books = ({ exchanges }: Report): ReadonlyArray<string> => {
  // A service of an older version does not tell them.
  const all = exchanges.flatMap(({ exchange, markets }) =>
    markets.flatMap(({ book = null, symbol }) => book === null ? [] : [{ exchange, symbol, ...book }])
  )
  if (all.length === 0) return []
  const trouble = { doubtful: 0, waiting: 1, live: 2 }
  const rows = all.toSorted((a, b) =>
    trouble[a.state] - trouble[b.state] || (b.ageMs ?? Infinity) - (a.ageMs ?? Infinity) || 0
  )
  const count = (which: Book["state"]) => all.filter(({ state }) => state === which).length
  return [
    "",
    `books: ${count("live")} live, ${count("doubtful")} doubtful, ${count("waiting")} waiting for a first picture`,
    ...exchanges.flatMap(({ books, exchange }) =>
      // Nor these.
      books?.pictures === undefined || books.waiting === 0 ? [] : [`${exchange}: ${StatusPage.books(books)}`]
    ),
    ...Output.columns([
      ["BOOK", "STATE", "BID", "ASK", "SPREAD", "AGE"],
      ...rows.slice(0, maxBooks).map((one) => [
        `${one.exchange} ${one.symbol}`,
        one.state,
        one.bestBid ?? "-",
        one.bestAsk ?? "-",
        spread(one),
        one.ageMs === null ? "-" : Holes.duration(one.ageMs)
      ])
    ]),
    ...(all.length > maxBooks ? [`and ${all.length - maxBooks} more: /api/status`] : [])
  ]
}

const holes = ({ exchanges }: Report): ReadonlyArray<string> => {
  // A service of an older version does not tell them.
  const open = Holes.all(exchanges.filter(({ openHoles }) => Array.isArray(openHoles)))
  if (open.length === 0) return []
  return [
    "",
    ...Output.columns([
      ["HOLE", "CAUSE", "OPEN FOR", "WAITING", "AWAITS"],
      ...open.slice(0, maxHoles).map(({ ageMs, awaits, cause, exchange, symbol, waiting }) => [
        `${exchange} ${symbol}`,
        cause,
        Holes.duration(ageMs),
        String(waiting),
        awaits
      ])
    ]),
    ...(open.length > maxHoles ? [`and ${open.length - maxHoles} more: exchange-feeds gaps`] : [])
  ]
}

const total = ({ events }: Report["exchanges"][number]) =>
  events.reduce((sum, one) => ({
    received: sum.received + one.received,
    delivered: sum.delivered + one.delivered,
    queued: sum.queued + one.queued,
    dropped: sum.dropped + Object.values(one.dropped).reduce((a, b) => a + b, 0)
  }), { received: 0, delivered: 0, queued: 0, dropped: 0 })
