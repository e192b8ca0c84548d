/** Fake exchanges without sockets: what the script does to their clients, and hours of trading judged in seconds. */
import { HttpClient, Socket } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Exit, Fiber, Layer, Logger, LogLevel, Random, Scope, TestClock } from "effect"
import * as FakeBitpin from "../../../src/layers/testing/FakeBitpin.ts"
import { type FakeExchange } from "../../../src/layers/testing/FakeExchange.ts"
import { makeRandom } from "../../../src/layers/testing/FakeMarkets.ts"
import * as FakeWallex from "../../../src/layers/testing/FakeWallex.ts"
import * as Memory from "../../../src/layers/testing/Memory.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import { html, tooManyRequests } from "../../../src/layers/testing/Script.ts"
import type { MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import type { Exchange } from "../../../src/streams/Exchange.ts"
import { exchanges } from "../../../src/streams/exchanges/index.ts"
import { hurryClock, run, settle } from "../../streams/support/Harness.ts"

/** What a client heard, in order: frames, and its end. */
const dial = Effect.fnUntraced(function*(url: string) {
  const construct = yield* Socket.WebSocketConstructor
  const socket = construct(url)
  const heard: Array<unknown> = []
  socket.addEventListener("open", () => heard.push("open"))
  socket.addEventListener("message", ({ data }) => heard.push(data))
  socket.addEventListener("error", (event) => heard.push(Reflect.get(event, "message")))
  socket.addEventListener("close", ({ code }) => heard.push(code))
  yield* settle
  return { heard, socket: socket as globalThis.WebSocket & { pause: () => void; resume: () => void } }
})

/** Subscribed to Wallex's Bitcoin, whose frames are the simplest; the greeting is heard. */
const subscriber = Effect.gen(function*() {
  const fake = yield* FakeWallex.FakeWallex
  const client = yield* dial(fake.wsUrl)
  client.socket.send(`["subscribe",{"channel":"BTCTMN@trade"}]`)
  client.heard.splice(0)
  return { fake, ...client }
})

const get = (url: string) =>
  Effect.flatMap(
    HttpClient.get(url),
    (response) => Effect.map(response.text, (text) => ({ status: response.status, headers: response.headers, text }))
  )

const wallex = Effect.provide(FakeWallex.memory({ markets: 1 }))

describe("a connection", () => {
  for (const code of [1000, 1012, 1006]) {
    it.scoped(`ends with ${code}, after all that was sent has arrived`, () =>
      Effect.gen(function*() {
        const { fake, heard } = yield* subscriber
        fake.trades(3)
        fake.server.drop(code)
        fake.trades(1)
        assert.lengthOf(heard, 4)
        assert.strictEqual(heard[3], code)
        assert.strictEqual(fake.server.connections.size, 0)
        assert.strictEqual(fake.server.accepted[0]?.closeCode, code)
        assert.deepStrictEqual(fake.issued.map(({ sent }) => sent), [true, true, true, false])
      }).pipe(wallex))
  }

  it.scoped("ends by a reset: what was sent just before is doubtful", () =>
    Effect.gen(function*() {
      const { fake, heard } = yield* subscriber
      fake.trades(1)
      yield* TestClock.adjust("1100 millis")
      fake.trades(1)
      fake.server.drop("reset")
      assert.deepStrictEqual(heard.slice(2), ["read ECONNRESET", 1006])
      assert.deepStrictEqual(fake.issued.map(({ sent }) => sent), [true, false])
    }).pipe(wallex))

  it.scoped("ends, and is reset before the client has read all: what it has not read is doubtful", () =>
    Effect.gen(function*() {
      const { fake, heard, socket } = yield* subscriber
      fake.trades(1)
      yield* TestClock.adjust("1100 millis")
      socket.pause()
      fake.trades(2)
      fake.server.drop(1006)
      yield* Effect.promise(() => fake.server.refuse())
      socket.resume()
      assert.deepStrictEqual(heard.slice(1), ["read ECONNRESET", 1006])
      assert.deepStrictEqual(fake.issued.map(({ sent }) => sent), [true, false, false])
    }).pipe(wallex))

  it.scoped("ends by the client: the server hears with which code, and what was sent just before is doubtful", () =>
    Effect.gen(function*() {
      const { fake, heard, socket } = yield* subscriber
      fake.trades(1)
      socket.close(4001)
      assert.deepStrictEqual(heard.slice(1), [4001])
      assert.strictEqual(fake.server.accepted[0]?.closeCode, 4001)
      assert.isFalse(fake.issued[0]?.sent)
    }).pipe(wallex))

  it.scoped("ends right after it was accepted, or after so many frames", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.FakeWallex
      fake.server.script.acceptThenClose = 1012
      assert.deepStrictEqual((yield* dial(fake.wsUrl)).heard, ["open", 1012])
      fake.server.heal()
      fake.server.script.closeAfterFrames = { frames: 3, how: 1006 }
      const { heard } = yield* subscriber
      fake.trades(5)
      assert.strictEqual(heard.at(-1), 1006)
      assert.lengthOf(heard, 3)
      assert.deepStrictEqual(fake.issued.map(({ sent }) => sent), [true, true, false, false, false])
    }).pipe(wallex))

  it.scoped("is half-open: no word, no end; a new one is served", () =>
    Effect.gen(function*() {
      const { fake, heard, socket } = yield* subscriber
      fake.server.halfOpen()
      fake.trades(1)
      socket.close()
      assert.deepStrictEqual(heard, [])
      assert.strictEqual(fake.server.connections.size, 1)
      const { heard: other } = yield* subscriber
      fake.trades(1)
      assert.lengthOf(other, 1)
      // What comes of it in the end is heard by nobody.
      fake.server.drop("reset")
      assert.strictEqual(fake.server.connections.size, 0)
    }).pipe(wallex))

  it.scoped("is slow, or mute, or silent", () =>
    Effect.gen(function*() {
      const { fake, heard } = yield* subscriber
      fake.server.script.delay = 5_000
      fake.trades(1)
      yield* TestClock.adjust("4999 millis")
      assert.lengthOf(heard, 0)
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(heard, 1)
      fake.server.heal()
      fake.server.script.mute = "all"
      fake.trades(1)
      assert.lengthOf(heard, 1)
      fake.server.heal()
      fake.server.script.silent = true
      const { heard: other } = yield* dial(fake.wsUrl)
      assert.deepStrictEqual(other, ["open"])
    }).pipe(wallex))

  it.scoped("waits for a reader that is behind, and cuts one that is too far behind with 3008", () =>
    Effect.gen(function*() {
      const { fake, heard, socket } = yield* subscriber
      socket.pause()
      fake.trades(100)
      assert.lengthOf(heard, 0)
      assert.strictEqual(fake.server.accepted[0]?.queued, 36)
      socket.resume()
      assert.lengthOf(heard, 100)
      fake.server.script.maxQueued = 10
      socket.pause()
      fake.trades(75)
      socket.resume()
      assert.strictEqual(heard.at(-1), 3008)
      assert.strictEqual(fake.issued.filter(({ sent }) => sent).length, heard.length - 1)
    }).pipe(wallex))

  it.scoped("does not survive a frame beyond the limit of the client", () =>
    Effect.gen(function*() {
      const { fake, heard } = yield* subscriber
      fake.server.oversize(1024 * 1024)
      assert.lengthOf(heard, 1)
      fake.server.oversize(1024 * 1024 + 1)
      assert.deepStrictEqual(heard.slice(1), ["Max payload size exceeded", 1006])
      assert.strictEqual(fake.server.accepted[0]?.closeCode, 1009)
    }).pipe(wallex))

  it.scoped("hears pings, and the server pongs", () =>
    Effect.gen(function*() {
      const { fake } = yield* subscriber
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(fake.server.accepted[0]?.pongs, 3)
      // The real one cuts by age.
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(fake.server.accepted[0]?.closeCode, 1000)
    }).pipe(wallex))
})

it.scoped("subscriptions are answered late, refused, or passed over", () =>
  Effect.gen(function*() {
    const fake = yield* FakeBitpin.FakeBitpin
    const { heard, socket } = yield* dial(fake.wsUrl)
    const [first = "", second = "", third = ""] = fake.tradable.map(({ exchangeSymbol }) => exchangeSymbol)
    Object.assign(fake.server.script, { ackDelay: 3_000, denied: new Set([second]), ignored: new Set([third]) })
    socket.send(
      [
        { id: 1, connect: {} },
        ...[first, second, third].map((one, i) => ({ id: i + 2, subscribe: { channel: `matches:${one}` } }))
      ]
        .map((command) => JSON.stringify(command)).join("\n")
    )
    assert.lengthOf(heard, 2)
    yield* TestClock.adjust("3 seconds")
    assert.deepStrictEqual(heard.slice(2), [
      `{"id":2,"subscribe":{}}`,
      `{"id":3,"error":{"code":103,"message":"permission denied"}}`
    ])
    // By then the first ping has come, and nobody answers.
    yield* TestClock.adjust("35 seconds")
    assert.deepStrictEqual(heard.slice(4), ["{}", 3012])
  }).pipe(Effect.provide(FakeBitpin.memory({ markets: 3 }))))

it.scoped("an upgrade is refused, hangs, or leads nowhere", () =>
  Effect.gen(function*() {
    const fake = yield* FakeWallex.FakeWallex
    fake.server.script.upgrade = html
    assert.deepStrictEqual((yield* dial(fake.wsUrl)).heard, ["Unexpected server response: 502", 1006])
    fake.server.script.upgrade = "hang"
    const hung = yield* dial(fake.wsUrl)
    assert.deepStrictEqual(hung.heard, [])
    fake.server.heal()
    assert.deepStrictEqual((yield* dial(`${fake.wsUrl}/x`)).heard, ["Unexpected server response: 404", 1006])
    assert.deepStrictEqual((yield* dial("ws://nowhere.memory")).heard, ["getaddrinfo ENOTFOUND nowhere.memory", 1006])
    yield* Effect.promise(() => fake.server.refuse())
    assert.deepStrictEqual(hung.heard, ["read ECONNRESET", 1006])
    assert.deepStrictEqual((yield* dial(fake.wsUrl)).heard, ["connect ECONNREFUSED", 1006])
    assert.deepStrictEqual(fake.server.dials.map(({ accepted }) => accepted), [false, false, false])
    yield* Effect.promise(() => fake.server.listen())
    assert.strictEqual((yield* dial(fake.wsUrl)).heard[0], "open")
  }).pipe(wallex))

it.scoped("a question is answered, late, with something else, or never", () =>
  Effect.gen(function*() {
    const fake = yield* FakeWallex.FakeWallex
    yield* TestClock.setTime(Date.parse("2026-03-01T00:00:00Z"))
    const url = `${fake.apiUrl}/v1/trades?symbol=BTCTMN`
    fake.trades(2)
    fake.server.script.restDelay = 3_000
    const late = yield* Effect.fork(get(url))
    yield* settle
    fake.trades(1)
    yield* TestClock.adjust("2999 millis")
    assert.isNull(late.unsafePoll())
    yield* TestClock.adjust("1 millis")
    const { headers, status, text } = yield* Fiber.join(late)
    // As it was when it was asked for.
    assert.lengthOf(JSON.parse(text).result.latestTrades, 2)
    assert.deepStrictEqual([status, headers["date"]], [200, "Sun, 01 Mar 2026 00:00:00 GMT"])
    assert.deepStrictEqual(fake.issued.map(({ served }) => served), [true, true, false])
    fake.server.heal()
    fake.server.script.rest = tooManyRequests(3)
    const limited = yield* get(url)
    assert.deepStrictEqual([limited.status, limited.headers["retry-after"]], [429, "3"])
    fake.server.script.rest = "hang"
    const hung = yield* Effect.fork(Effect.either(get(url)))
    yield* TestClock.adjust("1 hour")
    assert.isNull(hung.unsafePoll())
    yield* Effect.promise(() => fake.server.refuse())
    assert.isTrue(Either.isLeft(yield* Fiber.join(hung)))
    assert.isTrue(Either.isLeft(yield* Effect.either(get(url))))
    assert.lengthOf(fake.server.restCalls, 3)
  }).pipe(wallex))

it.scoped("a fake goes with its scope, those beside it stay, and each has a host of its own", () =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const born = (options: FakeWallex.Options) =>
      Memory.make((place) => new FakeWallex.FakeWallexExchange(options, place))
    const one = yield* Scope.extend(born({ markets: 1 }), scope)
    const other = yield* born({ markets: 1 })
    assert.notStrictEqual(one.wsUrl, other.wsUrl)
    const clients = [yield* dial(one.wsUrl), yield* dial(other.wsUrl)]
    yield* Scope.close(scope, Exit.void)
    assert.deepStrictEqual(clients.map(({ heard }) => heard.at(-1) === 1006), [true, false])
  }).pipe(Effect.provide(Memory.network)))

/** An hour of the test's clock is some 5 000 timers of a feed. */
const hours = 3

/** What a server does to its clients, one after the other, for so many half minutes each. */
const troubles: ReadonlyArray<readonly [lasts: number, begin: (fake: FakeExchange) => void]> = [
  [1, ({ server }) => server.drop(1006)],
  [1, ({ server }) => server.drop(1012)],
  [1, ({ server }) => server.drop("reset")],
  [4, ({ server }) => server.halfOpen()],
  [3, ({ server }) => {
    server.script.upgrade = tooManyRequests(20)
    server.drop(1001)
  }],
  // Longer than what the history has.
  [6, ({ server }) => {
    server.script.upgrade = html
    server.drop(1006)
  }],
  [4, ({ server }) => {
    server.script.rest = html
    server.drop(1006)
  }],
  [2, ({ server }) => {
    server.script.restDelay = 8_000
    server.drop(1006)
  }],
  [3, ({ server }) => {
    server.script.delay = 2_000
    server.drop(1006)
  }],
  [2, ({ server }) => {
    server.script.closeAfterFrames = { frames: 4, how: 1006 }
  }]
]

/** Their histories are so short that some holes stay. */
const fakes = Layer.mergeAll(
  FakeBitpin.memory({ markets: 1, history: 6 }),
  FakeWallex.memory({ markets: 1, history: 6 })
)

/** A feed of a fake's market for so long, with the troubles if it is so wanted; what it delivered. */
const live = Effect.fnUntraced(function*(
  exchange: Exchange,
  fake: FakeExchange,
  halfMinutes: number,
  isTroubled: boolean
) {
  const feed = yield* run(exchange, { endpoints: fake })
  const random = makeRandom(7)
  let healAt = 0
  let turn = 0
  for (let i = 0; i < halfMinutes; i++) {
    if (healAt === i) fake.server.heal()
    if (isTroubled && i > healAt + 4 && random() < 0.2) {
      const [lasts, begin] = troubles[turn++ % troubles.length] ?? [1, () => {}]
      begin(fake)
      healAt = i + lasts
    }
    for (let n = Math.floor(random() * 3); n >= 0; n--) {
      yield* Effect.sleep(Duration.millis(1 + random() * 9_000))
      fake.trades(1)
    }
    yield* Effect.sleep("3 seconds")
  }
  fake.server.heal()
  // Where nothing is acknowledged a hole ends with a trade, so trading goes on until there is none.
  const isCalm = () => fake.subscribed > 0 && feed.status().gaps.open === 0
  for (let calm = 0; calm < 3; calm = isCalm() ? calm + 1 : 0) {
    yield* Effect.sleep("10 seconds")
    fake.trades(1)
  }
  yield* Effect.sleep("10 seconds")
  return { events: yield* feed.rest, dials: fake.server.dials.length, turn }
})

/** Both at once, by the test's clock. */
const story = (halfMinutes: number, isTroubled: boolean, spoil: (exchange: Exchange) => Exchange = (one) => one) =>
  Effect.gen(function*() {
    yield* hurryClock
    yield* TestClock.setTime(Date.parse("2026-03-01T00:00:00Z"))
    return yield* Effect.gen(function*() {
      const bitpin = yield* FakeBitpin.FakeBitpin
      const wallex = yield* FakeWallex.FakeWallex
      const both = yield* Effect.all([
        Effect.map(live(spoil(exchanges.bitpin), bitpin, halfMinutes, isTroubled), (one) => ({ fake: bitpin, ...one })),
        Effect.map(live(spoil(exchanges.wallex), wallex, halfMinutes, isTroubled), (one) => ({ fake: wallex, ...one }))
      ], { concurrency: "unbounded" }).pipe(Effect.fork)
      while (both.unsafePoll() === null) yield* Effect.andThen(TestClock.adjust("1 minute"), settle)
      return yield* Fiber.join(both)
    }).pipe(Effect.provide(fakes), Logger.withMinimumLogLevel(LogLevel.None), Effect.withRandom(Random.make(7)))
  })

const isTrade = (event: MarketEvent): event is Trade => event.type === "trade"

describe("hours of one market, in seconds", () => {
  it.scoped(`${hours} hours with an ill server: nothing is lost untold`, () =>
    Effect.gen(function*() {
      for (const { dials, events, fake, turn } of yield* story(hours * 120, true)) {
        const trades = events.filter(isTrade)
        const verdict = Oracle.judge(fake.issued, trades)
        const { disordered, duplicates, foreign, wrong } = verdict
        assert.deepStrictEqual({ disordered, duplicates, foreign, wrong }, {
          disordered: [],
          duplicates: [],
          foreign: [],
          wrong: []
        })
        assert.deepStrictEqual(Oracle.untold(fake.issued, events), [], fake.id)
        // Else it tested nothing: each trouble came, something was recovered, something is lost, and a hole tells of it.
        assert.isAbove(turn, troubles.length, fake.id)
        assert.isAbove(dials, 2 * troubles.length, fake.id)
        assert.isAbove(trades.filter(({ source }) => source === "rest").length, 20, fake.id)
        assert.isAbove(verdict.unsent.length, 0, fake.id)
        // The judge is not blind: each of some delivered trades is missed when it is taken away.
        const outside = trades.filter(({ source }) => source === "ws").slice(10, -10)
        for (const gone of outside.filter((_, i) => i % 200 === 0)) {
          const rest = events.filter((event) => event !== gone)
          assert.include(Oracle.untold(fake.issued, rest), gone.id, fake.id)
        }
      }
    }), 120_000)

  it.scoped("a feed that loses a trade without a word is found out", () =>
    Effect.gen(function*() {
      const deaf = (exchange: Exchange): Exchange => {
        let heard = 0
        return {
          ...exchange,
          socket: {
            ...exchange.socket,
            decode: (text, topicOf) =>
              exchange.socket.decode(text, topicOf).map((message) =>
                // BitPin's windows tell each trade three times.
                message._tag === "trades" && heard++ >= 5 && heard <= 8 ? { ...message, rows: [] } : message
              )
          }
        }
      }
      for (const { events, fake } of yield* story(10, false, deaf)) {
        assert.isAbove(Oracle.untold(fake.issued, events).length, 0, fake.id)
      }
      for (const { events, fake } of yield* story(10, false)) {
        assert.deepStrictEqual(Oracle.untold(fake.issued, events), [], fake.id)
      }
    }), 60_000)
})
