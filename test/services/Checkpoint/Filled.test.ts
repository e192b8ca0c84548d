/** How far a hole is filled: it moves with what is delivered or durable of a page of history, never with what was handed over. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import type { Checkpoint, OpenHole } from "../../../src/services/Checkpoint.ts"
import * as Format from "../../../src/services/Checkpoint/Format.ts"
import { at, diskOf, hole, idOf, keyOf, memoryOf, nextLife, open, trade, trades } from "./World.ts"

const key = keyOf("BTC/IRT")

/** From trade 10 to trade 5 000, told; pages were handed over up to `filled`. */
const told = (filled?: number): OpenHole => ({
  ...hole(10, 5_000, "gap:1"),
  after: { id: "10", time: at(10) },
  before: "5000",
  ...filled === undefined ? {} : { filled: { after: { id: String(filled), time: at(filled) }, trade: idOf(filled) } }
})

const keep = (checkpoint: Checkpoint["Type"], ...holes: ReadonlyArray<OpenHole>) =>
  Effect.sync(() => checkpoint.keepHoles(key, "BTC_IRT", holes))

const filledTo = (memory: Effect.Effect.Success<ReturnType<typeof memoryOf>>) =>
  memory?.holes?.map(({ after }) => after?.id)

describe("how far a hole is filled", () => {
  it.effect("a life that dies in the middle of a page asks for that page again", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* checkpoint.settle([...trades(1, 11), ...trades(5_000, 5_003)])
      yield* keep(checkpoint, told(110))
      yield* checkpoint.settle(trades(11, 111))
      yield* keep(checkpoint, told(210))
      // Half of the second page.
      yield* checkpoint.settle(trades(111, 160))
      yield* checkpoint.write
      const next = yield* nextLife(disk)
      const { filled: _, ...rest } = told()
      assert.deepStrictEqual(next?.holes, [{ ...rest, after: { id: "110", time: at(110) } }])
      // What it knows of that page it need not deliver again; of what is below nothing has to be known by id.
      assert.includeMembers([...next?.kept ?? []], [idOf(111), idOf(159)])
      assert.notInclude([...next?.kept ?? []], idOf(109))
    }))

  it.effect("each page counts when its last trade does, whichever that is", () =>
    Effect.gen(function*() {
      const checkpoint = yield* open(diskOf())
      yield* keep(checkpoint, told(110))
      yield* keep(checkpoint, told(210))
      yield* keep(checkpoint, told(210))
      assert.deepStrictEqual(filledTo(yield* memoryOf(checkpoint)), ["10"])
      yield* checkpoint.settle([trade(110)])
      assert.deepStrictEqual(filledTo(yield* memoryOf(checkpoint)), ["110"])
      // Lost, and counted.
      yield* checkpoint.resolve([trade(210)])
      assert.deepStrictEqual(filledTo(yield* memoryOf(checkpoint)), ["210"])
    }))

  it.effect("what waits is bounded, and the last page counts all the same", () =>
    Effect.gen(function*() {
      const checkpoint = yield* open(diskOf())
      for (let n = 1; n <= 40; n++) yield* keep(checkpoint, told(10 + 100 * n))
      yield* checkpoint.settle([trade(110)])
      assert.deepStrictEqual(filledTo(yield* memoryOf(checkpoint)), ["110"])
      yield* checkpoint.settle([trade(4_010)])
      assert.deepStrictEqual(filledTo(yield* memoryOf(checkpoint)), ["4010"])
    }))

  it.effect("one that is closed is asked for from there while its last trade may be lost", () =>
    Effect.gen(function*() {
      const disk = diskOf()
      const checkpoint = yield* open(disk)
      yield* keep(checkpoint, told(110))
      yield* checkpoint.settle(trades(11, 111))
      yield* keep(checkpoint)
      const { filled: _, ...rest } = told()
      checkpoint.closeHole(key, { ...rest, over: "filled" }, { trade: idOf(4_999), event: "told" })
      yield* checkpoint.write
      assert.deepStrictEqual((yield* nextLife(disk))?.holes, [{
        ...rest,
        over: null,
        after: { id: "110", time: at(110) }
      }])
    }))

  it("what it writes the version before reads: the same hole, of which it does not know how far it is filled", () => {
    const before = Schema.Struct({
      v: Schema.Literal(2),
      seq: Schema.Number,
      markets: Schema.Array(Schema.Struct({
        k: Schema.String,
        kind: Schema.Literal("gone", "whole", "more"),
        holes: Schema.optional(Schema.Array(Schema.Struct({
          cause: Schema.String,
          gapId: Schema.NullOr(Schema.String),
          from: Schema.NullOr(Schema.String),
          to: Schema.NullOr(Schema.String),
          recovered: Schema.Number,
          over: Schema.NullOr(Schema.Literal("filled", "given up")),
          trade: Schema.NullOr(Schema.String),
          event: Schema.NullOr(Schema.String)
        })))
      }))
    })
    const { filled: _, ...kept } = told()
    const text = Format.printEntry({ seq: 1, old: undefined }, undefined, [
      Format.printMarket({ key, kind: "whole", ids: [], times: [], holes: [{ ...kept, trade: null, event: null }] })
    ])
    const read = Schema.decodeUnknownSync(before)(JSON.parse(text))
    assert.deepStrictEqual(read.markets[0]?.holes, [{ ...hole(10, 5_000, "gap:1"), trade: null, event: null }])
  })
})
