/** All fake exchanges on loopback at once, with books that move, and the judge of what a reader of the topics has of them. */
import { createHash } from "node:crypto"
import { isDeepStrictEqual } from "node:util"
import { assert } from "vitest"
import * as BookReader from "../../src/layers/testing/BookReader.ts"
import { FakeBinanceExchange } from "../../src/layers/testing/FakeBinance.ts"
import { FakeBitpinExchange } from "../../src/layers/testing/FakeBitpin.ts"
import type { Book } from "../../src/layers/testing/FakeBooks.ts"
import { FakeBybitExchange } from "../../src/layers/testing/FakeBybit.ts"
import { FakeCoinbaseExchange } from "../../src/layers/testing/FakeCoinbase.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import { FakeKrakenExchange } from "../../src/layers/testing/FakeKraken.ts"
import { FakeNobitexExchange } from "../../src/layers/testing/FakeNobitex.ts"
import { FakeOkxExchange } from "../../src/layers/testing/FakeOkx.ts"
import { FakeRamzinexExchange } from "../../src/layers/testing/FakeRamzinex.ts"
import { FakeTabdealExchange } from "../../src/layers/testing/FakeTabdeal.ts"
import { FakeWallexExchange } from "../../src/layers/testing/FakeWallex.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import type { MarketEvent, Trade } from "../../src/services/MarketEvent.ts"
import { type Service, until } from "../e2e/Service.ts"
import { cleanups } from "../e2e/Stage.ts"
import * as Consumer from "../kafka/Consumer.ts"

interface Options {
  /** Of each exchange. */
  readonly markets: number
  /** Only these; all, if left out. */
  readonly exchanges?: ReadonlyArray<string>
  /** Every state of every book is remembered, so that each told one is judged: for some hundred markets. */
  readonly judgesStates: boolean
}

/** A fake, and how its books are moved and seen. */
interface One {
  readonly fake: FakeExchange
  /** Its trades change its books. */
  readonly movesBooks?: boolean
  /** Left out: it has none. */
  readonly books?: {
    /** So many changes, over all of its markets in turn; none of a market twice if there are no more of them than markets. */
    readonly move: (parts: number) => void
    readonly of: (exchangeSymbol: string) => Book
    /** Its sides come one by one, so that a pair of them need not have been true at once. */
    readonly bySide?: boolean
  }
}

/** Milliseconds: servers that are to be heard of although nothing happens. */
const ping = 2_000

type Look = (exchangeSymbol: string, book: Book) => void

/** Its trades move its books, each with a picture. */
class Nobitex extends FakeNobitexExchange {
  look: Look = () => {}
  override moveBook(exchangeSymbol: string): void {
    super.moveBook(exchangeSymbol)
    this.look(exchangeSymbol, this.book(exchangeSymbol))
  }
}

/** A trade makes its book another one, which is made when it is asked for. */
class Tabdeal extends FakeTabdealExchange {
  look: Look = () => {}
  override book(exchangeSymbol: string): Book {
    const book = super.book(exchangeSymbol)
    this.look(exchangeSymbol, book)
    return book
  }
}

const hash = (value: unknown): string => createHash("md5").update(JSON.stringify(value)).digest("base64")

/** Every state that books were in, by `exchange:symbol`. */
const remembering = () => {
  const states = new Map<string, Set<string>>()
  const last = new Map<string, Book>()
  const remember = (key: string, { asks, bids }: Book) => {
    if (isDeepStrictEqual(last.get(key), { bids, asks })) return
    last.set(key, { bids, asks })
    const known = states.get(key) ?? new Set()
    states.set(key, known)
    known.add(`bids ${hash(bids)}`).add(`asks ${hash(asks)}`).add(hash([bids, asks]))
  }
  const wasTrue = (key: string, isBySide: boolean, { asks, bids }: Book): boolean => {
    const known = states.get(key)
    return isBySide
      ? known?.has(`bids ${hash(bids)}`) === true && known.has(`asks ${hash(asks)}`)
      : known?.has(hash([bids, asks])) === true
  }
  return { remember, wasTrue }
}

const make = (
  { judgesStates, markets }: Options,
  remember: (key: string, book: Book) => void
): ReadonlyArray<One> => {
  const bitpin = new FakeBitpinExchange({ markets, window: 3, history: 300, ping })
  const wallex = new FakeWallexExchange({ markets, history: 300 })
  const nobitex = new Nobitex({ markets, history: 300, ping })
  const ramzinex = new FakeRamzinexExchange({ markets, ping })
  const tabdeal = new Tabdeal({ markets })
  const binance = new FakeBinanceExchange({ markets, ping })
  const kraken = new FakeKrakenExchange({ markets })
  const okx = new FakeOkxExchange({ markets })
  const coinbase = new FakeCoinbaseExchange({ markets })
  const bybit = new FakeBybitExchange({ markets })
  if (judgesStates) {
    for (const fake of [nobitex, tabdeal]) {
      const symbols = new Map(fake.tradable.map(({ exchangeSymbol, symbol }) => [exchangeSymbol, symbol]))
      fake.look = (exchangeSymbol, book) => remember(`${fake.id}:${symbols.get(exchangeSymbol)}`, book)
    }
  }
  let turn = 0
  return [
    { fake: bitpin, books: { move: (parts) => bitpin.bookChanges(parts), of: (symbol) => bitpin.book(symbol) } },
    {
      fake: wallex,
      books: { move: (parts) => wallex.bookChanges(parts), of: (symbol) => wallex.book(symbol), bySide: true }
    },
    {
      fake: nobitex,
      movesBooks: true,
      books: {
        move: (parts) => {
          const { tradable } = nobitex
          for (let n = 0; n < parts; n++) nobitex.moveBook(tradable[turn++ % tradable.length]?.exchangeSymbol ?? "")
        },
        of: (symbol) => nobitex.book(symbol)
      }
    },
    { fake: ramzinex, books: { move: (parts) => ramzinex.bookChanges(parts), of: (symbol) => ramzinex.book(symbol) } },
    { fake: tabdeal, movesBooks: true, books: { move: () => {}, of: (symbol) => tabdeal.book(symbol) } },
    {
      fake: binance,
      books: { move: (parts) => binance.bookChanges(parts), of: (symbol) => binance.book(symbol, 5_000) }
    },
    { fake: kraken, books: { move: (parts) => kraken.bookChanges(parts), of: (symbol) => kraken.book(symbol) } },
    { fake: okx, books: { move: (parts) => okx.bookChanges(parts), of: (symbol) => okx.book(symbol) } },
    { fake: coinbase, books: { move: (parts) => coinbase.bookChanges(parts), of: (symbol) => coinbase.book(symbol) } },
    { fake: bybit, books: { move: (parts) => bybit.bookChanges(parts), of: (symbol) => bybit.book(symbol) } }
  ]
}

/** They listen; `env` is what the service has to be told of them. */
export const start = async (options: Options) => {
  const { remember, wasTrue } = remembering()
  const ones = make(options, remember).filter(({ fake }) => options.exchanges?.includes(fake.id) ?? true)
  const fakes = ones.map(({ fake }) => fake)
  await Promise.all(fakes.map(({ server }) => server.listen()))
  cleanups.push(...fakes.map(({ server }) => () => server.close()))
  const env: Record<string, string> = { EXCHANGES: fakes.map(({ id }) => id).join(","), CHANNELS: "trades,books" }
  for (const { id, server } of fakes) {
    env[`${id.toUpperCase()}_API_URL`] = server.apiUrl
    env[`${id.toUpperCase()}_WS_URL`] = server.wsUrl
    env[`${id.toUpperCase()}_MARKETS`] = "*"
  }

  const look = () => {
    if (!options.judgesStates) return
    for (const { books, fake } of ones) {
      if (books === undefined) continue
      for (const { exchangeSymbol, symbol } of fake.tradable) remember(`${fake.id}:${symbol}`, books.of(exchangeSymbol))
    }
  }

  /** Trades of each exchange, and changes of each one's books ten times a second. */
  const move = (tradesPerSecond: number, partsPerTurn: number) => {
    look()
    let stops = fakes.map((fake) => fake.flood(tradesPerSecond))
    const moving = setInterval(() => {
      for (const { books } of ones) books?.move(partsPerTurn)
      look()
    }, 100)
    const stop = () => {
      clearInterval(moving)
      for (const each of stops) each()
    }
    cleanups.push(stop)
    return {
      /** Books stand still. Trades go on where they do not move books, so that no connection is given up for its silence. */
      calm: () => {
        stop()
        stops = ones.flatMap(({ fake, movesBooks }) => movesBooks === true ? [] : [fake.flood(tradesPerSecond)])
      },
      stop
    }
  }

  /** So many markets, and so many of them with a book. */
  const count = (which: (one: One) => boolean = () => true) =>
    ones.filter(which).reduce((total, { fake }) => total + fake.tradable.length, 0)

  return {
    ...options,
    ones,
    fakes,
    env,
    move,
    wasTrue,
    allMarkets: count(),
    allBooks: count(({ books }) => books !== undefined)
  }
}

export type Field = Awaited<ReturnType<typeof start>>

/** Reads what was delivered as it comes, as a reader of the topics would. */
export const judge = (field: Field, broker: string, prefix: string) => {
  const lanes = {
    trade: Consumer.following(broker, `${prefix}.trade.v1`),
    status: Consumer.following(broker, `${prefix}.status.v1`),
    book: Consumer.following(broker, `${prefix}.book.v1`)
  }
  const reader = BookReader.make()
  const bySide = new Set(field.ones.filter(({ books }) => books?.bySide === true).map(({ fake }) => fake.id))
  const events: Array<MarketEvent> = []
  const collectors = new Set<string>()
  /** Books, and what a reader has after a change, that the exchange never had. */
  const untrue: Array<string> = []
  const books = { pictures: 0, changes: 0 }

  const book = (value: string) => {
    const event: MarketEvent = JSON.parse(value)
    if (event.type !== "book" && event.type !== "book_delta") return
    books[event.type === "book" ? "pictures" : "changes"] += 1
    reader.read([event])
    if (!field.judgesStates) return
    const key = `${event.exchange}:${event.symbol}`
    const now = event.type === "book" ? event : reader.book(key)
    if (now !== undefined && !field.wasTrue(key, bySide.has(event.exchange), now)) {
      untrue.push(`${event.type} ${event.id}`)
    }
  }

  return {
    reader,
    events,
    collectors,
    untrue,
    books,
    /** All that is there by now. */
    read: async () => {
      for (const record of [...await lanes.trade(), ...await lanes.status()]) events.push(JSON.parse(record.value))
      for (const { headers, value } of await lanes.book()) {
        collectors.add(headers["collector"] ?? "")
        book(value)
      }
    },
    /** Markets whose book a reader has otherwise than the exchange, or not at all. */
    unlike: () =>
      field.ones.flatMap(({ books, fake }) =>
        books === undefined ? [] : fake.tradable.flatMap(({ exchangeSymbol, symbol }) => {
          const { asks, bids } = books.of(exchangeSymbol)
          return isDeepStrictEqual(reader.book(`${fake.id}:${symbol}`), { bids, asks }) ? [] : [`${fake.id}:${symbol}`]
        })
      ),
    untold: () => field.fakes.flatMap(({ issued }) => Oracle.untold(issued, events)),
    verdict: () => Oracle.judge(field.fakes.flatMap(({ issued }) => issued), events.filter(isTrade))
  }
}

export const isTrade = (event: MarketEvent): event is Trade => event.type === "trade"

/** Waits until each book is known to be true by the service. */
export const allLive = async (field: Field, service: () => Service, told: () => string): Promise<void> => {
  let waiting: ReadonlyArray<string> = []
  await until(
    "all books live",
    async () => {
      const { exchanges }: { readonly exchanges: ReadonlyArray<Status> } = JSON.parse(
        (await service().get("/api/status")).body
      )
      waiting = exchanges.flatMap(({ books: { doubtful, live, waiting }, exchange }) =>
        doubtful + waiting > 0 ? [`${exchange}: ${live} live, ${doubtful} doubtful, ${waiting} waiting`] : []
      )
      return exchanges.reduce((total, { books: { live } }) => total + live, 0) === field.allBooks
    },
    120_000,
    () => `${waiting.join("; ")}\n${told()}\n${service().tail(20)}`
  )
}

interface Status {
  readonly exchange: string
  readonly books: { readonly waiting: number; readonly live: number; readonly doubtful: number }
}

/** Waits until there are none, or fails with those that there are. */
export const none = async (
  what: string,
  find: () => Promise<ReadonlyArray<string>>,
  within: number,
  told: string
): Promise<void> => {
  let found: ReadonlyArray<string> = []
  const isOver = async () => (found = await find()).length === 0
  await until(what, isOver, within).catch((cause: unknown) =>
    assert.fail(`${String(cause)}: ${found.length}, ${found.slice(0, 20).join(", ")}; ${told}`)
  )
}
