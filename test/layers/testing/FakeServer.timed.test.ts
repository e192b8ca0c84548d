import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as net from "node:net"
import * as FakeBitpin from "../../../src/layers/testing/FakeBitpin.ts"
import type { FakeExchange } from "../../../src/layers/testing/FakeExchange.ts"
import * as FakeWallex from "../../../src/layers/testing/FakeWallex.ts"
import { judge } from "../../../src/layers/testing/Oracle.ts"
import { html, notSuccessful, redirect, tooManyRequests, unavailable } from "../../../src/layers/testing/Script.ts"
import { connect, fetched, getJson, RawClient, refusedUpgrade, wallexTrades } from "./RawClient.ts"

/** Wallex's frames are the simplest: one for each trade. */
const subscriber = (fake: FakeExchange, ...symbols: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const client = yield* connect(fake.wsUrl)
    for (const symbol of symbols) client.send(["subscribe", { channel: `${symbol}@trade` }])
    const [connection] = [...fake.server.accepted].reverse()
    if (connection === undefined) return yield* Effect.dieMessage("not accepted")
    while (connection.subscriptions.size < symbols.length) yield* Effect.sleep("1 millis")
    return { client, connection }
  })

const refused = (port: number) =>
  Effect.async<boolean>((resume) => {
    const socket = net.connect(port, "127.0.0.1")
    socket.on("connect", () => {
      socket.destroy()
      resume(Effect.succeed(false))
    })
    socket.on("error", () => resume(Effect.succeed(true)))
  })

describe("a connection ends", () => {
  for (const code of [1000, 1012, 3001, 1006]) {
    it.scopedLive(`with ${code}, after all that was sent has arrived`, () =>
      Effect.gen(function*() {
        const fake = yield* FakeWallex.make({ markets: 1 })
        const { client, connection } = yield* subscriber(fake, "BTCTMN")
        fake.trades(500)
        fake.server.drop(code)
        fake.trades(5)
        assert.strictEqual(yield* client.closeCode, code)
        assert.strictEqual(client.frames.length, 501)
        assert.strictEqual(fake.issued.filter(({ sent }) => sent).length, 500)
        while (fake.server.connections.size > 0) yield* Effect.sleep("1 millis")
        // Once closed, the verdict stays: they were there to be read.
        assert.strictEqual(fake.issued.filter(({ sent }) => sent).length, 500)
        assert.strictEqual(connection.closeCode, code)
        assert.deepStrictEqual(judge(fake.issued, wallexTrades(client.documents)).missing, [])
      }))
  }

  it.scopedLive("by a reset: what was sent just before is doubtful, what came over another connection is not", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      const a = yield* subscriber(fake, "BTCTMN", "ETHTMN")
      const b = yield* subscriber(fake, "BTCTMN")
      fake.trade("BTCTMN")
      fake.trade("ETHTMN")
      fake.server.drop("reset", (connection) => connection === a.connection)
      assert.strictEqual(yield* a.client.closeCode, 1006)
      yield* b.client.frameCount(2)
      assert.isTrue(b.connection.alive)
      assert.deepStrictEqual(fake.issued.map(({ reachable, sent }) => [sent, reachable]), [[true, true], [false, true]])
      const verdict = judge(fake.issued, wallexTrades(b.client.documents))
      assert.deepStrictEqual([verdict.missing, verdict.doubtful.length, verdict.foreign], [[], 1, []])
    }))

  it.scopedLive("by the client: what was sent just before is doubtful", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      const { client } = yield* subscriber(fake, "BTCTMN")
      fake.trade("BTCTMN")
      assert.isTrue(fake.issued[0]?.sent)
      client.ws.close()
      while (fake.server.connections.size > 0) yield* Effect.sleep("1 millis")
      assert.isFalse(fake.issued[0]?.sent)
    }))

  it.scopedLive("right after it was accepted, or after so many frames", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      fake.server.script.acceptThenClose = 1012
      const first = yield* connect(fake.wsUrl)
      assert.strictEqual(yield* first.closeCode, 1012)
      assert.strictEqual(first.frames.length, 0)
      fake.server.heal()
      fake.server.script.closeAfterFrames = { frames: 3, how: 1006 }
      const { client } = yield* subscriber(fake, "BTCTMN")
      for (let i = 0; i < 5; i++) fake.trade("BTCTMN")
      assert.strictEqual(yield* client.closeCode, 1006)
      assert.strictEqual(client.frames.length, 3)
      assert.deepStrictEqual(fake.issued.map(({ sent }) => sent), [true, true, false, false, false])
      assert.deepStrictEqual(fake.server.dials.map(({ accepted }) => accepted), [true, true])
    }))
})

describe("the listener", () => {
  it.scopedLive("refuses, and comes back on the same port", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      const port = Number(new URL(fake.apiUrl).port)
      const { client } = yield* subscriber(fake, "BTCTMN")
      yield* Effect.promise(() => fake.server.refuse())
      assert.strictEqual(yield* client.closeCode, 1006)
      assert.isTrue(yield* refused(port))
      yield* Effect.promise(() => fake.server.listen())
      assert.strictEqual(Number(new URL(fake.apiUrl).port), port)
      yield* subscriber(fake, "BTCTMN")
      assert.strictEqual(fake.server.accepted.length, 2)
    }))

  it.live("closes with the scope, hung calls and open connections included", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const fake = yield* Scope.extend(FakeBitpin.make(), scope)
      const client = yield* Scope.extend(connect(fake.wsUrl), scope)
      fake.server.script.rest = "hang"
      const hung = fetched(`${fake.apiUrl}/api/v1/mkt/markets/`).then(() => "answered", () => "broken")
      while (fake.server.restCalls.length === 0) yield* Effect.sleep("1 millis")
      fake.server.halfOpen()
      const port = Number(new URL(fake.apiUrl).port)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Effect.promise(() => hung), "broken")
      assert.strictEqual(yield* client.closeCode, 1006)
      assert.isTrue(yield* refused(port))
    }))
})

describe("instead of the truth", () => {
  it.scopedLive("an upgrade is answered with", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      for (
        const [answer, status] of [[html, 502], [unavailable, 503], [tooManyRequests(7), 429], [
          redirect("/x"),
          302
        ]] as const
      ) {
        fake.server.script.upgrade = answer
        assert.strictEqual((yield* refusedUpgrade(fake.wsUrl)).status, status)
      }
      fake.server.script.upgrade = tooManyRequests(7)
      assert.include((yield* refusedUpgrade(fake.wsUrl)).headers, { "retry-after": "7" })
      fake.server.heal()
      assert.strictEqual((yield* refusedUpgrade(`${fake.wsUrl}/elsewhere`)).status, 404)
      yield* connect(fake.wsUrl)
      assert.deepStrictEqual(fake.server.dials.map(({ accepted }) => accepted), [
        false,
        false,
        false,
        false,
        false,
        false,
        true
      ])
      assert.isTrue(fake.server.dials.every(({ at }) => Math.abs(at - Date.now()) < 10_000))
    }))

  it.scopedLive("an upgrade hangs", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      fake.server.script.upgrade = "hang"
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new RawClient(fake.wsUrl)),
        ({ ws }) => Effect.sync(() => ws.terminate())
      )
      while (fake.server.dials.length === 0) yield* Effect.sleep("1 millis")
      // Another is served meanwhile, so this one would have been, too.
      fake.server.heal()
      yield* connect(fake.wsUrl)
      assert.strictEqual(client.ws.readyState, client.ws.CONNECTING)
      assert.strictEqual(fake.server.accepted.length, 1)
      assert.deepStrictEqual(fake.server.dials.map(({ accepted }) => accepted), [false, true])
    }))

  it.scopedLive("a REST call is answered with", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      const get = () => getJson(`${fake.apiUrl}/hector/web/v1/markets`)
      fake.server.script.rest = tooManyRequests(3)
      const limited = yield* get()
      assert.deepStrictEqual([limited.status, limited.headers.get("retry-after")], [429, "3"])
      fake.server.script.rest = html
      assert.include((yield* get()).body, "<html>")
      fake.server.script.rest = notSuccessful
      const failed = yield* get()
      assert.deepStrictEqual([failed.status, failed.body.success], [200, false])
      fake.server.heal()
      assert.isTrue((yield* get()).body.success)
      assert.strictEqual(fake.server.restCalls.length, 4)
    }))

  it.scopedLive("a history is short, and late: as it was when it was asked for", () =>
    Effect.gen(function*() {
      for (const fake of [yield* FakeWallex.make(), yield* FakeBitpin.make()]) {
        const [market] = fake.tradable
        const symbol = market?.exchangeSymbol ?? ""
        const path = fake.id === "wallex" ? `/v1/trades?symbol=${symbol}` : `/api/v1/mth/matches/${symbol}/`
        const rows = Effect.map(
          getJson(`${fake.apiUrl}${path}`),
          ({ body }): number => (fake.id === "wallex" ? body.result.latestTrades : body).length
        )
        for (let n = 0; n < 5; n++) fake.trade(symbol)
        fake.server.script.history = 2
        assert.strictEqual(yield* rows, 2)
        fake.server.heal()
        fake.server.script.restDelay = 300
        const late = yield* Effect.fork(rows)
        while (fake.server.restCalls.length < 2) yield* Effect.sleep("1 millis")
        fake.trade(symbol)
        fake.server.heal()
        assert.strictEqual(yield* rows, 6)
        assert.strictEqual(yield* late, 5)
      }
    }))
})

describe("a stream", () => {
  it.scopedLive("carries garbage and giants", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      const { client } = yield* subscriber(fake)
      fake.server.frame("{\"half\":")
      fake.server.frame(new Uint8Array([0, 255]))
      fake.server.oversize(2_000_000)
      yield* client.frameCount(4)
      assert.strictEqual(client.frames[1], "{\"half\":")
      assert.strictEqual(client.frames[3]?.length, 2_000_000)
    }))

  it.scopedLive("garbage is a frame of its own where documents share frames", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ batch: 8, window: 1 })
      const client = yield* connect(fake.wsUrl)
      client.send({ id: 1, connect: {} }, { id: 2, subscribe: { channel: "matches:BTC_IRT" } })
      yield* client.frameCount(1)
      fake.trade("BTC_IRT")
      fake.server.frame("<garbage>")
      fake.trade("BTC_IRT")
      fake.trade("BTC_IRT")
      yield* client.frameCount(4)
      assert.deepStrictEqual(client.frames.slice(1).map((frame) => frame.split("\n").length), [1, 1, 2])
      assert.strictEqual(client.frames[2], "<garbage>")
    }))

  it.scopedLive("is slow, and keeps its order when it is no longer", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make()
      const { client, connection } = yield* subscriber(fake, "BTCTMN")
      fake.server.script.delay = 60
      const started = performance.now()
      fake.trade("BTCTMN")
      fake.trade("BTCTMN")
      fake.server.heal()
      fake.trade("BTCTMN")
      assert.strictEqual(connection.queued, 3)
      yield* client.frameCount(4)
      assert.isAtLeast(performance.now() - started, 55)
      assert.deepStrictEqual(judge(fake.issued, wallexTrades(client.documents)).disordered, [])
      assert.strictEqual(connection.queued, 0)
    }))

  it.scopedLive("is half-open: no word, no end; a new connection is served", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ ping: 10, pongTimeout: 300 })
      const client = yield* connect(fake.wsUrl)
      client.ws.on("message", (data) => {
        if (String(data) === "{}") client.send({})
      })
      client.send({ id: 1, connect: {} }, { id: 2, subscribe: { channel: "matches:BTC_IRT" } })
      yield* client.documentCount(2)
      fake.server.halfOpen()
      const heard = client.frames.length
      assert.strictEqual(fake.subscribed, 0)
      fake.trade("BTC_IRT")
      client.send({ id: 3, subscribe: { channel: "matches:ETH_IRT" } })
      const other = yield* connect(fake.wsUrl)
      other.send({ id: 1, connect: {} })
      // The new one is pinged and, without a pong, cut: the old one would have been before.
      assert.strictEqual(yield* other.closeCode, 3012)
      assert.strictEqual(client.ws.readyState, client.ws.OPEN)
      assert.isAtMost(client.frames.slice(heard).filter((frame) => frame !== "{}").length, 0)
      assert.isFalse(fake.issued[0]?.sent)
      assert.strictEqual(fake.server.accepted[0]?.received.length, 1)
    }))

  it.scopedLive("is silent from the start: no greeting, no reply, no ping, no end", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ connectTimeout: 20 })
      fake.server.script.silent = true
      const client = yield* connect(fake.wsUrl)
      client.send({ id: 1, connect: {} })
      while (fake.server.accepted[0]?.received.length !== 1) yield* Effect.sleep("1 millis")
      yield* Effect.sleep("60 millis")
      assert.deepStrictEqual([client.frames.length, client.ws.readyState], [0, client.ws.OPEN])
    }))

  it.scopedLive("waits for a reader that is behind, and loses nothing", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make({ markets: 1 })
      const { client, connection } = yield* subscriber(fake, "BTCTMN")
      client.ws.pause()
      for (let i = 0; i < 8; i++) fake.server.oversize(2_000_000)
      fake.trades(100)
      assert.isAtLeast(connection.queued, 100)
      client.ws.resume()
      yield* client.frameCount(1 + 8 + 100)
      assert.strictEqual(connection.queued, 0)
      assert.deepStrictEqual(judge(fake.issued, wallexTrades(client.documents)).missing, [])
    }))

  it.scopedLive("cuts a reader that is too far behind with 3008, and forgets what waited", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make({ markets: 1 })
      fake.server.script.maxQueued = 1_000
      const slow = yield* subscriber(fake, "BTCTMN")
      const quick = yield* subscriber(fake, "BTCTMN")
      fake.trades(5)
      yield* slow.client.frameCount(6)
      slow.client.ws.pause()
      // What the kernel takes for a reader that does not read.
      for (let i = 0; i < 8; i++) fake.server.oversize(2_000_000, (connection) => connection === slow.connection)
      while (slow.connection.queued < 900) {
        fake.trades(50)
        yield* Effect.sleep("1 millis")
      }
      fake.trades(1_000 - slow.connection.queued)
      assert.isTrue(slow.connection.alive)
      fake.trades(1)
      assert.isFalse(slow.connection.alive)
      assert.strictEqual(slow.connection.queued, 0)
      slow.client.ws.resume()
      assert.strictEqual(yield* slow.client.closeCode, 3008)
      yield* quick.client.frameCount(1 + fake.issued.length)
      assert.isTrue(quick.connection.alive)
      // Not one of those behind the giants.
      assert.strictEqual(wallexTrades(slow.client.documents).length, 5)
      // The quick one got all.
      const verdict = judge(fake.issued, wallexTrades(quick.client.documents))
      assert.deepStrictEqual([verdict.missing, verdict.foreign, verdict.disordered], [[], [], []])
    }))
})

it.live("a flood of 5 000 trades a second over 60 markets leaves the event loop free", () =>
  Effect.gen(function*() {
    const bitpin = yield* FakeBitpin.make({ markets: 30, batch: 8 })
    const wallex = yield* FakeWallex.make({ markets: 30 })
    const { client } = yield* subscriber(wallex, ...wallex.tradable.map(({ exchangeSymbol }) => exchangeSymbol))
    const other = yield* connect(bitpin.wsUrl)
    other.send(
      { id: 1, connect: {} },
      ...bitpin.tradable.map(({ exchangeSymbol }, i) => ({
        id: i + 2,
        subscribe: { channel: `matches:${exchangeSymbol}` }
      }))
    )
    yield* Effect.promise(() => Promise.all([bitpin.ready(), wallex.ready()]))
    const before = process.cpuUsage()
    yield* Effect.all([bitpin.floodFor(2_500, 2), wallex.floodFor(2_500, 2)], { concurrency: 2 })
    const { system, user } = process.cpuUsage(before)
    assert.deepStrictEqual([bitpin.issued.length, wallex.issued.length], [5_000, 5_000])
    yield* client.frameCount(5_001)
    yield* other.until("all of BitPin's", () =>
      other.frames.at(-1)?.includes(bitpin.issued.at(-1)?.id.slice(-17) ?? "?") === true)
    const verdict = judge(wallex.issued, wallexTrades(client.documents))
    assert.deepStrictEqual([verdict.missing, verdict.foreign, verdict.disordered], [[], [], []])
    // Both ends together, in less than half of one core's time.
    assert.isBelow((system + user) / 1e6, 1)
  }).pipe(Effect.scoped))
