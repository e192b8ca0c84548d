/**
 * Every row of the table of docs/design/contract.md "Health", and every check, by a fault in the running service.
 */
import { readdirSync, readFileSync } from "node:fs"
import * as path from "node:path"
import { assert, describe, inject, it } from "vitest"
import { unavailable } from "../../src/layers/testing/Script.ts"
import { startBroker, startBrokerBehindProxy } from "../faults/Outage.ts"
import * as Immutable from "../support/immutable.ts"
import { type Service, until } from "./Service.ts"
import { cleanups, emit, ready, type Stage, stage } from "./Stage.ts"

const nowhere = "127.0.0.1:1"

interface Seen {
  readonly status: string
  /** Of `/health/live`, `/health/ready`, `/health`. */
  readonly codes: readonly [live: number, ready: number, health: number]
  readonly checks: Readonly<
    Record<string, {
      readonly status: string
      readonly message?: string
      readonly last_check: string | null
      readonly duration: string
      readonly records?: number
      readonly breakers?: ReadonlyArray<
        { readonly name: string; readonly state: string; readonly retry_at: string | null }
      >
    }>
  >
}

const look = async (service: Service): Promise<Seen> => {
  const [live, ready, health] = await Promise.all(
    ["/health/live", "/health/ready", "/health"].map((route) => service.get(route))
  )
  const { checks, status } = JSON.parse(health?.body ?? "")
  return { status, checks, codes: [live?.status ?? 0, ready?.status ?? 0, health?.status ?? 0] }
}

const becomes = async (
  service: Service,
  what: string,
  wanted: (seen: Seen) => boolean,
  timeout = 45_000
): Promise<Seen> => {
  let seen = await look(service)
  await until(
    what,
    async () => {
      seen = await look(service)
      return wanted(seen)
    },
    timeout,
    () => `${JSON.stringify(seen)}\n${service.tail(5)}`
  )
  return seen
}

const degradedBy = (check: string) => (seen: Seen) =>
  seen.status === "degraded" && seen.checks[check]?.status !== "healthy" && seen.codes.join() === "200,200,200"

const names = [
  "kafka",
  "bitpin_api",
  "bitpin_websocket",
  "wallex_api",
  "wallex_websocket",
  "api_circuit_breaker",
  "ws_circuit_breaker",
  "kafka_circuit_breaker",
  "persistence",
  "disk"
]

const quick = {
  WS_BREAKER_TIMEOUT: "2s",
  API_BREAKER_TIMEOUT: "2s",
  API_BREAKER_SUCCESS_THRESHOLD: "1",
  KAFKA_BREAKER_TIMEOUT: "1s",
  RETRY_BASE_DELAY: "200ms",
  RETRY_MAX_DELAY: "500ms"
}

const running = async (broker: string, env: Readonly<Record<string, string>> = {}) => {
  const s = await stage(broker, 3)
  const service = s.start({ ...quick, ...env })
  await ready(s)
  await emit(s, 50)
  return { s, service }
}

const healthy = (service: Service) =>
  becomes(
    service,
    "healthy",
    ({ checks, codes, status }) =>
      status === "healthy" && codes.join() === "200,200,200" &&
      names.every((name) => checks[name]?.status === "healthy")
  )

describe("health", () => {
  it("starting: no exchange has given data and the grace runs", async () => {
    const s = await stage(inject("kafkaBroker"), 3)
    for (const { server } of s.exchanges) server.script.upgrade = unavailable
    const service = s.start()
    const { checks } = await becomes(
      service,
      "starting",
      ({ codes, status }) => status === "starting" && codes.join() === "200,503,503"
    )
    assert.strictEqual(checks["bitpin_websocket"]?.status, "starting")
  })

  it(
    "healthy, with every check; degraded while one exchange is away, or all, by API, socket and breakers",
    async () => {
      const { s, service } = await running(inject("kafkaBroker"))
      const well = await healthy(service)
      assert.sameMembers(Object.keys(well.checks), names)
      for (const { duration, last_check } of Object.values(well.checks)) {
        assert.match(duration, /^\d+ms$/)
        assert.isFalse(Number.isNaN(Date.parse(last_check ?? "")))
      }
      for (const name of ["api", "ws", "kafka"]) {
        for (const { retry_at, state } of well.checks[`${name}_circuit_breaker`]?.breakers ?? []) {
          assert.deepStrictEqual({ state, retry_at }, { state: "closed", retry_at: null })
        }
      }
      s.bitpin.server.script.upgrade = unavailable
      s.bitpin.server.script.rest = unavailable
      s.bitpin.server.drop("reset")
      await becomes(service, "one away", degradedBy("bitpin_websocket"))
      const { checks } = await becomes(
        service,
        "its breaker is open",
        (seen) =>
          degradedBy("ws_circuit_breaker")(seen) &&
          (seen.checks["ws_circuit_breaker"]?.breakers ?? []).some(({ name, retry_at, state }) =>
            name === "bitpin_ws" && state === "open" && retry_at !== null
          )
      )
      assert.strictEqual(checks["wallex_websocket"]?.status, "healthy")
      s.wallex.server.script.upgrade = unavailable
      s.wallex.server.drop("reset")
      await becomes(service, "all away", degradedBy("wallex_websocket"))
      await becomes(service, "the API", degradedBy("bitpin_api"))
      await becomes(service, "the API's breaker", degradedBy("api_circuit_breaker"))
      for (const { server } of s.exchanges) {
        server.heal()
      }
      await ready(s)
      await emit(s, 50)
      // A breaker closes after ten seconds up.
      await healthy(service)
    },
    180_000
  )

  it("degraded while Kafka is away, then while the queue is 80 % full; unhealthy when it drops", async () => {
    const { s, service } = await running(nowhere, { QUEUE_MAX_BYTES: "2MiB" })
    await becomes(service, "Kafka", degradedBy("kafka"))
    await becomes(service, "its breaker", degradedBy("kafka_circuit_breaker"))
    const usage = async () =>
      (await service.samples()).find(({ name }) => name === "feeds_queue_used_bytes")?.value ?? 0
    while ((await usage()) < 0.82 * 2 * 1024 * 1024) await emit(s, 100)
    await becomes(service, "filling", degradedBy("persistence"))
    await emit(s, 4_000)
    const { checks } = await becomes(
      service,
      "dropped",
      ({ codes, status }) => status === "unhealthy" && codes.join() === "200,503,503"
    )
    assert.strictEqual(checks["persistence"]?.status, "unhealthy")
  }, 120_000)

  it("unhealthy while the data directory cannot be written, and healthy again without a restart", async () => {
    const { s, service } = await running(inject("kafkaBroker"))
    await healthy(service)
    cleanups.push(() => Immutable.thaw(s.dataDir))
    await Immutable.freeze(s.dataDir)
    const { checks } = await becomes(
      service,
      "unwritable",
      ({ codes, status }) => status === "unhealthy" && codes.join() === "200,503,503"
    )
    assert.strictEqual(checks["disk"]?.status, "unhealthy")
    await Immutable.thaw(s.dataDir)
    await healthy(service)
  }, 120_000)

  it(
    "degraded, and kafka unhealthy in each answer that shows that it stands still: no check is waited for",
    async () => {
      const broker = await startBroker()
      const { s, service } = await running(broker.address, { KAFKA_BREAKER_TIMEOUT: "5s" })
      await healthy(service)
      await broker.freeze()
      await emit(s, 50)
      const wrong: Array<Seen> = []
      // One answer is of one moment: what lies in the queue has waited for a second, and an open breaker is one.
      const isSeen = ({ checks }: Seen) =>
        (checks["persistence"]?.records ?? 0) > 0 ||
        checks["kafka_circuit_breaker"]?.breakers?.some(({ state }) => state === "open") === true
      await becomes(service, "the breaker opens", (seen) => {
        if (isSeen(seen) && seen.checks["kafka"]?.status !== "unhealthy") wrong.push(seen)
        return seen.checks["kafka_circuit_breaker"]?.breakers?.some(({ state }) => state === "open") === true
      })
      assert.deepStrictEqual(wrong, [])
      broker.thaw()
      await healthy(service)
    },
    120_000
  )

  it("degraded while the checkpoint cannot be written, which is named, though Kafka takes everything", async () => {
    const s = await stage(nowhere, 3)
    // No file may grow beyond 200 bytes: the lock fits, what was delivered does not.
    const service = s.start({ SINK: "stdout" }, ["prlimit", "--fsize=200"])
    await ready(s)
    await emit(s, 200)
    const { checks } = await becomes(service, "no checkpoint", degradedBy("persistence"))
    assert.match(checks["persistence"]?.message ?? "", /^the checkpoint: .*\/checkpoint-2\.\d{8}\.log/)
    assert.strictEqual(checks["kafka"]?.status, "healthy")
  }, 60_000)

  it("draining after SIGTERM, while Kafka does not answer", async () => {
    const { proxy } = await startBrokerBehindProxy()
    const { s, service } = await running(proxy.address)
    await healthy(service)
    proxy.blackholeEstablished()
    proxy.blackholeNew(true)
    await emit(s, 50)
    const stopped = service.stop()
    await becomes(service, "draining", ({ codes, status }) => status === "draining" && codes.join() === "200,503,503")
    assert.deepStrictEqual(await stopped, { code: 0, signal: null })
  }, 60_000)
})

const filesBelow = (directory: string): string =>
  readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map((entry) => readFileSync(path.join(entry.parentPath, entry.name), "latin1")).join("\n")

/** A password appears nowhere, however much is logged. */
describe("secrets", () => {
  it("are in no log, page, answer, metric or file at LOG_LEVEL=trace", async () => {
    const password = "pl4nted-Pa55word"
    const s: Stage = await stage(nowhere, 3)
    const service = s.start({
      LOG_LEVEL: "trace",
      KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT",
      KAFKA_SASL_MECHANISM: "PLAIN",
      KAFKA_SASL_USERNAME: "collector",
      KAFKA_SASL_PASSWORD: password
    })
    await ready(s)
    await emit(s, 100)
    await becomes(service, "refused", degradedBy("kafka"))
    const bodies = await Promise.all(
      ["/", "/health", "/health/ready", "/metrics", "/api/status"].map((route) => service.get(route))
    )
    await service.stop()
    for (const { body } of bodies) assert.notInclude(body, password)
    assert.notInclude(service.lines.join("\n"), password)
    assert.isAbove(service.lines.filter((line) => /"(TRACE|DEBUG)"/.test(line)).length, 0)
    assert.notInclude(filesBelow(s.dataDir), password)
  }, 60_000)
})
