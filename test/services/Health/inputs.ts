/** Inputs of health in which all is fine, to be spoilt by the tests. */
import type { Snapshot } from "../../../src/services/CircuitBreaker.ts"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import type { DiskResult, Inputs, Result, SinkReport } from "../../../src/services/Health/Model.ts"
import * as Time from "../../../src/services/Time.ts"

/** 2026-06-11T12:00:00Z, an hour after the start. */
export const now: Time.Moment = {
  at: Time.instant(5_000_000),
  wall: Time.wallTime(Date.parse("2026-06-11T12:00:00Z"))
}

export const ago = (ms: number): Time.Moment => ({ at: Time.plus(now.at, -ms), wall: Time.wallAfter(now, -ms) })

export const ok: Result = {
  checkedAt: ago(5_000).wall,
  at: ago(5_000).at,
  durationMs: 15,
  outcome: "ok",
  message: null
}

export const failed = (message: string): Result => ({ ...ok, outcome: "failed", message })

export const diskOk: DiskResult = { ...ok, durationMs: 1, freeBytes: 50_000_000_000, code: null }

export const exchange = (
  name: string,
  over: Partial<FeedStatus.ExchangeStatus> = {}
): FeedStatus.ExchangeStatus => ({
  ...FeedStatus.empty(name),
  api: { at: ago(2_000).at, checkedAt: ago(2_000).wall, ok: true, durationMs: 84, message: null },
  connections: new Map([
    [0, { state: "open", subscriptions: { requested: 2, active: 2, rejected: 0 }, lastFrameAt: ago(100) }]
  ]),
  listed: 2,
  markets: new Map([
    ["BTC/IRT", {
      symbol: "BTC/IRT",
      trades: 7,
      lastPrice: "11379465211",
      lastAt: Time.epochMillis(ago(900).wall),
      subscription: null,
      stale: false
    }],
    ["ETH/IRT", { symbol: "ETH/IRT", trades: 0, lastPrice: null, lastAt: null, subscription: null, stale: false }]
  ]),
  lastFrameAt: ago(100),
  lastDataAt: ago(900),
  dials: 3,
  reconnects: 2,
  decodeFailures: new Map([["json", 1]]),
  ...over
})

/** Has not been heard of since the start. */
export const silent = (name: string): FeedStatus.ExchangeStatus => FeedStatus.empty(name)

/** Answers, and none of its markets is chosen: so it is with a share of few. */
export const idle = (name: string): FeedStatus.ExchangeStatus => ({ ...exchange(name), ...silentParts, listed: 0 })

const silentParts = { connections: new Map(), markets: new Map(), lastFrameAt: null, lastDataAt: null }

export const breaker = (name: string, group: Snapshot["group"], over: Partial<Snapshot> = {}): Snapshot => ({
  name,
  group,
  state: "closed",
  retryAt: null,
  calls: { success: 3, failure: 0, ignored: 0, rejected: 0, stale: 0 },
  transitions: [
    { from: "closed", to: "open", count: 0 },
    { from: "open", to: "half_open", count: 0 },
    { from: "half_open", to: "open", count: 0 },
    { from: "half_open", to: "closed", count: 0 }
  ],
  ...over
})

type Lane = Required<SinkReport["lanes"][number]>

export const lane = (over: Partial<Lane> = {}): Lane => ({
  topic: "marketdata.trade.v1",
  kafka: { ackedAt: ago(8_000), failedAt: null, message: null },
  disk: { failedAt: null, message: null },
  awaited: null,
  refusedAt: null,
  queue: {
    records: 0,
    bytes: 0,
    segments: 1,
    nextSeq: 1,
    ackedTo: 1,
    durableAckedTo: 1,
    recovered: 0,
    state: "ok",
    oldest: null,
    oldestAge: 0
  },
  ...over
})

export const sink = (over: Partial<Lane> = {}, bytes = 0): SinkReport => ({
  lanes: [lane({ topic: "marketdata.status.v1" }), lane(over)],
  usage: { bytes, maxBytes: 1000 }
})

export const fine = (over: Partial<Inputs> = {}): Inputs => ({
  draining: false,
  uptime: 3_600_000,
  startupGrace: 60_000,
  period: 10_000,
  kafka: ok,
  disk: diskOk,
  exchanges: [exchange("bitpin"), exchange("wallex")],
  breakers: [
    breaker("bitpin_api", "api"),
    breaker("wallex_api", "api"),
    breaker("bitpin_ws", "ws"),
    breaker("kafka_trade", "kafka")
  ],
  sink: sink(),
  ...over
})
