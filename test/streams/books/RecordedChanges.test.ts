/** Captured books that changes keep, through adapter, session and machine: each line has to become what a script made of it by itself. */
import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import { Book, BookDelta, type MarketEvent } from "../../../src/services/MarketEvent.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Board from "../../../src/streams/Board.ts"
import * as BooksChannel from "../../../src/streams/books/BooksChannel.ts"
import { booksOf } from "../../../src/streams/books/Declared.ts"
import type { BooksOptions } from "../../../src/streams/books/Options.ts"
import * as Defaults from "../../../src/streams/Defaults.ts"
import type { Exchange } from "../../../src/streams/Exchange.ts"
import { binance } from "../../../src/streams/exchanges/Binance.ts"
import { bybit } from "../../../src/streams/exchanges/Bybit.ts"
import { kraken } from "../../../src/streams/exchanges/Kraken.ts"
import { okx } from "../../../src/streams/exchanges/Okx.ts"
import * as Session from "../../../src/streams/Feed/Session.ts"
import * as Topics from "../../../src/streams/Feed/Topics.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import * as Rhythm from "../../../src/streams/Rhythm.ts"
import * as StatusEvents from "../../../src/streams/StatusEvents.ts"
import { recording } from "../support/recordings.ts"

const moment = { at: Time.instant(0), wall: Time.wallTime(Date.parse("2026-08-24T22:35:00.000Z")) }

/** One session that listens to that market's book and its changes. */
const player = (exchange: Exchange, [symbol, exchangeSymbol]: readonly [string, string], asked: BooksOptions) => {
  const board = Board.make(FeedStatus.make([exchange.id]), exchange.id)
  const statusEvents = StatusEvents.make(exchange.id, "test")
  const channel = BooksChannel.alone({
    exchange,
    board,
    ledger: Ledger.make(),
    statusEvents,
    collector: "test",
    depth: asked.depth,
    deltas: true,
    asked
  })
  const market = { symbol, exchangeSymbol }
  const topics = exchange.socket.topics("books", market, asked).map((topic) =>
    [topic, { channel: "books" as const, market }] as const
  )
  const session = Session.make({
    shared: {
      exchange,
      board,
      channels: [channel],
      statusEvents,
      timing: Topics.defaultTiming,
      positions: new Map(),
      refused: new Set()
    },
    connection: 0,
    topics: new Map(topics),
    rhythm: Rhythm.make(),
    now: moment.at
  })
  session.handle([{ _tag: "open", ...moment }])
  while (session.hasCommands()) session.command(moment.at)
  return {
    say: (text: string): ReadonlyArray<MarketEvent> =>
      session.handle([{ _tag: "text", text, ...moment }]).events.filter(({ type }) => type !== "status"),
    answer: (text: string): ReadonlyArray<MarketEvent> => {
      const { picture } = booksOf(exchange, asked) ?? assert.fail("no books")
      const found = Either.flatMap(
        Json.parse(text, Json.bodyLimits),
        (body) => picture?.decode(body) ?? assert.fail("no picture")
      )
      return channel.answered(market, Either.getOrThrow(found), moment)
    }
  }
}

const decodeEvent = Schema.decodeUnknownSync(Schema.Union(Book, BookDelta))

const asked: BooksOptions = { ...Defaults.books, deltas: true }

const shallow: BooksOptions = { ...asked, depth: 10 }

const files: ReadonlyArray<
  readonly [name: string, exchange: Exchange, market: readonly [string, string], asked: BooksOptions]
> = [
  ["okx-ws-books-btcusdt-20260824-trimmed", okx, ["BTC/USDT", "BTC-USDT"], asked],
  // Before books had numbers: a book without one cannot be followed, and nothing is told of it.
  ["okx-ws-books-btcusdt-20220513", okx, ["BTC/USDT", "BTC-USDT"], asked],
  ["kraken-ws-book10-btcusd-20260824", kraken, ["BTC/USD", "BTC/USD"], shallow],
  ["kraken-ws-book25-minagbp-20260816", kraken, ["MINA/GBP", "MINA/GBP"], asked],
  ["bybit-ws-orderbook50-btcusdt-20260824", bybit, ["BTC/USDT", "BTCUSDT"], asked]
]

/** Whoever recorded it had sent no id; the answer to ours has one. */
const answered = (text: string): string =>
  text.replace(/^\{"success":true,(?!.*"req_id")/, "{\"req_id\":\"2\",\"success\":true,")

describe("Recorded changes", () => {
  for (const [name, exchange, market, asked] of files) {
    it(`${name}: each line is what it says`, () => {
      const expected = recording("oracles", `expected/${name}`).map((line): unknown => JSON.parse(line))
      const { say } = player(exchange, market, asked)
      const told = recording("oracles", name).map((text) => say(answered(text)))
      assert.deepStrictEqual<unknown>(told, expected)
      for (const event of told.flat()) assert.deepStrictEqual<unknown>(decodeEvent(event), event)
    })
  }

  const lines = (name: string) => recording("oracles", `binance-ws-depth-${name}`)
  const isBeside = (line: string) => line.includes("@depth20")
  const pictureOf = (name: string) => recording("oracles", `binance-rest-depth-${name}`)[0] ?? ""

  for (
    const [name, market, early] of [
      ["atomeur-20260824", ["ATOM/EUR", "ATOMEUR"], 1],
      ["lrcbtc-20211012", ["LRC/BTC", "LRCBTC"], 6]
    ] as const
  ) {
    it(`binance-ws-depth-${name}: the same, from the picture on that came after ${early} of its lines`, () => {
      const expected = recording("oracles", `expected/binance-ws-depth-${name}`).map((line): unknown =>
        JSON.parse(line)
      )
      const { answer, say } = player(binance, market, asked)
      assert.deepStrictEqual(say(`{"result":null,"id":2}`), [])
      const told = lines(name).map((line, i) => {
        const events = say(line)
        return i + 1 === early ? [...events, ...answer(pictureOf(name))] : events
      })
      // Beside the changes one recorder had a stream of pictures: they prove the book, and nothing is told of them.
      assert.deepStrictEqual<unknown>(told.filter((_, i) => !isBeside(lines(name)[i] ?? "")), expected)
      assert.deepStrictEqual(told.filter((_, i) => isBeside(lines(name)[i] ?? "")).flat(), [])
      for (const event of told.flat()) assert.deepStrictEqual<unknown>(decodeEvent(event), event)
    })
  }

  it("a picture that was asked for without cause is taken when it is played, as it was: a book that was wrong is a hole, and mended", () => {
    const { answer, say } = player(binance, ["BTC/USDT", "BTCUSDT"], asked)
    const change = (u: number, amount: string) =>
      `{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1790960630914,"s":"BTCUSDT","U":${u},"u":${u},"b":[["5.0","${amount}"]],"a":[]}}`
    const picture = (u: number, bid: string, ask: string) =>
      `{"lastUpdateId":${u},"bids":[["5.0","${bid}"]],"asks":[["6.0","${ask}"]]}`
    say(`{"result":null,"id":2}`)
    assert.lengthOf(answer(picture(10, "1", "1")), 1)
    assert.lengthOf(say(change(11, "2")), 1)
    // The ask was another before that change, and nobody told; the change came before the picture.
    const told = answer(picture(10, "1", "9"))
    assert.deepStrictEqual(
      told.map((event) => event.type === "status" ? [event.event, event["cause"], event["complete"]] : [event.type]),
      [["gap", "checksum", false], ["gap", "checksum", true], ["book"]]
    )
    assert.deepInclude(told.at(-1), { bids: [["5", "2"]], asks: [["6", "9"]] })
    assert.lengthOf(say(change(12, "3")), 1)
  })

  it("binance-ws-depth-atomeur-20260824: of a picture beside with another amount nothing more is told, as the book may be the wrong one", () => {
    const name = "atomeur-20260824"
    for (const isSpoiled of [false, true]) {
      const { answer, say } = player(binance, ["ATOM/EUR", "ATOMEUR"], asked)
      say(`{"result":null,"id":2}`)
      let pictures = 0
      const after: Array<MarketEvent> = []
      lines(name).forEach((line, i) => {
        if (isBeside(line)) pictures += 1
        // The amount of the best bid.
        const spoiled = isSpoiled && isBeside(line) && pictures === 2
          ? line.replace(/("bids":\[\["[\d.]+",")[\d.]+"/, "$11234.5\"")
          : line
        assert.strictEqual(spoiled === line, !(isSpoiled && isBeside(line) && pictures === 2))
        const events = say(spoiled)
        if (i === 0) answer(pictureOf(name))
        if (pictures >= 2) after.push(...events)
      })
      assert.strictEqual(pictures, 3)
      assert.strictEqual(after.length > 0, !isSpoiled)
    }
  })
})
