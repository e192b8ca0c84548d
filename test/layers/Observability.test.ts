import { assert, describe, it } from "@effect/vitest"
import { Cause, Console, Effect, LogLevel, Redacted, TestClock } from "effect"
import * as fc from "fast-check"
import * as Observability from "../../src/layers/Observability.ts"

const file: Observability.Terminal = { isTTY: false, colors: false }
const screen: Observability.Terminal = { isTTY: true, colors: true }

/** What goes to stderr and to stdout while an effect runs under the layer. */
const written = Effect.fnUntraced(function*<A, E, R>(
  self: Effect.Effect<A, E, R>,
  format: "auto" | Observability.Format,
  level: LogLevel.LogLevel = LogLevel.Info,
  terminal: Observability.Terminal = file
) {
  const stderr: Array<string> = []
  const stdout: Array<string> = []
  const record = (into: Array<string>) => (...args: ReadonlyArray<unknown>) => {
    into.push(args.join(" "))
  }
  yield* Console.consoleWith((console) =>
    self.pipe(
      Effect.provide(Observability.layer({ level, format }, terminal)),
      Effect.withConsole({
        ...console,
        unsafe: { ...console.unsafe, log: record(stdout), info: record(stdout), error: record(stderr) }
      })
    )
  )
  return { stderr, stdout }
})

const entry = Effect.logWarning("Kafka is away").pipe(Effect.annotateLogs({ topic: "marketdata.trade.v1", depth: 12 }))

describe("form", () => {
  it.effect("JSON: one object a line, on stderr alone", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 5, 11, 12, 59, 45, 301))
      const { stderr, stdout } = yield* written(entry, "json")
      assert.deepStrictEqual(stdout, [])
      assert.deepStrictEqual(stderr.map((line) => JSON.parse(line)), [
        {
          timestamp: "2026-06-11T12:59:45.301Z",
          level: "WARN",
          message: "Kafka is away",
          topic: "marketdata.trade.v1",
          depth: 12
        }
      ])
    }))

  it.effect("logfmt", () =>
    Effect.gen(function*() {
      const { stderr } = yield* written(Effect.annotateLogs(entry, { "a b": "x=\"y\"\nz", empty: "" }), "logfmt")
      const [line = ""] = stderr
      assert.strictEqual(stderr.length, 1)
      assert.include(line, "timestamp=1970-01-01T00:00:00.000Z level=WARN message=\"Kafka is away\"")
      for (const field of ["topic=marketdata.trade.v1", "depth=12", "a_b=\"x=\\\"y\\\"\\nz\"", "empty=\"\""]) {
        assert.include(line, ` ${field}`)
      }
    }))

  it.effect("pretty: for people, in colours only where they are wanted", () =>
    Effect.gen(function*() {
      const { stderr: [plain = ""] } = yield* written(entry, "pretty")
      assert.match(
        plain,
        /^00:00:00\.000 WARN {2}Kafka is away (topic=marketdata\.trade\.v1 depth=12|depth=12 topic=\S+)$/
      )
      const { stderr: [colored = ""] } = yield* written(entry, "pretty", LogLevel.Info, screen)
      // oxlint-disable-next-line no-control-regex
      assert.strictEqual(colored.replace(/\u001b\[\d+m/g, ""), plain)
      assert.notStrictEqual(colored, plain)
    }))

  it("auto is pretty on a terminal, JSON otherwise; what is asked for is had", () => {
    assert.strictEqual(Observability.formatOf("auto", screen), "pretty")
    assert.strictEqual(Observability.formatOf("auto", file), "json")
    assert.strictEqual(Observability.formatOf("json", screen), "json")
  })
})

describe("level", () => {
  const all = Effect.all([Effect.logDebug("d"), Effect.logInfo("i"), Effect.logError("e"), Effect.logFatal("f")])

  it.effect("is the least that is written", () =>
    Effect.gen(function*() {
      const count = (level: LogLevel.LogLevel) => Effect.map(written(all, "json", level), ({ stderr }) => stderr.length)
      assert.strictEqual(yield* count(LogLevel.Debug), 4)
      assert.strictEqual(yield* count(LogLevel.Info), 3)
      assert.strictEqual(yield* count(LogLevel.Error), 2)
      assert.strictEqual(yield* count(LogLevel.None), 0)
    }))
})

describe("what comes from outside", () => {
  it.effect("is cut", () =>
    Effect.gen(function*() {
      const frame = "x".repeat(100_000)
      const { stderr: [line = ""] } = yield* written(
        Effect.logInfo(frame).pipe(Effect.annotateLogs({ frame, nested: { frame } })),
        "json"
      )
      const { frame: cut, message, nested } = JSON.parse(line)
      for (const value of [cut, message, nested]) assert.isBelow(value.length, 530)
      assert.isTrue(message.startsWith("x".repeat(512)))
      assert.include(message, "100000")
    }))

  it.effect("is cut in causes too", () =>
    Effect.gen(function*() {
      const { stderr: [line = ""] } = yield* written(
        Effect.logError("failed", Cause.fail(new Error("x".repeat(100_000)))),
        "json"
      )
      assert.isBelow(line.length, 10_000)
      assert.match(JSON.parse(line).cause, /^Error: xxx/)
    }))

  it.effect("forges no line and moves no cursor, in any form", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.string({ unit: "binary", maxLength: 30 }).map((text) => `a\n\u001b[2J\u009b1m\r\u202e${text}`),
          fc.constantFrom<Observability.Format>("json", "logfmt", "pretty"),
          async (hostile, format) => {
            const { stderr } = await Effect.runPromise(written(
              Effect.logInfo(hostile).pipe(Effect.annotateLogs({ [hostile]: hostile })),
              format
            ))
            assert.strictEqual(stderr.length, 1)
            // oxlint-disable-next-line no-control-regex
            assert.notMatch(stderr[0] ?? "", /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/)
            if (format === "json") {
              assert.include(Object.values(JSON.parse(stderr[0] ?? "")), Observability.cut(hostile))
            }
          }
        ),
        { numRuns: 200 }
      )
    ))

  it.effect("of a cause keeps its lines, indented, and nothing else", () =>
    Effect.gen(function*() {
      const { stderr } = yield* written(Effect.logError("failed", Cause.fail(new Error("a\u001b[2J\nb"))), "pretty")
      const [head = "", ...more] = (stderr[0] ?? "").split("\n")
      assert.match(head, /ERROR failed$/)
      assert.isAbove(more.length, 1)
      assert.isTrue(more.every((line) => line.startsWith("  ") && !line.includes("\u001b")))
    }))

  it.effect("can be anything", () =>
    Effect.gen(function*() {
      const loop: Record<string, unknown> = {}
      loop["loop"] = loop
      const { stderr: [line = ""] } = yield* written(
        Effect.logInfo("odd", 12n, undefined, Number.NaN, Symbol("s"), new Error("e"), loop).pipe(
          Effect.annotateLogs({ big: 1n, secret: Redacted.make("hunter2"), timestamp: "forged", level: "forged" })
        ),
        "json"
      )
      const { big, level, message, secret, timestamp } = JSON.parse(line)
      assert.strictEqual(level, "INFO")
      assert.strictEqual(timestamp, "1970-01-01T00:00:00.000Z")
      assert.strictEqual(big, "1")
      assert.include(secret, "redacted")
      assert.notInclude(line, "hunter2")
      assert.match(message, /^odd 12 undefined NaN Symbol\(s\) Error: e \{/)
    }))
})
