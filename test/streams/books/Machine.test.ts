/** What a book's machine says, case by case (docs/design/contract.md "Books"). */
import { assert, describe, it } from "@effect/vitest"
import * as Time from "../../../src/services/Time.ts"
import type { Level } from "../../../src/streams/books/Levels.ts"
import * as Machine from "../../../src/streams/books/Machine.ts"

const epochMs = 1_781_182_785_301

/** One market, by a clock of its own. All that is due is done at once. */
const make = (options: Partial<Machine.Options> = {}) => {
  const state = Machine.initial({
    key: "x:A/B",
    collector: "k3f9",
    depth: 20,
    interval: 1_000,
    refresh: 60_000,
    deltas: false,
    phase: 0,
    canAsk: true,
    ...options
  })
  let now = 0
  const step = (input: Machine.Input): ReadonlyArray<Machine.Command> =>
    Machine.step(state, input, { at: Time.instant(now), wall: Time.wallTime(epochMs + now) })
  const due = (): ReadonlyArray<Machine.Command> => {
    const wake = Machine.wakeAt(state)
    return wake === undefined || Time.between(wake, Time.instant(now)) < 0 ? [] : [...step({ _tag: "Due" }), ...due()]
  }
  const tell = (input: Machine.Input): ReadonlyArray<Machine.Command> => [...step(input), ...due()]
  return {
    state,
    tell,
    /** As `tell`, with no room for what is due. */
    step,
    /** Time passes, millisecond by millisecond where something is due. */
    pass: (ms: number): ReadonlyArray<Machine.Command> => {
      const out: Array<Machine.Command> = []
      for (const end = now + ms; now < end;) {
        const wake = Machine.wakeAt(state)
        now = Math.min(end, wake === undefined ? end : Math.max(now + 1, Time.between(Time.instant(0), wake)))
        out.push(...due())
      }
      return out
    },
    /** `since`: all that was said behind that number follows. */
    heard: (listener = 0, epoch?: string, since?: bigint) => tell({ _tag: "Heard", listener, epoch, since }),
    /** `deafFor`: it had brought nothing of anything for so long, ms. */
    lost: (listener = 0, cause: "disconnected" | "stale" = "disconnected", deafFor = 0) =>
      tell({ _tag: "Lost", listener, cause, aliveAt: Time.instant(now - deafFor) }),
    part: (
      part: Machine.Part["part"],
      levels: { readonly bids?: ReadonlyArray<Level>; readonly asks?: ReadonlyArray<Level> },
      { listener = 0, sequence, timestamp = null }: {
        readonly listener?: number
        readonly sequence?: number
        readonly timestamp?: number | null
      } = {}
    ) =>
      tell({
        _tag: "Part",
        listener,
        part: {
          part,
          bids: levels.bids ?? [],
          asks: levels.asks ?? [],
          previous: undefined,
          sequence: sequence === undefined ? undefined : BigInt(sequence),
          timestamp
        }
      })
  }
}

const bid = (price: string, amount = "1"): { readonly bids: ReadonlyArray<Level> } => ({ bids: [[price, amount]] })
const ask = (price: string, amount = "1"): { readonly asks: ReadonlyArray<Level> } => ({ asks: [[price, amount]] })

const tags = (commands: ReadonlyArray<Machine.Command>) =>
  commands.flatMap((one) => one._tag === "Count" ? [] : [one._tag])
const told = (commands: ReadonlyArray<Machine.Command>) =>
  commands.flatMap((one) => one._tag === "Book" || one._tag === "Delta" ? [one] : [])
const outcomes = (commands: ReadonlyArray<Machine.Command>) =>
  commands.flatMap((one) => one._tag === "Count" ? [one.outcome] : [])

describe("Sides that come one at a time", () => {
  it("are told when both are known, under numbers of the collector's", () => {
    const market = make()
    market.heard()
    assert.deepStrictEqual(outcomes(market.part("bids", bid("1"))), ["early"])
    const [book] = told(market.part("asks", ask("2")))
    assert.deepInclude(book, { _tag: "Book", bids: [["1", "1"]], asks: [["2", "1"]], timestamp: null, source: "ws" })
    assert.match(book?.sequence ?? "", /^k3f9[a-z0-9]+_0$/)
    assert.strictEqual(book?.id, `x:A/B:b:k3f9:${epochMs}:1`)
    market.pass(4_500)
    market.part("bids", bid("1.5"))
    const [next] = told(market.pass(1_000))
    assert.strictEqual(next?.sequence, book?.sequence.replace(/_0$/, "_1"))
  })

  it("while they cross nothing is sent and nothing is told, and a delta leads across it", () => {
    const market = make({ deltas: true, depth: "all" })
    market.heard()
    market.part("bids", bid("1"))
    const [anchor] = told(market.part("asks", ask("2")))
    assert.deepStrictEqual(tags(market.part("bids", bid("3"))), [])
    assert.deepStrictEqual(tags(market.pass(120_000)), [])
    const [delta] = told(market.part("asks", ask("4")))
    assert.deepInclude(delta, {
      _tag: "Delta",
      previous: anchor?.sequence ?? "",
      bids: [["3", "1"], ["1", "0"]],
      asks: [["2", "0"], ["4", "1"]]
    })
  })

  it("that cross from the beginning are no book yet", () => {
    const market = make()
    market.heard()
    market.part("bids", bid("3"))
    assert.deepStrictEqual(tags(market.part("asks", ask("2"))), [])
    assert.strictEqual(market.state.phase, "waiting")
    assert.deepStrictEqual(tags(market.part("asks", ask("4"))), ["Book"])
  })

  it("are asked for after ten seconds without the other", () => {
    const market = make()
    market.heard()
    market.part("bids", bid("1", "7"))
    assert.deepStrictEqual(tags(market.pass(9_999)), [])
    assert.deepStrictEqual(tags(market.pass(1)), ["Ask"])
    const part = { part: "whole", ...bid("1", "5"), ...ask("2"), previous: undefined, sequence: undefined } as const
    const [book] = told(market.tell({ _tag: "Answer", part: { ...part, timestamp: null } }))
    // The side that the socket brought is no older than the answer.
    assert.deepInclude(book, { bids: [["1", "7"]], asks: [["2", "1"]], source: "rest" })
  })
})

describe("Numbers of the exchange", () => {
  const first = (market: ReturnType<typeof make>, sequence = 10, timestamp: number | null = epochMs) => {
    market.heard(0, "e1")
    return told(market.part("whole", { ...bid("1"), ...ask("2") }, { sequence, timestamp }))
  }

  it("make sequence and id, which every collector has alike", () => {
    const [book] = first(make())
    assert.deepInclude(book, { sequence: "e1_10", id: "x:A/B:b:e1_10", timestamp: "2026-06-11T12:59:45.301Z" })
  })

  it("that go back within the epoch are old", () => {
    const market = make({ interval: 0 })
    first(market)
    for (const sequence of [9, 10]) {
      const said = market.part("whole", { ...bid("1.5"), ...ask("2") }, { sequence, timestamp: epochMs })
      assert.deepStrictEqual([outcomes(said), tags(said)], [["old"], []])
    }
    assert.deepStrictEqual(tags(market.part("whole", { ...bid("1.5"), ...ask("2") }, { sequence: 11 })), ["Book"])
  })

  it("that begin again get the time of the frame behind them", () => {
    const market = make({ interval: 0 })
    first(market)
    market.lost()
    market.heard(1, "e1")
    const part = { ...bid("1.5"), ...ask("2") }
    const [book] = told(market.part("whole", part, { listener: 1, sequence: 3, timestamp: epochMs + 5_000 }))
    assert.strictEqual(book?.sequence, "e1_3.1781182790")
    const [next] = told(market.part("whole", bid("1"), { listener: 1, sequence: 4, timestamp: epochMs + 6_000 }))
    assert.strictEqual(next?.sequence, "e1_4.1781182790")
  })

  it("that began again on a frame without a time are none that others could know", () => {
    const market = make({ interval: 0 })
    first(market, 10, null)
    market.lost()
    market.heard(1, "e1")
    const [book] = told(market.part("whole", { ...bid("1.5"), ...ask("2") }, { listener: 1, sequence: 3 }))
    assert.match(book?.sequence ?? "", /^k3f9[a-z0-9]+_0$/)
  })

  it("of another epoch count anew", () => {
    const market = make({ interval: 0 })
    first(market)
    market.lost()
    market.heard(1, "e2")
    const [book] = told(market.part("whole", { ...bid("1.5"), ...ask("2") }, { listener: 1, sequence: 3 }))
    assert.strictEqual(book?.sequence, "e2_3")
  })

  it("go on where all that was missed follows", () => {
    const market = make()
    first(market)
    assert.deepStrictEqual(tags(market.lost()), ["Gap"])
    assert.deepStrictEqual(tags(market.heard(1, "e1", 10n)), ["Gap", "Book"])
    assert.strictEqual(market.state.phase, "live")
  })
})

describe("What a subscription recovers", () => {
  const lost = () => {
    const market = make()
    market.heard(0, "e1")
    market.part("whole", { ...bid("1"), ...ask("2") }, { sequence: 10 })
    assert.deepStrictEqual(tags(market.lost()), ["Gap"])
    return market
  }

  it("goes on from before what is kept", () => {
    assert.deepStrictEqual(tags(lost().heard(1, "e1", 8n)), ["Gap", "Book"])
  })

  it("is behind what another session heard in between and brought nothing of: no book until a picture comes", () => {
    const market = lost()
    market.heard(1, "e1")
    market.lost(1)
    assert.deepStrictEqual(tags(market.heard(2, "e1", 15n)), [])
    assert.strictEqual(market.state.phase, "doubtful")
    const said = market.part("whole", { ...bid("1.5"), ...ask("2") }, { listener: 2, sequence: 16 })
    assert.deepStrictEqual(tags(said), ["Gap", "Book"])
  })
})

describe("A book that crosses", () => {
  it("after a whole part is a hole, until one that does not", () => {
    const market = make()
    market.heard()
    const [book] = told(market.part("whole", { ...bid("1"), ...ask("2") }, { timestamp: epochMs }))
    const from = { from: "2026-06-11T12:59:45.301Z", fromSequence: book?.sequence ?? "", cause: "crossed" } as const
    const [gap] = market.part("whole", { ...bid("2"), ...ask("2") }).filter(({ _tag }) => _tag === "Gap")
    assert.deepInclude(gap, { ...from, to: null, toSequence: null, complete: false })
    assert.deepStrictEqual(tags(market.part("whole", { ...bid("3"), ...ask("2") })), [])
    const said = market.part("whole", { ...bid("1"), ...ask("2") }, { timestamp: epochMs + 7 })
    assert.deepStrictEqual(tags(said), ["Gap", "Book"])
    const [whole] = said.filter(({ _tag }) => _tag === "Gap")
    assert.deepInclude(whole, { ...from, to: "2026-06-11T12:59:45.308Z", complete: true })
  })
})

describe("The pace", () => {
  it("has the first at once, a change in the market's turn, and an unchanged book again, as it was", () => {
    const market = make({ phase: 400 })
    market.heard()
    const whole = (price: string) => market.part("whole", { ...bid(price), ...ask("9") })
    const [first] = told(whole("1"))
    assert.strictEqual(first?._tag, "Book")
    assert.deepStrictEqual(tags(whole("2")), [])
    // The first took no turn.
    assert.deepStrictEqual(tags(market.pass(399)), [])
    assert.deepStrictEqual(told(market.pass(1)).map(({ bids }) => bids), [[["2", "1"]]])
    market.pass(100)
    whole("3")
    whole("4")
    // The next is at 1400 ms.
    assert.deepStrictEqual(tags(market.pass(899)), [])
    const [book] = told(market.pass(1))
    assert.deepStrictEqual(book?.bids, [["4", "1"]])
    const [again, ...others] = told(market.pass(60_000))
    assert.deepStrictEqual(others, [])
    assert.isTrue((again?.receivedAt ?? 0) > (book?.receivedAt ?? 0))
    assert.deepStrictEqual({ ...again, receivedAt: 0 }, { ...book, receivedAt: 0 })
  })

  it("tells nothing of a change beyond the depth, or of one that was taken back", () => {
    const market = make({ depth: 1 })
    market.heard()
    const whole = (...bids: ReadonlyArray<Level>) => market.part("whole", { bids, ...ask("9") })
    assert.deepStrictEqual(told(whole(["2", "1"], ["1", "1"])).map(({ bids }) => bids), [[["2", "1"]]])
    market.pass(1)
    whole(["2", "1"], ["1", "5"])
    whole(["3", "1"])
    whole(["2", "1"])
    assert.deepStrictEqual(tags(market.pass(5_000)), [])
  })

  it("is each change where the interval is 0, and no book is told again where the refresh is", () => {
    const market = make({ interval: 0, refresh: 0 })
    market.heard()
    for (const price of ["1", "2", "3"]) {
      assert.deepStrictEqual(tags(market.part("whole", { ...bid(price), ...ask("9") })), ["Book"])
    }
    assert.deepStrictEqual(tags(market.pass(3_600_000)), [])
  })
})

describe("A picture", () => {
  it("is asked for again after 30 s, doubled up to 10 min, and told as stale once", () => {
    const market = make()
    market.heard()
    const waits: Array<number> = []
    let stale = 0
    for (let n = 0; n < 8; n++) {
      let waited = 0
      while (!tags(market.pass(1_000)).includes("Ask")) waited += 1
      waits.push(waited + 1)
      stale += tags(market.tell({ _tag: "Answer", part: undefined })).filter((tag) => tag === "Stale").length
    }
    assert.deepStrictEqual(waits, [10, 30, 60, 120, 240, 480, 600, 600])
    assert.strictEqual(stale, 1)
  })

  it("that was asked for before the connection was lost says nothing of what it missed", () => {
    const market = make()
    market.heard()
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Ask"])
    market.lost()
    market.heard(1)
    const part = { part: "whole", ...bid("1"), ...ask("2"), previous: undefined, sequence: undefined } as const
    assert.deepStrictEqual(tags(market.tell({ _tag: "Answer", part: { ...part, timestamp: null } })), [])
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Ask"])
  })
})

describe("An answer that a cache on the way had kept", () => {
  const part = { part: "whole", ...bid("1"), ...ask("2"), previous: undefined, sequence: undefined } as const
  /** Heard at 5 s, asked 10 s later. */
  const answered = (sentAt: number) => {
    const market = make()
    market.pass(5_000)
    market.heard()
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Ask"])
    const answer = { part: { ...part, timestamp: null }, sentAt: Time.instant(sentAt) }
    return { market, said: tags(market.tell({ _tag: "Answer", ...answer })) }
  }

  it("from before the market was heard is none: what was said in between nobody knows", () => {
    const { market, said } = answered(4_999)
    assert.deepStrictEqual(said, [])
    assert.strictEqual(market.state.phase, "waiting")
    assert.deepStrictEqual(tags(market.pass(30_000)), ["Ask"])
  })

  it("from since then is the picture", () => {
    assert.deepStrictEqual(answered(5_000).said, ["Book"])
  })
})

describe("Who hears the market", () => {
  const live = () => {
    const market = make()
    market.heard(0)
    market.part("whole", { ...bid("1"), ...ask("2") })
    return market
  }

  it("goes on for another that it heard at the same time: no hole", () => {
    const market = live()
    market.heard(1)
    assert.deepStrictEqual(tags(market.lost(0)), [])
    assert.strictEqual(market.state.phase, "live")
    assert.deepStrictEqual(tags(market.lost(1)), ["Gap"])
  })

  it("goes on for none that was deaf before it came", () => {
    const market = live()
    market.pass(2_000)
    market.heard(1)
    assert.deepStrictEqual(tags(market.lost(0, "disconnected", 1)), ["Gap"])
  })

  it("leads as soon as it has the whole book; what an older session brings then is old", () => {
    const market = live()
    market.heard(1)
    market.part("whole", { ...bid("1.1"), ...ask("2") }, { listener: 1 })
    assert.deepStrictEqual(outcomes(market.part("whole", { ...bid("1"), ...ask("2") }, { listener: 0 })), ["old"])
  })

  it("may be silent: no book is doubtful for it, but one that is not subscribed to again", () => {
    const market = live()
    assert.deepStrictEqual(tags(market.lost(0, "stale")), [])
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Gap"])
    const other = live()
    other.lost(0, "stale")
    other.pass(5_000)
    other.heard(0)
    assert.deepStrictEqual(tags(other.pass(9_000)), [])
    assert.deepStrictEqual(tags(other.pass(1_000)), ["Ask"])
    assert.strictEqual(other.state.phase, "live")
  })
})

describe("A book whose leader fell silent", () => {
  /** Subscribed to anew by the same session, which has brought nothing since. */
  const silent = () => {
    const market = make()
    market.heard()
    market.part("bids", bid("10"))
    market.part("asks", ask("11"))
    market.pass(5_000)
    market.lost(0, "stale")
    market.heard()
    return market
  }

  it("is a hole when its connection is lost before it brought anything", () => {
    const market = silent()
    assert.deepStrictEqual(tags(market.lost()), ["Gap"])
  })

  it("is a hole when something that was said of it is missing", () => {
    const market = silent()
    assert.deepStrictEqual(tags(market.tell({ _tag: "Doubted", listener: 0, cause: "undecoded" })), ["Gap"])
  })

  it("stays as it is while another has heard it all the time, or falls silent again", () => {
    const market = silent()
    market.heard(1)
    assert.deepStrictEqual(tags(market.lost(1)), [])
    assert.deepStrictEqual(tags(market.lost(0, "stale")), [])
    market.heard()
    assert.strictEqual(market.state.phase, "live")
  })

  it("is told no more when one side has changed and the other is not known", () => {
    const market = silent()
    assert.deepStrictEqual(tags(market.part("asks", ask("11"))), [])
    const [gap, ...others] = market.part("asks", ask("9.5")).filter(({ _tag }) => _tag !== "Count")
    assert.deepStrictEqual(others, [])
    assert.deepInclude(gap, { _tag: "Gap", cause: "disconnected", complete: false })
    assert.deepStrictEqual(tags(market.pass(9_000)), [])
    assert.deepStrictEqual(tags(market.pass(1_000)), ["Ask"])
    assert.deepStrictEqual(tags(market.part("bids", bid("9"))), ["Gap", "Book"])
  })

  it("is a hole when what comes crosses", () => {
    const market = silent()
    const [gap, ...others] = market.part("whole", { ...bid("3"), ...ask("2") }).filter(({ _tag }) => _tag !== "Count")
    assert.deepStrictEqual(others, [])
    assert.deepInclude(gap, { _tag: "Gap", cause: "crossed", complete: false })
  })

  it("is a hole when its sides crossed just then", () => {
    const market = make()
    market.heard()
    market.part("bids", bid("10"))
    market.part("asks", ask("11"))
    market.part("bids", bid("12"))
    assert.deepStrictEqual(tags(market.lost(0, "stale")), ["Gap"])
  })
})

describe("Another session that goes on", () => {
  const both = () => {
    const market = make({ interval: 0 })
    market.heard(0)
    market.part("bids", bid("10"))
    market.part("asks", ask("11"))
    market.heard(1)
    return market
  }

  it("while the sides cross has them as they were last brought", () => {
    const market = both()
    market.part("bids", bid("12"))
    assert.deepStrictEqual(tags(market.lost(0)), [])
    assert.deepStrictEqual(tags(market.pass(120_000)), [])
    const books = told(market.part("asks", ask("13"), { listener: 1 }))
    assert.deepStrictEqual(books.map(({ asks, bids }) => ({ bids, asks })), [{ ...bid("12"), ...ask("13") }])
  })

  it("is none that hears only one of the two sides", () => {
    const market = make()
    market.heard(0)
    market.part("bids", bid("10"))
    market.part("asks", ask("11"))
    market.tell({ _tag: "Heard", listener: 1, since: undefined, epoch: undefined, isPartly: true })
    market.part("bids", bid("10.1"), { listener: 1 })
    assert.deepStrictEqual(tags(market.lost(0)), ["Gap"])
    // It has the rest now, and what it brought before stands.
    market.heard(1)
    assert.deepStrictEqual(tags(market.part("asks", ask("11"), { listener: 1 })), ["Gap", "Book"])
  })

  it("is none that brought another side than the one that led: it may be older, or its connection hangs", () => {
    const market = both()
    market.part("bids", bid("10.5"), { listener: 1 })
    assert.deepStrictEqual(tags(market.lost(0)), ["Gap"])
    assert.deepStrictEqual(tags(market.part("bids", bid("10.5"), { listener: 1 })), [])
    assert.deepStrictEqual(tags(market.part("asks", ask("11"), { listener: 1 })), ["Gap", "Book"])
  })

  it("has no sides that another had brought before: the picture that was asked for stands", () => {
    const market = both()
    market.part("bids", bid("10.2"), { listener: 1 })
    market.part("asks", ask("11.2"), { listener: 1 })
    // The elder is late, and hangs from then on.
    for (const side of ["bids", "asks"] as const) market.part(side, side === "bids" ? bid("10") : ask("11"))
    market.part("asks", ask("11.9"), { listener: 1 })
    assert.deepStrictEqual(tags(market.lost(1)), ["Gap"])
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Ask"])
    const part = { part: "whole", ...bid("10.8"), ...ask("12"), previous: undefined, sequence: undefined } as const
    const [book] = told(market.tell({ _tag: "Answer", part: { ...part, timestamp: null } }))
    assert.deepInclude(book, { ...bid("10.8"), ...ask("12"), source: "rest" })
  })

  it("is not gone back to by what a subscription recovers from before the picture that was asked for", () => {
    const market = make()
    market.heard(0, "e1")
    market.part("whole", { ...bid("1"), ...ask("2") }, { sequence: 10, timestamp: epochMs })
    market.lost(0, "stale")
    market.heard(1, "e1")
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Ask"])
    const answer = { part: "whole", ...bid("5"), ...ask("6"), previous: undefined, sequence: undefined } as const
    market.tell({ _tag: "Answer", part: { ...answer, timestamp: epochMs + 10_000 } })
    assert.deepStrictEqual(tags(market.lost(1)), ["Gap"])
    market.heard(2, "e1", 10n)
    const part = (price: string, sequence: number, ms: number) =>
      market.part("whole", { ...bid(price), ...ask("6") }, { listener: 2, sequence, timestamp: epochMs + ms })
    assert.deepStrictEqual(tags(part("3", 11, 5_000)), [])
    assert.deepStrictEqual(tags(part("5.5", 12, 10_001)), ["Gap", "Book"])
  })

  it("is none whose newest picture crossed: what it would go on with is older than that", () => {
    const market = make()
    market.heard(0, "e1")
    market.heard(1, "e1")
    market.part("whole", { ...bid("1"), ...ask("2") }, { sequence: 10 })
    market.part("whole", { ...bid("3"), ...ask("2") }, { sequence: 11, listener: 1 })
    assert.deepStrictEqual(tags(market.lost(0)), ["Gap"])
    assert.deepStrictEqual(
      tags(market.part("whole", { ...bid("1"), ...ask("2") }, { sequence: 12, listener: 1 })),
      ["Gap", "Book"]
    )
  })

  it("is none after a silence where another could not read something: a hole", () => {
    const market = both()
    market.tell({ _tag: "Doubted", listener: 1, cause: "undecoded" })
    assert.deepStrictEqual(tags(market.lost(0, "stale")), ["Gap"])
  })

  it("is none that brought something else beside the one that led: which is the newer nobody can tell", () => {
    const market = both()
    market.part("bids", bid("10"), { listener: 1 })
    market.part("asks", ask("11"), { listener: 1 })
    assert.deepStrictEqual(outcomes(market.part("asks", ask("11.5"))), ["old"])
    assert.deepStrictEqual(tags(market.lost(1)), ["Gap"])
    assert.deepStrictEqual(tags(market.part("bids", bid("10"))), ["Gap", "Book"])
  })

  it("while they cross and it brought one of them itself: a hole, as nobody can tell which is the newer", () => {
    const market = both()
    market.part("bids", bid("12"))
    market.part("asks", ask("13"), { listener: 1 })
    assert.deepStrictEqual(tags(market.lost(0)), ["Gap"])
    assert.deepStrictEqual(tags(market.part("bids", bid("12"), { listener: 1 })), ["Gap", "Book"])
  })

  it("mixes nothing that it brought before another led with what came then", () => {
    const market = both()
    market.part("bids", bid("10.5"), { listener: 1 })
    market.part("asks", ask("11"), { listener: 1 })
    assert.deepStrictEqual(tags(market.lost(1)), [])
    const books = told(market.part("asks", ask("11.5")))
    assert.deepStrictEqual(books.map(({ asks, bids }) => ({ bids, asks })), [{ ...bid("10.5"), ...ask("11.5") }])
  })
})

describe("A part that could not be read", () => {
  const spoil = (market: ReturnType<typeof make>, listener = 0) =>
    market.tell({ _tag: "Doubted", listener, cause: "undecoded" })

  it("leaves a hole until both sides are known anew", () => {
    const market = make()
    market.heard()
    market.part("bids", bid("1"))
    market.part("asks", ask("2"))
    const [gap] = spoil(market)
    assert.deepInclude(gap, { _tag: "Gap", cause: "overflow", complete: false })
    assert.deepStrictEqual(tags(spoil(market)), [])
    assert.deepStrictEqual(tags(market.part("asks", ask("3"))), [])
    const said = market.part("bids", bid("2"))
    assert.deepStrictEqual(tags(said), ["Gap", "Book"])
    assert.deepStrictEqual(told(said).map(({ asks, bids }) => ({ bids, asks })), [{ ...bid("2"), ...ask("3") }])
  })

  it("is missing from what another would inherit that could not read it either", () => {
    const market = make()
    market.heard(0)
    market.part("whole", { ...bid("1"), ...ask("2") })
    market.heard(1)
    spoil(market, 1)
    assert.deepStrictEqual(tags(spoil(market, 0)), ["Gap"])
    const other = make()
    other.heard(0)
    other.part("whole", { ...bid("1"), ...ask("2") })
    other.heard(1)
    spoil(other, 1)
    assert.deepStrictEqual(tags(other.lost(0)), ["Gap"])
    // It is the one that hears, as soon as it has brought something that can be read.
    assert.deepStrictEqual(tags(other.part("whole", { ...bid("1"), ...ask("2") }, { listener: 1 })), ["Gap", "Book"])
  })

  it("is not known to be in a picture that was asked for before", () => {
    const market = make()
    market.heard()
    assert.deepStrictEqual(tags(market.pass(10_000)), ["Ask"])
    spoil(market)
    const part = { part: "whole", ...bid("1"), ...ask("2"), previous: undefined, sequence: undefined } as const
    assert.deepStrictEqual(tags(market.tell({ _tag: "Answer", part: { ...part, timestamp: null } })), [])
    assert.deepStrictEqual(tags(market.pass(30_000)), ["Ask"])
    assert.deepStrictEqual(tags(market.tell({ _tag: "Answer", part: { ...part, timestamp: null } })), ["Book"])
  })
})

describe("Holes that nobody could be told of", () => {
  const live = () => {
    const market = make()
    market.heard(0, "e1")
    const [book] = told(market.part("whole", { ...bid("1"), ...ask("2") }, { sequence: 1, timestamp: epochMs }))
    return { market, from: book?.sequence ?? "" }
  }
  /** Doubtful, and whole again, with no room for a word of it. */
  const flap = (market: ReturnType<typeof make>, sequence: number) => {
    const doubt = market.step({ _tag: "Doubted", listener: 0, cause: "undecoded" })
    const part = {
      part: "whole",
      ...bid("1"),
      ...ask("2"),
      previous: undefined,
      timestamp: epochMs + sequence
    } as const
    return [...doubt, ...market.step({ _tag: "Part", listener: 0, part: { ...part, sequence: BigInt(sequence) } })]
  }

  it("are one, from the beginning of the first to the end of the last", () => {
    const { from, market } = live()
    for (let n = 2; n <= 1_000; n++) assert.deepStrictEqual(tags(flap(market, n)), [])
    const [first, last, book, ...others] = market.tell({ _tag: "Due" })
    assert.deepStrictEqual(others, [])
    assert.deepInclude(first, { cause: "overflow", fromSequence: from, to: null, complete: false, isLast: false })
    assert.deepInclude(last, { fromSequence: from, toSequence: "e1_1000", complete: true, isLast: true })
    assert.deepInclude(last, { to: "2026-06-11T12:59:46.301Z" })
    assert.deepInclude(book, { _tag: "Book", sequence: "e1_1000" })
  })

  it("go on where the end of one was not told and it is doubtful again", () => {
    const { from, market } = live()
    assert.deepStrictEqual(tags(market.tell({ _tag: "Doubted", listener: 0, cause: "undecoded" })), ["Gap"])
    flap(market, 2)
    market.step({ _tag: "Doubted", listener: 0, cause: "undecoded" })
    assert.deepStrictEqual(tags(market.tell({ _tag: "Due" })), [])
    const said = market.part("whole", { ...bid("1"), ...ask("2") }, { sequence: 3 })
    assert.deepStrictEqual(tags(said), ["Gap", "Book"])
    assert.deepInclude(said.find(({ _tag }) => _tag === "Gap"), {
      fromSequence: from,
      toSequence: "e1_3",
      isLast: true
    })
  })

  it("are told before the last book at a stop", () => {
    const { market } = live()
    flap(market, 2)
    assert.deepStrictEqual(tags(market.step({ _tag: "Last" })), ["Gap", "Gap", "Book"])
  })
})

describe("A market that is not listed any more", () => {
  const ends = (market: ReturnType<typeof make>) =>
    market.step({ _tag: "Left" }).map((one) => one._tag === "Gap" ? [one.complete, one.isLast, one.to] : one)

  it("ends the hole of a doubtful book: it will not be whole again", () => {
    const market = make()
    market.heard()
    market.part("whole", { ...bid("1"), ...ask("2") })
    market.lost()
    assert.deepStrictEqual(ends(market), [[false, true, null]])
  })

  it("leaves a book of which nobody hears what follows, and no hole of one that was never known", () => {
    const market = make()
    market.heard()
    assert.deepStrictEqual(ends(market), [])
    market.part("whole", { ...bid("1"), ...ask("2") })
    assert.deepStrictEqual(ends(market), [[false, false, null], [false, true, null]])
  })
})

describe("A new picture of a live book", () => {
  const part = { part: "whole", ...bid("1.5"), ...ask("2"), previous: undefined, sequence: undefined } as const
  /** Silent, subscribed to anew, and then there is a picture by REST: under the collector's number. */
  const replaced = (deltas: boolean) => {
    const market = make({ deltas, interval: 0, depth: "all" })
    market.heard(0, "e1")
    market.part("whole", { ...bid("1"), ...ask("2") }, { sequence: 1 })
    market.lost(0, "stale")
    market.heard(0, "e1")
    market.pass(10_000)
    return told(market.tell({ _tag: "Answer", part: { ...part, timestamp: null } }))
  }

  it("is led to by a change, and followed at once by an anchor", () => {
    const [delta, anchor, ...others] = replaced(true)
    assert.deepStrictEqual(others, [])
    assert.deepInclude(delta, { _tag: "Delta", previous: "e1_1", bids: [["1.5", "1"], ["1", "0"]], asks: [] })
    assert.deepInclude(anchor, { _tag: "Book", sequence: delta?.sequence ?? "", ...bid("1.5"), ...ask("2") })
  })

  it("is one book where changes are not told", () => {
    assert.deepStrictEqual(replaced(false).map(({ _tag }) => _tag), ["Book"])
  })
})

describe("Of two sessions whose parts have no numbers", () => {
  const both = () => {
    const market = make({ interval: 0 })
    market.heard(0)
    market.part("bids", bid("10"))
    market.part("asks", ask("11"))
    market.heard(1)
    return market
  }
  const late = () => {
    const market = both()
    market.part("bids", bid("10.1"))
    market.part("asks", ask("11.5"))
    market.part("bids", bid("10.2"))
    return market
  }
  const bring = (market: ReturnType<typeof make>) => [
    ...market.part("bids", bid("10.1"), { listener: 1 }),
    ...market.part("asks", ask("11.5"), { listener: 1 })
  ]

  it("one that is late has not the book until it has come as far, and then leads", () => {
    const market = late()
    const commands = bring(market)
    assert.deepStrictEqual([outcomes(commands), tags(commands)], [["old", "old"], []])
    const caught = market.part("bids", bid("10.2"), { listener: 1 })
    assert.deepStrictEqual([outcomes(caught), tags(caught)], [["applied"], []])
    assert.deepStrictEqual(outcomes(market.part("asks", ask("11.5"))), ["old"])
  })

  it("one that is ahead leads at once", () => {
    const market = late()
    market.part("asks", ask("11.5"), { listener: 1 })
    const [book] = told(market.part("bids", bid("10.3"), { listener: 1 }))
    assert.deepInclude(book, { ...bid("10.3"), ...ask("11.5") })
  })

  it("a late one alone is a hole until it has come as far", () => {
    const market = late()
    bring(market)
    assert.deepStrictEqual(tags(market.lost(0)), ["Gap"])
    assert.deepStrictEqual(tags(market.part("asks", ask("11.5"), { listener: 1 })), [])
    const [gap, book] = market.part("bids", bid("10.2"), { listener: 1 }).filter(({ _tag }) => _tag !== "Count")
    assert.deepInclude(gap, { _tag: "Gap", complete: true })
    assert.deepInclude(book, { _tag: "Book", ...bid("10.2"), ...ask("11.5") })
  })

  it("one that goes on and then brings what was replaced before is a hole: it is late, or the book is so again", () => {
    const market = both()
    market.part("bids", bid("10.5"), { listener: 1 })
    market.part("asks", ask("11"), { listener: 1 })
    market.part("bids", bid("10.6"), { listener: 1 })
    assert.deepStrictEqual(tags(market.lost(1)), [])
    assert.deepStrictEqual(tags(market.part("bids", bid("10.5"))), ["Gap"])
    market.part("asks", ask("11"))
    assert.deepStrictEqual(tags(market.part("bids", bid("10.6"))), ["Gap", "Book"])
  })

  it("one that brought a side that is not in the book leaves a hole when the other falls silent", () => {
    const market = both()
    market.part("bids", bid("10.5"), { listener: 1 })
    assert.deepStrictEqual(tags(market.lost(0, "stale")), ["Gap"])
  })
})
