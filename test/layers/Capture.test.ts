import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { type AddressInfo, createServer as createTcpServer } from "node:net"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { gunzipSync } from "node:zlib"
import { afterAll, beforeAll } from "vitest"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import * as FakeTabdeal from "../../src/layers/testing/FakeTabdeal.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import type { MarketEvent, Trade } from "../../src/services/MarketEvent.ts"
import * as Time from "../../src/services/Time.ts"
import * as Capture from "../../src/streams/Capture.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import { ensureBundle, exchangeFeeds } from "../support/bundle.ts"

const directory = mkdtempSync(path.join(tmpdir(), "capture-"))
beforeAll(() => ensureBundle())
afterAll(() => rmSync(directory, { recursive: true }))

const eventsOf = (stdout: string): ReadonlyArray<MarketEvent> =>
  stdout.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

const tradesOf = (stdout: string): ReadonlyArray<Trade> =>
  eventsOf(stdout).filter((event): event is Trade => event.type === "trade")

for (const [name, make] of [["bitpin", FakeBitpin.make], ["wallex", FakeWallex.make]] as const) {
  describe(`capture: ${name}`, () => {
    it.scopedLive("what was recorded over a dropped connection gives the trades that were sent, always the same", () =>
      Effect.gen(function*() {
        const fake = yield* make({ markets: 3 })
        const env = {
          [`${name.toUpperCase()}_API_URL`]: fake.apiUrl,
          [`${name.toUpperCase()}_WS_URL`]: fake.wsUrl,
          RETRY_BASE_DELAY: "100ms",
          WS_STAGGER: "0s"
        }
        const stopFlood = fake.flood(100)
        const file = path.join(directory, `${name}.ndjson.gz`)
        const recording = exchangeFeeds(["capture", "record", "--exchange", name, "--out", file, "--seconds", "5"], env)
        yield* Effect.promise(() => fake.ready())
        yield* Effect.sleep("1 second")
        fake.server.frame("garbage")
        fake.server.drop(1012)
        const recorded = yield* Effect.promise(() => recording)
        stopFlood()
        assert.strictEqual(recorded.code, 0, recorded.stderr)
        assert.strictEqual(recorded.stdout, "")
        const replayed = yield* Effect.promise(() => exchangeFeeds(["capture", "replay", file]))
        assert.strictEqual(replayed.code, 0, replayed.stderr)
        const trades = tradesOf(replayed.stdout)
        assert.isAbove(trades.length, 100)
        const { duplicates, foreign } = Oracle.judge(fake.issued, trades)
        assert.deepStrictEqual({ duplicates, foreign }, { duplicates: [], foreign: [] })
        assert.match(replayed.stderr, new RegExp(`^${name}: \\d+ frames, \\d+ events, not understood: json 1\n$`))
        const again = yield* Effect.promise(() => exchangeFeeds(["capture", "replay", file]))
        assert.strictEqual(again.stdout, replayed.stdout)
        // Nothing is left out: what the sockets were sent is there, as it was.
        const lines = gunzipSync(readFileSync(file)).toString().trimEnd().split("\n")
        assert.isAbove(lines.length, 50)
        for (const line of lines.slice(1)) assert.include(["open", "frame", "rest"], JSON.parse(line).type)
      }))
  })
}

describe("capture: books", () => {
  it.scopedLive("are told by as many levels as BOOK_DEPTH says, and by their changes with BOOK_DELTAS", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ markets: 3 })
      const env = { BITPIN_API_URL: fake.apiUrl, BITPIN_WS_URL: fake.wsUrl }
      const file = path.join(directory, "books.ndjson")
      const stop = new AbortController()
      const recording = exchangeFeeds(
        ["capture", "record", "--exchange", "bitpin", "--channel", "books", "--out", file],
        env,
        stop.signal
      )
      // Each of the three has begun with its picture, and has changed.
      while (fake.server.accepted[0]?.subscriptions.size !== 3) yield* Effect.sleep("25 millis")
      for (let n = 0; n < 10; n++) fake.bookChanges(3)
      // The server's close is read after the frames, and dialled upon: then they were handled.
      fake.server.drop(1012)
      while (fake.server.dials.length < 2) yield* Effect.sleep("25 millis")
      stop.abort()
      const { code, stderr } = yield* Effect.promise(() => recording)
      assert.strictEqual(code, 0, stderr)
      const replayed = (settings: Readonly<Record<string, string>>) =>
        Effect.promise(() => exchangeFeeds(["capture", "replay", file], settings))
      const plain = yield* replayed({ BOOK_DEPTH: "2" })
      const books = eventsOf(plain.stdout).flatMap((event) => event.type === "book" ? [event] : [])
      assert.isAbove(books.length, 3)
      assert.isTrue(books.every(({ asks, bids }) => bids.length <= 2 && asks.length <= 2))
      const deltas = yield* replayed({ BOOK_DELTAS: "true" })
      const types = eventsOf(deltas.stdout).map(({ type }) => type)
      assert.isAbove(types.filter((type) => type === "book_delta").length, 3)
      assert.isAtLeast(types.filter((type) => type === "book").length, 3)
      const bad = yield* replayed({ BOOK_DEPTH: "none" })
      assert.strictEqual(bad.code, 78)
      assert.match(bad.stderr, /BOOK_DEPTH/)
    }))
})

describe("WS_MAX_PAYLOAD", () => {
  /** A frame of 1.2 MB with 9 000 trades is sent as soon as the command listens. */
  const large = Effect.fnUntraced(function*(args: ReadonlyArray<string>) {
    const fake = yield* FakeBitpin.make({ markets: 1, window: 1 })
    const stop = new AbortController()
    const running = exchangeFeeds(args, {
      BITPIN_API_URL: fake.apiUrl,
      BITPIN_WS_URL: fake.wsUrl,
      WS_MAX_PAYLOAD: "4MiB"
    }, stop.signal)
    yield* Effect.promise(() => fake.ready())
    fake.bulk(fake.tradable[0]?.exchangeSymbol ?? "", 9_000)
    // The server's close is read after the frame, and dialled upon: then the frame was handled.
    fake.server.drop(1012)
    while (fake.server.dials.length < 2) yield* Effect.sleep("25 millis")
    stop.abort()
    const { code, stderr, stdout } = yield* Effect.promise(() => running)
    assert.strictEqual(code, 0, stderr)
    return { fake, stdout }
  })
  const clean = { missing: [], foreign: [], duplicates: [] }

  it.scopedLive("holds for tap", () =>
    Effect.gen(function*() {
      const { fake, stdout } = yield* large(["tap", "--exchange", "bitpin"])
      assert.deepInclude(Oracle.judge(fake.issued, tradesOf(stdout)), clean)
    }))

  it.scopedLive("holds for capture record, and what it took is replayed", () =>
    Effect.gen(function*() {
      const file = path.join(directory, "large.ndjson")
      const { fake } = yield* large(["capture", "record", "--exchange", "bitpin", "--out", file])
      const replayed = yield* Effect.promise(() => exchangeFeeds(["capture", "replay", file]))
      assert.strictEqual(replayed.code, 0, replayed.stderr)
      assert.deepInclude(Oracle.judge(fake.issued, tradesOf(replayed.stdout)), clean)
    }))
})

describe("capture record", () => {
  const env = { BITPIN_API_URL: "http://127.0.0.1:1", BITPIN_WS_URL: "ws://127.0.0.1:1" }
  const into = (out: string) => ["capture", "record", "--exchange", "bitpin", "--out", out]

  // In the first, all that there is comes with the last flush: its time is shorter than the writer waits.
  it.each([["at its end", ["--seconds", "0.001"]], ["on the way", []]])("fails %s on a full disk", async (_, args) => {
    const { code, stderr } = await exchangeFeeds([...into("/dev/full"), ...args], env)
    assert.strictEqual(code, 1, stderr)
    assert.include(stderr, "ENOSPC")
  })

  /** By Ctrl-C, once it has asked for the markets: its file is open, and begun. */
  const stopped = async (out: string) => {
    const stop = new AbortController()
    const api = createServer(() => stop.abort()).listen(0, "127.0.0.1")
    await once(api, "listening")
    try {
      const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`
      return await exchangeFeeds(into(out), { ...env, BITPIN_API_URL: url }, stop.signal)
    } finally {
      api.closeAllConnections()
      api.close()
    }
  }

  it("fails when it is stopped on a full disk", async () => {
    const { code, stderr } = await stopped("/dev/full")
    assert.strictEqual(code, 1, stderr)
    assert.include(stderr, "ENOSPC")
  })

  it("is well when it is stopped elsewhere, and has written what there was", async () => {
    const out = path.join(directory, "stopped.ndjson")
    const { code, stderr } = await stopped(out)
    assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    assert.strictEqual(readFileSync(out, "utf8"), `${Capture.header("bitpin")}\n`)
  })
})

describe("tap", () => {
  /** Long enough for a dial, also on a busy machine. */
  const run = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
    Effect.promise(() => exchangeFeeds([...args, "--seconds", "5"], env))

  it.scopedLive("prints events straight from an exchange", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make({ markets: 3 })
      const env = { WALLEX_API_URL: fake.apiUrl, WALLEX_WS_URL: fake.wsUrl }
      const stopFlood = fake.flood(50)
      const { code, stdout } = yield* Effect.promise(() =>
        exchangeFeeds(
          ["tap", "--exchange", "wallex", "--markets", fake.tradable[0]?.symbol ?? "", "--seconds", "3"],
          env
        )
      )
      stopFlood()
      assert.strictEqual(code, 0)
      const trades = tradesOf(stdout)
      assert.isAbove(trades.length, 10)
      assert.deepStrictEqual([...new Set(trades.map(({ symbol }) => symbol))], [fake.tradable[0]?.symbol])
    }))

  it.scopedLive("of an exchange that is not reached in its time says why, on either way: 69", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make({ markets: 3 })
      const taken = createTcpServer()
      yield* Effect.addFinalizer(() => Effect.sync(() => taken.close()))
      yield* Effect.promise(() => once(taken.listen(0, "127.0.0.1"), "listening"))
      const silent = `127.0.0.1:${(taken.address() as AddressInfo).port}`
      const closed = "127.0.0.1:1"
      const out = path.join(directory, "unreached.ndjson")
      const record = ["capture", "record", "--out", out]
      const cases = [
        [["tap"], `http://${closed}`, `ws://${closed}`, /API: transport: .*ECONNREFUSED/],
        [["tap"], `http://${silent}`, `ws://${silent}`, /API: no answer/],
        [["tap"], fake.apiUrl, `ws://${closed}`, /WebSocket: .*ECONNREFUSED/],
        [["tap"], fake.apiUrl, `ws://${silent}`, /WebSocket: no answer/],
        [record, fake.apiUrl, `ws://${closed}`, /WebSocket: .*ECONNREFUSED/]
      ] as const
      yield* Effect.forEach(cases, ([words, api, ws, why]) =>
        Effect.gen(function*() {
          const { code, stderr } = yield* run([...words, "--exchange", "wallex"], {
            WALLEX_API_URL: api,
            WALLEX_WS_URL: ws
          })
          assert.strictEqual(code, 69, stderr)
          const told = stderr.split("\n").filter((line) => line.startsWith("exchange-feeds: "))
          assert.lengthOf(told, 1, stderr)
          assert.match(told[0] ?? "", /^exchange-feeds: wallex: not reached within 5s: /)
          assert.match(told[0] ?? "", why)
        }), { concurrency: "unbounded", discard: true })
      assert.strictEqual(readFileSync(out, "utf8"), `${Capture.header("wallex")}\n`)
    }))

  it.scopedLive("of a quiet market, and where none is chosen, is no failure, nor where no socket is needed", () =>
    Effect.gen(function*() {
      const wallex = yield* FakeWallex.make({ markets: 3 })
      const tabdeal = yield* FakeTabdeal.make({ markets: 2 })
      const env = {
        WALLEX_API_URL: wallex.apiUrl,
        WALLEX_WS_URL: wallex.wsUrl,
        TABDEAL_API_URL: tabdeal.apiUrl,
        TABDEAL_WS_URL: tabdeal.wsUrl
      }
      const cases = [["wallex"], ["wallex", "--markets", "NONE/*"], ["tabdeal", "--channel", "trades"]]
      yield* Effect.forEach(
        cases,
        (args) =>
          Effect.map(
            run(["tap", "--exchange", ...args], env),
            ({ code, stderr }) => assert.strictEqual(code, 0, `${args.join(" ")}\n${stderr}`)
          ),
        { concurrency: "unbounded", discard: true }
      )
    }))

  it.live("says which exchanges there are", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* Effect.promise(() => exchangeFeeds(["tap", "--exchange", "nowhere"]))
      assert.strictEqual(code, 64)
      assert.match(stderr, /bitpin/)
    }))
})

describe("a capture file", () => {
  const header = Capture.header("wallex")
  const open = `{"type":"open","connection":0,"receivedAt":"2026-06-11T12:59:45.100Z","markets":[["BTC/IRT","BTCTMN"]]}`

  const file = (name: string, ...lines: ReadonlyArray<string>): string => {
    const written = path.join(directory, name)
    writeFileSync(written, lines.join("\n"))
    return written
  }

  it.live("that is none is told with its line: 1", () =>
    Effect.gen(function*() {
      const frame = `{"type":"frame","connection":0,"receivedAt":"2026-06-11T12:59:45.300Z","text":"x"}`
      const table = [
        [file("empty.ndjson", "{}"), /empty\.ndjson:1: expected {"type":"capture"/],
        [file("other.ndjson", Capture.header("nowhere")), /other\.ndjson:1: exchange "nowhere" is not known/],
        [file("middle.ndjson", header, open, "nonsense", frame), /middle\.ndjson:3: expected an open or a frame/],
        [file("never.ndjson", header, frame, open), /never\.ndjson:2: connection 0 was never opened/],
        [path.join(directory, "nowhere.ndjson"), /ENOENT/]
      ] as const
      for (const [name, message] of table) {
        const { code, stderr } = yield* Effect.promise(() => exchangeFeeds(["capture", "replay", name]))
        assert.strictEqual(code, 1, name)
        assert.match(stderr, message)
      }
      const cut = file("cut.ndjson", header, open, frame, frame.slice(0, 40))
      const { code, stderr } = yield* Effect.promise(() => exchangeFeeds(["capture", "replay", cut]))
      assert.strictEqual(code, 0)
      assert.match(stderr, /the last line is cut off/)
    }))

  it("keeps any text", () => {
    const noise = fc.string({ unit: "binary" })
    fc.assert(fc.property(fc.array(noise), (texts) => {
      const lines: Array<string> = []
      const recorder = Capture.recorder((line) => lines.push(line))
      const market = { symbol: "BTC/IRT", exchangeSymbol: "BTCTMN" }
      recorder.opened(7, [market], Time.wallTime(1))
      for (const text of texts) recorder.frame(7, text, Time.wallTime(2))
      const replay = Capture.replay(() => exchanges.wallex)
      for (const line of [header, ...lines]) {
        assert.notInclude(line, "\n")
        assert.strictEqual(replay.line(line)._tag, "Right")
      }
      assert.strictEqual(replay.summary().frames, texts.length)
      for (const [i, text] of texts.entries()) assert.strictEqual(JSON.parse(lines[i + 1] ?? "").text, text)
    }))
  })
})
