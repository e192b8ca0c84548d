import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Mark from "../../../../src/layers/node/DirectoryLock/Mark.ts"

const mark: Mark.Mark = {
  pid: 1,
  host: "a",
  bootId: "boot",
  startedAt: "2026-01-01T00:00:00.000Z",
  start: "100",
  id: "0f",
  listens: true,
  flock: false,
  namespaces: "pid:[1]"
}

const { flock: _f, id: _i, listens: _l, namespaces: _n, ...earlier } = mark

const here: Mark.Sight = {
  flock: false,
  lock: 7,
  host: "a",
  bootId: "boot",
  namespaces: "pid:[1]",
  local: true,
  answers: undefined,
  runs: false
}

const judged = (one: Mark.Mark, sight: Partial<Mark.Sight> = {}) => Mark.judge(one, { ...here, ...sight })

const elsewhere = { host: "b", namespaces: "pid:[2]" }

describe("a mark", () => {
  it("is alive while its socket answers, wherever that is seen from", () => {
    fc.assert(fc.property(
      fc.record({
        flock: fc.boolean(),
        host: fc.constantFrom("a", "b"),
        bootId: fc.constantFrom("boot", "other"),
        namespaces: fc.constantFrom("pid:[1]", "pid:[2]"),
        local: fc.boolean(),
        runs: fc.boolean()
      }),
      (sight) => assert.strictEqual(judged(mark, { ...sight, answers: true }), "alive")
    ))
  })

  it("is dead when its socket refuses, in another container too; but not from another machine, over the network", () => {
    assert.strictEqual(judged(mark, { ...elsewhere, answers: false }), "dead")
    assert.strictEqual(judged(mark, { ...elsewhere, answers: false, runs: true }), "dead")
    assert.strictEqual(judged(mark, { ...elsewhere, answers: false, bootId: "other" }), "dead")
    assert.strictEqual(judged(mark, { answers: false, bootId: "other", local: false }), "unknown")
  })

  it("is dead when we have the flock that its owner had", () => {
    assert.strictEqual(judged({ ...mark, flock: true }, { ...elsewhere, flock: true, local: false }), "dead")
    assert.strictEqual(judged({ ...mark, flock: false }, { ...elsewhere, flock: true, local: false }), "unknown")
  })

  it("is alive when its process runs, also when we have the flock that it had: it may be of another file", () => {
    assert.strictEqual(judged({ ...mark, flock: true }, { flock: true, runs: true }), "alive")
    assert.strictEqual(judged({ ...mark, flock: true, lock: 7 }, { flock: true, runs: true }), "alive")
  })

  it("in another container is not known to be dead by a flock of another file", () => {
    assert.strictEqual(judged({ ...mark, flock: true, lock: 8 }, { ...elsewhere, flock: true }), "unknown")
    assert.strictEqual(judged({ ...mark, flock: true, lock: 7 }, { ...elsewhere, flock: true }), "dead")
  })

  it("without a socket is a process, where its number means anything", () => {
    assert.strictEqual(judged(mark, { runs: true }), "alive")
    assert.strictEqual(judged(mark, { runs: false }), "dead")
    assert.strictEqual(judged(mark, { ...elsewhere, runs: true }), "unknown")
    assert.strictEqual(judged(mark, { ...elsewhere, runs: false }), "unknown")
    assert.strictEqual(judged(mark, { runs: true, bootId: "other" }), "dead")
    assert.strictEqual(judged(mark, { runs: true, bootId: "other", local: false }), "unknown")
  })

  it("of an earlier version is known by its host's name", () => {
    assert.strictEqual(judged(earlier, { runs: true }), "alive")
    assert.strictEqual(judged(earlier, { runs: false }), "dead")
    assert.strictEqual(judged(earlier, { runs: true, bootId: "other" }), "dead")
    assert.strictEqual(judged(earlier, { ...elsewhere, runs: false }), "unknown")
    assert.strictEqual(judged(earlier, { ...elsewhere, bootId: "other", runs: false }), "unknown")
  })

  it("names a socket only of its own making", () => {
    assert.strictEqual(Mark.socketOf(mark), "LOCK.0f.sock")
    assert.isUndefined(Mark.socketOf({ ...mark, id: "../../etc/passwd" }))
    assert.isUndefined(Mark.socketOf({ ...mark, listens: false }))
    assert.isUndefined(Mark.socketOf(earlier))
  })
})
