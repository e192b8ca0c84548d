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

export interface Issued {
  readonly symbol: string
  readonly id: string
  /** As the exchange tells it, epoch ms: Wallex has whole seconds. */
  readonly timestamp: number
  /** The same as it must come out, ISO-8601: BitPin has microseconds. */
  readonly time: string
  readonly price: string
  readonly amount: string
  /** A socket that was subscribed brought it when it happened. */
  readonly isHeard: boolean
}

/** Trades of a push of BitPin's: it repeats the last ones. */
const window = 3

export interface Setup {
  /** Answers of REST have a `Date`. */
  readonly dated: boolean
  /** By how much the exchange's clock is ahead of ours, ms. */
  readonly ahead: number
}

export interface World {
  readonly issued: ReadonlyArray<Issued>
  /** A trade of now. `amount` of few kinds, so that equal ones are common. */
  readonly trade: (base: Base, amount: string) => Effect.Effect<Issued>
  /** Rows that the history gives. */
  history: number
  /** How long it takes to answer, ms. */
  takes: number
  /** It answers with what there was when it was asked; else with what there is when the answer leaves. */
  early: boolean
  /** Questions for a history that have no answer yet. */
  readonly asking: () => number
  /** Whether REST answers. */
  rest: boolean
  /** Trades happen, and no socket hears of them. */
  mute: boolean
  readonly histories: () => number
}

/** Wallex's rows have no id: the ids are docs/design/delivery.md "Identity of trades without an id". */
const wallexIds = (issued: ReadonlyArray<Issued>, fresh: Omit<Issued, "id" | "isHeard">): string => {
  const key = `wallex:${fresh.symbol}:t:${fresh.timestamp}:buy:${fresh.price}:${fresh.amount}`
  const n = issued.filter(({ id }) => id.startsWith(`${key}:`)).length + 1
  return `${key}:${n}`
}

export const make = (
  name: Name,
  { ahead, dated }: Setup = { ahead: 0, dated: false }
): Effect.Effect<World, never, FakeApi.FakeApi | FakeSockets> =>
  Effect.gen(function*() {
    const { respond } = yield* FakeApi.FakeApi
    const { dials } = yield* FakeSockets
    const issued: Array<Issued> = []
    let histories = 0
    let asking = 0
    const byBase: { readonly [K in Base]: Array<Issued> } = { AAA: [], BBB: [] }
    const newest = (base: Base, count: number) => byBase[base].slice(-Math.max(1, count)).reverse().slice(0, count)

    const bitpinRow = ({ amount, id, price, time, timestamp }: Omit<Issued, "isHeard">) => ({
      id: id.split(":t:")[1] ?? "",
      price,
      base_amount: amount,
      quote_amount: "1",
      side: "buy",
      // Ten digits and six decimals: a double tells them apart, and prints them as they are.
      time: Number(`${Math.floor(timestamp / 1000)}.${time.slice(20, -1)}`)
    })
    const wallexRow = ({ amount, price, timestamp }: Omit<Issued, "isHeard">) => ({
      isBuyOrder: true,
      quantity: amount,
      price,
      timestamp: `${new Date(timestamp).toISOString().slice(0, 19)}Z`
    })
    const world: World = {
      issued,
      history: 50,
      takes: 0,
      early: false,
      asking: () => asking,
      rest: true,
      mute: false,
      histories: () => histories,
      trade: (base, amount) =>
        Effect.map(Clock.currentTimeMillis, (ours) => {
          const now = ours + ahead
          const timestamp = name === "bitpin" ? now : Math.floor(now / 1000) * 1000
          const before = issued.at(-1)
          // Later by a microsecond than the one before, as far as the millisecond has room.
          const micros = before?.timestamp === timestamp ? Math.min(999, Number(before.time.slice(23, -1)) + 1) : 1
          const iso = new Date(timestamp).toISOString()
          const time = name === "bitpin" ? `${iso.slice(0, -1)}${String(micros).padStart(3, "0")}Z` : iso
          const fresh = { symbol: `${base}/IRT`, timestamp, time, price: "100", amount }
          const id = name === "bitpin" ? `bitpin:${fresh.symbol}:t:${issued.length + 1}` : wallexIds(issued, fresh)
          const hear = world.mute ? [] : dials.filter((socket) => !socket.ended && isSubscribed(socket, base))
          const trade = { ...fresh, id, isHeard: hear.length > 0 }
          issued.push(trade)
          byBase[base].push(trade)
          for (const socket of hear) {
            socket.push(
              name === "bitpin"
                ? bitpinPush(exchangeSymbol.bitpin(base), newest(base, window).map(bitpinRow))
                : wallexTrade(exchangeSymbol.wallex(base), wallexRow(trade))
            )
          }
          return trade
        })
    }
    const isSubscribed = (socket: FakeSocket, base: Base): boolean =>
      socket.sent.some((frame) => frame.includes("subscribe") && frame.includes(exchangeSymbol[name](base)))

    const unanswered = Effect.suspend(() => {
      const request = HttpClientRequest.get("http://api.test")
      return Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", description: "away" }))
    })
    const answer = (body: string): Effect.Effect<FakeApi.Answer> =>
      Effect.map(
        Clock.currentTimeMillis,
        (now) => dated ? { body, headers: { date: new Date(now + ahead).toUTCString() } } : { body }
      )
    const listOfMarkets = name === "bitpin"
      ? FakeApi.bitpinList(...bases.map(exchangeSymbol.bitpin))
      : FakeApi.wallexList(...bases.map((one) => [one, "TMN"] as const))
    const historyOf = (base: Base): string => {
      const rows = newest(base, world.history)
      return name === "bitpin"
        ? JSON.stringify(rows.map(bitpinRow))
        : JSON.stringify({ success: true, result: { latestTrades: rows.map(wallexRow) } })
    }
    yield* respond((call) =>
      Effect.suspend(() => {
        const base = bases.find((one) => call.path.includes(exchangeSymbol[name](one)))
        if (base === undefined) return answer(listOfMarkets)
        histories += 1
        const { early, takes } = world
        const seen = Effect.suspend(() => answer(historyOf(base)))
        if (takes === 0) return world.rest ? seen : unanswered
        asking += 1
        return Effect.flatMap(early ? seen : Effect.void, (first) =>
          Effect.delay(
            Effect.suspend(() => !world.rest ? unanswered : first === undefined ? seen : Effect.succeed(first)),
            takes
          )).pipe(Effect.ensuring(Effect.sync(() => void (asking -= 1))))
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
