/**
 * Any sequence of what feeds and lanes tell the checkpoint, on a disk that fails, fills up and loses power, against a reference. What a
 * successful write promised is there in the next life; what was only tried may be, market by market; nothing else is. `FUZZ_RUNS` for
 * the long suite.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FastCheck as fc, Logger, LogLevel } from "effect"
import { checkpointStore } from "../../../src/layers/DataDirectory.ts"
import * as Checkpoint from "../../../src/services/Checkpoint.ts"
import { encode, type EventRecord } from "../../../src/services/MarketEvent.ts"
import type { Fault } from "../../support/MemoryDisk.ts"
import { breathe } from "../FileQueue/Harness.ts"
import * as Reference from "./Reference.ts"
import { at, directory, diskOf, event, hole, idOf, keyOf } from "./World.ts"

const runs = Number(process.env["FUZZ_RUNS"] ?? 100)

const symbols = ["A/IRT", "B/IRT", "C/IRT"]
const gaps = [null, "g1", "g2", "g3"]
/** Exchange times are so many milliseconds at most: many trades share one. */
const span = 1_000

type Step =
  | {
    readonly do: "settle"
    readonly symbol: string
    readonly from: number
    readonly step: number
    readonly count: number
    readonly isTimed: boolean
  }
  | { readonly do: "again"; readonly symbol: string; readonly back: number }
  | { readonly do: "keep"; readonly symbol: string; readonly holes: ReadonlyArray<Checkpoint.Hole> }
  | {
    readonly do: "close"
    readonly symbol: string
    readonly hole: Checkpoint.Hole
    readonly ahead: number | null
    readonly isTold: boolean
  }
  | { readonly do: "resolve"; readonly symbol: string; readonly back: number }
  | { readonly do: "forget"; readonly symbol: string }
  | { readonly do: "write" }
  | { readonly do: "restart" }
  | { readonly do: "crash"; readonly power: boolean }
  | { readonly do: "crashIn"; readonly operations: number; readonly power: boolean }
  | { readonly do: "fail"; readonly operations: number; readonly fault: Exclude<Fault, undefined> }
  | { readonly do: "fill"; readonly bytes: number }
  | { readonly do: "free" }

const symbol = fc.constantFrom(...symbols)
const edge = fc.option(fc.nat(span), { nil: null, freq: 5 })
const anyHole = (over: Checkpoint.Hole["over"]) =>
  fc.record({ from: edge, length: fc.option(fc.nat(300), { nil: null, freq: 5 }), gapId: fc.constantFrom(...gaps) })
    .map((
      { from, gapId, length }
    ) => hole(from, length === null ? null : (from ?? 0) + length, gapId, over))

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("settle" as const),
      symbol,
      from: fc.nat(span),
      step: fc.constantFrom(0, 1, 2, 3),
      count: fc.constantFrom(1, 2, 5, 100, 300),
      isTimed: fc.constantFrom(true, true, true, false)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("again" as const), symbol, back: fc.integer({ min: 1, max: 300 }) })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("keep" as const),
      symbol,
      holes: fc.uniqueArray(anyHole(null), { maxLength: 2, selector: ({ gapId }) => gapId })
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("close" as const),
      symbol,
      hole: fc.oneof(anyHole("filled"), anyHole("given up")),
      ahead: fc.option(fc.integer({ min: 1, max: 50 }), { nil: null }),
      isTold: fc.boolean()
    })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("resolve" as const), symbol, back: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("forget" as const), symbol }) },
  { weight: 10, arbitrary: fc.constant<Step>({ do: "write" }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "restart" }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const), power: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("crashIn" as const),
      operations: fc.integer({ min: 1, max: 20 }),
      power: fc.boolean()
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("fail" as const),
      operations: fc.integer({ min: 1, max: 12 }),
      fault: fc.oneof(fc.constantFrom("EIO", "ENOSPC"), fc.record({ short: fc.integer({ min: 1, max: 200 }) }))
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("fill" as const), bytes: fc.nat(2_000) }) },
  { weight: 1, arbitrary: fc.constant<Step>({ do: "free" }) }
)

/** As in production; and so small that each write is cut into entries, begins segments and removes some. */
const allSizes = [
  { entry: 128 * 1024, segment: 1024 * 1024, copy: [4 * 1024, 64 * 1024] },
  { entry: 10, segment: 3_000, copy: [2_000, 8_000] },
  { entry: 200, segment: 1, copy: [1, 100] }
] as const

const seen = { writes: 0, failures: 0, crashes: 0, torn: 0, removals: 0 }

const play = (steps: ReadonlyArray<Step>, sizes: typeof allSizes[number], choose: (n: number) => number) =>
  Effect.gen(function*() {
    const disk = diskOf()
    const errors: Array<unknown> = []
    const listening = Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ logLevel, message }) => {
        if (logLevel._tag === "Error") errors.push(message)
      })
    )
    const open = Checkpoint.make(checkpointStore(disk.ops, directory), sizes).pipe(Effect.provide(listening))
    let checkpoint = yield* open
    let now: Reference.Markets = new Map()
    let seq = 0
    /** What a crash may leave: what the last successful write promised, and what was tried since. */
    let possible = [{ markets: Reference.copy(now), seq }]
    const records = new Map<string, Array<EventRecord>>(symbols.map((one) => [one, []]))
    let nextId = 1
    let power = false

    const settle = (symbol: string, record: EventRecord, timestamp: string | null) => {
      seq += 1
      Reference.settle(now, keyOf(symbol), { id: record.headers["id"] ?? "", timestamp, exchangeSymbol: symbol })
      return checkpoint.settle([record], seq)
    }
    const timestampOf = (record: EventRecord): string | null => record.trade?.timestamp ?? null
    const recordOf = (symbol: string, timestamp: string | null): EventRecord =>
      encode({
        type: "trade",
        v: 1,
        exchange: "bitpin",
        symbol,
        exchangeSymbol: symbol,
        id: idOf(nextId++, symbol),
        price: "1",
        amount: "1",
        side: "buy",
        timestamp,
        receivedAt: "2026-06-11T13:00:00.000Z",
        source: "ws"
      })
    const healthy = Effect.sync(() => {
      disk.fault = () => undefined
    })
    const assertIs = (found: ReadonlyMap<string, Checkpoint.MarketMemory>, markets: Reference.Markets) => {
      for (const one of symbols) Reference.assertIs(markets.get(keyOf(one)), found.get(keyOf(one)))
    }
    const reopen = Effect.gen(function*() {
      yield* healthy
      const isDurable = power
      if (power) disk.crashPower(choose)
      else disk.crashProcess()
      power = false
      checkpoint = yield* open
      assert.deepStrictEqual(errors, [])
      const found = yield* checkpoint.markets
      const left: Reference.Markets = new Map()
      // Each market is as one of the attempts had it.
      for (const one of symbols) {
        const key = keyOf(one)
        const matches = possible.filter(({ markets }) => {
          try {
            Reference.assertIs(markets.get(key), found.get(key))
            return true
          } catch {
            return false
          }
        })
        const match = matches.at(-1)
        if (match === undefined) {
          if (possible.length > 1) assert.fail(`${key} is as no attempt had it: ${JSON.stringify(found.get(key))}`)
          Reference.assertIs(possible[0]?.markets.get(key), found.get(key))
        }
        const market = match?.markets.get(key)
        // Only that this life forgot it is not kept: the next one closes what is left of it.
        if (Reference.isKnown(market)) left.set(key, { ...structuredClone(market), isForgotten: false })
      }
      // A position is not ahead of what it covers.
      const covered = yield* checkpoint.coveredSeq
      const attempt = possible.findIndex((one) => one.seq === covered)
      assert.isAtLeast(attempt, 0, `position ${covered}`)
      for (const one of symbols) {
        const key = keyOf(one)
        const isSince = possible.slice(attempt).some(({ markets }) => {
          try {
            Reference.assertIs(markets.get(key), found.get(key))
            return true
          } catch {
            return false
          }
        })
        assert.isTrue(isSince, `${key} lags behind position ${covered}`)
      }
      if (possible.length > 1) seen.torn += 1
      // Attempts that differ only in what a closed hole still awaits look alike: this life closes it as the last of them had it.
      for (const [key, { closing }] of left) {
        for (const { event, hole, trade } of closing) checkpoint.closeHole(key, hole, { event, trade })
      }
      now = left
      seq = covered
      const here = { markets: Reference.copy(now), seq }
      // What a process that was killed had written may not be durable: until this life has written, a loss of power may take it.
      possible = isDurable ? [here] : [...possible, here]
    })

    const write = Effect.gen(function*() {
      const attempt = { markets: Reference.copy(now), seq }
      const before = disk.trace.length
      const exit = yield* Effect.exit(checkpoint.write)
      seen.removals += disk.trace.slice(before).filter(({ op }) => op === "unlink").length
      assert.isTrue(disk.dead || disk.open === 0, "files are left open")
      if (Exit.isSuccess(exit) && !disk.dead) {
        seen.writes += 1
        possible = [attempt]
        assert.isNull(yield* checkpoint.failure)
        return true
      }
      possible.push(attempt)
      if (disk.dead) return false
      seen.failures += 1
      assert.isNotNull(yield* checkpoint.failure)
      return false
    })

    for (const one of steps) {
      switch (one.do) {
        case "settle":
          for (let i = 0; i < one.count; i++) {
            const timestamp = one.isTimed ? at(one.from + i * one.step) : null
            const record = recordOf(one.symbol, timestamp)
            records.get(one.symbol)?.push(record)
            yield* settle(one.symbol, record, timestamp)
          }
          break
        case "again": {
          const record = records.get(one.symbol)?.at(-one.back)
          if (record !== undefined) yield* settle(one.symbol, record, timestampOf(record))
          break
        }
        case "keep":
          Reference.keepHoles(now, keyOf(one.symbol), one.symbol, one.holes)
          checkpoint.keepHoles(keyOf(one.symbol), one.symbol, one.holes)
          break
        case "close": {
          const awaited = {
            trade: one.ahead === null ? null : idOf(nextId + one.ahead, one.symbol),
            event: one.isTold ? `event ${nextId % 4}` : null
          }
          Reference.closeHole(now, keyOf(one.symbol), one.hole, awaited)
          checkpoint.closeHole(keyOf(one.symbol), one.hole, awaited)
          break
        }
        case "resolve": {
          const record = event(`event ${one.back}`, one.symbol)
          Reference.resolve(now, record.key, record.headers["id"] ?? "")
          yield* checkpoint.resolve([record])
          break
        }
        case "forget":
          Reference.forget(now, keyOf(one.symbol))
          checkpoint.forget(keyOf(one.symbol))
          break
        case "write":
          yield* write
          break
        case "restart":
          yield* healthy
          disk.capacity = Infinity
          if (!disk.dead) assert.isTrue(yield* write, "a disk that is well again takes everything")
          yield* reopen
          break
        case "crash":
          power = one.power
          disk.dead = true
          break
        case "crashIn": {
          let left = one.operations
          disk.fault = () => {
            left -= 1
            if (left > 0) return undefined
            power = one.power
            disk.dead = true
            return "DEAD"
          }
          break
        }
        case "fail": {
          let left = one.operations
          // A file that cannot be closed is nothing that anybody could mend.
          disk.fault = ({ op }) => op !== "close" && --left === 0 ? one.fault : undefined
          break
        }
        case "fill":
          disk.capacity = disk.used() + one.bytes
          break
        case "free":
          disk.capacity = Infinity
      }
      if (disk.dead) {
        seen.crashes += 1
        yield* reopen
      }
      assertIs(yield* checkpoint.markets, now)
    }
    yield* healthy
    disk.capacity = Infinity
    assert.isTrue(yield* write, "a disk that is well again takes everything")
    yield* reopen
    yield* breathe
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Error))

describe("the checkpoint keeps its promises", () => {
  it("also where one part cannot be removed: what says that a market is gone does not go before it", () => {
    const steps: ReadonlyArray<Step> = [
      { do: "settle", symbol: "A/IRT", from: 0, step: 0, count: 300, isTimed: true },
      { do: "restart" },
      { do: "settle", symbol: "B/IRT", from: 0, step: 0, count: 1, isTimed: true },
      { do: "write" },
      { do: "restart" },
      { do: "settle", symbol: "C/IRT", from: 0, step: 0, count: 1, isTimed: true },
      { do: "forget", symbol: "B/IRT" }
    ]
    // At which operation a part is removed, is the writer's business.
    const failing = Array.from({ length: 40 }, (_, i): ReadonlyArray<Step> => [
      ...steps,
      { do: "fail", operations: i + 1, fault: "EIO" },
      { do: "write" },
      { do: "restart" },
      { do: "settle", symbol: "A/IRT", from: 0, step: 0, count: 1, isTimed: true },
      { do: "write" },
      { do: "restart" }
    ])
    return Effect.runPromise(Effect.forEach(failing, (one) => play(one, allSizes[2], () => 0), { discard: true }))
  })

  it("whatever happens, in whatever order, wherever it dies", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
        fc.constantFrom(...allSizes),
        fc.infiniteStream(fc.nat()),
        (steps, sizes, picks) => Effect.runPromise(play(steps, sizes, (n) => (picks.next().value ?? 0) % n))
      ),
      { numRuns: runs }
    )
    // Else it tested nothing.
    for (const [what, count] of Object.entries(seen)) assert.isAbove(count, runs / 10, what)
  }, 3_600_000)
})
