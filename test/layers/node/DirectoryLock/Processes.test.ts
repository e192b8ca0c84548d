/** One owner of a directory, of real processes: with and without `flock`, of today and of an earlier version, in other containers. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "vitest"
import { Child, container, dataDir, earlier, type Kind, nameOf, now } from "../../../support/lock-process.ts"
import { strace } from "../../../support/strace.ts"

/** What is left when an owner has let go: nothing that another could take for a mark. */
const marks = (data: string): ReadonlyArray<string> => fs.readdirSync(data).filter((name) => name !== "LOCK")

const all: ReadonlyArray<Kind> = [now.with, now.without, earlier.with, earlier.without]

/** An earlier version with flock looks at no mark; what two of the earlier version make of each other is not ours to mend. */
const sees = (second: Kind, first: Kind): boolean =>
  second.version === "now" || (first.version === "now" && (first.flock || !second.flock))

describe("one owner of a directory", () => {
  it.each(all.map((first) => [nameOf(first), first] as const))(
    "first one of %s: it keeps all others out, stopped or not; killed, it keeps none; it leaves nothing behind",
    async (_, first) => {
      const data = dataDir()
      const owner = new Child(data, first)
      assert.strictEqual(await owner.tries(), "locked")
      for (const second of all.filter((one) => sees(one, first))) {
        assert.match(await new Child(data, second).tries(), /^refused .*in use by process \d+/, nameOf(second))
      }
      owner.signal("SIGSTOP")
      for (const second of [now.with, now.without]) {
        assert.match(await new Child(data, second).tries(), /^refused .*in use by process \d+/, nameOf(second))
      }
      await owner.kill()
      for (const next of [now.without, now.with, now.without]) {
        const heir = new Child(data, next)
        assert.strictEqual(await heir.tries(), "locked", nameOf(next))
        await heir.kill()
      }
      const last = new Child(data, now.with)
      assert.strictEqual(await last.tries(), "locked")
      await last.leave()
      assert.deepStrictEqual(marks(data), [])
    },
    120_000
  )

  it.each([["killed", true], ["gone of its own accord", false]] as const)(
    "an owner of today that is %s keeps an earlier version out no longer",
    async (_, isKilled) => {
      for (const first of [now.with, now.without]) {
        const data = dataDir()
        const owner = new Child(data, first)
        assert.strictEqual(await owner.tries(), "locked")
        await (isKilled ? owner.kill() : owner.leave())
        const next = new Child(data, earlier.with)
        assert.strictEqual(await next.tries(), "locked", nameOf(first))
      }
    },
    120_000
  )

  it(
    "in other containers: it keeps all others out, and killed it keeps none",
    async () => {
      for (const first of [now.with, now.without]) {
        const data = dataDir()
        const owner = new Child(data, first, container())
        assert.strictEqual(await owner.tries(), "locked")
        for (const under of [[], container()]) {
          for (const second of [now.with, now.without]) {
            assert.match(await new Child(data, second, under).tries(), /^refused .*in use by process 1 on host/)
          }
        }
        owner.signal("SIGSTOP")
        assert.match(await new Child(data, now.without, container()).tries(), /^refused/)
        await owner.kill()
        for (const next of [now.without, now.with, now.without]) {
          const heir = new Child(data, next, container())
          assert.strictEqual(await heir.tries(), "locked", nameOf(next))
          await heir.kill()
        }
      }
    },
    180_000
  )

  it(
    "a mark of an earlier version without flock in another container, of which nothing can be told: file and command are named",
    async () => {
      for (const isAlive of [true, false]) {
        const data = dataDir()
        const owner = new Child(data, earlier.without, container())
        assert.strictEqual(await owner.tries(), "locked")
        if (!isAlive) await owner.kill()
        for (const second of [now.with, now.without]) {
          const said = await new Child(data, second, container()).tries()
          assert.match(said, /^refused .*process 1 on host\d+/)
          assert.include(said, `if no other process works in the directory: rm '${path.join(data, "LOCK.pid")}'`)
        }
        await owner.kill()
        spawnSync("rm", [path.join(data, "LOCK.pid")])
        assert.strictEqual(await new Child(data, now.without, container()).tries(), "locked")
      }
    },
    180_000
  )

  it("of six that try at once exactly one gets it, in an empty directory and after one that was killed", async () => {
    const data = dataDir()
    for (const round of ["empty", "after a kill", "and again"]) {
      const six = Array.from({ length: 6 }, (_, n) => new Child(data, n % 2 === 0 ? now.with : now.without))
      await Promise.all(six.map((child) => child.ready()))
      const said = await Promise.all(six.map((child) => child.tries()))
      assert.deepStrictEqual(said.map((line) => line.split(" ")[0]).sort(), [
        "locked",
        ...Array.from({ length: 5 }, () => "refused")
      ], `${round}: ${said.join(" | ")}`)
      await Promise.all(six.map((child) => child.kill()))
    }
  }, 120_000)

  it("a path too long for a socket's address", async () => {
    const data = path.join(dataDir(), "d".repeat(120))
    const owner = new Child(data, now.without)
    assert.strictEqual(await owner.tries(), "locked")
    assert.match(await new Child(data, now.without).tries(), /^refused .*in use by process/)
    await owner.leave()
    assert.deepStrictEqual(marks(data), [])
  }, 60_000)

  it.each([
    ["listen", 1],
    ["link", 1],
    ["rename", 1],
    ["unlink", 1],
    ["unlink", 2]
  ])(
    "killed at its %s number %i, on a directory that a dead one has left: the next one gets it, wherever it is",
    async (call, n) => {
      const data = dataDir()
      const dead = new Child(data, now.without, container())
      assert.strictEqual(await dead.tries(), "locked")
      await dead.kill()
      const killed = new Child(
        data,
        now.without,
        await strace("/dev/null", `trace=${call}`, `inject=${call}:signal=SIGKILL:when=${n}`)
      )
      // It has ended without a word: the promise of one is broken.
      const said = await killed.tries().catch(String)
      assert.match(said, /ended without/)
      const next = new Child(data, now.without, container())
      assert.strictEqual(await next.tries(), "locked")
      await next.leave()
      const again = new Child(data, now.with)
      assert.strictEqual(await again.tries(), "locked")
    },
    60_000
  )
})
