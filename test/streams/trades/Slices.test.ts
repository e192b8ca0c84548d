/**
 * What the feed keeps of a frame is a text of its own. A slice of a frame keeps all of it in memory: windows of twenty rows, of which one
 * id each was kept, made 705 MiB of it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Board from "../../../src/streams/Board.ts"
import type { Exchange, Position } from "../../../src/streams/Exchange.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import { wallex } from "../../../src/streams/exchanges/Wallex.ts"
import * as Session from "../../../src/streams/Feed/Session.ts"
import * as Topics from "../../../src/streams/Feed/Topics.ts"
import * as Json from "../../../src/streams/protocols/Json.ts"
import * as Repeats from "../../../src/streams/protocols/Repeats.ts"
import * as Rhythm from "../../../src/streams/Rhythm.ts"
import * as StatusEvents from "../../../src/streams/StatusEvents.ts"
import * as TradesChannel from "../../../src/streams/trades/TradesChannel.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

const heap = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

const MiB = 1024 * 1024

const moment = (ms: number): Time.Moment => ({ at: Time.instant(ms), wall: Time.wallTime(ms) })

const markets = 40

/** A session of that exchange, without a socket, that has subscribed to all its markets. */
const session = (exchange: Exchange, exchangeSymbol: (i: number) => string) => {
  const board = Board.make(FeedStatus.make([exchange.id]), exchange.id)
  const positions = new Map<string, Position>()
  const shared: Session.Shared = {
    exchange,
    board,
    channels: [TradesChannel.alone({ exchange, board, ledger: Ledger.make() })],
    statusEvents: StatusEvents.make(exchange.id, "slices"),
    timing: Topics.defaultTiming,
    positions,
    refused: new Set()
  }
  const topics = new Map(
    Array.from({ length: markets }, (_, i) => ({ symbol: `M${i}/IRT`, exchangeSymbol: exchangeSymbol(i) }))
      .flatMap((market) =>
        exchange.socket.topics("trades", market).map((topic) =>
          [topic, { channel: "trades" as const, market }] as const
        )
      )
  )
  const made = Session.make({ shared, connection: 0, topics, rhythm: Rhythm.make(), now: moment(0).at })
  const handle = (text: string) => made.handle([{ _tag: "text", text, ...moment(1) }])
  made.handle([{ _tag: "open", ...moment(0) }])
  if (exchange.socket.hello !== undefined) handle("{\"id\":1,\"connect\":{}}")
  while (made.hasCommands()) made.command(moment(0).at)
  return { handle, positions }
}

const filling = "x".repeat(MiB)

/** Of a market of its own each, all texts so long that V8 would keep them as slices. */
const bitpinFrame = (i: number): string => {
  const row =
    `{"id":"73802972_7380${1000 + i}","price":"11379465211.5${1000 + i}1","base_amount":"0.0108687000${1000 + i}1",` +
    `"quote_amount":"5000.5","side":"buy","time":1781182785.2636${1000 + i}}`
  return `{"push":{"channel":"matches:MARKET_NUMBER_${i}","pub":{"data":{"matches":[${row}],"filling":"${filling}"},"offset":${i}}}}`
}

const wallexFrame = (i: number): string =>
  `["MARKETNUMBER${i}TMN@trade",{"isBuyOrder":true,"quantity":"1.50000000000${1000 + i}1","price":"82131.00000000${
    1000 + i
  }1",` +
  `"timestamp":"2026-06-01T09:33:10.263${100 + i}Z","filling":"${filling}"}]`

const grown = (run: (i: number) => unknown): number => {
  const kept: Array<unknown> = []
  const before = heap()
  for (let i = 0; i < markets; i++) kept.push(run(i))
  const after = heap()
  assert.strictEqual(kept.length, markets)
  return after - before
}

describe("What is kept of a frame", () => {
  it("is not the frame: events, ids, prices of BitPin", () => {
    const { handle } = session(bitpin, (i) => `MARKET_NUMBER_${i}`)
    const growth = grown((i) => {
      const { events } = handle(bitpinFrame(i))
      assert.strictEqual(events.length, 1)
      return events
    })
    assert.isBelow(growth, markets * MiB / 4)
  })

  it("is not the frame: events, groups, prices of Wallex", () => {
    const { handle } = session(wallex, (i) => `MARKETNUMBER${i}TMN`)
    const growth = grown((i) => {
      const { events } = handle(wallexFrame(i))
      assert.strictEqual(events.length, 1)
      return events
    })
    assert.isBelow(growth, markets * MiB / 4)
  })

  it("is not the frame: the last row of each market, though its time is a slice and it has more fields than it needs", () => {
    const sliced: Exchange = {
      ...bitpin,
      socket: {
        ...bitpin.socket,
        decode: (text, topicOf) =>
          bitpin.socket.decode(text, topicOf).map((message) =>
            message._tag === "trades"
              ? {
                ...message,
                rows: message.rows.map((row) => ({
                  ...row,
                  id: "1",
                  price: "1",
                  amount: "1",
                  // Whatever it says: it is kept as it is.
                  time: text.slice(0, 27),
                  comment: text.slice(0, 100)
                }))
              }
              : message
          )
      }
    }
    const { handle } = session(sliced, (i) => `MARKET_NUMBER_${i}`)
    const growth = grown((i) => {
      assert.strictEqual(handle(bitpinFrame(i)).events.length, 1)
    })
    assert.isBelow(growth, markets * MiB / 4)
  })

  it("is not the frame: the places in topics' histories", () => {
    const { handle, positions } = session(bitpin, (i) => `MARKET_NUMBER_${i}`)
    // The connect command was the first.
    const growth = grown((i) =>
      handle(
        `{"id":${
          i + 2
        },"subscribe":{"recoverable":true,"epoch":"epoch-of-the-server-${i}","offset":1,"filling":"${filling}"}}`
      )
    )
    assert.strictEqual(positions.size, markets)
    assert.isBelow(growth, markets * MiB / 4)
  })

  it("is not the document, of what parse makes and whole", () => {
    const id = (made: Either.Either<unknown, unknown>): unknown =>
      Either.isRight(made) ? Reflect.get(Object(made.right), "id") : undefined
    const text = (i: number) => `{"id":"73802972_7380${1000 + i}","filling":"${filling}"}`
    assert.isBelow(grown((i) => id(Json.parse(text(i)))), markets * MiB / 4)
    assert.isBelow(grown((i) => Json.whole(String(id(Json.parseFrame(text(i)))))), markets * MiB / 4)
    // What the others would look like if it were.
    assert.isAbove(grown((i) => id(Json.parseFrame(text(i)))), markets * MiB / 2)
  })

  it("is not the message, of the rows of each topic's last one", () => {
    const repeats = Repeats.make((row) => row)
    const row = (n: number) => `{"id":"73802972_7380${1000 + n}","price":"11379465211.125","side":"buy"}`
    // Longer messages are not kept at all.
    const share = filling.slice(0, 60_000)
    const topics = MiB / share.length
    const growth = grown((i) => {
      for (let topic = 0; topic < topics; topic++) {
        // Each message has a filling of its own, and rows that the next ones have too.
        for (let n = 0; n < 4; n++) {
          const rows = Array.from({ length: 8 }, (_, k) => row(n - k + 8)).join()
          const text = `{"rows":[${rows}],"filling":"${n}${share}"}`
          const known = repeats.rowsOf(`topic ${i} ${topic}`, text)
          assert.isDefined(known)
          Json.parseFrame(text, known)
        }
      }
      return repeats
    })
    assert.isBelow(growth, markets * MiB / 4)
  })

  it("is bounded, of the rows of each topic's last one, whatever topics a server makes up", () => {
    const repeats = Repeats.make((row) => row)
    const growth = grown((i) => {
      for (let topic = 0; topic < 50; topic++) {
        const rows = Array.from({ length: 120 }, (_, n) => `["${String(n).padStart(480, "x")}"]`).join()
        for (let n = 0; n < 2; n++) Json.parseFrame(`[${rows}]`, repeats.rowsOf(`topic ${i} ${topic}`, `[${rows}]`))
      }
      return repeats
    })
    // Each row twice, as text and as value: 2 000 topics of 120 rows of half a KiB would be 230 MiB.
    assert.isBelow(growth, 64 * MiB)
  })
})
