/** The service as a Layer, in a world of the test's own: broker, disk and lock in memory, exchanges on loopback. */
import * as Socket from "@effect/platform/Socket"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Ref } from "effect"
import * as AppConfig from "../../src/layers/AppConfig.ts"
import * as AppLayer from "../../src/layers/AppLayer.ts"
import * as Collector from "../../src/layers/Collector.ts"
import * as NodeWebSocket from "../../src/layers/node/WebSocket.ts"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import * as FakeKafka from "../../src/layers/testing/FakeKafka.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import { judge } from "../../src/layers/testing/Oracle.ts"
import { DirectoryLock, Locked } from "../../src/services/DirectoryLock.ts"
import type { Trade } from "../../src/services/MarketEvent.ts"
import type { Books } from "../../src/streams/Exchange.ts"
import { Exchanges } from "../../src/streams/Exchanges.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../src/streams/exchanges/Wallex.ts"
import { MemoryDisk } from "../support/MemoryDisk.ts"
import * as SteppedClock from "../support/SteppedClock.ts"

const until = <E>(condition: Effect.Effect<boolean, E>): Effect.Effect<void, E> =>
  Effect.asVoid(Effect.repeat(Effect.delay(condition, "10 millis"), { until: (met) => met }))

const url = Ref.unsafeMake("")
const running = Ref.unsafeMake<Collector.Collector | undefined>(undefined)

const service = (settings: AppConfig.Settings, world: Layer.Layer<Collector.World>) =>
  AppLayer.layerWithoutDependencies(settings, (at) => Ref.set(url, at)).pipe(
    Layer.provide(world),
    Layer.tap((context) => Ref.set(running, Context.get(context, Collector.Running)))
  )

/** So many trades have come in, each counted once. */
const received = (count: number) =>
  until(Effect.map(Ref.get(running), (collector) => {
    const accounts = collector?.ledger.accounts() ?? []
    return count === accounts.reduce(
      (sum, { filtered, received }) => [...filtered.values()].reduce((left, again) => left - again, sum + received),
      0
    )
  }))

/** What `/health` says. */
const health = Effect.flatMap(
  Ref.get(url),
  (at) => Effect.tryPromise(async (): Promise<string> => JSON.parse(await (await fetch(`${at}/health`)).text()).status)
)

/** What nobody else has, until it is `lost`; `release` runs as it is let go. */
const lock = (release: Effect.Effect<void> = Effect.void, lost: Effect.Effect<never, Locked> = Effect.never) =>
  Layer.succeed(DirectoryLock, {
    acquire: () => Effect.acquireRelease(Effect.succeed({ lost }), () => release)
  })

const stage = Effect.gen(function*() {
  const exchanges = [yield* FakeBitpin.make({ markets: 4 }), yield* FakeWallex.make({ markets: 4 })] as const
  const [bitpin, wallex] = exchanges
  const { settings } = yield* AppConfig.parse({
    DATA_DIR: "/data",
    HEALTH_PORT: "0",
    KAFKA_TOPIC_PREFIX: "t",
    WS_STAGGER: "10ms",
    BITPIN_API_URL: bitpin.server.apiUrl,
    BITPIN_WS_URL: bitpin.server.wsUrl,
    WALLEX_API_URL: wallex.server.apiUrl,
    WALLEX_WS_URL: wallex.server.wsUrl
  }, () => Effect.die("no file"))
  const kafka = yield* Layer.build(FakeKafka.layer)
  const broker = Context.get(kafka, FakeKafka.FakeKafka)
  const disk = new MemoryDisk()
  const stored = Effect.map(
    broker.records("t.trade.v1"),
    (records) => records.map(({ value }): Trade => JSON.parse(value))
  )
  return {
    exchanges,
    settings,
    broker,
    disk,
    stored,
    ready: Effect.promise(() => Promise.all(exchanges.map((exchange) => exchange.ready()))),
    trade: Effect.sync(() => exchanges.forEach((exchange) => exchange.trades(40))),
    /** Each of them is in the broker, once. */
    assertDelivered: Effect.map(stored, (trades) => {
      const { disordered, duplicates, foreign, missing } = judge(exchanges.flatMap(({ issued }) => issued), trades)
      assert.deepStrictEqual({ disordered, duplicates, foreign, missing }, {
        disordered: [],
        duplicates: [],
        foreign: [],
        missing: []
      })
    }),
    /** On Node, but for these. */
    world: Layer.mergeAll(Collector.node(settings), Layer.succeedContext(kafka), disk.layer, lock())
  }
})

describe("AppLayer.layerWithoutDependencies", () => {
  it.scopedLive("stops in order as its scope closes: feeds, queues and checkpoint, the lock, the HTTP server", () =>
    Effect.gen(function*() {
      const { assertDelivered, broker, disk, exchanges, ready, settings, stored, trade, world } = yield* stage
      const atRelease: Array<unknown> = []
      const release = Effect.gen(function*() {
        yield* until(Effect.sync(() => exchanges.every(({ subscribed }) => subscribed === 0)))
        atRelease.push({
          openFiles: disk.open,
          health: yield* health
        })
      })

      const first = yield* Effect.fork(Layer.launch(service(settings, Layer.merge(world, lock(Effect.orDie(release))))))
      yield* ready
      yield* trade
      yield* until(Effect.map(stored, ({ length }) => length === 80))
      yield* broker.down
      yield* trade
      yield* received(160)
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual(atRelease, [{ openFiles: 0, health: "draining" }])
      assert.strictEqual((yield* Effect.either(health))._tag, "Left", "the HTTP server has ended too")

      // What the stop has put on the disk is what the next life delivers.
      assert.isTrue(disk.paths().some((path) => /^\/data\/queue\/t\.trade\.v1\/\d+\.seg$/.test(path)))
      yield* broker.up
      const second = yield* Effect.fork(Layer.launch(service(settings, world)))
      yield* until(Effect.map(stored, ({ length }) => length === 160))
      yield* Fiber.interrupt(second)
      yield* assertDelivered
    }))

  it.scopedLive("does not stop in order once another process owns the directory: that would write", () =>
    Effect.gen(function*() {
      const { ready, settings, world } = yield* stage
      const taken = yield* Deferred.make<never, Locked>()
      const atRelease: Array<string> = []
      const release = Effect.map(Effect.orDie(health), (status) => void atRelease.push(status))
      yield* Effect.scoped(Effect.gen(function*() {
        const { ended } = Context.get(
          yield* Layer.build(service(settings, Layer.merge(world, lock(release, Deferred.await(taken))))),
          Collector.Running
        )
        yield* ready
        yield* Deferred.fail(taken, new Locked({ path: "/data/LOCK", holder: null }))
        assert.strictEqual((yield* Effect.flip(ended))._tag, "Locked")
      }))
      assert.lengthOf(atRelease, 1)
      assert.notInclude(atRelease, "draining")
    }))

  it.scopedLive("a stop whose caller is interrupted goes on, and whoever asks again gets what it came to", () =>
    Effect.gen(function*() {
      const { broker, disk, ready, settings, stored, trade, world } = yield* stage
      const { stop } = Context.get(yield* Layer.build(service(settings, world)), Collector.Running)
      yield* ready
      yield* trade
      yield* until(Effect.map(stored, ({ length }) => length === 80))
      yield* broker.down
      yield* trade
      yield* received(160)
      const caller = yield* Effect.fork(stop)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(caller)
      assert.isTrue(yield* stop)
      assert.isTrue(disk.paths().some((path) => /^\/data\/queue\/t\.trade\.v1\/\d+\.seg$/.test(path)))
    }))

  it.scopedLive("two of them in one layer share no breaker", () =>
    Effect.gen(function*() {
      const { settings, world } = yield* stage
      const other = { ...settings, dataDir: "/other" }
      const both: Array<Collector.Collector> = []
      yield* Layer.build(Layer.merge(
        Layer.tap(service(settings, world), (context) =>
          Effect.sync(() => both.push(Context.get(context, Collector.Running)))),
        Layer.tap(service(other, world), (context) =>
          Effect.sync(() =>
            both.push(Context.get(context, Collector.Running))
          ))
      ))
      const counts = yield* Effect.forEach(both, ({ breakers }) =>
        Effect.map(breakers.snapshots, ({ length }) => length))
      // API and socket of both exchanges, the two lanes.
      assert.deepStrictEqual(counts, [6, 6])
    }))

  it.scopedLive("takes the sockets that it is given, and the clock", () =>
    SteppedClock.run((wall) =>
      Effect.gen(function*() {
        yield* wall.step("10 minutes", "back")
        const { assertDelivered, ready, settings, stored, trade, world } = yield* stage
        const dialled: Array<string> = []
        const sockets = Layer.succeed(Collector.Sockets, {
          layer: (options) =>
            Layer.map(NodeWebSocket.layer(options), (context) => {
              const dial = Context.get(context, Socket.WebSocketConstructor)
              return Context.make(Socket.WebSocketConstructor, (at, protocols) => {
                dialled.push(at)
                return dial(at, protocols)
              })
            })
        })
        const fiber = yield* Effect.fork(Layer.launch(service(settings, Layer.merge(world, sockets))))
        yield* ready
        yield* trade
        yield* until(Effect.map(stored, ({ length }) => length === 80))
        yield* Fiber.interrupt(fiber)
        yield* assertDelivered
        const late = Date.now() - 5 * 60_000
        assert.deepStrictEqual((yield* stored).filter(({ receivedAt }) => Date.parse(receivedAt) > late), [])
        const { endpoints } = yield* AppConfig.choose(settings, "bitpin")
        assert.include(dialled.map((at) => new URL(at).origin), new URL(endpoints.wsUrl).origin)
      })
    ))
})

describe("AppLayer.withoutBooks", () => {
  it.effect("names those of the exchanges chosen that have no order books, where these are asked for", () =>
    Effect.gen(function*() {
      const books: Books = { link: "replaced", levels: 50, numbers: "none", picture: undefined }
      const list = [{ ...bitpin, books }, { ...wallex, books: undefined }, { ...wallex, id: "third", books: undefined }]
      const said = (env: Readonly<Record<string, string>>) =>
        AppConfig.parse({ EXCHANGES: "bitpin,wallex", ...env }, () => Effect.die("no file")).pipe(
          Effect.flatMap(({ settings }) => AppLayer.withoutBooks(settings)),
          Effect.provideService(Exchanges, list)
        )
      assert.deepStrictEqual(yield* said({}), [])
      assert.deepStrictEqual(yield* said({ CHANNELS: "trades,books" }), [
        "CHANNELS: wallex has no order books here, only its trades are collected"
      ])
      assert.deepStrictEqual(yield* said({ CHANNELS: "books" }), [
        "CHANNELS: wallex has no order books here, nothing is collected from it"
      ])
    }))
})

describe("AppLayer.withFewerLevels", () => {
  it.effect("names those of the exchanges chosen that give fewer levels than are asked for", () =>
    Effect.gen(function*() {
      const books: Books = { link: "replaced", levels: 20, numbers: "own", picture: undefined }
      const list = [{ ...bitpin, books }, { ...wallex, books: { ...books, levels: 50 } }, {
        ...wallex,
        id: "third",
        books
      }]
      const said = (env: Readonly<Record<string, string>>) =>
        AppConfig.parse({ EXCHANGES: "bitpin,wallex", CHANNELS: "books", ...env }, () => Effect.die("no file")).pipe(
          Effect.flatMap(({ settings }) => AppLayer.withFewerLevels(settings)),
          Effect.provideService(Exchanges, list)
        )
      assert.deepStrictEqual(yield* said({}), [])
      assert.deepStrictEqual(yield* said({ BOOK_DEPTH: "21", CHANNELS: "trades" }), [])
      assert.deepStrictEqual(yield* said({ BOOK_DEPTH: "all" }), [])
      assert.deepStrictEqual(yield* said({ BOOK_DEPTH: "21" }), [
        "BOOK_DEPTH: bitpin gives fewer levels here, 20 a side and not 21"
      ])
      // As many as it gives by what is asked.
      list.push({ ...wallex, id: "fourth", books: { ...books, by: ({ deltas }) => deltas ? { levels: 400 } : {} } })
      const fourth = { EXCHANGES: "fourth", BOOK_DEPTH: "100" }
      assert.lengthOf(yield* said(fourth), 1)
      assert.deepStrictEqual(yield* said({ ...fourth, BOOK_DELTAS: "true" }), [])
    }))
})

describe("Collector.lanesOf", () => {
  it("has a lane for each channel that is chosen, and one for status events", () => {
    const of = (channels: AppConfig.Settings["channels"]) => Collector.lanesOf({ channels })
    assert.deepStrictEqual(of(["trades"]), ["trade", "status"])
    assert.deepStrictEqual(of(["books"]), ["book", "status"])
    assert.deepStrictEqual(of(["books", "trades"]), ["trade", "book", "status"])
  })
})

describe("Collector.feedSettings", () => {
  it.effect("has what is set of order books, and which channels", () =>
    Effect.gen(function*() {
      const env = {
        CHANNELS: "books",
        BOOK_DEPTH: "all",
        BOOK_INTERVAL: "250ms",
        BOOK_REFRESH: "5m",
        BOOK_DELTAS: "true"
      }
      const { settings } = yield* AppConfig.parse(env, () => Effect.die("no file"))
      const { books, channels } = Collector.feedSettings(yield* AppConfig.choose(settings, "bitpin"), settings)
      assert.deepStrictEqual({ books, channels }, {
        books: { depth: "all", interval: Duration.millis(250), refresh: Duration.minutes(5), deltas: true },
        channels: ["books"]
      })
    }))
})
