/** What `top` shows of a report. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Top from "../../../../src/layers/cli/commands/Top.ts"
import * as StatusPage from "../../../../src/layers/http/StatusPage.ts"
import * as FeedStatus from "../../../../src/services/FeedStatus.ts"
import * as Time from "../../../../src/services/Time.ts"
import { exchange } from "../../../services/Health/inputs.ts"
import * as Sources from "../../http/sources.ts"

const market = (symbol: string, book?: FeedStatus.BookStatus) =>
  [symbol, {
    symbol,
    trades: 0,
    lastPrice: null,
    lastAt: null,
    subscription: "active" as const,
    stale: false,
    book
  }] as const

const at = (ms: number) => ({ at: Time.instant(ms), wall: Time.wallTime(ms) })

const tableOf = (markets: ReadonlyArray<ReturnType<typeof market>>) =>
  Effect.gen(function*() {
    const { sources, status } = yield* Sources.make()
    status.update("bitpin", () => exchange("bitpin", { markets: new Map(markets) }))
    return { report: yield* StatusPage.report(sources), sources }
  }).pipe(Effect.map(({ report }) => ({ report, lines: Top.table(report, undefined, 0) })))

const booksIn = (lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  const first = lines.findIndex((line) => line.startsWith("books: "))
  return first === -1 ? [] : lines.slice(first, lines.indexOf("", first) === -1 ? undefined : lines.indexOf("", first))
}

describe("top", () => {
  it.effect("shows each book's state, best prices, spread and age: those in trouble first, then the oldest", () =>
    Effect.gen(function*() {
      // The test's clock is at 0.
      const { lines, report } = yield* tableOf([
        market("A/IRT", { state: "live", bestBid: "100", bestAsk: "100.5", at: at(-3_000) }),
        market("B/IRT", { state: "live", bestBid: "7", bestAsk: null, at: at(-90_000) }),
        market("C/IRT", { state: "doubtful", bestBid: "1", bestAsk: "2", at: at(-1_000) }),
        market("D/IRT", { state: "waiting", bestBid: null, bestAsk: null, at: null }),
        market("E/IRT")
      ])
      assert.deepStrictEqual(booksIn(lines), [
        "books: 2 live, 1 doubtful, 1 waiting for a first picture",
        "BOOK          STATE     BID  ASK    SPREAD     AGE",
        "bitpin C/IRT  doubtful  1    2      100.000 %  1 s",
        "bitpin D/IRT  waiting   -    -      -          -",
        "bitpin B/IRT  live      7    -      -          1 min",
        "bitpin A/IRT  live      100  100.5  0.500 %    3 s"
      ])
      const [first] = report.exchanges
      assert.deepStrictEqual(first?.markets[0]?.book, {
        state: "live",
        bestBid: "100",
        bestAsk: "100.5",
        at: "1969-12-31T23:59:57.000Z",
        ageMs: 3_000
      })
      assert.isNull(first?.markets[4]?.book)
      assert.deepStrictEqual(first?.books.parts, { applied: 0, early: 0, old: 0 })
    }))

  it.effect("says of each exchange how long markets will wait for a first picture", () =>
    Effect.gen(function*() {
      const { sources, status } = yield* Sources.make()
      const one = market("A/IRT", { state: "waiting", bestBid: null, bestAsk: null, at: null })
      const { books } = FeedStatus.empty("bitpin")
      status.update("bitpin", () =>
        exchange("bitpin", {
          markets: new Map([one]),
          books: { ...books, live: 2, waiting: 54, pictures: { perMinute: 54, tookMs: null } }
        }))
      assert.include(
        Top.table(yield* StatusPage.report(sources), undefined, 0),
        "bitpin: 2 of 56 have their first picture, the last in about 60 s"
      )
    }))

  it.effect("says nothing of books where there are none, as in a service of before; of many it shows ten", () =>
    Effect.gen(function*() {
      const { lines, report } = yield* tableOf([market("A/IRT")])
      assert.deepStrictEqual(booksIn(lines), [])
      const before = JSON.parse(
        JSON.stringify(report, (key, value) => key === "book" || key === "books" ? undefined : value)
      )
      assert.deepStrictEqual(Top.table(before, undefined, 0), lines)
      const many = Array.from(
        { length: 12 },
        (_, n) => market(`M${n}/IRT`, { state: "live", bestBid: "1", bestAsk: "2", at: at(-1_000 * n) })
      )
      const shown = booksIn((yield* tableOf(many)).lines)
      assert.lengthOf(shown, 13)
      assert.include(shown[2], "bitpin M11/IRT")
      assert.strictEqual(shown[12], "and 2 more: /api/status")
    }))
})
