/**
 * Every setting of docs/configuration.md, changed, and its effect seen in the running service. One scene a service; all at
 * once, since most of them wait. The guard at the end knows the table of settings: a new one without a scene is red.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import * as http from "node:http"
import * as net from "node:net"
import * as path from "node:path"
import { gunzipSync } from "node:zlib"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as Variables from "../../src/layers/AppConfig/Variables.ts"
import type { Report } from "../../src/layers/http/StatusPage.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import { judge } from "../../src/layers/testing/Oracle.ts"
import { unavailable } from "../../src/layers/testing/Script.ts"
import type { Trade } from "../../src/services/MarketEvent.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import { pause, startBrokerBehindProxy } from "../faults/Outage.ts"
import * as Broker from "../kafka/Broker.ts"
import * as Consumer from "../kafka/Consumer.ts"
import * as FaultProxy from "../kafka/FaultProxy.ts"
import * as Jvm from "../kafka/Jvm.ts"
import * as Proxy from "../support/proxy.ts"
import { strace } from "../support/strace.ts"
import { type Service, sum, until } from "./Service.ts"
import { cleanups, emit, ready, sentCount, type Stage, stage, verify } from "./Stage.ts"

const nowhere = "127.0.0.1:1"

interface Scene {
  readonly name: string
  readonly keys: ReadonlyArray<string>
  readonly run: (broker: Broker.Broker) => Promise<void>
  /** After all others: it judges by what happens within a second. */
  readonly alone: boolean
}

const scenes: Array<Scene> = []

const scene = (name: string, keys: ReadonlyArray<string>, run: Scene["run"], alone = false): void => {
  scenes.push({ name, keys, run, alone })
}

const gaps = ({ server }: FakeExchange): ReadonlyArray<number> =>
  server.dials.slice(1).map(({ at }, i) => at - (server.dials[i]?.at ?? 0))

const sampleOf = async (service: Service, name: string, labels: Readonly<Record<string, string>>): Promise<number> =>
  (await service.samples()).find((sample) =>
    sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value)
  )?.value ?? 0

const breakerIs = async (service: Service, name: string, state: string): Promise<boolean> =>
  await sampleOf(service, "feeds_circuit_breaker_state", { name, state }) === 1

const callsOf = (service: Service, name: string, outcome: string): Promise<number> =>
  sampleOf(service, "feeds_circuit_breaker_calls_total", { name, outcome })

const soon = (what: string, service: Service, condition: () => boolean | Promise<boolean>): Promise<void> =>
  until(what, condition, 30_000, () => service.tail())

/** Each batch of records that a broker has on disk: its codec, 0 none, 1 gzip (bits 0-2 of the attributes at byte 21), and its bytes. */
const batchesOf = (broker: Broker.Broker, topic: string) => {
  const root = path.join(broker.directory, "data")
  return readdirSync(root).filter((name) => name.startsWith(`${topic}-`)).flatMap((partition) => {
    const log = readFileSync(path.join(root, partition, "00000000000000000000.log"))
    const found: Array<{ readonly codec: number; readonly bytes: number }> = []
    for (let at = 0; at + 23 <= log.length;) {
      const bytes = 12 + log.readInt32BE(at + 8)
      found.push({ codec: log.readUInt16BE(at + 21) & 7, bytes })
      at += bytes
    }
    return found
  })
}

const codecs = (broker: Broker.Broker, topic: string): ReadonlyArray<number> =>
  batchesOf(broker, topic).map(({ codec }) => codec)

const segmentBytes = (s: Stage): number => {
  const directory = path.join(s.dataDir, "queue", s.topic)
  return readdirSync(directory).filter((name) => name.endsWith(".seg"))
    .reduce((total, name) => total + statSync(path.join(directory, name)).size, 0)
}

const partitionsOf = async (broker: Broker.Broker, topic: string): Promise<number> => {
  const { topics }: {
    readonly topics: ReadonlyArray<{ readonly topic: string; readonly partitions: ReadonlyArray<unknown> }>
  } = JSON.parse(await Consumer.kcat(["-L", "-J", "-b", broker.address]))
  return topics.find((one) => one.topic === topic)?.partitions.length ?? 0
}

const healthOf = async (service: Service) => JSON.parse((await service.get("/health")).body)

const connects = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(port, host)
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })

scene(
  "places and names",
  [
    "KAFKA_BROKER",
    "KAFKA_TOPIC_PREFIX",
    "KAFKA_TOPIC_PARTITIONS",
    "KAFKA_COMPRESSION",
    "DATA_DIR",
    "HEALTH_PORT",
    "HEALTH_HOST",
    "LOG_FORMAT",
    "EXCHANGES",
    "MARKETS",
    "BITPIN_API_URL",
    "BITPIN_WS_URL"
  ],
  async (broker) => {
    const s = await stage(broker.address, 6)
    const port = await Jvm.freePort()
    const service = s.start({
      EXCHANGES: "bitpin",
      MARKETS: "*/USDT",
      KAFKA_TOPIC_PARTITIONS: "3",
      KAFKA_COMPRESSION: "none",
      HEALTH_HOST: "127.0.0.2",
      HEALTH_PORT: String(port),
      LOG_FORMAT: "logfmt"
    })
    const chosen = s.bitpin.tradable.filter(({ symbol }) => symbol.endsWith("/USDT")).length
    assert.isAbove(chosen, 0)
    await soon("subscribed", service, () => s.bitpin.subscribed === chosen)
    assert.isTrue(await connects("127.0.0.2", port))
    assert.isFalse(await connects("127.0.0.1", port))
    assert.lengthOf(s.wallex.server.dials, 0)
    assert.lengthOf(s.wallex.server.restCalls, 0)
    s.bitpin.trades(60)
    await soon(
      "delivered",
      service,
      async () => (await partitionsOf(broker, s.topic)) > 0 && codecs(broker, s.topic).length > 0
    )
    assert.strictEqual(await partitionsOf(broker, s.topic), 3)
    assert.deepStrictEqual([...new Set(codecs(broker, s.topic))], [0])
    assert.includeMembers(readdirSync(s.dataDir), ["LOCK", "queue"])
    assert.isTrue(service.lines.some((line) => /^timestamp=\S+ level=INFO/.test(line)), service.tail())
  }
)

const tradesOf = (lines: ReadonlyArray<string>): ReadonlyArray<Trade> =>
  lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line)).filter(({ type }) => type === "trade")

const complete = (s: Stage, trades: ReadonlyArray<Trade>) => {
  const { disordered, duplicates, foreign, missing } = judge(s.exchanges.flatMap(({ issued }) => issued), trades)
  assert.deepStrictEqual({ disordered, duplicates, foreign, missing }, {
    disordered: [],
    duplicates: [],
    foreign: [],
    missing: []
  })
}

scene("files and a pipe instead of Kafka", ["SINK"], async () => {
  const s = await stage(nowhere, 6)
  const directory = path.join(s.dataDir, "out", s.topic)
  const files = () => readdirSync(directory)
  const service = s.start({ SINK: "file" })
  await ready(s)
  await emit(s, 600)
  await service.settled(sentCount(s))
  assert.strictEqual((await healthOf(service)).status, "healthy")
  assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
  assert.isTrue(files().every((name) => name.endsWith(".ndjson")), files().join())
  const next = s.start({ SINK: "file" })
  await ready(s)
  await emit(s, 200)
  await next.settled(200)
  await soon("compressed", next, () => files().filter((name) => name.endsWith(".ndjson")).length === 1)
  complete(
    s,
    files().sort().flatMap((name) => {
      const bytes = readFileSync(path.join(directory, name))
      return tradesOf((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString().split("\n"))
    })
  )
  const piped = await stage(nowhere, 6)
  const talker = piped.start({ SINK: "stdout" })
  await ready(piped)
  await emit(piped, 400)
  await talker.settled(sentCount(piped))
  assert.deepStrictEqual(await talker.stop(), { code: 0, signal: null })
  complete(piped, tradesOf(talker.lines))
})

scene(
  "traces",
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"],
  async (broker) => {
    const got: Array<{ readonly url: string; readonly token: string; readonly text: string }> = []
    const collector = http.createServer((request, response) => {
      let text = ""
      request.setEncoding("utf8").on("data", (chunk: string) => text += chunk).on("end", () => {
        got.push({ url: request.url ?? "", token: String(request.headers["authorization"]), text })
        response.end("{}")
      })
    })
    const port = await Jvm.freePort()
    await new Promise<void>((resolve) => collector.listen(port, "127.0.0.1", resolve))
    cleanups.push(() => void collector.close())
    const s = await stage(broker.address, 3)
    const service = s.start({
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20abc",
      OTEL_SERVICE_NAME: "feeds-of-mine",
      OTEL_RESOURCE_ATTRIBUTES: "deployment=test"
    })
    await ready(s)
    await emit(s, 300)
    await service.settled(sentCount(s))
    // Sessions end with the stop; the exporter then tells of them.
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
    assert.deepStrictEqual([...new Set(got.map(({ token, url }) => `${url} ${token}`))], ["/v1/traces Bearer abc"])
    const text = got.map((one) => one.text).join("")
    for (const word of [`${s.topic} send`, "bitpin connection", "wallex connection", "feeds-of-mine", "deployment"]) {
      assert.include(text, word)
    }
    assert.notInclude(text, "/health")
    const away = await stage(broker.address, 3)
    const other = away.start({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" })
    await ready(away)
    await emit(away, 300)
    await other.settled(sentCount(away))
    const began = performance.now()
    assert.deepStrictEqual(await other.stop(), { code: 0, signal: null })
    assert.isBelow(performance.now() - began, 15_000)
  }
)

scene("markets of one exchange", ["BITPIN_MARKETS", "WALLEX_MARKETS"], async (broker) => {
  const s = await stage(broker.address, 6)
  const service = s.start({ MARKETS: "*/NONE", BITPIN_MARKETS: "*/USDT", WALLEX_MARKETS: "*/irt,NONE/*" })
  const of = (fake: FakeExchange, quote: string) => fake.tradable.filter(({ symbol }) => symbol.endsWith(quote)).length
  const chosen = { bitpin: of(s.bitpin, "/USDT"), wallex: of(s.wallex, "/IRT") }
  assert.isAbove(Math.min(chosen.bitpin, chosen.wallex), 0)
  await soon(
    "subscribed",
    service,
    () => s.bitpin.subscribed === chosen.bitpin && s.wallex.subscribed === chosen.wallex
  )
  assert.isTrue(service.lines.some((line) => line.includes("WALLEX_MARKETS: nothing is found by NONE/*")))
  assert.isFalse(
    service.lines.some((line) => line.includes(" MARKETS: nothing") || line.includes("\"MARKETS: nothing"))
  )
})

scene("two shares, each market in one of them", ["SHARD"], async (broker) => {
  const s = await stage(broker.address, 12)
  const one = s.start({ SHARD: "1/2" })
  const other = s.start({ SHARD: "2/2", DATA_DIR: `${s.dataDir}-other` })
  cleanups.push(() => rmSync(`${s.dataDir}-other`, { recursive: true, force: true }))
  await ready(s)
  for (const { server, tradable } of s.exchanges) {
    const subscribed = [...server.connections].flatMap(({ subscriptions }) => [...subscriptions.keys()])
    assert.lengthOf(subscribed, tradable.length)
    assert.strictEqual(new Set(subscribed).size, tradable.length)
  }
  await emit(s, 600)
  await soon("delivered", one, async () => {
    const rows = [...await one.ledger(), ...await other.ledger()]
    return sum(rows, "delivered") >= sentCount(s)
  })
  for (const service of [one, other]) assert.isAbove(sum(await service.ledger(), "delivered"), 0)
  await verify(s, broker.address)
})

scene("gzip unless told otherwise or too small, nothing below the level", ["LOG_LEVEL"], async (broker) => {
  const s = await stage(broker.address, 3)
  const service = s.start({ LOG_LEVEL: "error", KAFKA_TOPIC_PARTITIONS: "1" })
  await ready(s)
  await emit(s, 400)
  await service.settled(sentCount(s))
  assert.include(codecs(broker, s.topic), 1)
  for (const { bytes, codec } of batchesOf(broker, s.topic)) if (codec === 0) assert.isBelow(bytes, 2_048 + 61)
  assert.isFalse(service.lines.some((line) => line.includes("\"INFO\"")), service.tail())
})

scene(
  "connections",
  ["WS_SUBSCRIPTIONS_PER_CONNECTION", "WS_STAGGER", "WALLEX_API_URL", "WALLEX_WS_URL"],
  async (broker) => {
    const s = await stage(broker.address, 6)
    s.start({ EXCHANGES: "wallex", WS_SUBSCRIPTIONS_PER_CONNECTION: "2", WS_STAGGER: "1s" })
    await s.wallex.ready()
    const { connections } = s.wallex.server
    assert.strictEqual(connections.size, Math.ceil(s.wallex.tradable.length / 2))
    for (const { subscriptions } of connections) assert.isAtMost(subscriptions.size, 2)
    // A dial is seen when its upgrade arrives, which a busy machine may delay: a part of the gap may be on the other side.
    for (const gap of gaps(s.wallex)) assert.isAtLeast(gap, 500)
  }
)

scene("frames", ["WS_MAX_PAYLOAD", "WS_IDLE_TIMEOUT"], async (broker) => {
  const s = await stage(broker.address, 3)
  const service = s.start({
    EXCHANGES: "bitpin",
    WS_MAX_PAYLOAD: "4KiB",
    WS_IDLE_TIMEOUT: "2s",
    WS_BREAKER_MAX_FAILURES: "1000"
  })
  await s.bitpin.ready()
  const [first] = s.bitpin.server.accepted
  s.bitpin.server.oversize(5_000)
  await soon("too large", service, () => first?.closeCode === 1009)
  const dials = s.bitpin.server.dials.length
  // Nothing comes: each connection is given up after two seconds, and the next one dialled.
  await soon("given up", service, () => s.bitpin.server.dials.length >= dials + 3)
  await service.stop()
  // 1.2 MB in one frame, and every trade in Kafka.
  const large = s.start({ EXCHANGES: "bitpin", WS_MAX_PAYLOAD: "4MiB" })
  await s.bitpin.ready()
  s.bitpin.bulk(s.bitpin.tradable[0]?.exchangeSymbol ?? "", 9_000)
  await large.settled(9_000)
  await verify(s, broker.address)
})

scene(
  "retry",
  ["RETRY_BASE_DELAY", "RETRY_MAX_DELAY", "RETRY_JITTER"],
  async (broker) => {
    const s = await stage(broker.address, 3)
    const { server } = s.wallex
    server.script.upgrade = unavailable
    const env = { EXCHANGES: "wallex", WS_STAGGER: "0ms", WS_BREAKER_MAX_FAILURES: "1000" }
    const steady = s.start({ ...env, RETRY_BASE_DELAY: "200ms", RETRY_MAX_DELAY: "800ms", RETRY_JITTER: "0" })
    await soon("five dials", steady, () => server.dials.length >= 5)
    await steady.stop()
    ;[200, 400, 800, 800].forEach((wanted, i) => {
      assert.isAtLeast(gaps(s.wallex)[i] ?? 0, wanted - 20)
      assert.isAtMost(gaps(s.wallex)[i] ?? 0, wanted + 400)
    })
    server.dials.splice(0)
    const spread = s.start({ ...env, RETRY_BASE_DELAY: "400ms", RETRY_MAX_DELAY: "400ms", RETRY_JITTER: "0.9" })
    await soon("twelve dials", spread, () => server.dials.length >= 12)
    assert.isAbove(Math.max(...gaps(s.wallex)) - Math.min(...gaps(s.wallex)), 60, String(gaps(s.wallex)))
  }
)

scene("attempts of one REST call", ["RETRY_MAX_ATTEMPTS"], async (broker) => {
  const s = await stage(broker.address, 3)
  const service = s.start({
    EXCHANGES: "wallex",
    RETRY_MAX_ATTEMPTS: "3",
    RETRY_BASE_DELAY: "100ms",
    RETRY_MAX_DELAY: "100ms",
    API_BREAKER_MAX_FAILURES: "1000"
  })
  await s.wallex.ready()
  const { server } = s.wallex
  server.script.rest = unavailable
  const before = server.restCalls.length
  // The check comes each 12 s; its calls come together.
  await soon("a check", service, () => server.restCalls.length > before)
  await pause(1_500)
  assert.lengthOf(server.restCalls.slice(before), 3)
})

scene(
  "the API's breaker",
  ["API_BREAKER_MAX_FAILURES", "API_BREAKER_TIMEOUT", "API_BREAKER_SUCCESS_THRESHOLD"],
  async (broker) => {
    const s = await stage(broker.address, 3)
    const { server } = s.wallex
    server.script.rest = unavailable
    const service = s.start({
      EXCHANGES: "wallex",
      RETRY_MAX_DELAY: "100ms",
      API_BREAKER_MAX_FAILURES: "2",
      API_BREAKER_TIMEOUT: "2s",
      API_BREAKER_SUCCESS_THRESHOLD: "2"
    })
    await soon("open", service, () => breakerIs(service, "wallex_api", "open"))
    assert.strictEqual(await callsOf(service, "wallex_api", "failure"), 2)
    await soon("a probe", service, () => server.restCalls.length >= 3)
    assert.isAtLeast((server.restCalls[2]?.at ?? 0) - (server.restCalls[1]?.at ?? 0), 1_950)
    server.heal()
    await soon("one success", service, async () => (await callsOf(service, "wallex_api", "success")) === 1)
    assert.isTrue(await breakerIs(service, "wallex_api", "half_open"))
    await soon("closed", service, () => breakerIs(service, "wallex_api", "closed"))
    assert.strictEqual(await callsOf(service, "wallex_api", "success"), 2)
  }
)

scene(
  "the WebSocket's breaker",
  ["WS_BREAKER_MAX_FAILURES", "WS_BREAKER_TIMEOUT", "WS_BREAKER_SUCCESS_THRESHOLD"],
  async (broker) => {
    const s = await stage(broker.address, 3)
    const { server } = s.wallex
    server.script.upgrade = unavailable
    const service = s.start({
      EXCHANGES: "wallex",
      WS_BREAKER_MAX_FAILURES: "2",
      WS_BREAKER_TIMEOUT: "2s",
      WS_BREAKER_SUCCESS_THRESHOLD: "2"
    })
    await soon("open", service, () => breakerIs(service, "wallex_ws", "open"))
    assert.lengthOf(server.dials, 2)
    await soon("a probe", service, () => server.dials.length >= 3)
    assert.isAtLeast(gaps(s.wallex)[1] ?? 0, 1_950)
    server.heal()
    await s.wallex.ready()
    s.wallex.trades(3)
    await soon("one success", service, async () => (await callsOf(service, "wallex_ws", "success")) === 1)
    assert.isTrue(await breakerIs(service, "wallex_ws", "half_open"))
    // Ten seconds up are one more success, of the same call.
    await soon("closed", service, () => breakerIs(service, "wallex_ws", "closed"))
  }
)

scene(
  "Kafka's breaker",
  ["KAFKA_BREAKER_MAX_FAILURES", "KAFKA_BREAKER_TIMEOUT", "KAFKA_BREAKER_SUCCESS_THRESHOLD"],
  async (broker) => {
    const proxy = await FaultProxy.make()
    cleanups.push(proxy.close)
    proxy.to(Number(broker.address.split(":")[1]))
    await proxy.refuse(true)
    const s = await stage(proxy.address, 3)
    const service = s.start({
      EXCHANGES: "wallex",
      KAFKA_BREAKER_MAX_FAILURES: "2",
      KAFKA_BREAKER_TIMEOUT: "2s",
      KAFKA_BREAKER_SUCCESS_THRESHOLD: "2"
    })
    await s.wallex.ready()
    s.wallex.trades(1)
    await soon("open", service, () => breakerIs(service, "kafka_trade", "open"))
    assert.strictEqual(await callsOf(service, "kafka_trade", "failure"), 2)
    const opened = performance.now()
    await soon("a probe", service, async () => (await callsOf(service, "kafka_trade", "failure")) >= 3)
    assert.isAtLeast(performance.now() - opened, 1_500)
    await proxy.refuse(false)
    await soon("one success", service, async () => (await callsOf(service, "kafka_trade", "success")) === 1)
    assert.isTrue(await breakerIs(service, "kafka_trade", "half_open"))
    s.wallex.trades(1)
    await soon("closed", service, () => breakerIs(service, "kafka_trade", "closed"))
  }
)

scene("linger", ["KAFKA_LINGER"], async (broker) => {
  const batches = async (linger: string): Promise<number> => {
    const s = await stage(broker.address, 3)
    const service = s.start({
      EXCHANGES: "wallex",
      MARKETS: "BTC/*",
      KAFKA_LINGER: linger,
      KAFKA_TOPIC_PARTITIONS: "1"
    })
    await soon("subscribed", service, () => s.wallex.subscribed > 0)
    const symbol = s.wallex.tradable.find(({ base }) => base === "BTC")?.exchangeSymbol ?? ""
    for (let i = 0; i < 40; i++) {
      s.wallex.trade(symbol)
      await pause(50)
    }
    await service.settled(40)
    return codecs(broker, s.topic).length
  }
  const [eager, patient] = await Promise.all([batches("0ms"), batches("700ms")])
  assert.isAtLeast(eager, 20)
  assert.isAtMost(patient, 6)
})

scene("topics made by hand", ["KAFKA_CREATE_TOPICS"], async (broker) => {
  const s = await stage(broker.address, 3)
  const service = s.start({ KAFKA_CREATE_TOPICS: "false" })
  await ready(s)
  await emit(s, 100)
  await soon("queued", service, async () => sum(await service.ledger(), "queued") >= 100)
  assert.strictEqual(await partitionsOf(broker, s.topic), 0)
})

scene("journal", ["QUEUE_MODE"], async (broker) => {
  const written = async (mode: string): Promise<number> => {
    const s = await stage(broker.address, 3)
    const service = s.start({ QUEUE_MODE: mode })
    await ready(s)
    // The first ones may have waited for the topic to be made.
    await emit(s, 100)
    await service.settled(sentCount(s))
    const before = segmentBytes(s)
    await emit(s, 200)
    await service.settled(sentCount(s))
    return segmentBytes(s) - before
  }
  const fallback = await written("fallback")
  const journal = await written("journal")
  assert.isAtMost(fallback, 0)
  assert.isAbove(journal, 10_000)
}, true)

/** A hole of six trades in BitPin's markets, whose histories do not answer, and nine trades behind it. */
const throughAHole = async (s: Stage, service: Service, ago = 0) => {
  let time = Date.now() - ago
  const trades = (count: number) => {
    const { tradable } = s.bitpin
    for (let n = 0; n < count; n++) {
      s.bitpin.trade(tradable[n % tradable.length]?.exchangeSymbol ?? "", { time: time++ })
    }
  }
  await s.bitpin.ready()
  trades(30)
  await service.settled(30)
  s.bitpin.server.script.rest = "hang"
  s.bitpin.server.drop(1006)
  trades(6)
  assert.lengthOf(s.bitpin.issued.filter(({ sent }) => sent), 30)
  await s.bitpin.ready()
  trades(9)
}

/** Trades, whatever an answer of Kafka that was late has repeated. */
const fromHistory = async (broker: Broker.Broker, s: Stage): Promise<number> => {
  const records = await verify(s, broker.address, "allowed")
  return new Set(records.flatMap(({ headers }) => headers["source"] === "rest" ? [headers["id"]] : [])).size
}

const patientApi = { EXCHANGES: "bitpin", API_BREAKER_MAX_FAILURES: "1000" }

scene("how long live trades wait for a history", ["BACKFILL_HOLD"], async (broker) => {
  const s = await stage(broker.address, 3, 1)
  const service = s.start({ ...patientApi, BACKFILL_HOLD: "1h" })
  await throughAHole(s, service)
  const waiting = async (): Promise<number> => {
    const { exchanges }: Report = JSON.parse((await service.get("/api/status")).body)
    return exchanges.flatMap(({ openHoles }) => openHoles).reduce((sum, { waiting }) => sum + waiting, 0)
  }
  await soon("nine wait", service, async () => await waiting() === 9)
  assert.strictEqual(sum(await service.ledger(), "delivered"), 30)
  // What hangs is given up after 10 s, and asked again: longer than the 5 s that they would wait by default.
  s.bitpin.server.heal()
  await service.settled(45)
  assert.strictEqual(await fromHistory(broker, s), 6)
  assert.strictEqual(await sampleOf(service, "feeds_gaps_total", { exchange: "bitpin", outcome: "unfilled" }), 0)
  const status = await Consumer.readTopic(broker.address, s.topic.replace(".trade.", ".status."))
  const gaps = status.map(({ value }) => JSON.parse(value)).filter(({ event }) => event === "gap")
  assert.deepStrictEqual(gaps.map(({ complete, recovered }) => [complete, recovered]), [[true, 2], [true, 2], [
    true,
    2
  ]])
})

scene("holes that are too old", ["BACKFILL_MAX_AGE"], async (broker) => {
  const s = await stage(broker.address, 3, 1)
  const first = s.start({ ...patientApi, BACKFILL_HOLD: "0" })
  // How late the exchange's clock is known to be depends on how long an answer takes, so the holes are older than any answer.
  await throughAHole(s, first, 3_600_000)
  await first.settled(39)
  assert.strictEqual(await sampleOf(first, "feeds_gaps_open", { exchange: "bitpin" }), 3)
  assert.deepStrictEqual(await first.stop(), { code: 0, signal: null })
  s.bitpin.server.heal()
  const next = s.start({ ...patientApi, BACKFILL_MAX_AGE: "10m" })
  await soon(
    "given up",
    next,
    async () => await sampleOf(next, "feeds_gaps_total", { exchange: "bitpin", outcome: "unfilled" }) === 3
  )
  await soon("nothing open", next, async () => await sampleOf(next, "feeds_gaps_open", { exchange: "bitpin" }) === 0)
  assert.deepStrictEqual(await next.stop(), { code: 0, signal: null })
  assert.strictEqual(await fromHistory(broker, s), 0)
})

scene("a small queue", ["QUEUE_MAX_BYTES"], async () => {
  const s = await stage(nowhere, 3)
  const service = s.start({ QUEUE_MAX_BYTES: "256KiB" })
  await ready(s)
  await emit(s, 4_000)
  await soon("dropped", service, async () => sum(await service.ledger(), "dropped") > 0)
  assert.strictEqual(await sampleOf(service, "feeds_queue_capacity_bytes", {}), 262_144)
  assert.isAtMost(await sampleOf(service, "feeds_queue_used_bytes", {}), 262_144)
})

scene("what gives way in a full queue", ["QUEUE_FULL_POLICY"], async () => {
  /** The sequence number that the newest file begins with. */
  const newestFile = (s: Stage) =>
    Math.max(
      ...readdirSync(path.join(s.dataDir, "queue", s.topic)).map((name) => Number(/^(\d+)\.seg$/.exec(name)?.[1] ?? 0))
    )
  const fill = async (policy: string) => {
    const s = await stage(nowhere, 3)
    const service = s.start({ QUEUE_MAX_BYTES: "256KiB", QUEUE_FULL_POLICY: policy })
    await ready(s)
    await emit(s, 4_000)
    return { s, service }
  }
  const dropped = async (service: Service) => sum(await service.ledger(), "dropped")
  const [oldest, newest, block] = await Promise.all([fill("drop_oldest"), fill("drop_newest"), fill("block")])
  await soon("the oldest gone", oldest.service, () => newestFile(oldest.s) > 2_500)
  assert.isAbove(await dropped(oldest.service), 0)
  await soon("the newest gone", newest.service, async () => await dropped(newest.service) > 0)
  assert.isBelow(newestFile(newest.s), 2_000)
  await soon("held, and said so", block.service, async () => (await healthOf(block.service)).status === "unhealthy")
  assert.strictEqual(await dropped(block.service), 0)
})

scene("old records", ["QUEUE_MAX_AGE"], async () => {
  const s = await stage(nowhere, 3)
  const service = s.start({ QUEUE_MAX_AGE: "2s" })
  await ready(s)
  // What was in a send that failed stays, a thousand at most (H6): so there has to be more.
  await emit(s, 2_000)
  await soon("queued", service, async () => sum(await service.ledger(), "queued") === 2_000)
  await pause(4_000)
  assert.strictEqual(sum(await service.ledger(), "dropped"), 0)
  await emit(s, 100)
  await soon("expired", service, async () => sum(await service.ledger(), "dropped") > 0)
  assert.isTrue((await service.samples()).some(({ labels }) => labels["reason"] === "expired"))
})

scene("fsync", ["QUEUE_FSYNC", "QUEUE_FSYNC_INTERVAL"], async () => {
  /** How often a segment was forced to disk while 60 trades came one by one. */
  const syncs = async (env: Readonly<Record<string, string>>, told: RegExp | undefined): Promise<number> => {
    const s = await stage(nowhere, 3)
    mkdirSync(s.dataDir, { recursive: true })
    const trace = path.join(s.dataDir, "trace")
    const service = s.start(
      { EXCHANGES: "wallex", QUEUE_MODE: "journal", ...env },
      await strace(trace, "trace=fdatasync,fsync")
    )
    await s.wallex.ready()
    const before = readFileSync(trace, "utf8").length
    for (let i = 0; i < 60; i++) {
      s.wallex.trades(1)
      await pause(50)
    }
    const during = readFileSync(trace, "utf8").slice(before)
    if (told !== undefined) assert.isTrue(service.lines.some((line) => told.test(line)), service.tail())
    return Array.from(during.matchAll(/f(?:data)?sync\(\d+<[^>]*trade\.v1\/[^>]*\.seg>/g)).length
  }
  const [always, often, seldom, never] = await Promise.all([
    syncs({ QUEUE_FSYNC: "always" }, undefined),
    syncs({ QUEUE_FSYNC: "interval", QUEUE_FSYNC_INTERVAL: "200ms" }, /can take the last 200ms/),
    syncs({ QUEUE_FSYNC: "interval", QUEUE_FSYNC_INTERVAL: "1500ms" }, /can take the last 1s 500ms/),
    syncs({ QUEUE_FSYNC: "never" }, /QUEUE_FSYNC=never/)
  ])
  const told = `always ${always}, 200ms ${often}, 1500ms ${seldom}, never ${never}`
  assert.isAbove(always, often, told)
  assert.isAbove(often, seldom, told)
  assert.isAbove(seldom, never, told)
  // When the file is made.
  assert.isAtMost(never, 1, told)
})

scene("the stop", ["SHUTDOWN_TIMEOUT"], async (broker) => {
  /** How long a stop takes while Kafka answers nothing. */
  const stopping = async (timeout: string): Promise<number> => {
    const { proxy } = await startBrokerBehindProxy()
    const s = await stage(proxy.address, 3)
    const service = s.start({ SHUTDOWN_TIMEOUT: timeout })
    await ready(s)
    await emit(s, 100)
    await service.settled(sentCount(s))
    proxy.blackholeEstablished()
    proxy.blackholeNew(true)
    await emit(s, 100)
    const begun = performance.now()
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
    return performance.now() - begun
  }
  assert.isString(broker.address)
  const [quick, slow] = await Promise.all([stopping("1s"), stopping("8s")])
  assert.isBelow(quick, 3_500)
  assert.isAbove(slow, quick + 1_500)
})

scene("the start", ["STARTUP_GRACE"], async (broker) => {
  const s = await stage(broker.address, 3)
  for (const { server } of s.exchanges) server.script.upgrade = unavailable
  const [long, short] = [
    s.start({ STARTUP_GRACE: "60s" }),
    s.start({ STARTUP_GRACE: "1s", DATA_DIR: `${s.dataDir}/other` })
  ]
  await soon("its grace is over", short, async () => (await healthOf(short)).status === "degraded")
  assert.strictEqual((await healthOf(long)).status, "starting")
})

scene("proxy", ["HTTPS_PROXY", "NO_PROXY"], async () => {
  const proxy = await Proxy.http()
  const s = await stage(nowhere, 3)
  const service = s.start({ HTTPS_PROXY: proxy.url, NO_PROXY: `localhost,127.0.0.1:${new URL(s.wallex.apiUrl).port}` })
  await ready(s)
  const bitpin = new URL(s.bitpin.apiUrl).host
  assert.isAtLeast(proxy.tunnels.length, 2, service.tail())
  for (const target of proxy.tunnels) assert.strictEqual(target, bitpin)
  await proxy.close()
})

scene("order books alone: their topic, no trades, a name for the collector", ["CHANNELS"], async () => {
  const s = await stage(nowhere, 3)
  const service = s.start({ CHANNELS: "books" })
  await soon(
    "three books of each exchange",
    service,
    async () => {
      const books = (await service.samples()).filter(({ name }) => name === "feeds_books")
      return ["bitpin", "wallex"].every((id) =>
        books.reduce((total, { labels, value }) => labels["exchange"] === id ? total + value : total, 0) === 3
      )
    }
  )
  const { lanes }: Report = JSON.parse((await service.get("/api/status")).body)
  assert.deepStrictEqual(lanes.map(({ topic }) => topic), [
    s.topic.replace(".trade.", ".book."),
    s.topic.replace(".trade.", ".status.")
  ])
  assert.match(readFileSync(`${s.dataDir}/collector`, "utf8"), /^[a-z0-9]{9}\n$/)
})

/** Their effect is seen on a broker that asks for them. */
const elsewhere: Readonly<Record<string, string>> = {
  // How they reach a feed; what it makes of them is in test/streams/books.
  BOOK_DEPTH: "test/layers/AppLayer.test.ts",
  BOOK_INTERVAL: "test/layers/AppLayer.test.ts",
  BOOK_REFRESH: "test/layers/AppLayer.test.ts",
  BOOK_DELTAS: "test/layers/AppLayer.test.ts",
  KAFKA_SECURITY_PROTOCOL: "test/faults/Security.test.ts",
  KAFKA_SASL_MECHANISM: "test/faults/Security.test.ts",
  KAFKA_SASL_USERNAME: "test/faults/Security.test.ts",
  KAFKA_SASL_PASSWORD: "test/faults/Security.test.ts",
  KAFKA_SSL_CA_LOCATION: "test/faults/Security.test.ts",
  KAFKA_SSL_CERTIFICATE_LOCATION: "test/faults/Security.test.ts",
  KAFKA_SSL_KEY_LOCATION: "test/faults/Security.test.ts"
}

describe("configuration", () => {
  let broker: Broker.Broker | undefined
  beforeAll(async () => {
    broker = await Broker.make()
    await broker.start()
  })
  afterAll(async () => {
    await broker?.stop()
    broker?.remove()
  })

  it("each setting has its effect", async () => {
    const started = broker
    assert.isDefined(started)
    const failures: Array<Error> = []
    // A few at a time: two cores run the services, the brokers and the exchanges.
    const worker = (waiting: Array<Scene>) => async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { name, run } = next
        const only = process.env["SCENE"]
        if (only !== undefined && only !== name) continue
        await run(started).catch((cause: unknown) => failures.push(new Error(name, { cause })))
      }
    }
    const company = worker(scenes.filter(({ alone }) => !alone))
    await Promise.all([company(), company(), company()])
    await worker(scenes.filter(({ alone }) => alone))()
    if (failures.length > 0) {
      throw new AggregateError(
        failures,
        failures.map(({ cause, message }) => `${message}: ${String(cause)}`).join("\n")
      )
    }
  }, 240_000)

  it("each setting has a scene", () => {
    for (const [key, file] of Object.entries(elsewhere)) {
      assert.include(readFileSync(path.resolve(import.meta.dirname, "../..", file), "utf8"), key)
    }
    // What an exchange has of settings is the same for all, and played with two of them.
    const others = Object.keys(exchanges).filter((id) => id !== "bitpin" && id !== "wallex").map((id) =>
      id.toUpperCase()
    )
    const same = others.flatMap((name) => [`${name}_API_URL`, `${name}_WS_URL`, `${name}_MARKETS`])
    const tested = [...same, ...scenes.flatMap(({ keys }) => keys), ...Object.keys(elsewhere)].sort()
    assert.deepStrictEqual(tested, Variables.tableOf(Object.values(exchanges)).rows.map(({ name }) => name).sort())
  })
})
