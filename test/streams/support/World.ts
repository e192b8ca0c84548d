/**
 * An exchange on virtual time: it issues trades, pushes them to the sockets that are subscribed, and answers for its history. What a
 * feed made of it can be judged by what it issued.
 */
import { HttpClientError, HttpClientRequest } from "@effect/platform"
import { Clock, Effect, Layer } from "effect"
import type { MarketEvent, Status, Trade } from "../../../src/services/MarketEvent.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../../src/streams/exchanges/Wallex.ts"
import * as FakeApi from "./FakeApi.ts"
import { centrifugo, type FakeSocket, FakeSockets, layer as sockets, silent } from "./FakeSockets.ts"
import { bitpinPush, wallexTrade } from "./frames.ts"

export type Name = "bitpin" | "wallex"

export const exchanges = { bitpin, wallex } as const

export const bases = ["AAA", "BBB"] as const
export type Base = typeof bases[number]

const exchangeSymbol = { bitpin: (base: Base) => `${base}_IRT`, wallex: (base: Base) => `${base}TMN` } as const

interface Issued {
  readonly symbol: string
  readonly id: string
  /** As the exchange tells it, epoch ms: Wallex has whole seconds. */
  readonly timestamp: number
  readonly price: string
  readonly amount: string
}

/** Trades of a push of BitPin's: it repeats the last ones. */
const window = 3

export interface World {
  readonly issued: ReadonlyArray<Issued>
  /** A trade of now. `amount` of few kinds, so that equal ones are common. */
  readonly trade: (base: Base, amount: string) => Effect.Effect<void>
  /** Rows that the history gives. */
  history: number
  /** Whether REST answers. */
  rest: boolean
  /** Trades happen, and no socket hears of them. */
  mute: boolean
  readonly histories: () => number
}

/** Wallex's rows have no id: the ids are what the contract makes of them. */
const wallexIds = (issued: ReadonlyArray<Issued>, fresh: Omit<Issued, "id">): string => {
  const key = `wallex:${fresh.symbol}:t:${fresh.timestamp}:buy:${fresh.price}:${fresh.amount}`
  const n = issued.filter(({ id }) => id.startsWith(`${key}:`)).length + 1
  return `${key}:${n}`
}

export const make = (name: Name): Effect.Effect<World, never, FakeApi.FakeApi | FakeSockets> =>
  Effect.gen(function*() {
    const { respond } = yield* FakeApi.FakeApi
    const { dials } = yield* FakeSockets
    const issued: Array<Issued> = []
    let histories = 0
    const of = (base: Base) => issued.filter(({ symbol }) => symbol === `${base}/IRT`)

    const bitpinRow = ({ amount, id, price, timestamp }: Issued) => ({
      id: id.split(":t:")[1] ?? "",
      price,
      base_amount: amount,
      quote_amount: "1",
      side: "buy",
      time: timestamp / 1000
    })
    const wallexRow = ({ amount, price, timestamp }: Issued) => ({
      isBuyOrder: true,
      quantity: amount,
      price,
      timestamp: `${new Date(timestamp).toISOString().slice(0, 19)}Z`
    })
    const world: World = {
      issued,
      history: 50,
      rest: true,
      mute: false,
      histories: () => histories,
      trade: (base, amount) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const timestamp = name === "bitpin" ? now : Math.floor(now / 1000) * 1000
          const fresh = { symbol: `${base}/IRT`, timestamp, price: "100", amount }
          const id = name === "bitpin" ? `bitpin:${fresh.symbol}:t:${issued.length + 1}` : wallexIds(issued, fresh)
          const trade = { ...fresh, id }
          issued.push(trade)
          for (const socket of world.mute ? [] : dials) {
            if (socket.ended || !isSubscribed(socket, base)) continue
            socket.push(
              name === "bitpin"
                ? bitpinPush(exchangeSymbol.bitpin(base), of(base).slice(-window).reverse().map(bitpinRow))
                : wallexTrade(exchangeSymbol.wallex(base), wallexRow(trade))
            )
          }
        })
    }
    const isSubscribed = (socket: FakeSocket, base: Base): boolean =>
      socket.sent.some((frame) => frame.includes("subscribe") && frame.includes(exchangeSymbol[name](base)))

    yield* respond((call) =>
      Effect.suspend(() => {
        const base = bases.find((one) => call.path.includes(exchangeSymbol[name](one)))
        if (base === undefined) {
          return Effect.succeed({
            body: name === "bitpin"
              ? FakeApi.bitpinList(...bases.map(exchangeSymbol.bitpin))
              : FakeApi.wallexList(...bases.map((one) => [one, "TMN"] as const))
          })
        }
        histories += 1
        if (!world.rest) {
          const request = HttpClientRequest.get("http://api.test")
          return Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", description: "away" }))
        }
        const rows = of(base).reverse().slice(0, world.history)
        return Effect.succeed({
          body: name === "bitpin"
            ? JSON.stringify(rows.map(bitpinRow))
            : JSON.stringify({ success: true, result: { latestTrades: rows.map(wallexRow) } })
        })
      })
    )
    return world
  })

export const layer = (name: Name) =>
  Layer.mergeAll(
    sockets(name === "bitpin" ? centrifugo() : silent),
    FakeApi.layer(() => Effect.succeed({ body: "[]" }))
  )

export const tradesOf = (events: ReadonlyArray<MarketEvent>): ReadonlyArray<Trade> =>
  events.filter((event): event is Trade => event.type === "trade")

export const gapsOf = (events: ReadonlyArray<MarketEvent>): ReadonlyArray<Status> =>
  events.filter((event): event is Status => event.type === "status" && event.event === "gap")
