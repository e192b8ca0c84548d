import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import * as StatusPage from "../../../../src/layers/http/StatusPage.ts"
import * as Chart from "../../../../src/layers/http/StatusPage/Chart.ts"
import * as History from "../../../../src/layers/http/StatusPage/History.ts"
import * as Time from "../../../../src/services/Time.ts"
import { make } from "../sources.ts"

const totals = (received: number): History.Totals => ({
  received,
  delivered: received,
  queued: received,
  queuedBytes: 0,
  openHoles: 0
})

describe("the half hour that charts show", () => {
  it("is bounded, and rates are of a point's stretch", () => {
    const history = History.make()
    for (let i = 0; i <= 1_000; i++) history.sample(totals(i * 50), Time.instant(i * History.every))
    const { queued, received } = history.series()
    assert.strictEqual(received.length, History.points)
    assert.isTrue(received.every((rate) => rate === 5))
    assert.strictEqual(queued.at(-1), 50_000)
  })

  it("a count that falls, as after a restart of its source, is no rate below zero", () => {
    const history = History.make()
    history.sample(totals(100), Time.instant(0))
    history.sample(totals(10), Time.instant(10_000))
    assert.deepStrictEqual(history.series().received, [0])
  })

  it.scoped("is there when the page is opened, with nobody listening before", () =>
    Effect.gen(function*() {
      const { ledger, sources } = yield* make()
      const history = yield* StatusPage.keepHistory(sources)
      yield* TestClock.adjust(1)
      ledger.received({ lane: "trade", exchange: "bitpin" }, 1_000)
      yield* TestClock.adjust("1 minutes")
      const report = yield* StatusPage.report(sources, history)
      assert.deepStrictEqual(report.history.received, [100, 0, 0, 0, 0, 0])
      assert.match(
        StatusPage.render(report),
        /<figure id="received-chart" data-live><svg[^>]*aria-label="[^"]*100 \/s at most/
      )
    }))
})

describe("a chart", () => {
  it("has a round top that holds all values", () => {
    assert.deepStrictEqual([[], [0.4], [3], [12], [60], [101]].map(Chart.scale), [1, 1, 5, 20, 100, 200])
  })

  it("stands at the right end while there are few points, and never leaves its room", () => {
    const html = Chart.chart({ id: "x", label: "x", say: String, values: [1, 2, 50], every: 10_000, room: 180 })
    const points = /polyline points="([^"]*)"/.exec(html)?.[1]?.split(" ").map((pair) => pair.split(",").map(Number)) ??
      []
    assert.strictEqual(points.length, 3)
    assert.strictEqual(points.at(-1)?.[0], 360)
    assert.isTrue(points.every(([x = NaN, y = NaN]) => x >= 0 && x <= 360 && y >= 0 && y <= 60))
    const long = Chart.chart({
      id: "x",
      label: "x",
      say: String,
      values: Array.from({ length: 500 }, (_, i) => i),
      every: 1,
      room: 180
    })
    assert.strictEqual(/polyline points="([^"]*)"/.exec(long)?.[1]?.split(" ").length, 180)
  })
})
