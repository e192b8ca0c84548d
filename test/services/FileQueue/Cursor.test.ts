import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as zlib from "node:zlib"
import * as Cursor from "../../../src/services/FileQueue/Cursor.ts"

const crc32 = (data: Uint8Array, seed: number) => zlib.crc32(data, seed)

describe("cursor", () => {
  it("comes out as it went in; any change of any byte is seen", () => {
    const any = fc.record({
      generation: fc.maxSafeNat(),
      nextSeq: fc.maxSafeNat(),
      nextAssign: fc.maxSafeNat(),
      hint: fc.record({ base: fc.maxSafeNat(), offset: fc.maxSafeNat() }),
      holes: fc.array(fc.record({ first: fc.maxSafeNat(), last: fc.maxSafeNat() }), { maxLength: 5 })
    })
    fc.assert(
      fc.property(any, fc.nat(), fc.integer({ min: 1, max: 255 }), (cursor, where, change) => {
        const bytes = Cursor.encode(cursor, crc32)
        assert.deepStrictEqual(Cursor.decode(bytes, crc32), cursor)
        const at = where % bytes.length
        bytes[at] = (bytes[at] ?? 0) ^ change
        assert.isUndefined(Cursor.decode(bytes, crc32))
      }),
      { numRuns: 5000 }
    )
  })
})
