/**
 * The one-pass parser against the one that went before it, which put numbers in quotes and left the rest to `JSON.parse`: of
 * `FUZZ_FRAMES` spoilt recordings both make the same, or refuse them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Either } from "effect"
import { readdirSync } from "node:fs"
import * as path from "node:path"
import * as Json from "../../../src/streams/protocols/Json.ts"
import { source } from "../../hostile/Mutations.ts"
import * as EarlierJson from "../../support/EarlierJson.ts"
import { recording } from "../support/recordings.ts"

const frames = Number(process.env["FUZZ_FRAMES"] ?? 20_000)

const names = (exchange: string): ReadonlyArray<string> =>
  readdirSync(path.resolve(import.meta.dirname, "../../recordings", exchange))
    .filter((file) => file.endsWith(".ndjson"))
    .map((file) => file.slice(0, -".ndjson".length))

/** Short enough to be spoilt in an interesting place. */
const pool = ["bitpin", "wallex"]
  .flatMap((exchange) => names(exchange).flatMap((name) => recording(exchange, name)))
  .filter((line) => line.length < 6_000)

/** Of numbers there are none, nor anything else that this would print alike. */
const shown = (result: Either.Either<unknown, unknown>): string | undefined =>
  Either.isRight(result) ? JSON.stringify(result.right) : undefined

describe("Json, fuzzed", () => {
  it(`makes the same of ${frames} spoilt recordings as the parser before it`, async () => {
    const next = source(pool, 22)
    const counts = { taken: 0, refused: 0 }
    for (let i = 0; i < frames; i++) {
      const text = next()
      if (text === undefined) continue
      // A worker that does not answer for a minute counts as dead.
      if (i % 10_000 === 1) await new Promise(setImmediate)
      const before = shown(EarlierJson.parse(text))
      if (shown(Json.parse(text)) !== before || shown(Json.parseFrame(text)) !== before) {
        assert.fail(`${JSON.stringify(text.slice(0, 4_000))} of seed 22 at ${i}`)
      }
      if (before === undefined) counts.refused += 1
      else counts.taken += 1
    }
    // The fuzz reaches both.
    assert.isAbove(counts.taken, frames / 10)
    assert.isAbove(counts.refused, frames / 10)
  })
})
