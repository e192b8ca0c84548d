import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck as fc, Schema } from "effect"
import * as Shape from "../../../src/streams/protocols/Shape.ts"

const Side = Schema.Literal("buy", "sell")

/** Rows as exchanges have them: objects, lists, with fields that may be missing, of several kinds, named like what every object has. */
const schemas: ReadonlyArray<Schema.Schema<unknown>> = [
  Schema.Struct({
    id: Schema.String.pipe(Schema.pattern(/^\d{1,4}$/)),
    side: Side,
    time: Schema.optional(Schema.Unknown)
  }),
  Schema.Struct({ price: Schema.String, isBuyerMaker: Schema.Boolean, id: Schema.optional(Schema.String) }),
  Schema.Struct({
    id: Schema.Unknown,
    time: Schema.NullOr(Schema.String),
    side: Schema.optionalWith(Side, { exact: true })
  }),
  Schema.Struct({ price: Schema.Struct({ id: Schema.String }), side: Schema.Array(Schema.Boolean) }),
  Schema.Tuple(Schema.String, Side, Schema.Boolean),
  Schema.Tuple(Schema.String, Schema.optionalElement(Schema.String)),
  Schema.Tuple([Schema.String], Schema.Boolean),
  Schema.Tuple([], Schema.Boolean, Schema.String),
  Schema.Array(Schema.Tuple(Schema.String, Schema.String)),
  Schema.NonEmptyArray(Schema.String),
  Schema.Union(Schema.String, Schema.Struct({ id: Schema.String }), Schema.Literal(true)),
  Schema.Struct({ constructor: Schema.Unknown, toString: Schema.optional(Schema.Unknown) }),
  Schema.Struct({ id: Schema.String }).annotations({ parseOptions: { onExcessProperty: "error" } }),
  Schema.Struct({}),
  Schema.Record({ key: Schema.String, value: Schema.Boolean }),
  Schema.Struct(
    { id: Schema.String },
    Schema.Record({ key: Schema.String, value: Schema.Union(Schema.String, Schema.Boolean) })
  ),
  Schema.Struct({ price: Schema.String }).pipe(Schema.filter((row) => "id" in row)),
  Schema.asSchema(Schema.Struct({ id: Schema.String.pipe(Schema.length(2)), price: Schema.Unknown }))
] as ReadonlyArray<Schema.Schema<unknown>>

const leaf = fc.constantFrom<unknown>("1", "12", "12345", "buy", "sell", "", true, false, null, undefined)
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(
      fc.constantFrom("id", "side", "time", "price", "isBuyerMaker", "constructor", "toString", "__proto__", "other"),
      tie("value"),
      { maxKeys: 4 }
    )
  )
}))

/** `made` is `given`, but for fields that the schema does not name. */
const isPartOf = (made: unknown, given: unknown): boolean => {
  if (typeof made !== "object" || made === null) return Object.is(made, given)
  if (typeof given !== "object" || given === null || Array.isArray(made) !== Array.isArray(given)) return false
  if (Array.isArray(made) && made.length !== Reflect.get(given, "length")) return false
  return Object.entries(made).every(([key, inner]) => isPartOf(inner, Reflect.get(given, key)))
}

describe("Shape", () => {
  for (const [i, schema] of schemas.entries()) {
    it(`says yes only where the schema makes the same of a value: ${i}`, () => {
      const check = Shape.check(schema)
      const decode = Schema.decodeUnknownEither(schema)
      fc.assert(
        fc.property(value, (given) => {
          if (!check(given)) return
          const decoded = decode(given)
          assert.isTrue(Either.isRight(decoded) && isPartOf(decoded.right, given), JSON.stringify(given))
        }),
        { numRuns: 4_000 }
      )
    })
  }

  it("says yes to well-formed rows: objects with more fields than are named, lists of fields, lists of rows", () => {
    const row = { id: "1", price: "2", side: "buy", more: {} }
    const Row = Schema.Struct({
      id: Schema.String,
      price: Schema.String,
      side: Side,
      time: Schema.optional(Schema.Unknown)
    })
    assert.isTrue(Shape.check(Row)(row))
    assert.isTrue(Shape.check(Schema.Array(Row))([row, { ...row, time: "3" }]))
    assert.isTrue(Shape.check(Schema.Struct({ data: Schema.Array(Row) }))({ data: [row] }))
    assert.isFalse(Shape.check(Schema.Array(Row))([row, { ...row, side: "bought" }]))
    const Fields = Schema.Tuple(Schema.String, Schema.String, Schema.String, Side, Schema.String, Schema.String)
    assert.isTrue(Shape.check(Fields)(["1", "2", "2025-10-01 11:51:26", "sell", "1759319486", "96c4"]))
    assert.isFalse(Shape.check(Fields)(["1", "2", "2025-10-01 11:51:26", "sell"]))
    assert.isTrue(Shape.check(Schema.Struct({ id: Schema.String.pipe(Schema.pattern(/^\w+$/)) }))({ id: "a_1" }))
    assert.isFalse(Shape.check(Schema.Struct({ id: Schema.String.pipe(Schema.pattern(/^\w+$/)) }))({ id: "a:1" }))
  })

  it("leaves a schema that makes another value to the schema", () => {
    assert.isFalse(Shape.check(Schema.Struct({ id: Schema.Trim }))({ id: "1" }))
    assert.isFalse(
      Shape.check(Schema.Struct({ id: Schema.optionalWith(Schema.String, { default: () => "" }) }))({ id: "1" })
    )
  })
})
