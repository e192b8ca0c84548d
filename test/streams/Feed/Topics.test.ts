/** The machine of a session's topics: stories that chance tells, and the promises one by one. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Time from "../../../src/services/Time.ts"
import type { Remedy } from "../../../src/streams/Exchange.ts"
import * as Topics from "../../../src/streams/Feed/Topics.ts"
import * as Rhythm from "../../../src/streams/Rhythm.ts"
import { channelOf, deeds, make, names, symbolOf, timing } from "./Topics/Machine.ts"

const setup = { acknowledges: true, canLeave: true, topicsPerFrame: 1, leftPerFrame: 1 }

/** Names and symbols that nobody asked for; some mean something to a plain object. */
const strangers = ["trades:Z", "constructor", "__proto__"]

type Action =
  | { readonly _tag: "input"; readonly input: Topics.Input }
  | { readonly _tag: "sync"; readonly topics: ReadonlyArray<string> }
  /** `ago`: of the last command; 0 the last one. */
  | {
    readonly _tag: "whole"
    readonly ago: number
    readonly granted: boolean
    readonly remedy: "soon" | "slowly" | "later"
  }
  | { readonly _tag: "drain" }

const anyName = fc.constantFrom(...names, ...names, ...strangers)
const input = (arbitrary: fc.Arbitrary<Topics.Input>): fc.Arbitrary<Action> =>
  arbitrary.map((input) => ({ _tag: "input", input }))

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: fc.subarray([...names]).map((topics): Action => ({ _tag: "sync", topics })) },
  { weight: 4, arbitrary: input(fc.constant({ _tag: "Next" })) },
  { weight: 2, arbitrary: fc.constant<Action>({ _tag: "drain" }) },
  {
    weight: 5,
    arbitrary: input(fc.record({ _tag: fc.constant("Subscribed"), topic: anyName, recovered: fc.boolean() }))
  },
  {
    weight: 2,
    arbitrary: input(fc.record({
      _tag: fc.constant("Rejected"),
      topic: anyName,
      remedy: fc.constantFrom<Remedy[]>("soon", "slowly", "later", "elsewhere")
    }))
  },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant<"whole">("whole"),
      ago: fc.nat(6),
      granted: fc.boolean(),
      remedy: fc.constantFrom<Array<"soon" | "slowly" | "later">>("soon", "slowly", "later")
    })
  },
  {
    weight: 2,
    arbitrary: input(fc.record({ _tag: fc.constant("Unsubscribed"), topic: anyName, resubscribe: fc.boolean() }))
  },
  {
    weight: 5,
    arbitrary: input(anyName.map((name) => ({
      _tag: "Brought",
      channel: channelOf(name),
      exchangeSymbol: name.includes(":") ? symbolOf(name) : name
    })))
  },
  {
    weight: 1,
    arbitrary: input(
      fc.record({
        _tag: fc.constant("Missed"),
        cause: fc.constantFrom<Array<"undecoded" | "sequence">>("undecoded", "sequence")
      })
    )
  },
  { weight: 5, arbitrary: input(fc.record({ _tag: fc.constant("Check"), deaf: fc.nat(9).map((n) => n === 0) })) }
)

const waits = fc.constantFrom(0, 0, 1, 900, 1_000, 5_000, 10_000, 31_000, 60_000, 130_000)

const story = fc.record({
  setup: fc.record({
    acknowledges: fc.boolean(),
    canLeave: fc.boolean(),
    topicsPerFrame: fc.constantFrom(1, 2, 10),
    leftPerFrame: fc.constantFrom(1, 2, 10)
  }),
  steps: fc.array(fc.tuple(waits, action), { minLength: 1, maxLength: 60 }),
  cause: fc.constantFrom<Array<"disconnected" | "undecoded">>("disconnected", "undecoded")
})

const perform = (machine: ReturnType<typeof make>, one: Action): void => {
  switch (one._tag) {
    case "input":
      return void machine.step(one.input)
    case "sync":
      return void machine.sync(one.topics)
    case "drain":
      return void machine.drain()
    case "whole": {
      const id = String(machine.state.nextId - 1 - one.ago)
      machine.step(one.granted ? { _tag: "Granted", id } : { _tag: "Denied", id, remedy: one.remedy })
    }
  }
}

describe("Topics: any story", () => {
  it("listens between Heard and Lost, asks again in time, leaves what left, and is its own text", () => {
    const seen = { heard: 0, again: 0 }
    fc.assert(
      fc.property(story, ({ cause, setup, steps }) => {
        const machine = make(setup)
        for (const [wait, one] of steps) {
          machine.after(wait)
          perform(machine, one)
        }
        // A list of markets; then the server says nothing more.
        machine.sync(names)
        const asked = new Set(machine.frames(machine.drain()).flat())
        for (const name of machine.held) assert.isTrue(machine.state.topics.has(name) || !setup.canLeave, name)
        assert.isEmpty([...machine.state.wanted])
        let failed = false
        const patient = new Set<string>(names.filter((name) => machine.state.topics.get(name)?.patient === true))
        // Where the server takes no more commands, that is soon enough.
        const inTime = patient.size > 0 ? 671 : 71
        for (let second = 0; second <= inTime && !failed && setup.acknowledges; second++) {
          machine.after(1_000)
          failed = machine.check().some(({ _tag }) => _tag === "Fail")
          for (const name of machine.frames(machine.drain()).flat()) asked.add(name)
        }
        for (const { listening, order, status, topic } of machine.state.topics.values()) {
          if (listening) seen.heard += 1
          else if (setup.acknowledges) {
            assert.isTrue(failed || asked.has(topic), `${topic} is ${status}, and is not asked for again`)
            seen.again += 1
          } else if (!patient.has(topic)) assert.isAbove(order, 0, `${topic} was never asked for`)
        }
        machine.step({ _tag: "End", cause })
      }),
      { numRuns: Number(process.env["FUZZ_STORIES"] ?? 300) }
    )
    assert.isAbove(seen.heard, 0, "else nothing was tested")
    assert.isAbove(seen.again, 0, "else nothing was tested")
  })
})

describe("Topics: what is listened to", () => {
  it("is heard from the answer until the silence is strange, and from the next answer", () => {
    const machine = make(setup)
    machine.sync(["trades:A"])
    assert.deepStrictEqual(deeds(machine.drain()), [{ _tag: "Subscribe", id: 2, topics: ["trades:A"] }])
    assert.deepStrictEqual(deeds(machine.subscribed("trades:A")), [
      { _tag: "Heard", topic: "trades:A", recovered: false }
    ])
    // The same answer twice.
    assert.deepStrictEqual(deeds(machine.subscribed("trades:A")), [])
    machine.at(1_000)
    assert.deepStrictEqual(machine.brought("trades:A"), [])
    machine.at(121_000)
    assert.deepStrictEqual(deeds(machine.check()).filter(({ _tag }) => _tag !== "Ask"), [
      { _tag: "Lost", topic: "trades:A", cause: "stale", broughtAt: Time.instant(1_000) },
      { _tag: "Stale", topic: "trades:A", channel: "trades", remedy: "resubscribe", silence: 120_000 }
    ])
    assert.deepStrictEqual(deeds(machine.drain()), [
      { _tag: "Unsubscribe", id: 3, topics: ["trades:A"] },
      { _tag: "Subscribe", id: 4, topics: ["trades:A"] }
    ])
    assert.deepStrictEqual(deeds(machine.subscribed("trades:A")), [
      { _tag: "Heard", topic: "trades:A", recovered: false }
    ])
    assert.deepStrictEqual(deeds(machine.brought("trades:A")), [
      { _tag: "Doubted", topic: "trades:A", cause: "stale" }
    ])
  })

  it("is not heard for an answer to something else, which names all that the connection has", () => {
    const machine = make({ ...setup, topicsPerFrame: 2, leftPerFrame: 2 })
    machine.sync(["trades:A", "trades:B"])
    machine.drain()
    machine.subscribed("trades:A")
    machine.subscribed("trades:B")
    machine.at(121_000)
    machine.check()
    const both = ["trades:A", "trades:B"]
    // Before they are left, and when they were left and not asked for yet.
    for (const name of both) assert.deepStrictEqual(deeds(machine.subscribed(name)), [])
    const [left] = machine.step({ _tag: "Next" })
    assert.deepStrictEqual(left, { _tag: "Unsubscribe", id: 3, topics: both })
    for (const name of both) assert.deepStrictEqual(deeds(machine.subscribed(name)), [])
    assert.deepStrictEqual(machine.frames(machine.drain()).flat().toSorted(), both)
    for (const topic of both) {
      assert.deepStrictEqual(deeds(machine.subscribed(topic)), [{ _tag: "Heard", topic, recovered: false }])
    }
  })

  it("is lost with the session, once", () => {
    const machine = make(setup)
    machine.sync(["trades:A", "trades:B"])
    machine.drain()
    machine.subscribed("trades:A")
    assert.deepStrictEqual(deeds(machine.step({ _tag: "End", cause: "disconnected" })), [
      { _tag: "Lost", topic: "trades:A", cause: "disconnected", broughtAt: null }
    ])
  })

  it("where nothing is answered: by data of a topic that was asked for later", () => {
    const machine = make({ ...setup, acknowledges: false, canLeave: false })
    machine.sync(["trades:A", "trades:B", "trades:C"])
    machine.drain()
    assert.deepStrictEqual(deeds(machine.brought("trades:B")), [
      { _tag: "Heard", topic: "trades:A", recovered: false },
      { _tag: "Heard", topic: "trades:B", recovered: false }
    ])
  })
})

describe("Topics: what is wanted", () => {
  it("is asked for three times; then the connection is at fault", () => {
    const machine = make(setup)
    machine.sync(["trades:A"])
    const asked: Array<number> = []
    let failed = -1
    for (let second = 0; second < 60 && failed < 0; second++) {
      machine.at(second * 1_000)
      if (machine.check().some(({ _tag }) => _tag === "Fail")) failed = second
      if (machine.frames(machine.drain()).length > 0) asked.push(second)
    }
    assert.deepStrictEqual([asked, failed], [[0, 10, 20], 30])
  })

  it("beside others that are answered: it waits a minute, and is asked for again", () => {
    const machine = make(setup)
    machine.sync(["trades:A", "trades:B"])
    machine.drain()
    machine.subscribed("trades:B")
    const asked: Array<number> = []
    for (let second = 1; second < 100; second++) {
      machine.at(second * 1_000)
      if (second % 20 === 0) machine.brought("trades:B")
      if (machine.frames([...machine.check(), ...machine.drain()]).length > 0) asked.push(second)
    }
    assert.deepStrictEqual(asked, [10, 20, 90])
  })

  it("was refused for now: asked for again after a second, two, four", () => {
    const machine = make(setup)
    machine.sync(["trades:A"])
    machine.drain()
    const asked: Array<number> = []
    for (let second = 0; second < 8; second++) {
      machine.at(second * 1_000)
      machine.check()
      if (machine.frames(machine.drain()).length > 0) asked.push(second)
      if (machine.state.topics.get("trades:A")?.status === "pending") machine.rejected("trades:A", "soon")
    }
    assert.deepStrictEqual(asked, [1, 3, 7])
  })
})

describe("Topics: beside those that lead", () => {
  for (const canLeave of [true, false]) {
    it(`the silence of others never replaces or closes the connection${canLeave ? "" : ", where none can be left"}`, () => {
      const machine = make({ ...setup, canLeave })
      machine.sync(["trades:A", "books:A"])
      machine.drain()
      machine.subscribed("trades:A")
      machine.subscribed("books:A")
      const said: Array<string> = []
      let again = 0
      for (let second = 1; second < 900; second++) {
        machine.at(second * 1_000)
        if (second % 10 === 0) machine.brought("trades:A")
        said.push(...machine.check().map(({ _tag }) => _tag))
        for (const name of machine.frames(machine.drain()).flat()) {
          again += 1
          machine.subscribed(name)
        }
      }
      assert.notInclude(said, "Replace")
      assert.notInclude(said, "Fail")
      assert.strictEqual(again > 1, canLeave)
    })
  }

  it("how often others speak makes nobody impatient with a connection whose leading topics are quiet", () => {
    const machine = make(setup)
    machine.sync(["trades:A", "books:A"])
    machine.drain()
    machine.subscribed("trades:A")
    machine.subscribed("books:A")
    for (let second = 1; second <= 100; second++) {
      machine.at(second * 1_000)
      machine.brought("books:A")
    }
    // The patience of a connection of which nothing is known, and not of one that speaks each second.
    machine.at(100_000 + 60_000)
    assert.notInclude(machine.check().map(({ _tag }) => _tag), "Fail")
  })

  it("that others are not answered closes no connection", () => {
    const machine = make(setup)
    machine.sync(["trades:A", "books:A"])
    machine.drain()
    machine.rejected("trades:A", "later")
    const said: Array<string> = []
    for (let second = 1; second < 40; second++) {
      machine.at(second * 1_000)
      said.push(...machine.check().map(({ _tag }) => _tag))
      machine.drain()
    }
    assert.notInclude(said, "Fail")
    assert.strictEqual(machine.state.topics.get("books:A")?.status, "rejected")
  })

  it("alone, it is as ever: where none can be left a silent one replaces its connection", () => {
    const machine = make({ ...setup, acknowledges: false, canLeave: false })
    machine.sync(["books:A"])
    machine.drain()
    machine.brought("books:A")
    machine.at(120_000)
    assert.include(machine.check().map(({ _tag }) => _tag), "Replace")
  })
})

describe("Topics: what left", () => {
  it("is left, and its answer, if it still comes, is nobody's", () => {
    const machine = make(setup)
    machine.sync(["trades:A"])
    machine.drain()
    machine.sync([])
    assert.deepStrictEqual(machine.drain(), [{ _tag: "Unsubscribe", id: 3, topics: ["trades:A"] }])
    assert.deepStrictEqual(machine.subscribed("trades:A"), [])
    assert.deepStrictEqual(machine.rejected("trades:A", "soon"), [])
    assert.deepStrictEqual(machine.brought("trades:A"), [])
  })

  it("while it waited to be left and asked for anew: it is left", () => {
    const machine = make(setup)
    machine.sync(["trades:A"])
    machine.drain()
    machine.subscribed("trades:A")
    machine.at(120_000)
    machine.check()
    machine.sync([])
    assert.deepStrictEqual(machine.drain(), [{ _tag: "Unsubscribe", id: 3, topics: ["trades:A"] }])
  })

  it("and came back: an answer from before it left does not count", () => {
    const machine = make(setup)
    machine.sync(["trades:A"])
    machine.drain()
    machine.sync([])
    machine.sync(["trades:A"])
    assert.deepStrictEqual(machine.subscribed("trades:A"), [])
    assert.deepStrictEqual(deeds(machine.drain()), [
      { _tag: "Unsubscribe", id: 3, topics: ["trades:A"] },
      { _tag: "Subscribe", id: 4, topics: ["trades:A"] }
    ])
  })

  it("where no topic can be left: it keeps its place, and is heard at once when it comes back", () => {
    const machine = make({ ...setup, acknowledges: false, canLeave: false })
    machine.sync(["trades:A", "trades:B"])
    machine.drain()
    machine.sync(["trades:B"])
    assert.deepStrictEqual(machine.drain(), [])
    assert.deepStrictEqual(deeds(machine.sync(["trades:A", "trades:B"])), [
      { _tag: "Heard", topic: "trades:A", recovered: false }
    ])
    assert.deepStrictEqual(machine.drain(), [])
  })
})

describe("Topics: memory", () => {
  it("has the last three commands about a topic, however often the server takes it back", () => {
    const machine = make(setup)
    machine.sync(["trades:A"])
    machine.drain()
    for (let i = 0; i < 100; i++) {
      machine.step({ _tag: "Unsubscribed", topic: "trades:A", resubscribe: true })
      machine.drain()
    }
    assert.deepStrictEqual([...machine.state.frames.keys()], ["100", "101", "102"])
  })
})

describe("Topics: a thousand of them", () => {
  for (const acknowledges of [true, false]) {
    it(`no frame of data makes anyone look at all${acknowledges ? "" : ", where nothing is answered"}`, () => {
      const many = Array.from({ length: 1_000 }, (_, n) => `trades:${n}`)
      const state = Topics.initial({ ...setup, acknowledges, timing }, Rhythm.make())
      const topics = many.map((topic) => ({
        topic,
        channel: channelOf(topic),
        exchangeSymbol: symbolOf(topic),
        pulse: Rhythm.pulse(),
        leads: true
      }))
      const now = Time.instant(0)
      Topics.step(state, { _tag: "Sync", topics }, now)
      while (Topics.hasCommands(state)) Topics.step(state, { _tag: "Next" }, now)
      for (const topic of many) {
        if (acknowledges) Topics.step(state, { _tag: "Subscribed", topic, recovered: false }, now)
      }
      // Where nothing is answered, data of the last one is the answer to all: that once everybody is looked at.
      Topics.step(state, { _tag: "Brought", channel: "trades", exchangeSymbol: "999" }, now)
      let looks = 0
      const { topics: all } = state
      for (const way of ["values", "keys", "entries", "forEach", Symbol.iterator] as const) {
        const original: (...args: ReadonlyArray<never>) => unknown = all[way]
        Object.defineProperty(all, way, {
          value: (...args: ReadonlyArray<never>) => {
            looks += 1
            return original.apply(all, [...args])
          }
        })
      }
      for (let n = 0; n < 100; n++) {
        Topics.step(state, { _tag: "Brought", channel: "trades", exchangeSymbol: `${n}` }, now)
        assert.strictEqual(Topics.counts(state).requested, 1_000)
        assert.isTrue(Topics.isSettled(state))
      }
      assert.strictEqual(looks, 0)
    })
  }
})

describe("Topics: several in a frame", () => {
  const batch = { ...setup, topicsPerFrame: 2 }

  it("of one channel; the answer to the frame is one to each, but for whom was answered by name", () => {
    const machine = make(batch)
    machine.sync(["trades:A", "books:A", "trades:B", "trades:C"])
    assert.deepStrictEqual(machine.frames(machine.drain()), [["trades:A", "trades:B"], ["books:A"], ["trades:C"]])
    machine.rejected("trades:B", "later")
    assert.deepStrictEqual(deeds(machine.step({ _tag: "Granted", id: "2" })), [
      { _tag: "Heard", topic: "trades:A", recovered: false }
    ])
    assert.deepStrictEqual(deeds(machine.step({ _tag: "Granted", id: "2" })), [])
    assert.strictEqual(machine.state.topics.get("trades:B")?.status, "rejected")
  })

  it("refused since there are too many commands: asked for again together, after a minute, two, four, up to ten", () => {
    const machine = make({ ...setup, topicsPerFrame: 2 })
    machine.sync(["trades:A", "trades:B", "trades:C"])
    machine.drain()
    const statuses = () => Array.from(machine.state.topics.values(), ({ status }) => status)
    machine.step({ _tag: "Granted", id: "3" })
    const askedAfter: Array<number> = []
    let seconds = 0
    machine.step({ _tag: "Denied", id: "2", remedy: "slowly" })
    assert.deepStrictEqual(statuses(), ["rejected", "rejected", "active"])
    for (let second = 0; second < 2_600; second++) {
      machine.after(1_000)
      seconds += 1
      machine.step({ _tag: "Brought", channel: "trades", exchangeSymbol: "C" })
      machine.check()
      // A list of markets brings nothing forward.
      if (second % 100 === 7) machine.sync(["trades:A", "trades:B", "trades:C"])
      const frames = machine.frames(machine.drain())
      if (frames.length === 0) continue
      assert.deepStrictEqual(frames, [["trades:A", "trades:B"]])
      askedAfter.push(seconds)
      seconds = 0
      machine.step({ _tag: "Denied", id: String(machine.state.nextId - 1), remedy: "slowly" })
    }
    assert.deepStrictEqual(askedAfter, [60, 120, 240, 480, 600, 600])
    // One that was on its way all the time.
    machine.subscribed("trades:A")
    machine.subscribed("trades:B")
    assert.deepStrictEqual(statuses(), ["active", "active", "active"])
  })

  it("refused: each is asked for by itself, and refused by itself", () => {
    const machine = make(batch)
    machine.sync(["trades:A", "trades:B", "trades:C"])
    assert.deepStrictEqual(machine.frames(machine.drain()), [["trades:A", "trades:B"], ["trades:C"]])
    machine.step({ _tag: "Denied", id: "2", remedy: "later" })
    assert.deepStrictEqual(machine.frames(machine.drain()), [["trades:A"], ["trades:B"]])
    machine.step({ _tag: "Denied", id: "4", remedy: "later" })
    machine.step({ _tag: "Granted", id: "5" })
    assert.deepStrictEqual(
      ["trades:A", "trades:B", "trades:C"].map((name) => machine.state.topics.get(name)?.status),
      ["rejected", "active", "pending"]
    )
    // A late refusal of the first frame says nothing new.
    assert.deepStrictEqual(machine.step({ _tag: "Denied", id: "2", remedy: "later" }), [])
  })

  it("refused late: what was asked for again meanwhile has another answer coming, or come", () => {
    const machine = make(batch)
    machine.sync(["trades:A", "trades:B"])
    machine.drain()
    machine.at(10_000)
    machine.check()
    assert.deepStrictEqual(machine.frames(machine.drain()), [["trades:A", "trades:B"]])
    assert.deepStrictEqual(machine.step({ _tag: "Denied", id: "2", remedy: "later" }), [])
    assert.deepStrictEqual(deeds(machine.step({ _tag: "Granted", id: "3" })).map(({ _tag }) => _tag), [
      "Heard",
      "Heard"
    ])
  })

  it("silent ones are left with one frame, where there is such a one, and asked for with one; so are those that are not wanted", () => {
    const framesOf = (leftPerFrame: number) => {
      const machine = make({ ...batch, leftPerFrame })
      const all = ["trades:A", "books:A", "trades:B", "trades:C"]
      machine.sync(all)
      machine.drain()
      for (const name of all) machine.subscribed(name)
      machine.at(120_000)
      machine.check()
      const silent = machine.drain()
      machine.sync([])
      return [...silent, ...machine.drain()].flatMap((command) =>
        command._tag === "Subscribe" || command._tag === "Unsubscribe"
          ? [`${command._tag === "Subscribe" ? "+" : "-"} ${command.topics.join(" ")}`]
          : []
      )
    }
    assert.deepStrictEqual(framesOf(2), [
      "- trades:A trades:B",
      "+ trades:A trades:B",
      "- books:A",
      "+ books:A",
      "- trades:C",
      "+ trades:C",
      "- trades:C trades:B",
      "- books:A",
      "- trades:A"
    ])
    assert.deepStrictEqual(framesOf(1).slice(0, 5), [
      "- trades:A",
      "+ trades:A",
      "- books:A",
      "+ books:A",
      "- trades:B"
    ])
  })

  it("not answered: once more together, then each by itself", () => {
    const machine = make(batch)
    machine.sync(["trades:A", "trades:B"])
    const frames = [0, 10, 20].map((second) => {
      machine.at(second * 1_000)
      machine.check()
      return machine.frames(machine.drain())
    })
    const both = [["trades:A", "trades:B"]]
    assert.deepStrictEqual(frames, [both, both, [["trades:A"], ["trades:B"]]])
  })
})
