/**
 * The built service with hardly any descriptors (`ulimit -n 48`), while 80 readers of the page want theirs, the broker dies and
 * connections are lost.
 */
import { execFile } from "node:child_process"
import * as net from "node:net"
import { promisify } from "node:util"
import { assert, beforeAll, describe, it } from "vitest"
import type { Status, Trade } from "../../src/services/MarketEvent.ts"
import { brokenLaw, type Service, sum, until } from "../e2e/Service.ts"
import { cleanups, ready, type Stage, stage } from "../e2e/Stage.ts"
import { told } from "../e2e/Told.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { ensureBundle, exchangeFeeds } from "../support/bundle.ts"
import { pause, startBroker } from "./Outage.ts"

const run = promisify(execFile)

const env = {
  KAFKA_BREAKER_TIMEOUT: "500ms",
  WS_BREAKER_TIMEOUT: "2s",
  API_BREAKER_TIMEOUT: "2s",
  WS_SUBSCRIPTIONS_PER_CONNECTION: "5"
}

interface Reader {
  readonly heard: () => string
  readonly leave: () => void
}

/** Asks for `/events`, and resolves when it is answered or hung up on. */
const reader = async (service: Service): Promise<Reader> => {
  const { hostname, port } = new URL(await service.baseUrl())
  const socket = net.connect(Number(port), hostname)
  cleanups.push(() => void socket.destroy())
  let heard = ""
  await new Promise<void>((resolve) => {
    socket.on("data", (chunk) => {
      heard += chunk.toString()
      if (heard.includes("\r\n\r\n")) resolve()
    })
    socket.on("error", () => {}).on("close", () => resolve())
    socket.write("GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
  })
  return { heard: () => heard, leave: () => void socket.destroy() }
}

/** Trades flow while the broker dies and comes back and both exchanges lose their connections, some for longer than a dial takes. */
const trouble = async (s: Stage, broker: Awaited<ReturnType<typeof startBroker>>) => {
  const stops = s.exchanges.map((exchange) => exchange.flood(60))
  cleanups.push(() => stops.forEach((stop) => stop()))
  await pause(3_000)
  await broker.kill()
  for (const how of [1006, 1012, "reset", 3001] as const) {
    for (const { server } of s.exchanges) server.drop(how)
    await pause(2_500)
  }
  await broker.start()
  for (const { server } of s.exchanges) server.drop(1006)
  await pause(3_000)
  return () => stops.forEach((stop) => stop())
}

/** All is well again: holes are closed, queues drained, and all is compared. */
const settle = async (s: Stage, service: Service, broker: Awaited<ReturnType<typeof startBroker>>) => {
  await ready(s)
  const open = async () =>
    (await service.samples()).reduce((total, { name, value }) => name === "feeds_gaps_open" ? total + value : total, 0)
  await until("holes are closed", async () => (await open()) === 0, 90_000, () => service.tail())
  await until(
    "queues are drained",
    async () => {
      const rows = await service.ledger()
      return sum(rows, "queued") === 0 && sum(rows, "inFlight") === 0
    },
    60_000,
    () => service.tail()
  )
  assert.isUndefined(brokenLaw(await service.ledger()))
  assert.deepStrictEqual(await service.stop(), { code: 0, signal: null }, service.tail())
  const replayed = await exchangeFeeds(["queue", "replay"], {
    DATA_DIR: s.dataDir,
    KAFKA_BROKER: broker.address,
    KAFKA_TOPIC_PREFIX: s.topic.replace(".trade.v1", "")
  })
  assert.strictEqual(replayed.code, 0, replayed.stderr)
  const read = async (topic: string) =>
    (await Consumer.readTopic(broker.address, topic)).map(({ value }) => JSON.parse(value))
  const trades: ReadonlyArray<Trade> = await read(s.topic)
  const statuses: ReadonlyArray<Status> = await read(s.topic.replace(".trade.", ".status."))
  const all = told(s.exchanges.flatMap(({ issued }) => issued), trades, statuses)
  assert.deepStrictEqual(all.foreign.slice(0, 5), [])
  assert.deepStrictEqual(
    all.untold.slice(0, 5),
    [],
    `${all.untold.length} untold of ${all.missing.length} missing\n${service.tail()}`
  )
  return { ...all, trades }
}

beforeAll(ensureBundle)

describe("48 descriptors", () => {
  it("80 readers of the page get few of them, and nobody else wants for any", async () => {
    const broker = await startBroker()
    const s = await stage(broker.address, 8, 3, 300)
    const service = s.start(env, ["prlimit", "--nofile=48"])
    await ready(s)
    const readers: Array<Reader> = []
    for (let n = 0; n < 80; n++) readers.push(await reader(service))
    const served = readers.filter(({ heard }) => heard().startsWith("HTTP/1.1 200")).length
    const refused = readers.filter(({ heard }) => heard().startsWith("HTTP/1.1 503"))
    assert.deepStrictEqual({ served, refused: refused.length }, { served: 4, refused: 76 })
    assert.include(refused[0]?.heard(), "4 pages are open already")
    const stop = await trouble(s, broker)
    stop()
    // Probes have room beside them.
    assert.strictEqual((await service.get("/health/live")).status, 200)
    const { missing, trades } = await settle(s, service, broker)
    assert.isAbove(trades.length, 1_000)
    assert.deepStrictEqual(missing, [])
    assert.notMatch(service.lines.join("\n"), /EMFILE/)
  }, 240_000)

  it("none left while the broker is away and connections are lost: what is missing is told, all of it", async () => {
    const broker = await startBroker()
    // Histories too short for all that is missed.
    const s = await stage(broker.address, 8, 3, 10)
    const service = s.start(env, ["prlimit", "--nofile=48"])
    await ready(s)
    const limit = (files: number) => run("prlimit", ["--pid", String(service.process.pid), `--nofile=${files}:`])
    const stops = s.exchanges.map((exchange) => exchange.flood(60))
    cleanups.push(() => stops.forEach((stop) => stop()))
    await pause(3_000)
    // What is open stays open; of what is lost nothing comes back.
    await limit(16)
    await broker.kill()
    for (const { server } of s.exchanges) server.drop(1006)
    await until("it fails for want of descriptors", () => service.lines.some((line) => line.includes("EMFILE")), 20_000)
    await pause(5_000)
    await limit(48)
    await broker.start()
    await pause(3_000)
    for (const stop of stops) stop()
    const { gaps, missing } = await settle(s, service, broker)
    assert.isNotEmpty(missing)
    assert.isNotEmpty(gaps)
  }, 240_000)
})
