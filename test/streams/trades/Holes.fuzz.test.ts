import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { ending, setup, step } from "./Arbitraries.ts"
import { judge } from "./Judge.ts"
import { play } from "./Story.ts"
import { endings } from "./Story/Endings.ts"
import { day, type Rest, type Setup, start, type Step, type Told, whole } from "./Story/Model.ts"

/** Wallex: no ids, whole seconds. One trade is older than all. */
const wallex: Setup = { ids: "none", pages: null, hold: 5_000, maxAge: day, date: true, window: 1, slow: 0, before: 1 }

const at = (second: number): Step => ({ what: "until", ms: second * 1000 })
const connect: Step = { what: "connect", after: 0, recovers: false, mute: false }
const drop: Step = { what: "drop", newest: false }
const trades = (count: number): Step => ({ what: "trade", amount: "1", count })
const trade = trades(1)
const history = (rest: Partial<Rest>): Step => ({ what: "rest", rest: { ...whole, takes: 0, ...rest } })

/** Line by line, as each begins at its moment. */
const lines = (...all: ReadonlyArray<ReadonlyArray<Step>>): ReadonlyArray<Step> => all.flat()

const secondOf = (ms: number): number => (ms - start) / 1000

/** What the lives gave away, in order: a trade as `<second>:<n>`. */
const said = ({ words }: Told): ReadonlyArray<string> =>
  words.flatMap((word): ReadonlyArray<string> => {
    switch (word._tag) {
      case "Begin": {
        const last = word.memory?.lastTimestamp ?? null
        return last === null ? [] : [`life ${word.life} begins at ${secondOf(Date.parse(last))}`]
      }
      case "Trade": {
        const [time, , , , n] = (word.trade.id.split(":t:")[1] ?? "").split(":")
        return [`${secondOf(Number(time))}:${n} ${word.trade.source}`]
      }
      case "Gap": {
        const { complete, from, gapId, id, recovered, to } = word.gap
        const edge = (stamp: typeof from) => stamp === null ? "?" : secondOf(stamp.ms)
        const again = id === gapId ? "" : " again"
        return [`gap(${edge(from)}..${edge(to)}, complete:${complete}, recovered:${recovered})${again}`]
      }
      default:
        return []
    }
  })

/** What is said until the last step; whatever comes after, nothing is missing untold in the end. */
const told = (...steps: ReadonlyArray<Step>): ReadonlyArray<string> => {
  judge(play(wallex, [...steps, ...endings.healed]), "healed")
  return said(play(wallex, steps))
}

describe("Holes: what was seen", () => {
  describe("lost again while asked for", () => {
    const lostAgain = lines(
      [at(0), connect, trade, drop, trades(5)],
      [at(1), connect, trade],
      [at(2), drop]
    )

    for (const answer of [{ says: "nothing" }, { rows: 3 }, { says: "failure" }] as const) {
      const first = [history(answer), ...lostAgain]
      it(`the trade behind it waits for its own time, answered ${JSON.stringify(answer)}`, () => {
        assert.deepStrictEqual(told(...first, at(5.9)), ["0:1 ws"])
        assert.deepStrictEqual(told(...first, at(6.1)), [
          "0:1 ws",
          "gap(0..1, complete:false, recovered:0)",
          "1:1 ws"
        ])
      })

      it(`killed before that, the next life begins at 0, answered ${JSON.stringify(answer)}`, () => {
        const next: ReadonlyArray<Step> = [at(5.9), { what: "kill" }, { what: "start" }, history({}), connect]
        assert.deepStrictEqual(told(...first, ...next, at(10), trade, at(14)), [
          "0:1 ws",
          "life 2 begins at 0",
          "0:2 rest",
          "0:3 rest",
          "0:4 rest",
          "0:5 rest",
          "0:6 rest",
          "1:1 rest",
          "gap(0..10, complete:true, recovered:6)",
          "10:1 ws"
        ])
      })
    }
  })

  describe("open at the end", () => {
    const openAtTheEnd = lines(
      [at(0), connect, trade, drop, trade],
      [at(1), connect, trade]
    )
    /** History [-10, 0, 0, 1, 6] at 10. */
    const next: ReadonlyArray<Step> = [at(5), { what: "start" }, connect, at(6), trade, at(10)]

    it("a clean stop tells the hole, and the next life fills it", () => {
      assert.deepStrictEqual(told(history({ takes: 700 }), ...openAtTheEnd, at(3), { what: "stop" }, ...next), [
        "0:1 ws",
        "gap(0..1, complete:false, recovered:0)",
        "1:1 ws",
        "life 2 begins at 1",
        "0:2 rest",
        "gap(0..1, complete:true, recovered:1) again",
        "6:1 ws"
      ])
    })

    it("and is not worse than a crash", () => {
      assert.deepStrictEqual(told(history({ takes: 700 }), ...openAtTheEnd, at(3), { what: "kill" }, ...next), [
        "0:1 ws",
        "life 2 begins at 0",
        "0:2 rest",
        "1:1 rest",
        "gap(0..6, complete:true, recovered:2)",
        "6:1 ws"
      ])
    })
  })

  it("late history: what the socket brought does not come again", () => {
    const each10 = Array.from({ length: 27 }, (_, i) => 10 * (i + 1))
    assert.deepStrictEqual(
      told(...lines(
        [history({ says: "failure" })],
        [at(0), connect, trade, drop],
        [at(5), trade],
        [at(9), connect],
        ...each10.map((second) => [at(second), trade]),
        [history({}), at(500)]
      )),
      [
        "0:1 ws",
        "gap(0..10, complete:false, recovered:0)",
        ...each10.map((second) => `${second}:1 ws`),
        "5:1 rest",
        "gap(0..10, complete:true, recovered:1) again"
      ]
    )
  })

  describe("told and never closed", () => {
    const filledLate = lines(
      [history({ says: "failure" })],
      [at(0), connect, trade, drop, trade],
      [at(1), connect, trade],
      [at(10), history({}), { what: "sink", trades: 0, told: 60_000 }],
      [at(40)]
    )
    const first = [
      "0:1 ws",
      "gap(0..1, complete:false, recovered:0)",
      "1:1 ws",
      "0:2 rest",
      "gap(0..1, complete:true, recovered:1) again"
    ]
    const next = lines(
      [{ what: "sink", trades: 0, told: 0 }, { what: "start" }, connect],
      [at(50), trade],
      [at(60)]
    )

    it("killed before the last word was taken, the next life says it again", () => {
      assert.deepStrictEqual(told(...filledLate, { what: "kill" }, ...next), [
        ...first,
        "life 2 begins at 1",
        "gap(0..1, complete:true, recovered:1) again",
        "50:1 ws"
      ])
    })

    it("killed just after it was told, the next life knows by which id", () => {
      const steps = lines(
        [history({ says: "failure" }), at(0), connect, trade, drop, trade],
        [at(1), connect, trade],
        [at(6.2), { what: "kill" }]
      )
      judge(play(wallex, [...steps, ...endings.healed]), "healed")
    })

    it("stopped, the last word is taken, and it is said once", () => {
      assert.deepStrictEqual(told(...filledLate, { what: "stop" }, ...next), [
        ...first,
        "life 2 begins at 1",
        "50:1 ws"
      ])
    })
  })
})

describe("Holes: an old connection that was dead when its successor joined", () => {
  const replaced = lines(
    [at(0), connect, trade],
    [at(1), { what: "mute" }],
    [at(2), trade],
    [at(3), connect],
    [at(4), trade]
  )

  it("leaves a hole up to what the successor brought first", () => {
    assert.deepStrictEqual(told(...replaced, at(7), drop, at(8), trade, at(20)), [
      "0:1 ws",
      "4:1 ws",
      "2:1 rest",
      "gap(0..4, complete:true, recovered:1)",
      "8:1 ws"
    ])
  })

  it("one that brings something still leaves none", () => {
    const alive = lines([at(0), connect, trade], [at(3), connect], [at(4), trade], [at(7), drop], [at(8), trade], [
      at(20)
    ])
    assert.deepStrictEqual(told(...alive), ["0:1 ws", "4:1 ws", "8:1 ws"])
  })
})

it("Holes: of two connections that heard the same second, each in part, the old one leaves: the history counts its trades", () => {
  const steps = lines(
    [at(0), connect, trade],
    [at(2.1), trade],
    [at(2.3), connect, trade, drop],
    [at(2.6), trade],
    [at(30)]
  )
  assert.deepStrictEqual(told(...steps), [
    "0:1 ws",
    "2:1 ws",
    "2:2 ws",
    "2:3 rest",
    "gap(2..2, complete:true, recovered:1)"
  ])
})

describe("Holes: what holds nothing up, and what says nothing", () => {
  it("a disk that hangs holds trades up for a second", () => {
    const steps = lines(
      [history({ says: "failure" }), at(0), connect, trade, drop, trade],
      [{ what: "disk", disk: "hangs" }, at(1), connect, trade]
    )
    // The only question fails 3.2 s after the subscription: from then on the disk alone is waited for.
    assert.deepStrictEqual(told(...steps, at(5.1)), ["0:1 ws"])
    assert.deepStrictEqual(told(...steps, at(5.4)), ["0:1 ws", "gap(0..1, complete:false, recovered:0)", "1:1 ws"])
  })

  it("an answer to a question that was sent before the market was heard again does not say what it missed", () => {
    const steps = lines(
      [history({ early: true, takes: 4_000 }), at(0), connect, trade, drop],
      [at(1), connect],
      [at(2), drop],
      [at(2.5), trade],
      [at(3), connect],
      [at(6)]
    )
    judge(play({ ...wallex, ids: "own" }, [...steps, ...endings.healed]), "healed")
  })

  it("a hole without a beginning that an earlier life left may have begun before this one", () => {
    const steps: ReadonlyArray<Step> = [connect, connect, { what: "stop" }, trade, { what: "wait", ms: 2_500 }]
    judge(play({ ...wallex, ids: "own", before: 0 }, [...steps, ...endings.healed]), "healed")
  })

  it("what an old connection missed stands before what waits since the new one came", () => {
    const steps: ReadonlyArray<Step> = [connect, connect, drop, trade, { what: "mute" }, trade, connect, trade, drop]
    const own: Setup = { ...wallex, ids: "own", date: false, before: 0 }
    judge(play(own, [...steps, trade, drop, ...endings.healed]), "healed")
  })

  it("what an answer brought of a hole that was given up is kept with it until it is safe", () => {
    const own: Setup = { ...wallex, ids: "own", date: false, slow: 1_500, before: 0 }
    const steps: ReadonlyArray<Step> = [connect, drop, trade, { what: "unlist" }, trade, connect, trade]
    const wait: Step = { what: "wait", ms: 1_000 }
    judge(play(own, [...steps, wait, connect, { what: "kill" }, connect, ...endings.healed]), "healed")
  })

  it("a server that recovers brings all since the connection was lost, whatever is traded while nobody listens", () => {
    const pages: Setup["pages"] = { size: 2, holds: "oldest", empty: "end" }
    const consecutive: Setup = { ...wallex, ids: "consecutive", pages, date: false, before: 0 }
    const recovering = { what: "connect", recovers: true, mute: false } as const
    const slip: Step = { what: "slip", count: 1 }
    const steps: ReadonlyArray<Step> = [trade, drop, { ...recovering, after: 2_000 }, trade, slip, trade]
    judge(play(consecutive, [{ ...recovering, after: 0 }, ...steps, ...endings.healed]), "healed")
    // So it does of a connection that was dead.
    const dead: ReadonlyArray<Step> = [trade, { what: "mute" }, trade, slip, drop, { ...recovering, after: 0 }, trade]
    judge(play(consecutive, [{ ...recovering, after: 0 }, ...dead, ...endings.healed]), "healed")
  })

  it("an empty answer after one that had a trade does not say that there were none", () => {
    const steps: ReadonlyArray<Step> = [connect, { what: "others" }, drop, trade, { what: "wait", ms: 1 }, {
      what: "unlist"
    }]
    judge(play({ ...wallex, before: 0, date: false }, [...steps, ...endings.silent]), "silent")
  })
})

/** Stories that the property found once. */
describe("Holes: found by chance", () => {
  const named: Setup = {
    ids: "own",
    pages: null,
    hold: 5_000,
    maxAge: day,
    date: true,
    window: 1,
    slow: 1_500,
    before: 3
  }
  const paged: Setup = {
    ids: "consecutive",
    pages: { size: 1, holds: "newest" },
    hold: 5_000,
    maxAge: day,
    date: false,
    window: 3,
    slow: 0,
    before: 3
  }
  const wait = (ms: number): Step => ({ what: "wait", ms })
  const recovering: Step = { what: "connect", after: 0, recovers: true, mute: false }

  it("numbers missing when a life died, and never told, leave the checkpoint when the history shows that they were left out", () => {
    const steps: ReadonlyArray<Step> = [
      recovering,
      { what: "leap", count: 1 },
      trade,
      wait(6_000),
      { what: "kill" },
      wait(10)
    ]
    judge(play(paged, [...steps, { what: "slip", count: 1 }, ...endings.healed]), "healed")
  })

  it("what fills a hole and is on its way, when the market is gone and the process dies, is asked for before the hole behind it", () => {
    const gone: ReadonlyArray<Step> = [
      drop,
      { what: "rest", rest: { ...whole, takes: 900 } },
      trade,
      connect,
      { what: "unlist" },
      trade,
      wait(2_500),
      { what: "kill" },
      trade,
      { what: "sink", trades: 0, told: 0 }
    ]
    judge(play(named, [recovering, ...gone, ...endings.healed]), "healed")
    judge(play(named, [recovering, trade, wait(3_000), ...gone, ...endings.healed]), "healed")
  })

  it("all up to where a span is filled is known, though no trade of it came in this life: what follows shows what is missing", () => {
    const steps: ReadonlyArray<Step> = [
      recovering,
      drop,
      { what: "unlist" },
      { what: "leap", count: 1 },
      wait(1_000),
      trade,
      drop,
      trade
    ]
    judge(play({ ...paged, date: true, window: 1 }, [...steps, ...endings.healed]), "healed")
  })

  it("a span that was settled before anything behind it was known ends where the next trade comes", () => {
    const oldest: Setup = { ...paged, pages: { size: 2, holds: "oldest", empty: "end" }, window: 1, before: 0 }
    const steps: ReadonlyArray<Step> = [
      recovering,
      history({ says: "unsound" }),
      trade,
      drop,
      trade,
      connect,
      trade,
      drop
    ]
    judge(play(oldest, [...steps, ...endings.healed]), "healed")
  })

  it("a page that was asked for before the market was heard again is not passed over", () => {
    const steps: ReadonlyArray<Step> = [
      recovering,
      trade,
      { what: "silence" },
      trade,
      connect,
      { what: "unlist" },
      { what: "mute" },
      { what: "unlist" },
      trade,
      { what: "sink", trades: 0, told: 0 }
    ]
    judge(play({ ...paged, window: 1, before: 0 }, [...steps, ...endings.healed]), "healed")
  })
})

/**
 * `npm run test:faults` tells more, others each time. The short run tells the same ones each time: some in 20 000 find what is known and open
 * (docs/design/delivery.md "What is not there"), and who changes something else is not to be stopped by one of them. FUZZ_SEED chooses.
 */
const stories = Number(process.env["FUZZ_STORIES"] ?? 1_000)
const chosen = process.env["FUZZ_SEED"]
const seed = chosen !== undefined ? Number(chosen) : stories <= 5_000 ? 20_261_201 : undefined

describe("Holes", () => {
  it("nothing is missing untold, whatever happens", async () => {
    await fc.assert(
      fc.asyncProperty(setup, fc.array(step, { minLength: 3, maxLength: 30 }), ending, async (setup, steps, ending) => {
        // The runner wants to be told now and then that its worker lives.
        await new Promise((resolve) => setImmediate(resolve))
        const first: Step = { what: "connect", after: 0, recovers: true, mute: false }
        // A hole that may be of any age waits for its history for ever.
        const maxAge = ending === "silent" ? day : setup.maxAge
        judge(play({ ...setup, maxAge }, [first, ...steps, ...endings[ending]]), ending)
      }),
      { numRuns: stories, ...seed === undefined ? {} : { seed } }
    )
  }, 3_600_000)
})
