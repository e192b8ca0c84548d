/**
 * What is known of the program's parts, as families: plain functions (docs/metrics.md, docs/design/delivery.md "The ledger"). Series of
 * closed sets are there from the start with 0, so that `rate()` sees the first event.
 */
import type { Snapshot } from "../CircuitBreaker.ts"
import type { LaneStatus } from "../Delivery.ts"
import {
  bookGapCauses,
  bookResyncActions,
  decodeReasons,
  type ExchangeStatus,
  type MarketStatus
} from "../FeedStatus.ts"
import type { Answer } from "../Health.ts"
import { type Account, reasons } from "../Ledger.ts"
import { between, epochMillis, type Instant, type Moment, type WallTime, wallTime } from "../Time.ts"
import { counter, type Family, gauge, type Labels, type Sample, stateSet } from "./Family.ts"

/** Prometheus counts epoch seconds by the wall clock. */
const seconds = (time: WallTime | null): number => time === null ? 0 : epochMillis(time) / 1000

// The ledger

/** Records inherited from an earlier life have no exchange: Prometheus takes an empty label for an absent one. */
const labelsOf = ({ channel, exchange, origin }: Account): Labels =>
  origin === "recovered" ? { channel, origin } : { exchange, channel }

const unused = (exchange: string, channel: Account["channel"], origin: Account["origin"]): Account => ({
  exchange,
  channel,
  origin,
  received: 0,
  inFlight: 0,
  queued: 0,
  delivered: 0,
  dropped: new Map(),
  deadLettered: new Map(),
  filtered: new Map()
})

/**
 * The ledger's counts. With zeros for what has not been used yet of the exchanges and channels given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ledgerFamilies = (
  accounts: ReadonlyArray<Account>,
  exchanges: ReadonlyArray<string>,
  channels: ReadonlyArray<Account["channel"]>
): ReadonlyArray<Family> => {
  const used = new Set(accounts.map(({ channel, exchange, origin }) => `${origin}:${channel}:${exchange}`))
  const all = [
    ...accounts,
    ...channels.flatMap((channel) => [
      ...exchanges.map((exchange) => unused(exchange, channel, "live")),
      unused("", channel, "recovered")
    ]).filter(({ channel, exchange, origin }) => !used.has(`${origin}:${channel}:${exchange}`))
  ]
  const plain = (pick: (account: Account) => number) =>
    all.map((account): Sample => ({ labels: labelsOf(account), value: pick(account) }))
  const byReason = (place: keyof typeof reasons) =>
    all.flatMap((account) =>
      Array.from(
        new Set<string>([...reasons[place], ...account[place].keys()]),
        (reason): Sample => ({ labels: { ...labelsOf(account), reason }, value: account[place].get(reason) ?? 0 })
      )
    )
  return [
    counter(
      "feeds_events_received_total",
      "Trades and books decoded, whatever their source, counted once; of origin recovered: found in the queue at start.",
      plain(({ received }) => received)
    ),
    counter("feeds_events_delivered_total", "Events acknowledged by Kafka.", plain(({ delivered }) => delivered)),
    gauge("feeds_events_queued", "Events in the queue on disk.", plain(({ queued }) => queued)),
    gauge("feeds_events_in_flight", "Events on their way to Kafka or to the disk.", plain(({ inFlight }) => inFlight)),
    counter("feeds_events_dropped_total", "Events lost, by reason.", byReason("dropped")),
    counter(
      "feeds_events_dead_lettered_total",
      "Events that Kafka will never take, by reason.",
      byReason("deadLettered")
    ),
    counter("feeds_events_filtered_total", "Events left out on purpose, by reason.", byReason("filtered"))
  ]
}

// Breakers

const breakerStates = ["closed", "open", "half_open"]

/**
 * State, transitions and calls of breakers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const breakerFamilies = (breakers: ReadonlyArray<Snapshot>): ReadonlyArray<Family> => [
  gauge(
    "feeds_circuit_breaker_state",
    "1 for the state that a circuit breaker is in.",
    breakers.flatMap(({ name, state }) => stateSet({ name }, "state", breakerStates, state))
  ),
  counter(
    "feeds_circuit_breaker_transitions_total",
    "Transitions of circuit breakers.",
    breakers.flatMap(({ name, transitions }) =>
      transitions.map(({ count, from, to }): Sample => ({ labels: { name, from, to }, value: count }))
    )
  ),
  counter(
    "feeds_circuit_breaker_calls_total",
    "Calls through circuit breakers, by outcome; stale ones ended after the state had changed.",
    breakers.flatMap(({ calls, name }) =>
      Object.entries(calls).map(([outcome, value]): Sample => ({ labels: { name, outcome }, value }))
    )
  )
]

// Feeds

const connectionStates = ["connecting", "open", "backoff"] as const

/** Of each market that is shown, for as long as it is: there may be thousands, and each stands in several families. */
const marketLabels = new WeakMap<MarketStatus, Labels>()

const labelsOfMarket = (exchange: string, status: MarketStatus): Labels => {
  const known = marketLabels.get(status)
  if (known !== undefined && known["exchange"] === exchange && known["market"] === status.symbol) return known
  const labels = Object.freeze({ exchange, market: status.symbol })
  marketLabels.set(status, labels)
  return labels
}

/**
 * Connections, markets, holes and failures of feeds; ages are in seconds up to `now`, NaN where nothing has come yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const feedFamilies = (feeds: ReadonlyArray<ExchangeStatus>, now: Instant): ReadonlyArray<Family> => {
  const ages = (pick: (feed: ExchangeStatus) => Moment | null) =>
    feeds.map((feed): Sample => {
      const moment = pick(feed)
      const value = moment === null ? Number.NaN : Math.max(0, between(moment.at, now)) / 1000
      return { labels: { exchange: feed.exchange }, value }
    })
  const each = (pick: (feed: ExchangeStatus) => number) =>
    feeds.map((feed): Sample => ({ labels: { exchange: feed.exchange }, value: pick(feed) }))
  const markets = (pick: (market: MarketStatus) => number) =>
    feeds.flatMap(({ exchange, markets }) =>
      Array.from(markets.values(), (one): Sample => ({ labels: labelsOfMarket(exchange, one), value: pick(one) }))
    )
  return [
    gauge(
      "feeds_connections",
      "WebSocket connections, by state.",
      feeds.flatMap(({ connections, exchange }) =>
        connectionStates.map((state): Sample => ({
          labels: { exchange, state },
          value: Array.from(connections.values()).filter((one) => one.state === state).length
        }))
      )
    ),
    gauge(
      "feeds_subscriptions",
      "Subscriptions of the connections, by state.",
      feeds.flatMap(({ connections, exchange }) =>
        (["requested", "active", "rejected"] as const).map((state): Sample => ({
          labels: { exchange, state },
          value: Array.from(connections.values()).reduce((sum, { subscriptions }) => sum + subscriptions[state], 0)
        }))
      )
    ),
    counter("feeds_connection_attempts_total", "Dials.", each(({ dials }) => dials)),
    counter("feeds_reconnects_total", "Dials after a session that had ended.", each(({ reconnects }) => reconnects)),
    counter(
      "feeds_decode_failures_total",
      "Frames that could not be decoded, by reason.",
      feeds.flatMap(({ decodeFailures, exchange }) =>
        Array.from(
          new Set<string>([...decodeReasons, ...decodeFailures.keys()]),
          (reason): Sample => ({ labels: { exchange, reason }, value: decodeFailures.get(reason) ?? 0 })
        )
      )
    ),
    gauge("feeds_gaps_open", "Holes in markets' trades: neither filled nor given up.", each(({ gaps }) => gaps.open)),
    gauge(
      "feeds_gaps_open_oldest_age_seconds",
      "How long the oldest open hole has been known; 0 where none is open.",
      each(({ openHoles }) => openHoles().reduce((oldest, { ageMs }) => Math.max(oldest, ageMs), 0) / 1000)
    ),
    counter(
      "feeds_gaps_total",
      "Holes in markets' trades that are closed: filled whole from the exchange's history, or unfilled, and told so.",
      feeds.flatMap(({ exchange, gaps }) => [
        { labels: { exchange, outcome: "filled" }, value: gaps.filled },
        { labels: { exchange, outcome: "unfilled" }, value: gaps.told }
      ])
    ),
    counter("feeds_backfilled_trades_total", "Trades that histories brought.", each(({ gaps }) => gaps.recovered)),
    counter(
      "feeds_stale_total",
      "Silences longer than a market's usual ones, by what was done about them.",
      feeds.flatMap(({ exchange, stale }) =>
        (["resubscribe", "reconnect"] as const).map((remedy): Sample => ({
          labels: { exchange, remedy },
          value: stale.get(remedy) ?? 0
        }))
      )
    ),
    gauge(
      "feeds_connection_last_frame_timestamp_seconds",
      "When the last frame of any kind came, a ping too: tells quiet from dead. 0 = never.",
      each(({ lastFrameAt }) => seconds(lastFrameAt?.wall ?? null))
    ),
    gauge(
      "feeds_connection_last_frame_age_seconds",
      "How long ago that was, whatever the wall clock did since. NaN = never.",
      ages(({ lastFrameAt }) => lastFrameAt)
    ),
    gauge(
      "feeds_last_event_timestamp_seconds",
      "When the last event was decoded. 0 = never.",
      each(({ lastDataAt }) => seconds(lastDataAt?.wall ?? null))
    ),
    gauge(
      "feeds_last_event_age_seconds",
      "How long ago that was, whatever the wall clock did since. NaN = never.",
      ages(({ lastDataAt }) => lastDataAt)
    ),
    gauge(
      "feeds_markets",
      "Markets: listed = tradable and chosen, live = at least one event has come.",
      feeds.flatMap(({ exchange, listed, markets }) => [
        { labels: { exchange, state: "listed" }, value: listed ?? 0 },
        {
          labels: { exchange, state: "live" },
          value: Array.from(markets.values()).filter(({ lastAt }) => lastAt !== null).length
        }
      ])
    ),
    counter("feeds_market_trades_total", "Trades received, by market.", markets(({ trades }) => trades)),
    gauge(
      "feeds_market_last_event_timestamp_seconds",
      "When the last event of a market was received. 0 = never.",
      markets(({ lastAt }) => seconds(lastAt === null ? null : wallTime(lastAt)))
    ),
    gauge(
      "feeds_market_stale",
      "1 while a market is silent for longer than is usual for it.",
      markets(({ stale }) => stale ? 1 : 0)
    )
  ]
}

// Order books

const bookStates = ["waiting", "live", "doubtful"] as const
const partOutcomes = ["applied", "early", "old"] as const
const auditOutcomes = ["equal", "different", "unproven", "behind"] as const

/**
 * Order books of feeds: their states, how often one became doubtful, what was done about it, what came.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bookFamilies = (feeds: ReadonlyArray<ExchangeStatus>): ReadonlyArray<Family> => {
  const each = (
    label: string,
    closed: ReadonlyArray<string>,
    countsOf: (books: ExchangeStatus["books"]) => Readonly<Record<string, number>>
  ) =>
    feeds.flatMap(({ books, exchange }) => {
      const counts = countsOf(books)
      return Array.from(
        new Set([...closed, ...Object.keys(counts)]),
        (name): Sample => ({ labels: { exchange, [label]: name }, value: counts[name] ?? 0 })
      )
    })
  return [
    gauge(
      "feeds_books",
      "Markets by the state of their order book: waiting for a first picture, live, or doubtful and silent.",
      each("state", bookStates, ({ doubtful, live, waiting }) => ({ waiting, live, doubtful }))
    ),
    counter(
      "feeds_book_gaps_total",
      "Live order books that became doubtful, by cause.",
      each("cause", bookGapCauses, ({ gaps }) => gaps)
    ),
    counter(
      "feeds_book_resyncs_total",
      "Questions for a new picture of an order book, by action.",
      each("action", bookResyncActions, ({ resyncs }) => resyncs)
    ),
    counter(
      "feeds_book_parts_total",
      "Parts of order books that came: applied; early = before there was a picture; old = something newer was known.",
      each("outcome", partOutcomes, ({ parts }) => parts)
    ),
    counter(
      "feeds_book_audits_total",
      "Order books compared with pictures of another way: equal, different (they become doubtful), unproven, or behind.",
      each("outcome", auditOutcomes, ({ audits }) => audits)
    )
  ]
}

// Lanes and their queues

/**
 * What waits in lanes and in their queues on disk. `usage`: bytes of all queues together, and what they may be.
 *
 * @since 0.1.0
 * @category constructors
 */
export const queueFamilies = (
  lanes: ReadonlyArray<LaneStatus>,
  usage: { readonly bytes: number; readonly maxBytes: number }
): ReadonlyArray<Family> => {
  const each = (pick: (lane: LaneStatus) => number) =>
    lanes.map((lane): Sample => ({ labels: { topic: lane.topic }, value: pick(lane) }))
  return [
    gauge("feeds_queue_messages", "Records in the queue on disk.", each(({ queue }) => queue.records)),
    gauge("feeds_queue_bytes", "Bytes of the queue on disk.", each(({ queue }) => queue.bytes)),
    gauge("feeds_queue_segments", "Files of the queue on disk.", each(({ queue }) => queue.segments)),
    gauge(
      "feeds_queue_oldest_message_age_seconds",
      "Age of the oldest record in the queue; 0 when it is empty.",
      each(({ queue }) => queue.oldestAge / 1000)
    ),
    gauge(
      "feeds_queue_state",
      "1 for the state that a queue is in.",
      lanes.flatMap(({ queue, topic }) => stateSet({ topic }, "state", ["ok", "full", "failed"], queue.state))
    ),
    gauge("feeds_queue_capacity_bytes", "Bytes that all queues together may take.", [
      { labels: {}, value: usage.maxBytes }
    ]),
    gauge("feeds_queue_used_bytes", "Bytes that count against the capacity.", [{ labels: {}, value: usage.bytes }]),
    gauge(
      "feeds_lane_mode",
      "1 for the way that records take: straight to Kafka, into the queue, or out of it.",
      lanes.flatMap(({ mode, topic }) => stateSet({ topic }, "mode", ["straight", "spooling", "draining"], mode))
    ),
    gauge("feeds_lane_waiting_messages", "Records in memory, not sent yet.", each((lane) => lane.waitingRecords)),
    gauge("feeds_lane_waiting_bytes", "Bytes of records in memory, not sent yet.", each((lane) => lane.waitingBytes)),
    gauge(
      "feeds_kafka_inflight_messages",
      "Records of the send that is not answered yet.",
      each((lane) => lane.sending)
    ),
    gauge(
      "feeds_kafka_last_ack_timestamp_seconds",
      "When Kafka last acknowledged a send. 0 = never.",
      each(({ kafka }) => seconds(kafka.ackedAt?.wall ?? null))
    )
  ]
}

// Health, build

const checkStatuses = ["healthy", "degraded", "unhealthy", "starting"]

/**
 * The same as `/health`, to be alerted on.
 *
 * @since 0.1.0
 * @category constructors
 */
export const healthFamilies = ({ checks, status }: Answer): ReadonlyArray<Family> => [
  gauge(
    "feeds_health_status",
    "1 for the status of the whole.",
    stateSet({}, "status", [...checkStatuses, "draining"], status)
  ),
  gauge(
    "feeds_health_check_status",
    "1 for the status of a check.",
    Object.entries(checks).flatMap(([check, one]) => stateSet({ check }, "status", checkStatuses, one.status))
  ),
  gauge(
    "feeds_data_dir_free_bytes",
    "Bytes that are free where DATA_DIR is, when the disk was last checked.",
    Object.values(checks).flatMap(({ free_bytes }) =>
      free_bytes === undefined ? [] : [{ labels: {}, value: free_bytes }]
    )
  )
]

/**
 * `feeds_build_info`: 1, with the versions of the program and of Node as labels.
 *
 * @since 0.1.0
 * @category constructors
 */
export const buildFamily = (labels: { readonly version: string; readonly node: string }): Family =>
  gauge("feeds_build_info", "What runs.", [{ labels, value: 1 }])
