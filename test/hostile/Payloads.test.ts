/**
 * Payloads meant to exhaust, to forge or to confuse, on the WebSocket (docs/design/laws.md "Input is hostile"): the connection is dropped or the
 * frame refused, counted by its reason, dialled again with back-off, and other markets go on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Logger, LogLevel } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { constants, deflateRawSync } from "node:zlib"
import { type WebSocket, WebSocketServer } from "ws"
import * as Observability from "../../src/layers/Observability.ts"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import type { FakeConnection } from "../../src/layers/testing/FakeConnection.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import type { Trade } from "../../src/services/MarketEvent.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import { layer, network, run, type Running, until } from "./Running.ts"

const mebi = 1024 * 1024

/** A server's frame: `head` is FIN, RSV and opcode. */
const rawFrame = (head: number, payload: Uint8Array): Uint8Array => {
  const length = payload.length
  const header = length < 126 ? Buffer.alloc(2) : length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10)
  header[0] = head
  header[1] = length < 126 ? length : length < 65_536 ? 126 : 127
  if (length >= 126 && length < 65_536) header.writeUInt16BE(length, 2)
  if (length >= 65_536) header.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([header, payload])
}

const finText = 0x81
const text = 0x01
const continuation = 0x00
const compressed = 0x40

/** 50 MB of one letter in some 50 KB. */
const bomb = deflateRawSync(Buffer.alloc(50_000_000, "x"), { finishFlush: constants.Z_SYNC_FLUSH })

/** Fragments of one message that never ends, as fast as the client takes them. */
const fragments = (size: number) => (connection: FakeConnection): void => {
  const part = rawFrame(continuation, Buffer.alloc(size, "x"))
  const many = Buffer.concat(Array.from({ length: Math.ceil(65_536 / (size + 2)) }, () => part))
  connection.sendRaw(rawFrame(text, Buffer.from("[")))
  let sent = 0
  const more = (): void => {
    // Far more than is allowed; the client has to put an end to it.
    if (!connection.alive || sent > 64 * mebi) return
    sent += many.length
    connection.sendRaw(many)
    setImmediate(more)
  }
  more()
}

interface Attack {
  readonly name: string
  readonly counted: "too_large" | "protocol"
  readonly begin: (connection: FakeConnection) => void
}

const attacks: ReadonlyArray<Attack> = [
  {
    name: "a plain frame of 2 MiB",
    counted: "too_large",
    begin: (connection) => connection.sendFrame(`"${"x".repeat(2 * mebi)}"`)
  },
  {
    name: "a header that promises 2^62 bytes",
    counted: "too_large",
    begin: (connection) => connection.sendRaw(Buffer.from([finText, 127, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x5b]))
  },
  {
    name: "a compressed bomb of 50 KB",
    counted: "protocol",
    begin: (connection) => connection.sendRaw(rawFrame(finText | compressed, bomb))
  },
  { name: "endless fragments of 64 KB", counted: "too_large", begin: fragments(65_536) },
  { name: "endless fragments of 1 byte", counted: "too_large", begin: fragments(1) },
  { name: "endless fragments of nothing", counted: "too_large", begin: fragments(0) },
  {
    name: "invalid UTF-8",
    counted: "protocol",
    begin: (connection) => connection.sendRaw(rawFrame(finText, Buffer.from([0x5b, 0xc3, 0x28, 0x5d])))
  },
  {
    name: "an unknown opcode",
    counted: "protocol",
    begin: (connection) => connection.sendRaw(rawFrame(0x83, Buffer.from("[]")))
  }
]

const worlds = {
  bitpin: () => FakeBitpin.make({ markets: 2, channelLimit: 100_000 }),
  wallex: () => FakeWallex.make({ markets: 2 })
} as const

const endpoints = ({ apiUrl, wsUrl }: FakeExchange) => ({ apiUrl, wsUrl })

const clean = { missing: [], doubtful: [], unsent: [], foreign: [], wrong: [], duplicates: [], disordered: [] }

/** The connection that carries a market, other than one that was there before. */
const carrier = (fake: FakeExchange, exchangeSymbol: string): FakeConnection => {
  for (const connection of fake.server.connections) {
    for (const topic of connection.subscriptions.keys()) if (topic.includes(exchangeSymbol)) return connection
  }
  throw new Error(`nobody listens to ${exchangeSymbol}`)
}

/** A feed of two connections with a market each, of which the first is attacked while both trade. */
const underAttack = (
  name: "bitpin" | "wallex",
  begin: (connection: FakeConnection) => void,
  dropped: (running: Running) => boolean
) =>
  Effect.gen(function*() {
    const fake = yield* worlds[name]()
    const running = yield* run(exchanges[name], {
      endpoints: endpoints(fake),
      subscriptionsPerConnection: 1,
      // Server and feed share one event loop: while the attack has it for seconds, the other connection is silent too, and is not to be
      // replaced for that; the history would have only the last of what it missed.
      idleTimeout: Duration.minutes(1)
    })
    yield* Effect.promise(() => fake.ready())
    const [attacked, other] = fake.tradable
    if (attacked === undefined || other === undefined) return yield* Effect.dieMessage("two markets")
    const victim = carrier(fake, attacked.exchangeSymbol)
    const bystander = carrier(fake, other.exchangeSymbol)
    assert.notStrictEqual(victim, bystander)
    const stopFlood = fake.flood(200)
    yield* until("trades", () => running.trades().length > 10, 20_000)
    // A trade between two fragments would be an error of its own, and which of them is met first a matter of luck.
    fake.server.script.mute = new Set([attacked.exchangeSymbol])
    begin(victim)
    // A busy machine takes its time to send and to refuse: what counts is that it happens.
    yield* until("the drop", () => dropped(running), 30_000)
    fake.server.heal()
    // It comes back by itself, and to data.
    yield* until("a new connection", () => fake.subscribed === 2, 30_000)
    const had = fake.issued.length
    yield* until("data again", () => fake.issued.length > had + 20, 20_000)
    stopFlood()
    const of = (symbol: string) => ({
      issued: fake.issued.filter(({ expected }) => expected.symbol === symbol),
      trades: () => running.trades().filter((trade) => trade.symbol === symbol)
    })
    const others = of(other.symbol)
    yield* until("all of the other market", () => others.trades().length >= others.issued.length, 20_000)
    assert.deepInclude(Oracle.judge(others.issued, others.trades()), clean)
    const last = of(attacked.symbol)
    const newest = last.issued.at(-1)
    yield* until("the last of the attacked market", () =>
      last.trades().some(({ id }) => id.startsWith(newest?.id ?? "-")), 20_000)
    assert.isTrue(bystander.alive)
    // One dial for each connection, and one to come back.
    assert.strictEqual(fake.server.dials.length, 3)
    assert.strictEqual(running.status().reconnects, 1)
    return running
  })

for (const name of ["bitpin", "wallex"] as const) {
  describe(`hostile payloads: ${name}`, () => {
    for (const { begin, counted, name: attack } of attacks) {
      it.scopedLive(`${attack}: dropped, counted as ${counted}, and nobody else suffers`, () =>
        Effect.gen(function*() {
          const rss = process.memoryUsage.rss()
          const running = yield* underAttack(
            name,
            begin,
            ({ status }) => (status().decodeFailures.get(counted) ?? 0) > 0
          )
          assert.strictEqual(running.status().decodeFailures.get(counted), 1)
          assert.match(running.status().lastError ?? "", /^broken: /)
          assert.isBelow(process.memoryUsage.rss() - rss, 150 * mebi)
        }).pipe(Effect.provide(layer)), 120_000)
    }
  })
}

/** A WebSocket server of its own behind the REST side of a fake. */
const rawServer = (greet: (socket: WebSocket, message: string) => void) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly server: WebSocketServer }>((resume) => {
      const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false })
      server.on("connection", (socket) => {
        socket.on("error", () => {})
        socket.on("message", (data) => greet(socket, String(data)))
      })
      server.on("listening", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({ server, url: `ws://127.0.0.1:${port}/` }))
      })
    }),
    ({ server }) =>
      Effect.async<void>((resume) => {
        for (const client of server.clients) client.terminate()
        server.close(() => resume(Effect.void))
      })
  )

describe("hostile payloads", () => {
  it.scopedLive("a server that insists on compression is no server for us", () =>
    Effect.gen(function*() {
      const fake = yield* FakeWallex.make({ markets: 1 })
      let asked: string | undefined = "nothing"
      const server = createServer()
      server.on("upgrade", (request, socket) => {
        asked = request.headers["sec-websocket-extensions"]
        socket.on("error", () => {})
        socket.end(
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        )
      })
      yield* Effect.acquireRelease(
        Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
      )
      const { port } = server.address() as AddressInfo
      const running = yield* run(exchanges.wallex, {
        endpoints: { apiUrl: fake.apiUrl, wsUrl: `ws://127.0.0.1:${port}/` }
      })
      yield* until("a refused dial", () => running.status().reconnects > 0, 20_000)
      assert.strictEqual(asked, undefined)
      assert.match(running.status().lastError ?? "", /^dial: /)
    }).pipe(Effect.provide(layer)))

  it.scopedLive("who makes us answer and does not read is hung up on, before the answers fill the memory", () =>
    Effect.gen(function*() {
      const pings = Array.from({ length: 1000 }, () => "{}").join("\n")
      const flood = (connection: FakeConnection): void => {
        connection.wire.pause()
        let sent = 0
        const more = (): void => {
          if (!connection.alive || sent++ > 4_000) return
          connection.wire.send(pings)
          setImmediate(more)
        }
        more()
      }
      const running = yield* underAttack("bitpin", flood, ({ status }) => status().reconnects > 0)
      assert.strictEqual(running.status().lastError, "broken: the other side does not read")
    }).pipe(Effect.provide(layer)))

  const total = 300_000
  it.scopedLive(`${total} messages as fast as TCP takes them: held back while nobody takes, none dropped`, () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ markets: 1 })
      const [market] = fake.tradable
      const symbol = market?.exchangeSymbol ?? ""
      let offered = 0
      const push = (n: number): string =>
        `{"push":{"channel":"matches:${symbol}","pub":{"data":{"matches":[{"id":"${n}","price":"${
          n + 1
        }","base_amount":"1.5",` +
        `"side":"buy","time":1781182785.26}]}}}}`
      const pour = (socket: WebSocket): void => {
        const hasRoom = () => offered < total && socket.bufferedAmount < 256 * 1024
        while (hasRoom()) {
          socket.send(Array.from({ length: 10 }, () => push(offered++)).join("\n"))
        }
        if (offered < total && socket.readyState === socket.OPEN) setImmediate(() => pour(socket))
      }
      const { url } = yield* rawServer((socket, message) => {
        if (message.includes("connect")) socket.send("{\"id\":1,\"connect\":{}}")
        else if (message.includes("subscribe")) {
          socket.send("{\"id\":2,\"subscribe\":{}}")
          pour(socket)
        }
      })
      let open = false
      const isHeld = () => !open
      let taken = 0
      let disordered = 0
      let peak = 0
      const rss = process.memoryUsage.rss()
      const trade = (event: Trade): void => {
        if (!event.id.endsWith(`:t:${taken}`)) disordered += 1
        taken += 1
      }
      const running = yield* run(exchanges.bitpin, {
        endpoints: { apiUrl: fake.apiUrl, wsUrl: url },
        consume: (events) =>
          Effect.gen(function*() {
            for (const event of events) if (event.type === "trade") trade(event)
            peak = Math.max(peak, process.memoryUsage.rss() - rss)
            while (isHeld()) yield* Effect.sleep("10 millis")
          })
      })
      // Nobody takes: the server gets no further than the buffers on the way.
      yield* until("the flood", () => offered > 1_000, 20_000)
      yield* Effect.sleep("1 second")
      const stuck = offered
      yield* Effect.sleep("500 millis")
      assert.strictEqual(offered, stuck)
      assert.isBelow(stuck, total / 2)
      open = true
      yield* until("all of them", () => taken >= total, 45_000)
      assert.strictEqual(disordered, 0)
      assert.strictEqual(taken, total)
      assert.isBelow(peak, 300 * mebi)
      const account = running.ledger.accounts()[0]
      assert.strictEqual(account?.received, total)
      assert.strictEqual(account?.inFlight, total)
      assert.strictEqual(running.status().reconnects, 0)
    }).pipe(Effect.provide(layer)))

  it.scopedLive("a list gone mad: living markets stay, the rest is capped, counted and told", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const log = Logger.replace(
        Logger.defaultLogger,
        Logger.map(Observability.logger("pretty", { isTTY: true, colors: false }), (line) => void lines.push(line))
      )
      yield* Effect.gen(function*() {
        const fake = yield* FakeBitpin.make({ markets: 3, channelLimit: 100_000 })
        const running = yield* run(exchanges.bitpin, {
          endpoints: endpoints(fake),
          subscriptionsPerConnection: 5_000,
          marketsRefresh: "300 millis"
        })
        yield* Effect.promise(() => fake.ready())
        const stopFlood = fake.flood(200)
        const [living] = fake.tradable
        const hostile = ["../../etc/passwd", "A\"\n", "A\u001b[2J", "A B", "", "A".repeat(31), "A{B}", "\u0130"]
        for (const base of hostile) fake.addMarket({ base, quote: "IRT", price: "1" })
        yield* until(
          "hostile symbols counted",
          () => (running.status().decodeFailures.get("symbol") ?? 0) >= hostile.length,
          5_000
        )
        assert.strictEqual(running.status().listed, 3)
        for (const base of hostile) fake.removeMarket(`${base}_IRT`)
        // The living ones come last in the list.
        const ours = fake.tradable.map(({ base, quote }) => ({ base, quote, price: "5" }))
        for (const { exchangeSymbol } of fake.tradable) fake.removeMarket(exchangeSymbol)
        for (let i = 0; i < 9_000; i++) fake.addMarket({ base: `MAD${i}`, quote: "IRT", price: "1" })
        for (const market of ours) fake.addMarket(market)
        yield* until("the cap", () => running.status().listed === 2_000, 10_000)
        assert.isAtLeast(running.status().decodeFailures.get("too_large") ?? 0, 7_000)
        assert.isTrue(lines.some((line) => line.includes("WARN") && line.includes("more than 2000 markets")))
        const delivered = () => running.trades().filter(({ symbol }) => symbol === living?.symbol).length
        const before = delivered()
        for (let i = 0; i < 10; i++) fake.trade(living?.exchangeSymbol ?? "")
        yield* until("a living market", () => delivered() >= before + 10, 20_000)
        // More rows than any list may have: refused as a whole, and what trades, trades on.
        for (let i = 0; i < 1_001; i++) fake.addMarket({ base: `MORE${i}`, quote: "IRT", price: "1" })
        yield* until("the refusal", () => (running.status().api.message ?? "").startsWith("body: too_large"), 10_000)
        const then = delivered()
        for (let i = 0; i < 10; i++) fake.trade(living?.exchangeSymbol ?? "")
        yield* until("a living market still", () => delivered() >= then + 10, 20_000)
        assert.strictEqual(running.status().reconnects, 0)
        stopFlood()
      }).pipe(Effect.provide(Layer.mergeAll(network, log, Logger.minimumLogLevel(LogLevel.Info))))
    }))

  // What an exchange may put into its words: new lines with an entry of their own, escapes, bells, a turned direction.
  const forged = "bad\r\n12:00:00.000 ERROR forged\u001b[2J\u0007\u009b31m\u202e\u2028x"
  // oxlint-disable-next-line no-control-regex
  const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/

  for (const format of ["pretty", "json", "logfmt"] as const) {
    it.scopedLive(`an exchange cannot forge a line of the log: ${format}`, () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const log = Logger.replace(
          Logger.defaultLogger,
          Logger.map(Observability.logger(format, { isTTY: true, colors: false }), (line) => void lines.push(line))
        )
        yield* Effect.gen(function*() {
          const fake = yield* FakeBitpin.make({ markets: 1 })
          const running = yield* run(exchanges.bitpin, { endpoints: endpoints(fake), marketsRefresh: "100 millis" })
          const told = (part: string) => lines.filter((line) => line.includes(part))
          yield* Effect.promise(() => fake.ready())
          // A close frame's reason is UTF-8 of at most 123 bytes.
          for (const connection of fake.server.connections) connection.wire.close(4000, forged)
          yield* until("the close told", () => told("connection lost").length === 1, 20_000)
          assert.notMatch(running.status().lastError ?? "", unprintable)
          yield* Effect.promise(() => fake.ready())
          fake.server.frame(JSON.stringify({ push: { disconnect: { code: 3000, reason: forged } } }))
          yield* until("the refusal told", () => told("connection lost").length === 2, 20_000)
          assert.notMatch(running.status().lastError ?? "", unprintable)
          fake.server.script.rest = { status: 200, body: forged, headers: { "content-type": "application/json" } }
          yield* until("the body told", () => told("no list of markets").length > 0, 20_000)
          assert.notMatch(running.status().api.message ?? "", unprintable)
          for (const line of lines) assert.notMatch(line, unprintable)
          assert.strictEqual(lines.filter((line) => line.startsWith("12:00:00.000 ERROR")).length, 0)
        }).pipe(Effect.provide(Layer.mergeAll(network, log, Logger.minimumLogLevel(LogLevel.Info))))
      }))
  }
})
