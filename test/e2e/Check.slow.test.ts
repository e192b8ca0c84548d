/** What `exchange-feeds check` says of the ways to others: each planted fault by its name, in one line. */
import { spawn } from "node:child_process"
import { assert, beforeAll, describe, inject, it } from "vitest"
import { startBroker } from "../faults/Outage.ts"
import * as Certificates from "../kafka/Certificates.ts"
import * as Jvm from "../kafka/Jvm.ts"
import { bundle, ensureBundle, exchangeFeeds, type Outcome } from "../support/bundle.ts"
import * as Netns from "../support/Netns.ts"
import * as Proxy from "../support/proxy.ts"
import { cleanups, type Stage, stage } from "./Stage.ts"

beforeAll(ensureBundle)

/** All but Kafka, unless it is given. */
const environment = (s: Stage, over: Readonly<Record<string, string>>) => ({
  SINK: "file",
  DATA_DIR: s.dataDir,
  BITPIN_API_URL: s.bitpin.server.apiUrl,
  BITPIN_WS_URL: s.bitpin.server.wsUrl,
  WALLEX_API_URL: s.wallex.server.apiUrl,
  WALLEX_WS_URL: s.wallex.server.wsUrl,
  ...over
})

const linesOf = (word: string, { stdout }: Outcome) => stdout.split("\n").filter((line) => line.startsWith(word))

/** The same, with a name in place of the address. */
const named = (s: Stage, host: string) => ({
  BITPIN_API_URL: s.bitpin.server.apiUrl.replace("127.0.0.1", host),
  BITPIN_WS_URL: s.bitpin.server.wsUrl.replace("127.0.0.1", host),
  EXCHANGES: "bitpin"
})

const netns = async (options: Netns.Options): Promise<Netns.Netns> => {
  const made = await Netns.make(options)
  cleanups.push(made.close)
  return made
}

/** As `exchangeFeeds`, inside. */
const inside = (net: Netns.Netns, env: Readonly<Record<string, string>>): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const [command = "", ...args] = [...net.under, process.execPath, bundle, "check"]
    const child = spawn(command, args, {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    cleanups.push(() => void child.kill("SIGKILL"))
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => stdout += chunk)
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk)
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, stdout, stderr }))
  })

describe("check, in a network of its own", () => {
  it("a name server that does not answer is named, for Kafka and for an exchange", async () => {
    const net = await netns({ delay: 0, hosts: [], nameServer: Netns.silent })
    const s = await stage("127.0.0.1:1", 3)
    const outcome = await inside(
      net,
      environment(s, { ...named(s, "far.example"), SINK: "kafka", KAFKA_BROKER: "kafka.example:9092" })
    )
    assert.strictEqual(outcome.code, 1, outcome.stdout + outcome.stderr)
    assert.deepStrictEqual(linesOf("FAILED", outcome), [
      "FAILED  kafka at kafka.example:9092: no name server answers for kafka.example within 5000 ms",
      "FAILED  bitpin: no name server answers for far.example within 5000 ms"
    ])
  }, 120_000)

  it(
    "a family without a route is named: a note where there is another way, a failure where there is none",
    async () => {
      const net = await netns({
        delay: 0,
        hosts: [[Netns.far.v4, "both.example"], [Netns.unroutable, "both.example"], [Netns.unroutable, "six.example"]]
      })
      const s = await stage("127.0.0.1:1", 3)
      await net.bring(Number(new URL(s.bitpin.server.apiUrl).port))
      const reason = `no route for IPv6: ${Netns.unroutable} (ENETUNREACH)`
      const both = await inside(net, environment(s, named(s, "both.example")))
      assert.strictEqual(both.code, 0, both.stdout + both.stderr)
      assert.deepStrictEqual(linesOf("note", both), [`note    bitpin: ${reason}`])
      const six = await inside(net, environment(s, named(s, "six.example")))
      assert.strictEqual(six.code, 1, six.stdout + six.stderr)
      assert.deepStrictEqual(linesOf("FAILED", six), [`FAILED  bitpin: ${reason}`])
    },
    120_000
  )
})

describe("check", () => {
  it("a mute proxy is named, once, and exchanges behind a good one are well", async () => {
    const s = await stage("127.0.0.1:1", 3)
    const pem = (await Certificates.make()).read("server.pem")
    const kinds = [
      () => Proxy.http({ mute: "at once", credentials: { user: "us", password: "hidden" } }),
      () => Proxy.socks5({ mute: "at once" }),
      () => Proxy.http({ pem, mute: "at once" })
    ]
    const says = [/no answer within 8s/, /no answer within 8s/, /certificate/]
    for (const [i, make] of kinds.entries()) {
      const proxy = await make()
      cleanups.push(proxy.close)
      const outcome = await exchangeFeeds(["check"], environment(s, { HTTPS_PROXY: proxy.url }))
      assert.strictEqual(outcome.code, 1, outcome.stdout + outcome.stderr)
      const [line = "", ...more] = linesOf("FAILED", outcome)
      assert.deepStrictEqual(more, [])
      assert.include(line, `FAILED  proxy: ${new URL(proxy.url).host}: `)
      assert.match(line, says[i] ?? /never/)
      assert.notInclude(outcome.stdout + outcome.stderr, "hidden")
    }
    const proxy = await Proxy.http()
    cleanups.push(proxy.close)
    const well = await exchangeFeeds(["check"], environment(s, { HTTPS_PROXY: proxy.url }))
    assert.strictEqual(well.code, 0, well.stdout + well.stderr)
    assert.match(well.stdout, /^ok {6}proxy: a tunnel to each of 127/m)
  }, 120_000)

  it(
    "a broker that tells its clients to go where they cannot is named by that name, and not as a login that fails",
    async () => {
      const ports = [await Jvm.freePort(), await Jvm.freePort()] as const
      const broker = await startBroker({
        listeners: {
          LOST: { protocol: "PLAINTEXT", port: ports[0], host: "kafka-0.internal.invalid" },
          GONE: { protocol: "PLAINTEXT", port: ports[1], host: "127.0.0.77" }
        }
      })
      assert.isDefined(broker)
      const s = await stage("127.0.0.1:1", 3)
      for (
        const [port, host, reason] of [
          [ports[0], "kafka-0.internal.invalid", /no name server (knows|answers for) kafka-0\.internal\.invalid/],
          [ports[1], "127.0.0.77", /connect ECONNREFUSED 127\.0\.0\.77/]
        ] as const
      ) {
        const outcome = await exchangeFeeds(
          ["check"],
          environment(s, { SINK: "kafka", KAFKA_BROKER: `127.0.0.1:${port}` })
        )
        assert.strictEqual(outcome.code, 1, outcome.stdout + outcome.stderr)
        const [line = "", ...more] = linesOf("FAILED", outcome)
        assert.deepStrictEqual(more, [])
        assert.include(line, `FAILED  kafka broker ${host}:${port}: `)
        assert.match(line, reason)
        assert.include(line, "advertised.listeners")
        assert.match(outcome.stdout, /^ok {6}kafka login: PLAINTEXT$/m)
      }
    },
    120_000
  )

  it("a clock that is off by more than a second is named; one that is not, is not", async () => {
    const s = await stage("127.0.0.1:1", 3)
    for (
      const [ahead, says] of [[2_500, /our clock is 2\.\ds ahead of/], [-2_500, /our clock is 2\.\ds behind/], [
        300,
        undefined
      ]] as const
    ) {
      const preload = `const now = Date.now; Date.now = () => now() + ${ahead}`
      const outcome = await exchangeFeeds(
        ["check"],
        environment(s, { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` })
      )
      assert.strictEqual(outcome.code, says === undefined ? 0 : 1, outcome.stdout + outcome.stderr)
      const failed = linesOf("FAILED", outcome)
      assert.lengthOf(failed, says === undefined ? 0 : 2, outcome.stdout)
      for (const line of failed) assert.match(line, says ?? /never/)
    }
  }, 60_000)

  it("an exchange of which MARKETS choose nothing is well: no socket is opened, and nothing is wrong", async () => {
    const s = await stage("127.0.0.1:1", 3)
    const outcome = await exchangeFeeds(["check"], environment(s, { MARKETS: "NOSUCHCOIN/*" }))
    assert.strictEqual(outcome.code, 0, outcome.stdout + outcome.stderr)
    assert.lengthOf(outcome.stdout.split("\n").filter((line) => line.includes("choose none of its markets")), 2)
  }, 60_000)

  it("a broker on IPv6 is reached", async () => {
    const broker = inject("kafkaBroker")
    const s = await stage(broker, 3)
    const outcome = await exchangeFeeds(["check"], environment(s, { SINK: "kafka", KAFKA_BROKER: "[::1]:1" }))
    assert.strictEqual(outcome.code, 1)
    assert.match(outcome.stdout, /^FAILED {2}kafka at \[::1\]:1: connect (ECONNREFUSED|EADDRNOTAVAIL) ::1:1$/m)
  }, 60_000)
})
