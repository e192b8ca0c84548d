/** Books as they were recorded, through the adapters and the machine, against the events that a person wrote down. */
import { assert, describe, it } from "@effect/vitest"
import { Either, Schema } from "effect"
import { readFileSync } from "node:fs"
import path from "node:path"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import { Book } from "../../../src/services/MarketEvent.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Board from "../../../src/streams/Board.ts"
import * as BooksChannel from "../../../src/streams/books/BooksChannel.ts"
import type { Exchange, Message } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import { exchanges } from "../../../src/streams/exchanges/index.ts"
import { wallex } from "../../../src/streams/exchanges/Wallex.ts"
import * as Session from "../../../src/streams/Feed/Session.ts"
import * as Topics from "../../../src/streams/Feed/Topics.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import * as Rhythm from "../../../src/streams/Rhythm.ts"
import * as StatusEvents from "../../../src/streams/StatusEvents.ts"
import { line, recording } from "../support/recordings.ts"

const Expected = Schema.parseJson(Schema.Struct({
  receivedAt: Schema.String,
  collector: Schema.String,
  epoch: Schema.optional(Schema.String),
  markets: Schema.Array(Schema.Tuple(Schema.String, Schema.String)),
  events: Schema.Array(Schema.Unknown)
}))

const expectedOf = (exchange: string, name: string) =>
  Schema.decodeUnknownSync(Expected)(
    readFileSync(path.resolve(import.meta.dirname, `../../recordings/${exchange}/${name}.expected.json`), "utf8")
  )

/** In one session that listens to the books of these markets. */
const play = (exchange: Exchange, frames: ReadonlyArray<string>, expected: typeof Expected.Type) => {
  const board = Board.make(FeedStatus.make([exchange.id]), exchange.id)
  const ledger = Ledger.make()
  const statusEvents = StatusEvents.make(exchange.id, "test")
  const channel = BooksChannel.alone({
    exchange,
    board,
    ledger,
    statusEvents,
    collector: expected.collector,
    depth: 20,
    deltas: false
  })
  const markets = expected.markets.map(([symbol, exchangeSymbol]) => ({ symbol, exchangeSymbol }))
  const topics = markets.flatMap((market) =>
    exchange.socket.topics("books", market).map((topic) => [topic, { channel: "books" as const, market }] as const)
  )
  const wall = Time.wallTime(Date.parse(expected.receivedAt))
  const moment = { at: Time.instant(0), wall }
  const session = Session.make({
    shared: {
      exchange,
      board,
      channels: [channel],
      statusEvents,
      timing: Topics.defaultTiming,
      positions: new Map()
    },
    connection: 0,
    topics: new Map(topics),
    rhythm: Rhythm.make(),
    now: moment.at
  })
  const say = (text: string) => {
    const { dead, events } = session.handle([{ _tag: "text", text, ...moment }])
    assert.deepStrictEqual(dead, [])
    while (session.hasCommands()) session.command(moment.at)
    return events
  }
  session.handle([{ _tag: "open", ...moment }])
  while (session.hasCommands()) session.command(moment.at)
  const { epoch } = expected
  if (epoch !== undefined) {
    say(`{"id":1,"connect":{}}`)
    topics.forEach((_, i) => say(JSON.stringify({ id: i + 2, subscribe: { recoverable: true, epoch } })))
  }
  const events = frames.flatMap(say).filter(({ type }) => type !== "status")
  return { events, received: ledger.accounts()[0]?.received }
}

describe("Recorded books", () => {
  for (const [name, file] of [["bitpin", "bitpin-orderbook"], ["wallex", "wallex-depth"]] as const) {
    it(`of ${name} become the events that were written down for them`, () => {
      const expected = expectedOf(name, file)
      const { events, received } = play(exchanges[name], recording(name, file), expected)
      assert.deepStrictEqual(events, expected.events)
      for (const event of events) assert.deepStrictEqual(Schema.decodeUnknownSync(Book)(event), event)
      assert.strictEqual(received, expected.events.length)
    })
  }

  it("of Wallex have one side a message, with as many levels as were sent, the digits as they were", () => {
    const [message] = wallex.socket.decode(line("wallex", "wallex-depth", 1), () => undefined)
    assert.strictEqual(message?._tag, "books")
    if (message?._tag !== "books") return
    assert.strictEqual(message.part, "bids")
    assert.deepStrictEqual([message.bids.length, message.asks.length], [37, 0])
    assert.deepStrictEqual(message.bids[0], ["0.32875", "1690.4"])
  })
})

const rest = (exchange: Exchange, text: string) => {
  const body = Json.parse(text, Json.bodyLimits)
  return Either.flatMap(body, (value) => exchange.books?.picture?.decode(value) ?? assert.fail("no picture"))
}

describe("Books by REST", () => {
  it("of BitPin have their time in milliseconds", () => {
    const found = Either.getOrThrow(rest(bitpin, line("bitpin", "bitpin-rest-orderbook", 1)))
    assert.deepStrictEqual(found, {
      bids: [["62672.3", "0.01003106"], ["62655.92", "0.01368489"]],
      asks: [["62714.5", "0.013871"], ["62720.77", "0.0097097"]],
      previous: undefined,
      sequence: undefined,
      timestamp: 1_784_008_564_112
    })
    assert.isTrue(Either.isRight(rest(bitpin, line("bitpin", "bitpin-docs", 5))))
  })

  it("of Wallex are read whether prices are numbers or text, and a refusal is none", () => {
    const found = Either.getOrThrow(rest(wallex, line("wallex", "reconstructed-wallex-rest-depth", 1)))
    assert.deepStrictEqual([found.bids[0], found.asks[0]], [["3.5003", "381.2"], ["3.51436", "262.3"]])
    assert.isTrue(Either.isLeft(rest(wallex, line("wallex", "wallex-rest-docs", 1))))
  })
})

/** Canonical, as the JSON has it. */
const digits = "0.1234567890123456789012345"

const partOf = (messages: ReadonlyArray<Message>) => {
  const [message] = messages
  return message?._tag === "books" ? message : assert.fail(JSON.stringify(messages))
}

describe("A book's digits", () => {
  it("are those of the frame, text or number, whatever their number", () => {
    const ofBitpin = (level: string) =>
      partOf(bitpin.socket.decode(
        `{"push":{"channel":"orderbook:A_B","pub":{"data":{"bids":[${level}],"asks":[]},"offset":9007199254740991}}}`,
        () => undefined
      ))
    for (const level of [`["${digits}","2.500"]`, `[${digits},25e-1]`]) {
      assert.deepStrictEqual(ofBitpin(level).bids, [[digits, "2.5"]])
    }
    assert.strictEqual(ofBitpin(`["1","1"]`).sequence, 9_007_199_254_740_991n)
    const ofWallex = wallex.socket.decode(
      `["A@sellDepth",[{"price":${digits},"quantity":"2.50","sum":1}]]`,
      () => undefined
    )
    assert.deepStrictEqual(partOf(ofWallex).asks, [[digits, "2.5"]])
  })

  it("that are none spoil the whole part: a book without a level that is there is not true", () => {
    for (const level of [`["0","1"]`, `["-1","1"]`, `["1","-1"]`, `["1","x"]`, `["Infinity","1"]`]) {
      const frame = `{"push":{"channel":"orderbook:A_B","pub":{"data":{"bids":[["2","1"],${level}],"asks":[]}}}}`
      const [message, ...others] = bitpin.socket.decode(frame, () => undefined)
      assert.deepStrictEqual(others, [])
      assert.strictEqual(message?._tag === "failure" ? message.failure.reason : message?._tag, "number")
    }
  })
})
