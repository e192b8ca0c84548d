import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Ref, Scope, TestClock } from "effect"
import { FileOpsError } from "../../../src/services/FileOps.ts"
import * as Health from "../../../src/services/Health.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { exchange, sink } from "./inputs.ts"

const options = (over: Partial<Health.Options> = {}): Health.Options => ({
  startupGrace: "60 seconds",
  kafka: Effect.void,
  disk: Effect.succeed(1_000_000),
  exchanges: Effect.succeed([exchange("bitpin")]),
  breakers: Effect.succeed([]),
  sink: Effect.succeed({ ...sink(), lanes: [] }),
  ...over
})

const checkOf = (health: Health.Health["Type"], name: string) =>
  Effect.map(health.answer, ({ checks }) => checks[name] ?? assert.fail(`no check ${name}`))

describe("checks in the background", () => {
  it.scoped("are made at once, then about every ten seconds, and answers do not make any", () =>
    Effect.gen(function*() {
      const made = yield* Ref.make(0)
      const health = yield* Health.make(options({ kafka: Ref.update(made, (n) => n + 1) }))
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* Ref.get(made), 1)
      for (let i = 0; i < 100; i++) yield* health.answer
      yield* TestClock.adjust("8900 millis")
      assert.strictEqual(yield* Ref.get(made), 1)
      yield* TestClock.adjust("2200 millis")
      assert.strictEqual(yield* Ref.get(made), 2)
      // Second by second: after a leap the next wait would begin at its end.
      for (let i = 0; i < 100; i++) yield* TestClock.adjust("1 second")
      assert.closeTo(yield* Ref.get(made), 12, 1)
    }))

  it.scoped("one that hangs is told after three seconds, then as stale, and none is sent after it", () =>
    Effect.gen(function*() {
      const made = yield* Ref.make(0)
      const free = yield* Deferred.make<void>()
      // As a call to the kernel: it cannot be interrupted.
      const hung = Effect.uninterruptible(Effect.andThen(Ref.update(made, (n) => n + 1), Deferred.await(free)))
      const health = yield* Health.make(options({ disk: Effect.as(hung, 5) }))
      yield* TestClock.adjust("2999 millis")
      assert.include(yield* checkOf(health, "disk"), { status: "starting" })
      yield* TestClock.adjust("1 millis")
      assert.include(yield* checkOf(health, "disk"), {
        status: "unhealthy",
        message: "no answer within 3s",
        duration: "3000ms"
      })
      yield* TestClock.adjust("60 seconds")
      assert.include(yield* checkOf(health, "disk"), { status: "unhealthy", message: "stale check" })
      assert.strictEqual((yield* health.answer).status, "degraded")
      assert.strictEqual(yield* Ref.get(made), 1)
      yield* Deferred.succeed(free, undefined)
      yield* TestClock.adjust("11 seconds")
      assert.include(yield* checkOf(health, "disk"), { status: "healthy", free_bytes: 5 })
    }))

  it.scoped("failures and defects are told, and the next check is made all the same", () =>
    Effect.gen(function*() {
      const kafka = yield* Ref.make<Effect.Effect<void, { readonly message: string }>>(
        Effect.fail({ message: "connect ECONNREFUSED" })
      )
      const health = yield* Health.make(options({ kafka: Effect.flatten(Ref.get(kafka)) }))
      yield* TestClock.adjust(0)
      assert.include(yield* checkOf(health, "kafka"), { status: "unhealthy", message: "connect ECONNREFUSED" })
      assert.strictEqual((yield* health.answer).status, "degraded")
      yield* Ref.set(kafka, Effect.die("bug"))
      yield* TestClock.adjust("11 seconds")
      assert.include(yield* checkOf(health, "kafka"), { status: "unhealthy", message: "the check itself has failed" })
      yield* Ref.set(kafka, Effect.sleep("15 millis"))
      yield* TestClock.adjust("12 seconds")
      assert.include(yield* checkOf(health, "kafka"), { status: "healthy", duration: "15ms" })
      assert.strictEqual((yield* health.answer).status, "healthy")
    }))

  it.effect("end with their scope", () =>
    Effect.gen(function*() {
      const made = yield* Ref.make(0)
      const scope = yield* Scope.make()
      yield* Health.make(options({ kafka: Ref.update(made, (n) => n + 1) })).pipe(Scope.extend(scope))
      yield* TestClock.adjust(0)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* Ref.get(made), 1)
    }))
})

describe("the life of a program", () => {
  it.scoped("starting, healthy, draining", () =>
    Effect.gen(function*() {
      const recovered = yield* Ref.make<Health.SinkReport | undefined>(undefined)
      const health = yield* Health.make(options({ sink: Ref.get(recovered) }))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* health.answer).status, "starting")
      yield* Ref.set(recovered, { ...sink(), lanes: [] })
      assert.strictEqual((yield* health.answer).status, "healthy")
      yield* health.drain
      assert.strictEqual((yield* health.answer).status, "draining")
    }))
})

describe("probeDirectory", () => {
  it.effect("writes, removes, and says what is free", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      assert.isAbove(yield* Health.probeDirectory(disk.ops, "/data"), 0)
      assert.deepStrictEqual(yield* disk.ops.readDirectory("/data"), [])
    }))

  it.effect("fails as the disk does", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      yield* disk.ops.makeDirectory("/data")
      const ops = {
        ...disk.ops,
        open: (path: string) =>
          Effect.fail(new FileOpsError({ op: "open", path, code: "EROFS", message: "read-only file system" }))
      }
      assert.strictEqual((yield* Effect.flip(Health.probeDirectory(ops, "/data"))).code, "EROFS")
    }))
})
