/**
 * `kill -9` of the built service at random moments, and at the system calls where a crash hurts most: the table of docs/design/delivery.md "What a crash takes"
 * judged by what the exchanges know they sent and by what kcat reads. Every collector lives on the data
 * directory of the one before.
 */
import { assert, describe, it } from "vitest"
import { makeRandom } from "../../src/layers/testing/FakeMarkets.ts"
import { judge } from "../../src/layers/testing/Oracle.ts"
import type { Trade } from "../../src/services/MarketEvent.ts"
import { brokenLaw, type Service } from "../e2e/Service.ts"
import { cleanups, emit, ready, sentCount, stage } from "../e2e/Stage.ts"
import * as Consumer from "../kafka/Consumer.ts"
import { strace } from "../support/strace.ts"
import { pause, startBrokerBehindProxy } from "./Outage.ts"

const lives = Number(process.env["KILL_LIVES"] ?? (process.env["FAULTS_SHORT"] === "1" ? 9 : 100))

/**
 * How young what a crash takes may be, ms: the second of H3 (and the group commit), and what a busy machine adds. A tracer that
 * stops the collector at each system call adds more: those deaths are there for what the disk looks like after them.
 */
const window = { fallback: 2_000, journal: 1_000, traced: 3_500 } as const

/**
 * Else live trades would wait in memory for a history which here stays away, and a death would take them. In journal mode nothing waits
 * of itself.
 */
const settings = { fallback: { BACKFILL_HOLD: "0" }, journal: {} } as const

/** `cursorEvery` and one batch, of each of two lanes at most. */
const repeatsOfOneDeath = 2_000

/** It dies while it enters the n-th call of that name. */
const tracer = (call: string, n: number): Promise<ReadonlyArray<string>> =>
  strace("/dev/null", `trace=${call}`, `inject=${call}:signal=SIGKILL:when=${n}`)

/** One death of a collector: which of the trades of each exchange it may have taken with it. */
interface Death {
  readonly what: string
  /** Older than that, ms, it may take nothing. */
  readonly youth: number
  /** Per exchange: how many trades it had issued at the start, at the beginning of the doubtful time, and after the death. */
  readonly marks: ReadonlyArray<{ readonly from: number; readonly doubtfulFrom: number; readonly to: number }>
}

for (const mode of ["fallback", "journal"] as const) {
  describe(`kill -9, ${mode}`, () => {
    it(
      `${lives} deaths: what was on disk is delivered, what is lost is the young end of each key, order holds`,
      async () => {
        const seed = Number(process.env["FAULT_SEED"] ?? Date.now() % 1_000_000)
        const random = makeRandom(seed)
        const between = (low: number, high: number) => low + Math.floor(random() * (high - low))
        const { broker, proxy } = await startBrokerBehindProxy()
        // Windows of one and no history: nothing may bring back what a crash has taken.
        const s = await stage(proxy.address, 10, 1, 0)
        const env = { QUEUE_MODE: mode, KAFKA_BREAKER_TIMEOUT: "500ms", ...settings[mode] }

        let up = true
        const kafka = async (wanted: boolean) => {
          if (wanted === up) return
          up = wanted
          await proxy.refuse(!wanted)
          if (!wanted) proxy.reset()
        }

        // What had been issued when: a mark each 20 ms.
        const marks: Array<{ readonly at: number; readonly issued: ReadonlyArray<number> }> = []
        const mark = () => marks.push({ at: Date.now(), issued: s.exchanges.map(({ issued }) => issued.length) })
        const marker = setInterval(mark, 20)
        const stops = s.exchanges.map((exchange) => exchange.flood(400))
        cleanups.push(() => {
          clearInterval(marker)
          for (const stop of stops) stop()
        })

        const deaths: Array<Death> = []
        const kinds = [
          "straight",
          "reconnect",
          "frozen",
          "spill",
          "drain",
          "recovery",
          "rename",
          "fdatasync",
          "unlink"
        ] as const
        for (let life = 0; life < lives; life++) {
          const kind = kinds[life % kinds.length] ?? "straight"
          const traced = kind === "rename" || kind === "fdatasync" || kind === "unlink"
          await kafka(
            kind === "straight" || kind === "reconnect" || kind === "frozen" || kind === "drain" ||
              (traced && random() < 0.5)
          )
          const from = s.exchanges.map(({ issued }) => issued.length)
          let service: Service
          if (traced) {
            service = s.start(env, await tracer(kind, between(1, kind === "unlink" ? 4 : 40)))
            // It may never make so many of them: then it dies of an ordinary kill.
            const toggler = pause(1_500).then(() => kafka(!up))
            const late = setTimeout(() => service.process.kill("SIGKILL"), 4_000)
            await service.exited
            clearTimeout(late)
            await toggler
          } else {
            service = s.start(env)
            await service.baseUrl()
            if (kind === "recovery") await pause(between(0, 300))
            else if (kind === "reconnect") {
              await ready(s)
              await pause(between(500, 1_500))
              for (const { server } of s.exchanges) server.drop(1006)
              await ready(s)
              await pause(between(500, 4_500))
            } else if (kind === "frozen") {
              await pause(between(500, 1_500))
              await broker.freeze()
              // Nothing fails and nothing is answered: only the early spill saves what is older than a second (H3).
              await pause(between(3_000, 5_000))
            } else {
              await pause(between(200, 1_200))
              if (kind === "spill" && random() < 0.7) await kafka(true)
              if (kind === "straight" && random() < 0.5) await kafka(false)
              await pause(between(0, 1_500))
            }
            await service.stop("SIGKILL")
            broker.thaw()
          }
          const died = Date.now()
          mark()
          const youth = traced ? window.traced : window[mode]
          deaths.push({
            youth,
            what: `${life} ${kind}, Kafka ${up ? "up" : "down"}`,
            marks: s.exchanges.map(({ issued }, i) => {
              const before = died - youth
              const doubtful = marks.filter(({ at }) => at <= before).at(-1)?.issued ?? from
              return { from: from[i] ?? 0, doubtfulFrom: Math.max(from[i] ?? 0, doubtful[i] ?? 0), to: issued.length }
            })
          })
        }
        for (const stop of stops) stop()
        clearInterval(marker)

        // The last collector delivers all that was left.
        await kafka(true)
        const before = sentCount(s)
        const last = s.start(env)
        await ready(s)
        await emit(s, 500)
        const rows = await last.settled(sentCount(s) - before, 120_000)
        assert.isUndefined(brokenLaw(rows))
        assert.deepStrictEqual(await last.stop(), { code: 0, signal: null })

        const records = await Consumer.readTopic(broker.address, s.topic)
        const trades = records.map(({ value }): Trade => JSON.parse(value))
        const verdict = judge(s.exchanges.flatMap(({ issued }) => issued), trades)
        const told = `seed ${seed}`
        assert.deepStrictEqual(verdict.foreign.slice(0, 5), [], `foreign, ${told}`)
        assert.deepStrictEqual(verdict.disordered.slice(0, 5), [], `disordered, ${told}`)
        assert.isAtMost(verdict.duplicates.length, lives * repeatsOfOneDeath, told)

        // Lost: only the young, and of each key only the end.
        const lost = new Set([...verdict.missing, ...verdict.doubtful])
        const problems: Array<string> = []
        for (const { marks, what, youth } of deaths) {
          s.exchanges.forEach(({ issued }, i) => {
            const { doubtfulFrom, from, to } = marks[i] ?? { from: 0, doubtfulFrom: 0, to: 0 }
            const gone = new Set<string>()
            for (let n = from; n < to; n++) {
              const one = issued[n]
              // Of equal trades only their number is known: they are judged by it above.
              if (one === undefined || one.pushed === 0 || one.counted && !lost.has(`${one.id}:1`)) continue
              const key = one.expected.symbol
              const isLost = lost.has(one.counted ? `${one.id}:1` : one.id)
              if (isLost && n < doubtfulFrom) problems.push(`${what}: ${one.id} was older than ${youth} ms`)
              if (isLost) gone.add(key)
              else if (gone.has(key)) problems.push(`${what}: ${one.id} was delivered behind a lost one`)
            }
          })
        }
        assert.deepStrictEqual(problems.slice(0, 10), [], `${problems.length} of ${trades.length}, ${told}`)
        assert.isAbove(trades.length, lives * 100)
        console.log(
          `${mode}: ${lives} deaths, ${trades.length} records, ${verdict.duplicates.length} repeated, ${lost.size} lost`
        )
      },
      3_600_000
    )
  })
}
