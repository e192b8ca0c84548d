import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { afterEach } from "vitest"
import * as Handover from "../../../src/services/Delivery/Handover.ts"
import { sizeOf } from "../../../src/services/MarketEvent.ts"
import { record, World } from "./World.ts"

const options: Handover.Options = {
  ...Handover.defaults,
  maxBatchRecords: 4,
  cursorEvery: 4,
  spillBytes: 40 * 140,
  rejectionFuse: 6
}

type Action = readonly [kind: number, size: number]

const act = (world: World, [kind, size]: Action, poison: boolean): void => {
  switch (kind) {
    case 0:
    case 1:
    case 2:
      return world.offer(
        Array.from({ length: size }, (_, i) => record((i + kind) % 4, poison && kind === 2 && i === 0))
      )
    case 3:
    case 4:
      return world.answerSend("ok")
    case 5:
      return world.answerSend("refused")
    case 6:
      world.crashBound = false
      return world.answerSend("written")
    case 7:
      world.crashBound = false
      return world.answerSend("later")
    case 8:
      return world.thaw()
    case 9:
    case 10:
      return world.answerAppend("ok")
    case 11:
      return world.answerAppend("failed")
    case 12:
    case 13:
      return world.answerRead("ok")
    case 14:
      return world.answerRead("failed")
    case 15:
    case 16:
      return world.answerPersist("ok")
    case 17:
      return world.answerPersist("failed")
    case 18:
      return world.gate(true)
    case 19:
      return world.gate(false)
    case 20:
      return world.pass(size * 40)
    case 21:
      return world.pass(size * 400)
    case 22:
      return world.drop()
    case 23:
      return world.crash()
    case 24:
      return world.answerDeadLetter("ok")
    case 25:
      return world.answerAppend("refused")
    default:
      return world.answerDeadLetter("failed")
  }
}

const actions = fc.array(fc.tuple(fc.integer({ min: 0, max: 26 }), fc.integer({ min: 1, max: 6 })), { maxLength: 80 })

/** Of one partition's batch, bytes: any, three records, one. */
const limits = fc.constantFrom(Infinity, 3 * sizeOf(record(0)), sizeOf(record(0)))

const policies = fc.constantFrom<Handover.Options["fullPolicy"]>("drop_oldest", "drop_newest", "block")

const runs = Number(process.env["FUZZ_RUNS"] ?? 10_000)

// The stories run without a pause: vitest's own messages get a turn in between, or it gives them up after a minute.
afterEach(() => new Promise((resolve) => setImmediate(resolve)))

describe("Handover", () => {
  for (const journal of [false, true]) {
    it(
      `any story of offers, answers, timeouts, drops, full disks and crashes keeps order and loses nothing (journal ${journal})`,
      () => {
        fc.assert(
          fc.property(actions, fc.boolean(), limits, policies, (story, poison, limit, fullPolicy) => {
            const world = new World({ ...options, journal, fullPolicy })
            world.limit = limit
            for (const action of story) act(world, action, poison)
            world.heal()
            while (world.late.length > 0) world.thaw()
            world.verify()
            assert.isTrue(journal || world.state.straight, "at rest a lane is straight again")
            assert.isTrue(poison || !world.tripped, "batches that are too large are no outage")
          }),
          { numRuns: runs }
        )
      },
      300_000
    )
  }

  it("without crashes and drops every record is delivered or a dead letter", () => {
    fc.assert(
      fc.property(actions, fc.boolean(), (story, poison) => {
        const world = new World(options)
        // Short holds only: the policy of H7 may not have its turn.
        for (const action of story) {
          if (action[0] !== 22 && action[0] !== 23 && !(action[0] === 11)) act(world, action, poison)
        }
        world.heal()
        for (const [id, place] of world.places) assert.include(["delivered", "dead_lettered"], place, id)
      }),
      { numRuns: runs }
    )
  }, 300_000)

  it("H3: a head that is unacknowledged for a second goes to disk, and a late acknowledgement moves the cursor", () => {
    const world = new World(options)
    world.offer([record(0)])
    world.pass(5)
    assert.isDefined(world.send)
    world.offer([record(0), record(1)])
    world.pass(994)
    assert.isUndefined(world.append)
    world.pass(1)
    assert.lengthOf(world.append ?? [], 3)
    world.answerAppend("ok")
    assert.deepStrictEqual(world.pinned, { first: 1, last: 1 })
    world.answerSend("ok")
    assert.strictEqual(world.acknowledgedAt, 2)
    world.heal()
    assert.lengthOf(world.log, 3, "the head was not sent twice")
  })

  it("H2: after a failure the batch and all behind it are appended before anything is sent", () => {
    const world = new World(options)
    world.offer([record(0)])
    world.pass(5)
    world.offer([record(0)])
    world.answerSend("refused")
    world.gate(true)
    assert.isUndefined(world.send)
    assert.lengthOf(world.append ?? [], 2)
    world.answerAppend("ok")
    world.answerRead("ok")
    assert.lengthOf(world.send ?? [], 2)
  })

  it("H2: a rejection too: nothing is sent again before the batch and all behind it are durable", () => {
    const world = new World(options)
    world.offer([record(0, true)])
    world.pass(5)
    world.offer([record(1)])
    world.answerSend("ok")
    assert.strictEqual(world.state.gate, "open")
    assert.isUndefined(world.send)
    assert.lengthOf(world.append ?? [], 2)
  })

  it("H6: a full memory never drops what Kafka may have", () => {
    const world = new World(options)
    const first = [record(0), record(1)]
    world.offer(first)
    world.pass(5)
    world.answerSend("later")
    for (let round = 0; round < 100; round++) {
      world.offer([record(0)])
      world.answerAppend("failed")
      world.pass(100)
    }
    assert.include([...world.places.values()], "dropped")
    world.thaw()
    world.heal()
    world.verify()
    for (const { headers } of first) assert.strictEqual(world.places.get(headers["id"] ?? ""), "delivered")
  })

  it("H4: no step back to straight before the cursor is durable", () => {
    const world = new World(options)
    world.offer([record(0)])
    world.pass(5)
    world.answerSend("refused")
    world.answerAppend("ok")
    world.gate(true)
    world.answerRead("ok")
    world.answerSend("ok")
    world.offer([record(0)])
    world.pass(20)
    assert.isFalse(world.state.straight)
    assert.isUndefined(world.send)
    world.answerPersist("ok")
    world.pass(30)
    assert.isTrue(world.state.straight)
    assert.lengthOf(world.send ?? [], 1)
  })

  it("sending runs no further ahead of the durable cursor than a crash may repeat", () => {
    const world = new World(options)
    world.gate(false)
    world.offer(Array.from({ length: 40 }, () => record(0)))
    world.answerAppend("ok")
    world.gate(true)
    for (let round = 0; round < 40; round++) {
      world.answerRead("ok")
      world.answerSend("ok")
      world.pass(10)
    }
    assert.isAtMost(world.state.acked - world.state.durable, options.cursorEvery + options.maxBatchRecords)
    world.answerPersist("ok")
    world.crash()
    world.heal()
    world.verify()
  })

  it("H5: one poison among many is found, its neighbours arrive in order", () => {
    const world = new World({ ...options, maxBatchRecords: 100 })
    const records = Array.from({ length: 40 }, (_, i) => record(i % 4, i === 17))
    world.offer(records)
    world.heal()
    world.verify()
    assert.deepStrictEqual(world.deadLetters, [records[17]?.headers["id"]])
    assert.strictEqual(new Set(world.log).size, 39)
  })

  it("H5: rejections in a row without an acceptance are an outage, not poison", () => {
    const world = new World({ ...options, rejectionFuse: 20 })
    world.offer(Array.from({ length: 60 }, () => record(0, true)))
    for (let round = 0; round < 200; round++) {
      world.gate(!world.tripped)
      world.answerDeadLetter("ok")
      world.answerSend("ok")
      world.answerAppend("ok")
      world.answerRead("ok")
      world.answerPersist("ok")
      world.pass(1000)
    }
    assert.isTrue(world.tripped)
    assert.isBelow(world.deadLetters.length, 20)
    assert.isAbove(world.disk.length, 40)
  })

  it("H5: a topic that takes few records at a time: nothing is poison, and the size that passes is remembered", () => {
    const one = sizeOf(record(0))
    for (const taken of [1, 7, 60]) {
      const world = new World({ ...options, maxBatchRecords: 1000, cursorEvery: 1000, rejectionFuse: 20 })
      world.limit = taken * one
      const batch = () => Array.from({ length: 1000 }, (_, i) => record(i % 4))
      world.gate(false)
      for (let i = 0; i < 2; i++) {
        world.offer(batch())
        world.answerAppend("ok")
      }
      world.heal()
      // Some 330 of each partition: halved until they pass, once, and never again.
      assert.isAtMost(world.refusals, 1 + Math.ceil(Math.log2(1000 / taken)), `${taken} at a time`)
      const before = world.refusals
      world.offer(batch())
      world.heal()
      assert.strictEqual(world.refusals, before)
      world.verify()
      assert.isFalse(world.tripped)
      assert.deepStrictEqual(world.deadLetters, [])
      assert.isAtMost(world.state.fit, world.limit)
      assert.isAbove(world.state.fit, world.limit / 2 - one)
    }
  })

  it("H5: a poison among many teaches no size, and an outage forgets what was learned", () => {
    const world = new World({ ...options, maxBatchRecords: 100 })
    world.offer(Array.from({ length: 40 }, (_, i) => record(i % 4, i === 17)))
    world.heal()
    assert.strictEqual(world.state.fit, Infinity)
    world.limit = 2 * sizeOf(record(0))
    world.offer(Array.from({ length: 40 }, (_, i) => record(i % 4)))
    world.heal()
    assert.strictEqual(world.state.fit, world.limit)
    world.offer([record(0)])
    world.pass(30)
    assert.isDefined(world.send)
    world.answerSend("refused")
    world.heal()
    assert.strictEqual(world.state.fit, Infinity)
    world.verify()
  })

  it("H7: with neither Kafka nor disk it holds, then drops the oldest, counted, and stays within its memory", () => {
    const world = new World(options)
    world.gate(false)
    for (let round = 0; round < 100; round++) {
      world.offer([record(0)])
      world.answerAppend("failed")
      world.pass(100)
    }
    assert.isAtMost(world.state.bufferBytes, options.spillBytes * 1.5)
    const dropped = [...world.places.values()].filter((place) => place === "dropped").length
    assert.isAbove(dropped, 0)
    world.heal()
    world.verify()
    assert.strictEqual(new Set(world.log).size + dropped, 100)
  })

  it("drop_newest: what a spent budget refuses is dropped, counted, but for what Kafka may have", () => {
    const world = new World({ ...options, fullPolicy: "drop_newest" })
    world.offer([record(0)])
    world.pass(5)
    world.answerSend("later")
    world.offer([record(0), record(1)])
    world.answerAppend("refused")
    const places = () => [...world.places.values()]
    // The append took the batch that failed alone; what came meanwhile waits for its turn.
    assert.notInclude(places(), "dropped")
    world.pass(1000)
    world.answerAppend("refused")
    assert.deepStrictEqual(places(), ["in_flight", "dropped", "dropped"])
    world.thaw()
    world.heal()
    world.verify()
    assert.strictEqual(places()[0], "delivered")
  })

  it("block: neither a spent budget nor a lame disk drops anything, and there is no room for more", () => {
    const world = new World({ ...options, fullPolicy: "block" })
    world.gate(false)
    for (let round = 0; round < 60; round++) {
      if (Handover.hasRoom(world.state)) world.offer([record(0)])
      world.answerAppend(round % 2 === 0 ? "refused" : "failed")
      world.pass(1000)
    }
    assert.isFalse(Handover.hasRoom(world.state))
    assert.isAtMost(world.state.bufferBytes, options.spillBytes * 1.1)
    world.heal()
    world.verify()
    assert.notInclude([...world.places.values()], "dropped")
  })

  it("drop_newest: with neither Kafka nor disk the oldest stay", () => {
    const world = new World({ ...options, fullPolicy: "drop_newest" })
    world.gate(false)
    for (let round = 0; round < 100; round++) {
      world.offer([record(0)])
      world.answerAppend("failed")
      world.pass(100)
    }
    const places = [...world.places.values()]
    assert.strictEqual(places[0], "in_flight")
    assert.include(places, "dropped")
    world.heal()
    world.verify()
  })

  it("H8: a stop with Kafka gone makes everything durable without an answer from it", () => {
    const world = new World(options)
    world.offer([record(0), record(1)])
    world.pass(5)
    world.offer([record(2)])
    world.input({ _tag: "Stop" })
    world.input({ _tag: "StopNow" })
    world.answerAppend("ok")
    assert.isTrue(Handover.isDurable(world.state))
    assert.lengthOf(world.disk, 3)
  })

  it("H10: in journal mode nothing is sent before it is durable, and it is sent from memory", () => {
    const world = new World({ ...options, journal: true })
    world.offer([record(0)])
    world.pass(500)
    assert.isUndefined(world.send)
    world.answerAppend("ok")
    assert.isDefined(world.send)
    assert.isUndefined(world.read)
  })
})
