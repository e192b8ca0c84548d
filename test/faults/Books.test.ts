/**
 * The built service with all exchanges, trades and books, between exchanges, a broker and a machine that misbehave: whoever reads the topic of
 * books by the contract's rule ends with each exchange's own book, the trades that were delivered and the holes that were told are together all
 * that was issued, and the ledger closes. FAULT_MINUTES (10; half a one, with changes, if --short), FAULT_MARKETS (of all exchanges together: 1 000;
 * 20 if --short) and FAULT_SEED choose the run. The long one also asks for probes all the time and looks at the memory.
 */
import { execFile } from "node:child_process"
import * as path from "node:path"
import { isDeepStrictEqual, promisify } from "node:util"
import { assert, describe, it } from "vitest"
import * as BookReader from "../../src/layers/testing/BookReader.ts"
import { FakeBitpinExchange } from "../../src/layers/testing/FakeBitpin.ts"
import { makeRandom } from "../../src/layers/testing/FakeMarkets.ts"
import { FakeNobitexExchange } from "../../src/layers/testing/FakeNobitex.ts"
import { FakeRamzinexExchange } from "../../src/layers/testing/FakeRamzinex.ts"
import { FakeTabdealExchange } from "../../src/layers/testing/FakeTabdeal.ts"
import { FakeWallexExchange } from "../../src/layers/testing/FakeWallex.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import { type Service, until } from "../e2e/Service.ts"
import { cleanups, stage } from "../e2e/Stage.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { exchangeFeeds } from "../support/bundle.ts"
import { pause, startBrokerBehindProxy } from "./Outage.ts"

const isShort = process.env["FAULTS_SHORT"] === "1"
const minutes = Number(process.env["FAULT_MINUTES"] ?? (isShort ? 0.5 : 10))
const seed = Number(process.env["FAULT_SEED"] ?? Date.now() % 1_000_000)

const markets = Number(process.env["FAULT_MARKETS"] ?? (isShort ? 20 : 1_000)) / 5

/** Trades and parts of books a second of each exchange, but for Tabdeal's books, which it sends each two seconds. */
const perSecond = markets > 50 ? 40 : 20
const partsPerTurn = markets > 50 ? 6 : 5

/** Lives of a service with many markets are not all start: this many deeds in a hundred end one. */
const endings = markets > 50 ? 5 : 33

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

describe("order books of all exchanges", () => {
  for (const deltas of isShort ? [true] : [false, true]) {
    it(`${minutes} minutes of random faults, ${deltas ? "changes and anchors" : "pictures"}`, async () => {
      const random = makeRandom(seed)
      const between = (low: number, high: number) => low + Math.floor(random() * (high - low))
      const pick = <A>(all: ReadonlyArray<A>): A | undefined => all[Math.floor(random() * all.length)]
      const told = `seed ${seed}`

      const { broker, proxy } = await startBrokerBehindProxy()
      const s = await stage(proxy.address, 1, 3, 300)
      const bitpin = new FakeBitpinExchange({ markets, window: 3, history: 300 })
      const wallex = new FakeWallexExchange({ markets, history: 300 })
      const nobitex = new FakeNobitexExchange({ markets, history: 300 })
      const ramzinex = new FakeRamzinexExchange({ markets })
      const tabdeal = new FakeTabdealExchange({ markets })
      const fakes = [bitpin, wallex, nobitex, ramzinex, tabdeal]
      await Promise.all(fakes.map(({ server }) => server.listen()))
      cleanups.push(...fakes.map(({ server }) => () => server.close()))
      const env: Record<string, string> = {
        EXCHANGES: fakes.map(({ id }) => id).join(","),
        CHANNELS: "trades,books",
        BOOK_DEPTH: "all",
        BOOK_DELTAS: String(deltas),
        KAFKA_BREAKER_TIMEOUT: "500ms",
        WS_BREAKER_TIMEOUT: "2s",
        API_BREAKER_TIMEOUT: "2s",
        WS_IDLE_TIMEOUT: "4s"
      }
      for (const { id, server } of fakes) {
        env[`${id.toUpperCase()}_API_URL`] = server.apiUrl
        env[`${id.toUpperCase()}_WS_URL`] = server.wsUrl
      }
      let service = s.start(env)
      const samples = async (name: string, labels: Readonly<Record<string, string>> = {}) =>
        (await service.samples()).filter((one) =>
          one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value)
        )
      const sum = (all: ReadonlyArray<{ readonly value: number }>) => all.reduce((total, { value }) => total + value, 0)
      const chosen = fakes.reduce((total, { tradable }) => total + tradable.length, 0)
      const allLive = () =>
        until(
          `all books live, ${told}`,
          async () => sum(await samples("feeds_books", { state: "live" })) === chosen,
          60_000
        )
      const stops = fakes.map((fake) => fake.flood(perSecond))
      const moving = setInterval(() => {
        for (const fake of [bitpin, wallex, ramzinex]) fake.bookChanges(partsPerTurn)
        for (let n = 0; n < partsPerTurn; n++) nobitex.moveBook(pick(nobitex.tradable)?.exchangeSymbol ?? "")
      }, 100)
      const still = () => {
        clearInterval(moving)
        for (const stop of stops) stop()
      }
      cleanups.push(still)
      await allLive()
      // A market of which no trade was kept has no past: what it trades while a killed service is away is nobody's loss.
      const prefix = s.topic.replace(".trade.v1", "")
      await until(`each market has traded, ${told}`, async () => {
        const records = await Consumer.readTopic(broker.address, s.topic)
        return new Set(records.map(({ key }) => key)).size === chosen
      }, isShort ? 120_000 : 600_000)
      await pause(3_000)

      const server = () => pick(fakes)?.server
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
      const ends: typeof deeds = [
        ["restart", async () => {
          await service.stop("SIGTERM")
          service = s.start(env)
          await service.baseUrl()
        }],
        ["kill", async () => {
          await service.stop("SIGKILL")
          service = s.start(env)
          await service.baseUrl()
        }]
      ]
      const log: Array<string> = []
      const end = Date.now() + minutes * 60_000
      const watch = isShort ? undefined : watching(() => service)
      while (Date.now() < end) {
        const [what, deed] = pick(between(0, 100) < endings ? ends : deeds) ?? ["", () => {}]
        log.push(what)
        await deed()
        await pause(between(500, 4_000))
      }

      for (const fake of fakes) fake.server.heal()
      await proxy.refuse(false)
      const watched = await watch?.()
      await allLive()
      still()
      const read = async () => {
        const records = await Consumer.readTopic(broker.address, `${prefix}.book.v1`)
        const reader = BookReader.make()
        const events = records.map(({ value }): MarketEvent => JSON.parse(value))
        reader.read(events)
        return { records, reader, events }
      }
      /** Waits until there are none, or fails with those that there are. */
      const none = async (what: string, find: () => Promise<ReadonlyArray<string>>, within: number) => {
        let found: ReadonlyArray<string> = []
        const isOver = async () => (found = await find()).length === 0
        await until(what, isOver, within).catch((cause: unknown) =>
          assert.fail(`${String(cause)}: ${found.slice(0, 20).join(", ")}; ${told}; ${log.join(", ")}`)
        )
      }
      const untold = async () => {
        const records = await Promise.all(
          ["trade", "status"].map((lane) => Consumer.readTopic(broker.address, `${prefix}.${lane}.v1`))
        )
        const events = records.flat().map(({ value }): MarketEvent => JSON.parse(value))
        return fakes.flatMap(({ issued }) => Oracle.untold(issued, events))
      }
      const unlike = ({ reader }: { readonly reader: BookReader.BookReader }) =>
        fakes.flatMap((fake) =>
          fake.tradable.flatMap(({ exchangeSymbol, symbol }) => {
            const { asks, bids } = fake.book(exchangeSymbol)
            return isDeepStrictEqual(reader.book(`${fake.id}:${symbol}`), { bids, asks })
              ? []
              : [`${fake.id}:${symbol}`]
          })
        )
      // Whoever lost a connection at last has its picture by REST after ten seconds; Tabdeal gives one each 2 s.
      await none("book unlike the exchange's", async () => unlike(await read()), 60_000)
      // Tabdeal is asked within its budget, and holes are filled within theirs, or told when they are too old.
      await none("trade missing untold", untold, isShort ? 60_000 : 600_000)
      const rows = await service.ledger()
      for (const row of rows) {
        assert.strictEqual(
          row.received,
          row.delivered + row.queued + row.dropped + row.deadLettered + row.filtered + row.inFlight,
          `${row.exchange}, ${told}`
        )
      }
      assert.deepStrictEqual(await service.stop("SIGTERM"), { code: 0, signal: null }, told)
      const replayed = await exchangeFeeds(["queue", "replay"], {
        DATA_DIR: s.dataDir,
        KAFKA_BROKER: proxy.address,
        KAFKA_TOPIC_PREFIX: prefix
      })
      assert.strictEqual(replayed.code, 0, replayed.stderr)

      const { events, reader, records } = await read()
      const collectors = new Set(records.map(({ headers }) => headers["collector"]))
      assert.strictEqual(collectors.size, 1, "one name over all lives")
      for (const fake of fakes) {
        for (const { exchangeSymbol, symbol } of fake.tradable) {
          const { asks, bids } = fake.book(exchangeSymbol)
          assert.deepStrictEqual(
            reader.book(`${fake.id}:${symbol}`),
            { bids, asks },
            `${fake.id} ${symbol}, ${told}, ${log.join(", ")}`
          )
        }
      }
      assert.deepStrictEqual((await untold()).slice(0, 5), [], `${told}, ${log.join(", ")}`)
      if (watched !== undefined) {
        console.log(watched)
        assert.isBelow(watched.p99Ms, 50, told)
      }
      console.log(
        `${minutes} minutes, ${
          markets * fakes.length
        } markets, ${log.length} faults, ${events.length} events of books, ` +
          `${events.filter(({ type }) => type === "book_delta").length} of them changes, ` +
          `${reader.distrusts()} times a reader forgot what it had read`
      )
    }, 3_600_000)
  }
})
