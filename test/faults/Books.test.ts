/**
 * The built service with the five exchanges of Iran, trades and books, a thousand markets and 500 parts a second, between exchanges, a broker and a
 * machine that misbehave: whoever reads the topic of books by the contract's rule ends with each exchange's own book, the trades that were
 * delivered and the holes that were told are together all that was issued, the ledger closes, probes answer and memory does not grow. It runs by
 * hand (`npm run test:faults`, not with `--short`: Truth.test.ts is the short one). FAULT_MINUTES (10), FAULT_MARKETS (of all exchanges
 * together: 1 000) and FAULT_SEED choose the run.
 */
import { execFile } from "node:child_process"
import * as path from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "vitest"
import { makeRandom } from "../../src/layers/testing/FakeMarkets.ts"
import { brokenLaw, type Service, until } from "../e2e/Service.ts"
import { stage } from "../e2e/Stage.ts"
import { exchangeFeeds } from "../support/bundle.ts"
import * as Field from "./Field.ts"
import { pause, startBrokerBehindProxy } from "./Outage.ts"

const minutes = Number(process.env["FAULT_MINUTES"] ?? 10)
const seed = Number(process.env["FAULT_SEED"] ?? Date.now() % 1_000_000)
const exchanges = ["bitpin", "wallex", "nobitex", "ramzinex", "tabdeal"]
const markets = Number(process.env["FAULT_MARKETS"] ?? 1_000) / exchanges.length

/** Trades a second of each exchange, and changes of its books ten times a second; Tabdeal's books it sends each two seconds. */
const tradesPerSecond = 40
const partsPerTurn = 7

/** Lives of a service with many markets are not all start: this many deeds in a hundred end one. */
const endings = 5

const execute = promisify(execFile)

const prober = path.resolve(import.meta.dirname, "../support/prober.mjs")

/** Asks for probes and looks at the memory, minute by minute, until it is told to stop. */
const watching = (current: () => Service) => {
  const times: Array<number> = []
  /** MiB, the most in each minute: what Linux says is in memory. */
  const memory: Array<number> = []
  const started = Date.now()
  let stopped = false
  const looking = (async () => {
    while (!stopped) {
      const service = current()
      // By a process of its own: what is measured must not wait for the fakes here. It fails where the service ends meanwhile.
      const probed = await service.baseUrl()
        .then((base) => execute(process.execPath, [prober, base, "100"]))
        .then(({ stdout }): ReadonlyArray<number> => JSON.parse(stdout), () => [])
      times.push(...probed)
      const minute = Math.floor((Date.now() - started) / 60_000)
      memory[minute] = Math.max(
        memory[minute] ?? 0,
        service === current() && probed.length > 0 ? Math.round(service.rss) : 0
      )
      await pause(500)
    }
  })()
  return async () => {
    stopped = true
    await looking
    times.sort((a, b) => a - b)
    return {
      probes: times.length,
      p50Ms: times[Math.floor(times.length * 0.5)] ?? NaN,
      p99Ms: times[Math.floor(times.length * 0.99)] ?? NaN,
      maxMs: times.at(-1) ?? NaN,
      rssMiB: memory
    }
  }
}

describe("order books of a thousand markets", () => {
  for (const deltas of [false, true]) {
    it(`${minutes} minutes of random faults, ${deltas ? "changes and anchors" : "pictures"}`, async () => {
      const random = makeRandom(seed)
      const between = (low: number, high: number) => low + Math.floor(random() * (high - low))
      const pick = <A>(all: ReadonlyArray<A>): A | undefined => all[Math.floor(random() * all.length)]

      const { broker, proxy } = await startBrokerBehindProxy()
      const s = await stage(proxy.address, 1, 3, 300)
      const field = await Field.start({ markets, exchanges, judgesStates: false })
      const env = {
        ...field.env,
        BOOK_DEPTH: "all",
        BOOK_DELTAS: String(deltas),
        KAFKA_BREAKER_TIMEOUT: "500ms",
        WS_BREAKER_TIMEOUT: "2s",
        API_BREAKER_TIMEOUT: "2s",
        WS_IDLE_TIMEOUT: "10s"
      }
      let service = s.start(env)
      const judge = Field.judge(field, broker.address, s.topic.replace(".trade.v1", ""))
      const log: Array<string> = []
      const told = () => `seed ${seed}; ${log.join(", ")}`
      const allLive = () => Field.allLive(field, () => service, told)
      const flow = field.move(tradesPerSecond, partsPerTurn)
      await allLive()
      // A market of which no trade was kept has no past: what it trades while a killed service is away is nobody's loss.
      await until(`each market has traded, ${told()}`, async () => {
        await judge.read()
        return new Set(judge.events.filter(Field.isTrade).map(({ exchange, symbol }) => `${exchange}:${symbol}`))
          .size ===
          field.allMarkets
      }, 600_000)

      const server = () => pick(field.fakes)?.server
      const restarted = async (signal: NodeJS.Signals) => {
        await service.stop(signal)
        service = s.start(env)
        await service.baseUrl()
      }
      const deeds: ReadonlyArray<readonly [string, () => void | Promise<void>]> = [
        ["drop", () => server()?.drop(pick([1000, 1006, 1012, "reset"] as const) ?? 1006)],
        ["half-open", () => server()?.halfOpen()],
        ["garbage", () => server()?.frame("{\"push\":garbage")],
        ["broker away", async () => {
          await proxy.refuse(true)
          proxy.reset()
          await pause(between(500, 6_000))
          await proxy.refuse(false)
        }]
      ]
      const ends: typeof deeds = [["restart", () => restarted("SIGTERM")], ["kill", () => restarted("SIGKILL")]]
      const end = Date.now() + minutes * 60_000
      const watch = watching(() => service)
      while (Date.now() < end) {
        const [what, deed] = pick(between(0, 100) < endings ? ends : deeds) ?? ["", () => {}]
        log.push(what)
        await deed()
        await pause(between(500, 4_000))
      }

      for (const fake of field.fakes) fake.server.heal()
      await proxy.refuse(false)
      const watched = await watch()
      console.log(watched)
      await allLive()
      flow.calm()
      const after = (find: () => ReadonlyArray<string>) => async () => {
        await judge.read()
        return find()
      }
      // Whoever lost a connection at last has its picture by REST after ten seconds; Tabdeal gives one each 2 s.
      await Field.none("books unlike the exchange's", after(judge.unlike), 120_000, told())
      flow.stop()
      // By a budget of 60 questions a minute it takes minutes until each of 200 markets was asked for what it lacks.
      await Field.none("trades missing untold", after(judge.untold), 900_000, told())
      await until(`the ledger closes, ${told()}`, async () => brokenLaw(await service.ledger()) === undefined, 30_000)
      assert.deepStrictEqual(await service.stop("SIGTERM"), { code: 0, signal: null }, told())
      const replayed = await exchangeFeeds(["queue", "replay"], {
        DATA_DIR: s.dataDir,
        KAFKA_BROKER: proxy.address,
        KAFKA_TOPIC_PREFIX: s.topic.replace(".trade.v1", "")
      })
      assert.strictEqual(replayed.code, 0, replayed.stderr)

      await judge.read()
      console.log(
        `${minutes} minutes, ${field.allMarkets} markets, ${log.length} faults, ${judge.books.pictures} books and ` +
          `${judge.books.changes} changes of them, ${judge.reader.distrusts()} times a reader forgot what it had read`
      )
      assert.strictEqual(judge.collectors.size, 1, "one name over all lives")
      assert.deepStrictEqual(judge.unlike(), [], told())
      assert.deepStrictEqual(judge.untold().slice(0, 5), [], told())
      assert.isBelow(watched.p99Ms, 50, told())
    }, 3_600_000)
  }
})
