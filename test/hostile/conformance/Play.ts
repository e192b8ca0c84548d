/**
 * What an exchange's feed does when its server behaves in one of the ways that servers are known for (docs/conformance.md): dials,
 * recovery, holes, books. Each behaviour has its own server on loopback, and all run at once; waits are scaled down.
 */
import type { HttpClient, Socket } from "@effect/platform"
import { assert } from "@effect/vitest"
import { Cause, Duration, Effect, Fiber } from "effect"
import { isDeepStrictEqual } from "node:util"
import * as BookReader from "../../../src/layers/testing/BookReader.ts"
import type { FakeExchange } from "../../../src/layers/testing/FakeExchange.ts"
import * as Oracle from "../../../src/layers/testing/Oracle.ts"
import type { MarketEvent } from "../../../src/services/MarketEvent.ts"
import type { BooksOptions } from "../../../src/streams/books/Options.ts"
import type { Exchange } from "../../../src/streams/Exchange.ts"
import type * as Topics from "../../../src/streams/Feed/Topics.ts"
import { defaults, run, until } from "../Running.ts"
import { type Behaviour, behaviours, markets, wishes, type World } from "./Behaviours.ts"
import * as TrueBooks from "./TrueBooks.ts"

export const scale = 20
export const scaled = defaults(scale)

export const perSecond = 40

/** Between two changes of books, ms: each market's turn comes every two seconds, as all the servers share one event loop. */
export const bookEvery = 2_000 / markets

/** How patient the feed is, ms: a market trades twice a second here, and its book changes every two seconds. */
const timing: Topics.Timing = {
  answer: 1_000,
  market: { floor: 4_000, unknown: 5_000, cap: 6_000 },
  // Feeds and servers share one event loop: while it is busy for a second, the server is silent too.
  connection: { floor: 3_000, unknown: 3_500, cap: 6_000 },
  opinion: { after: 30_000, every: 60_000 }
}

export interface Row {
  readonly name: string
  readonly dials: number
  readonly lastError: string | null
  readonly recovery: number
  readonly issued: number
  readonly rest: number
  readonly gaps: number
  readonly untold: ReadonlyArray<string>
  /** Where books were collected too. */
  readonly books?: {
    readonly told: number
    readonly gaps: number
    readonly wrong: ReadonlyArray<string>
  } | undefined
}

/** An exchange, how its servers are made, and how their books are looked at. */
export interface Subject<Fake extends FakeExchange> {
  readonly exchange: Exchange
  readonly world: World<Fake>
  /** Left out: trades alone. */
  readonly booksOf?: (fake: Fake) => TrueBooks.Books
  /** How its books are asked for, where that is not with all levels and by changes. */
  readonly asked?: Partial<BooksOptions>
  /** Behaviours that mean nothing to it, by their beginnings. */
  readonly without?: ReadonlyArray<string>
}

/** How long anything is waited for, ms: what fails by it fails for ever, and a busy machine may take that long. */
const patience = 60_000

/** Those whose names hold it; all if it is left out. */
const only = process.env["CONFORMANCE_ONLY"] ?? ""

/** Connections that it has while all is well: one, or one for each channel. */
const connectionsOf = ({ socket }: Exchange, hasBooks: boolean): number =>
  hasBooks && socket.connection !== undefined ? 2 : 1

const dialsOf = ({ dials, unansweredDials }: Behaviour, exchange: Exchange, hasBooks: boolean) => {
  const [least, most] = exchange.socket.acknowledges ? dials : unansweredDials ?? dials
  const connections = connectionsOf(exchange, hasBooks)
  return [least * connections, most * connections] as const
}

/** Whose trades no socket brings is judged by its books. */
const isBrought = ({ rest }: Exchange) => (event: MarketEvent): boolean =>
  rest.polling === undefined ? event.type === "trade" : event.type === "book" || event.type === "book_delta"

/** Counts markets of which the socket has brought something of each channel, from one of the events on. */
const heardFrom = (events: ReadonlyArray<MarketEvent>, from: number, exchange: Exchange, hasBooks: boolean) => {
  const trades = new Set<string>()
  const books = new Set<string>()
  let read = from
  return (): number => {
    for (; read < events.length; read++) {
      const event = events[read]
      if (event === undefined || event.type === "status" || event.source !== "ws") continue
      if (event.type === "trade") trades.add(event.symbol)
      else books.add(event.symbol)
    }
    return Math.min(exchange.rest.polling === undefined ? trades.size : markets, hasBooks ? books.size : markets)
  }
}

/** Both sides of each book move once more, and then a reader has each as it truly is. */
const endsWithBooks = (name: string, fake: FakeExchange, books: TrueBooks.Books, events: ReadonlyArray<MarketEvent>) =>
  Effect.gen(function*() {
    for (const { exchangeSymbol } of fake.tradable) {
      const { asks, bids } = books.book(exchangeSymbol)
      // Some exchanges tell one side at a time.
      for (let n = 0; n < 20; n++) {
        const now = books.book(exchangeSymbol)
        if (!isDeepStrictEqual(now.bids, bids) && !isDeepStrictEqual(now.asks, asks)) break
        books.move(exchangeSymbol)
      }
    }
    const reader = BookReader.make()
    let read = 0
    const untrue = () => {
      reader.read(events.slice(read))
      read = events.length
      return fake.tradable.filter(({ exchangeSymbol, symbol }) => {
        const { asks, bids } = books.book(exchangeSymbol)
        return !isDeepStrictEqual(reader.book(`${fake.id}:${symbol}`), { bids, asks })
      }).map(({ symbol }) => symbol)
    }
    let left = untrue()
    // A market that fell silent is subscribed to anew, and its picture asked for 10 s after that, if the socket brings none.
    const started = performance.now()
    while (left.length > 0 && performance.now() - started < patience) {
      yield* Effect.sleep("500 millis")
      left = untrue()
    }
    assert.deepStrictEqual(left, [], `${name}: books in the end`)
    assert.strictEqual(reader.distrusts(), 0, `${name}: a reader had to forget what it had read`)
  })

/** One change of a book after the other, until it is interrupted: so many a second also on a busy machine, or markets would seem silent. */
const movesBooks = (fake: FakeExchange, { move }: TrueBooks.Books) =>
  Effect.gen(function*() {
    const started = performance.now()
    for (let turn = 0;;) {
      yield* Effect.sleep(bookEvery)
      for (; turn < (performance.now() - started) / bookEvery; turn++) {
        move(fake.tradable[turn % markets]?.exchangeSymbol ?? "")
      }
    }
  })

const play = (
  exchange: Exchange,
  fake: FakeExchange,
  behaviour: Behaviour,
  books: TrueBooks.Books | undefined,
  otherwise: Partial<BooksOptions>
) =>
  Effect.gen(function*() {
    const { begin, fromStart = false, heal, lasts = 2_500, name } = behaviour
    const hasBooks = books !== undefined
    const [least] = dialsOf(behaviour, exchange, hasBooks)
    // Refreshed while nothing changes, too.
    const asked: BooksOptions = {
      depth: "all",
      interval: Duration.seconds(1),
      refresh: Duration.seconds(4),
      deltas: true,
      ...otherwise
    }
    const bookTopics = (exchangeSymbol: string) =>
      exchange.socket.topics("books", { exchangeSymbol, symbol: "" }, asked)
    const truth = books === undefined ? undefined : TrueBooks.make(fake, books, bookTopics)
    if (fromStart) begin(fake)
    const running = yield* run(exchange, {
      endpoints: fake,
      channels: hasBooks ? ["trades", "books"] : ["trades"],
      books: asked,
      // One connection, whatever the exchange allows.
      subscriptionsPerConnection: 3 * markets,
      scale,
      timing,
      // What was rejected for good is asked for again with the next list.
      marketsRefresh: "3 seconds"
    })
    const { events } = running
    const brings = isBrought(exchange)
    const enough = exchange.rest.polling === undefined ? 2 * perSecond : markets
    let [read, brought] = [0, 0]
    const count = (): number => {
      for (; read < events.length; read++) {
        const event = events[read]
        if (event !== undefined && brings(event)) brought += 1
      }
      return brought
    }
    const stopFlood = fake.flood(perSecond)
    const moving = yield* Effect.fork(books === undefined ? Effect.void : movesBooks(fake, books))
    if (!fromStart) {
      yield* until(`${name}: data before`, () => count() > enough, patience)
      begin(fake)
    }
    yield* Effect.sleep(lasts)
    // It goes on as long as it takes on a busy machine: that a feed comes back again and again is what is judged, not how soon.
    if (least > connectionsOf(exchange, hasBooks)) {
      yield* until(`${name}: dials`, () => fake.server.dials.length >= least, patience)
    }
    fake.server.heal()
    heal?.(fake)
    const had = count()
    const heard = heardFrom(events, events.length, exchange, hasBooks)
    // The longest delay is 1.5 s here, the breaker's wait too; live trades may wait 5 s for their history.
    const recovery = yield* until(`${name}: data after healing`, () => count() > had, patience)
    // All markets: what was asked for in vain is asked for again, and what is silent is missed in time.
    yield* until(`${name}: data of all markets after healing`, () => heard() === markets, patience)
    yield* Effect.sleep("1 second")
    // From now on books stand still, and then nobody trades: a silent connection is replaced, which is no dial of this behaviour.
    const dials = fake.server.dials.length
    yield* Fiber.interrupt(moving)
    // What asks for trades judges no connection by them; and there it is they that move the books.
    if (exchange.rest.polling !== undefined) stopFlood()
    if (books !== undefined) yield* endsWithBooks(name, fake, books, events)
    stopFlood()
    // Histories of whole seconds take 3.2 s from the subscription, and holes that stay open are told after 5.
    yield* until(`${name}: holes closed`, () => running.status().gaps.open === 0, patience)
    const ofTrades = () => events.filter((event): boolean => !TrueBooks.isOfBooks(event))
    // The last may still be on their way on a busy machine: that they arrive is what is judged.
    let untold = Oracle.untold(fake.issued, ofTrades())
    for (let n = 0; n === 0 || (untold.length > 0 && n < 40); n++) {
      yield* Effect.sleep("500 millis")
      untold = Oracle.untold(fake.issued, ofTrades())
    }
    const trades = running.trades()
    const verdict = Oracle.judge(fake.issued, trades)
    assert.deepStrictEqual(
      { duplicates: verdict.duplicates, foreign: verdict.foreign, disordered: verdict.disordered },
      { duplicates: [], foreign: [], disordered: [] },
      name
    )
    return {
      name,
      dials,
      lastError: running.status().lastError,
      recovery: Math.round(recovery),
      issued: fake.issued.length,
      rest: trades.filter(({ source }) => source === "rest").length,
      gaps: ofTrades().filter((event) => event.type === "status" && event.event === "gap").length,
      untold,
      books: truth === undefined ? undefined : {
        told: events.filter(({ type }) => type === "book" || type === "book_delta").length,
        gaps: events.filter((event) => TrueBooks.isGap(event) && event["complete"] === false).length,
        wrong: truth.judge(events)
      }
    }
  })

/** Plays them all, and judges each. Fails with those that do not end. */
export const conformance = <Fake extends FakeExchange>(
  { asked = {}, booksOf, exchange, without = [], world }: Subject<Fake>
): Effect.Effect<ReadonlyArray<Row>, Error, HttpClient.HttpClient | Socket.WebSocketConstructor> =>
  Effect.gen(function*() {
    const chosen = behaviours.filter(({ name }) =>
      name.includes(only) && !without.some((start) => name.startsWith(start))
    )
    const failures: Array<string> = []
    const pending = new Map<string, "plays" | "ends">()
    const at = (name: string, phase: "plays" | "ends") => Effect.sync(() => pending.set(name, phase))
    const played = (alone: boolean) =>
      Effect.forEach(
        chosen.filter((one) => (one.alone ?? false) === alone),
        (one) =>
          at(one.name, "plays").pipe(
            Effect.zipRight(world({ ...wishes, ...one.options })),
            Effect.flatMap((fake) => play(exchange, fake, one, booksOf?.(fake), asked)),
            Effect.zipLeft(at(one.name, "ends")),
            Effect.scoped,
            // The others go on: what is wrong with one may be wrong with several.
            Effect.catchAllCause((cause) =>
              Effect.sync(() => void failures.push(Cause.pretty(cause).split("\n    at ")[0] ?? ""))
            ),
            Effect.ensuring(Effect.sync(() => pending.delete(one.name)))
          ),
        { concurrency: "unbounded" }
      ).pipe(
        // Disconnected: whoever does not end is named, and not waited for.
        Effect.disconnect,
        Effect.timeoutFail({
          duration: "5 minutes",
          onTimeout: () =>
            new Error(`not done: ${[...pending].map((one) => one.join(" ")).join(", ")}; ${failures.join("; ")}`)
        })
      )
    const rows = [...yield* played(false), ...yield* played(true)].filter((row) => row !== undefined)
    assert.deepStrictEqual(failures, [])
    for (const row of rows) {
      const behaviour = chosen.find(({ name }) => name === row.name) ?? assert.fail(row.name)
      const [least, greatest] = dialsOf(behaviour, exchange, booksOf !== undefined)
      const what = `${row.name} (last error: ${row.lastError})`
      assert.isAtLeast(row.dials, least, what)
      assert.isAtMost(row.dials, greatest, what)
      assert.deepStrictEqual(row.untold, [], row.name)
      assert.deepStrictEqual(row.books?.wrong ?? [], [], row.name)
    }
    assert.lengthOf(rows, chosen.length)
    return rows
  })
