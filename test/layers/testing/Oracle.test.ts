import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  divided,
  type Expected,
  Issued,
  judge,
  padded,
  parsed,
  printed,
  untold
} from "../../../src/layers/testing/Oracle.ts"
import type { MarketEvent, Trade } from "../../../src/services/MarketEvent.ts"

const expected: Expected = {
  exchange: "wallex",
  symbol: "BTC/IRT",
  exchangeSymbol: "BTCTMN",
  price: "5",
  amount: "1",
  side: "buy",
  timestamp: "2025-06-01T09:33:41.000Z"
}

/** How a trade reached somebody. */
type Way = "sent" | "doubtful" | "unsent" | "served"

const issue = (id: string, way: Way = "sent", counted = false): Issued => {
  const one = new Issued(expected, id, counted)
  one.pushed = way === "sent" || way === "doubtful" ? 1 : 0
  one.doubted = way === "doubtful" ? 1 : 0
  one.served = way === "served"
  return one
}

const deliver = (id: string, fields: Partial<Trade> = {}): Trade => ({
  type: "trade",
  v: 1,
  id,
  ...expected,
  receivedAt: expected.timestamp,
  source: "ws",
  ...fields
})

const clean = { missing: [], doubtful: [], unsent: [], foreign: [], wrong: [], duplicates: [], disordered: [] }

describe("judge", () => {
  it("has nothing to say when all is well", () => {
    assert.deepStrictEqual(judge([issue("a"), issue("b")], [deliver("a"), deliver("b")]), clean)
  })

  it("tells what is missing, by how it was sent", () => {
    const issued = [issue("a"), issue("b", "doubtful"), issue("c", "unsent"), issue("d", "served")]
    assert.deepStrictEqual(judge(issued, []), { ...clean, missing: ["a"], doubtful: ["b"], unsent: ["c", "d"] })
  })

  it("takes what may have been seen, and nothing else", () => {
    const issued = [issue("a", "doubtful"), issue("b", "served"), issue("c", "unsent")]
    const delivered = [deliver("a"), deliver("b", { source: "rest" }), deliver("c"), deliver("x")]
    assert.deepStrictEqual(judge(issued, delivered), { ...clean, unsent: ["c"], foreign: ["c", "x"] })
  })

  it("tells every field that differs", () => {
    const fields: Partial<Trade> = {
      exchange: "bitpin",
      symbol: "ETH/IRT",
      exchangeSymbol: "ETHTMN",
      price: "5.0",
      amount: "2",
      side: "sell",
      timestamp: "2025-06-01T09:33:42.000Z"
    }
    for (const [field, value] of Object.entries(fields)) {
      const verdict = judge([issue("a")], [deliver("a", { [field]: value })])
      assert.deepStrictEqual(verdict, {
        ...clean,
        missing: ["a"],
        foreign: ["a"],
        wrong: [{ id: "a", fields: [field] }]
      })
    }
  })

  it("tells duplicates and disorder, of first deliveries only, each way of arrival by itself", () => {
    const issued = ["a", "b", "c"].map((id) => issue(id))
    const ids = (...all: ReadonlyArray<string>) => all.map((id) => deliver(id))
    assert.deepStrictEqual(judge(issued, ids("a", "b", "a", "c")), { ...clean, duplicates: ["a"] })
    assert.deepStrictEqual(judge(issued, ids("a", "c", "b")), { ...clean, disordered: ["b"] })
    assert.deepStrictEqual(judge(issued, [...ids("b", "c"), deliver("a", { source: "rest" })]), clean)
  })

  it("counts equal trades: 1 to n, without a hole", () => {
    const three = [issue("g", "sent", true), issue("g", "sent", true), issue("g", "sent", true)]
    const ids = (...numbers: ReadonlyArray<number>) => numbers.map((n) => deliver(`g:${n}`))
    assert.deepStrictEqual(judge(three, ids(1, 2, 3)), clean)
    assert.deepStrictEqual(judge(three, ids(1, 2)), { ...clean, missing: ["g:3"] })
    assert.deepStrictEqual(judge(three, ids(1, 2, 3, 4)), { ...clean, foreign: ["g:4"] })
    assert.deepStrictEqual(judge(three, ids(1, 2, 2, 3)), { ...clean, duplicates: ["g:2"] })
    assert.deepStrictEqual(judge(three, [deliver("g"), ...ids(1, 2, 3)]), { ...clean, foreign: ["g"] })
    assert.deepStrictEqual(judge(three, [deliver("g:01"), ...ids(1, 2, 3)]), { ...clean, foreign: ["g:01"] })
  })

  it("asks of equal trades that came in part only for those that surely came", () => {
    const group = [issue("g", "sent", true), issue("g", "doubtful", true), issue("g", "unsent", true)]
    const ids = (...numbers: ReadonlyArray<number>) => numbers.map((n) => deliver(`g:${n}`))
    assert.deepStrictEqual(judge(group, ids(1)), { ...clean, doubtful: ["g:2"], unsent: ["g:3"] })
    assert.deepStrictEqual(judge(group, ids(1, 2)), { ...clean, unsent: ["g:3"] })
    // Two are told: the first of them must have an id, too.
    assert.deepStrictEqual(judge(group, ids(2)), { ...clean, missing: ["g:1"], unsent: ["g:3"] })
    const doubtful = [issue("g", "doubtful", true), issue("g", "doubtful", true)]
    assert.deepStrictEqual(judge(doubtful, ids(2)), { ...clean, missing: ["g:1"] })
    assert.deepStrictEqual(judge(doubtful, []), { ...clean, doubtful: ["g:1", "g:2"] })
  })

  it("does not cry disorder where it cannot know which of equal trades was seen", () => {
    // g, a, g: the first g was lost, so that g:1 is the later one.
    const issued = [issue("g", "doubtful", true), issue("a"), issue("g", "sent", true)]
    assert.deepStrictEqual(judge(issued, [deliver("a"), deliver("g:1")]), { ...clean, doubtful: ["g:2"] })
    const sure = [issue("g", "sent", true), issue("a"), issue("g", "sent", true)]
    assert.deepStrictEqual(judge(sure, [deliver("a"), deliver("g:1"), deliver("g:2")]).disordered, ["g:1"])
  })

  it("finds every single fault in any history", () => {
    const history = fc.array(fc.constantFrom("x", "y", "z"), { minLength: 2, maxLength: 30 })
    fc.assert(
      fc.property(history, fc.nat(), fc.constantFrom("lose", "repeat", "invent", "change"), (names, at, fault) => {
        const issued = names.map((name) => issue(name, "sent", true))
        const counts = new Map<string, number>()
        const delivered = names.map((name) => {
          const n = (counts.get(name) ?? 0) + 1
          counts.set(name, n)
          return deliver(`${name}:${n}`)
        })
        assert.deepStrictEqual(judge(issued, delivered), clean)
        const i = at % delivered.length
        const victim = delivered[i]
        if (victim === undefined) return
        const { id } = victim
        const without = delivered.filter((one) => one !== victim)
        switch (fault) {
          case "lose":
            return assert.deepStrictEqual(judge(issued, without).missing, [id])
          case "repeat":
            return assert.deepStrictEqual(judge(issued, [...delivered, victim]), { ...clean, duplicates: [id] })
          case "invent":
            return assert.deepStrictEqual(judge(issued, [...without, deliver("w:1")]).foreign, ["w:1"])
          case "change":
            return assert.deepStrictEqual(judge(issued, [...without, { ...victim, price: "6" }]).foreign, [
              id
            ])
        }
      }),
      { numRuns: 2_000 }
    )
  })
})

describe("untold", () => {
  const at = (id: string, second: number): Issued => {
    const one = new Issued({ ...expected, timestamp: `2025-06-01T09:33:${second}.000Z` }, id, false)
    one.pushed = 1
    return one
  }
  const issued = [at("early", 10), at("first", 20), at("same", 20), at("lost", 30), at("last", 40)]
  const delivered = [issued[1], issued[4]].flatMap((one) => one === undefined ? [] : [deliver(one.id, one.expected)])
  const gap = (fields: object): MarketEvent => ({
    type: "status",
    v: 1,
    exchange: "wallex",
    symbol: "BTC/IRT",
    event: "gap",
    id: "g",
    receivedAt: expected.timestamp,
    gapId: "g",
    from: "2025-06-01T09:33:20Z",
    to: "2025-06-01T09:33:30.0000Z",
    complete: false,
    ...fields
  })

  it("names what is lost, but nothing of a market without a past", () => {
    assert.deepStrictEqual(untold(issued, delivered), ["lost"])
    assert.deepStrictEqual(untold(issued, []), [])
  })

  it("passes what lies in a hole that stayed open: of its market, its exchange and its time", () => {
    assert.deepStrictEqual(untold(issued, [...delivered, gap({})]), [])
    for (
      const other of [
        { symbol: "ETH/IRT" },
        { exchange: "bitpin" },
        { from: "2025-06-01T09:33:30.0001Z", to: "2025-06-01T09:33:40Z" },
        { to: "2025-06-01T09:33:29.999999Z" },
        { event: "stale" }
      ]
    ) assert.deepStrictEqual(untold(issued, [...delivered, gap(other)]), ["lost"], JSON.stringify(other))
  })

  it("takes the last word about a hole", () => {
    assert.deepStrictEqual(untold(issued, [...delivered, gap({}), gap({ id: "h", complete: true })]), ["lost"])
    assert.deepStrictEqual(untold(issued, [...delivered, gap({}), gap({ id: "h", gapId: "h", complete: true })]), [])
  })
})

describe("decimals", () => {
  const decimal = fc.tuple(fc.bigInt({ min: 0n, max: 10n ** 27n }), fc.integer({ min: 0, max: 18 })).map(
    ([units, scale]) => ({ units, scale })
  )

  it("are printed as they are", () => {
    assert.strictEqual(printed({ units: 11_379_465_211n, scale: 0 }), "11379465211")
    assert.strictEqual(printed({ units: 1_086_870n, scale: 8 }), "0.0108687")
    assert.strictEqual(printed({ units: 0n, scale: 3 }), "0")
    assert.strictEqual(padded({ units: 1_086_870n, scale: 8 }, 8), "0.01086870")
    assert.strictEqual(padded({ units: 5n, scale: 0 }, 16), "5.0000000000000000")
    assert.strictEqual(padded({ units: 129n, scale: 2 }, 1), "1.2")
    assert.throws(() => parsed("1e5"))
    assert.throws(() => parsed(".5"))
  })

  it("come back the same, and have one print", () => {
    fc.assert(
      fc.property(decimal, fc.integer({ min: 0, max: 9 }), (one, extra) => {
        assert.deepStrictEqual(parsed(padded(one, one.scale)), one)
        const text = printed(one)
        assert.match(text, /^(0|[1-9]\d*)(\.\d*[1-9])?$/)
        assert.strictEqual(printed(parsed(text)), text)
        assert.strictEqual(printed(parsed(padded(one, one.scale + extra))), text)
      }),
      { numRuns: 2_000 }
    )
  })

  it("are divided to 18 places, half to even", () => {
    const quotient = (a: string, b: string) => printed(divided(parsed(a), parsed(b)))
    assert.strictEqual(quotient("11075213", "1019000000"), "0.01086870755642787")
    assert.strictEqual(quotient("1", "3"), "0.333333333333333333")
    assert.strictEqual(quotient("2", "3"), "0.666666666666666667")
    assert.strictEqual(quotient("0.000000000000000001", "2"), "0")
    assert.strictEqual(quotient("0.000000000000000003", "2"), "0.000000000000000002")
    assert.strictEqual(quotient("0.000000000000000005", "2"), "0.000000000000000002")
  })

  it("are divided as near as 18 places can be", () => {
    fc.assert(
      fc.property(decimal, decimal.filter(({ units }) => units > 0n), (a, b) => {
        // |q * b - a| <= b / 2 / 10^18, all in integers.
        const q = divided(a, b)
        const left = q.units * b.units * 10n ** BigInt(a.scale)
        const right = a.units * 10n ** BigInt(18 + b.scale)
        const gap = left > right ? left - right : right - left
        assert.isTrue(2n * gap <= b.units * 10n ** BigInt(a.scale))
      }),
      { numRuns: 2_000 }
    )
  })
})
