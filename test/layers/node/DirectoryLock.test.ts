/** T16: one owner, whatever happens to it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as NodeDirectoryLock from "../../../src/layers/node/DirectoryLock.ts"
import { DirectoryLock } from "../../../src/services/DirectoryLock.ts"
import { start } from "../../support/child.ts"
import { fewInodes } from "../../support/Inodes.ts"

const temporary: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(tmpdir(), "lock-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

const acquire = (directory: string) => Effect.flatMap(DirectoryLock, (lock) => lock.acquire(directory))

const owner = (directory: string) =>
  Effect.acquireRelease(
    Effect.sync(() => start("queue-child.ts", [directory, "0", "lock"])),
    (child) =>
      Effect.promise(async () => {
        child.process.kill("SIGKILL")
        await child.exited
      })
  )

/** Says what it was. */
const setPath = (value: string | undefined): string | undefined => {
  const before = process.env["PATH"]
  process.env["PATH"] = value
  return before
}

const limitFiles = (limit: string): void => {
  execFileSync("prlimit", ["--pid", `${process.pid}`, `--fsize=${limit}`])
}

/** No file of this process grows beyond so many bytes: what a full disk is to it. */
const withRoomFor = (bytes: number) =>
  Effect.acquireRelease(
    Effect.sync(() => limitFiles(`${bytes}:unlimited`)),
    () => Effect.sync(() => limitFiles("unlimited:unlimited"))
  )

describe("NodeDirectoryLock", () => {
  it.scoped("the second is refused and told who holds it; free again when the first lets go", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* temporary, "data")
      const first = yield* Scope.make()
      yield* Scope.extend(acquire(directory), first)
      assert.strictEqual(fs.statSync(directory).mode & 0o777, 0o700)
      const error = yield* Effect.flip(Effect.scoped(acquire(directory)))
      if (error._tag !== "Locked") return assert.fail(error.message)
      assert.strictEqual(error.holder?.pid, process.pid)
      assert.isNotEmpty(error.holder?.bootId)
      assert.include(error.message, String(process.pid))
      // What was refused took nothing with it.
      assert.strictEqual((yield* Effect.flip(Effect.scoped(acquire(directory))))._tag, "Locked")
      yield* Scope.close(first, Exit.void)
      yield* acquire(directory)
    }).pipe(Effect.provide(NodeDirectoryLock.layer)))

  it.scoped("no inode is left for it: says so, where the system speaks of space", () =>
    Effect.gen(function*() {
      const directory = yield* fewInodes
      for (let n = 0; n < 15; n++) fs.writeFileSync(path.join(directory, `${n}`), "")
      const error = yield* Effect.flip(Effect.scoped(acquire(directory)))
      if (error._tag !== "DirectoryLockError") return assert.fail(error.message)
      assert.strictEqual(error.code, "ENOSPC")
      assert.strictEqual(
        error.message,
        `ENOSPC: no inodes left on the file system (df -i), open '${path.join(directory, "LOCK")}'`
      )
    }).pipe(Effect.provide(NodeDirectoryLock.layer)))

  it.live("another process holds it, also while it is stopped; kill -9 frees it", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const child = yield* owner(directory)
      yield* Effect.promise(() => child.line("locked"))
      const refused = Effect.flip(Effect.scoped(acquire(directory)))
      const error = yield* refused
      if (error._tag !== "Locked") return assert.fail(error.message)
      assert.strictEqual(error.holder?.pid, child.process.pid)
      child.process.kill("SIGSTOP")
      assert.strictEqual((yield* refused)._tag, "Locked")
      child.process.kill("SIGKILL")
      yield* Effect.promise(() => child.exited)
      yield* acquire(directory)
    }).pipe(Effect.scoped, Effect.provide(NodeDirectoryLock.layer)), 60_000)

  it.live("refused before the owner has written its note, it waits for that, but not for ever", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      yield* acquire(directory)
      const file = path.join(directory, "LOCK")
      const note = fs.readFileSync(file)
      fs.truncateSync(file, 0)
      const refused = Effect.flip(Effect.scoped(acquire(directory)))
      const silent = yield* refused
      assert.deepStrictEqual(silent._tag === "Locked" && silent.holder, null)
      const fiber = yield* Effect.fork(refused)
      yield* Effect.sleep("60 millis")
      fs.writeFileSync(file, note)
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag === "Locked" && error.holder?.pid, process.pid)
    }).pipe(Effect.scoped, Effect.provide(NodeDirectoryLock.layer)))

  it.live("of processes that start together exactly one gets it", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const children = yield* Effect.all(Array.from({ length: 3 }, () => owner(directory)))
      const answers = yield* Effect.promise(() =>
        Promise.all(children.map((child) => Promise.race([child.line("locked"), child.line("error")])))
      )
      assert.lengthOf(answers.filter((line) => line === "locked"), 1)
      assert.lengthOf(answers.filter((line) => line.includes("in use by process")), 2)
    }).pipe(Effect.scoped), 60_000)

  it.scoped("a flock that cannot lock on this file system is no refusal: the marks decide", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* temporary, "data")
      const bin = yield* temporary
      // ENOLCK of a network file system without a lock daemon.
      fs.writeFileSync(path.join(bin, "flock"), "#!/bin/sh\nexit 71\n", { mode: 0o755 })
      yield* Effect.acquireRelease(
        Effect.sync(() => setPath(`${bin}:${process.env["PATH"] ?? ""}`)),
        (before) => Effect.sync(() => setPath(before))
      )
      yield* acquire(directory)
      assert.strictEqual((yield* Effect.flip(Effect.scoped(acquire(directory))))._tag, "Locked")
    }).pipe(Effect.provide(NodeDirectoryLock.layer)))

  it.scoped("a directory that cannot be made is an error that names it", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(acquire("/proc/none/data"))
      assert.strictEqual(error._tag, "DirectoryLockError")
      assert.strictEqual(error.path, "/proc/none/data")
    }).pipe(Effect.provide(NodeDirectoryLock.layer)))

  const blanks: ReadonlyArray<readonly [what: string, text: string]> = [["empty", ""], ["of zeros", "\0".repeat(200)]]

  describe("a mark that a crash of the system left", () => {
    it.scopedLive.each(blanks)("%s is nobody's where there is a flock", ([, text]) =>
      Effect.gen(function*() {
        const directory = yield* temporary
        const file = path.join(directory, "LOCK.pid")
        fs.writeFileSync(file, text)
        yield* acquire(directory)
        assert.include(fs.readFileSync(file, "utf8"), `"pid":${process.pid}`)
        assert.deepStrictEqual(fs.readdirSync(directory).filter((name) => name.startsWith("LOCK.after")), [])
        assert.strictEqual((yield* Effect.flip(Effect.scoped(acquire(directory))))._tag, "Locked")
      }).pipe(Effect.provide(NodeDirectoryLock.layer)))
  })

  describe("without a flock program", () => {
    /** Nothing is found on it. */
    const withoutFlock = Effect.acquireRelease(
      Effect.sync(() => setPath("/nonexistent")),
      (before) => Effect.sync(() => setPath(before))
    )

    it.scoped("the second is refused; one whose process is gone, or that is of another boot, is not in the way", () =>
      Effect.gen(function*() {
        yield* withoutFlock
        const directory = yield* temporary
        const first = yield* Scope.make()
        yield* Scope.extend(acquire(directory), first)
        const note = fs.readFileSync(path.join(directory, "LOCK.pid"), "utf8")
        const error = yield* Effect.flip(Effect.scoped(acquire(directory)))
        if (error._tag !== "Locked") return assert.fail(error.message)
        assert.strictEqual(error.holder?.pid, process.pid)
        yield* Scope.close(first, Exit.void)
        assert.isFalse(fs.existsSync(path.join(directory, "LOCK.pid")))
        const stale = [
          note.replace(/"pid":\d+/, `"pid":${2 ** 22 + 1}`),
          note.replace(/"bootId":"[^"]+"/, `"bootId":"earlier"`),
          note.replace(/"start":"\d+"/, `"start":"1"`)
        ]
        for (const left of stale) {
          assert.notStrictEqual(left, note)
          fs.writeFileSync(path.join(directory, "LOCK.pid"), left)
          yield* Effect.scoped(acquire(directory))
        }
        // Another host's process cannot be looked at.
        fs.writeFileSync(path.join(directory, "LOCK.pid"), note.replace(/"host":"[^"]+"/, `"host":"elsewhere"`))
        assert.strictEqual((yield* Effect.flip(Effect.scoped(acquire(directory))))._tag, "Locked")
      }).pipe(Effect.provide(NodeDirectoryLock.layer)))

    it.scopedLive.each(blanks)(
      "a mark that is %s may be anybody's: the message says what to do",
      ([, text]) =>
        Effect.gen(function*() {
          yield* withoutFlock
          const directory = yield* temporary
          const file = path.join(directory, "LOCK.pid")
          fs.writeFileSync(file, text)
          const error = yield* Effect.flip(Effect.scoped(acquire(directory)))
          assert.strictEqual(error._tag, "Locked")
          assert.include(error.message, `rm '${file}'`)
        }).pipe(Effect.provide(NodeDirectoryLock.layer))
    )

    it.scoped("half a note is nobody's: who could not write it says so, and is not in the way", () =>
      Effect.gen(function*() {
        const directory = yield* temporary
        const error = yield* Effect.scoped(Effect.gen(function*() {
          yield* withRoomFor(10)
          yield* withoutFlock
          return yield* Effect.flip(acquire(directory))
        }))
        if (error._tag !== "DirectoryLockError") return assert.fail(error.message)
        assert.strictEqual(error.code, "EFBIG")
        assert.include(error.message, path.join(directory, "LOCK.pid"))
        yield* withoutFlock
        yield* acquire(directory)
      }).pipe(Effect.provide(NodeDirectoryLock.layer)))
  })
})
