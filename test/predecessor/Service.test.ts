/** Rows 1-3, 23, 24, 25, 27, 28, 31 and 32 of design/PREDECESSOR.md: the service as a whole. */
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Layer, Ref, Scope, TestClock } from "effect"
import { writeFileSync } from "node:fs"
import * as DataDirectory from "../../src/layers/DataDirectory.ts"
import * as HttpRoutes from "../../src/layers/http/HttpRoutes.ts"
import * as NodeFileOps from "../../src/layers/node/FileOps.ts"
import * as Fake from "../../src/layers/testing/FakeKafka.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as DeadLetters from "../../src/services/DeadLetters.ts"
import * as Delivery from "../../src/services/Delivery.ts"
import { EventSink } from "../../src/services/EventSink.ts"
import * as FileQueue from "../../src/services/FileQueue.ts"
import type { DiskResult } from "../../src/services/Health/Model.ts"
import * as Ledger from "../../src/services/Ledger.ts"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import type { Producer } from "../../src/services/Producer.ts"
import * as RetryPolicy from "../../src/services/RetryPolicy.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../src/streams/exchanges/Wallex.ts"
import { loopback, make as stage } from "../layers/http/sources.ts"
import { diskOk, failed } from "../services/Health/inputs.ts"
import * as FakeApi from "../streams/support/FakeApi.ts"
import { centrifugo, FakeSockets, layer as sockets } from "../streams/support/FakeSockets.ts"
import { bitpinPush } from "../streams/support/frames.ts"
import { run, settle } from "../streams/support/Harness.ts"
import { ensureBundle, exchangeFeeds } from "../support/bundle.ts"

const trade = (n: number): MarketEvent => ({
  type: "trade",
  v: 1,
  exchange: "bitpin",
  symbol: "BTC/IRT",
  exchangeSymbol: "BTC_IRT",
  id: `x:${n}`,
  price: "1",
  amount: "1",
  side: "buy",
  timestamp: null,
  receivedAt: "2026-06-11T12:59:45.301Z",
  source: "ws"
})

const begin = Effect.fnUntraced(function*(
  directory: string,
  kafka: Context.Context<Fake.FakeKafka | Producer>
) {
  const ledger = Ledger.make()
  const scope = yield* Scope.make()
  const context = yield* Delivery.layer({
    topicPrefix: "marketdata",
    lanes: ["trade", "status"],
    mode: "fallback",
    linger: Duration.millis(1),
    breaker: { maxFailures: 3, timeout: Duration.millis(100), successThreshold: 1 },
    retry: { ...RetryPolicy.defaults, baseDelay: Duration.millis(10), maxDelay: Duration.millis(50) },
    handover: { spillAfter: 100, maxBatchRecords: 50 }
  }).pipe(
    Layer.provideMerge(Layer.mergeAll(
      CircuitBreaker.layer,
      DeadLetters.layer(directory),
      DataDirectory.checkpoint(directory),
      FileQueue.layer({
        dir: directory,
        maxBytes: 64 * 1024 * 1024,
        fsync: "always",
        fsyncInterval: "1 second",
        fullPolicy: "drop_oldest"
      })
    )),
    Layer.provide(NodeFileOps.layer),
    Layer.provide(Layer.succeedContext(kafka)),
    Layer.provide(Layer.succeed(Ledger.Ledger, ledger)),
    Layer.buildWithScope(scope)
  )
  const { lanes, stop } = Context.get(context, Delivery.Delivery)
  return {
    offer: Effect.fnUntraced(function*(from: number, to: number) {
      ledger.received({ lane: "trade", exchange: "bitpin" }, to - from)
      yield* Context.get(context, EventSink).offer(Array.from({ length: to - from }, (_, i) => trade(from + i)))
    }),
    failures: Effect.map(
      Context.get(context, CircuitBreaker.CircuitBreakers).snapshots,
      (all) => all.find(({ name }) => name === "kafka_trade")?.calls.failure ?? 0
    ),
    queued: Effect.map(lanes, ([lane]) => lane?.queue.records ?? 0),
    stop: Effect.zipLeft(stop(Duration.seconds(5)), Scope.close(scope, Exit.void))
  }
})

const setup = Effect.gen(function*() {
  const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()
  const kafka = yield* Layer.build(Fake.layer)
  return { directory, kafka, fake: Context.get(kafka, Fake.FakeKafka) }
}).pipe(Effect.provide(NodeContext.layer))

const ids = (fake: Fake.FakeKafka["Type"]) =>
  Effect.map(fake.records("marketdata.trade.v1"), (all) => all.map(({ headers }) => headers["id"]))

const expected = (n: number) => Array.from({ length: n }, (_, i) => `x:${i}`)

const until = (what: string, condition: Effect.Effect<boolean>) =>
  Effect.repeat(Effect.delay(condition, "5 millis"), { until: (yes) => yes }).pipe(
    Effect.timeoutOption("15 seconds"),
    Effect.tap((inTime) => assert.strictEqual(inTime._tag, "Some", what))
  )

beforeAll(ensureBundle)

describe("Service", () => {
  // The predecessor's Wallex had no breaker, persistence, retry or health.
  it.scoped("#1 Wallex goes through the same breaker and retries as BitPin", () =>
    Effect.gen(function*() {
      const feed = yield* run(wallex)
      yield* Effect.flatMap(FakeSockets, ({ accept }) => accept)
      yield* settle
      assert.strictEqual((yield* feed.breakers.ws.snapshot).calls.failure, 1)
      assert.strictEqual((yield* feed.breakers.api.snapshot).calls.success, 1)
    }).pipe(Effect.provide(Layer.mergeAll(
      sockets((socket) => socket.refuse("refused")),
      FakeApi.layer(() => Effect.succeed({ body: FakeApi.wallexList(["BTC", "TMN"]) }))
    ))))

  // The predecessor logged what it recovered and threw it away; nor did it replay when Kafka came back.
  it.scopedLive("#2 the queue is replayed when Kafka comes back, and by the next life", () =>
    Effect.gen(function*() {
      const { directory, fake, kafka } = yield* setup
      yield* fake.down
      const one = yield* begin(directory, kafka)
      yield* one.offer(0, 100)
      yield* until("queued", Effect.map(one.queued, (n) => n === 100))
      yield* fake.up
      yield* until("replayed", Effect.map(ids(fake), (all) => all.length === 100))
      yield* fake.down
      yield* one.offer(100, 200)
      assert.isTrue(yield* one.stop)
      yield* fake.up
      const two = yield* begin(directory, kafka)
      yield* until("recovered", Effect.map(ids(fake), (all) => all.length === 200))
      assert.isTrue(yield* two.stop)
      assert.deepStrictEqual(yield* ids(fake), expected(200))
    }))

  // The predecessor kept only what failed synchronously; failed deliveries came later, and were logged.
  it.scopedLive("#3 a send that was taken and fails later is kept and delivered", () =>
    Effect.gen(function*() {
      const { directory, fake, kafka } = yield* setup
      const one = yield* begin(directory, kafka)
      yield* fake.freeze
      yield* one.offer(0, 100)
      yield* until("spilled before any answer", Effect.map(one.queued, (n) => n === 100))
      // The broker dies with the request.
      yield* fake.down
      yield* fake.up
      yield* until("delivered", Effect.map(ids(fake), (all) => new Set(all).size === 100))
      assert.isTrue(yield* one.stop)
      assert.deepStrictEqual([...new Set(yield* ids(fake))], expected(100))
    }))

  // The predecessor's produce path never looked at its health checks, which were what was to detect an outage.
  it.scopedLive("#25 sends themselves detect the outage: events go to the queue with no health check running", () =>
    Effect.gen(function*() {
      const { directory, fake, kafka } = yield* setup
      const one = yield* begin(directory, kafka)
      yield* one.offer(0, 10)
      yield* until("straight", Effect.map(ids(fake), (all) => all.length === 10))
      assert.strictEqual(yield* one.queued, 0)
      yield* fake.down
      yield* one.offer(10, 50)
      yield* until("queued", Effect.map(one.queued, (n) => n === 40))
      assert.isTrue(yield* one.stop)
    }))

  // The predecessor closed without a flush: what librdkafka held was dropped.
  it.scopedLive("#32 a stop with a frozen Kafka keeps what was not acknowledged; nothing empty is ever produced", () =>
    Effect.gen(function*() {
      const { directory, fake, kafka } = yield* setup
      const one = yield* begin(directory, kafka)
      yield* fake.freeze
      yield* one.offer(0, 100)
      assert.isTrue(yield* one.stop)
      yield* fake.down
      yield* fake.up
      const two = yield* begin(directory, kafka)
      yield* until("delivered", Effect.map(ids(fake), (all) => new Set(all).size === 100))
      assert.isTrue(yield* two.stop)
      assert.isTrue(
        (yield* fake.records("marketdata.trade.v1")).every(({ value }) => JSON.parse(value).type === "trade")
      )
    }))

  const get = (base: string, path: string) =>
    Effect.promise(async () => {
      const answer = await fetch(base + path)
      return { status: answer.status, body: await answer.text() }
    })

  // The predecessor's monitor wrote down that something was ill, and did nothing.
  it.scoped("#23 a socket that has gone mute is replaced without anyone's help, and trades flow again", () =>
    Effect.gen(function*() {
      const feed = yield* run(bitpin)
      const { accept } = yield* FakeSockets
      const first = yield* accept
      yield* settle
      yield* Effect.repeatN(TestClock.adjust("1 second"), 70)
      const second = yield* accept
      assert.isTrue(first.ended)
      second.push(bitpinPush("BTC_IRT", [{ id: "7" }]))
      assert.strictEqual((yield* feed.nextTrade).id, "bitpin:BTC/IRT:t:7")
    }).pipe(Effect.provide(Layer.mergeAll(
      sockets(centrifugo()),
      FakeApi.layer(() => Effect.succeed({ body: FakeApi.bitpinList("BTC_IRT") }))
    ))))

  // The predecessor never assigned `degraded`, and wrote durations as nanoseconds.
  it.scopedLive("#24 Kafka down is degraded and still ready; a directory that cannot be written is not ready", () =>
    Effect.gen(function*() {
      const { inputs, sources } = yield* stage()
      const base = yield* HttpRoutes.serve(loopback, sources)
      yield* Ref.update(inputs, (all) => ({ ...all, kafka: failed("down") }))
      assert.include(JSON.parse((yield* get(base, "/health")).body), { status: "degraded" })
      assert.strictEqual((yield* get(base, "/health/ready")).status, 200)
      const readOnly: DiskResult = { ...diskOk, outcome: "failed", code: "EROFS" }
      yield* Ref.update(inputs, (all) => ({ ...all, disk: readOnly }))
      assert.strictEqual((yield* get(base, "/health/ready")).status, 503)
    }))

  // The predecessor retried the making of a client object, which contacts nobody.
  it.scopedLive("#26 a Kafka that is away is tried again and again, with growing waits, until it is there", () =>
    Effect.gen(function*() {
      const { directory, fake, kafka } = yield* setup
      yield* fake.down
      const one = yield* begin(directory, kafka)
      yield* one.offer(0, 10)
      yield* until("several attempts", Effect.map(one.failures, (n) => n >= 5))
      const before = yield* one.failures
      yield* Effect.sleep("500 millis")
      // The breaker's wait is 100 ms: without it a loop would have made thousands.
      assert.isAtMost((yield* one.failures) - before, 10)
      yield* fake.up
      yield* until("delivered", Effect.map(ids(fake), ({ length }) => length === 10))
      assert.deepStrictEqual(yield* ids(fake), expected(10))
      assert.isTrue(yield* one.stop)
    }))

  // The predecessor had no metrics at all.
  it.scopedLive("#27 /metrics has what alerts on breakers, Kafka and the queue need", () =>
    Effect.gen(function*() {
      const { sources } = yield* stage()
      const { body } = yield* get(yield* HttpRoutes.serve(loopback, sources), "/metrics")
      assert.match(body, /^feeds_circuit_breaker_state\{.*state="open".*\} 0$/m)
      assert.match(body, /^feeds_circuit_breaker_calls_total\{.*\} \d+$/m)
      assert.match(body, /^feeds_queue_used_bytes 0$/m)
      assert.match(body, /^feeds_queue_capacity_bytes 1000$/m)
    }))

  // The predecessor wrote 15 ms as 15000000.
  it.scopedLive("#28 durations are written as \"15ms\"", () =>
    Effect.gen(function*() {
      const { sources } = yield* stage()
      const { body } = yield* get(yield* HttpRoutes.serve(loopback, sources), "/health")
      assert.strictEqual(JSON.parse(body).checks.kafka.duration, "15ms")
    }))

  // The predecessor logged that persistence could not begin, and went on without.
  it.scopedLive("#31 a data directory that cannot be made ends the process with 73", () =>
    Effect.gen(function*() {
      const { directory } = yield* setup
      writeFileSync(`${directory}/file`, "")
      const { code, stderr } = yield* Effect.promise(() =>
        exchangeFeeds(["run"], { DATA_DIR: `${directory}/file/data`, HEALTH_PORT: "0", KAFKA_BROKER: "127.0.0.1:1" })
      )
      assert.strictEqual(code, 73, stderr)
      assert.include(stderr, `${directory}/file/data`)
    }))

  // The predecessor read LOG_LEVEL and logged at info whatever it said.
  it.scopedLive("#29 LOG_LEVEL decides what is logged", () =>
    Effect.gen(function*() {
      const { directory } = yield* setup
      writeFileSync(`${directory}/file`, "")
      const levels = (level: string) =>
        Effect.promise(() =>
          exchangeFeeds(["run"], {
            DATA_DIR: `${directory}/file/data`,
            HEALTH_PORT: "0",
            KAFKA_BROKER: "127.0.0.1:1",
            LOG_FORMAT: "json",
            LOG_LEVEL: level
          })
        ).pipe(Effect.map(({ stderr }) => new Set(Array.from(stderr.matchAll(/"level":"(\w+)"/g), ([, word]) => word))))
      assert.include([...(yield* levels("info"))], "INFO")
      assert.notInclude([...(yield* levels("error"))], "INFO")
    }))
})
