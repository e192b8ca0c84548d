/** A subscription that recovers what was missed goes on from the book that is kept, and from no other place. */
import { assert, describe, it } from "@effect/vitest"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Board from "../../../src/streams/Board.ts"
import * as BooksChannel from "../../../src/streams/books/BooksChannel.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import * as Session from "../../../src/streams/Feed/Session.ts"
import * as Topics from "../../../src/streams/Feed/Topics.ts"
import * as Rhythm from "../../../src/streams/Rhythm.ts"
import * as StatusEvents from "../../../src/streams/StatusEvents.ts"

const topic = "orderbook:BTC_IRT"

const picture = (offset: number) => ({ data: { bids: [[String(offset), "1"]], asks: [["90", "1"]] }, offset })

/** Sessions, one after the other, that share the place to which the topic's history has come. */
const sessions = () => {
  const board = Board.make(FeedStatus.make([bitpin.id]), bitpin.id)
  const statusEvents = StatusEvents.make(bitpin.id, "test")
  const moment = { at: Time.instant(0), wall: Time.wallTime(1_781_182_785_301) }
  const channel = BooksChannel.alone({
    exchange: bitpin,
    board,
    ledger: Ledger.make(),
    statusEvents,
    collector: "me",
    depth: 20,
    deltas: false,
    now: () => moment
  })
  const shared: Session.Shared = {
    exchange: bitpin,
    board,
    channels: [channel],
    statusEvents,
    timing: Topics.defaultTiming,
    positions: new Map(),
    refused: new Set()
  }
  const market = { symbol: "BTC/IRT", exchangeSymbol: "BTC_IRT" }
  let connection = 0
  /** What is told of a session that hears this, and is lost then. */
  return (subscribe: object, ...pushed: ReadonlyArray<number>): ReadonlyArray<string> => {
    const session = Session.make({
      shared,
      connection: connection++,
      topics: new Map([[topic, { channel: "books", market }]]),
      rhythm: Rhythm.make(),
      now: moment.at
    })
    const events = [...session.handle([{ _tag: "open", ...moment }]).events]
    const say = (frame: object) => {
      events.push(
        ...session.handle([{ _tag: "text", text: JSON.stringify(frame), ...moment }]).events,
        ...channel.left()
      )
      while (session.hasCommands()) session.command(moment.at)
    }
    say({ id: 1, connect: {} })
    say({ id: 2, subscribe: { recoverable: true, epoch: "e1", ...subscribe } })
    for (const offset of pushed) say({ push: { channel: topic, pub: picture(offset) } })
    session.end()
    events.push(...channel.left())
    return events.flatMap((event) => {
      if (event.type === "book") return [`book ${event.sequence}`]
      return event.type === "status" && event.event === "gap" ? [event["complete"] === true ? "whole" : "doubtful"] : []
    })
  }
}

describe("A book after a lost connection", () => {
  it("goes on where all that was missed follows", () => {
    const session = sessions()
    assert.deepStrictEqual(session({ offset: 10 }, 11), ["book e1_11", "doubtful"])
    const publications = [picture(12), picture(13)]
    assert.deepStrictEqual(
      session({ offset: 13, recovered: true, publications }),
      ["whole", "book e1_11", "book e1_12", "book e1_13", "doubtful"]
    )
  })

  it("does not where another session came to a later place, and brought nothing of what was before it", () => {
    const session = sessions()
    assert.deepStrictEqual(session({ offset: 10 }, 11), ["book e1_11", "doubtful"])
    assert.deepStrictEqual(session({ offset: 15, recovered: false }), [])
    assert.deepStrictEqual(session({ offset: 15, recovered: true }, 16), ["whole", "book e1_16", "doubtful"])
  })

  it("does not where the last that came before could not be read", () => {
    const session = sessions()
    assert.deepStrictEqual(session({ offset: 10 }, 11, Number.NaN), ["book e1_11", "doubtful"])
    assert.deepStrictEqual(session({ offset: 11, recovered: true }), [])
  })
})
