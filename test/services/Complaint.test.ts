import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, LogLevel, TestClock } from "effect"
import * as Complaint from "../../src/services/Complaint.ts"

describe("Complaint", () => {
  it.effect("is told once a minute for each error, and its end once", () => {
    const told: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      told.push(`${logLevel.label} ${String(message)}`)
    })
    return Effect.gen(function*() {
      const complaint = Complaint.make()
      yield* complaint.over("well", {})
      for (let second = 0; second < 120; second++) {
        yield* complaint.tell("away", { error: "ENOSPC" })
        if (second < 2) yield* complaint.tell("away", { error: "EIO" })
        yield* TestClock.adjust("1 second")
      }
      yield* complaint.over("well", {})
      yield* complaint.over("well", {})
      yield* complaint.tell("away", { error: "ENOSPC" })
      const spoken = told.filter((line) => !line.startsWith("DEBUG"))
      assert.deepStrictEqual(spoken, ["WARN away", "WARN away", "WARN away", "INFO well", "WARN away"])
      assert.lengthOf(told, 120 + 2 + 1 + 1)
    }).pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.Debug)
    )
  })

  it.effect("is told no oftener of what fails and works in turns", () => {
    const told: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel !== LogLevel.Debug) told.push(`${logLevel.label} ${String(message)}`)
    })
    return Effect.gen(function*() {
      const complaint = Complaint.make()
      for (let turn = 0; turn < 119; turn++) {
        yield* complaint.tell("away", { error: "EMFILE" })
        yield* complaint.over("well", {})
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(told, ["WARN away", "INFO well", "WARN away", "INFO well"])
    }).pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.Debug)
    )
  })

  it.effect("is told once of attempts that fail alike, each at a file of its own", () => {
    const told: Array<unknown> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === LogLevel.Warning) told.push(message)
    })
    return Effect.gen(function*() {
      const complaint = Complaint.make()
      for (let attempt = 1; attempt <= 59; attempt++) {
        const path = `/data/checkpoint-2.${String(attempt).padStart(8, "0")}.log`
        yield* complaint.tell("away", { error: `EROFS: read-only file system, open '${path}'` })
        yield* TestClock.adjust("1 second")
      }
      assert.lengthOf(told, 1)
    }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
  })

  it.effect("remembers so many errors, however they are numbered", () => {
    let warnings = 0
    const logger = Logger.make(({ logLevel }) => {
      if (logLevel === LogLevel.Warning) warnings += 1
    })
    return Effect.gen(function*() {
      const complaint = Complaint.make()
      for (let i = 0; i < 100; i++) yield* complaint.tell("away", { error: `${i}` })
      yield* complaint.tell("away", { error: "99" })
      assert.strictEqual(warnings, 100)
    }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
  })
})
