import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc } from "effect"
import { isPositive } from "../../../src/services/Decimal.ts"
import type { Message } from "../../../src/streams/Exchange.ts"
import { wallex } from "../../../src/streams/exchanges/Wallex.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { wallexTrade } from "../support/frames.ts"
import { mutated } from "../support/mutate.ts"
import { line, recording } from "../support/recordings.ts"

const decode = (text: string): ReadonlyArray<Message> => wallex.socket.decode(text, () => undefined)

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

describe("Wallex's WebSocket", () => {
  it("reads the documented trade", () => {
    assert.deepStrictEqual(decode(line("wallex", "wallex-ws-docs", 7)), [{
      _tag: "trades",
      exchangeSymbol: "USDTTMN",
      rows: [{
        id: undefined,
        price: "82131",
        amount: "255.75",
        side: "buy",
        timestamp: Date.parse("2025-06-01T09:33:41Z")
      }]
    }])
  })

  it("takes numbers as it takes strings", () => {
    const [message] = decode(
      `["X@trade",{"isBuyOrder":false,"quantity":1.5e-7,"price":0.32875,"timestamp":"2026-07-13T08:25:38Z"}]`
    )
    assert.deepInclude(message?._tag === "trades" ? message.rows[0] : undefined, {
      price: "0.32875",
      amount: "0.00000015",
      side: "sell"
    })
  })

  it("subscribes as documented", () => {
    const market = { symbol: "USDT/IRT", exchangeSymbol: "USDTTMN" }
    assert.deepStrictEqual(
      wallex.socket.topics("trades", market).map((topic) => wallex.socket.subscribe(topic, 2, undefined)),
      [line("wallex", "wallex-ws-docs", 3)]
    )
  })

  it("ignores the greeting", () => assert.deepStrictEqual(decode(line("wallex", "reconstructed-wallex-ws", 2)), []))

  it("answers pings of any form in kind", () => {
    const pongs = [
      ["PING", "PONG"],
      ["ping", "pong"],
      [`"PING"`, `"PONG"`],
      [`["ping",1785.50]`, `["pong",1785.50]`],
      [`{"ping":18014398509481985}`, `{"pong":18014398509481985}`],
      [`{"ping":"x"}`, `{"pong":"x"}`]
    ] as const
    for (const [ping, reply] of pongs) assert.deepStrictEqual(decode(ping), [{ _tag: "ping", reply }], ping)
    assert.deepStrictEqual(reasonsOf(decode(`["PINGTMN@depth",{}]`)), ["unknown"])
    assert.deepStrictEqual(decode(wallexTrade("PINGTMN")).map(({ _tag }) => _tag), ["trades"])
    assert.notStrictEqual(decode(`["ping","${"x".repeat(1000)}"]`)[0]?._tag, "ping")
  })

  it("counts what is no trade", () => {
    // The document's slip, which no capture has.
    assert.deepStrictEqual(reasonsOf(decode(line("wallex", "wallex-ws-docs", 6).replace("sellbuy", "sell_"))), [
      "unknown"
    ])
    assert.deepStrictEqual(reasonsOf(decode(line("wallex", "wallex-ws-docs", 8))), ["unknown"])
    assert.deepStrictEqual(reasonsOf(decode(`["X@trade"]`)), ["schema"])
    assert.deepStrictEqual(reasonsOf(decode(wallexTrade("X", { price: "0.000" }))), ["number"])
    assert.deepStrictEqual(reasonsOf(decode(wallexTrade("X", { quantity: "Infinity" }))), ["number"])
    assert.deepStrictEqual(reasonsOf(decode(wallexTrade("X", { timestamp: "2026-02-30 10:00" }))), ["time"])
    assert.deepStrictEqual(reasonsOf(decode("<html>")), ["json"])
  })

  it("throws at nothing, and lets nothing through that is no trade", () => {
    const frames = [
      ...recording("wallex", "wallex-ws-docs"),
      ...recording("wallex", "reconstructed-wallex-ws"),
      wallexTrade("BTCTMN"),
      `{"ping":1}`,
      "PING"
    ]
    fc.assert(
      fc.property(mutated(frames), (frame) => {
        for (const message of decode(frame)) {
          if (message._tag !== "trades") continue
          for (const row of message.rows) {
            // A row without an amount is filtered by the feed.
            assert.isTrue(isPositive(row.price) && (isPositive(row.amount) || row.amount === "0"))
            assert.match(row.price + row.amount, /^[\d.]+$/)
            assert.isNotNull(row.timestamp)
          }
        }
        assert.isUndefined(Reflect.get({}, "polluted"))
      }),
      { numRuns: 20_000 }
    )
  })
})

describe("Wallex's list of markets", () => {
  const list = (body: string) => Either.flatMap(Json.parse(body, Json.bodyLimits), wallex.rest.markets.decode)

  it("reads the capture: is_spot decides, not is_market_type_enable", () => {
    const rows = Either.getOrThrow(list(line("wallex", "wallex-rest-hector-markets-20261006-trimmed", 1)))
    assert.deepStrictEqual(
      rows.map(Either.getOrThrow).map((
        { base, exchangeSymbol, quote, tradable }
      ) => [exchangeSymbol, base, quote, tradable]),
      [
        ["BTCTMN", "BTC", "TMN", true],
        ["PEPETMN", "PEPE", "TMN", true],
        ["ORCATMN", "ORCA", "TMN", true],
        ["SUPERUSDT", "SUPER", "USDT", true]
      ]
    )
  })

  it("leaves out what is not traded on the spot market", () => {
    const rows = Either.getOrThrow(
      list(
        line("wallex", "wallex-rest-hector-markets-20261006-trimmed", 1).replace(`"is_spot":true`, `"is_spot":false`)
      )
    )
    assert.deepStrictEqual(rows.map((row) => Either.getOrThrow(row).tradable), [false, true, true, true])
  })

  it("takes success:false for a failure, HTTP 200 or not", () => {
    assert.isTrue(Either.isLeft(list(line("wallex", "wallex-rest-docs", 1))))
    assert.isTrue(Either.isLeft(list(`{"success":false,"result":{"markets":[]}}`)))
  })
})
