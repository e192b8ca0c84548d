/**
 * A process that wants the lock of a directory: says `ready`, waits for a line, then says `locked` or `refused <why>`. It has the lock
 * until its stdin ends, it is killed, or it says `lost <why>` and ends. What it logs meanwhile it says too: `log <message>`.
 *
 * node lock-child.mjs <directory> now|earlier
 */
import { Effect, Logger } from "effect"
import { writeSync } from "node:fs"
import * as readline from "node:readline"
import * as NodeDirectoryLock from "../../src/layers/node/DirectoryLock.ts"
import { DirectoryLock } from "../../src/services/DirectoryLock.ts"
import * as EarlierDirectoryLock from "./EarlierDirectoryLock.ts"

const [directory = "", version] = process.argv.slice(2)

const lines = readline.createInterface({ input: process.stdin })
const go = new Promise<void>((resolve) => lines.once("line", () => resolve()))
const leave = new Promise<void>((resolve) => lines.once("close", resolve))

const say = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const work = Effect.gen(function*() {
  yield* say("ready")
  yield* Effect.promise(() => go)
  const owned = yield* Effect.flatMap(DirectoryLock, (lock) => lock.acquire(directory))
  yield* say("locked")
  yield* Effect.raceFirst(Effect.promise(() => leave), owned.lost).pipe(
    Effect.catchTag(
      "Locked",
      (error) => Effect.andThen(say(`lost ${error.message}`), Effect.sync(() => process.stdin.destroy()))
    )
  )
})

/** The message alone: what is annotated is for people. */
const logger = Logger.make<unknown, void>(({ message }) => void writeSync(1, `log ${String(message)}\n`))

Effect.runPromise(
  Effect.scoped(work).pipe(
    Effect.catchAll((error) => say(`refused ${error.message}`)),
    Effect.provide(version === "earlier" ? EarlierDirectoryLock.layer : NodeDirectoryLock.layer),
    Effect.provide(Logger.replace(Logger.defaultLogger, logger))
  )
).catch((error: unknown) => {
  writeSync(1, `error ${String(error)}\n`)
  process.exitCode = 1
})
