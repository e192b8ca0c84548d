import { assert, describe, it } from "@effect/vitest"
import * as FeedStatus from "../../src/services/FeedStatus.ts"
import * as Board from "../../src/streams/Board.ts"

describe("Board", () => {
  it("knows nothing before it is told: no list is not an empty list", () => {
    const status = FeedStatus.make(["bitpin"])
    const board = Board.make(status, "bitpin")
    board.show()
    assert.deepStrictEqual(status.exchanges(), [FeedStatus.empty("bitpin")])
    board.listed(new Set())
    board.show()
    assert.strictEqual(status.exchanges()[0]?.listed, 0)
  })
})
