/**
 * A stage for the built service: fake exchanges, a data directory, a topic of its own, and the judge of what arrived.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { afterEach, assert } from "vitest"
import { FakeBitpinExchange } from "../../src/layers/testing/FakeBitpin.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import { FakeWallexExchange } from "../../src/layers/testing/FakeWallex.ts"
import { judge } from "../../src/layers/testing/Oracle.ts"
import type { Trade } from "../../src/services/MarketEvent.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { Service } from "./Service.ts"

/** What a test started, to be ended whatever happens. */
export const cleanups: Array<() => Promise<unknown> | void> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let serial = 0

export interface Stage {
  readonly bitpin: FakeBitpinExchange
  readonly wallex: FakeWallexExchange
  readonly exchanges: ReadonlyArray<FakeExchange>
  readonly topic: string
  readonly dataDir: string
  readonly start: (env?: Readonly<Record<string, string>>, under?: ReadonlyArray<string>) => Service
}

/** `history`: trades of a market that REST gives; none, where it is to be seen what was delivered without it. */
export const stage = async (broker: string, markets = 30, window = 3, history = 50): Promise<Stage> => {
  const bitpin = new FakeBitpinExchange({ markets, window, batch: 4, history })
  const wallex = new FakeWallexExchange({ markets, history })
  await Promise.all([bitpin.server.listen(), wallex.server.listen()])
  const dataDir = mkdtempSync(path.join(tmpdir(), "feeds-e2e-"))
  const prefix = `e2e${process.pid}x${serial++}`
  cleanups.push(
    () => rmSync(dataDir, { recursive: true, force: true }),
    () => bitpin.server.close(),
    () => wallex.server.close()
  )
  return {
    bitpin,
    wallex,
    exchanges: [bitpin, wallex],
    topic: `${prefix}.trade.v1`,
    dataDir,
    start: (env = {}, under = []) => {
      const service = new Service({
        KAFKA_BROKER: broker,
        KAFKA_TOPIC_PREFIX: prefix,
        DATA_DIR: dataDir,
        BITPIN_API_URL: bitpin.server.apiUrl,
        BITPIN_WS_URL: bitpin.server.wsUrl,
        WALLEX_API_URL: wallex.server.apiUrl,
        WALLEX_WS_URL: wallex.server.wsUrl,
        WS_STAGGER: "50ms",
        RETRY_BASE_DELAY: "100ms",
        RETRY_MAX_DELAY: "2s",
        ...env
      }, under)
      cleanups.push(async () => {
        service.process.kill("SIGKILL")
        await service.exited
      })
      return service
    }
  }
}

export const ready = (s: Stage) => Promise.all(s.exchanges.map((exchange) => exchange.ready()))

/** So many trades, half from each exchange, in bursts as a busy exchange sends them. */
export const emit = async (s: Stage, count: number, burst = 100): Promise<void> => {
  for (let done = 0; done < count; done += burst) {
    s.bitpin.trades(Math.ceil(burst / 2))
    s.wallex.trades(Math.floor(burst / 2))
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export const sentCount = (s: Stage): number =>
  s.exchanges.reduce((total, { issued }) => total + issued.filter(({ sent }) => sent).length, 0)

/** Kafka's records as an independent reader sees them, judged by what the exchanges know they sent. */
export const verify = async (s: Stage, broker: string, duplicates: "none" | "allowed" = "none") => {
  const records = await Consumer.readTopic(broker, s.topic)
  const trades = records.map(({ value }): Trade => JSON.parse(value))
  const verdict = judge(s.exchanges.flatMap(({ issued }) => issued), trades)
  assert.deepStrictEqual(verdict.missing.slice(0, 5), [], `${verdict.missing.length} missing`)
  assert.deepStrictEqual(verdict.foreign.slice(0, 5), [], "foreign or changed")
  assert.deepStrictEqual(verdict.disordered.slice(0, 5), [], "order of first deliveries")
  if (duplicates === "none") assert.deepStrictEqual(verdict.duplicates.slice(0, 5), [], "duplicates")
  records.forEach((record, i) => {
    const trade = trades[i]
    assert.strictEqual(record.key, `${trade?.exchange}:${trade?.symbol}`)
    assert.strictEqual(record.headers["id"], trade?.id)
    assert.strictEqual(record.headers["schema"], "trade/1")
    assert.strictEqual(record.timestamp, Date.parse(trade?.receivedAt ?? ""))
  })
  return records
}
