import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc } from "effect"
import * as Json from "../../../src/streams/protocols/Json.ts"

const reasonOf = (text: string, limits?: Json.Limits): string | undefined =>
  Either.match(Json.parse(text, limits), { onLeft: ({ reason }) => reason, onRight: () => undefined })

/** The same value with its numbers as JavaScript prints them. */
const numbersAsText = (value: unknown): unknown => {
  if (typeof value === "number") return JSON.stringify(value)
  if (Array.isArray(value)) return value.map(numbersAsText)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, numbersAsText(inner)]))
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const value = fc.jsonValue({ depthSize: "small", noUnicodeString: false })

/** Text near JSON: a document with pieces cut out, put in or doubled. */
const mutated = fc.tuple(
  fc.jsonValue({ depthSize: "small" }).map((json) => JSON.stringify(json)),
  fc.array(
    fc.tuple(
      fc.nat(200),
      fc.nat(3),
      fc.constantFrom(
        "",
        "0",
        "-",
        "1e",
        ".5",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "1:",
        "00",
        "1.2.3",
        "\uD800",
        "NaN"
      )
    ),
    { maxLength: 4 }
  )
).map(([text, cuts]) =>
  cuts.reduce((before, [at, length, piece]) => {
    const where = at % (before.length + 1)
    return before.slice(0, where) + piece + before.slice(where + length)
  }, text)
)

describe("Json", () => {
  it("keeps the literal text of numbers, to the last digit", () => {
    const text =
      `{"a":1.4497553479999998,"b":[1.6e-05,-0,30834.00000000000001,123456789012345678901234567890],"c":"1.0 -2"}`
    assert.deepStrictEqual(
      Json.parse(text),
      Either.right({
        a: "1.4497553479999998",
        b: ["1.6e-05", "-0", "30834.00000000000001", "123456789012345678901234567890"],
        c: "1.0 -2"
      })
    )
  })

  it("leaves strings with quotes, backslashes and digits alone", () => {
    const tricky = { "1": "\\\"7\\", "\\": "\\\\\" 8", empty: "" }
    assert.deepStrictEqual(Json.parse(JSON.stringify(tricky)), Either.right(tricky))
  })

  it("is JSON.parse, but for numbers", () => {
    fc.assert(
      fc.property(value, (json) => {
        const text = JSON.stringify(json)
        assert.deepStrictEqual(Json.parse(text), Either.right(numbersAsText(JSON.parse(text))))
      }),
      { numRuns: 5_000 }
    )
  })

  it("takes exactly what JSON.parse takes, and throws at nothing", () => {
    fc.assert(
      fc.property(mutated, (text) => assert.strictEqual(Either.isRight(Json.parse(text)), isJson(text), text)),
      {
        numRuns: 20_000
      }
    )
  })

  it("makes what JSON.parse makes of keys given twice, of keys that are numbers, and of rows that differ from the first", () => {
    const key = fc.constantFrom(
      "id",
      "price",
      "1",
      "0",
      "",
      "__proto__",
      "constructor",
      "p\\u0072ice",
      "\\ud800",
      "سلام"
    )
    const row = fc.array(fc.tuple(key, fc.constantFrom("1.50", "\"x\"", "{\"a\":1}", "[2]", "null", "true")), {
      maxLength: 6
    }).map((members) => `{${members.map(([name, inner]) => `"${name}":${inner}`).join(" , ")}}`)
    fc.assert(
      fc.property(fc.array(row, { maxLength: 5 }), (rows) => {
        const text = `[${rows.join(",\n")}]`
        const expected: unknown = JSON.parse(text.replaceAll(/(?<=[:[])(1\.50|1|2)(?=[\]},]| )/g, "\"$1\""))
        const made = Either.getOrThrow(Json.parse(text))
        // As text too: the order of the keys.
        assert.deepStrictEqual(made, expected)
        assert.strictEqual(JSON.stringify(made), JSON.stringify(expected))
        assert.deepStrictEqual(Json.parseFrame(text), Either.right(made))
      }),
      { numRuns: 10_000 }
    )
  })

  it("takes no two keys for one that the first row has, with a quote in it", () => {
    for (const key of [`a":1,"b`, "a\\b", "a\u0001"]) {
      const text = `[{${JSON.stringify(key)}:true},{"${key}":true}]`
      assert.strictEqual(Either.isRight(Json.parse(text)), isJson(text), text)
      if (isJson(text)) assert.deepStrictEqual(Json.parse(text), Either.right(numbersAsText(JSON.parse(text))))
    }
  })

  it("reads every character as it is, wherever the first one that is not ASCII stands", () => {
    const alphabet = fc.constantFrom("x", "é", "ی", "\u2028", "\ud800", "\udc00", "😀", "\"", "\\", "\n", "\u0000")
    fc.assert(
      // About the lengths at which documents get a buffer of their own.
      fc.property(
        fc.array(alphabet, { maxLength: 6 }),
        fc.constantFrom(0, 10, 65_520, 140_000),
        fc.nat(20),
        (tail, length, more) => {
          const json = ["x".repeat(length + more) + tail.join(""), { [tail.join("")]: tail }]
          for (const text of [JSON.stringify(json), JSON.stringify(json).replaceAll(/\\ud[89a-f]../g, "\ud800")]) {
            assert.strictEqual(JSON.stringify(Either.getOrThrow(Json.parse(text))), JSON.stringify(JSON.parse(text)))
          }
        }
      ),
      { numRuns: 300 }
    )
  })

  it("refuses a control character in a string, and what follows the value", () => {
    for (let code = 0; code < 0x20; code++) assert.strictEqual(reasonOf(`"a${String.fromCharCode(code)}b"`), "json")
    for (
      const text of [
        "",
        " ",
        "{} {}",
        "[],",
        "nul",
        "truee",
        "\ufeff1",
        "\u00a01",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\",
        "'a'"
      ]
    ) {
      assert.strictEqual(reasonOf(text), "json", text)
    }
  })

  it("refuses what JSON refuses around numbers", () => {
    for (
      const text of [
        "{1:2}",
        "{-1.5e3 : 2}",
        "[01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[1e]",
        "[1 2]",
        "[-]",
        "[0x10]",
        "[1e5.5]"
      ]
    ) {
      assert.strictEqual(reasonOf(text), "json", text)
    }
  })

  it("bounds depth, size, strings, numbers and lists", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)
    assert.strictEqual(reasonOf(nested(32)), undefined)
    assert.strictEqual(reasonOf(nested(33)), "too_deep")
    assert.strictEqual(reasonOf(nested(100_000)), "too_deep")
    assert.strictEqual(reasonOf(`${"{\"a\":".repeat(33)}1${"}".repeat(33)}`), "too_deep")
    assert.strictEqual(reasonOf(`[${"9".repeat(64 * 1024 + 1)}]`), "too_large")
    assert.strictEqual(reasonOf(`[${"1,".repeat(9_999)}1]`), undefined)
    assert.strictEqual(reasonOf(`[${"1,".repeat(10_000)}1]`), "too_large")
    assert.strictEqual(reasonOf(`[[${"1,".repeat(6_000)}1],[${"1,".repeat(6_000)}1]]`), undefined)
    assert.strictEqual(reasonOf(`"${"x".repeat(100)}"`, { size: 50, items: 10 }), "too_large")
  })

  it("takes what a frame may hold, however large the socket lets it be: rows, and JSON in a string", () => {
    const row = JSON.stringify({ id: "73802972_73807087", price: "11379465211", base_amount: "0.0108687", side: "buy" })
    // 4 MiB.
    const frame = `[${Array.from({ length: 4 * 1024 * 1024 / row.length }, () => row).join(",")}]`
    assert.strictEqual(reasonOf(frame), undefined)
    assert.strictEqual(reasonOf(JSON.stringify(frame)), undefined)
    // What is too dense to be rows of anything is refused as before.
    assert.strictEqual(reasonOf(`[${"1,".repeat(1024 * 1024)}1]`), "too_large")
    // An answer has its own limit.
    assert.strictEqual(reasonOf(frame, Json.bodyLimits), "too_large")
  })

  it("pollutes no prototype", () => {
    const parsed = Either.getOrThrow(
      Json.parse(`{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}`)
    )
    assert.strictEqual(Object.getPrototypeOf(parsed), Object.prototype)
    assert.isUndefined(Reflect.get({}, "polluted"))
  })
})
