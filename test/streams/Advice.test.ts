import { assert, describe, it } from "@effect/vitest"
import { adviceOf } from "../../src/streams/Advice.ts"

const asked = { apiUrl: "https://api.test", wsUrl: "wss://api.test" }

describe("What can be done about a status", () => {
  it("is said by status, as adapters of before this version do, or by the addresses that are asked; or not at all", () => {
    assert.deepStrictEqual(adviceOf({ advice: { 451: "elsewhere" } }, asked), { 451: "elsewhere" })
    assert.deepStrictEqual(adviceOf({ advice: ({ apiUrl }) => ({ 451: `not ${apiUrl}` }) }, asked), {
      451: "not https://api.test"
    })
    assert.isUndefined(adviceOf({}, asked))
  })
})
