/**
 * How large a frame may be: the socket's limit decides, nothing behind it, and what it refuses is a hole.
 */
import { Socket } from "@effect/platform"
import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel } from "effect"
import WebSocket from "ws"
import * as NodeWebSocket from "../../src/layers/node/WebSocket.ts"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"
import { run, type Running, until } from "../hostile/Running.ts"

const mebi = 1024 * 1024

const withSocket = (socket: Layer.Layer<Socket.WebSocketConstructor>) =>
  Layer.mergeAll(socket, FetchHttpClient.layer, Logger.minimumLogLevel(LogLevel.None))

const network = (maxPayload: number) => withSocket(NodeWebSocket.layer({ maxPayload }))

/** A feed of all markets that has heard a trade of the first. */
const begun = Effect.fnUntraced(function*(options: FakeBitpin.Options) {
  const fake = yield* FakeBitpin.make({ markets: 2, window: 1, ...options })
  const running = yield* run(bitpin, { endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl } })
  yield* Effect.promise(() => fake.ready())
  const symbol = fake.tradable[0]?.exchangeSymbol ?? ""
  fake.trade(symbol)
  yield* until("a trade", () => running.trades().length === 1, 10_000)
  return { fake, running, symbol }
})

const gapsOf = (running: Running) => running.events.filter((event) => event.type === "status" && event.event === "gap")

const recovered = (running: Running) => running.trades().filter(({ source }) => source === "rest").length

const clean = { missing: [], doubtful: [], unsent: [], foreign: [], wrong: [], duplicates: [] }

describe("a frame within the limit", () => {
  for (const dataAsString of [false, true]) {
    it.scopedLive(`of 1.2 MB and 9 000 trades is delivered, data as ${dataAsString ? "a string" : "an object"}`, () =>
      Effect.gen(function*() {
        const { fake, running, symbol } = yield* begun({ dataAsString })
        fake.bulk(symbol, 9_000)
        yield* until("all of them", () => running.trades().length >= 9_001, 20_000)
        assert.deepInclude(Oracle.judge(fake.issued, running.trades()), clean)
        assert.strictEqual(fake.server.dials.length, 1)
        assert.deepStrictEqual([...running.status().decodeFailures], [])
      }).pipe(Effect.provide(network(4 * mebi))))
  }
})

describe("a frame that a bound of the decoder refuses", () => {
  const deep = "[".repeat(40) + "]".repeat(40)
  const cases = [
    ["nested too deep", deep, "too_deep", 3],
    ["a number of 65 KiB", `{"push":${"9".repeat(65 * 1024)}}`, "too_large", 3],
    ["2 000 documents", "[]\n".repeat(2_000), "too_large", 3],
    // Control: it is no list of trades by any reading, and told nowhere but in the dead letters.
    ["no JSON", "<html>", "json", 0]
  ] as const
  for (const [what, frame, reason, brought] of cases) {
    it.scopedLive(`${what}: what it may have held ${brought === 0 ? "is not asked for" : "is a hole"}`, () =>
      Effect.gen(function*() {
        const { fake, running, symbol } = yield* begun({ history: 300 })
        // Three trades in its place: no frame of ours has them.
        fake.server.script.mute = "all"
        for (let n = 0; n < 3; n++) fake.trade(symbol)
        fake.server.heal()
        fake.server.frame(frame)
        yield* until("the refusal", () => (running.status().decodeFailures.get(reason) ?? 0) > 0, 10_000)
        fake.trade(symbol)
        yield* until("what came after it", () => running.trades().at(-1)?.source === "ws", 20_000)
        yield* until("the holes", () => running.status().gaps.open === 0, 20_000)
        assert.strictEqual(recovered(running), brought)
        assert.strictEqual(fake.server.dials.length, 1)
        const gaps = gapsOf(running)
        assert.strictEqual(gaps.length, brought === 0 ? 0 : 1)
        for (const gap of gaps) assert.deepInclude(gap, { cause: "undecoded", complete: true, recovered: 3 })
      }).pipe(Effect.provide(network(4 * mebi))))
  }
})

describe("a frame beyond the limit", () => {
  /** 200 trades in 5 MB, of which the history has the last `history`. */
  const refused = (options: FakeBitpin.Options, isDone: (running: Running) => boolean) =>
    Effect.gen(function*() {
      const { fake, running, symbol } = yield* begun(options)
      fake.bulk(symbol, 200, 5_000_000)
      yield* until("the refusal", () => running.status().decodeFailures.size > 0, 10_000)
      yield* until("the history", () => isDone(running), 20_000)
      yield* Effect.promise(() => fake.ready())
      fake.trade(symbol)
      yield* until("what came after it", () => running.trades().at(-1)?.source === "ws", 20_000)
      assert.strictEqual(fake.server.accepted[0]?.closeCode, 1009)
      assert.deepStrictEqual([...running.status().decodeFailures], [["too_large", 1]])
      assert.strictEqual(fake.server.dials.length, 2)
      return { fake, running }
    }).pipe(Effect.provide(network(4 * mebi)))

  // With recovery the server would bring it again, and again.
  for (const recovery of [false, true]) {
    it.scopedLive(`is filled from the history${recovery ? ", not recovered" : ""}`, () =>
      Effect.gen(function*() {
        const { fake, running } = yield* refused({ history: 300, recovery }, (running) => recovered(running) === 200)
        assert.deepInclude(Oracle.judge(fake.issued, running.trades()), clean)
        for (const gap of gapsOf(running)) assert.deepInclude(gap, { cause: "undecoded", complete: true })
      }))
  }

  it.scopedLive("is told where the history does not reach so far", () =>
    Effect.gen(function*() {
      const { fake, running } = yield* refused({ history: 50 }, (running) => gapsOf(running).length > 0)
      const { missing, ...verdict } = Oracle.judge(fake.issued, running.trades())
      assert.deepInclude(verdict, { foreign: [], duplicates: [] })
      assert.strictEqual(missing.length + verdict.doubtful.length, 150)
      const [gap, ...others] = gapsOf(running)
      assert.deepStrictEqual(others, [])
      assert.deepInclude(gap, { cause: "undecoded", complete: false, symbol: fake.tradable[0]?.symbol })
    }))

  it.scopedLive("of a socket that knows no limit breaks its connection all the same", () =>
    Effect.gen(function*() {
      // As a browser's, or Node's own: the interface and nothing beyond.
      const bare = Layer.succeed(Socket.WebSocketConstructor, (url) => {
        const ws = new WebSocket(url)
        const socket = {
          addEventListener: ws.addEventListener.bind(ws),
          send: ws.send.bind(ws),
          close: ws.close.bind(ws)
        }
        return socket as unknown as globalThis.WebSocket
      })
      yield* Effect.gen(function*() {
        const { fake, running, symbol } = yield* begun({ history: 300 })
        fake.bulk(symbol, 200, mebi)
        yield* until("the refusal", () => running.status().decodeFailures.size > 0, 10_000)
        yield* until("all of them", () => running.trades().length >= 201, 20_000)
        assert.deepStrictEqual([...running.status().decodeFailures], [["too_large", 1]])
        assert.strictEqual(recovered(running), 200)
        assert.strictEqual(fake.server.dials.length, 2)
        for (const gap of gapsOf(running)) assert.deepInclude(gap, { cause: "undecoded", complete: true })
      }).pipe(Effect.provide(withSocket(bare)))
    }))
})
