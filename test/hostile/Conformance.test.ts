import { assert, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { exchanges } from "../../src/streams/exchanges/index.ts"

describe("Conformance", () => {
  it("is asked of each exchange", () => {
    const files = readdirSync(new URL("conformance", import.meta.url)).flatMap((name) =>
      name.endsWith(".conformance.test.ts") ? [name.slice(0, name.indexOf(".")).toLowerCase()] : []
    )
    assert.includeMembers(files, Object.keys(exchanges))
  })
})
