import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as TradeGroups from "../../../src/streams/trades/TradeGroups.ts"

const second = Date.UTC(2026, 5, 11, 12, 59, 45)

const trade = (timestamp = second, price = "100", amount = "2.5", side = "buy"): TradeGroups.Equal => ({
  timestamp,
  side,
  price,
  amount
})

const id = (n: number, timestamp = second): string => `${timestamp}:buy:100:2.5:${n}`

describe("TradeGroups", () => {
  it("counts equal trades of one session", () => {
    const views = TradeGroups.makeViews()
    const groups = TradeGroups.make()
    const view = views.open()
    assert.strictEqual(groups.add(view, trade()), id(1))
    assert.strictEqual(groups.add(view, trade()), id(2))
    assert.strictEqual(groups.add(view, trade(second, "101")), `${second}:buy:101:2.5:1`)
    assert.strictEqual(groups.add(view, trade(second, "100", "2.5", "sell")), `${second}:sell:100:2.5:1`)
    assert.strictEqual(groups.add(view, trade(second + 1000)), id(1, second + 1000))
  })

  it("goes on counting after a reconnect within the same second", () => {
    const views = TradeGroups.makeViews()
    const groups = TradeGroups.make()
    const first = views.open()
    groups.add(first, trade())
    views.close(first)
    assert.strictEqual(groups.add(views.open(), trade()), id(2))
  })

  it("takes what two sockets saw at the same time for one", () => {
    const views = TradeGroups.makeViews()
    const groups = TradeGroups.make()
    const [one, other] = [views.open(), views.open()]
    assert.strictEqual(groups.add(one, trade()), id(1))
    assert.isUndefined(groups.add(other, trade()))
    assert.strictEqual(groups.add(other, trade()), id(2))
    assert.isUndefined(groups.add(one, trade()))
  })

  it("lets a view that closed while another was open not add to that one", () => {
    const views = TradeGroups.makeViews()
    const groups = TradeGroups.make()
    const old = views.open()
    groups.add(old, trade())
    const fresh = views.open()
    views.close(old)
    assert.isUndefined(groups.add(fresh, trade()))
    views.close(fresh)
    assert.strictEqual(groups.add(views.open(), trade()), id(2))
  })

  it("goes on from ids of an earlier life, neither again nor leaving one out", () => {
    const views = TradeGroups.makeViews()
    const groups = TradeGroups.make([id(1), id(2), "nonsense", `${second}:buy:100`, "x:buy:1:1:1"])
    assert.strictEqual(groups.size(), 1)
    const view = views.open()
    assert.strictEqual(groups.add(view, trade()), id(3))
    assert.strictEqual(groups.add(view, trade()), id(4))
    assert.strictEqual(groups.add(view, trade(second + 1000)), id(1, second + 1000))
  })

  it("forgets by the exchange's time and by number", () => {
    const views = TradeGroups.makeViews()
    const groups = TradeGroups.make()
    const view = views.open()
    for (let i = 0; i < 1000; i++) groups.add(view, trade(second + i * 1000))
    assert.isAtMost(groups.size(), 122)
    for (let i = 0; i < 20_000; i++) groups.add(view, trade(second + 1_000_000, String(i + 1)))
    assert.isAtMost(groups.size(), 16_384)
  })

  it("is not made to forget by a time from the future", () => {
    const views = TradeGroups.makeViews()
    const groups = TradeGroups.make()
    const view = views.open()
    groups.add(view, trade())
    groups.add(view, trade(Date.UTC(9999, 0)))
    assert.strictEqual(groups.add(view, trade()), id(2))
  })

  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("trade" as const), group: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("reconnect" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) }
  )

  it("gives ids 1..n to n trades over any reconnects and restarts", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let views = TradeGroups.makeViews()
        let groups = TradeGroups.make()
        let view = views.open()
        const all: Array<string> = []
        const expected: Array<string> = []
        const counts = [0, 0, 0]
        for (const action of steps) {
          if (action.kind === "reconnect") {
            views.close(view)
            view = views.open()
          } else if (action.kind === "restart") {
            views = TradeGroups.makeViews()
            groups = TradeGroups.make(all)
            view = views.open()
          } else {
            counts[action.group] = (counts[action.group] ?? 0) + 1
            const timestamp = second + action.group * 1000
            expected.push(id(counts[action.group] ?? 0, timestamp))
            all.push(groups.add(view, trade(timestamp)) ?? "duplicate")
          }
        }
        assert.deepStrictEqual(all, expected)
      }),
      { numRuns: 20_000 }
    )
  })

  it("lets the highest count decide between sockets that overlapped", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3), fc.nat(2)), { maxLength: 60 }),
        (arrivals) => {
          const views = TradeGroups.makeViews()
          const groups = TradeGroups.make()
          const open = Array.from({ length: 4 }, () => views.open())
          const told: Array<string> = []
          const seen = new Map<string, number>()
          for (const [socket, group] of arrivals) {
            const view = open[socket]
            if (view === undefined) continue
            const key = `${socket}:${group}`
            seen.set(key, (seen.get(key) ?? 0) + 1)
            const given = groups.add(view, trade(second + group * 1000))
            if (given !== undefined) told.push(given)
          }
          const expected: Array<string> = []
          for (const group of [0, 1, 2]) {
            const most = Math.max(0, ...[0, 1, 2, 3].map((socket) => seen.get(`${socket}:${group}`) ?? 0))
            for (let n = 1; n <= most; n++) expected.push(id(n, second + group * 1000))
          }
          assert.deepStrictEqual(told.sort(), expected.sort())
        }
      ),
      { numRuns: 10_000 }
    )
  })

  it("counts planned rotations right: overlapping pairs, one after the other", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ alone: fc.nat(3), shared: fc.nat(3) }), { maxLength: 6 }), (rounds) => {
        const views = TradeGroups.makeViews()
        const groups = TradeGroups.make()
        let total = 0
        const told: Array<string> = []
        const see = (view: TradeGroups.View) => {
          const given = groups.add(view, trade())
          if (given !== undefined) told.push(given)
        }
        let current = views.open()
        for (const { alone, shared } of rounds) {
          for (let i = 0; i < alone; i++) see(current)
          const next = views.open()
          for (let i = 0; i < shared; i++) {
            see(current)
            see(next)
          }
          // The old one saw all of this group that there was, the new one a part of it: the old one's count decides.
          total += alone + shared
          views.close(current)
          views.close(next)
          current = views.open()
        }
        assert.deepStrictEqual(told, Array.from({ length: total }, (_, i) => id(i + 1)))
      }),
      { numRuns: 10_000 }
    )
  })

  it("a history does not bring again what was told before a hole so long that the group is forgotten", () => {
    const groups = TradeGroups.make()
    const view = TradeGroups.makeViews().open()
    groups.add(view, trade())
    groups.add(view, trade())
    const known = groups.idsAt(trade().timestamp)
    // Beyond the window, as two trades agree: nothing of the old second is remembered.
    groups.add(view, trade(second + 600_000))
    groups.add(view, trade(second + 601_000))
    assert.strictEqual(groups.size(), 2)
    assert.deepStrictEqual(groups.identifyHistory([trade(), trade(), trade()], known), [undefined, undefined, id(3)])
  })
})
