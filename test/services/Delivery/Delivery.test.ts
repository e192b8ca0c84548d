/**
 * The whole sink: real lanes, real queue files in a temporary directory, breakers, checkpoint; only Kafka is in memory.
 */
import { FileSystem } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import * as DataDirectory from "../../../src/layers/DataDirectory.ts"
import * as NodeFileOps from "../../../src/layers/node/FileOps.ts"
import * as Fake from "../../../src/layers/testing/FakeKafka.ts"
import { Checkpoint } from "../../../src/services/Checkpoint.ts"
import * as CircuitBreaker from "../../../src/services/CircuitBreaker.ts"
import * as DeadLetters from "../../../src/services/DeadLetters.ts"
import * as Delivery from "../../../src/services/Delivery.ts"
import { EventSink } from "../../../src/services/EventSink.ts"
import * as FileQueue from "../../../src/services/FileQueue.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import type { MarketEvent } from "../../../src/services/MarketEvent.ts"
import { Producer } from "../../../src/services/Producer.ts"
import * as RetryPolicy from "../../../src/services/RetryPolicy.ts"
import { book, delta } from "./events.ts"

const topic = "marketdata.trade.v1"

const trade = (n: number): MarketEvent => ({
  type: "trade",
  v: 1,
  exchange: n % 3 === 0 ? "wallex" : "bitpin",
  symbol: `M${n % 7}/IRT`,
  exchangeSymbol: `M${n % 7}_IRT`,
  id: `x:${n}`,
  price: "1",
  amount: String(n + 1),
  side: "buy",
  timestamp: "2026-06-11T12:59:45.263Z",
  receivedAt: "2026-06-11T12:59:45.301Z",
  source: "ws"
})

interface Setting {
  readonly mode?: "fallback" | "journal"
  readonly maxBytes?: number
  readonly books?: boolean
  readonly collector?: string
  readonly fullPolicy?: FileQueue.FullPolicy
  readonly checkpoint?: Layer.Layer<Checkpoint>
}

type Kafka = Context.Context<Fake.FakeKafka | Producer>

/** One life of a collector in a directory. */
const begin = Effect.fnUntraced(function*(directory: string, kafka: Kafka, setting: Setting = {}) {
  const ledger = Ledger.make()
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(
    Delivery.layer({
      topicPrefix: "marketdata",
      lanes: setting.books === true ? ["trade", "book", "status"] : ["trade", "status"],
      mode: setting.mode ?? "fallback",
      linger: Duration.millis(1),
      collector: setting.collector,
      breaker: { maxFailures: 3, timeout: Duration.millis(100), successThreshold: 1 },
      retry: { ...RetryPolicy.defaults, baseDelay: Duration.millis(10), maxDelay: Duration.millis(50) },
      // Small batches: what an unresolved send pins is a small part of even a small queue.
      handover: { spillAfter: 100, maxBatchRecords: 50 }
    }).pipe(
      Layer.provideMerge(Layer.mergeAll(
        CircuitBreaker.layer,
        DeadLetters.layer(directory),
        setting.checkpoint ?? DataDirectory.checkpoint(directory),
        FileQueue.layer({
          dir: directory,
          maxBytes: setting.maxBytes ?? 1024 * 1024 * 1024,
          fsync: "always",
          fsyncInterval: "1 second",
          fullPolicy: setting.fullPolicy ?? "drop_oldest"
        })
      )),
      Layer.provide(NodeFileOps.layer),
      Layer.provide(Layer.succeedContext(kafka)),
      Layer.provide(Layer.succeed(Ledger.Ledger, ledger))
    ),
    scope
  )
  const sink = Context.get(context, EventSink)
  const lanes = Context.get(context, Delivery.Delivery)
  return {
    checkpoint: Context.get(context, Checkpoint),
    ledger,
    lanes,
    sink,
    /** Trades `from` to `to`, counted as a feed counts them, in chunks of ten. */
    offer: Effect.fnUntraced(function*(from: number, to: number) {
      for (let n = from; n < to; n += 10) {
        const events = Array.from({ length: Math.min(10, to - n) }, (_, i) => trade(n + i))
        for (const { exchange } of events) ledger.received({ lane: "trade", exchange }, 1)
        yield* sink.offer(events)
      }
    }),
    /** One book of each of two markets. */
    offerBooks: (n: number) =>
      Effect.suspend(() => {
        ledger.received({ lane: "book", exchange: "bitpin" }, 2)
        return sink.offer([book(0, n), book(1, n)])
      }),
    usage: Context.get(context, FileQueue.FileQueue).usage,
    stop: lanes.stop(Duration.seconds(5)),
    /** The end of the scope, as at a clean stop; without `stop` before it nothing is flushed by the lanes. */
    end: Scope.close(scope, Exit.void)
  }
})

const setup = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped()
  const kafka = yield* Layer.build(Fake.layer)
  return { directory, kafka, fake: Context.get(kafka, Fake.FakeKafka) }
}).pipe(Effect.provide(NodeContext.layer))

const idsIn = (fake: Fake.FakeKafka["Type"]) =>
  Effect.map(fake.records(topic), (records) => records.map(({ headers }) => headers["id"] ?? ""))

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)

interface DroppedEvent {
  readonly event: string
  readonly exchange: string
  readonly reason: string
  readonly count: number
  readonly firstSequence: number | null
  readonly lastSequence: number | null
}

const droppedEvents = (fake: Fake.FakeKafka["Type"]) =>
  Effect.map(
    fake.records("marketdata.status.v1"),
    (records) =>
      records.map(({ value }): DroppedEvent =>
        JSON.parse(typeof value === "string" ? value : new TextDecoder().decode(value))
      )
        .filter(({ event }) => event === "dropped")
  )

const count = (fake: Fake.FakeKafka["Type"]) => Effect.map(idsIn(fake), (ids) => new Set(ids).size)

const until = (what: string, condition: Effect.Effect<boolean>) =>
  Effect.repeat(Effect.delay(condition, "5 millis"), { until: (yes) => yes }).pipe(
    Effect.timeoutOption("20 seconds"),
    Effect.tap((inTime) => assert.isTrue(inTime._tag === "Some", `in time: ${what}`))
  )

/** Ids of one market are handed over in rising order; so their first deliveries must be. */
const assertOrder = Effect.fnUntraced(function*(fake: Fake.FakeKafka["Type"]) {
  const highest = new Map<string, number>()
  const seen = new Set<string>()
  for (const { headers, key } of yield* fake.records(topic)) {
    const id = headers["id"] ?? ""
    if (seen.has(id)) continue
    seen.add(id)
    const n = Number(id.slice(2))
    assert.isAbove(n, highest.get(key) ?? -1, `order of ${key}`)
    highest.set(key, n)
  }
})

const assertLaw = (ledger: Ledger.Shape, inFlight = 0) => {
  for (const account of ledger.accounts()) {
    const others = [account.dropped, account.deadLettered, account.filtered].flatMap((reasons) => [...reasons.values()])
    assert.strictEqual(account.inFlight, inFlight, JSON.stringify(account))
    assert.strictEqual(
      account.received,
      account.delivered + account.queued + account.inFlight + others.reduce((a, b) => a + b, 0),
      JSON.stringify(account)
    )
  }
}

describe("KafkaSink", () => {
  for (const mode of ["fallback", "journal"] as const) {
    it.scopedLive(
      `${mode}: delivers, spools through an outage, drains first, and is straight again`,
      () =>
        Effect.gen(function*() {
          const { directory, fake, kafka } = yield* setup
          const one = yield* begin(directory, kafka, { mode })
          yield* one.offer(0, 500)
          yield* until("500 delivered", Effect.map(count(fake), (n) => n === 500))
          yield* fake.down
          yield* one.offer(500, 2500)
          yield* until(
            "2000 queued",
            Effect.map(one.lanes.lanes, ([lane]) => lane?.queue.records === 2000)
          )
          yield* fake.up
          yield* one.offer(2500, 3000)
          yield* until("3000 delivered", Effect.map(count(fake), (n) => n === 3000))
          yield* assertOrder(fake)
          yield* until(
            "at rest",
            Effect.map(one.lanes.lanes, ([lane]) => lane?.queue.durableAckedTo === lane?.queue.nextSeq)
          )
          assertLaw(one.ledger)
          const spooled = (yield* fake.records(topic)).filter(({ headers }) => headers["spooled"] === "1")
          assert.isAtLeast(spooled.length, 1990)
          assert.isTrue(yield* one.stop)
          yield* one.end
          assert.lengthOf(yield* fake.records(topic), 3000, "no duplicates")
        }),
      60_000
    )

    it.scopedLive(
      `${mode}: a stop with Kafka down keeps everything for the next life, without a duplicate`,
      () =>
        Effect.gen(function*() {
          const { directory, fake, kafka } = yield* setup
          const one = yield* begin(directory, kafka, { mode })
          yield* one.offer(0, 100)
          yield* until("100 delivered", Effect.map(count(fake), (n) => n === 100))
          yield* fake.down
          yield* one.offer(100, 400)
          assert.isTrue(yield* one.stop)
          assertLaw(one.ledger)
          yield* one.end
          yield* fake.up
          const two = yield* begin(directory, kafka, { mode })
          yield* two.offer(400, 500)
          yield* until("500 delivered", Effect.map(count(fake), (n) => n === 500))
          assert.isTrue(yield* two.stop)
          assertLaw(two.ledger)
          const recovered = two.ledger.accounts().find(({ origin }) => origin === "recovered")
          assert.strictEqual(recovered?.received, 300)
          assert.strictEqual(recovered?.delivered, 300)
          assert.lengthOf(yield* fake.records(topic), 500)
          yield* assertOrder(fake)
          yield* two.end
        }),
      60_000
    )
  }

  it.scopedLive(
    "a frozen Kafka: everything is on disk within a second, and a late execution makes no reorder",
    () =>
      Effect.gen(function*() {
        const { directory, fake, kafka } = yield* setup
        const one = yield* begin(directory, kafka)
        yield* fake.freeze
        yield* one.offer(0, 300)
        yield* until("300 queued", Effect.map(one.lanes.lanes, ([lane]) => lane?.queue.records === 300))
        yield* one.offer(300, 400)
        yield* fake.up
        yield* until("400 delivered", Effect.map(count(fake), (n) => n === 400))
        yield* assertOrder(fake)
        assert.isTrue(yield* one.stop)
        assertLaw(one.ledger)
        yield* one.end
      }),
    60_000
  )

  it.scopedLive("a lost answer costs copies with equal ids, nothing else", () =>
    Effect.gen(function*() {
      const { directory, fake, kafka } = yield* setup
      const one = yield* begin(directory, kafka)
      yield* fake.loseAnswers(1)
      yield* one.offer(0, 200)
      yield* until(
        "200 delivered",
        Effect.map(
          one.lanes.lanes,
          ([lane]) => lane?.mode === "straight" && lane.sending === 0 && lane.waitingRecords === 0
        )
      )
      assert.strictEqual(yield* count(fake), 200)
      yield* assertOrder(fake)
      assert.isTrue(yield* one.stop)
      assertLaw(one.ledger)
      yield* one.end
    }), 60_000)

  it.scopedLive(
    "a poison record becomes a dead letter on disk, its neighbours arrive in order",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const { directory, fake, kafka } = yield* setup
        const one = yield* begin(directory, kafka)
        yield* fake.reject((record) => record.headers["id"] === "x:57")
        yield* one.offer(0, 200)
        yield* until("199 delivered", Effect.map(count(fake), (n) => n === 199))
        yield* assertOrder(fake)
        assert.isTrue(yield* one.stop)
        assertLaw(one.ledger)
        const lines = (yield* fs.readFileString(`${directory}/dead/records.ndjson`)).trim().split("\n")
        assert.lengthOf(lines, 1)
        const letter = JSON.parse(lines[0] ?? "")
        assert.strictEqual(letter.reason, "MESSAGE_TOO_LARGE")
        assert.strictEqual(JSON.parse(letter.value).id, "x:57")
        const dead = one.ledger.accounts().flatMap(({ deadLettered }) => [...deadLettered])
        assert.deepStrictEqual(dead, [["too_large", 1]])
        yield* one.end
      }).pipe(Effect.provide(NodeContext.layer)),
    60_000
  )

  it.scopedLive(
    "a full queue drops the oldest, counted to the record, and delivers the rest in order",
    () =>
      Effect.gen(function*() {
        const { directory, fake, kafka } = yield* setup
        const one = yield* begin(directory, kafka, { maxBytes: 256 * 1024 })
        yield* fake.down
        for (let from = 0; from < 3000; from += 100) {
          yield* one.offer(from, from + 100)
          yield* until("on disk", Effect.map(one.lanes.lanes, ([lane]) => lane?.waitingRecords === 0))
        }
        yield* fake.up
        yield* until(
          "drained",
          Effect.map(one.lanes.lanes, ([lane]) => lane?.queue.records === 0 && lane.mode === "straight")
        )
        assert.isTrue(yield* one.stop)
        assertLaw(one.ledger)
        const dropped = one.ledger.accounts().reduce((sum, { dropped }) => sum + (dropped.get("full") ?? 0), 0)
        const delivered = yield* count(fake)
        assert.isAbove(dropped, 0)
        assert.strictEqual(delivered + dropped, 3000)
        assert.include(yield* idsIn(fake), "x:2999")
        yield* assertOrder(fake)
        // H6: and told, to the record, with the sequence numbers that are missing.
        const events = yield* droppedEvents(fake)
        assert.strictEqual(sum(events.map(({ count }) => count)), dropped)
        assert.deepStrictEqual([...new Set(events.map(({ exchange }) => exchange))].sort(), ["bitpin", "wallex"])
        assert.deepStrictEqual([...new Set(events.map(({ reason }) => reason))], ["full"])
        for (const exchange of ["bitpin", "wallex"]) {
          const ranges = events.filter((event) => event.exchange === exchange)
          assert.isAtLeast(
            sum(ranges.map(({ firstSequence, lastSequence }) => (lastSequence ?? 0) - (firstSequence ?? 0) + 1)),
            sum(ranges.map(({ count }) => count))
          )
        }
        yield* one.end
      }),
    60_000
  )

  it.scopedLive(
    "drop_newest: a full queue keeps what it has, what comes is dropped, counted and told",
    () =>
      Effect.gen(function*() {
        const { directory, fake, kafka } = yield* setup
        const one = yield* begin(directory, kafka, { maxBytes: 256 * 1024, fullPolicy: "drop_newest" })
        yield* fake.down
        for (let from = 0; from < 3000; from += 500) {
          yield* one.offer(from, from + 500)
          yield* until(
            "on disk, or refused",
            Effect.map(one.lanes.lanes, ([lane]) => (lane?.waitingRecords ?? 0) <= 50)
          )
        }
        yield* fake.up
        yield* until(
          "drained",
          Effect.map(one.lanes.lanes, ([lane]) => lane?.queue.records === 0 && lane.mode === "straight")
        )
        yield* one.offer(3000, 3010)
        yield* until("the last arrived", Effect.map(idsIn(fake), (ids) => ids.includes("x:3009")))
        yield* until("told", Effect.map(droppedEvents(fake), (events) => events.length > 0))
        assert.isTrue(yield* one.stop)
        assertLaw(one.ledger)
        const dropped = sum(one.ledger.accounts().map(({ dropped }) => dropped.get("full") ?? 0))
        assert.isAbove(dropped, 0)
        assert.strictEqual((yield* count(fake)) + dropped, 3010)
        const ids = yield* idsIn(fake)
        assert.includeMembers(ids, Array.from({ length: 500 }, (_, n) => `x:${n}`))
        assert.notInclude(ids, "x:2998")
        yield* assertOrder(fake)
        const events = yield* droppedEvents(fake)
        assert.strictEqual(sum(events.map(({ count }) => count)), dropped)
        assert.deepStrictEqual([...new Set(events.map(({ firstSequence }) => firstSequence))], [null])
        yield* one.end
      }),
    60_000
  )

  it.scopedLive(
    "block: a full queue holds whoever offers, and nothing is dropped",
    () =>
      Effect.gen(function*() {
        const { directory, fake, kafka } = yield* setup
        const one = yield* begin(directory, kafka, { maxBytes: 256 * 1024, fullPolicy: "block" })
        yield* fake.down
        const offers = yield* Effect.fork(one.offer(0, 3000))
        yield* until(
          "held",
          Effect.map(one.lanes.lanes, ([lane]) => (lane?.waitingBytes ?? 0) > 32 * 1024 && lane?.disk.message !== null)
        )
        // Time enough for all of it, were nobody held.
        yield* Effect.sleep("500 millis")
        assert.isNull(offers.unsafePoll())
        yield* fake.up
        yield* Fiber.join(offers)
        yield* until("all there", Effect.map(count(fake), (n) => n === 3000))
        assert.isTrue(yield* one.stop)
        assertLaw(one.ledger)
        yield* assertOrder(fake)
        assert.isEmpty(yield* droppedEvents(fake))
        yield* one.end
      }),
    60_000
  )

  it.scopedLive(
    "books, what changes in them and their holes say whose they are: also through an outage, a stop and a later life",
    () =>
      Effect.gen(function*() {
        const { directory, fake, kafka } = yield* setup
        const hole = (channel: string): MarketEvent => ({
          type: "status",
          v: 1,
          exchange: "bitpin",
          event: "gap",
          channel,
          symbol: "M0/IRT",
          id: `gap:${channel}`,
          receivedAt: "2026-06-11T12:59:45.301Z"
        })
        const events: ReadonlyArray<MarketEvent> = [
          book(0, 1),
          delta(0, 1, 2),
          hole("books"),
          hole("trades"),
          trade(0)
        ]
        yield* fake.down
        const one = yield* begin(directory, kafka, { books: true, collector: "k3f9" })
        yield* one.sink.offer(events)
        assert.isTrue(yield* one.stop)
        yield* one.end
        yield* fake.up
        // Of another name by now: what the life before wrote stays its own.
        const two = yield* begin(directory, kafka, { books: true, collector: "other" })
        yield* two.sink.offer([book(0, 3)])
        const told = Effect.map(
          Effect.forEach(["book", "status", "trade"], (lane) => fake.records(`marketdata.${lane}.v1`)),
          (topics) =>
            topics.map((records) =>
              records.map(({ headers: { collector, id, schema, spooled } }) => ({ id, schema, collector, spooled }))
            )
        )
        yield* until("all", Effect.map(told, (topics) => topics.flat().length === 6))
        assert.deepStrictEqual(yield* told, [
          [
            { id: "b:0:1", schema: "book/1", collector: "k3f9", spooled: "1" },
            { id: "d:0:2", schema: "book_delta/1", collector: "k3f9", spooled: "1" },
            { id: "b:0:3", schema: "book/1", collector: "other", spooled: undefined }
          ],
          [
            { id: "gap:books", schema: "status/1", collector: "k3f9", spooled: "1" },
            { id: "gap:trades", schema: "status/1", collector: undefined, spooled: "1" }
          ],
          [{ id: "x:0", schema: "trade/1", collector: undefined, spooled: "1" }]
        ])
        assert.isTrue(yield* two.stop)
        yield* two.end
      }),
    60_000
  )

  it.scopedLive(
    "nearly full: of the books of a market one a second goes on, the newest last; none is lost without a word",
    () =>
      Effect.gen(function*() {
        const { directory, fake, kafka } = yield* setup
        const one = yield* begin(directory, kafka, { maxBytes: 512 * 1024, books: true })
        const books = Effect.sync(() =>
          one.ledger.accounts().find(({ channel, origin }) => channel === "books" && origin === "live")
        )
        yield* fake.down
        yield* one.offerBooks(0)
        yield* one.offerBooks(1)
        assert.isEmpty((yield* books)?.filtered ?? [])
        for (let from = 10; !FileQueue.isNearlyFull(yield* one.usage); from += 10) {
          yield* one.offer(from, from + 10)
          yield* until("on disk", Effect.map(one.lanes.lanes, ([lane]) => lane?.waitingRecords === 0))
        }
        for (let n = 2; n < 100; n++) yield* one.offerBooks(n)
        // The first and the held one of each market, unless it took seconds.
        assert.isAbove((yield* books)?.filtered.get("conflated") ?? 0, 150)
        yield* fake.up
        const seen = Effect.map(fake.records("marketdata.book.v1"), (records) =>
          records.map(({ headers }) => headers["id"]))
        yield* until(
          "the newest arrived",
          Effect.map(seen, (ids) =>
            ids.includes("b:0:99") && ids.includes("b:1:99"))
        )
        assert.includeMembers(yield* seen, ["b:0:0", "b:0:1", "b:0:2", "b:1:2"])
        assert.isTrue(yield* one.stop)
        assertLaw(one.ledger)
        assert.strictEqual((yield* books)?.delivered, 200 - ((yield* books)?.filtered.get("conflated") ?? 0))
        yield* one.end
      }),
    60_000
  )

  it.scopedLive(
    "more at once than a small queue holds: the oldest are dropped and counted, not refused for ever",
    () =>
      Effect.gen(function*() {
        const { directory, fake, kafka } = yield* setup
        const one = yield* begin(directory, kafka, { maxBytes: 256 * 1024 })
        yield* fake.down
        yield* one.offer(0, 3000)
        yield* until("on disk", Effect.map(one.lanes.lanes, ([lane]) => lane?.waitingRecords === 0))
        yield* fake.up
        yield* until(
          "drained",
          Effect.map(one.lanes.lanes, ([lane]) => lane?.queue.records === 0 && lane.mode === "straight")
        )
        assert.isTrue(yield* one.stop)
        assertLaw(one.ledger)
        const dropped = one.ledger.accounts().reduce((sum, { dropped }) => sum + (dropped.get("full") ?? 0), 0)
        assert.strictEqual((yield* count(fake)) + dropped, 3000)
        assert.include(yield* idsIn(fake), "x:2999")
        yield* assertOrder(fake)
        yield* one.end
      }),
    60_000
  )

  it.scopedLive(
    "the checkpoint knows what was acknowledged or durable, and nothing else",
    () =>
      Effect.gen(function*() {
        const { directory, fake, kafka } = yield* setup
        const one = yield* begin(directory, kafka)
        yield* one.offer(0, 70)
        yield* until("70 delivered", Effect.map(count(fake), (n) => n === 70))
        yield* fake.down
        yield* one.offer(70, 140)
        yield* until("70 queued", Effect.map(one.lanes.lanes, ([lane]) => lane?.queue.records === 70))
        // No clean stop: the checkpoint on disk may be a second old, and the queue itself tells the rest.
        yield* one.end
        const two = yield* begin(directory, kafka)
        const known = [...(yield* two.checkpoint.markets).values()].flatMap(({ ids }) => ids)
        const fromQueue = Array.from({ length: 70 }, (_, i) => `x:${70 + i}`)
        for (const id of fromQueue) assert.include(known, id)
        yield* two.stop
        yield* two.end
      }),
    60_000
  )

  it.scopedLive(
    "a lane that dies is told, though the others live: a supervisor has to start the process again",
    () =>
      Effect.gen(function*() {
        const { directory, fake, kafka } = yield* setup
        const producer = Context.get(kafka, Producer)
        const broken = Context.make(Fake.FakeKafka, fake).pipe(Context.add(Producer, {
          ...producer,
          lane: (options) =>
            Effect.map(
              producer.lane(options),
              (lane) => options.topic === topic ? { ...lane, send: () => Effect.dieMessage("planted") } : lane
            )
        }))
        const one = yield* begin(directory, broken)
        yield* one.offer(0, 1)
        const exit = yield* Effect.exit(Effect.timeout(one.lanes.ended, "20 seconds"))
        assert.include(String(exit), "planted")
        yield* one.end
      }),
    60_000
  )

  it.scopedLive(
    "a defect in writing the checkpoint is told as that of a lane: the process must not go on without",
    () =>
      Effect.gen(function*() {
        const { directory, kafka } = yield* setup
        const checkpoint = Layer.mock(Checkpoint, {
          coveredSeq: Effect.succeed(0),
          write: Effect.dieMessage("planted"),
          keepHoles: () => {},
          closeHole: () => {},
          forget: () => {}
        })
        const one = yield* begin(directory, kafka, { checkpoint })
        const exit = yield* Effect.exit(Effect.timeout(one.lanes.ended, "20 seconds"))
        assert.include(String(exit), "planted")
        yield* one.end
      }),
    60_000
  )

  const key = "bitpin:M1/IRT"
  const holeOf = (over: "filled" | null) => ({
    cause: "disconnected",
    gapId: "gap",
    from: "2026-06-11T12:59:45.000Z",
    to: null,
    recovered: 1,
    over
  })
  const holesOf = (one: Effect.Effect.Success<ReturnType<typeof begin>>) =>
    Effect.map(one.checkpoint.markets, (markets) => markets.get(key)?.holes ?? [])
  const gap: MarketEvent = {
    type: "status",
    v: 1,
    exchange: "bitpin",
    event: "gap",
    symbol: "M1/IRT",
    id: "gap",
    gapId: "gap",
    channel: "trades",
    from: null,
    to: null,
    cause: "disconnected",
    recovered: 1,
    complete: true,
    receivedAt: "2026-06-11T12:59:45.301Z"
  }

  for (const kafkaIs of ["up", "down"] as const) {
    it.scopedLive(
      `a filled hole is remembered until its trade, then until its event is safe, Kafka ${kafkaIs}`,
      () =>
        Effect.gen(function*() {
          const { directory, fake, kafka } = yield* setup
          const one = yield* begin(directory, kafka)
          yield* fake[kafkaIs]
          one.checkpoint.closeHole(key, holeOf("filled"), { trade: "x:1", event: "gap" })
          assert.deepStrictEqual(yield* holesOf(one), [holeOf(null)])
          yield* one.sink.offer([trade(1)])
          yield* until(
            "the trade is acknowledged, or durable in the queue",
            Effect.map(holesOf(one), ([found]) => found?.over === "filled")
          )
          yield* one.sink.offer([gap])
          yield* until("so is the event", Effect.map(holesOf(one), (holes) => holes.length === 0))
          assert.isTrue(yield* one.stop)
          yield* one.end
          const two = yield* begin(directory, kafka)
          assert.deepStrictEqual(yield* holesOf(two), [])
          yield* two.end
        }),
      60_000
    )
  }

  it.scopedLive(
    "a hole does not wait for ever for a trade that is a dead letter before any queue had it",
    () =>
      Effect.gen(function*() {
        const { directory, kafka } = yield* setup
        const one = yield* begin(directory, kafka)
        one.checkpoint.closeHole(key, holeOf("filled"), { trade: "too large", event: null })
        one.ledger.received({ lane: "trade", exchange: "bitpin" }, 1)
        yield* one.sink.offer([{ ...trade(1), id: "too large", exchangeSymbol: "x".repeat(1024 * 1024) }])
        assert.deepStrictEqual(yield* holesOf(one), [])
        yield* one.end
      }),
    60_000
  )
})
