/** An owner whose marks could not be made, or are taken away while it lives: of real processes, in the same container and in others. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "vitest"
import { Child, container, dataDir, earlier, type Kind, nameOf, now } from "../../../support/lock-process.ts"

/** Files of that process grow no further than so many bytes: what a full disk is to it. */
const roomFor = (child: Child, bytes: number | "unlimited"): void => {
  const { error, status, stderr } = spawnSync(
    "prlimit",
    ["--pid", String(child.pid()), `--fsize=${bytes}:unlimited`],
    { encoding: "utf8" }
  )
  assert.strictEqual(status, 0, error?.message ?? stderr)
}

const socketIn = (data: string): string => fs.readdirSync(data).find((name) => name.endsWith(".sock")) ?? "none"

const owner = async (kind: Kind, under: ReadonlyArray<string> = []) => {
  const data = dataDir()
  const child = new Child(data, kind, under)
  assert.strictEqual(await child.tries(), "locked")
  return { data, child }
}

const onFullDisk = async () => {
  const data = dataDir()
  const child = new Child(data, now.with)
  await child.ready()
  roomFor(child, 10)
  assert.strictEqual(await child.tries(), "locked")
  assert.isFalse(fs.existsSync(path.join(data, "LOCK.pid")))
  return { data, child }
}

const kinds = [["with flock", now.with], ["without", now.without]] as const

describe("an owner with flock that began on a full disk", () => {
  it("keeps one without flock out from its first moment, where its process can be seen", async () => {
    const { child, data } = await onFullDisk()
    // Its next look for room comes when it runs again: nothing but its flock tells of it.
    child.signal("SIGSTOP")
    assert.match(await new Child(data, now.without).tries(), /^refused .*in use by process \d+/)
  }, 60_000)

  it("makes its marks when there is room, and tells of both", async () => {
    const { child, data } = await onFullDisk()
    await child.said(/^log no room for a mark in the data directory/)
    roomFor(child, "unlimited")
    await child.said(/^log the marks of the data directory's owner are there again/)
    for (const [, second] of kinds) {
      assert.match(await new Child(data, second, container()).tries(), /^refused .*in use by process \d+/)
    }
    assert.strictEqual(JSON.parse(fs.readFileSync(path.join(data, "LOCK"), "utf8")).pid, child.pid())
  }, 60_000)

  it("stops when another has become the owner meanwhile, and says who", async () => {
    const { child, data } = await onFullDisk()
    child.signal("SIGSTOP")
    const second = new Child(data, now.without, container())
    assert.strictEqual(await second.tries(), "locked")
    roomFor(child, "unlimited")
    child.signal("SIGCONT")
    assert.match(await child.said(/^lost/), /LOCK\.pid is in use by process 1 on host/)
    await child.left()
    assert.match(await new Child(data, now.without).tries(), /^refused .*in use by process 1 on host/)
  }, 60_000)
})

describe("an owner whose marks are taken away", () => {
  const taken = {
    "its mark": () => ["LOCK.pid"],
    "its socket": (data: string) => [socketIn(data)],
    "its file for flock": () => ["LOCK"],
    "all of them": (data: string) => ["LOCK", "LOCK.pid", socketIn(data)],
    "the directory": () => ["."]
  }
  it.each(
    Object.entries(taken).flatMap(([what, names]) => kinds.map(([which, kind]) => [what, which, names, kind] as const))
  )(
    "%s (%s): makes them again, and keeps others out",
    async (_what, _which, names, kind) => {
      const { child, data } = await owner(kind)
      const before = fs.readFileSync(path.join(data, "LOCK.pid"), "utf8")
      child.signal("SIGSTOP")
      for (const name of names(data)) fs.rmSync(path.resolve(data, name), { recursive: true })
      child.signal("SIGCONT")
      await child.said(/^log .*of the data directory's owner (was|were) taken away/)
      assert.strictEqual(fs.readFileSync(path.join(data, "LOCK.pid"), "utf8"), before)
      for (const [, second] of kinds) {
        for (const under of [[], container()]) {
          assert.match(await new Child(data, second, under).tries(), /^refused .*in use by process \d+/, nameOf(second))
        }
      }
      assert.match(await new Child(data, kind.flock ? earlier.with : earlier.without).tries(), /^refused/)
      await child.leave()
      assert.deepStrictEqual(fs.readdirSync(data), ["LOCK"])
    },
    120_000
  )

  it("a mark that is emptied is written again", async () => {
    for (const [, kind] of kinds) {
      const { child, data } = await owner(kind)
      const file = path.join(data, "LOCK.pid")
      const before = fs.readFileSync(file, "utf8")
      fs.writeFileSync(file, "")
      await child.said(/^log .*of the data directory's owner (was|were) taken away/)
      assert.strictEqual(fs.readFileSync(file, "utf8"), before)
      await child.leave()
      assert.deepStrictEqual(fs.readdirSync(data), ["LOCK"])
    }
  }, 60_000)

  it.each(kinds.flatMap(([first, one]) => kinds.map(([second, other]) => [first, second, one, other] as const)))(
    "%s, before one %s begins: the first stops and says who owns it, the second goes on",
    async (_first, _second, one, other) => {
      const { child, data } = await owner(one, container())
      child.signal("SIGSTOP")
      fs.rmSync(data, { recursive: true })
      const second = new Child(data, other)
      assert.strictEqual(await second.tries(), "locked")
      child.signal("SIGCONT")
      assert.match(await child.said(/^lost/), new RegExp(`in use by process ${second.pid()} on `))
      await child.left()
      for (const [, third] of kinds) {
        assert.match(
          await new Child(data, third).tries(),
          new RegExp(`^refused .*in use by process ${second.pid()} on `)
        )
      }
    },
    120_000
  )

  it("before an earlier version with flock begins, which makes no mark: stops too", async () => {
    const { child, data } = await owner(now.with)
    child.signal("SIGSTOP")
    fs.rmSync(data, { recursive: true })
    const second = new Child(data, earlier.with)
    assert.strictEqual(await second.tries(), "locked")
    child.signal("SIGCONT")
    assert.match(await child.said(/^lost/), new RegExp(`LOCK is in use by process ${second.pid()} on `))
    await child.left()
  }, 60_000)

  it("one that another has put in its place and died: takes it over", async () => {
    const { child, data } = await owner(now.without)
    child.signal("SIGSTOP")
    fs.rmSync(data, { recursive: true })
    const second = new Child(data, now.without)
    assert.strictEqual(await second.tries(), "locked")
    await second.kill()
    child.signal("SIGCONT")
    await child.said(/^log .*of the data directory's owner (was|were) taken away/)
    assert.match(await new Child(data, now.with).tries(), new RegExp(`^refused .*in use by process ${child.pid()} on `))
    await child.leave()
    assert.deepStrictEqual(fs.readdirSync(data), ["LOCK"])
  }, 60_000)
})

describe("the flock of a file in the place of the owner's", () => {
  it.each([["in the same container", false], ["in another container", true]] as const)(
    "%s is no proof that the owner is dead",
    async (_, elsewhere) => {
      const { child, data } = await owner(now.with)
      child.signal("SIGSTOP")
      for (const name of ["LOCK", socketIn(data)]) fs.rmSync(path.join(data, name))
      const said = await new Child(data, now.with, elsewhere ? container() : []).tries()
      assert.match(said, elsewhere ? /^refused .*cannot be told from here/ : /^refused .*in use by process \d+/)
    },
    60_000
  )
})
