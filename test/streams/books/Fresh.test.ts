/** Binance's books of changes have a fresh picture by REST now and then, each market at times of its own, though nothing is wrong. */
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Board from "../../../src/streams/Board.ts"
import * as Machine from "../../../src/streams/books/Machine.ts"
import * as Markets from "../../../src/streams/books/Markets.ts"
import type { BooksOptions } from "../../../src/streams/books/Options.ts"
import type * as Sync from "../../../src/streams/books/Sync.ts"
import { binance } from "../../../src/streams/exchanges/Binance.ts"
import * as StatusEvents from "../../../src/streams/StatusEvents.ts"

const hour = 3_600_000

const picture: Sync.Part = {
  part: "whole",
  bids: [["5", "1"]],
  asks: [["9", "1"]],
  previous: undefined,
  sequence: 7n,
  timestamp: null
}

const told: BooksOptions = { depth: 50, interval: Duration.zero, refresh: Duration.zero, deltas: false }

/** Hours at which the picture of a quiet market was asked for; each question is answered. */
const asksOf = (symbol: string, asked: BooksOptions, hours: number): ReadonlyArray<number> => {
  let ms = 0
  const asks: Array<number> = []
  const now = (): Time.Moment => ({ at: Time.instant(ms), wall: Time.wallTime(1_800_000_000_000 + ms) })
  const board = Board.make(FeedStatus.make([binance.id]), binance.id)
  let isAsked = false
  const markets = Markets.make({
    exchange: binance,
    asked,
    board,
    ledger: Ledger.make(),
    statusEvents: StatusEvents.make(binance.id, "test"),
    collector: "me",
    depth: 50,
    interval: 0,
    refresh: 0,
    deltas: asked.deltas,
    now,
    onAsk: () => {
      asks.push(ms / hour)
      isAsked = true
    },
    onLeft: () => {}
  })
  const kept = markets.of({ symbol, exchangeSymbol: symbol.replace("/", "") })
  markets.tell(kept, { _tag: "Heard", listener: 1, since: undefined, epoch: undefined }, now())
  // By a socket where that brings pictures.
  if (!asked.deltas && asked.depth !== "all" && asked.depth <= 20) {
    markets.tell(kept, { _tag: "Part", listener: 1, part: picture }, now())
  }
  while (ms < hours * hour) {
    const wake = Machine.wakeAt(kept.state)
    if (wake === undefined) break
    ms = Math.max(ms, Time.between(Time.instant(0), wake))
    markets.tell(kept, { _tag: "Due" }, now())
    if (!isAsked) continue
    isAsked = false
    // It has been on its way.
    ms += 200
    markets.tell(kept, { _tag: "Answer", part: picture }, now())
  }
  return asks
}

describe("Fresh pictures", () => {
  it("come first between three and nine hours after the first picture, then each six hours, of each market at its own time", () => {
    const firsts = new Set<number>()
    for (let n = 0; n < 50; n++) {
      const [first = NaN, second = NaN, ...others] = asksOf(`C${n}/USDT`, told, 40)
      assert.isBelow(first * hour, 500)
      assert.isTrue(second >= 3 && second <= 9.001, String(second))
      assert.isAtLeast(others.length, 5)
      others.forEach((at, i) => assert.approximately(at, second + 6 * (i + 1), 0.001))
      firsts.add(Math.floor(second * 10))
    }
    // Not all together: of sixty tenths of an hour.
    assert.isAbove(firsts.size, 25)
  })

  it("are of no use where each part is a whole picture", () => {
    assert.deepStrictEqual(asksOf("BTC/USDT", { ...told, depth: 20 }, 40), [])
  })
})
