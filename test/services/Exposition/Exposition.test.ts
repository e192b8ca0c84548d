import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Metric, Scope } from "effect"
import { execFileSync } from "node:child_process"
import type { Snapshot } from "../../../src/services/CircuitBreaker.ts"
import type { LaneStatus } from "../../../src/services/Delivery.ts"
import * as Exposition from "../../../src/services/Exposition.ts"
import { decodeReasons, type OpenHole } from "../../../src/services/FeedStatus.ts"
import { evaluate } from "../../../src/services/Health/Evaluate.ts"
import * as Instruments from "../../../src/services/Instruments.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import { ProducerUnavailable } from "../../../src/services/Producer.ts"
import * as Time from "../../../src/services/Time.ts"
import { ago, breaker, exchange, fine, lane, now } from "../Health/inputs.ts"

const bodyOf = (families: ReadonlyArray<Exposition.Family>, accept?: string) =>
  Effect.gen(function*() {
    const metrics = yield* Exposition.make
    yield* metrics.register(Effect.succeed(families))
    return (yield* metrics.expose(accept)).body
  })

/** Of all series of markets, each set of labels once. */
const marketLabelsIn = (families: ReadonlyArray<Exposition.Family>): ReadonlySet<Exposition.Labels> =>
  new Set(
    families.flatMap((family) => family.samples.map(({ labels }) => labels)).filter((labels) => "market" in labels)
  )

const laneStatus = (over: Partial<LaneStatus> = {}): LaneStatus => ({
  ...lane(),
  name: "trade",
  mode: "straight",
  waitingRecords: 0,
  waitingBytes: 0,
  sending: 0,
  ...over
})

const hole = (ageMs: number): OpenHole => ({
  symbol: "BTC/IRT",
  cause: "disconnected",
  from: null,
  to: null,
  gapId: null,
  recovered: 0,
  published: false,
  waiting: 0,
  ageMs,
  awaits: "its history: asked now"
})

/** A program that has seen a bit of everything. */
const everything = (): ReadonlyArray<Exposition.Family> => {
  const ledger = Ledger.make()
  ledger.received({ lane: "trade", exchange: "bitpin" }, 10)
  ledger.move({ lane: "trade", exchange: "bitpin" }, "in_flight", "delivered", 6)
  ledger.move({ lane: "trade", exchange: "bitpin" }, "in_flight", "filtered", 2, "duplicate")
  ledger.inherited("trade", 5)
  return [
    ...Exposition.ledgerFamilies(ledger.accounts(), ["bitpin", "wallex"], ["trades"]),
    ...Exposition.breakerFamilies([
      breaker("bitpin_api", "api"),
      breaker("kafka_trade", "kafka", { state: "half_open" })
    ]),
    ...Exposition.feedFamilies([
      exchange("bitpin", { openHoles: () => [hole(12_345), hole(1_000)] }),
      exchange("wallex", { markets: new Map() })
    ], now.at),
    ...Exposition.bookFamilies([exchange("bitpin")]),
    ...Exposition.queueFamilies([laneStatus()], { bytes: 1, maxBytes: 2 }),
    ...Exposition.healthFamilies(evaluate(fine(), now)),
    Exposition.buildFamily({ version: "0.1.0", node: "v20.20.2" })
  ]
}

/** Where instruments are written if nobody says otherwise: Effect's registry. */
const process = Context.get(Context.empty(), Instruments.Instruments)

/** Of Debian's package `prometheus`. */
const promtool = (input: string): string => {
  try {
    return execFileSync("promtool", ["check", "metrics"], { input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] })
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      throw new Error("promtool is missing: apt-get install -y prometheus", { cause: error })
    }
    throw error
  }
}

const series = (text: string, name: string) =>
  text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))

describe("the text", () => {
  it.scoped("promtool finds nothing to say about it", () =>
    Effect.gen(function*() {
      Instruments.lag(process, { exchange: "bitpin", stage: "exchange_to_receive", path: "live" }).observe(12)
      Instruments.kafkaSend(process, "marketdata.trade.v1").observe(3)
      const body = yield* bodyOf(everything())
      assert.include(body, "feeds_kafka_send_duration_seconds_bucket")
      assert.include(body, "effect_fibers_started_total")
      assert.strictEqual(promtool(body), "")
      // And would, were there anything.
      assert.throws(() => promtool(`${body}# TYPE feeds_x counter\nfeeds_x 1\n`))
    }))

  it("labels of a market are made once, for all of its families and all scrapes", () => {
    const feeds = [exchange("bitpin"), exchange("wallex")]
    const first = marketLabelsIn(Exposition.feedFamilies(feeds, now.at))
    assert.strictEqual(first.size, 4)
    for (const labels of first) assert.isTrue(Object.isFrozen(labels))
    const again = marketLabelsIn(Exposition.feedFamilies(feeds, now.at))
    assert.strictEqual(new Set([...first, ...again]).size, 4)
  })

  it.scoped("every series is there once", () =>
    Effect.gen(function*() {
      for (const accept of [undefined, "application/openmetrics-text"]) {
        const lines = (yield* bodyOf(everything(), accept)).split("\n").filter((line) => !line.startsWith("#"))
        const names = lines.map((line) => line.slice(0, line.lastIndexOf(" ")))
        assert.strictEqual(new Set(names).size, names.length)
      }
    }))
})

describe("collectors", () => {
  it.effect("are asked at each scrape until their scope ends, and those of another program never", () =>
    Effect.gen(function*() {
      const metrics = yield* Exposition.make
      const other = yield* Exposition.make
      const scope = yield* Scope.make()
      let asked = 0
      yield* metrics.register(Effect.sync(() => {
        asked += 1
        return [Exposition.buildFamily({ version: String(asked), node: "" })]
      })).pipe(Scope.extend(scope))
      assert.include((yield* metrics.expose(undefined)).body, "feeds_build_info{version=\"1\"} 1")
      assert.include((yield* metrics.expose(undefined)).body, "feeds_build_info{version=\"2\"} 1")
      assert.notInclude((yield* other.expose(undefined)).body, "feeds_build_info")
      yield* Scope.close(scope, Exit.void)
      assert.notInclude((yield* metrics.expose(undefined)).body, "feeds_build_info")
      assert.strictEqual(asked, 2)
    }))
})

describe("the ledger", () => {
  it.scoped("its law can be checked from the text alone, recovered records apart (docs/design/delivery.md 'The ledger')", () =>
    Effect.gen(function*() {
      const body = yield* bodyOf(everything())
      const sum = (name: string, filter: string) =>
        series(body, `feeds_events_${name}`).filter((line) => line.includes(filter))
          .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0)
      const places = [
        "delivered_total",
        "queued",
        "dropped_total",
        "dead_lettered_total",
        "filtered_total",
        "in_flight"
      ]
      for (
        const [filter, received] of [["exchange=\"bitpin\"", 10], ["origin=\"recovered\"", 5], ["wallex", 0]] as const
      ) {
        assert.strictEqual(sum("received_total", filter), received)
        assert.strictEqual(places.reduce((total, name) => total + sum(name, filter), 0), received)
      }
      assert.strictEqual(sum("in_flight", "bitpin"), 2)
    }))

  it.scoped("series of exchanges that have done nothing are there with 0", () =>
    Effect.gen(function*() {
      const body = yield* bodyOf(Exposition.ledgerFamilies([], ["wallex"], ["trades", "books"]))
      assert.include(body, "feeds_events_received_total{channel=\"books\",exchange=\"wallex\"} 0\n")
      assert.include(body, "feeds_events_dropped_total{channel=\"trades\",exchange=\"wallex\",reason=\"full\"} 0\n")
      assert.include(body, "feeds_events_queued{channel=\"trades\",origin=\"recovered\"} 0\n")
    }))
})

describe("the other parts", () => {
  it.scoped("a breaker is in one state, and its transitions and calls are counted", () =>
    Effect.gen(function*() {
      const one: Snapshot = breaker("kafka_trade", "kafka", {
        state: "open",
        calls: { success: 1, failure: 2, ignored: 3, rejected: 4, stale: 5 },
        transitions: [{ from: "closed", to: "open", count: 7 }]
      })
      const body = yield* bodyOf(Exposition.breakerFamilies([one]))
      assert.deepStrictEqual(series(body, "feeds_circuit_breaker_state"), [
        "feeds_circuit_breaker_state{name=\"kafka_trade\",state=\"closed\"} 0",
        "feeds_circuit_breaker_state{name=\"kafka_trade\",state=\"open\"} 1",
        "feeds_circuit_breaker_state{name=\"kafka_trade\",state=\"half_open\"} 0"
      ])
      assert.include(
        body,
        "feeds_circuit_breaker_transitions_total{from=\"closed\",name=\"kafka_trade\",to=\"open\"} 7\n"
      )
      assert.include(body, "feeds_circuit_breaker_calls_total{name=\"kafka_trade\",outcome=\"rejected\"} 4\n")
    }))

  it.scoped("feeds", () =>
    Effect.gen(function*() {
      const body = yield* bodyOf(Exposition.feedFamilies([exchange("bitpin")], now.at))
      for (
        const line of [
          "feeds_connections{exchange=\"bitpin\",state=\"open\"} 1",
          "feeds_connections{exchange=\"bitpin\",state=\"backoff\"} 0",
          "feeds_subscriptions{exchange=\"bitpin\",state=\"active\"} 2",
          "feeds_connection_attempts_total{exchange=\"bitpin\"} 3",
          "feeds_reconnects_total{exchange=\"bitpin\"} 2",
          "feeds_decode_failures_total{exchange=\"bitpin\",reason=\"json\"} 1",
          "feeds_decode_failures_total{exchange=\"bitpin\",reason=\"schema\"} 0",
          `feeds_connection_last_frame_timestamp_seconds{exchange="bitpin"} ${Time.epochMillis(ago(100).wall) / 1000}`,
          "feeds_connection_last_frame_age_seconds{exchange=\"bitpin\"} 0.1",
          "feeds_last_event_age_seconds{exchange=\"bitpin\"} 0.9",
          "feeds_markets{exchange=\"bitpin\",state=\"listed\"} 2",
          "feeds_markets{exchange=\"bitpin\",state=\"live\"} 1",
          "feeds_market_trades_total{exchange=\"bitpin\",market=\"BTC/IRT\"} 7"
        ]
      ) {
        assert.include(body, `${line}\n`)
      }
    }))

  it.scoped("order books: states, causes, actions and outcomes are there from the start; one that no set has too", () =>
    Effect.gen(function*() {
      const books = {
        waiting: 1,
        live: 2,
        doubtful: 3,
        pictures: { perMinute: null, tookMs: null },
        gaps: { crossed: 4, other: 5 },
        resyncs: { resubscribe: 6 },
        parts: { applied: 7, early: 8, old: 9 },
        audits: { equal: 10, different: 11, unproven: 12, behind: 13 }
      }
      const body = yield* bodyOf(Exposition.bookFamilies([exchange("bitpin", { books })]))
      const values = (name: string, label: string) =>
        series(body, name).map((line) =>
          new RegExp(`exchange="bitpin",${label}="(\\w+)"} (.*)$|${label}="(\\w+)".* (.*)$`).exec(line)
        )
          .map((found) => [found?.[1] ?? found?.[3], Number(found?.[2] ?? found?.[4])])
      assert.deepStrictEqual(values("feeds_books", "state"), [["waiting", 1], ["live", 2], ["doubtful", 3]])
      assert.deepStrictEqual(values("feeds_book_gaps_total", "cause"), [
        ["sequence", 0],
        ["checksum", 0],
        ["crossed", 4],
        ["disconnected", 0],
        ["overflow", 0],
        ["other", 5]
      ])
      assert.deepStrictEqual(values("feeds_book_resyncs_total", "action"), [
        ["snapshot", 0],
        ["resubscribe", 6],
        ["redial", 0]
      ])
      assert.deepStrictEqual(values("feeds_book_parts_total", "outcome"), [["applied", 7], ["early", 8], ["old", 9]])
      assert.deepStrictEqual(values("feeds_book_audits_total", "outcome"), [
        ["equal", 10],
        ["different", 11],
        ["unproven", 12],
        ["behind", 13]
      ])
    }))

  it.scoped("each reason of a closed set has its series from the start; other is for what no set has", () =>
    Effect.gen(function*() {
      const body = yield* bodyOf(everything())
      for (const reason of decodeReasons) {
        assert.include(body, `feeds_decode_failures_total{exchange="wallex",reason="${reason}"} `)
      }
      for (const reason of Ledger.reasons.filtered) {
        assert.include(body, `feeds_events_filtered_total{channel="trades",exchange="wallex",reason="${reason}"} `)
      }
      const reasons = ProducerUnavailable.fields.reason.literals
      const failed = Instruments.kafkaFailures(process, "closed-set", reasons)
      for (const reason of [...reasons, "new"]) failed(reason).add(1)
      const { body: counted } = yield* (yield* Exposition.make).expose(undefined)
      assert.sameMembers(
        series(counted, "feeds_kafka_delivery_failures_total").filter((line) => line.includes("closed-set")),
        [...reasons, "other"].map((reason) =>
          `feeds_kafka_delivery_failures_total{reason="${reason}",topic="closed-set"} 1`
        )
      )
    }))

  it.scoped("the age of the oldest open hole, 0 where none is open", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(series(yield* bodyOf(everything()), "feeds_gaps_open_oldest_age_seconds"), [
        "feeds_gaps_open_oldest_age_seconds{exchange=\"bitpin\"} 12.345",
        "feeds_gaps_open_oldest_age_seconds{exchange=\"wallex\"} 0"
      ])
    }))

  it.scoped("queues", () =>
    Effect.gen(function*() {
      const one = laneStatus({
        mode: "draining",
        queue: { ...lane().queue, records: 4, bytes: 400, oldest: 0, oldestAge: 2_500, state: "full" }
      })
      const body = yield* bodyOf(Exposition.queueFamilies([one], { bytes: 400, maxBytes: 1000 }))
      for (
        const line of [
          "feeds_queue_messages{topic=\"marketdata.trade.v1\"} 4",
          "feeds_queue_oldest_message_age_seconds{topic=\"marketdata.trade.v1\"} 2.5",
          "feeds_queue_state{state=\"full\",topic=\"marketdata.trade.v1\"} 1",
          "feeds_queue_state{state=\"ok\",topic=\"marketdata.trade.v1\"} 0",
          "feeds_lane_mode{mode=\"draining\",topic=\"marketdata.trade.v1\"} 1",
          "feeds_queue_capacity_bytes 1000",
          "feeds_queue_used_bytes 400"
        ]
      ) {
        assert.include(body, `${line}\n`)
      }
    }))

  it.scoped("health as `/health` has it", () =>
    Effect.gen(function*() {
      const body = yield* bodyOf(Exposition.healthFamilies(evaluate(fine({ draining: true }), now)))
      assert.include(body, "feeds_health_status{status=\"draining\"} 1\n")
      assert.include(body, "feeds_health_status{status=\"healthy\"} 0\n")
      assert.include(body, "feeds_health_check_status{check=\"bitpin_api\",status=\"healthy\"} 1\n")
    }))
})

describe("metrics kept by Effect", () => {
  it.scoped("the runtime's are named as Prometheus names such things, its histogram is left out", () =>
    Effect.gen(function*() {
      const body = yield* bodyOf([])
      assert.match(body, /^# TYPE effect_fibers_active gauge$/m)
      assert.match(body, /^effect_fibers_started_total [1-9]\d*$/m)
      assert.notInclude(body, "effect_fiber_")
    }))

  it.scoped("those of a program around us are there too", () =>
    Effect.gen(function*() {
      yield* Metric.update(Metric.counter("around_orders", { description: "Orders." }), 3)
      yield* Metric.update(Metric.tagged(Metric.gauge("around-depth"), "side", "bid"), 1.5)
      const body = yield* bodyOf([])
      assert.include(
        body,
        "# HELP around_orders_total Orders.\n# TYPE around_orders_total counter\naround_orders_total 3\n"
      )
      assert.include(body, "around_depth{side=\"bid\"} 1.5\n")
    }))

  it.scoped("one NaN does not spoil a histogram, nor a counter", () =>
    Effect.gen(function*() {
      const histogram = process.histogram("test_seconds", "Test.", [1, 2], { b: "2", a: "1" })
      const counter = process.counter("test_things_total", "Test.", {})
      for (const value of [0.5, Number.NaN, Infinity, -Infinity, 1.5]) {
        histogram.observe(value)
        counter.add(value)
      }
      const body = yield* bodyOf([])
      assert.include(body, "test_seconds_sum{a=\"1\",b=\"2\"} 2\n")
      assert.include(body, "test_seconds_count{a=\"1\",b=\"2\"} 2\n")
      assert.include(body, "test_seconds_bucket{a=\"1\",b=\"2\",le=\"1\"} 1\n")
      assert.include(body, "test_things_total 2\n")
    }))

  it.scoped("the order in which labels are given makes no second series", () =>
    Effect.gen(function*() {
      process.counter("test_order_total", "Test.", { a: "1", b: "2" }).add(1)
      process.counter("test_order_total", "Test.", { b: "2", a: "1" }).add(1)
      assert.deepStrictEqual(series(yield* bodyOf([]), "test_order_total"), ["test_order_total{a=\"1\",b=\"2\"} 2"])
    }))

  it.scoped("asked for again it is the same histogram, there before its first observation", () =>
    Effect.gen(function*() {
      assert.notInclude(yield* bodyOf([]), "topic=\"again\"")
      const counts = (text: string) =>
        series(text, "feeds_kafka_send_duration_seconds_count").filter((line) => line.includes("\"again\""))
      for (let n = 0; n < 3; n++) Instruments.kafkaSend(process, "again")
      assert.deepStrictEqual(counts(yield* bodyOf([])), ["feeds_kafka_send_duration_seconds_count{topic=\"again\"} 0"])
      for (let n = 0; n < 3; n++) Instruments.kafkaSend(process, "again").observe(1)
      assert.deepStrictEqual(counts(yield* bodyOf([])), ["feeds_kafka_send_duration_seconds_count{topic=\"again\"} 3"])
      // In Effect's registry too, which would grow and slow down with each.
      const kept = Metric.unsafeSnapshot().filter(({ metricKey }) =>
        metricKey.tags.some(({ value }) => value === "again")
      )
      assert.lengthOf(kept, 1)
    }))

  it.scoped("two collectors in one process do not mix, and neither shows plain streams beside them", () =>
    Effect.gen(function*() {
      const [a, b] = [Instruments.make(), Instruments.make()]
      Instruments.kafkaSend(a, "of-a").observe(7)
      Instruments.kafkaSend(b, "of-b")
      Instruments.kafkaSend(process, "of-nobody").observe(7)
      yield* Metric.update(Metric.counter("around_both"), 1)
      const topics = (body: string) =>
        series(body, "feeds_kafka_send_duration_seconds_count").filter((line) => line.includes("\"of-"))
      const told = (registry: Instruments.Registry) =>
        Effect.provideService(bodyOf([]), Instruments.Instruments, registry)
      const count = (topic: string, n: number) => `feeds_kafka_send_duration_seconds_count{topic="${topic}"} ${n}`
      assert.deepStrictEqual(topics(yield* told(a)), [count("of-a", 1)])
      assert.deepStrictEqual(topics(yield* told(b)), [count("of-b", 0)])
      assert.deepStrictEqual(topics(yield* told(process)), [count("of-nobody", 1)])
      for (const registry of [a, b]) assert.include(yield* told(registry), "around_both_total 1\n")
      assert.strictEqual(promtool(yield* told(a)), "")
    }))

  it.scoped("an exchange whose clock is ahead of ours is counted, not subtracted", () =>
    Effect.gen(function*() {
      const lag = Instruments.lag(process, { exchange: "ahead", stage: "exchange_to_receive", path: "live" })
      lag.observe(-250)
      lag.observe(250)
      const body = yield* bodyOf([])
      assert.include(body, "feeds_clock_negative_lag_total{exchange=\"ahead\"} 1\n")
      assert.include(
        body,
        "feeds_lag_seconds_sum{exchange=\"ahead\",path=\"live\",stage=\"exchange_to_receive\"} 0.25\n"
      )
    }))
})
