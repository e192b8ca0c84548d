/** `exchange-feeds gaps`, as a child process: of a service, and of a checkpoint's real files. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll } from "vitest"
import * as Gaps from "../../../../src/layers/cli/commands/Gaps.ts"
import * as DataDirectory from "../../../../src/layers/DataDirectory.ts"
import * as NodeDirectoryLock from "../../../../src/layers/node/DirectoryLock.ts"
import * as NodeFileOps from "../../../../src/layers/node/FileOps.ts"
import * as Checkpoint from "../../../../src/services/Checkpoint.ts"
import { DirectoryLock } from "../../../../src/services/DirectoryLock.ts"
import type { OpenHole } from "../../../../src/services/FeedStatus.ts"
import { FileOps } from "../../../../src/services/FileOps.ts"
import { ensureBundle, exchangeFeeds } from "../../../support/bundle.ts"

const root = mkdtempSync(path.join(tmpdir(), "gaps-command-"))
const servers: Array<http.Server> = []
beforeAll(() => ensureBundle())
afterAll(() => {
  for (const server of servers) server.close()
  rmSync(root, { recursive: true })
})

let serial = 0
const freshDirectory = () => path.join(root, String(serial++))

const gaps = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.promise(() => exchangeFeeds(["gaps", ...args], env))

/** Answers everything with the same. */
const serve = (body: string, code = 200) =>
  Effect.promise(() =>
    new Promise<string>((resolve) => {
      const server = http.createServer((_, response) => void response.writeHead(code).end(body))
      servers.push(server)
      server.listen(0, "127.0.0.1", () => {
        const address: AddressInfo | string | null = server.address()
        resolve(typeof address === "object" && address !== null ? String(address.port) : "")
      })
    })
  )

const nobody = { HEALTH_PORT: "1" }

const open = (symbol: string, over: Partial<OpenHole> = {}): OpenHole => ({
  symbol,
  cause: "disconnected",
  from: "2026-06-11T12:59:45.263627Z",
  to: null,
  gapId: null,
  recovered: 0,
  published: false,
  waiting: 0,
  ageMs: 12_345,
  awaits: "a connection that hears the market",
  ...over
})

const told = open("ETH/IRT", {
  to: "2026-06-11T13:01:00.000Z",
  gapId: "bitpin:status:x:gap:ETH/IRT:1",
  published: true,
  recovered: 3,
  ageMs: 4_000_000,
  awaits: "its history: to be asked in 29 s"
})

const status = (...exchanges: ReadonlyArray<readonly [string, ReadonlyArray<OpenHole>]>): string =>
  JSON.stringify({
    name: "effect-exchange-feeds",
    exchanges: exchanges.map(([exchange, openHoles]) => ({ exchange, openHoles }))
  })

describe("gaps of a running service", () => {
  it.effect("lists them, the oldest first", () =>
    Effect.gen(function*() {
      const port = yield* serve(
        status(["bitpin", [open("BTC/IRT", { waiting: 7 }), told]], ["wallex", [open("A\u001b[2J/B")]])
      )
      const { code, stderr, stdout } = yield* gaps([], { HEALTH_PORT: port })
      assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
      const rows = stdout.trimEnd().split("\n").map((line) => line.split(/ {2,}/))
      assert.deepStrictEqual(rows, [
        ["EXCHANGE", "MARKET", "CAUSE", "OPEN FOR", "AWAITS", "WAITING", "TOLD", "RECOVERED", "FROM", "TO"],
        ["bitpin", "ETH/IRT", "disconnected", "66 min", told.awaits, "0", "yes", "3", told.from, told.to],
        ["bitpin", "BTC/IRT", "disconnected", "12 s", open("").awaits, "7", "no", "0", told.from, "-"],
        ["wallex", "A\\u001b[2J/B", "disconnected", "12 s", open("").awaits, "0", "no", "0", told.from, "-"]
      ])
    }))

  it.effect("--json: one object a line, with all that is known", () =>
    Effect.gen(function*() {
      const port = yield* serve(status(["bitpin", [open("BTC/IRT"), told]]))
      const { code, stdout } = yield* gaps(["--json", "--url", `http://127.0.0.1:${port}/`])
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(stdout.trimEnd().split("\n").map((line) => JSON.parse(line)), [
        { exchange: "bitpin", ...told, source: "service" },
        { exchange: "bitpin", ...open("BTC/IRT"), source: "service" }
      ])
    }))

  it.effect("none are told as none: 0", () =>
    Effect.gen(function*() {
      const env = { HEALTH_PORT: yield* serve(status(["bitpin", []])) }
      assert.deepStrictEqual(yield* gaps([], env), { code: 0, stdout: "no open holes\n", stderr: "" })
      assert.deepStrictEqual(yield* gaps(["--json"], env), { code: 0, stdout: "", stderr: "" })
    }))

  it.effect("what answers something else is not taken for a service without holes: 1", () =>
    Effect.gen(function*() {
      const older = JSON.stringify({
        name: "effect-exchange-feeds",
        exchanges: [{ exchange: "bitpin", gaps: { open: 3 } }]
      })
      for (const body of [older, "<html>", "{}"]) {
        const { code, stderr, stdout } = yield* gaps([], { HEALTH_PORT: yield* serve(body) })
        assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
        assert.match(
          stderr,
          /^exchange-feeds: what answers at http:\/\/127\.0\.0\.1:\d+ is no exchange-feeds, or one of/
        )
      }
    }))

  it.effect("one that was named and does not answer: 1, and nothing else is read", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* gaps(["--url", "http://127.0.0.1:1"], { DATA_DIR: root })
      assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
      assert.match(stderr, /^exchange-feeds: http:\/\/127\.0\.0\.1:1\/api\/status: .*ECONNREFUSED/)
    }))

  it.effect("wrong usage: 64; a bad setting: 78", () =>
    Effect.gen(function*() {
      const both = yield* gaps(["--url", "http://127.0.0.1:1", "--data-dir", root])
      assert.deepStrictEqual(both, {
        code: 64,
        stdout: "",
        stderr: "exchange-feeds: --url and --data-dir exclude each other\n"
      })
      const { code, stderr } = yield* gaps([], { HEALTH_PORT: "http" })
      assert.strictEqual(code, 78)
      assert.match(stderr, /HEALTH_PORT +expected a port/)
    }))
})

const files = Effect.map(Layer.build(NodeFileOps.layer), (context) => Context.get(context, FileOps))

const hole = (gapId: string | null, over: Partial<Checkpoint.Hole> = {}): Checkpoint.Hole => ({
  cause: "disconnected",
  gapId,
  from: "2026-06-11T12:59:45.263627Z",
  to: "2026-06-11T13:01:00.000Z",
  recovered: 2,
  over: null,
  ...over
})

/** A data directory whose service left these holes open. */
const left = Effect.fnUntraced(function*(holes: Readonly<Record<string, ReadonlyArray<Checkpoint.Hole>>>) {
  const directory = freshDirectory()
  const ops = yield* files
  yield* ops.makeDirectory(directory)
  const checkpoint = yield* Checkpoint.make(DataDirectory.checkpointStore(ops, directory))
  for (const [key, open] of Object.entries(holes)) checkpoint.keepHoles(key, key, open)
  // Where nothing is known nothing is written.
  yield* checkpoint.settle([{
    key: "bitpin:BTC/IRT",
    value: "{}",
    headers: { id: "bitpin:BTC/IRT:t:1" },
    timestamp: 0
  }])
  yield* checkpoint.write
  return { checkpoint, directory, ops }
})

/** But for the socket by which the lock's owner answers: it has no contents. */
const contents = (directory: string) =>
  readdirSync(directory).filter((name) => !name.endsWith(".sock")).sort()
    .map((name) => [name, readFileSync(path.join(directory, name), "latin1")])

describe("gaps of a checkpoint", () => {
  it.scoped("if no service answers; the lock is its owner's, and no file is touched", () =>
    Effect.gen(function*() {
      const { checkpoint, directory } = yield* left({
        "bitpin:BTC/IRT": [hole("gap:1"), hole(null, { from: null, to: null, cause: "restart" })],
        "wallex:ETH/IRT": [],
        "wallex:DOGE/IRT": [hole("gap:2")]
      })
      // Filled, but its last event may be lost still.
      checkpoint.closeHole("wallex:DOGE/IRT", hole("gap:2", { over: "filled" }), { trade: null, event: "event" })
      yield* checkpoint.write
      const lock = Context.get(yield* Layer.build(NodeDirectoryLock.layer), DirectoryLock)
      yield* lock.acquire(directory)
      const before = contents(directory)
      const { code, stderr, stdout } = yield* gaps([], { ...nobody, DATA_DIR: directory })
      assert.strictEqual(code, 0)
      assert.strictEqual(stderr, `no service answers at http://127.0.0.1:1: reading the checkpoint in ${directory}\n`)
      const anyPort = yield* gaps([], { HEALTH_PORT: "0", DATA_DIR: directory })
      assert.deepInclude(anyPort, { code: 0, stdout })
      assert.match(anyPort.stderr, /^HEALTH_PORT=0 does not say .*--url.*: reading the checkpoint in .*\n$/)
      const rows = stdout.trimEnd().split("\n").slice(1).map((line) => line.split(/ {2,}/))
      assert.deepStrictEqual(rows, [
        ["bitpin", "BTC/IRT", "restart", "-", "the next start", "-", "no", "2", "-", "-"],
        [
          "bitpin",
          "BTC/IRT",
          "disconnected",
          "-",
          "the next start",
          "-",
          "perhaps",
          "2",
          hole(null).from,
          hole(null).to
        ]
      ])
      assert.deepStrictEqual(contents(directory), before)
    }))

  it.scoped("--data-dir: without asking any service; --json has null for what nobody knows", () =>
    Effect.gen(function*() {
      const { directory } = yield* left({ "bitpin:BTC/IRT": [hole("gap:1")] })
      const port = yield* serve(status(["bitpin", [told]]))
      const { code, stderr, stdout } = yield* gaps(["--json", "--data-dir", directory], { HEALTH_PORT: port })
      assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
      const { over: _, ...known } = hole("gap:1")
      assert.deepStrictEqual(JSON.parse(stdout), {
        exchange: "bitpin",
        symbol: "BTC/IRT",
        ...known,
        published: null,
        waiting: null,
        ageMs: null,
        awaits: "the next start",
        source: "checkpoint"
      })
    }))

  it.scoped("one without open holes says so; where there is none, that is said: 1", () =>
    Effect.gen(function*() {
      const { directory } = yield* left({ "bitpin:BTC/IRT": [] })
      assert.deepStrictEqual(yield* gaps(["--data-dir", directory]), { code: 0, stdout: "no open holes\n", stderr: "" })
      for (const nowhere of [freshDirectory(), mkdtempSync(path.join(root, "empty-"))]) {
        assert.deepStrictEqual(yield* gaps(["--data-dir", nowhere]), {
          code: 1,
          stdout: "",
          stderr: `exchange-feeds: ${nowhere} holds no checkpoint\n`
        })
      }
      const file = path.join(root, "file")
      writeFileSync(file, "")
      const odd = yield* gaps(["--data-dir", file])
      assert.strictEqual(odd.code, 1)
      assert.match(odd.stderr, /ENOTDIR/)
    }))

  it.scoped("one of a later version is not taken for an empty one: 1", () =>
    Effect.gen(function*() {
      const directory = mkdtempSync(path.join(root, "later-"))
      writeFileSync(path.join(directory, "checkpoint"), "{\"v\":9,\"seq\":1,\"markets\":[]}")
      const { code, stderr } = yield* gaps(["--data-dir", directory])
      assert.strictEqual(code, 1)
      assert.match(stderr, /has version 9/)
    }))

  it.scoped("whose files a running service replaces meanwhile is read once more", () =>
    Effect.gen(function*() {
      const { directory, ops } = yield* left({ "bitpin:BTC/IRT": [hole("gap:1")] })
      const [first = ""] = readdirSync(directory)
      const next = first.replace(/\d+/g, (digits) => digits.length < 8 ? digits : digits.replace(/.$/, "9"))
      assert.notStrictEqual(next, first)
      // Between finding the file and opening it: all that it says stands in another, and it is gone.
      const beside: FileOps["Type"] = {
        ...ops,
        open: (file, mode) =>
          Effect.suspend(() => {
            if (file.endsWith(first) && readdirSync(directory).includes(first)) {
              renameSync(path.join(directory, first), path.join(directory, next))
            }
            return ops.open(file, mode)
          })
      }
      const found = yield* Gaps.read(beside, directory)
      assert.deepStrictEqual(found.map(({ gapId }) => gapId), ["gap:1"])
      assert.deepStrictEqual(readdirSync(directory), [next])
    }))
})
