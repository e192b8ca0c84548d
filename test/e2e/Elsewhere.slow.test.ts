/**
 * What users of comparable programs reported, tried on the built service: gateways that refuse clients without a name, servers that
 * hang up on spare connections, certificates of one's own, names that move, values that bring their quotes along.
 */
import * as http from "node:http"
import * as net from "node:net"
import * as tls from "node:tls"
import { assert, beforeAll, describe, it } from "vitest"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import * as Certificates from "../kafka/Certificates.ts"
import { ensureBundle, exchangeFeeds } from "../support/bundle.ts"
import * as Netns from "../support/Netns.ts"
import * as Proxy from "../support/proxy.ts"
import { type Service, sum, until } from "./Service.ts"
import { cleanups, type Stage, stage } from "./Stage.ts"

beforeAll(ensureBundle)

const nowhere = "127.0.0.1:1"

const listening = async (server: net.Server, port = 0, host = "127.0.0.1"): Promise<number> => {
  const sockets = new Set<net.Socket>()
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    socket.on("error", () => {})
  })
  await new Promise<void>((resolve) => server.listen(port, host, resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

const portOf = ({ server }: FakeExchange) => Number(new URL(server.apiUrl).port)

const join = (client: net.Socket, port: number, first: Buffer): void => {
  const up = net.connect(port, "127.0.0.1")
  up.write(first)
  for (const [from, to] of [[client, up], [up, client]] as const) {
    from.pipe(to)
    from.on("error", () => to.destroy())
    from.on("close", () => to.destroy())
  }
}

/** BitPin alone, at another port, and by another scheme if it is told so. */
const bitpinAt = (s: Stage, port: number, secure = false) => {
  const moved = (url: string) => {
    const to = new URL(url)
    to.host = `localhost:${port}`
    return `${secure ? to.protocol.replace(":", "s:") : to.protocol}//${to.host}${to.pathname.replace(/^\/$/, "")}`
  }
  return {
    SINK: "file",
    EXCHANGES: "bitpin",
    BITPIN_API_URL: moved(s.bitpin.server.apiUrl),
    BITPIN_WS_URL: moved(s.bitpin.server.wsUrl)
  }
}

const trades = async (s: Stage, service: Service): Promise<void> => {
  await Promise.race([s.bitpin.ready(), service.exited.then(() => assert.fail(service.tail()))])
  const before = sum(await service.ledger(), "delivered")
  s.bitpin.trades(50)
  await until(
    "delivered",
    async () => sum(await service.ledger(), "delivered") >= before + 50,
    20_000,
    () => service.tail()
  )
}

describe("gateways", () => {
  it("one that refuses clients without a name lets REST and sockets in", async () => {
    const s = await stage(nowhere, 3)
    const refused: Array<string> = []
    const gateway = net.createServer((client) => {
      client.once("data", (first: Buffer) => {
        const head = first.toString("latin1")
        if (/^user-agent: effect-exchange-feeds\/\d+\.\d+\.\d+\r$/im.test(head)) {
          join(client, portOf(s.bitpin), first)
          return
        }
        refused.push(head)
        client.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
      })
    })
    const service = s.start(bitpinAt(s, await listening(gateway)))
    await trades(s, service)
    assert.deepStrictEqual(refused, [])
  }, 60_000)

  it("one that hangs up on a connection that is used again costs no call", async () => {
    const s = await stage(nowhere, 8)
    let calls = 0
    const used = new WeakSet<net.Socket>()
    let hungUp = 0
    const gateway = http.createServer((request, response) => {
      // As if its time had run out just as we asked.
      if (used.has(request.socket)) {
        hungUp += 1
        request.socket.resetAndDestroy()
        return
      }
      used.add(request.socket)
      calls += 1
      http.get(s.bitpin.server.apiUrl + (request.url ?? ""), (answer) => {
        response.writeHead(answer.statusCode ?? 0, { "content-type": "application/json" })
        answer.pipe(response)
      })
    })
    const port = await listening(gateway)
    const service = s.start({
      ...bitpinAt(s, port),
      BITPIN_WS_URL: s.bitpin.server.wsUrl
    })
    await trades(s, service)
    // Holes in eight markets: their histories are asked for one after the other.
    const had = calls
    s.bitpin.server.drop("reset")
    await until("eight histories", () => calls >= had + 8, 30_000, () => service.tail())
    assert.isAbove(hungUp, 0)
    const outcomes = (await service.samples()).filter(({ labels, name }) =>
      name === "feeds_circuit_breaker_calls_total" && labels["name"] === "bitpin_api" && labels["outcome"] === "failure"
    )
    assert.deepStrictEqual(outcomes.map(({ value }) => value).filter((value) => value > 0), [], service.tail())
  }, 60_000)
})

describe("certificates of one's own", () => {
  it("NODE_EXTRA_CA_CERTS holds for REST, for sockets, and through proxies, for the proxy's own too", async () => {
    const certificates = await Certificates.make()
    const pem = certificates.read("server.pem")
    const s = await stage(nowhere, 3)
    const secured = tls.createServer({ key: pem, cert: pem }, (client) => {
      client.once("data", (first: Buffer) => join(client, portOf(s.bitpin), first))
    })
    const env = bitpinAt(s, await listening(secured), true)
    const proxies = [await Proxy.http(), await Proxy.http({ pem }), await Proxy.socks5()]
    for (const proxy of proxies) cleanups.push(proxy.close)
    for (const proxy of ["", ...proxies.map(({ url }) => url)]) {
      const service = s.start({
        ...env,
        HTTPS_PROXY: proxy,
        NODE_EXTRA_CA_CERTS: certificates.path("ca.pem")
      })
      await trades(s, service)
      assert.deepStrictEqual(await service.stop(), { code: 0, signal: null }, service.tail())
      await until("gone", () => s.bitpin.server.connections.size === 0, 5_000)
    }
    for (const proxy of proxies) assert.isAtLeast(proxy.tunnels.length, 2)
  }, 120_000)
})

describe("names that move", () => {
  it("the exchange is found where its name leads now, without a restart", async () => {
    const network = await Netns.make({ delay: 0, hosts: [["127.0.0.2", "moving.example"]] })
    cleanups.push(network.close)
    const s = await stage(nowhere, 3)
    const takeAway = await network.bring(portOf(s.bitpin), "127.0.0.2")
    const env = bitpinAt(s, portOf(s.bitpin))
    const named = (url: string) => url.replace("localhost", "moving.example")
    const service = s.start(
      { ...env, BITPIN_API_URL: named(env.BITPIN_API_URL), BITPIN_WS_URL: named(env.BITPIN_WS_URL) },
      network.under
    )
    await s.bitpin.ready()
    const dials = s.bitpin.server.dials.length
    network.rename([["127.0.0.3", "moving.example"]])
    await network.bring(portOf(s.bitpin), "127.0.0.3")
    await takeAway()
    await until("dialled again", () => s.bitpin.server.dials.length > dials, 30_000, () => service.tail())
    await s.bitpin.ready()
  }, 60_000)
})

describe("values", () => {
  it("that bring their quotes along are told so", async () => {
    const { code, stderr } = await exchangeFeeds(["config"], {
      KAFKA_BROKER: "\"localhost:9092\"",
      QUEUE_MODE: "'journal'"
    })
    assert.strictEqual(code, 78)
    for (const name of ["KAFKA_BROKER", "QUEUE_MODE"]) {
      assert.match(stderr, new RegExp(`^ +${name} .*the quotes are part of it`, "m"))
    }
    const taken = await exchangeFeeds(["config"], { DATA_DIR: "\"/var/lib/feeds\"", KAFKA_SASL_PASSWORD: "'hunter2'" })
    assert.strictEqual(taken.code, 0)
    for (const name of ["DATA_DIR", "KAFKA_SASL_PASSWORD"]) {
      assert.match(taken.stderr, new RegExp(`^warning: ${name}: the quotes around it are part of it`, "m"))
    }
    assert.notInclude(taken.stderr, "hunter2")
  })
})
