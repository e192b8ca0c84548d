import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc } from "effect"
import * as Json from "../../../src/streams/protocols/Json.ts"
import * as Repeats from "../../../src/streams/protocols/Repeats.ts"

const made = (row: unknown): string => JSON.stringify(row)

/** A message around rows: what stands before them changes with each, as an offset does. */
const message = (n: number, rows: ReadonlyArray<string>): string =>
  `{"push":{"channel":"t","pub":{"offset":${n},"data":{"symbol":"T","rows":[${rows.join(", ")}],"end":[[1],[2]]}}}}`

/** The first list of a document. */
const rowsIn = (parsed: unknown): ReadonlyArray<unknown> => {
  const inside = Object(parsed)
  return Array.isArray(inside)
    ? inside
    : rowsIn(inside.push ?? inside.pub ?? inside.data ?? inside.deeper ?? inside.rows)
}

const padding = "x".repeat(60)

const row = (n: number): string => `{"id":"${n}","price":"1${n}.5","time":1781182785.${263_627 + n},"of":"${padding}"}`

/** The window of the last `size` rows, newest first. */
const windowAt = (n: number, size: number): ReadonlyArray<string> => Array.from({ length: size }, (_, i) => row(n - i))

/** Reads a message as an adapter does; `read`: rows that had to be read. */
const reader = () => {
  const repeats = Repeats.make(made)
  let read = 0
  const take = (text: string, topic = "t") => {
    const rows = repeats.rowsOf(topic, text)
    const counted: Json.Rows | undefined = rows === undefined ? undefined : {
      ...rows,
      read: (from, to, value) => {
        read += 1
        rows.read(from, to, value)
      }
    }
    const parsed = Json.parseFrame(text, counted)
    return { parsed, rows: Either.map(parsed, (value) => repeats.map(rowsIn(value))), wasAsked: rows !== undefined }
  }
  return {
    take,
    readSince: () => {
      const count = read
      read = 0
      return count
    }
  }
}

/** Letter by letter the same or nearly so: what is prefix of another, has escapes, is deep, is none. */
const piece = fc.oneof(
  fc.nat({ max: 12 }).map(row),
  fc.constantFrom(
    row(1).replace("price", "__proto__"),
    row(2).replace("x", "\\u0078"),
    `[${row(3)}, ${row(3)}]`,
    `[1,[2,[3]]]`,
    `[1,[2,[3]]`,
    `{}`,
    `12`,
    `123`,
    `"${padding}"`,
    ` ${row(4)} `,
    row(5).slice(0, -1),
    `${"[".repeat(26)}${"]".repeat(26)}`
  )
)

describe("rows that a topic's messages have in common", () => {
  it("are the values that they would be if each message were read by itself", () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ topic: fc.constantFrom("a", "b"), rows: fc.array(piece, { maxLength: 12 }), again: fc.nat(3) })
        ),
        fc.boolean(),
        (messages, isDeep) => {
          const { take } = reader()
          let n = 0
          for (const { again, rows, topic } of messages) {
            for (let i = 0; i <= again; i++) {
              // Windows move on: what was the first is the second then.
              const text = message(n++, [...Array.from({ length: i }, (_, k) => row(100 + n + k)), ...rows])
              const whole = isDeep && n % 3 === 0
                ? text.replace(`"rows":`, `"deeper":{"deeper":{"deeper":{"rows":`).replace(`}}}}`, `}}}}}}}`)
                : text
              const { parsed, rows: mapped } = take(whole, topic)
              const alone = Json.parseFrame(whole)
              assert.deepStrictEqual(Either.isRight(parsed), Either.isRight(alone))
              if (Either.isLeft(alone)) assert.deepStrictEqual(parsed, alone)
              else {
                assert.strictEqual(JSON.stringify(parsed), JSON.stringify(alone))
                assert.deepStrictEqual(mapped, Either.right(rowsIn(alone.right).map(made)))
              }
            }
          }
        }
      ),
      { numRuns: 500 }
    ))

  it("have keys without escapes, by which the keys of the next row are guessed", () => {
    const { take } = reader()
    const escaped = `{"a\\"b":"${padding}"}`
    for (let n = 0; n < 4; n++) take(message(n, [escaped, ...windowAt(n, 20)]))
    assert.isTrue(Either.isLeft(take(message(4, [escaped, `{"a"b":"${padding}"}`, ...windowAt(4, 20)])).parsed))
  })

  it("are read once: of a window of twenty the new one only", () => {
    const { readSince, take } = reader()
    for (let n = 0; n < 2; n++) take(message(n, windowAt(n, 20)))
    assert.strictEqual(readSince(), 40)
    for (let n = 2; n < 100; n++) {
      take(message(n, windowAt(n, 20)))
      assert.strictEqual(readSince(), 1)
    }
    // Five at once, and none.
    take(message(104, windowAt(104, 20)))
    assert.strictEqual(readSince(), 5)
    take(message(105, windowAt(104, 20)))
    assert.strictEqual(readSince(), 0)
  })

  it("are looked for ever more seldom where there are none, and found when there are some", () => {
    const { readSince, take } = reader()
    const asked = (from: number, to: number) => {
      let count = 0
      for (let n = from; n < to; n++) if (take(message(n, windowAt(n * 20, 20))).wasAsked) count += 1
      return count
    }
    assert.isBelow(asked(0, 4_000), 40)
    readSince()
    for (let n = 4_000; n < 6_000; n++) take(message(n, windowAt(80_000 + n, 20)))
    readSince()
    take(message(6_000, windowAt(86_000, 20)))
    assert.strictEqual(readSince(), 1)
  })

  it("are not looked for in short messages, nor in what is too large to be kept", () => {
    const { take } = reader()
    assert.isFalse(take(message(0, windowAt(1, 2))).wasAsked)
    assert.isFalse(take(message(0, windowAt(1, 1_000))).wasAsked)
    const long = `{"id":"1","of":"${"y".repeat(3_000)}"}`
    let asked = 0
    for (let n = 0; n < 200; n++) if (take(message(n, [...windowAt(n, 5), long])).wasAsked) asked += 1
    assert.isBelow(asked, 40)
  })

  it("are not kept where they have many parts: such take fifty times the bytes of their characters", () => {
    const { take } = reader()
    const heavy = Array.from({ length: 10 }, (_, i) => `[${i},${Array.from({ length: 40 }, () => "{}").join()}]`)
    let asked = 0
    for (let n = 0; n < 1_000; n++) if (take(message(n, heavy)).wasAsked) asked += 1
    assert.isBelow(asked, 20)
  })
})
