/** Open holes on the status page, in `/api/status` and in `top`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Top from "../../src/layers/cli/commands/Top.ts"
import * as StatusPage from "../../src/layers/http/StatusPage.ts"
import * as Holes from "../../src/layers/OpenHoles.ts"
import type { OpenHole } from "../../src/services/FeedStatus.ts"
import { exchange } from "../services/Health/inputs.ts"
import { make } from "./http/sources.ts"

const hole = (n: number, over: Partial<OpenHole> = {}): OpenHole => ({
  symbol: `M${n}/IRT`,
  cause: "disconnected",
  from: "2026-06-11T12:59:45.263627Z",
  to: null,
  gapId: null,
  recovered: 0,
  published: false,
  waiting: n,
  ageMs: n * 1000,
  awaits: "its history: asked now",
  ...over
})

const reportOf = Effect.fnUntraced(function*(holes: ReadonlyArray<OpenHole>) {
  const { sources, status } = yield* make()
  status.update("bitpin", () =>
    exchange("bitpin", {
      gaps: { open: holes.length, filled: 0, told: 0, recovered: 0 },
      openHoles: () => holes
    }))
  status.update("wallex", () => exchange("wallex", { openHoles: () => [hole(500, { symbol: "OLD/USDT" })] }))
  return yield* StatusPage.report(sources)
})

const rowsOf = (html: string): ReadonlyArray<string> =>
  (/<tbody id="holes">([^]*?)<\/tbody>/.exec(html)?.[1] ?? assert.fail("no table")).split("\n").filter((row) =>
    row !== ""
  )

const many = Array.from({ length: 100 }, (_, n) => hole(n))

describe("the page", () => {
  it.effect("shows the oldest twenty, of all exchanges, and how many more there are", () =>
    Effect.gen(function*() {
      const html = StatusPage.render(yield* reportOf(many))
      const rows = rowsOf(html)
      assert.lengthOf(rows, 20)
      assert.include(rows[0], "OLD/USDT")
      assert.include(rows[1], "M99/IRT")
      for (const shown of ["disconnected", "2026-06-11T12:59:45.263627Z", "1 min", "its history: asked now"]) {
        assert.include(rows[1], shown)
      }
      assert.include(html, "<p id=\"holes-more\" data-live>and 81 more</p>")
    }))

  it.effect("says that there is none, and no more where it shows all", () =>
    Effect.gen(function*() {
      const report = yield* reportOf([])
      assert.include(StatusPage.render(report), "<p id=\"holes-more\" data-live></p>")
      const none = StatusPage.render({ ...report, exchanges: [] })
      assert.lengthOf(rowsOf(none), 0)
      assert.include(none, "<p id=\"holes-more\" data-live>none</p>")
    }))

  it.effect("escapes whatever they say", () =>
    Effect.gen(function*() {
      const evil = "<img src=x onerror=\"alert('1')\">&amp;"
      const html = StatusPage.render(
        yield* reportOf([hole(1, { symbol: evil, cause: evil, from: evil, to: evil, gapId: evil, awaits: evil })])
      )
      assert.notInclude(html, "<img")
      assert.strictEqual(rowsOf(html)[1]?.split("&lt;img src=x onerror=").length, 6)
    }))
})

describe("/api/status", () => {
  it.effect("has all of them, whatever the page shows, as they are at that moment", () =>
    Effect.gen(function*() {
      const report = yield* reportOf(many)
      assert.deepStrictEqual(report.exchanges[0]?.openHoles, many)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(report)), report)
    }))
})

describe("top", () => {
  it.effect("lists the oldest ten, and where to find the others", () =>
    Effect.gen(function*() {
      const lines = Top.table(yield* reportOf(many), undefined, 0)
      const start = lines.findIndex((line) => line.startsWith("HOLE "))
      assert.deepStrictEqual(lines[start + 1]?.split(/ {2,}/), [
        "wallex OLD/USDT",
        "disconnected",
        "8 min",
        "500",
        "its history: asked now"
      ])
      assert.match(lines[start + 10] ?? "", /^bitpin M91\/IRT /)
      assert.strictEqual(lines[start + 11], "and 91 more: exchange-feeds gaps")
    }))

  it.effect("has no table where there are none, or where an older service tells none", () =>
    Effect.gen(function*() {
      const report = yield* reportOf([])
      const none = { ...report, exchanges: report.exchanges.slice(0, 1) }
      const older: StatusPage.Report = JSON.parse(
        JSON.stringify({ ...none, exchanges: none.exchanges.map((one) => ({ ...one, openHoles: undefined })) })
      )
      for (const one of [none, older]) {
        assert.isFalse(Top.table(one, undefined, 0).some((line) => line.startsWith("HOLE")))
      }
    }))
})

describe("how long", () => {
  it.each([
    [0, "0 s"],
    [89_999, "89 s"],
    [90_000, "1 min"],
    [5_399_999, "89 min"],
    [5_400_000, "1 h"],
    [129_599_999, "35 h"],
    [129_600_000, "1 d"]
  ])("%i ms is %s", (ms, text) => assert.strictEqual(Holes.duration(ms), text))
})
