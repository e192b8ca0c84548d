/**
 * The contest for the mark, in every order of steps that there is: processes that begin, die and let go at any moment, on a directory
 * in which others have died before.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Contest from "../../../../src/layers/node/DirectoryLock/Contest.ts"

const names: Contest.Names = { idOf: (text) => text }

type Life = "contends" | "dead" | "owns" | "lets go" | "refused"

interface Process {
  readonly contest: Contest.Contest
  readonly life: Life
  /** Removals are one step each: what is left of the command. */
  readonly removing: ReadonlyArray<string>
}

interface World {
  readonly files: ReadonlyMap<string, string>
  readonly processes: ReadonlyArray<Process>
}

/** Of a process that is gone nothing matters but its files; which of several is which does not matter either. */
const keyOf = ({ files, processes }: World): string => {
  const parts = processes.map(({ contest: { chain, command, put }, life, removing }) =>
    life === "dead"
      ? "dead"
      : [life, chain, put, command?._tag, command !== undefined && "name" in command && command.name, removing].join()
  )
  return [[...files].map(([name, text]) => `${name}=${text}`).sort().join(" "), ...parts].join("|")
}

const isAlive = ({ processes }: World, text: string): boolean =>
  processes.some(({ contest, life }) => contest.mine === text && life !== "dead")

const withProcess = (world: World, n: number, process: Process, files = world.files): World => ({
  files,
  processes: world.processes.map((old, i) => i === n ? process : old)
})

const without = (files: ReadonlyMap<string, string>, name: string): ReadonlyMap<string, string> => {
  const left = new Map(files)
  left.delete(name)
  return left
}

/** What a process may do next, and the world after it; undefined if it has nothing more to do. */
const step = (world: World, n: number): World | undefined => {
  const process = world.processes[n]
  if (process === undefined || process.life === "dead") return undefined
  const { contest, removing } = process
  const go = (answer: Contest.Answer, files = world.files): World => {
    const after = Contest.next(contest, answer, names)
    const life = after.outcome === undefined ? "contends" : after.outcome._tag === "owner" ? "owns" : "refused"
    const left = after.command?._tag === "clean" ? after.command.names : []
    return withProcess(world, n, { contest: after, life, removing: left }, files)
  }
  if (contest.command === undefined) {
    switch (process.life) {
      case "owns":
        // Its own mark only, and only then does its socket go.
        return world.files.get(Contest.head) === contest.mine
          ? withProcess(world, n, { ...process, life: "lets go" }, without(world.files, Contest.head))
          : withProcess(world, n, { ...process, life: "lets go" })
      case "lets go":
      case "refused":
        return withProcess(world, n, { ...process, life: "dead" })
      default:
        return undefined
    }
  }
  const { command } = contest
  switch (command._tag) {
    case "read":
      return go(world.files.get(command.name))
    case "put":
      return world.files.has(command.name)
        ? go(false)
        : go(true, new Map([...world.files, [command.name, contest.mine]]))
    case "judge":
      return go(isAlive(world, command.text) ? "alive" : "dead")
    case "replace":
      return go(undefined, new Map([...world.files, [Contest.head, contest.mine]]))
    case "clean": {
      const [name, ...left] = removing
      return name === undefined
        ? go(undefined)
        : withProcess(world, n, { ...process, removing: left }, without(world.files, name))
    }
  }
}

/**
 * All worlds in which nobody does anything any more, of those that can come of a directory and processes of these marks. `deaths`: how
 * many of them are killed at most.
 */
const explore = (
  files: ReadonlyMap<string, string>,
  marks: ReadonlyArray<string>,
  deaths: number,
  mayLetGo: boolean
): ReadonlyArray<World> => {
  const seen = new Set<string>()
  const ends: Array<World> = []
  const todo: Array<readonly [World, number]> = [[{
    files,
    processes: marks.map((mark) => ({ contest: Contest.start(mark), life: "contends", removing: [] }))
  }, deaths]]
  for (;;) {
    const top = todo.pop()
    if (top === undefined) return ends
    const [world, mayDie] = top
    const key = `${mayDie} ${keyOf(world)}`
    if (seen.has(key)) continue
    seen.add(key)
    const owners = world.processes.filter(({ life }) => life === "owns")
    assert.isAtMost(owners.length, 1, `two owners: ${JSON.stringify([[...world.files], world.processes])}`)
    let isOver = true
    world.processes.forEach((process, n) => {
      const isDone = process.contest.command === undefined && process.life === "owns"
      const after = isDone && !mayLetGo ? undefined : step(world, n)
      if (after !== undefined) {
        isOver = false
        todo.push([after, mayDie])
      }
      if (mayDie > 0 && process.life !== "dead") {
        todo.push([withProcess(world, n, { ...process, life: "dead" }), mayDie - 1])
      }
    })
    if (isOver) ends.push(world)
  }
}

const directories: ReadonlyArray<readonly [string, ReadonlyMap<string, string>]> = [
  ["an empty directory", new Map()],
  ["a dead owner's mark", new Map([[Contest.head, "d"]])],
  ["a dead owner's mark with a successor that died too", new Map([[Contest.head, "d"], ["LOCK.after.d", "e"]])],
  ["a successor of a mark that is gone", new Map([["LOCK.after.x", "d"]])]
]

describe("Contest", () => {
  it.each(directories)("%s: of three exactly one becomes the owner, whatever the order", (_, files) => {
    const ends = explore(files, ["p", "q", "r"], 0, false)
    assert.isNotEmpty(ends)
    for (const { files: left, processes } of ends) {
      const owners = processes.filter(({ life }) => life === "owns")
      assert.lengthOf(owners, 1)
      assert.strictEqual(left.get(Contest.head), owners[0]?.contest.mine)
      // Nothing of the others, and of those before only what nobody can come by any more.
      assert.deepStrictEqual([...left.keys()].filter((name) => name !== Contest.head && name !== "LOCK.after.x"), [])
    }
  })

  it.each(directories)(
    "%s: never two owners, however they are killed and let go; then one more gets it",
    (_, files) => {
      const all = [
        ...explore(files, ["p", "q"], 2, true),
        ...explore(files, ["p", "q", "r"], 1, true)
      ]
      assert.isNotEmpty(all)
      // All that were here are gone: whatever they have left, the next one gets in.
      const left = new Map(all.map((world) => [keyOf({ ...world, processes: [] }), world.files]))
      for (const one of left.values()) {
        const ends = explore(one, ["s"], 0, false)
        assert.deepStrictEqual(ends.map(({ processes }) => processes[0]?.life), ["owns"])
      }
    }
  )

  it("marks that are alike are nobody's to take", () => {
    const ends = explore(new Map([[Contest.head, "d"], ["LOCK.after.d", "e"], ["LOCK.after.e", "d"]]), ["p"], 0, false)
    assert.deepStrictEqual(ends.map(({ processes }) => processes[0]?.contest.outcome), [
      { _tag: "refused", text: "d", verdict: "unknown" }
    ])
  })

  it("an owner of whom nothing can be told keeps the directory", () => {
    const read = Contest.next(Contest.start("me"), "whose?", names)
    assert.deepStrictEqual(read.command, { _tag: "read", name: "LOCK.after.whose?" })
    const judged = Contest.next(read, undefined, names)
    assert.deepStrictEqual(judged.command, { _tag: "judge", text: "whose?" })
    const end = Contest.next(judged, "unknown", names)
    assert.deepStrictEqual([end.command, end.outcome], [undefined, {
      _tag: "refused",
      text: "whose?",
      verdict: "unknown"
    }])
  })
})
