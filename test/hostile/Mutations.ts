/** Seeded spoiling of frames: the same seed makes the same frames. */
import { makeRandom } from "../../src/layers/testing/FakeMarkets.ts"

/** A frame: text, or `undefined` for a binary one. */
export type Frame = string | undefined

interface Dice {
  /** In [0, n). */
  readonly below: (n: number) => number
  readonly of: <A>(list: ReadonlyArray<A>, otherwise: A) => A
}

type Mutation = (text: string, dice: Dice, other: string) => string

const flip: Mutation = (text, { below }) => {
  const bytes = Buffer.from(text)
  for (let i = 0; i <= below(4); i++) {
    const at = below(Math.max(1, bytes.length))
    bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8))
  }
  return bytes.toString()
}

/** Not UTF-8 as its writer meant it: what a lenient reader would make of it. */
const misread: Mutation = (text, { below }) => {
  const bytes = Buffer.from(text)
  bytes[below(Math.max(1, bytes.length))] = 0x80 + below(128)
  return bytes.toString(below(2) === 0 ? "utf8" : "latin1")
}

const truncate: Mutation = (text, { below }) => text.slice(0, below(text.length + 1))

const repeat: Mutation = (text, { below }) => {
  const from = below(text.length + 1)
  const to = from + below(text.length + 1 - from)
  return text.slice(0, to) + text.slice(from)
}

const splice: Mutation = (text, { below }, other) =>
  text.slice(0, below(text.length + 1)) + other.slice(below(other.length + 1))

/** Puts something after a random one of `marks`. */
const after = (marks: RegExp, things: ReadonlyArray<string>): Mutation => (text, dice) => {
  const places = Array.from(text.matchAll(marks), ({ 0: found, index }) => index + found.length)
  const at = dice.of(places, 0)
  return text.slice(0, at) + dice.of(things, "") + text.slice(at)
}

const keys = after(/\{/g, [
  "\"__proto__\":{\"polluted\":1},",
  "\"__proto__\":null,",
  "\"constructor\":{\"prototype\":{\"polluted\":1}},",
  "\"prototype\":{\"polluted\":1},",
  "\"toString\":1,",
  "\"hasOwnProperty\":null,",
  "\"id\":\"1\",",
  "\"price\":\"1\",",
  "\"symbol\":\"X\",",
  "\"push\":{},"
])

const oddities = after(/[",:[\]{}]/g, [
  "\ufeff",
  "\u0000",
  "\ud800",
  "\\ud800",
  "\udc00",
  "\u2028",
  "\u001b[2J",
  "\n",
  "\\",
  "\"",
  "/**/",
  "-",
  "e9"
])

const numbers = [
  "1e999",
  "-1e999",
  "1e-999",
  "1e100000000",
  "9".repeat(400),
  `0.${"0".repeat(400)}1`,
  "-0",
  "0x10",
  "NaN",
  "Infinity",
  "1_000",
  "+1",
  ".5",
  "1.",
  "00",
  "1e+5",
  "99999999999999999999",
  "-1"
]

const values = [
  ...numbers,
  ...numbers.map((number) => `"${number}"`),
  "null",
  "true",
  "false",
  "[]",
  "{}",
  "[[]]",
  "[{}]",
  "\"\"",
  "\"../../etc/passwd\"",
  "\"a\\\"\\n\\u001b[2J\"",
  "{\"__proto__\":{\"polluted\":1}}",
  "[\"subscribe\"]",
  "{\"length\":1e9}"
]

/** A string, a number, a word, an empty list or an empty object, in the place of a value. */
const value = /(?<=[[:,])\s*(?:"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|\[\]|\{\})(?=[\]},])/g

const replace: Mutation = (text, dice) => {
  const places = Array.from(text.matchAll(value), ({ 0: found, index }) => ({ from: index, to: index + found.length }))
  const { from, to } = dice.of(places, { from: 0, to: 0 })
  return text.slice(0, from) + dice.of(values, "null") + text.slice(to)
}

/** Numbers as strings, strings as numbers. */
const requote: Mutation = (text, dice) =>
  dice.below(2) === 0
    ? text.replace(/"(-?\d[\d.]*)"/g, (whole, digits: string) => dice.below(2) === 0 ? digits : whole)
    : text.replace(/(?<=[[:,])(-?\d[\d.]*)(?=[\]},])/g, (digits) => dice.below(2) === 0 ? `"${digits}"` : digits)

const swapBrackets: Mutation = (text, { below }) =>
  below(2) === 0 ? text.replaceAll("{", "[").replaceAll("}", "]") : text.replaceAll("[", "{").replaceAll("]", "}")

const nest = (depth: number): Mutation => (text, dice) =>
  dice.below(2) === 0
    ? "[".repeat(depth) + text + "]".repeat(depth)
    : after(/:/g, [`${"{\"a\":".repeat(depth)}1${"}".repeat(depth)},"b":`])(text, dice, "")

const batch = (count: number): Mutation => (text, dice, other) =>
  Array.from({ length: count }, () => dice.of([text, other, "{}", ""], "")).join("\n")

const long = (length: number): Mutation => (text, dice) =>
  after(/[:[]/g, [`"${"x".repeat(length)}",`, `${"1".repeat(length)},`, `${"1,".repeat(length / 2)}`])(text, dice, "")

const common: ReadonlyArray<Mutation> = [
  flip,
  misread,
  truncate,
  repeat,
  splice,
  keys,
  oddities,
  replace,
  replace,
  replace,
  requote,
  swapBrackets
]

/** A hundred times or more as long as a frame: one in a thousand is one of these. */
const dear: ReadonlyArray<Mutation> = [nest(1e3), nest(1e4), nest(1e5), batch(3_000), long(70_000), long(1_000_000)]
const dearEvery = 1_000

/** An endless source of spoilt frames, made of `pool`. */
export const source = (pool: ReadonlyArray<string>, seed: number): () => Frame => {
  const random = makeRandom(seed)
  const below = (n: number): number => Math.floor(random() * n)
  const dice: Dice = { below, of: (list, otherwise) => list[below(list.length)] ?? otherwise }
  let made = 0
  return () => {
    made += 1
    if (made % 500 === 0) return undefined
    let text = dice.of(pool, "")
    if (made % dearEvery === 1) return dice.of(dear, flip)(text, dice, dice.of(pool, ""))
    const rounds = 1 + below(3)
    for (let i = 0; i < rounds; i++) text = dice.of(common, flip)(text, dice, dice.of(pool, ""))
    return text
  }
}
