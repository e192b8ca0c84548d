/**
 * The built service with all exchanges, trades and books, between exchanges, APIs, a broker and a machine that misbehave, for minutes: what was
 * delivered and what was told as missing is together all that was issued (docs/design/delivery.md B4), each `book` and what a reader has
 * after each change is a state that the exchange's book was in, every reader ends with the exchange's own books, and the ledger closes.
 * FAULT_MINUTES (30; 3 with --short), FAULT_MARKETS (of each exchange: 10) and FAULT_SEED choose the run.
 */
import { assert, describe, it } from "vitest"
import { makeRandom } from "../../src/layers/testing/FakeMarkets.ts"
import { unavailable } from "../../src/layers/testing/Script.ts"
import { brokenLaw, until } from "../e2e/Service.ts"
import { stage } from "../e2e/Stage.ts"
import { exchangeFeeds } from "../support/bundle.ts"
import * as Field from "./Field.ts"
import { pause, startBrokerBehindProxy } from "./Outage.ts"

const minutes = Number(process.env["FAULT_MINUTES"] ?? (process.env["FAULTS_SHORT"] === "1" ? 3 : 30))
const markets = Number(process.env["FAULT_MARKETS"] ?? 10)
const seed = Number(process.env["FAULT_SEED"] ?? Date.now() % 1_000_000)

/** Trades a second of each exchange, and changes of its books ten times a second: with ten exchanges, 300 parts a second in all. */
const tradesPerSecond = 15
const partsPerTurn = 2

describe("nothing is missing untold, and each book was true", () => {
  it(
    `${minutes} minutes of random faults of exchanges, APIs, broker and collector`,
    async () => {
      const random = makeRandom(seed)
      const between = (low: number, high: number) => low + Math.floor(random() * (high - low))
      const pick = <A>(all: ReadonlyArray<A>): A | undefined => all[Math.floor(random() * all.length)]

      const { broker, proxy } = await startBrokerBehindProxy()
      const s = await stage(proxy.address, 1, 3, 300)
      const field = await Field.start({ markets, judgesStates: true })
      const env = {
        ...field.env,
        BOOK_DEPTH: "all",
        BOOK_DELTAS: "true",
        KAFKA_BREAKER_TIMEOUT: "500ms",
        WS_BREAKER_TIMEOUT: "2s",
        API_BREAKER_TIMEOUT: "2s",
        WS_IDLE_TIMEOUT: "4s",
        WS_SUBSCRIPTIONS_PER_CONNECTION: "10"
      }
      let service = s.start(env)
      const judge = Field.judge(field, broker.address, s.topic.replace(".trade.v1", ""))
      const log: Array<string> = []
      const told = () => `seed ${seed}\n${log.join("\n")}`
      const allLive = () => Field.allLive(field, () => service, told)
      const flow = field.move(tradesPerSecond, partsPerTurn)
      await allLive()
      // A market of which no trade was kept has no past: what it trades while a killed service is away is nobody's loss.
      await until(`each market has traded, ${told()}`, async () => {
        await judge.read()
        return new Set(judge.events.filter(Field.isTrade).map(({ exchange, symbol }) => `${exchange}:${symbol}`))
          .size ===
          field.allMarkets
      }, 120_000)
      await pause(2_000)

      const exchange = () => pick(field.fakes)
      /** So many of ten: how often it is done, since a new life takes the longest. */
      type Deed = readonly [weight: number, what: string, deed: (server: Server) => void | Promise<void>]
      type Server = typeof field.fakes[number]["server"]
      const restarted = async (signal: NodeJS.Signals, away = 0) => {
        await service.stop(signal)
        await pause(away)
        service = s.start(env)
        await service.baseUrl()
      }
      const deeds: ReadonlyArray<Deed> = [
        [3, "drop", (server) => server.drop(pick([1000, 1006, 1012, 3001, 3012, "reset"] as const) ?? 1006)],
        [1, "half-open", (server) => server.halfOpen()],
        [1, "silence", async (server) => {
          server.script.silent = true
          // Longer than the idle timeout: a server that leaves trades out for a moment and goes on is not to be found out.
          await pause(between(5_000, 8_000))
          server.heal()
        }],
        [1, "no upgrade", async (server) => {
          server.script.upgrade = unavailable
          server.drop(1006)
          await pause(between(500, 3_000))
          server.heal()
        }],
        [1, "no API", async (server) => {
          server.script.rest = unavailable
          server.drop(1012)
          await pause(between(500, 6_000))
          server.heal()
        }],
        [1, "late history", async (server) => {
          server.script.restDelay = between(1_000, 9_000)
          server.drop(1006)
          await pause(between(500, 6_000))
          server.heal()
        }],
        [1, "short history", async (server) => {
          server.script.history = between(0, 6)
          server.drop("reset")
          await pause(between(3_000, 6_000))
          server.heal()
        }],
        [1, "lost again while the history is asked for", async (server) => {
          server.script.restDelay = between(2_000, 9_000)
          server.script.history = pick([undefined, undefined, 0, 4])
          for (let n = between(2, 5); n > 0; n--) {
            server.drop(1006)
            await pause(between(300, 2_000))
          }
          server.heal()
        }],
        [1, "ended with open holes", async () => {
          const servers = field.fakes.map(({ server }) => server)
          for (const server of servers) server.script.restDelay = 9_000
          for (const server of servers) server.drop(1006)
          await pause(between(500, 2_500))
          const signal = pick(["SIGTERM", "SIGKILL"] as const) ?? "SIGTERM"
          await service.stop(signal)
          for (const server of servers) server.heal()
          service = s.start(env)
          await service.baseUrl()
        }],
        [2, "garbage", (server) => server.frame("{\"push\":garbage")],
        [1, "broker away", async () => {
          await proxy.refuse(true)
          proxy.reset()
          await pause(between(200, 5_000))
          await proxy.refuse(false)
        }],
        [1, "broker frozen", async () => {
          await broker.freeze()
          await pause(between(200, 5_000))
          broker.thaw()
        }],
        [1, "restart", () => restarted("SIGTERM", between(0, 1_500))],
        [1, "kill", () => restarted("SIGKILL")]
      ]
      const urn = deeds.flatMap((deed) => Array.from({ length: deed[0] }, () => deed))

      const end = Date.now() + minutes * 60_000
      while (Date.now() < end) {
        const [, what, deed] = pick(urn) ?? deeds[0]!
        const fake = exchange() ?? field.fakes[0]!
        log.push(`${new Date().toISOString()} ${what} ${fake.id}`)
        await deed(fake.server)
        await pause(between(300, 3_000))
        // What is read meanwhile need not be read at the end.
        if (log.length % 20 === 0) await judge.read()
      }

      // All is well again; the holes close, the queues drain.
      for (const { server } of field.fakes) server.heal()
      broker.thaw()
      await proxy.refuse(false)
      await allLive()
      flow.calm()
      const after = (find: () => ReadonlyArray<string>) => async () => {
        await judge.read()
        return find()
      }
      // Whoever lost a connection at last has its picture by REST after ten seconds; Tabdeal gives one each 2 s.
      await Field.none("books unlike the exchange's", after(judge.unlike), 60_000, told())
      // Tabdeal is asked within its budget, and holes are filled within theirs, or told when they are too old.
      const open = async () =>
        (await service.samples()).filter(({ name, value }) => name === "feeds_gaps_open" && value > 0).map((one) =>
          JSON.stringify(one)
        )
      await Field.none("open holes", open, minutes > 5 ? 600_000 : 120_000, told())
      flow.stop()
      // Where two lives together have asked too much in a minute, an exchange is left alone for a minute.
      await Field.none("trades missing untold", after(judge.untold), 180_000, told())
      await until(
        `the ledger closes, ${told()}`,
        async () => brokenLaw(await service.ledger()) === undefined,
        30_000,
        () => service.tail()
      )
      assert.deepStrictEqual(await service.stop("SIGTERM"), { code: 0, signal: null }, told())
      // What a stop has left in the queue.
      const replayed = await exchangeFeeds(["queue", "replay"], {
        DATA_DIR: s.dataDir,
        KAFKA_BROKER: proxy.address,
        KAFKA_TOPIC_PREFIX: s.topic.replace(".trade.v1", "")
      })
      assert.strictEqual(replayed.code, 0, replayed.stderr)

      await judge.read()
      const issued = field.fakes.reduce((total, fake) => total + fake.issued.length, 0)
      const trades = judge.events.filter(Field.isTrade)
      const holes = judge.events.filter((event) => event.type === "status" && event.event === "gap")
      console.log(
        `${minutes} minutes, ${log.length} faults, ${issued} issued, ${trades.length} delivered, ` +
          `${trades.filter(({ source }) => source === "rest").length} by history, ${holes.length} holes told; ` +
          `${judge.books.pictures} books and ${judge.books.changes} changes of them, ` +
          `${judge.reader.distrusts()} times a reader forgot what it had read`
      )
      assert.deepStrictEqual(judge.untrue.slice(0, 5), [], `${judge.untrue.length} books that never were, ${told()}`)
      assert.deepStrictEqual(judge.unlike(), [], told())
      assert.deepStrictEqual(judge.untold().slice(0, 5), [], told())
      assert.deepStrictEqual(judge.verdict().foreign.slice(0, 5), [], told())
      assert.deepStrictEqual([...judge.collectors].length, 1, "one name over all lives")
      assert.isAbove(trades.length, issued / 2)
      assert.isAbove(trades.filter(({ source }) => source === "rest").length, 0)
      assert.isAbove(judge.books.changes, 0)
    },
    3_600_000
  )
})
