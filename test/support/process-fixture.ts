/**
 * A program under `Process.runMain` that behaves as its argument says. Prints `ready` when signals may come.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Schema from "effect/Schema"
import { lookup } from "node:dns"
import { open, openSync } from "node:fs"
import * as Names from "../../src/layers/cli/Names.ts"
import * as Process from "../../src/layers/cli/Process.ts"
import * as Observability from "../../src/layers/Observability.ts"

class Failed extends Schema.TaggedError<Failed>()("Failed", { code: Schema.Int, message: Schema.String }) {}

const ready = Console.log("ready")

/** What `AppLayer.run` does when something could not be made durable: it cannot fail from a finalizer. */
const incomplete = Effect.uninterruptibleMask((restore) =>
  Effect.exit(restore(Effect.zipRight(ready, Effect.never))).pipe(
    Effect.andThen(new Failed({ code: 75, message: "12 events could not be made durable" }))
  )
)

const openFifo = Effect.sync(() => open(process.env["FIFO"] ?? "", "r", () => {}))

/** Until no descriptor is left. */
const exhaust = Effect.sync(() => {
  try {
    for (;;) openSync("/dev/null", "r")
  } catch {
    // There are no more.
  }
})

const lookUp = Effect.async<void>((resume) => {
  Names.install()
  lookup("nowhere.invalid", (error) => resume(Console.log(error === null ? "found" : "not found")))
})

/** Says on stdout how much of its log nobody has taken, and goes on when somebody does. */
const talks = Effect.gen(function*() {
  yield* Effect.forEach(Array.from({ length: 20_000 }), (_, n) => Effect.logInfo(`line ${n} ${"x".repeat(480)}`), {
    discard: true
  })
  yield* Console.log(`waiting ${process.stderr.writableLength}`)
  yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => process.stderr.writableLength === 0 })
  yield* Effect.logInfo("the last line")
}).pipe(Effect.provide(Observability.layer({ level: LogLevel.Info, format: "json" }, { isTTY: false, colors: false })))

const modes: Record<string, Effect.Effect<unknown, Failed>> = {
  waits: ready.pipe(Effect.zipRight(Effect.never), Effect.ensuring(Console.log("released"))),
  slow: ready.pipe(
    Effect.zipRight(Effect.never),
    Effect.ensuring(Effect.zipRight(Console.log("stopping"), Effect.sleep("2500 millis")))
  ),
  talks,
  exhausted: Effect.zipRight(exhaust, ready).pipe(Effect.zipRight(Effect.never)),
  exhaustedNames: Effect.zipRight(exhaust, lookUp),
  hangs: ready.pipe(Effect.zipRight(Effect.never), Effect.ensuring(Effect.never)),
  // A thread of Node's pool waits in the kernel for somebody to write to a FIFO.
  stuck: openFifo.pipe(Effect.zipRight(ready), Effect.zipRight(Effect.never)),
  stuckDefect: openFifo.pipe(Effect.zipRight(Effect.die(new Error("boom")))),
  blocks: ready.pipe(
    Effect.zipRight(Effect.never),
    Effect.ensuring(Effect.sync(() => {
      for (;;);
    }))
  ),
  incomplete,
  ends: Effect.void,
  fails: new Failed({ code: 69, message: "port 8080 is in use" }),
  dies: Effect.die(new Error("boom")),
  interrupts: Effect.interrupt,
  throws: Effect.sync(() =>
    setImmediate(() => {
      throw new Error("nobody caught this")
    })
  ).pipe(Effect.zipRight(Effect.never)),
  rejects: Effect.sync(() => void Promise.reject(new Error("nobody awaited this"))).pipe(Effect.zipRight(Effect.never)),
  prints: Effect.forever(Effect.zipRight(Console.log("x".repeat(1000)), Effect.yieldNow())),
  much: Console.log("x".repeat(1_000_000))
}

Process.runMain(modes[process.argv[2] ?? ""] ?? Effect.dieMessage("no such mode"), {
  codeOf: (error) => error.code,
  messageOf: (error) => error.message,
  lastResort: Number(process.env["LAST_RESORT"] ?? 19_000)
})
