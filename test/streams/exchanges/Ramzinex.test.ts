import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import { parsed, printed } from "../../../src/layers/testing/Oracle.ts"
import { isPositive } from "../../../src/services/Decimal.ts"
import type { MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"
import * as Capture from "../../../src/streams/Capture.ts"
import type { BookPart, Message, TradeRow } from "../../../src/streams/Exchange.ts"
import { ramzinex } from "../../../src/streams/exchanges/Ramzinex.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { ramzinexBook, ramzinexRow, ramzinexTrades } from "../support/frames.ts"
import { mutated } from "../support/mutate.ts"
import { line, recording } from "../support/recordings.ts"

const topics = new Map([["2", "last-trades:17"], ["3", "orderbook:11"]])
const decode = (text: string): ReadonlyArray<Message> => ramzinex.socket.decode(text, (id) => topics.get(id))

const rowsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<TradeRow> =>
  messages.flatMap((message) => message._tag === "trades" ? message.rows : [])

const booksOf = (messages: ReadonlyArray<Message>): ReadonlyArray<BookPart> =>
  messages.flatMap((message) => message._tag === "books" ? [message] : [])

const reasonsOf = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.flatMap((message) => message._tag === "failure" ? [message.failure.reason] : [])

const markets = [["BNB/IRT", "17"], ["BTC/IRT", "2"], ["USDT/IRT", "11"], ["BTC/USDT", "12"]]

/** What becomes of frames behind the adapter: ids, units, duplicates. */
const played = (frames: ReadonlyArray<string>) => {
  const player = Capture.replay(() => ramzinex)
  const at = { connection: 0, receivedAt: "2025-10-01T12:00:00.000Z" }
  const lines = [
    Capture.header("ramzinex"),
    JSON.stringify({ type: "open", ...at, markets }),
    ...["{\"id\":1,\"connect\":{}}", ...frames].map((text) => JSON.stringify({ type: "frame", ...at, text }))
  ]
  const events = lines.flatMap((text): ReadonlyArray<MarketEvent> => Either.getOrThrow(player.line(text)))
  const trades = events.filter((event): event is Trade => event.type === "trade")
  return { trades, failures: [...player.summary().failures] }
}

/** As the files have them. */
const tradesOf = (frame: string): ReadonlyArray<object> =>
  played([frame]).trades.map((trade) => JSON.parse(JSON.stringify({ ...trade, receivedAt: undefined })))

/** The book that a picture is: best first, prices in Toman; the epoch of its number is the connection's. */
const bookOf = (
  exchangeSymbol: string,
  { asks, bids, sequence, timestamp }: Picture,
  source: "ws" | "rest"
): object => {
  const symbol = markets.find(([, number]) => number === exchangeSymbol)?.[0] ?? ""
  const side = (levels: BookPart["bids"], sign: number) =>
    levels.toSorted(([a], [b]) => sign * (Number(a) - Number(b))).map(([price, amount]) => {
      const { scale, units } = parsed(price)
      return [printed({ units, scale: symbol.endsWith("/IRT") ? scale + 1 : scale }), amount]
    })
  const offset = sequence === undefined ? null : String(sequence)
  return {
    type: "book",
    v: 1,
    exchange: "ramzinex",
    symbol,
    exchangeSymbol,
    offset,
    bids: side(bids, -1),
    asks: side(asks, 1),
    timestamp,
    source
  }
}

type Picture = Pick<BookPart, "asks" | "bids" | "sequence" | "timestamp">

const booksIn = (frame: string): ReadonlyArray<object> =>
  booksOf(decode(frame)).map((part) => bookOf(part.exchangeSymbol, part, "ws"))

const pictureIn = (body: string) =>
  Either.flatMap(
    Json.parse(body, Json.bodyLimits),
    (parsed) => ramzinex.books?.picture?.decode(parsed) ?? Either.right(undefined)
  )

describe("Ramzinex's recordings", () => {
  /** How a line becomes events: frames are frames, bare data is pushed on its channel, bodies are read by REST. */
  const ways: ReadonlyArray<readonly [name: string, way: (text: string, n: number) => ReadonlyArray<object>]> = [
    ["ramzinex-trades", tradesOf],
    ["reconstructed-ramzinex-trades", tradesOf],
    // The answer to command 2.
    ["reconstructed-ramzinex-ws", (text) => text.includes("push") ? [] : tradesOf(text)],
    ["ramzinex-orderbook", booksIn],
    [
      "ramzinex-ws-docs",
      (text, n) => booksIn(n === 6 ? `{"push":{"channel":"orderbook:11","pub":{"data":${text}}}}` : text)
    ],
    [
      "ramzinex-rest-docs",
      (text) =>
        Either.match(pictureIn(text), {
          onLeft: () => [],
          onRight: (picture) => picture === undefined ? [] : [bookOf("11", picture, "rest")]
        })
    ]
  ]
  for (const [name, way] of ways) {
    it(`${name} has the events that a person reads in it`, () => {
      const expected: ReadonlyArray<unknown> = recording("ramzinex", `expected/${name}`).map((text) => JSON.parse(text))
      assert.deepStrictEqual(recording("ramzinex", name).map((text, i) => way(text, i + 1)), expected)
    })
  }
})

const isDecimal = Schema.is(Schema.String.pipe(Schema.pattern(/^(0|[1-9]\d*)(\.\d*[1-9])?$/)))

const range = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i)

describe("Ramzinex's trades", () => {
  it("of the capture are 50, and its damaged row harms no other", () => {
    const { failures, trades } = played([line("ramzinex", "ramzinex-trades", 1)])
    assert.deepStrictEqual([trades.length, failures], [50, [["schema", 1]]])
  })

  it("of windows that overlap come once each, oldest first", () => {
    const window = (newest: number) => ramzinexTrades("2", range(50, newest - 49).reverse().map((id) => ({ id })))
    const { trades } = played([window(50), window(50), window(52), window(53)])
    assert.deepStrictEqual(trades.map(({ id }) => id), range(53, 1).map((id) => `ramzinex:BTC/IRT:t:${id}`))
  })

  it("say whether they are a full window", () => {
    const isFull = (count: number) => {
      const [message] = decode(ramzinexTrades("2", range(count).map((id) => ({ id }))))
      return message?._tag === "trades" && message.isFullWindow
    }
    assert.deepStrictEqual([isFull(49), isFull(50), isFull(51)], [false, true, true])
    // Rows that cannot be read were in it all the same.
    const rows = range(50).map((id) => ramzinexRow({ id }))
    const push = JSON.stringify({ push: { channel: "last-trades:2", pub: { data: [[1], ...rows.slice(1)] } } })
    assert.deepInclude(decode(push).find(({ _tag }) => _tag === "trades"), { isFullWindow: true })
  })

  it("that cannot be read harm no other", () => {
    const messages = decode(ramzinexTrades("2", [
      { id: "9", price: "1e999" },
      { id: "8" },
      { id: "7", side: "bought" },
      { id: "a:b" },
      { id: "6", amount: "-1" },
      { id: "5", seconds: "1759319486.x" },
      { id: "4" }
    ]))
    assert.deepStrictEqual(rowsOf(messages).map(({ id }) => id), ["4", "8"])
    assert.deepStrictEqual(reasonsOf(messages).toSorted(), ["number", "number", "schema", "schema", "time"])
  })

  it("come in the reply to a subscription", () => {
    const messages = decode(line("ramzinex", "reconstructed-ramzinex-ws", 3))
    assert.deepInclude(messages[0], {
      _tag: "subscribed",
      topic: "last-trades:17",
      position: { epoch: "abcd", offset: 53586 },
      recovered: true
    })
    assert.deepStrictEqual(rowsOf(messages).map(({ id, price }) => [id, price]), [
      ["96c4e5930862fa921509614da298147c", "1170867503"]
    ])
  })

  it("need a market of the list: a number that is not in it is passed over", () => {
    const { failures, trades } = played([ramzinexTrades("999", [{ id: "1" }]), ramzinexTrades("2", [{ id: "2" }])])
    assert.deepStrictEqual(trades.map(({ id }) => id), ["ramzinex:BTC/IRT:t:2"])
    assert.deepStrictEqual(failures, [])
  })

  it("of the history are those of the socket", () => {
    const { data } = JSON.parse(line("ramzinex", "reconstructed-ramzinex-trades", 1)).push.pub
    const body = Json.parse(JSON.stringify({ status: 0, data }))
    const rows = Either.getOrThrow(Either.flatMap(body, ramzinex.rest.history.decode)).map(Either.getOrThrow)
    assert.deepStrictEqual(rows, rowsOf(decode(line("ramzinex", "reconstructed-ramzinex-trades", 1))))
    assert.strictEqual(rows.length, 50)
  })
})

describe("Ramzinex's books", () => {
  it("are whole, numbered by their offset, without a time", () => {
    const messages = decode(line("ramzinex", "ramzinex-orderbook", 1))
    assert.deepStrictEqual(messages.map(({ _tag }) => _tag), ["books", "moved"])
    assert.deepInclude(messages[0], { part: "whole", previous: undefined, sequence: 5412464n, timestamp: null })
  })

  it("keep the digits of prices and amounts, noise and exponents", () => {
    const push = (row: string) =>
      `{"push":{"channel":"orderbook:12","pub":{"data":{"buys":[${row}],"sells":[]},"offset":1}}}`
    const [part] = booksOf(decode(push("[1.4497553479999998,1.6e-05,2.3,false,null,5,1784025165152]")))
    assert.deepStrictEqual(part?.bids, [["1.4497553479999998", "0.000016"]])
    assert.deepStrictEqual(part?.asks, [])
  })

  it("are refused as a whole for a level that cannot be read; one of no amount is none", () => {
    const book = (...buys: ReadonlyArray<ReadonlyArray<unknown>>) =>
      ramzinexBook("2", { buys, sells: [[12, 1, 12, false, null, 1, 1]] })
    assert.deepStrictEqual(booksOf(decode(book([10, 1], [9, 0, 0])))[0]?.bids, [["10", "1"]])
    for (const bad of [[10], [], [0, 1], [-10, 1], [10, -1], ["x", 1], [10, null]]) {
      const messages = decode(book([11, 1], bad))
      assert.deepStrictEqual(messages.map(({ _tag }) => _tag), ["failure", "moved"], JSON.stringify(bad))
    }
    assert.deepStrictEqual(reasonsOf(decode(ramzinexBook("2", { buys: [] }))), ["schema"])
  })

  it("come by REST too, without a number", () => {
    assert.deepStrictEqual(
      Either.getOrThrow(pictureIn(`{"status":0,"data":${line("ramzinex", "ramzinex-ws-docs", 6)}}`)),
      {
        bids: [["631000", "365.84"], ["630604", "23.91"]],
        asks: [["640000", "6789.5199"], ["635000", "8051.66"]],
        previous: undefined,
        sequence: undefined,
        timestamp: null
      }
    )
    assert.isTrue(Either.isLeft(pictureIn(line("ramzinex", "ramzinex-rest-docs", 2))))
    assert.strictEqual(
      ramzinex.books?.picture?.path({ symbol: "BTC/IRT", exchangeSymbol: "2" }),
      "/exchange/api/v1.0/exchange/orderbooks/2/buys_sells"
    )
  })
})

describe("Ramzinex's socket", () => {
  it("is subscribed to as documented", () => {
    const [usdt, btc] = [{ symbol: "USDT/IRT", exchangeSymbol: "11" }, { symbol: "BTC/IRT", exchangeSymbol: "2" }]
    const commands = [...ramzinex.socket.topics("books", btc), ...ramzinex.socket.topics("trades", usdt)]
      .map((topic, i) => ramzinex.socket.subscribe(topic, i + 2, undefined))
    assert.deepStrictEqual(commands, [line("ramzinex", "ramzinex-ws-docs", 4), line("ramzinex", "ramzinex-ws-docs", 5)])
  })

  it("says what it does not understand: other channels, a delta, what is no list", () => {
    const pushed = (channel: string, data: unknown) => decode(JSON.stringify({ push: { channel, pub: { data } } }))
    assert.deepStrictEqual(reasonsOf(pushed("public:orderbook:46", {})), ["unknown"])
    assert.deepStrictEqual(reasonsOf(pushed("last-trades:2", {})), ["schema"])
    assert.deepStrictEqual(reasonsOf(pushed("orderbook:2", [])), ["schema"])
    assert.deepStrictEqual(pushed("last-trades:2", []), [])
    assert.deepStrictEqual(reasonsOf(decode(line("ramzinex", "ramzinex-ws-docs", 8))), ["json"])
  })

  it("throws at nothing, and lets nothing through that is no trade and no level", () => {
    const frames = [
      ...recording("ramzinex", "reconstructed-ramzinex-ws"),
      ...recording("ramzinex", "ramzinex-orderbook"),
      line("ramzinex", "reconstructed-ramzinex-trades", 2),
      line("ramzinex", "ramzinex-ws-docs", 7),
      ramzinexTrades("2", [{ id: "1" }, { id: "2", amount: "1.6e-05" }, { id: "3", amount: "0" }])
    ]
    fc.assert(
      fc.property(mutated(frames), (frame) => {
        const messages = decode(frame)
        for (const { amount, id, price, side, timestamp } of rowsOf(messages)) {
          assert.isTrue(isDecimal(price) && isPositive(price) && isDecimal(amount) && !amount.startsWith("-"))
          assert.isTrue(side === "buy" || side === "sell")
          assert.match(id ?? "", /^[\w.-]{1,64}$/)
          assert.strictEqual(new Date(timestamp ?? NaN).toISOString().length, 24)
        }
        for (const { asks, bids } of booksOf(messages)) {
          for (const [price, amount] of [...asks, ...bids]) {
            assert.isTrue(isDecimal(price) && isPositive(price) && isDecimal(amount) && isPositive(amount))
          }
        }
        assert.isUndefined(Reflect.get({}, "polluted"))
      }),
      { numRuns: 20_000 }
    )
  })
})

describe("Ramzinex's digits", () => {
  /** A number as JSON may have it, and what it is: made of integers, by no line of the decoder. */
  const literal = fc.tuple(
    fc.bigInt({ min: 1n, max: 10n ** 28n }),
    fc.nat(28),
    fc.nat(6),
    fc.constantFrom("+", "-0", "")
  )
    .map(([units, scale, shift, sign]) => {
      const plain = printed({ units, scale })
      // As a program that prints doubles would: some digits, and where the point is.
      const away = sign === "-0" ? -Math.min(shift, scale) : shift
      const text = shift === 0 ? plain : `${printed({ units, scale: scale + away })}e${sign}${Math.abs(away)}`
      return { units, scale, text, plain }
    })

  it("are those that came, for trades and both sides of a book, and Rial prices are a tenth, exactly", () => {
    fc.assert(
      fc.property(literal, literal, (price, amount) => {
        const fields = { id: "1", price: price.text, amount: amount.text }
        const { trades } = played([ramzinexTrades("2", [fields]), ramzinexTrades("12", [fields])])
        const tenth = printed({ ...price, scale: price.scale + 1 })
        assert.deepStrictEqual(trades.map(({ amount, price }) => [price, amount]), [
          [tenth, amount.plain],
          [price.plain, amount.plain]
        ])
        const row = `[${price.text},${amount.text},1.5,false,null,1,1]`
        for (const [buys, sells] of [[row, ""], ["", row]] as const) {
          const [part] = booksOf(
            decode(`{"push":{"channel":"orderbook:2","pub":{"data":{"buys":[${buys}],"sells":[${sells}]}}}}`)
          )
          assert.deepStrictEqual([...part?.bids ?? [], ...part?.asks ?? []], [[price.plain, amount.plain]])
        }
      }),
      { numRuns: 2_000 }
    )
  })
})

describe("Ramzinex's list of markets", () => {
  const list = (body: string) => Either.flatMap(Json.parse(body, Json.bodyLimits), ramzinex.rest.markets.decode)
  const captured = line("ramzinex", "ramzinex-rest-v1-pair-2024", 1)

  it("reads the captured row, and lets a bad one harm no other", () => {
    const rows = Either.getOrThrow(list(`{"status":0,"data":[{"pair_id":"x"},${captured}]}`))
    assert.deepStrictEqual(rows.map(Either.isRight), [false, true])
    assert.deepStrictEqual(rows[1], Either.right({ exchangeSymbol: "2", base: "btc", quote: "irr", tradable: true }))
  })

  it("leaves out what is delisted or suspended", () => {
    const flagged = (delisted: number, suspended: number) =>
      captured.replace("{", `{"is_delist":${delisted},"is_temporarily_suspended":${suspended},`)
    const body = `{"status":0,"data":[${flagged(0, 0)},${flagged(1, 0)},${flagged(0, 1)},${flagged(1, 1)}]}`
    assert.deepStrictEqual(Either.getOrThrow(list(body)).map((row) => Either.getOrThrow(row).tradable), [
      true,
      false,
      false,
      false
    ])
  })

  it("is refused unless its status is 0", () => {
    for (const body of ["<html>busy</html>", `{"status":-82}`, `{"status":1,"data":[]}`, `{"data":[]}`, "[]"]) {
      assert.isTrue(Either.isLeft(list(body)), body)
    }
    // Another version of the API.
    assert.isTrue(Either.isLeft(list(line("ramzinex", "ramzinex-rest-docs", 4))))
  })

  it("refuses by body, with status 200", () => {
    const refused = (body: unknown) => ramzinex.rest.refused?.({ status: 200, body })
    assert.deepStrictEqual(refused({ status: "-82" }), { message: "status -82", retryAfter: "60" })
    assert.deepStrictEqual(refused({ status: "422" }), { message: "status 422", retryAfter: undefined })
    for (const body of [{ status: "0" }, undefined, null, [], "no", { status: {} }, {}]) {
      assert.isUndefined(refused(body), JSON.stringify(body))
    }
  })
})
