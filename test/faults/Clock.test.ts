/**
 * The built service while its wall clock is stepped: everything goes on as without the step.
 *
 * One step, or a start with a clock that is off, and all at once in the midst of it: a mute socket, a mute stream, a frozen broker and
 * the backlog behind it, an open breaker, a `Retry-After`, a planned rotation, and a hole in a market that has never traded. What the
 * service waits for must come to its end by the other clock: not at once (seen from the exchanges), and not an hour later.
 *
 * The clock is that of `test/support/stepped-process.mjs`, which says what it proves. CLOCK_STEPS chooses the runs, by comma
 * (`npx vitest run --project faults test/faults/Clock.test.ts`); eight by default, one with --short.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "vitest"
import type { FakeConnection } from "../../src/layers/testing/FakeConnection.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import { judge, type Verdict } from "../../src/layers/testing/Oracle.ts"
import type { Answer } from "../../src/layers/testing/Script.ts"
import type { Status, Trade } from "../../src/services/MarketEvent.ts"
import { type Sample, type Service, until } from "../e2e/Service.ts"
import { cleanups, ready, stage } from "../e2e/Stage.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { ensureBundle } from "../support/bundle.ts"
import { pause, startBroker } from "./Outage.ts"

const minute = 60_000
const hour = 60 * minute

/** By how much the clock is off at the start, and by how much it is stepped, ms. */
const all = new Map([
  ["+1h", [0, hour]],
  ["-1h", [0, -hour]],
  ["+10m", [0, 10 * minute]],
  ["-10m", [0, -10 * minute]],
  ["+1s", [0, 1_000]],
  ["-1s", [0, -1_000]],
  ["start+10m", [10 * minute, 0]],
  ["start-10m", [-10 * minute, 0]]
])

const chosen = (process.env["CLOCK_STEPS"] ?? (process.env["FAULTS_SHORT"] === "1" ? "-1h" : [...all.keys()].join(",")))
  .split(",")

const stepped = path.resolve(import.meta.dirname, "../support/stepped-process.mjs")

/** What is waited for comes within this or, by a clock that is an hour off, in an hour; a busy machine has time enough. */
const patience = 90_000

/** Trades of all markets but those, in turn, until the returned function is called. */
const flow = (exchange: FakeExchange, quiet: ReadonlySet<string>): () => void => {
  const loud = exchange.tradable.map(({ exchangeSymbol }) => exchangeSymbol).filter((symbol) => !quiet.has(symbol))
  let turn = 0
  const timer = setInterval(() => {
    const symbol = loud[turn++ % loud.length]
    if (symbol !== undefined) exchange.trade(symbol)
  }, 15)
  return () => clearInterval(timer)
}

/** REST as `answers` says, one call after the other, and the truth behind them; when the calls came. */
const answerBy = (exchange: FakeExchange, answers: ReadonlyArray<() => Answer>): ReadonlyArray<number> => {
  const calls: Array<number> = []
  Object.defineProperty(exchange.server.script, "rest", {
    get: () => answers[calls.push(performance.now()) - 1]?.()
  })
  return calls
}

const symbolsOf = (connection: FakeConnection | undefined): ReadonlyArray<string> =>
  [...(connection?.subscriptions.keys() ?? [])].map((channel) => channel.replace("matches:", ""))

const total = (samples: ReadonlyArray<Sample>, name: string, labels: Readonly<Record<string, string>>): number =>
  samples.filter((one) =>
    one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value)
  )
    .reduce((sum, { value }) => sum + value, 0)

const wait = 25_000

interface Outcome {
  readonly verdict: Verdict
  readonly gaps: ReadonlyArray<Status>
  /** Trades that histories brought. */
  readonly recovered: number
}

const play = async (start: number, step: number): Promise<Outcome> => {
  ensureBundle()
  const broker = await startBroker({
    // That it refuses times an hour ahead is another test's matter (`test/kafka/RecordTime.test.ts`).
    properties: { "log.message.timestamp.after.max.ms": String(24 * hour) }
  })
  const s = await stage(broker.address, 12, 3, 300)
  const { bitpin, wallex } = s
  const directory = mkdtempSync(path.join(tmpdir(), "feeds-clock-"))
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }))
  const clock = path.join(directory, "offset")
  const service: Service = s.start({
    NODE_OPTIONS: `--import=${stepped}`,
    CLOCK_OFFSET: String(start),
    CLOCK_FILE: clock,
    CLOCK_HASTE: "60",
    WS_SUBSCRIPTIONS_PER_CONNECTION: "3",
    WS_IDLE_TIMEOUT: "20s",
    API_BREAKER_TIMEOUT: `${wait}ms`,
    KAFKA_BREAKER_TIMEOUT: "1s"
  })
  await ready(s)
  const soon = (what: string, condition: () => boolean | Promise<boolean>, limit = patience) =>
    until(what, condition, limit, () => service.tail())
  const count = async (name: string, labels: Readonly<Record<string, string>> = {}) =>
    total(await service.samples(), name, labels)
  const closed = (reason: string) => count("feeds_connection_closes_total", { exchange: "bitpin", reason })

  const [mute, socketless, holed] = [...bitpin.server.connections].filter(({ subscriptions }) => subscriptions.size > 0)
  const [quiet = ""] = symbolsOf(holed)
  const stops = [flow(bitpin, new Set([quiet])), flow(wallex, new Set())]
  const pings = setInterval(() => bitpin.centrifugo.ping(), 3_000)
  cleanups.push(() => {
    for (const stop of stops) stop()
    clearInterval(pings)
  })
  // Each stream has a rhythm by then.
  await pause(8_000)

  // Retry-After as a date of the exchange's clock; a breaker that five failures open.
  const bitpinCalls = answerBy(bitpin, [
    () => ({ status: 429, headers: { "retry-after": new Date(Date.now() + wait).toUTCString() } })
  ])
  const failure = () => ({ status: 500 })
  const wallexCalls = answerBy(wallex, [failure, failure, failure, failure, failure])
  await soon("429 and five failures", () => bitpinCalls.length >= 1 && wallexCalls.length >= 5)

  await broker.freeze()
  const begun = performance.now()
  bitpin.server.halfOpen((connection) => connection === socketless)
  bitpin.server.script.mute = new Set(symbolsOf(mute))
  bitpin.server.drop(1006, (connection) => connection === holed)
  // Nobody hears it, and nothing was known of this market.
  bitpin.trade(quiet)
  const rotated = [...wallex.server.connections]
  // A send is out, holes are open, histories waited for.
  await pause(2_000)

  writeFileSync(clock, String(start + step))
  service.process.kill("SIGUSR2")
  await soon("the step", () => service.lines.some((line) => line.includes("clock is off by")))

  await soon(
    "the frozen broker is noticed by its request timeout of 5 s",
    async () => (await count("feeds_circuit_breaker_transitions_total", { name: "kafka_trade", to: "open" })) > 0,
    25_000
  )
  await soon("a backlog", async () => (await count("feeds_queue_messages")) > 500)
  broker.thaw()
  await soon("the mute socket is replaced", async () => (await closed("idle")) > 0)
  const idleAfter = performance.now() - begun
  await soon("the mute stream is replaced", async () => (await closed("stale")) > 0)
  const staleAfter = performance.now() - begun
  bitpin.server.script.mute = new Set()
  await soon("Retry-After is over", () => bitpinCalls.length >= 2)
  await soon("the breaker is over", () => wallexCalls.length >= 6)
  await soon("all are rotated", () => rotated.every(({ closeCode }) => closeCode !== undefined))
  await ready(s)
  for (const stop of stops) stop()
  await soon("holes are closed", async () => (await count("feeds_gaps_open")) === 0)
  await soon(
    "the backlog is delivered",
    async () => (await count("feeds_queue_messages")) + (await count("feeds_events_in_flight")) === 0
  )
  const samples = await service.samples()
  assert.deepStrictEqual(await service.stop(), { code: 0, signal: null }, service.tail())

  // Not at once: as long as the settings say.
  assert.isAtLeast(idleAfter, 19_000, "the idle timeout of 20 s")
  assert.isAtLeast(staleAfter, 29_000, "the floor of 30 s")
  assert.isAtLeast((bitpinCalls[1] ?? 0) - (bitpinCalls[0] ?? 0), wait - 1_500, "Retry-After, in whole seconds")
  assert.isAtLeast((wallexCalls[5] ?? 0) - (wallexCalls[4] ?? 0), wait - 500, "the breaker's time")
  // Nothing else was torn down, or taken for strange.
  const closes = samples.filter(({ name, value }) => name === "feeds_connection_closes_total" && value > 0)
    .map(({ labels: { exchange, reason }, value }) => `${exchange} ${reason} ${value}`)
  assert.sameMembers(closes, ["bitpin idle 1", "bitpin stale 1", "bitpin 1006 1"])
  assert.strictEqual(total(samples, "feeds_stale_total", {}), 0)

  const read = async (topic: string) => Consumer.readTopic(broker.address, topic)
  const trades = (await read(s.topic)).map(({ value }): Trade => JSON.parse(value))
  const gaps = (await read(s.topic.replace(".trade.", ".status."))).map(({ value }): Status => JSON.parse(value))
    .filter(({ event }) => event === "gap")
  return {
    verdict: judge([...bitpin.issued, ...wallex.issued], trades),
    gaps,
    recovered: trades.filter(({ source }) => source === "rest").length
  }
}

describe("the built service under another wall clock", () => {
  for (const name of chosen) {
    const [start, step] = all.get(name) ?? assert.fail(`CLOCK_STEPS: ${name} is none of ${[...all.keys()].join(", ")}`)
    let playing: Promise<Outcome> | undefined
    const outcome = () => playing ??= play(start ?? 0, step ?? 0)

    it(`${name}: goes on as without it`, async () => {
      const { verdict: { disordered, doubtful, foreign, missing } } = await outcome()
      assert.deepStrictEqual({ disordered, doubtful, foreign, missing }, {
        disordered: [],
        doubtful: [],
        foreign: [],
        missing: []
      })
    }, 5 * minute)

    it(`${name}: what nobody heard is found in the history, and no hole ends before it begins`, async () => {
      const { gaps, recovered, verdict: { unsent } } = await outcome()
      assert.deepStrictEqual(unsent, [])
      assert.isAbove(recovered, 0)
      for (const { exchange, from, symbol, to } of gaps) {
        if (from !== null && to !== null) {
          assert.isTrue(String(from) <= String(to), `${exchange} ${symbol} ${from} ${to}`)
        }
      }
    }, 5 * minute)
  }
})
