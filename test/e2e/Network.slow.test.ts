/**
 * The built service in a network of its own: names with several addresses, peers that are far, families without a route. Needs the
 * right to make network namespaces: as root, not in every container.
 */
import { execFile } from "node:child_process"
import { createServer } from "node:net"
import * as path from "node:path"
import { promisify } from "node:util"
import { assert, beforeAll, describe, it } from "vitest"
import { startBroker } from "../faults/Outage.ts"
import * as Jvm from "../kafka/Jvm.ts"
import { ensureBundle } from "../support/bundle.ts"
import * as Netns from "../support/Netns.ts"
import { type Service, sum, until } from "./Service.ts"
import { cleanups, emit, ready, type Stage, stage, verify } from "./Stage.ts"

beforeAll(ensureBundle)

const run = promisify(execFile)

const netns = async (options: Netns.Options): Promise<Netns.Netns> => {
  const made = await Netns.make(options)
  cleanups.push(made.close)
  return made
}

const runInside = async (net: Netns.Netns, ...args: ReadonlyArray<string>): Promise<string> => {
  const [command = "", ...rest] = [...net.under, process.execPath, ...args]
  return (await run(command, rest)).stdout
}

/** Of a service that is inside, asked from inside. */
const healthOf = async (net: Netns.Netns, service: Service) => {
  const script = `fetch("${await service.baseUrl()}/health").then((answer) => answer.text()).then(console.log)`
  return JSON.parse(await runInside(net, "-e", script))
}

/** The addresses of the exchanges as they are called inside. */
const addresses = (s: Stage, host: string) => {
  const there = (url: string) => url.replace("127.0.0.1", host)
  return {
    BITPIN_API_URL: there(s.bitpin.server.apiUrl),
    BITPIN_WS_URL: there(s.bitpin.server.wsUrl),
    WALLEX_API_URL: there(s.wallex.server.apiUrl),
    WALLEX_WS_URL: there(s.wallex.server.wsUrl)
  }
}

const portsOf = (s: Stage) => s.exchanges.map(({ server }) => Number(new URL(server.apiUrl).port))

const allArrives = async (s: Stage, service: Service, broker: string) => {
  await Promise.race([ready(s), service.exited.then(() => assert.fail(service.tail()))])
  await emit(s, 200)
  const isThere = () => verify(s, broker).then(() => true, () => false)
  await until("all in Kafka", isThere, 60_000, () => service.tail())
}

describe("names with two addresses, one 400 ms away", () => {
  const others: ReadonlyArray<readonly [name: string, hosts: Netns.Options["hosts"]]> = [
    ["one without a route", [[Netns.far.v4, "far.example"], [Netns.unroutable, "far.example"]]],
    ["one that loses everything, before it", [[Netns.silent, "far.example"], [Netns.far.v4, "far.example"]]]
  ]
  it.each(others)(
    "%s: exchanges and Kafka are reached, all is delivered, and Kafka counts as well",
    async (_, hosts) => {
      const port = await Jvm.freePort()
      const broker = await startBroker({ listeners: { FAR: { protocol: "PLAINTEXT", port, host: "far.example" } } })
      const net = await netns({ delay: 400, hosts })
      const s = await stage(broker.address, 3)
      for (const each of [...portsOf(s), port]) await net.bring(each)
      const env = { KAFKA_BROKER: `far.example:${port}`, ...addresses(s, "far.example") }
      const service = s.start(env, net.under)
      await allArrives(s, service, broker.address)
      let kafka: unknown
      const isWell = async () => {
        kafka = (await healthOf(net, service)).checks.kafka
        return typeof kafka === "object" && kafka !== null && "status" in kafka && kafka.status === "healthy"
      }
      await until("Kafka healthy", isWell, 30_000, () => JSON.stringify(kafka))
      assert.deepStrictEqual(await service.stop(), { code: 0, signal: null }, service.tail())
    },
    120_000
  )

  it("a program that embeds REST and sockets reaches them, and keeps Node's defaults as they were", async () => {
    const net = await netns({ delay: 400, hosts: others[0]?.[1] ?? [] })
    const s = await stage("127.0.0.1:1", 3)
    for (const each of portsOf(s)) await net.bring(each)
    const { WALLEX_API_URL, WALLEX_WS_URL } = addresses(s, "far.example")
    const client = path.resolve(import.meta.dirname, "../support/far-client.ts")
    const told = await runInside(net, "--import", "tsx", client, WALLEX_API_URL, WALLEX_WS_URL)
    assert.deepStrictEqual(JSON.parse(told), { rest: "reached", socket: "reached", defaults: [true, 250] })
  }, 60_000)
})

describe("a refused name with two addresses", () => {
  it("each address and its reason are told, of Kafka with the name and port of the broker", async () => {
    const net = await netns({ delay: 0, hosts: [["::1", "localhost"]] })
    const s = await stage("localhost:9092", 3)
    const service = s.start(addresses(s, "localhost"), net.under)
    const [port = 0] = portsOf(s)
    const refused = (port: number) => ["127.0.0.1", "::1"].map((address) => `connect ECONNREFUSED ${address}:${port}`)
    const isTold = (message: unknown, words: ReadonlyArray<string>) =>
      typeof message === "string" && words.every((word) => message.includes(word))
    let checks: Record<string, { readonly message?: string }> = {}
    const told = async () => {
      checks = (await healthOf(net, service)).checks
      return isTold(checks["kafka"]?.message, ["localhost:9092: ", ...refused(9092)]) &&
        isTold(checks["bitpin_api"]?.message, ["transport: ", ...refused(port)])
    }
    await until("told", told, 30_000, () => JSON.stringify(checks))
  }, 60_000)
})

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const server = createServer()
  server.once("error", () => resolve(false))
  server.listen(0, "::1", () => server.close(() => resolve(true)))
})

describe("IPv6", () => {
  beforeAll(() => {
    assert.isTrue(
      hasIpv6,
      "the loopback has no ::1: sysctl -w net.ipv6.conf.lo.disable_ipv6=0 && ip -6 addr add ::1/128 dev lo"
    )
  })

  it("KAFKA_BROKER=[::1]:9092: all is delivered to a broker that has no other address", async () => {
    const port = await Jvm.freePort()
    const broker = await startBroker({ listeners: { SIX: { protocol: "PLAINTEXT", port, at: "[::1]" } } })
    const s = await stage(broker.address, 3)
    const service = s.start({ KAFKA_BROKER: `[::1]:${port}` })
    await allArrives(s, service, broker.address)
    // A broker that stands still, and comes back.
    await broker.freeze()
    await emit(s, 200)
    await until("queued", async () => sum(await service.ledger(), "queued") > 0, 30_000, () => service.tail())
    broker.thaw()
    const isThere = () => verify(s, broker.address, "allowed").then(() => true, () => false)
    await until("all in Kafka", isThere, 60_000, () => service.tail())
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null }, service.tail())
  }, 120_000)
})
