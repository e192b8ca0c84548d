import { FastCheck as fc } from "effect"

const pieces = [
  "",
  "{}",
  "[]",
  "\n",
  "\"",
  "\\",
  ",",
  ":",
  "null",
  "true",
  "1e999",
  "-0",
  "\uD800",
  "\u0000",
  "\uFEFF",
  "\"__proto__\":{\"polluted\":1},",
  "\"constructor\":{\"prototype\":{\"polluted\":1}},",
  "[".repeat(40),
  "9".repeat(500),
  "\"Infinity\"",
  "\"0x10\"",
  "\"\""
]

/** Frames that were cut, stretched and stuffed. */
export const mutated = (frames: ReadonlyArray<string>): fc.Arbitrary<string> =>
  fc.tuple(
    fc.constantFrom(...frames),
    fc.array(fc.tuple(fc.nat(2000), fc.nat(20), fc.constantFrom(...pieces)), { maxLength: 3 })
  ).map(([frame, cuts]) =>
    cuts.reduce((before, [at, length, piece]) => {
      const where = at % (before.length + 1)
      return before.slice(0, where) + piece + before.slice(where + length)
    }, frame)
  )
