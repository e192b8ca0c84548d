/**
 * What the collector does, for people (`/`) and for programs (`/api/status`). The page is made here, of escaped text alone: it
 * has no script, and its policy allows none.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import type { ExchangeStatus } from "../services/FeedStatus.ts"
import { messageOf } from "../services/Health.ts"
import type { LaneStatus } from "../services/KafkaSink.ts"
import type { Account } from "../services/Ledger.ts"
import type { Sources } from "./Monitor.ts"
import * as Page from "./StatusPage/Page.ts"
import type { Events, Exchange, Lane, Report } from "./StatusPage/Report.ts"

export type { Events, Exchange, Lane, Report } from "./StatusPage/Report.ts"

export const report = (sources: Sources): Effect.Effect<Report> =>
  Effect.gen(function*() {
    const sink = yield* sources.sink
    const accounts = sources.ledger.accounts()
    return {
      name: "effect-exchange-feeds",
      version: sources.version,
      timestamp: isoOf(yield* Clock.currentTimeMillis),
      health: yield* sources.health.answer,
      exchanges: sources.status.exchanges().map((status) => exchangeOf(status, accounts)),
      recovered: accounts.filter(({ origin }) => origin === "recovered").map(eventsOf),
      lanes: (sink?.lanes ?? []).map(laneOf),
      queue: sink?.usage ?? null,
      breakers: (yield* sources.breakers.snapshots).map(({ name, retryAt, state }) => ({
        name,
        state,
        retryAt: iso(retryAt)
      }))
    }
  })

/** The page as HTML. */
export const render = (self: Report): string => Page.render(self)

/** Of all answers. Of the page's own style only the hash is allowed. */
export const contentSecurityPolicy: string = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(Page.style).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

// internal

const isoOf = (millis: number): string => new Date(millis).toISOString()

const iso = (millis: number | null): string | null => millis === null ? null : isoOf(millis)

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

const exchangeOf = (status: ExchangeStatus, accounts: ReadonlyArray<Account>): Exchange => ({
  exchange: status.exchange,
  api: { checkedAt: iso(status.api.checkedAt), ok: status.api.ok, message: line(status.api.message) },
  connections: Array.from(status.connections, ([id, { lastFrameAt, state, subscriptions }]) => ({
    id,
    state,
    subscriptions,
    lastFrameAt: iso(lastFrameAt)
  })),
  listed: status.listed,
  lastFrameAt: iso(status.lastFrameAt),
  lastDataAt: iso(status.lastDataAt),
  dials: status.dials,
  reconnects: status.reconnects,
  lastError: line(status.lastError),
  decodeFailures: Object.fromEntries(status.decodeFailures),
  gaps: status.gaps,
  stale: Object.fromEntries(status.stale),
  events: accounts
    .filter(({ exchange, origin }) => origin === "live" && exchange === status.exchange)
    .map(eventsOf),
  markets: Array.from(status.markets.values(), ({ lastAt, lastPrice, subscription, symbol, trades }) => ({
    symbol,
    trades,
    lastPrice,
    lastAt: iso(lastAt),
    subscription
  }))
})

const laneOf = (lane: LaneStatus): Lane => ({
  topic: lane.topic,
  mode: lane.mode,
  waitingRecords: lane.waitingRecords,
  sending: lane.sending,
  queued: lane.queue.records,
  queuedBytes: lane.queue.bytes,
  queueState: lane.queue.state,
  oldest: iso(lane.queue.oldest),
  ackedAt: iso(lane.kafka.ackedAt),
  message: line(lane.kafka.message)
})
