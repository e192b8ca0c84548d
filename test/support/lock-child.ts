/**
 * A process that wants the lock of a directory: says `ready`, waits for a line, then says `locked` or `refused <why>`. It has the lock
 * until its stdin ends, or it is killed.
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
  yield* Effect.flatMap(DirectoryLock, (lock) => lock.acquire(directory))
  yield* say("locked")
  yield* Effect.promise(() => leave)
})

Effect.runPromise(
  Effect.scoped(work).pipe(
    Effect.catchAll((error) => say(`refused ${error.message}`)),
    Effect.provide(version === "earlier" ? EarlierDirectoryLock.layer : NodeDirectoryLock.layer),
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )
).catch((error: unknown) => {
  writeSync(1, `error ${String(error)}\n`)
  process.exitCode = 1
})
