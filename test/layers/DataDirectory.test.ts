/** What lies in `DATA_DIR` for the checkpoint, on a real disk. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as zlib from "node:zlib"
import * as DataDirectory from "../../src/layers/DataDirectory.ts"
import * as NodeFileOps from "../../src/layers/node/FileOps.ts"
import { Checkpoint } from "../../src/services/Checkpoint.ts"
import { FileOps } from "../../src/services/FileOps.ts"
import { at, epochMs, hole, idOf, keyOf, memoryOf, trade } from "../services/Checkpoint/World.ts"
import { MemoryDisk } from "../support/MemoryDisk.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(path.join(tmpdir(), "data-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

const open = (directory: string) =>
  Effect.map(
    Layer.build(DataDirectory.checkpoint(directory).pipe(Layer.provide(NodeFileOps.layer))),
    (context) => Context.get(context, Checkpoint)
  )

const storeOf = (directory: string) =>
  Effect.map(FileOps, (files) => DataDirectory.checkpointStore(files, directory)).pipe(
    Effect.provide(NodeFileOps.layer)
  )

describe("the checkpoint's files", () => {
  it.scopedLive("are segments of lines, for the owner alone: a CRC-32, a blank, a JSON object", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      for (let life = 1; life <= 2; life++) {
        const checkpoint = yield* open(directory)
        yield* checkpoint.settle([trade(life)], life)
        checkpoint.keepHoles(keyOf("BTC/IRT"), "BTC_IRT", [hole(0, 1)])
        yield* checkpoint.write
      }
      const names = readdirSync(directory)
      // The second life says all that the first did.
      assert.deepStrictEqual(names, ["checkpoint-2.00000002.log"])
      const file = path.join(directory, names[0] ?? "")
      assert.strictEqual(statSync(file).mode & 0o777, 0o600)
      const text = readFileSync(file, "utf8")
      const [, crc = "", body = ""] = /^([0-9a-f]{8}) (.*)\n$/.exec(text) ?? []
      assert.strictEqual(Number.parseInt(crc, 16), zlib.crc32(body))
      assert.deepStrictEqual(JSON.parse(body), {
        v: 2,
        seq: 2,
        markets: [{
          k: "bitpin:BTC/IRT",
          kind: "whole",
          s: "BTC_IRT",
          last: at(2),
          ids: ["1", "2"],
          times: [epochMs(1), 1],
          holes: [{ ...hole(0, 1), trade: null, event: null }]
        }]
      })
    }))

  it.scopedLive("segments are found in the order of their numbers, and nothing else is taken for one", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const found = [3, 20, 100_000_000]
      for (const number of found) {
        writeFileSync(path.join(directory, `checkpoint-2.${String(number).padStart(8, "0")}.log`), "")
      }
      for (const name of ["checkpoint-2.1.log", "checkpoint-3.00000001.log", "checkpoint-2.00000001.log.tmp", "LOCK"]) {
        writeFileSync(path.join(directory, name), "")
      }
      const store = yield* storeOf(directory)
      assert.deepStrictEqual(yield* store.segments, found)
      yield* store.removeBefore(21)
      assert.deepStrictEqual(yield* store.segments, [100_000_000])
      assert.lengthOf(readdirSync(directory), 5)
    }))

  it.scopedLive("a directory that is not there yet has none; the version before's file is not touched", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      assert.deepStrictEqual(yield* Effect.flatMap(storeOf(`${directory}/not/yet`), ({ segments }) => segments), [])
      const old = path.join(directory, "checkpoint")
      const text = "{\"v\":1,\"seq\":4,\"markets\":[[\"bitpin:BTC/IRT\",\"2026-06-11T12:59:45.263Z\",[\"7\"]]]}\n"
      writeFileSync(old, text)
      const { mtimeMs } = statSync(old)
      const checkpoint = yield* open(directory)
      yield* checkpoint.settle([trade(800)], 5)
      yield* checkpoint.write
      assert.deepStrictEqual((yield* memoryOf(yield* open(directory)))?.ids, [idOf(7), idOf(800)])
      assert.strictEqual(readFileSync(old, "utf8"), text)
      assert.strictEqual(statSync(old).mtimeMs, mtimeMs)
    }))

  it.scopedLive("a write that fails names the file, and leaves none", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const checkpoint = yield* open(directory)
      yield* checkpoint.settle([trade(1)])
      const file = path.join(directory, "checkpoint-2.00000001.log")
      mkdirSync(file)
      const error = yield* Effect.flip(checkpoint.write)
      assert.strictEqual(error.path, file)
      assert.include(error.message, file)
      rmSync(file, { recursive: true })
      yield* checkpoint.write
      assert.deepStrictEqual(readdirSync(directory), ["checkpoint-2.00000002.log"])
      assert.isNull(yield* checkpoint.failure)
    }))
})

describe("the name of the collector", () => {
  const nameIn = (directory: string) =>
    Effect.flatMap(FileOps, (files) => DataDirectory.collector(files, directory)).pipe(
      Effect.provide(NodeFileOps.layer)
    )

  it.scopedLive("is made once and kept, in a directory of before too", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const name = yield* nameIn(directory)
      assert.match(name, /^[a-z0-9]{9}$/)
      assert.strictEqual(readFileSync(path.join(directory, "collector"), "utf8"), `${name}\n`)
      assert.strictEqual(yield* nameIn(directory), name)
      assert.notStrictEqual(yield* nameIn(yield* temporary), name)
    }))

  it.scopedLive("may be set by hand, and is refused if it would not fit into an id", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const file = path.join(directory, "collector")
      writeFileSync(file, "tehran1")
      assert.strictEqual(yield* nameIn(directory), "tehran1")
      for (const text of ["", "a:b", "Tehran", "a_1", "x".repeat(33)]) {
        writeFileSync(file, text)
        const error = yield* Effect.flip(nameIn(directory))
        assert.strictEqual(error._tag, "CollectorNameInvalid")
        assert.include(error.message, `${file}: expected a name of at most 32 lower case letters and digits`)
        assert.strictEqual(readFileSync(file, "utf8"), text)
      }
    }))

  it.effect("is there on a full disk too, for this life", () =>
    Effect.gen(function*() {
      const disk = new MemoryDisk()
      const name = Effect.flatMap(FileOps, (files) => DataDirectory.collector(files, "/data")).pipe(
        Effect.provide(disk.layer)
      )
      disk.fault = ({ op }) => op === "write" ? "ENOSPC" : undefined
      assert.match(yield* name, /^[a-z0-9]{9}$/)
      disk.fault = () => undefined
      const kept = yield* name
      assert.strictEqual(yield* name, kept)
    }))
})
