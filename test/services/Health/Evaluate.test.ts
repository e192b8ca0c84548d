import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { codeOf, evaluate, messageOf } from "../../../src/services/Health/Evaluate.ts"
import type { Check, Inputs, Status } from "../../../src/services/Health/Model.ts"
import * as Time from "../../../src/services/Time.ts"
import { ago, breaker, diskOk, exchange, failed, fine, idle, lane, now, ok, silent, sink } from "./inputs.ts"

const check = (inputs: Inputs, name: string): Check => {
  const found = evaluate(inputs, now).checks[name]
  return found ?? assert.fail(`no check ${name}`)
}

const kafkaDown: Partial<Inputs> = { kafka: failed("connect ECONNREFUSED 127.0.0.1:9092") }
const refusing = { refusedAt: ago(59_000).at }

describe("the whole, by the table", () => {
  const table: ReadonlyArray<readonly [name: string, over: Partial<Inputs>, status: Status]> = [
    ["all fine", {}, "healthy"],
    ["the queue is being recovered", { sink: undefined }, "starting"],
    ["no data yet, grace runs", { uptime: 59_999, exchanges: [silent("bitpin"), silent("wallex")] }, "starting"],
    [
      "no data yet, grace runs, one has nothing for us",
      { uptime: 1, exchanges: [silent("bitpin"), idle("wallex")] },
      "starting"
    ],
    ["one has nothing for us", { exchanges: [exchange("bitpin"), idle("wallex")] }, "healthy"],
    ["none has anything for us", { uptime: 1, exchanges: [idle("bitpin"), idle("wallex")] }, "healthy"],
    ["no data yet, grace is over", { uptime: 60_000, exchanges: [silent("bitpin"), silent("wallex")] }, "degraded"],
    [
      "one of two gives data, grace runs",
      { uptime: 10_000, exchanges: [silent("bitpin"), exchange("wallex")] },
      "healthy"
    ],
    ["one of two gives data, grace is over", { exchanges: [silent("bitpin"), exchange("wallex")] }, "degraded"],
    ["Kafka down, room in the queue", kafkaDown, "degraded"],
    [
      "one topic refused",
      { sink: sink({ kafka: { ackedAt: ago(2), failedAt: ago(1), message: "not authorised" } }) },
      "degraded"
    ],
    [
      "an exchange down",
      { exchanges: [exchange("bitpin"), exchange("wallex", { connections: new Map() })] },
      "degraded"
    ],
    ["all exchanges down", { exchanges: [exchange("bitpin", { connections: new Map() })] }, "degraded"],
    [
      "a breaker open",
      { breakers: [breaker("kafka_trade", "kafka", { state: "open", retryAt: now.wall })] },
      "degraded"
    ],
    ["a breaker half open", { breakers: [breaker("bitpin_ws", "ws", { state: "half_open" })] }, "degraded"],
    ["queue at 79.9 %", { sink: sink({}, 799) }, "healthy"],
    ["queue at 80 %", { sink: sink({}, 800) }, "degraded"],
    ["queue full, Kafka up", { sink: sink({ ...refusing }, 1000) }, "degraded"],
    ["queue full, Kafka down, nothing refused yet", { ...kafkaDown, sink: sink({}, 1000) }, "degraded"],
    ["refused while Kafka is down", { ...kafkaDown, sink: sink(refusing, 1000) }, "unhealthy"],
    ["refused over a minute ago", { ...kafkaDown, sink: sink({ refusedAt: ago(60_001).at }, 1000) }, "degraded"],
    [
      "refused while only the breaker knows that Kafka is down",
      { breakers: [breaker("kafka_trade", "kafka", { state: "open", retryAt: now.wall })], sink: sink(refusing) },
      "unhealthy"
    ],
    [
      "data directory unwritable",
      { disk: { ...diskOk, outcome: "failed", code: "EROFS", message: "read-only file system", freeBytes: null } },
      "unhealthy"
    ],
    [
      "disk full, Kafka up",
      { disk: { ...diskOk, outcome: "failed", code: "ENOSPC", message: "no space left on device", freeBytes: null } },
      "degraded"
    ],
    ["the disk does not answer in time", { disk: { ...diskOk, outcome: "unknown", message: "no answer" } }, "degraded"],
    ["the queue's disk has failed", { sink: sink({ queue: { ...lane().queue, state: "failed" } }) }, "unhealthy"],
    ["draining", { draining: true }, "draining"],
    ["draining goes before all else", { ...kafkaDown, draining: true, sink: undefined }, "draining"],
    [
      "unwritable goes before starting",
      { sink: undefined, disk: { ...diskOk, outcome: "failed", code: "EACCES", message: "permission denied" } },
      "unhealthy"
    ]
  ]

  for (const [name, over, status] of table) {
    it(`${name}: ${status}`, () => {
      const answer = evaluate(fine(over), now)
      assert.strictEqual(answer.status, status)
      assert.strictEqual(codeOf(answer.status), status === "healthy" || status === "degraded" ? 200 : 503)
    })
  }
})

describe("the answer", () => {
  it("has the shape that docs/design/contract.md gives", () => {
    assert.deepStrictEqual(evaluate(fine({ exchanges: [exchange("bitpin")] }), now), {
      status: "healthy",
      timestamp: "2026-06-11T12:00:00.000Z",
      checks: {
        kafka: { status: "healthy", last_check: "2026-06-11T11:59:55.000Z", duration: "15ms" },
        bitpin_api: { status: "healthy", last_check: "2026-06-11T11:59:58.000Z", duration: "84ms" },
        bitpin_websocket: { status: "healthy", last_check: "2026-06-11T12:00:00.000Z", duration: "0ms" },
        api_circuit_breaker: {
          status: "healthy",
          last_check: "2026-06-11T12:00:00.000Z",
          duration: "0ms",
          breakers: [
            { name: "bitpin_api", state: "closed", retry_at: null },
            { name: "wallex_api", state: "closed", retry_at: null }
          ]
        },
        ws_circuit_breaker: {
          status: "healthy",
          last_check: "2026-06-11T12:00:00.000Z",
          duration: "0ms",
          breakers: [{ name: "bitpin_ws", state: "closed", retry_at: null }]
        },
        kafka_circuit_breaker: {
          status: "healthy",
          last_check: "2026-06-11T12:00:00.000Z",
          duration: "0ms",
          breakers: [{ name: "kafka_trade", state: "closed", retry_at: null }]
        },
        persistence: {
          status: "healthy",
          last_check: "2026-06-11T12:00:00.000Z",
          duration: "0ms",
          records: 0,
          bytes: 0,
          max_bytes: 1000
        },
        disk: {
          status: "healthy",
          last_check: "2026-06-11T11:59:55.000Z",
          duration: "1ms",
          free_bytes: 50_000_000_000
        }
      }
    })
  })

  it("says when an open breaker lets a call through, and is never worse than degraded for it", () => {
    const { breakers, status } = check(
      fine({ breakers: [breaker("wallex_api", "api", { state: "open", retryAt: ago(-4_000).wall })] }),
      "api_circuit_breaker"
    )
    assert.strictEqual(status, "degraded")
    assert.deepStrictEqual(breakers, [{ name: "wallex_api", state: "open", retry_at: "2026-06-11T12:00:04.000Z" }])
  })
})

describe("the checks", () => {
  it("a check that has not been made for three periods is itself unhealthy", () => {
    const old = { ...ok, at: ago(30_001).at }
    const recent = { ...ok, at: ago(30_000).at }
    for (const [name, over] of [["kafka", { kafka: old }], ["disk", { disk: { ...diskOk, ...old } }]] as const) {
      assert.include(check(fine(over), name), { status: "unhealthy", message: "stale check" })
      assert.strictEqual(evaluate(fine(over), now).status, "degraded")
    }
    assert.strictEqual(check(fine({ kafka: recent }), "kafka").status, "healthy")
  })

  it("Kafka: a send that was acknowledged after the check failed says more than the check", () => {
    const acked = (ackedAt: Time.Moment) => sink({ kafka: { ackedAt, failedAt: null, message: null } })
    const lanes = (ackedAt: Time.Moment) => ({ ...acked(ackedAt), lanes: acked(ackedAt).lanes.slice(1) })
    assert.strictEqual(check(fine({ ...kafkaDown, sink: lanes(ago(4_999)) }), "kafka").status, "healthy")
    assert.include(check(fine({ ...kafkaDown, sink: lanes(ago(5_001)) }), "kafka"), {
      status: "unhealthy",
      message: "connect ECONNREFUSED 127.0.0.1:9092"
    })
  })

  it("Kafka: names the topic that it refuses", () => {
    const { message, status } = check(
      fine({ sink: sink({ kafka: { ackedAt: ago(2), failedAt: ago(1), message: "TOPIC_AUTHORIZATION_FAILED" } }) }),
      "kafka"
    )
    assert.strictEqual(status, "unhealthy")
    assert.strictEqual(message, "marketdata.trade.v1: TOPIC_AUTHORIZATION_FAILED")
  })

  it("Kafka: what the lanes know counts at once, whatever the last check in the background said", () => {
    const open = breaker("kafka_trade", "kafka", { state: "open", retryAt: Time.wallAfter(now, 10_000) })
    for (const kafka of [ok, undefined, { ...ok, at: ago(30_001).at }]) {
      assert.include(check(fine({ kafka, breakers: [open] }), "kafka"), {
        status: "unhealthy",
        message: "the circuit breaker kafka_trade is open"
      })
      assert.include(check(fine({ kafka, sink: sink({ awaited: 1_001 }) }), "kafka"), {
        status: "unhealthy",
        last_check: "2026-06-11T12:00:00.000Z",
        duration: "1001ms",
        message: "marketdata.trade.v1: no answer yet"
      })
    }
    assert.strictEqual(check(fine({ sink: sink({ awaited: 1_000 }) }), "kafka").status, "healthy")
    assert.strictEqual(check(fine({ sink: sink({ awaited: null }) }), "kafka").status, "healthy")
    // Who tries again is told by what comes of it; and another's breaker says nothing of Kafka.
    for (const one of [breaker("kafka_trade", "kafka", { state: "half_open" }), { ...open, group: "ws" as const }]) {
      assert.strictEqual(check(fine({ breakers: [one] }), "kafka").status, "healthy")
    }
    // What was refused is the worse for it.
    assert.strictEqual(evaluate(fine({ sink: sink({ ...refusing, awaited: 1_001 }) }), now).status, "unhealthy")
    assert.strictEqual(evaluate(fine({ sink: sink({ ...refusing, awaited: 999 }) }), now).status, "healthy")
  })

  it("an exchange without data is starting while the grace runs, then unhealthy", () => {
    const exchanges = [{ ...silent("bitpin"), lastError: "connect ETIMEDOUT" }]
    for (const name of ["bitpin_api", "bitpin_websocket"]) {
      assert.strictEqual(check(fine({ exchanges, uptime: 59_999 }), name).status, "starting")
      assert.strictEqual(check(fine({ exchanges, uptime: 60_000 }), name).status, "unhealthy")
    }
    assert.strictEqual(
      check(fine({ exchanges }), "bitpin_websocket").message,
      "no data yet: connect ETIMEDOUT"
    )
  })

  it("an exchange's API: as its feed has seen it last", () => {
    const seen = (ok: boolean) =>
      check(
        fine({
          exchanges: [
            exchange("bitpin", {
              api: { ...ago(4_999), checkedAt: now.wall, ok, durationMs: 7, message: ok ? null : "503" }
            })
          ]
        }),
        "bitpin_api"
      )
    assert.include(seen(true), { status: "healthy", duration: "7ms" })
    assert.include(seen(false), { status: "unhealthy", message: "503", duration: "7ms" })
  })

  it("a WebSocket check is degraded while some connections are up and others not", () => {
    const one = exchange("bitpin").connections.get(0) ?? assert.fail("no connection")
    const exchanges = [exchange("bitpin", { connections: new Map([[0, one], [1, { ...one, state: "backoff" }]]) })]
    assert.include(check(fine({ exchanges }), "bitpin_websocket"), {
      status: "degraded",
      message: "1 of 2 connections are up"
    })
  })

  it("persistence says why", () => {
    const why = (over: Parameters<typeof sink>[0], bytes = 0, more: Partial<Inputs> = {}) =>
      check(fine({ sink: sink(over, bytes), ...more }), "persistence")
    assert.include(why({}, 1000), { status: "degraded", message: "100 % of the queue is in use", bytes: 1000 })
    assert.include(why({ queue: { ...lane().queue, state: "full" } }), { status: "degraded" })
    assert.include(why({ disk: { failedAt: ago(1), message: "EIO: i/o error" } }), {
      status: "degraded",
      message: "marketdata.trade.v1: EIO: i/o error"
    })
    const checkpointFailure = "/data/checkpoint-2.00000001.log: ENOSPC: no space left on device"
    const noCheckpoint = fine({ sink: { ...sink(), checkpointFailure } })
    assert.include(check(noCheckpoint, "persistence"), {
      status: "degraded",
      message: `the checkpoint: ${checkpointFailure}`
    })
    assert.strictEqual(evaluate(noCheckpoint, now).status, "degraded")
    assert.include(why({ queue: { ...lane().queue, state: "failed" } }), { status: "unhealthy" })
    assert.include(why(refusing, 1000, kafkaDown), { status: "unhealthy" })
    assert.include(check(fine({ sink: undefined }), "persistence"), { status: "starting", last_check: null })
  })
})

describe("messages", () => {
  it("are one short line without credentials", () => {
    assert.strictEqual(messageOf("a\r\n\tb\u001b[31m"), "a b [31m")
    assert.strictEqual(messageOf("GET https://user:s3cret@proxy:3128/x failed"), "GET https://proxy:3128/x failed")
    const long = messageOf("x".repeat(500))
    assert.strictEqual(long.length, 200)
    assert.isTrue(long.endsWith("…"))
  })

  it("whatever went wrong, no message is longer or on more lines, and the answer is JSON", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 400 }), fc.boolean(), (text, down) => {
      const answer = evaluate(
        fine({
          kafka: failed(text),
          disk: { ...diskOk, outcome: "failed", code: "EIO", message: text },
          exchanges: [exchange("bitpin", { connections: new Map(), lastError: text })],
          sink: sink({
            kafka: { ackedAt: null, failedAt: ago(1), message: down ? text : null },
            disk: { failedAt: ago(1), message: text }
          })
        }),
        now
      )
      for (const { message = "" } of Object.values(answer.checks)) {
        assert.isAtMost(message.length, 200)
        assert.notMatch(message, /[\r\n\u2028\u2029]/)
      }
      assert.deepStrictEqual(JSON.parse(JSON.stringify(answer)), answer)
    }))
  })
})
