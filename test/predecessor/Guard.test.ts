/** No row of design/PREDECESSOR.md loses its test unnoticed. */
import { assert, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import * as path from "node:path"

/** Docker's row is left out: there is no Docker here. */
const without = new Set([30])

it("each row has a test, but for Docker's", () => {
  const numbers = readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith(".test.ts") && file !== "Guard.test.ts")
    .flatMap((file) => [
      ...readFileSync(path.join(import.meta.dirname, file), "utf8").matchAll(/it\.\w+\(\s*"#(\d+) /g)
    ])
    .map(([, number]) => Number(number))
    .sort((a, b) => a - b)
  assert.deepStrictEqual(numbers, Array.from({ length: 32 }, (_, i) => i + 1).filter((n) => !without.has(n)))
})
