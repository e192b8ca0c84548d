import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import * as fc from "fast-check"
import { createHash } from "node:crypto"
import * as StatusPage from "../../../src/layers/http/StatusPage.ts"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import { exchange, failed, now } from "../../services/Health/inputs.ts"
import { laneStatus, make } from "./sources.ts"

const evil = "<img src=x onerror=\"alert('1')\">&amp;"
const harmless = "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;"

describe("the page", () => {
  it.effect("escapes whatever it is told, wherever it shows it", () =>
    Effect.gen(function*() {
      const { inputs, sources, status } = yield* make({
        version: evil,
        sink: Effect.succeed({
          lanes: [laneStatus({ topic: evil, kafka: { ackedAt: null, failedAt: now, message: evil } })],
          usage: { bytes: 0, maxBytes: 1 }
        })
      })
      yield* Ref.update(inputs, (all) => ({ ...all, kafka: failed(evil), exchanges: [exchange(evil)] }))
      status.update(evil, () => ({
        ...exchange(evil),
        lastError: evil,
        api: { at: now.at, checkedAt: now.wall, ok: false, durationMs: 1, message: evil },
        markets: new Map([[evil, {
          symbol: evil,
          trades: 1,
          lastPrice: evil,
          lastAt: 1,
          subscription: "active" as const,
          stale: false
        }]])
      }))
      const html = StatusPage.render(yield* StatusPage.report(sources))
      assert.notInclude(html, "<img")
      assert.isAtLeast(html.split(harmless).length - 1, 9)
    }))

  it.effect("has no tag that is not its own, whatever an exchange calls itself", () =>
    Effect.gen(function*() {
      const { sources, status } = yield* make()
      const tags = (html: string) => html.match(/<\/?[a-z][^>]*>/g)?.length
      const report = yield* StatusPage.report(sources)
      const first = report.exchanges[0] ?? assert.fail("no exchange")
      const expected = tags(StatusPage.render(report))
      fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
        const spoilt = {
          ...report,
          exchanges: [
            {
              ...first,
              exchange: text,
              lastError: text,
              lastDataAt: text,
              markets: first.markets.map((one) => ({ ...one, symbol: text }))
            },
            ...report.exchanges.slice(1)
          ]
        }
        assert.strictEqual(tags(StatusPage.render(spoilt)), expected)
      }))
      assert.isNotEmpty(status.exchanges())
    }))

  it.effect("the policy allows its own style and script, nothing else", () =>
    Effect.gen(function*() {
      const { sources } = yield* make()
      const html = StatusPage.render(yield* StatusPage.report(sources))
      const style = /<style>([^]*?)<\/style>/.exec(html)?.[1] ?? assert.fail("no style")
      const hash = createHash("sha256").update(style).digest("base64")
      assert.include(StatusPage.contentSecurityPolicy, `style-src 'sha256-${hash}'`)
      const script = /<script>([^]*?)<\/script>/.exec(html)?.[1] ?? assert.fail("no script")
      const scriptHash = createHash("sha256").update(script).digest("base64")
      assert.include(StatusPage.contentSecurityPolicy, `script-src 'sha256-${scriptHash}'`)
      assert.notInclude(StatusPage.contentSecurityPolicy, "unsafe")
      assert.strictEqual(html.split("<script").length, 2)
      assert.notMatch(html, /\son\w+=|\sstyle=|https?:/)
    }))

  it.effect("shows the checks, the exchanges and their markets, and what became of events", () =>
    Effect.gen(function*() {
      const { sources } = yield* make()
      const html = StatusPage.render(yield* StatusPage.report(sources))
      for (
        const shown of [
          "bitpin_websocket",
          "1 of 1 open",
          "2 of 2 active",
          "BTC/IRT",
          "11379465211",
          "marketdata.trade.v1"
        ]
      ) {
        assert.include(html, shown)
      }
    }))

  it.effect("shows spread and age of order books where they are collected", () =>
    Effect.gen(function*() {
      const { sources, status } = yield* make()
      const report = StatusPage.report(sources)
      assert.notInclude(StatusPage.render(yield* report), ">spread<")
      const market = status.exchanges()[0]?.markets.values().next().value ?? assert.fail("no market")
      const book = { state: "doubtful", bestBid: "99.5", bestAsk: "100.5", at: now } as const
      status.update("bitpin", (one) => ({
        ...one,
        markets: new Map([[market.symbol, { ...market, book }]]),
        books: { ...one.books, doubtful: 1, waiting: 27, pictures: { perMinute: 54, tookMs: null } }
      }))
      const html = StatusPage.render(yield* report)
      assert.include(html, ">spread<")
      assert.include(html, "<span title=\"99.5 to 100.5\">1.005 %</span>")
      assert.match(html, /badge poor[^]*doubtful/)
      assert.include(html, "1 of 28 have their first picture, the last in about 30 s")
    }))

  it.effect("an event is one line of server-sent data, whatever an exchange calls itself", () =>
    Effect.gen(function*() {
      const { sources } = yield* make()
      const report = yield* StatusPage.report(sources)
      fc.assert(fc.property(fc.string({ unit: "binary" }), (version) => {
        const event = StatusPage.event({ ...report, version })
        assert.match(event, /^data: [^\n\r]*\n\n$/)
        assert.isString(JSON.parse(event.slice(6)))
      }))
    }))

  it.effect("says that the queue is being recovered", () =>
    Effect.gen(function*() {
      const { sources } = yield* make({ sink: Effect.sync(() => undefined) })
      assert.include(StatusPage.render(yield* StatusPage.report(sources)), "The queue is being recovered.")
    }))
})

describe("the report", () => {
  it.effect("is JSON, tells the ledger by exchange, and inherited records apart", () =>
    Effect.gen(function*() {
      const { ledger, sources } = yield* make()
      ledger.inherited("trade", 5)
      const report = yield* StatusPage.report(sources)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(report)), report)
      assert.deepStrictEqual(report.exchanges.map(({ events, exchange }) => [exchange, events[0]?.delivered]), [
        ["bitpin", 7],
        ["wallex", undefined]
      ])
      assert.deepStrictEqual(report.recovered.map(({ queued, received }) => [received, queued]), [[5, 5]])
    }))

  it.effect("no credentials and no long texts leave in messages", () =>
    Effect.gen(function*() {
      const { sources, status } = yield* make()
      const secret = "connect to http://user:s3cret@proxy:3128 failed "
      status.update("wallex", () => ({ ...FeedStatus.empty("wallex"), lastError: secret.repeat(100) }))
      const text = JSON.stringify(yield* StatusPage.report(sources))
      assert.notInclude(text, "s3cret")
      assert.isBelow(text.length, 10_000)
    }))
})
