import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as NodeFileOps from "../../../src/layers/node/FileOps.ts"
import {
  directoryOf,
  FileOps,
  readFile,
  readFully,
  replaceFile,
  withFile,
  writeAll
} from "../../../src/services/FileOps.ts"
import * as FileQueue from "../../../src/services/FileQueue.ts"
import { defaults, drain, numberOf, recordsOf } from "../../services/FileQueue/Harness.ts"
import { fewInodes } from "../../support/Inodes.ts"

const temporary: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(tmpdir(), "file-ops-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

const bytes = (text: string) => new TextEncoder().encode(text)

const mode = (file: string) => fs.statSync(file).mode & 0o777

describe("NodeFileOps", () => {
  it.scoped("bytes but no inodes: says that it is these, for a file and for a directory", () =>
    Effect.gen(function*() {
      const ops = yield* FileOps
      const directory = yield* fewInodes
      const make = (n: number) => withFile(ops, `${directory}/${n}`, "create", () => Effect.void)
      const failure = yield* Effect.flip(Effect.forEach(Array.from({ length: 20 }, (_, n) => n), make))
      assert.strictEqual(failure.code, "ENOSPC")
      assert.strictEqual(failure.message, `ENOSPC: no inodes left on the file system (df -i), open '${failure.path}'`)
      assert.match(
        (yield* Effect.flip(ops.makeDirectory(`${directory}/a/b`))).message,
        /^ENOSPC: no inodes left .*, mkdir '/
      )
      assert.isAbove(yield* ops.freeBytes(directory), 8 * 1024 * 1024)
      // With inodes again it is the bytes that are missing, and the system says so.
      yield* ops.unlink(`${directory}/0`)
      const full = yield* Effect.flip(
        withFile(ops, `${directory}/big`, "create", (file) => writeAll(file, new Uint8Array(17 * 1024 * 1024), 0))
      )
      assert.include(full.message, "ENOSPC: no space left on device")
    }).pipe(Effect.provide(NodeFileOps.layer)))

  it.scoped("writes, reads, cuts and names errors as the system does", () =>
    Effect.gen(function*() {
      const ops = yield* FileOps
      const directory = yield* temporary
      const file = path.join(directory, "a")
      yield* withFile(ops, file, "create", (file) =>
        Effect.gen(function*() {
          assert.strictEqual(yield* file.write(bytes("hello world"), 0), 11)
          yield* writeAll(file, bytes("W"), 6)
          yield* file.datasync
          const into = new Uint8Array(20)
          assert.strictEqual(yield* readFully(file, into, 0), 11)
          assert.strictEqual(new TextDecoder().decode(into.subarray(0, 11)), "hello World")
          yield* file.truncate(5)
          yield* file.sync
          assert.strictEqual(yield* file.size, 5)
        }))
      const closed = yield* ops.open(file, "write")
      yield* closed.close
      for (const call of [closed.write(bytes("x"), 0), closed.datasync]) {
        assert.strictEqual((yield* Effect.flip(call))._tag, "FileOpsError")
      }
      const codes = yield* Effect.forEach([
        ops.open(file, "create"),
        ops.open(path.join(directory, "none"), "read"),
        ops.unlink(path.join(directory, "none")),
        ops.open(path.join(directory, "no/such"), "write")
      ], (effect) => Effect.flip(effect))
      assert.deepStrictEqual(codes.map(({ code, op }) => `${op} ${code}`), [
        "open EEXIST",
        "open ENOENT",
        "unlink ENOENT",
        "open ENOENT"
      ])
      assert.strictEqual(codes[0]?.path, file)
      assert.deepStrictEqual(yield* ops.readDirectory(directory), ["a"])
      assert.deepStrictEqual(yield* ops.stat(file), { size: 5, isFile: true })
      assert.isAbove(yield* ops.freeBytes(directory), 0)
      assert.isUndefined(yield* readFile(ops, path.join(directory, "none")))
      yield* ops.syncDirectory(directory)
    }).pipe(Effect.provide(NodeFileOps.layer)))

  it.scoped("files are the owner's alone whatever the umask, links are not followed", () =>
    Effect.gen(function*() {
      const ops = yield* FileOps
      const directory = yield* temporary
      const before = process.umask(0)
      yield* Effect.addFinalizer(() => Effect.sync(() => process.umask(before)))
      const inner = path.join(directory, "x/y")
      yield* ops.makeDirectory(inner)
      yield* ops.makeDirectory(inner)
      assert.strictEqual(mode(inner), 0o700)
      assert.strictEqual(mode(path.join(directory, "x")), 0o700)
      yield* replaceFile(ops, path.join(inner, "cursor"), bytes("one"))
      yield* replaceFile(ops, path.join(inner, "cursor"), bytes("two"))
      assert.strictEqual(mode(path.join(inner, "cursor")), 0o600)
      assert.strictEqual(new TextDecoder().decode(yield* readFile(ops, path.join(inner, "cursor"))), "two")
      assert.deepStrictEqual(yield* ops.readDirectory(inner), ["cursor"])
      fs.symlinkSync("/etc/hostname", path.join(inner, "link"))
      for (const how of ["read", "write", "replace"] as const) {
        assert.strictEqual((yield* Effect.flip(ops.open(path.join(inner, "link"), how))).code, "ELOOP")
      }
    }).pipe(Effect.provide(NodeFileOps.layer)))

  it.effect("knows the check value of CRC-32, in one piece and in two", () =>
    Effect.gen(function*() {
      const { crc32 } = yield* FileOps
      assert.strictEqual(crc32(bytes("123456789"), 0), 0xcbf43926)
      assert.strictEqual(crc32(bytes("6789"), crc32(bytes("12345"), 0)), 0xcbf43926)
      assert.strictEqual(directoryOf("/a/b/c"), "/a/b")
    }).pipe(Effect.provide(NodeFileOps.layer)))

  it.scoped("a queue lives on it, over two lives, in directories of its own", () =>
    Effect.gen(function*() {
      const directory = path.join(yield* temporary, "data")
      const files = yield* FileQueue.make({ ...defaults, dir: directory, segmentBytes: 2000 })
      const life = (from: number, to: number) =>
        Effect.scoped(Effect.gen(function*() {
          const queue = yield* files.open({ topic: "t", dropOrder: 0, onLoss: () => Effect.void })
          for (let n = from; n < to; n += 5) yield* queue.append(recordsOf(n, n + 5, 200))
          const all = yield* drain(queue)
          yield* queue.ack(from + 11)
          yield* queue.persist
          return all.map(numberOf)
        }))
      assert.deepStrictEqual(yield* life(0, 30), Array.from({ length: 30 }, (_, i) => i))
      assert.deepStrictEqual(yield* life(30, 60), Array.from({ length: 50 }, (_, i) => i + 10))
      assert.strictEqual(mode(path.join(directory, "queue/t")), 0o700)
      for (const name of fs.readdirSync(path.join(directory, "queue/t"))) {
        assert.strictEqual(mode(path.join(directory, "queue/t", name)), 0o600)
      }
    }).pipe(Effect.provide(NodeFileOps.layer)))

  it.scoped("T23: a data directory that cannot be made or is none is an error that names it", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      fs.writeFileSync(path.join(directory, "file"), "")
      for (const dir of [path.join(directory, "file/data"), path.join(directory, "file"), "/proc/none"]) {
        const files = yield* FileQueue.make({ ...defaults, dir })
        const error = yield* Effect.flip(files.open({ topic: "t", dropOrder: 0, onLoss: () => Effect.void }))
        assert.strictEqual(error.reason, "io")
        assert.include(error.path, dir)
      }
    }).pipe(Effect.provide(NodeFileOps.layer)))

  it.scoped("T12: a device that is full says so", () =>
    Effect.gen(function*() {
      const ops = yield* FileOps
      const error = yield* withFile(ops, "/dev/full", "write", (file) => Effect.flip(writeAll(file, bytes("x"), 0)))
      assert.strictEqual(error.code, "ENOSPC")
      assert.strictEqual(error.op, "write")
    }).pipe(Effect.provide(NodeFileOps.layer)))
})
