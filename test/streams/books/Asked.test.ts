import { assert, describe, it } from "@effect/vitest"
import * as Asked from "../../../src/streams/books/Asked.ts"

describe("Pictures that are asked for", () => {
  it("are first pictures first, then those of doubtful books, and of those alike the first that was asked for", () => {
    const market = (name: string, phase: "waiting" | "live" | "doubtful") => ({ name, state: { phase } })
    const line = [
      market("a", "live"),
      market("b", "doubtful"),
      market("c", "waiting"),
      market("d", "doubtful"),
      market("e", "waiting")
    ]
    const names = Array.from({ length: 6 }, () => Asked.next(line)?.name)
    assert.deepStrictEqual(names, ["c", "e", "b", "d", "a", undefined])
  })
})
