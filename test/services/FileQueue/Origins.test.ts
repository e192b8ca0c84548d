import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Origins from "../../../src/services/FileQueue/Origins.ts"

describe("Origins", () => {
  it("gives back what was put in, packed or not, in no more bits than it takes", () => {
    fc.assert(fc.property(
      fc.constantFrom(1, 2, 3, 16, 17, 300).chain((exchanges) =>
        fc.array(fc.array(fc.nat({ max: exchanges - 1 }), { maxLength: 700 }), { maxLength: 6 })
      ),
      (batches) => {
        let origins = Origins.empty
        let count = 0
        for (const batch of batches) {
          origins = Origins.append(origins, count, batch)
          count += batch.length
        }
        const all = batches.flat()
        const packed = Origins.pack(origins, count)
        for (const one of [origins, packed, Origins.pack(packed, count)]) {
          assert.deepStrictEqual(all.map((_, i) => Origins.at(one, i)), all)
        }
        const highest = Math.max(0, ...all)
        const few = [1, 2, 4, 8].find((bits) => highest < 2 ** bits) ?? 16
        assert.strictEqual(packed.values.byteLength, Math.ceil(count * few / 8))
      }
    ))
  })
})
