/**
 * The status page in a real Chromium: what changes is seen without a reload, a market's hostile name stays text, the policy holds, axe
 * finds nothing, and it finds its server again after a restart.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Ref, Scope } from "effect"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { type Browser, chromium, type Page } from "playwright-core"
import * as HttpRoutes from "../../src/layers/http/HttpRoutes.ts"
import type { Series } from "../../src/layers/http/StatusPage.ts"
import type { MarketStatus, OpenHole } from "../../src/services/FeedStatus.ts"
import { loopback, make } from "../layers/http/sources.ts"
import { exchange, failed } from "../services/Health/inputs.ts"
import { install } from "../support/packages.ts"

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

const evil = "<img src=x onerror=\"document.title='owned'\">"

const launch = Effect.acquireRelease(
  Effect.promise(async (): Promise<Browser> => {
    await install("chromium", "--version")
    return chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    })
  }),
  (browser) => Effect.promise(() => browser.close())
)

/** With all that it complained about: a script that the policy refused is one of it. */
const visit = (browser: Browser, url: string) =>
  Effect.promise(async () => {
    const page = await browser.newPage()
    const complaints: Array<string> = []
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text())
    })
    page.on("pageerror", (error) => complaints.push(error.message))
    await page.goto(url)
    return { page, complaints }
  })

const seen = (page: Page, selector: string, text: string | RegExp) =>
  Effect.promise(() =>
    page.locator(selector).filter({ hasText: text }).first().waitFor({ state: "attached", timeout: 15_000 })
  )

const textOf = (page: Page, selector: string) => Effect.promise(() => page.locator(selector).innerText())

const market = (symbol: string, over: Partial<MarketStatus> = {}): readonly [string, MarketStatus] => [symbol, {
  symbol,
  trades: 3,
  lastPrice: "12",
  lastAt: 1_780_000_000_000,
  subscription: "active",
  stale: false,
  ...over
}]

const hole: OpenHole = {
  symbol: "BTC/IRT",
  cause: "disconnected",
  from: "2026-06-11T12:59:45.263627Z",
  to: "2026-06-11T13:01:07.000412Z",
  gapId: "wallex:status:k3f9:gap:BTC/IRT:1",
  recovered: 12,
  published: true,
  waiting: 0,
  ageMs: 754_000,
  awaits: "its history: to be asked in 29 s"
}

/** As many as a large exchange has. */
const many = Array.from({ length: 1_000 }, (_, i) => market(`M${i}/IRT`, { trades: i }))

/** A busy half hour with an outage of Kafka in it. */
const halfHour: Series = {
  every: 10_000,
  received: Array.from({ length: 180 }, (_, i) => 240 + 60 * Math.sin(i / 9) + (i * 7919) % 37),
  delivered: Array.from(
    { length: 180 },
    (_, i) => i > 90 && i < 120 ? 0 : i >= 120 && i < 128 ? 1_200 : 240 + 60 * Math.sin(i / 9) + (i * 7919) % 37
  ),
  queued: Array.from(
    { length: 180 },
    (_, i) => i > 90 && i < 120 ? (i - 90) * 2_500 : i < 128 && i >= 120 ? (128 - i) * 9_000 : 0
  ),
  queuedBytes: Array.from({ length: 180 }, () => 0),
  openHoles: Array.from({ length: 180 }, (_, i) => i > 60 && i < 66 ? 66 - i : 0)
}

describe("the status page in Chromium", () => {
  it.scopedLive(
    "a thousand markets and half an hour are there with the first answer, before any script",
    () =>
      Effect.gen(function*() {
        const { sources, status } = yield* make()
        status.update("bitpin", () => exchange("bitpin", { markets: new Map(many) }))
        const url = yield* HttpRoutes.serve(loopback, sources, Effect.succeed(halfHour))
        const browser = yield* launch
        const context = yield* Effect.promise(() => browser.newContext({ javaScriptEnabled: false }))
        const page = yield* Effect.promise(() => context.newPage())
        yield* Effect.promise(() => page.goto(url))
        const rows = yield* Effect.promise(() => page.locator("#market-rows tr").count())
        assert.strictEqual(rows, 1_000)
        const points = yield* Effect.promise(() => page.locator("#queued-chart polyline").getAttribute("points"))
        assert.strictEqual(points?.split(" ").length, 180)
        assert.include(yield* textOf(page, "#received-rate"), "/s")
      }),
    90_000
  )

  it.scopedLive("follows what happens", () =>
    Effect.gen(function*() {
      const { inputs, ledger, sources, status } = yield* make()
      const url = yield* HttpRoutes.serve(loopback, sources)
      const browser = yield* launch
      const { complaints, page } = yield* visit(browser, url)
      yield* seen(page, "#link", "live")
      yield* seen(page, "#summary", "healthy")

      ledger.received({ lane: "trade", exchange: "bitpin" }, 5_000)
      yield* seen(page, "#received", "5\u202f007")
      assert.strictEqual(yield* Effect.promise(() => page.locator("#received [title]").getAttribute("title")), "5007")
      yield* seen(page, "#received-rate", /\d \/s/)

      // What changes stays in its column.
      const cells = (selector: string) =>
        Effect.promise(() => page.locator(`${selector} tr`).first().locator("td").allInnerTexts())
      const [name, received, delivered, , inFlight] = [0, 2, 3, 4, 5]
      const events = yield* cells("#events")
      assert.deepStrictEqual([name, received, delivered, inFlight].map((i) => events[i]), [
        "bitpin",
        "5\u202f007",
        "7",
        "5\u202f000"
      ])

      // An outage, and its end.
      const before = yield* Ref.get(inputs)
      yield* Ref.set(inputs, { ...before, kafka: failed("connect ECONNREFUSED 10.0.0.5:9092") })
      yield* seen(page, "#checks", "ECONNREFUSED")
      assert.deepStrictEqual((yield* cells("#checks")).slice(3), ["15ms", "connect ECONNREFUSED 10.0.0.5:9092"])
      yield* seen(page, "#summary", "degraded")
      yield* Ref.set(inputs, before)
      yield* seen(page, "#summary", "healthy")
      yield* seen(page, "#log li", /kafka: healthy → unhealthy/)
      yield* seen(page, "#log li", /kafka: unhealthy → healthy/)

      // A connection is lost, and 25 markets have a hole.
      let holes = Array.from({ length: 25 }, (_, n) => ({ ...hole, symbol: `M${n}/IRT`, ageMs: n * 1000 }))
      status.update("bitpin", () => exchange("bitpin", { openHoles: () => holes }))
      yield* seen(page, "#holes tr", "M24/IRT")
      yield* seen(page, "#holes-more", "and 5 more")
      assert.strictEqual(yield* Effect.promise(() => page.locator("#holes tr").count()), 20)
      holes = []
      yield* seen(page, "#holes-more", "none")

      // A market goes silent; one has a name that is meant to do harm.
      status.update("bitpin", () =>
        exchange("bitpin", { markets: new Map([market("BTC/IRT", { stale: true }), market(evil)]) }))
      yield* seen(page, "#market-rows tr", "stale")
      assert.include(yield* textOf(page, "#market-rows"), evil)
      yield* Effect.promise(() =>
        page.locator("#stale-only").check()
      )
      assert.strictEqual(yield* textOf(page, "#shown"), "1 of 2")
      assert.include(yield* Effect.promise(() => page.title()), "healthy")
      assert.strictEqual(yield* Effect.promise(() => page.locator("img").count()), 0)
      assert.deepStrictEqual(complaints, [])
    }), 90_000)

  it.scopedLive(
    "a thousand markets are filtered and sorted, by keyboard too, and stay so",
    () =>
      Effect.gen(function*() {
        const { sources, status } = yield* make()
        status.update("bitpin", () => exchange("bitpin", { markets: new Map(many) }))
        const url = yield* HttpRoutes.serve(loopback, sources)
        const { complaints, page } = yield* visit(yield* launch, url)
        yield* seen(page, "#link", "live")
        const first = () => Effect.promise(() => page.locator("#market-rows tr:not([hidden])").first().innerText())
        const sortByTrades = page.locator("#markets th button").nth(2)
        yield* Effect.promise(async () => {
          await sortByTrades.focus()
          await page.keyboard.press("Enter")
          await page.keyboard.press("Enter")
        })
        assert.include(yield* first(), "M999/IRT")
        yield* Effect.promise(() => page.locator("#filter").fill("m12"))
        assert.strictEqual(yield* textOf(page, "#shown"), "11 of 1000")
        // The next update changes neither.
        status.update(
          "bitpin",
          () => exchange("bitpin", { markets: new Map([...many, market("M12NEW/IRT", { trades: 5_000 })]) })
        )
        yield* seen(page, "#shown", "12 of 1001")
        assert.include(yield* first(), "M12NEW/IRT")
        assert.deepStrictEqual(complaints, [])
      }),
    90_000
  )

  it.scopedLive("finds its server again after a restart", () =>
    Effect.gen(function*() {
      const { ledger, sources } = yield* make()
      const life = yield* Scope.make()
      const url = yield* HttpRoutes.serve(loopback, sources).pipe(Scope.extend(life))
      const { page } = yield* visit(yield* launch, url)
      yield* seen(page, "#link", "live")
      yield* Scope.close(life, Exit.void)
      yield* seen(page, "#link", "no connection")
      ledger.received({ lane: "trade", exchange: "bitpin" }, 30)
      yield* HttpRoutes.serve({ host: "127.0.0.1", port: Number(new URL(url).port) }, sources)
      yield* seen(page, "#received", "37")
      yield* seen(page, "#link", "live")
    }), 90_000)

  it.scopedLive(
    "axe finds nothing; light, dark and at 320 px nothing runs out of the page",
    () =>
      Effect.gen(function*() {
        const { inputs, sources, status } = yield* make()
        status.update("wallex", () =>
          exchange("wallex", {
            markets: new Map([market("BTC/IRT", { stale: true })]),
            gaps: { open: 1, filled: 0, told: 0, recovered: 0 },
            openHoles: () => [hole]
          }))
        yield* Ref.update(inputs, (all) => ({ ...all, kafka: failed("connect ECONNREFUSED 10.0.0.5:9092") }))
        const url = yield* HttpRoutes.serve(loopback, sources, Effect.succeed(halfHour))
        const browser = yield* launch
        for (const [colorScheme, width] of [["light", 1_100], ["dark", 1_100], ["light", 320]] as const) {
          const { page } = yield* visit(browser, url)
          yield* Effect.promise(async () => {
            await page.emulateMedia({ colorScheme })
            await page.setViewportSize({ width, height: 900 })
          })
          yield* seen(page, "#link", "live")
          const violations = yield* Effect.promise(() =>
            // The policy refuses a script tag: it is evaluated by the browser's own protocol.
            page.evaluate(
              `${axe}; axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes[0].html))`
            )
          )
          assert.deepStrictEqual(violations, [], `${colorScheme}, ${width}`)
          const overflow = yield* Effect.promise(() =>
            page.evaluate("document.documentElement.scrollWidth - innerWidth")
          )
          assert.isAtMost(Number(overflow), 0, `${colorScheme}, ${width}`)
          yield* Effect.promise(() => page.close())
        }
      }),
    90_000
  )
})
