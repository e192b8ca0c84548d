/** `exchange-feeds queue`, as a child process, on the files of a real queue. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll } from "vitest"
import * as NodeFileOps from "../../../../src/layers/node/FileOps.ts"
import { FileOps } from "../../../../src/services/FileOps.ts"
import * as FileQueue from "../../../../src/services/FileQueue.ts"
import type { EventRecord } from "../../../../src/services/MarketEvent.ts"
import { ensureBundle, exchangeFeeds } from "../../../support/bundle.ts"

const root = mkdtempSync(path.join(tmpdir(), "queue-command-"))
beforeAll(() => ensureBundle())
afterAll(() => rmSync(root, { recursive: true }))

const topic = "exchange_feeds.trade.v1"
const text = `a "quoted" line\nand another, \u0000 and ریال`

const record = (n: number): EventRecord => ({
  key: "wallex:BTC/IRT",
  value: JSON.stringify({ n, text }),
  headers: { id: `id-${n}`, schema: "trade/1" },
  timestamp: 1_781_182_785_000 + n
})

/** Runs in the queue of a data directory. */
const inQueue = <A, E>(dir: string, use: (queue: FileQueue.Queue) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.gen(function*() {
    const ops = Context.get(yield* Layer.build(NodeFileOps.layer), FileOps)
    const queues = yield* FileQueue.make({
      dir,
      maxBytes: 1 << 26,
      fullPolicy: "drop_oldest",
      fsync: "always",
      fsyncInterval: 0,
      segmentBytes: 8 * 1024
    }).pipe(Effect.provideService(FileOps, ops))
    return yield* use(yield* queues.open({ topic, dropOrder: 0, onLoss: () => Effect.void }))
  }))

/** 300 records in several segments, of which the first 20 are delivered. */
const filled = Effect.fnUntraced(function*(name: string) {
  const dir = path.join(root, name)
  yield* inQueue(dir, (queue) =>
    Effect.gen(function*() {
      for (let n = 0; n < 300; n += 50) {
        yield* queue.append(Array.from({ length: 50 }, (_, i) => record(n + i)))
      }
      yield* queue.ack(21)
      yield* queue.persist
    }))
  return { dir, files: path.join(dir, "queue", topic) }
})

const command = (dir: string, ...args: ReadonlyArray<string>) =>
  Effect.promise(() => exchangeFeeds(["queue", ...args], { DATA_DIR: dir }))

const segmentsOf = (files: string) => readdirSync(files).filter((name) => name.endsWith(".seg")).sort()

describe("queue", () => {
  it.live("inspect, verify and export tell what is there, and change nothing", () =>
    Effect.gen(function*() {
      const { dir, files } = yield* filled("sound")
      const before = segmentsOf(files).map((name) => readFileSync(path.join(files, name)).toString("hex"))
      const inspected = yield* command(dir, "inspect")
      assert.strictEqual(inspected.code, 0, inspected.stderr)
      assert.match(
        inspected.stdout,
        /^exchange_feeds\.trade\.v1\n  records   280, the oldest of 2026-06-11T12:59:45\.020Z\n/
      )
      assert.match(inspected.stdout, /next 21, to be assigned 301/)
      const verified = yield* command(dir, "verify")
      assert.deepStrictEqual(verified, { code: 0, stdout: `${topic}: 280 records, sound\n`, stderr: "" })
      const exported = yield* command(dir, "export", "--format", "ndjson")
      assert.strictEqual(exported.code, 0)
      const rows: ReadonlyArray<EventRecord & { readonly topic: string; readonly seq: number }> = exported.stdout
        .trimEnd().split(
          "\n"
        )
        .map((line) => JSON.parse(line))
      assert.deepStrictEqual(rows.map(({ seq }) => seq), Array.from({ length: 280 }, (_, i) => 21 + i))
      assert.deepStrictEqual(rows[0], { topic, seq: 21, ...record(20) })
      assert.deepStrictEqual(
        segmentsOf(files).map((name) => readFileSync(path.join(files, name)).toString("hex")),
        before
      )
    }))

  it.live("verify finds damage in the middle, lost files and a spoilt cursor: 1", () =>
    Effect.gen(function*() {
      const { files } = yield* filled("origin")
      const [, second = "", third = ""] = segmentsOf(files)
      const spoil = (name: string, deed: (files: string) => void) => {
        const dir = path.join(root, name)
        cpSync(path.join(root, "origin"), dir, { recursive: true })
        deed(path.join(dir, "queue", topic))
        return command(dir, "verify")
      }
      const damaged = yield* spoil("damaged", (at) => {
        const bytes = readFileSync(path.join(at, second))
        bytes.fill(0, 1_000, 1_500)
        writeFileSync(path.join(at, second), bytes)
      })
      assert.match(damaged.stdout, /\d+ bytes damaged, \d+ records missing/)
      const lost = yield* spoil("lost", (at) => rmSync(path.join(at, third)))
      assert.match(lost.stdout, /\d\d records missing/)
      const cursor = yield* spoil("cursor", (at) => writeFileSync(path.join(at, "cursor"), "x".repeat(64)))
      assert.match(cursor.stdout, /the cursor is damaged/)
      for (const { code, stderr } of [damaged, lost, cursor]) {
        assert.deepStrictEqual({ code, stderr }, {
          code: 1,
          stderr: "exchange-feeds: the queue is damaged; see above\n"
        })
      }
      // A torn tail is what a crash leaves, or a write under way.
      const torn = yield* spoil("torn", (at) => {
        const last = path.join(at, segmentsOf(at).at(-1) ?? "")
        writeFileSync(last, Buffer.concat([readFileSync(last), Buffer.from("0145584640000000", "hex")]))
      })
      assert.strictEqual(torn.code, 0)
    }))

  it.live("purge throws away what is asked for twice, and numbers go on", () =>
    Effect.gen(function*() {
      const { dir, files } = yield* filled("purged")
      for (const without of [["purge"], ["purge", "--yes=false"]]) {
        assert.deepStrictEqual(yield* command(dir, ...without), {
          code: 64,
          stdout: "",
          stderr: "purge deletes every record in the queue, and there is no way back: to have that, add --yes\n\n"
        })
      }
      assert.match((yield* command(dir, "inspect")).stdout, /records   280/)
      const purged = yield* command(dir, "purge", "--yes")
      assert.deepStrictEqual(purged, { code: 0, stdout: `${topic}: 280 records thrown away\n`, stderr: "" })
      assert.deepStrictEqual(segmentsOf(files), [])
      const { firstSeq } = yield* inQueue(dir, (queue) => queue.append([record(1)]))
      assert.strictEqual(firstSeq, 301)
    }))

  it.live("says where there is none", () =>
    Effect.gen(function*() {
      for (const verb of ["inspect", "verify", "export"]) {
        const { code, stderr } = yield* command(path.join(root, "nowhere"), verb)
        assert.strictEqual(code, 1)
        assert.match(stderr, /nowhere holds no queue/)
      }
    }))
})
