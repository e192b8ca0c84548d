import * as FastCheck from "effect/FastCheck"
import { assert, describe, it } from "vitest"
import { messageOf } from "../../src/services/Health/Evaluate.ts"
import { unavailable } from "../../src/services/producers/Kafkajs/classify.ts"
import * as Text from "../../src/services/Text.ts"

// oxlint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

/** Pieces that matter, in any order, among any others. */
const text = FastCheck.array(
  FastCheck.oneof(
    FastCheck.constantFrom(
      "//",
      "@",
      "user:s3cret",
      "\r\n",
      "\u001b[2J",
      "\u202e",
      "\u2066",
      "\u2028",
      "\u0085",
      "  ",
      "x".repeat(150)
    ),
    FastCheck.string({ unit: "binary", maxLength: 20 })
  ),
  { maxLength: 12 }
).map((pieces) => pieces.join(""))

/** Whoever shows a text of others: an exchange's, Kafka's, whatever health says. */
const ways: ReadonlyArray<readonly [name: string, show: (text: string) => string]> = [
  ["of an exchange", Text.oneLine],
  ["of Kafka", (text) => unavailable("client", text).message],
  ["in health", messageOf]
]

describe("a text of others", () => {
  for (const [name, show] of ways) {
    it(`${name}: one line of at most 200 characters that leaves a terminal as it was`, () => {
      FastCheck.assert(FastCheck.property(text, (text) => {
        const shown = show(text)
        assert.isAtMost(shown.length, 200)
        assert.notMatch(shown, unprintable)
        assert.strictEqual(shown, shown.trim())
      }))
    })

    it(`${name}: what is cut ends so, and no address has its password`, () => {
      assert.strictEqual(show("a\r\n\t b\u001b[31m\u202ec"), "a b [31m c")
      assert.strictEqual(show("x".repeat(200)), "x".repeat(200))
      assert.strictEqual(show("x".repeat(201)), `${"x".repeat(199)}…`)
      assert.strictEqual(show("GET https://user:s3cret@proxy:3128/x failed"), "GET https://proxy:3128/x failed")
      assert.strictEqual(show("https://user:p@s3cret@proxy:3128/x"), "https://proxy:3128/x")
      assert.strictEqual(show("x".repeat(198) + "\u{1f600}\u{1f600}"), `${"x".repeat(198)}…`)
      // Work is bounded, and nothing of a password is left where the bound falls into it.
      assert.strictEqual(show(`a${" ".repeat(16_360)}https://user:s3cret${"x".repeat(20_000)}@proxy`), "a https:…")
      // The cut must not come before: half a password would be left.
      assert.notInclude(show(`${" ".repeat(990)}https://user:s3cret${"x".repeat(300)}@proxy:3128`), "s3cret")
    })
  }

  it("as escapes: nothing is lost, and nothing unprintable is left", () => {
    assert.strictEqual(Text.escaped("a\n\u001b[2J\u202eb  c"), "a\\n\\u001b[2J\\u202eb  c")
    FastCheck.assert(FastCheck.property(text, (text) => assert.notMatch(Text.escaped(text), unprintable)))
  })
})
