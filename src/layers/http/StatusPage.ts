/**
 * What the collector does, for people (`/`, kept up to date by `/events`) and for programs (`/api/status`). All that the page shows
 * is made here, of escaped text alone; its one script moves it into place, and its policy allows no other.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import type { LaneStatus } from "../../services/Delivery.ts"
import type { BookStatus, ExchangeStatus } from "../../services/FeedStatus.ts"
import { messageOf } from "../../services/Health.ts"
import type { Account } from "../../services/Ledger.ts"
import * as Time from "../../services/Time.ts"
import type { Sources } from "./Monitor.ts"
import * as History from "./StatusPage/History.ts"
import * as Page from "./StatusPage/Page.ts"
import type { Book, Events, Exchange, Lane, Report } from "./StatusPage/Report.ts"
import { script } from "./StatusPage/Script.ts"
import { style } from "./StatusPage/Style.ts"

export type { Series } from "./StatusPage/History.ts"
export type { Book, Events, Exchange, Lane, Report } from "./StatusPage/Report.ts"
export { books } from "./StatusPage/Words.ts"

/** `history`: of the last half hour, as `keepHistory` gives it. */
export const report = (
  sources: Sources,
  history: Effect.Effect<History.Series> = Effect.succeed(History.none)
): Effect.Effect<Report> =>
  Effect.gen(function*() {
    const sink = yield* sources.sink
    const accounts = sources.ledger.accounts()
    const now = yield* Time.now
    return {
      name: "effect-exchange-feeds",
      version: sources.version,
      timestamp: Time.iso(yield* Time.wall),
      health: yield* sources.health.answer,
      exchanges: sources.status.exchanges().map((status) => exchangeOf(status, accounts, now)),
      recovered: accounts.filter(({ origin }) => origin === "recovered").map(eventsOf),
      lanes: (sink?.lanes ?? []).map(laneOf),
      queue: sink?.usage ?? null,
      breakers: (yield* sources.breakers.snapshots).map(({ name, retryAt, state }) => ({
        name,
        state,
        retryAt: iso(retryAt)
      })),
      history: yield* history
    }
  })

/** Looks at the collector every ten seconds until the scope ends; gives what the charts are made of. */
export const keepHistory = Effect.fnUntraced(function*(
  sources: Sources
): Effect.fn.Return<Effect.Effect<History.Series>, never, Scope.Scope> {
  const history = History.make()
  const sample = Effect.gen(function*() {
    const sink = yield* sources.sink
    const accounts = sources.ledger.accounts()
    history.sample({
      // What an earlier life left was received by that one.
      received: sum(accounts.filter(({ origin }) => origin === "live").map(({ received }) => received)),
      delivered: sum(accounts.map(({ delivered }) => delivered)),
      queued: sum((sink?.lanes ?? []).map(({ queue }) => queue.records)),
      queuedBytes: sink?.usage.bytes ?? 0,
      openHoles: sum(sources.status.exchanges().map(({ gaps }) => gaps.open))
    }, yield* Time.now)
  })
  yield* Effect.forkScoped(Effect.repeat(sample, Schedule.spaced(Duration.millis(History.every))))
  return Effect.sync(history.series)
})

/** The page as HTML. */
export const render = (self: Report): string => Page.render(self)

/** What of the page changes: a server-sent event. */
export const event = (self: Report): string => `data: ${JSON.stringify(Page.body(self))}\n\n`

const hashOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** Of all answers. Of the page's own style and script only the hashes are allowed. */
export const contentSecurityPolicy: string = [
  "default-src 'none'",
  `style-src ${hashOf(style)}`,
  `script-src ${hashOf(script)}`,
  "connect-src 'self'",
  // The empty icon, so that browsers do not ask for one.
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

// internal

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((all, one) => all + one, 0)

const iso = (time: Time.WallTime | null): string | null => time === null ? null : Time.iso(time)

/** Epoch ms, as the records of a queue and the trades of a market have it. */
const isoOf = (millis: number | null): string | null => iso(millis === null ? null : Time.wallTime(millis))

/** What others say is cut, and rid of credentials. */
const line = (text: string | null): string | null => text === null ? null : messageOf(text)

const eventsOf = (account: Account): Events => ({
  channel: account.channel,
  received: account.received,
  delivered: account.delivered,
  queued: account.queued,
  inFlight: account.inFlight,
  dropped: Object.fromEntries(account.dropped),
  deadLettered: Object.fromEntries(account.deadLettered),
  filtered: Object.fromEntries(account.filtered)
})

const bookOf = ({ at, bestAsk, bestBid, state }: BookStatus, now: Time.Instant): Book => ({
  state,
  bestBid,
  bestAsk,
  at: iso(at?.wall ?? null),
  ageMs: at === null ? null : Math.max(0, Math.round(Time.between(at.at, now)))
})

const exchangeOf = (status: ExchangeStatus, accounts: ReadonlyArray<Account>, now: Time.Instant): Exchange => ({
  exchange: status.exchange,
  api: { checkedAt: iso(status.api.checkedAt), ok: status.api.ok, message: line(status.api.message) },
  connections: Array.from(status.connections, ([id, { lastFrameAt, state, subscriptions }]) => ({
    id,
    state,
    subscriptions,
    lastFrameAt: iso(lastFrameAt?.wall ?? null)
  })),
  polling: status.polling,
  listed: status.listed ?? 0,
  leftOut: status.leftOut,
  lastFrameAt: iso(status.lastFrameAt?.wall ?? null),
  lastDataAt: iso(status.lastDataAt?.wall ?? null),
  dials: status.dials,
  reconnects: status.reconnects,
  lastError: line(status.lastError),
  decodeFailures: Object.fromEntries(status.decodeFailures),
  gaps: status.gaps,
  openHoles: status.openHoles(),
  stale: Object.fromEntries(status.stale),
  events: accounts
    .filter(({ exchange, origin }) => origin === "live" && exchange === status.exchange)
    .map(eventsOf),
  markets: Array.from(status.markets.values(), ({ book, lastAt, lastPrice, stale, subscription, symbol, trades }) => ({
    symbol,
    trades,
    lastPrice,
    lastAt: isoOf(lastAt),
    subscription,
    stale,
    book: book === undefined ? null : bookOf(book, now)
  })),
  books: status.books
})

const laneOf = (lane: LaneStatus): Lane => ({
  topic: lane.topic,
  mode: lane.mode,
  waitingRecords: lane.waitingRecords,
  sending: lane.sending,
  queued: lane.queue.records,
  queuedBytes: lane.queue.bytes,
  queueState: lane.queue.state,
  oldest: isoOf(lane.queue.oldest),
  ackedAt: iso(lane.kafka.ackedAt?.wall ?? null),
  message: line(lane.kafka.message)
})
