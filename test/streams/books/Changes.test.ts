/** Books that changes keep, through a feed: an exchange made up for it, whose frames are messages as `decode` gives them. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Layer, TestClock } from "effect"
import type { Book, MarketEvent } from "../../../src/services/MarketEvent.ts"
import type { BooksOptions } from "../../../src/streams/books/Options.ts"
import type { BookPart, Books, Exchange, Level, Message } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import type { Recorder } from "../../../src/streams/Recorder.ts"
import * as FakeApi from "../support/FakeApi.ts"
import { type FakeSocket, FakeSockets, layer as sockets } from "../support/FakeSockets.ts"
import { run, settle } from "../support/Harness.ts"

type Wire = Message extends infer M ? M extends { readonly _tag: "subscribed" | "unsubscribed" | "counted" } ? M : never
  : never

/** Numbers are text on the wire. */
const revive = (_: string, value: unknown): unknown =>
  typeof value === "string" && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value

const frame = (...messages: ReadonlyArray<Wire | BookPart>): string =>
  JSON.stringify(messages, (_, value: unknown) => typeof value === "bigint" ? `${value}n` : value)

const exchange = (books: Partial<Books>): Exchange => ({
  ...bitpin,
  id: "changes",
  socket: {
    hello: undefined,
    acknowledges: true,
    topics: (channel, { exchangeSymbol }) => channel === "books" ? [exchangeSymbol] : [],
    subscribe: (topic, id) => `subscribe ${topic} ${id}`,
    unsubscribe: (topic, id) => `unsubscribe ${topic} ${id}`,
    isTerminal: () => false,
    decode: (text): ReadonlyArray<Message> => JSON.parse(text, revive)
  },
  books: { link: "exact", levels: undefined, numbers: "own", picture: undefined, ...books }
})

const subscribed: Wire = { _tag: "subscribed", topic: "A_IRT", position: undefined, recovered: false }
const left: Wire = { _tag: "unsubscribed", topic: "A_IRT", resubscribe: false }

const part = (
  part: "whole" | "delta",
  previous: bigint | undefined,
  sequence: bigint | undefined,
  bids: ReadonlyArray<Level>,
  asks: ReadonlyArray<Level> = part === "whole" ? [["9", "1"]] : []
): BookPart => ({ _tag: "books", exchangeSymbol: "A_IRT", part, bids, asks, previous, sequence, timestamp: null })

const booksOf = (events: ReadonlyArray<MarketEvent>): ReadonlyArray<Book> =>
  events.filter((event): event is Book => event.type === "book")
const gapsOf = (events: ReadonlyArray<MarketEvent>) =>
  events.flatMap((event) =>
    event.type === "status" && event.event === "gap" ? [[event["cause"], event["complete"]]] : []
  )

const world = Layer.mergeAll(
  sockets((socket) => socket.open()),
  FakeApi.layer(({ path }) =>
    Effect.succeed({
      body: path.includes("/picture")
        ? JSON.stringify({ sequence: path.split("=")[1] ?? "" })
        : FakeApi.bitpinList("A_IRT")
    })
  )
)

const start = (books: Partial<Books>, told: Partial<BooksOptions> = {}, recorder?: Recorder) =>
  Effect.gen(function*() {
    const feed = yield* run(exchange(books), {
      channels: ["books"],
      books: { depth: 20, interval: Duration.zero, refresh: Duration.zero, deltas: false, ...told },
      collector: "me",
      recorder
    })
    yield* settle
    const socket = yield* (yield* FakeSockets).accept
    yield* settle
    return { feed, socket }
  })

const say = (socket: FakeSocket, ...messages: ReadonlyArray<Wire | BookPart>) =>
  Effect.zipRight(Effect.sync(() => socket.push(frame(...messages))), settle)

const seconds = (n: number) =>
  Effect.forEach(Array.from({ length: n }), () => Effect.zipRight(TestClock.adjust("1 second"), settle), {
    discard: true
  })

describe("A feed of changes", () => {
  it.scoped("tells the book from its picture on, also where that comes before the answer, and subscribes anew once for a hole", () =>
    Effect.gen(function*() {
      const { feed, socket } = yield* start({ resync: "resubscribe" })
      yield* say(socket, part("whole", undefined, 10n, [["5", "1"]]))
      yield* say(socket, part("delta", 10n, 12n, [["6", "1"]]))
      assert.deepStrictEqual(booksOf(yield* feed.rest), [])
      yield* say(socket, subscribed)
      yield* say(socket, part("delta", 12n, 15n, [["5", "0"]]))
      const told = booksOf(yield* feed.rest)
      assert.deepStrictEqual(told.at(-1)?.bids, [["6", "1"]])
      assert.deepInclude(told.at(-1), { sequence: "15", id: "changes:A/IRT:b:15" })
      yield* say(socket, part("delta", 16n, 17n, [["7", "1"]]))
      yield* say(socket, part("delta", 17n, 18n, [["7", "2"]]))
      yield* seconds(5)
      assert.deepStrictEqual(gapsOf(yield* feed.rest), [["sequence", false]])
      const commands = () => socket.sent.map((command) => command.split(" ")[0])
      assert.deepStrictEqual(commands(), ["subscribe", "unsubscribe", "subscribe"])
      yield* say(socket, left)
      yield* say(socket, part("whole", undefined, 20n, [["8", "1"]]), subscribed)
      const events = yield* feed.rest
      assert.deepStrictEqual(gapsOf(events), [["sequence", true]])
      assert.deepStrictEqual(booksOf(events).map(({ bids, sequence }) => [bids, sequence]), [[[["8", "1"]], "20"]])
      yield* seconds(60)
      assert.deepStrictEqual(commands(), ["subscribe", "unsubscribe", "subscribe"])
      assert.deepStrictEqual(feed.status().books.resyncs, { resubscribe: 1 })
    }).pipe(Effect.provide(world)))

  it.scoped("asks for the first picture where the socket has none, and goes on from it with what was heard meanwhile", () =>
    Effect.gen(function*() {
      const picture: NonNullable<Books["picture"]> = {
        path: () => "/picture?n=11",
        levels: 2,
        decode: () =>
          Either.right({
            bids: [["5", "1"], ["4", "1"]],
            asks: [["9", "1"]],
            previous: undefined,
            sequence: 11n,
            timestamp: null
          })
      }
      const { feed, socket } = yield* start({ link: "overlap", resync: "picture", picture })
      yield* say(socket, subscribed)
      yield* say(socket, part("delta", 9n, 12n, [["5", "2"], ["3", "1"]]))
      yield* seconds(3)
      const [book, ...others] = booksOf(yield* feed.rest)
      assert.deepStrictEqual(others, [])
      // Of what is worse than the picture went nothing is known.
      assert.deepInclude(book, { bids: [["5", "2"], ["4", "1"]], asks: [["9", "1"]], sequence: "12", source: "ws" })
      assert.deepStrictEqual(feed.status().books.resyncs, { snapshot: 1 })
    }).pipe(Effect.provide(world)))

  it.scoped("records a picture of the number that the book has: its further levels are told with the next change", () =>
    Effect.gen(function*() {
      const numbers = [10n, 11n]
      const picture: NonNullable<Books["picture"]> = {
        path: () => "/picture",
        levels: 4,
        decode: () =>
          Either.right({
            bids: numbers.length > 1
              ? [["5", "1"], ["4", "1"], ["3", "1"], ["2", "1"]]
              : [["2", "1"], ["1.9", "1"], ["1.8", "1"], ["1.7", "1"]],
            asks: [["9", "1"]],
            previous: undefined,
            sequence: numbers.shift() ?? assert.fail("nothing more is asked for"),
            timestamp: null
          })
      }
      let answers = 0
      const { feed, socket } = yield* start({ link: "overlap", resync: "picture", picture }, {}, {
        opened: () => {},
        frame: () => {},
        answered: () => void (answers += 1)
      })
      yield* say(socket, subscribed)
      yield* seconds(3)
      assert.strictEqual(answers, 1)
      // Soon fewer would be known than are told.
      yield* say(socket, part("delta", 10n, 11n, [["5", "0"], ["4", "0"], ["3", "0"]]))
      yield* seconds(35)
      assert.deepStrictEqual(numbers, [])
      assert.deepStrictEqual(booksOf(yield* feed.rest).at(-1)?.bids, [["2", "1"]])
      yield* say(socket, part("delta", 11n, 12n, [["2", "2"]]))
      assert.deepStrictEqual(booksOf(yield* feed.rest).at(-1)?.bids, [["2", "2"], ["1.9", "1"], ["1.8", "1"], [
        "1.7",
        "1"
      ]])
      assert.strictEqual(answers, 2)
    }).pipe(Effect.provide(world)))

  it.scoped("leaves for a new connection where only that helps, and not again within a minute", () =>
    Effect.gen(function*() {
      const { feed, socket } = yield* start({ link: "counted", numbers: "none", resync: "redial" })
      const { dials } = yield* FakeSockets
      const count = (sequence: bigint): Wire => ({ _tag: "counted", sequence })
      yield* say(socket, count(0n), part("whole", undefined, undefined, [["5", "1"]]))
      yield* say(socket, count(1n), subscribed)
      yield* say(socket, count(2n), part("delta", undefined, undefined, [["6", "1"]]))
      assert.deepStrictEqual(booksOf(yield* feed.rest).at(-1)?.bids, [["6", "1"], ["5", "1"]])
      yield* say(socket, count(4n), part("delta", undefined, undefined, [["7", "1"]]))
      yield* seconds(20)
      assert.deepStrictEqual(gapsOf(yield* feed.rest), [["sequence", false]])
      assert.strictEqual(dials.length, 2)
      const second = yield* (yield* FakeSockets).accept
      yield* say(second, count(0n), part("whole", undefined, undefined, [["4", "1"]]))
      yield* say(second, count(1n), subscribed)
      const events = yield* feed.rest
      assert.deepStrictEqual(gapsOf(events), [["sequence", true]])
      yield* say(second, count(3n))
      yield* seconds(30)
      assert.strictEqual(dials.length, 2)
      yield* seconds(40)
      assert.strictEqual(dials.length, 3)
    }).pipe(Effect.provide(world)))

  it.scoped("does what the exchange says of books that are told so: pictures or changes, cut as deep as was asked", () =>
    Effect.gen(function*() {
      const books: Partial<Books> = {
        link: "replaced",
        by: ({ depth }) => depth === 2 ? { link: "none", cut: 2, resync: "resubscribe", numbers: "none" } : {}
      }
      const { feed, socket } = yield* start(books, { depth: 2 })
      yield* say(socket, subscribed, part("whole", undefined, undefined, [["5", "1"], ["4", "1"]]))
      yield* say(socket, part("delta", undefined, undefined, [["6", "1"]]))
      yield* say(socket, part("delta", undefined, undefined, [["6", "0"]]))
      assert.deepStrictEqual(booksOf(yield* feed.rest).at(-1)?.bids, [["5", "1"]])
      const other = yield* start(books, { depth: 3 })
      yield* say(other.socket, subscribed, part("whole", undefined, 1n, [["5", "1"], ["4", "1"]]))
      yield* say(other.socket, part("delta", 1n, 2n, [["6", "1"]]))
      assert.deepStrictEqual(booksOf(yield* other.feed.rest).map(({ bids }) => bids), [[["5", "1"], ["4", "1"]]])
    }).pipe(Effect.provide(world)))

  it.scoped("what was missing before the answer is not forgotten: changes of behind it do not go on from before it", () =>
    Effect.gen(function*() {
      const { feed, socket } = yield* start({ link: "counted", numbers: "none", resync: "redial" })
      const { dials } = yield* FakeSockets
      const count = (sequence: bigint): Wire => ({ _tag: "counted", sequence })
      yield* say(socket, count(0n), part("whole", undefined, undefined, [["5", "1"]]))
      yield* say(socket, count(2n), part("delta", undefined, undefined, [["6", "1"]]))
      yield* say(socket, count(3n), subscribed)
      yield* say(socket, count(4n), part("delta", undefined, undefined, [["7", "1"]]))
      yield* seconds(2)
      assert.deepStrictEqual(booksOf(yield* feed.rest), [])
      yield* seconds(35)
      assert.strictEqual(dials.length, 2)
    }).pipe(Effect.provide(world)))

  it.scoped("one connection subscribes anew so many times in an hour, and no more", () =>
    Effect.gen(function*() {
      const { socket } = yield* start({ resync: "resubscribe", resubscriptions: 2 })
      const anew = () => socket.sent.filter((command) => command.startsWith("unsubscribe")).length
      yield* say(socket, part("whole", undefined, 0n, [["5", "1"]]), subscribed)
      for (let n = 1; n < 4; n++) {
        // It does not follow.
        yield* say(socket, part("delta", 700n, 701n, [["6", "1"]]))
        const before = anew()
        for (let second = 0; second < 25 && anew() === before; second++) yield* seconds(1)
        if (anew() === before) break
        yield* say(socket, left, part("whole", undefined, BigInt(n), [["5", "1"]]), subscribed)
      }
      assert.strictEqual(anew(), 2)
    }).pipe(Effect.provide(world)))
})
