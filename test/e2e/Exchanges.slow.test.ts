/** The built service and `EXCHANGES`: one that is taken out of it and put back, and those that do not serve this address. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { assert, beforeAll, describe, it } from "vitest"
import { judge } from "../../src/layers/testing/Oracle.ts"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import * as Field from "../faults/Field.ts"
import { startBrokerBehindProxy } from "../faults/Outage.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { ensureBundle, exchangeFeeds } from "../support/bundle.ts"
import { brokenLaw, until } from "./Service.ts"
import { cleanups, ready, stage } from "./Stage.ts"

beforeAll(ensureBundle)

describe("an exchange that leaves EXCHANGES", () => {
  it("what it left in the queue is delivered, its holes stay until it is back, and nothing is lost", async () => {
    const { broker, proxy } = await startBrokerBehindProxy()
    const s = await stage(proxy.address, 3, 3, 300)
    const fast = { KAFKA_BREAKER_TIMEOUT: "500ms", WS_BREAKER_TIMEOUT: "1s", API_BREAKER_TIMEOUT: "1s" }
    const samplesOf = async (service: typeof first, name: string) =>
      (await service.samples()).filter((one) => one.name === name)
    const wallexHas = (samples: Awaited<ReturnType<typeof samplesOf>>) =>
      samples.filter(({ labels }) => labels["exchange"] === "wallex").reduce((sum, { value }) => sum + value, 0)

    const first = s.start(fast)
    await ready(s)
    s.bitpin.trades(30)
    s.wallex.trades(30)
    await until("straight", async () => (await Consumer.readTopic(broker.address, s.topic)).length === 60, 30_000)
    // A hole that nothing fills yet, and records that wait.
    s.wallex.server.script.rest = { status: 503 }
    s.wallex.server.drop(1006)
    s.wallex.trades(5)
    await until("the hole is open", async () => wallexHas(await samplesOf(first, "feeds_gaps_open")) > 0, 20_000)
    await s.wallex.ready()
    await proxy.refuse(true)
    proxy.reset()
    s.wallex.trades(40)
    s.bitpin.trades(40)
    await until(
      "they wait on the disk",
      async () => wallexHas(await samplesOf(first, "feeds_events_queued")) > 0,
      30_000
    )
    assert.deepStrictEqual(await first.stop("SIGTERM"), { code: 0, signal: null })
    s.wallex.server.heal()
    await proxy.refuse(false)

    const second = s.start({ ...fast, EXCHANGES: "bitpin" })
    await second.settled(0)
    const body = (await second.get("/metrics")).body
    assert.notInclude(body, "feeds_connections{exchange=\"wallex\"", "it is not spoken of as one that is collected")
    assert.strictEqual(brokenLaw(await second.ledger()), undefined)
    const health = JSON.parse((await second.get("/health")).body)
    assert.notProperty(health.checks, "wallex_api")
    assert.deepStrictEqual(await second.stop("SIGTERM"), { code: 0, signal: null })
    const alone = await exchangeFeeds(["gaps"], { DATA_DIR: s.dataDir })
    assert.strictEqual(alone.code, 0, alone.stderr)
    assert.match(alone.stdout, /^wallex .* the next start/m)

    const third = s.start(fast)
    await ready(s)
    // Nothing answers a subscription at Wallex but trades.
    s.wallex.trades(6)
    let lost: ReadonlyArray<string> = []
    let holes: ReadonlyArray<MarketEvent> = []
    await until(
      "the hole is filled",
      async () => {
        const records = await Promise.all(
          ["trade", "status"].map((lane) => Consumer.readTopic(broker.address, s.topic.replace("trade", lane)))
        )
        const events = records.flat().map(({ value }): MarketEvent => JSON.parse(value))
        const trades = events.filter((event) => event.type === "trade")
        const { missing, unsent } = judge([...s.bitpin.issued, ...s.wallex.issued], trades)
        lost = [...missing, ...unsent]
        holes = events.filter((event) => event.type === "status" && event.event === "gap")
        return lost.length === 0
      },
      60_000,
      () => [...lost, ...holes.map((hole) => JSON.stringify(hole)), alone.stdout].join("\n")
    )
    assert.deepStrictEqual(await third.stop("SIGTERM"), { code: 0, signal: null })
  }, 180_000)
})

describe("a region that exchanges do not serve", () => {
  it("check says so before the first run, with what to do about it", async () => {
    const field = await Field.start({
      markets: 2,
      exchanges: ["binance", "coinbase", "kraken", "okx", "bybit"],
      judgesStates: false
    })
    for (const { id, server } of field.fakes) {
      server.script.rest = { status: id === "bybit" ? 403 : 451, body: "" }
      server.script.upgrade = server.script.rest
    }
    const dataDir = mkdtempSync(path.join(tmpdir(), "feeds-region-"))
    cleanups.push(() => rmSync(dataDir, { recursive: true, force: true }))
    const outcome = await exchangeFeeds(["check"], { ...field.env, SINK: "file", DATA_DIR: dataDir })
    assert.strictEqual(outcome.code, 1, outcome.stdout + outcome.stderr)
    const lines = outcome.stdout.split("\n").filter((line) => line.startsWith("FAILED"))
    for (const { id } of field.fakes) {
      const told = lines.filter((line) => line.startsWith(`FAILED  ${id}: `))
      assert.lengthOf(told, 1, outcome.stdout)
      assert.match(told[0] ?? "", /not served|refuses/, "says why")
      assert.match(told[0] ?? "", /_API_URL|another/, "says what to do")
    }
  }, 60_000)
})
