/** Trades and gap events as lanes settle them, and a checkpoint on a disk in memory. */
import { Effect } from "effect"
import { checkpointStore } from "../../../src/layers/DataDirectory.ts"
import * as Checkpoint from "../../../src/services/Checkpoint.ts"
import { defaults, type Sizes } from "../../../src/services/Checkpoint/Writer.ts"
import { encode, type EventRecord } from "../../../src/services/MarketEvent.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"

export const directory = "/data"

/** Exchange time `ms` milliseconds after a certain moment. */
export const epochMs = (ms: number): number => Date.parse("2026-06-11T12:59:45.000Z") + ms
export const at = (ms: number): string => new Date(epochMs(ms)).toISOString()

export const keyOf = (symbol: string): string => `bitpin:${symbol}`
export const idOf = (n: number | string, symbol = "BTC/IRT"): string => `bitpin:${symbol}:t:${n}`

/** Trade `n`, of exchange time `n` milliseconds if not told otherwise; `timestamp` null: the exchange gave none. */
export const trade = (n: number, symbol = "BTC/IRT", timestamp: string | null = at(n)): EventRecord =>
  encode({
    type: "trade",
    v: 1,
    exchange: "bitpin",
    symbol,
    exchangeSymbol: symbol.replace("/", "_"),
    id: idOf(n, symbol),
    price: "1",
    amount: "1",
    side: "buy",
    timestamp,
    receivedAt: "2026-06-11T13:00:00.000Z",
    source: "ws"
  })

export const trades = (from: number, to: number, symbol = "BTC/IRT"): ReadonlyArray<EventRecord> =>
  Array.from({ length: to - from }, (_, i) => trade(from + i, symbol))

/** The record of a status event with that id about the market. */
export const event = (id: string, symbol = "BTC/IRT"): EventRecord => ({
  key: keyOf(symbol),
  value: "{}",
  headers: { id },
  timestamp: 0
})

/** A hole between two such moments; null: not known. `gapId`: null if nobody was told. */
export const hole = (
  from: number | null,
  to: number | null,
  gapId: string | null = "gap",
  over: Checkpoint.Hole["over"] = null
): Checkpoint.Hole => ({
  cause: "disconnected",
  gapId,
  from: from === null ? null : at(from),
  to: to === null ? null : at(to),
  recovered: 0,
  over
})

export const diskOf = (): MemoryDisk => {
  const disk = new MemoryDisk()
  Effect.runSync(disk.ops.makeDirectory(directory))
  return disk
}

/** A life of the collector. */
export const open = (disk: MemoryDisk, sizes: Partial<Sizes> = {}) =>
  Checkpoint.make(checkpointStore(disk.ops, directory), { ...defaults, ...sizes })

export const memoryOf = (checkpoint: Checkpoint.Checkpoint["Type"], symbol = "BTC/IRT") =>
  Effect.map(checkpoint.markets, (markets) => markets.get(keyOf(symbol)))

/** What a life that begins now would know. */
export const nextLife = (disk: MemoryDisk, symbol = "BTC/IRT") =>
  Effect.flatMap(open(disk), (checkpoint) => memoryOf(checkpoint, symbol))

export const segments = (disk: MemoryDisk): ReadonlyArray<string> =>
  disk.paths().filter((path) => /^\/data\/checkpoint-2\.\d{8}\.log$/.test(path))
