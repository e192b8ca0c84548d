/** What the channel of books keeps while nobody takes its events, and what it says of markets that it leaves. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, TestClock } from "effect"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import type { MarketEvent } from "../../../src/services/MarketEvent.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Board from "../../../src/streams/Board.ts"
import * as BooksChannel from "../../../src/streams/books/BooksChannel.ts"
import type { BookPart, Exchange, Market } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import * as Rest from "../../../src/streams/Rest.ts"
import * as StatusEvents from "../../../src/streams/StatusEvents.ts"
import * as FakeApi from "../support/FakeApi.ts"
import { breaker, settle } from "../support/Harness.ts"

/** No picture is asked for. */
const exchange: Exchange = { ...bitpin, books: { link: "replaced", levels: 50, numbers: "offset", picture: undefined } }
const market: Market = { symbol: "BTC/IRT", exchangeSymbol: "BTC_IRT" }

const part = (offset: number): BookPart => ({
  _tag: "books",
  exchangeSymbol: "BTC_IRT",
  part: "whole",
  bids: [["1", String(offset)]],
  asks: [["2", "1"]],
  previous: undefined,
  sequence: BigInt(offset),
  timestamp: 1_781_182_785_000 + offset
})

/** Of two events about a hole which one it is; of a book its number. */
const inShort = (event: MarketEvent): string =>
  event.type === "status" ? `${event["complete"] === true ? "whole" : "doubtful"}` : event.type

const make = Effect.gen(function*() {
  const room = yield* Deferred.make<void>()
  const events: Array<MarketEvent> = []
  const status = FeedStatus.make([exchange.id])
  const board = Board.make(status, exchange.id)
  const channel = yield* BooksChannel.make({
    exchange,
    books: { depth: 20, interval: Duration.zero, refresh: Duration.seconds(60), deltas: false },
    rest: yield* Rest.make({
      exchange: exchange.id,
      apiUrl: "http://api.test",
      restPerMinute: 60,
      breaker: yield* breaker("api"),
      board,
      onChange: () => Effect.void
    }),
    collector: "me",
    ledger: Ledger.make(),
    board,
    statusEvents: StatusEvents.make(exchange.id, "test"),
    emit: (some) => Effect.zipRight(Deferred.await(room), Effect.sync(() => void events.push(...some))),
    supervise: (effect) => effect
  })
  const member = channel.open().member(market)
  member.heard(false, 0, "e1")
  const at = yield* Time.moment
  return {
    channel,
    events,
    member,
    status: () => {
      board.show()
      return status.exchanges()[0]?.books
    },
    take: (offset: number) => void member.take(part(offset), at),
    release: Effect.zipRight(Deferred.succeed(room, undefined), settle)
  }
})

const world = FakeApi.layer(() => Effect.succeed({ body: "[]" }))

describe("While nobody takes its events", () => {
  it.scoped("a book that flaps makes no more of them, and the last hole ends with the book", () =>
    Effect.gen(function*() {
      const { events, member, release, take } = yield* make
      take(1)
      yield* settle
      for (let n = 2; n <= 5_000; n++) {
        member.spoiled?.()
        take(n)
      }
      yield* release
      const told = events.map(inShort)
      assert.isTrue(told.length < 1_100, `${told.length} events`)
      // Each hole by two, and the book behind it.
      assert.deepStrictEqual(told.filter((_, i) => i % 3 === 1).filter((one) => one !== "doubtful"), [])
      assert.deepStrictEqual(told.filter((_, i) => i % 3 === 2).filter((one) => one !== "whole"), [])
      assert.deepStrictEqual(told.slice(-3), ["doubtful", "whole", "book"])
      assert.deepInclude(events.at(-1), { sequence: "e1_5000" })
      assert.deepInclude(events.at(-2), { toSequence: "e1_5000" })
    }).pipe(Effect.provide(world)))
})

describe("A market that is not listed any more", () => {
  it.scoped("while its book is doubtful: the hole ends, not whole", () =>
    Effect.gen(function*() {
      const { channel, events, member, release, status, take } = yield* make
      yield* release
      take(1)
      member.spoiled?.()
      channel.listed(new Set())
      channel.listed(new Set())
      yield* settle
      assert.deepStrictEqual(events.map(inShort), ["book", "doubtful", "doubtful"])
      const [, first, second] = events
      assert.deepInclude(second, { event: "gap", gapId: first?.id, to: null, toSequence: null, complete: false })
      assert.deepInclude(status(), { waiting: 0, live: 0, doubtful: 0, gaps: { overflow: 1 } })
    }).pipe(Effect.provide(world)))

  it.scoped("under another name of the exchange's: so is the book of the name before", () =>
    Effect.gen(function*() {
      const { channel, events, release, status, take } = yield* make
      yield* release
      take(1)
      channel.open().member({ ...market, exchangeSymbol: "BTC2_IRT" })
      yield* settle
      assert.deepStrictEqual(events.map(inShort), ["book", "doubtful", "doubtful"])
      assert.deepInclude(status(), { waiting: 1, live: 0, doubtful: 0 })
    }).pipe(Effect.provide(world)))
})

describe("A hole that is open at a stop", () => {
  it.scoped("has no second event: the first book of the next life, later than the first, is what ends it", () =>
    Effect.gen(function*() {
      const life = yield* make
      yield* life.release
      life.take(1)
      life.member.lost("disconnected", { id: 0, aliveAt: yield* Time.now, broughtAt: null })
      yield* settle
      life.channel.stopping?.()
      yield* life.channel.flush
      assert.deepStrictEqual(life.events.map(inShort), ["book", "doubtful"])
      yield* TestClock.adjust("1 second")
      const next = yield* make
      yield* next.release
      next.take(2)
      yield* settle
      assert.deepStrictEqual(next.events.map(inShort), ["book"])
      const [gap, book] = [life.events[1], next.events[0]]
      if (gap === undefined || book?.type !== "book") return assert.fail("a hole, and a book")
      assert.isAbove(Date.parse(book.sentAt), Date.parse(gap.receivedAt))
    }).pipe(Effect.provide(world)))
})
