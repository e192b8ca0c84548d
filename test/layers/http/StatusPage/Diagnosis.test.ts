import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import * as StatusPage from "../../../../src/layers/http/StatusPage.ts"
import { sentences, trend } from "../../../../src/layers/http/StatusPage/Diagnosis.ts"
import { none } from "../../../../src/layers/http/StatusPage/History.ts"
import type { Report } from "../../../../src/layers/http/StatusPage/Report.ts"
import { failed } from "../../../services/Health/inputs.ts"
import { make } from "../sources.ts"

const fine = Effect.gen(function*() {
  const { inputs, sources, status } = yield* make()
  status.update("wallex", (one) => ({ ...one, connections: status.exchanges()[0]?.connections ?? one.connections }))
  return { inputs, report: StatusPage.report(sources) }
})

const lane: Report["lanes"][number] = {
  topic: "marketdata.trade.v1",
  mode: "spooling",
  waitingRecords: 0,
  sending: 0,
  queued: 12_345,
  queuedBytes: 3_355_443,
  queueState: "ok",
  oldest: "2026-06-11T12:59:45.263Z",
  ackedAt: null,
  message: "connect ECONNREFUSED"
}

describe("the line on top of the page", () => {
  it.effect("says that all is well", () =>
    Effect.gen(function*() {
      const report = yield* (yield* fine).report
      assert.deepStrictEqual(sentences(report), ["All is well: events of 2 exchanges are delivered; nothing waits."])
      const history = { ...report.history, delivered: [3, 245] }
      assert.deepStrictEqual(sentences({ ...report, history }), [
        "All is well: 245 events a second of 2 exchanges are delivered; nothing waits."
      ])
    }))

  it.effect("says that Kafka takes nothing, what waits, how long there is room, and when it is tried again", () =>
    Effect.gen(function*() {
      const { inputs, report } = yield* fine
      yield* Ref.update(inputs, (all) => ({ ...all, kafka: failed("connect ECONNREFUSED 10.0.0.5:9092") }))
      const now = yield* report
      const later = new Date(Date.parse(now.timestamp) + 4_000).toISOString()
      const outage: Report = {
        ...now,
        lanes: [lane],
        queue: { bytes: 3_355_443, maxBytes: 2 ** 30 },
        breakers: [{ name: "kafka_trade", state: "open", retryAt: later }],
        history: { ...now.history, queuedBytes: [0, 1_000_000, 2_000_000] }
      }
      assert.deepStrictEqual(sentences(outage), [
        "Kafka takes nothing: connect ECONNREFUSED 10.0.0.5:9092. 12\u202f345 events wait on disk (3.2 MiB of 1 GiB, full in 3 h at this pace); nothing is lost. It is tried again in 4 s."
      ])
      // A full queue loses: the sentence must not say otherwise.
      const full = sentences({ ...outage, lanes: [{ ...lane, queueState: "full" }] })
      assert.notInclude(full.join(" "), "nothing is lost")
    }))

  it.effect("says that what waited is sent, in order; not of a queue that is behind by what is under way", () =>
    Effect.gen(function*() {
      const report = yield* (yield* fine).report
      const at = (ms: number) => new Date(Date.parse(report.timestamp) - ms).toISOString()
      const draining = (oldest: string) =>
        sentences({ ...report, lanes: [{ ...lane, mode: "draining", message: null, oldest }] })
      assert.deepStrictEqual(draining(at(40_000)), [
        "12\u202f345 events are being sent from the disk, in order, before new ones; the oldest is of 40 s ago."
      ])
      // As in the mode `journal`.
      assert.match(draining(at(300))[0] ?? "", /^All is well/)
    }))

  it.effect("names the one topic that Kafka does not take", () =>
    Effect.gen(function*() {
      const report = yield* (yield* fine).report
      const one = { ...lane, topic: "marketdata.status.v1", queued: 4, message: "not authorized" }
      const [said] = sentences({
        ...report,
        lanes: [{ ...lane, mode: "straight", queued: 0, message: null }, one],
        breakers: [{ name: "kafka_status", state: "open", retryAt: null }]
      })
      assert.match(said ?? "", /^Kafka does not take marketdata\.status\.v1: not authorized\. 4 events wait on disk/)
    }))

  it.effect("leaves out no check that is not healthy, and calls nothing lost while the queue drops", () =>
    Effect.gen(function*() {
      const report = yield* (yield* fine).report
      const checks = {
        ...report.health.checks,
        wallex_websocket: { status: "unhealthy" as const, last_check: null, duration: "0ms", message: "no data yet" }
      }
      assert.deepStrictEqual(sentences({ ...report, health: { ...report.health, status: "degraded", checks } }), [
        "wallex_websocket is unhealthy: no data yet."
      ])
      const dropping = {
        ...report.health.checks,
        kafka: { status: "unhealthy" as const, last_check: null, duration: "0ms", message: "refused" },
        persistence: {
          status: "unhealthy" as const,
          last_check: null,
          duration: "0ms",
          message: "records were dropped"
        }
      }
      const said = sentences({
        ...report,
        lanes: [lane],
        queue: { bytes: 2 ** 30, maxBytes: 2 ** 30 },
        health: { ...report.health, status: "unhealthy", checks: dropping }
      }).join(" ")
      assert.include(said, "(1 GiB of 1 GiB, full)")
      assert.include(said, "persistence is unhealthy: records were dropped.")
      assert.notInclude(said, "nothing is lost")
    }))

  it.effect("names an exchange whose connection is lost, its silent markets and its holes", () =>
    Effect.gen(function*() {
      const report = yield* (yield* fine).report
      const exchanges = report.exchanges.map((one) =>
        one.exchange !== "bitpin" ? one : {
          ...one,
          connections: one.connections.flatMap((connection) => [
            { ...connection, state: "backoff" as const },
            // One that is being opened is not lost.
            { ...connection, id: 99, state: "connecting" as const }
          ]),
          lastError: "code 1006",
          gaps: { open: 3, filled: 0, told: 0, recovered: 0 },
          markets: one.markets.map((market) => ({ ...market, stale: true }))
        }
      )
      const [lost, silent, holes] = sentences({ ...report, exchanges })
      assert.strictEqual(lost, "bitpin: 1 of 2 connections is lost (code 1006). It is dialled again.")
      assert.match(silent ?? "", /^bitpin: \d+ markets? silent for longer than usual; asked for anew\.$/)
      assert.strictEqual(
        holes,
        "Holes in the data: 3 at bitpin. The exchange's history is asked; what it does not have is told."
      )
    }))

  it.effect("says that it starts, and that it stops", () =>
    Effect.gen(function*() {
      const report = yield* (yield* fine).report
      assert.match(sentences({ ...report, lanes: [] })[0] ?? "", /the queue is being recovered/)
      assert.match(sentences({ ...report, health: { ...report.health, status: "draining" } })[0] ?? "", /told to stop/)
    }))

  it("where the queue is going is said by its growth without a break, not by the time before it", () => {
    const at = (bytes: number, queuedBytes: ReadonlyArray<number>) =>
      trend({ queue: { bytes, maxBytes: 10_000 }, history: { ...none, every: 10_000, queuedBytes } })
    assert.strictEqual(at(2_000, [0, 0, 0, 0, 0, 1_000, 2_000]), "full in 80 s")
    assert.strictEqual(at(2_000, [3_000, 1_000, 2_000]), "full in 80 s")
    assert.strictEqual(at(2_000, [0, 6_000, 4_000, 2_000]), "empty in 10 s")
    assert.strictEqual(at(0, [4_000, 2_000, 0]), undefined)
    assert.strictEqual(at(2_000, [2_000, 2_000]), undefined)
    assert.strictEqual(at(2_000, [2_000]), undefined)
    assert.strictEqual(at(12_000, [10_000, 12_000]), "full in 0 s")
    assert.strictEqual(trend({ queue: null, history: none }), undefined)
  })
})
