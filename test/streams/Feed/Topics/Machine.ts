/** The machine of topics as its tests drive it: what it commands is written down, and held against what may never happen. */
import { assert } from "@effect/vitest"
import type { Channel } from "../../../../src/services/MarketEvent.ts"
import * as Time from "../../../../src/services/Time.ts"
import * as Topics from "../../../../src/streams/Feed/Topics.ts"
import * as Rhythm from "../../../../src/streams/Rhythm.ts"

export interface Setup {
  readonly acknowledges: boolean
  readonly canLeave: boolean
  readonly topicsPerFrame: number
  readonly leftPerFrame: number
}

export const timing: Topics.Timing = {
  answer: 10_000,
  market: { floor: 60_000, unknown: 120_000, cap: 600_000 },
  connection: { floor: 30_000, unknown: 300_000, cap: 600_000 },
  opinion: { after: 30_000, every: 60_000 }
}

/** `trades:A` and `books:A`; and a side of a book that has a topic of its own. */
export const names = ["trades:A", "trades:B", "trades:C", "books:A", "books:B", "books:B:asks"] as const

export const channelOf = (name: string): Channel => name.startsWith("trades") ? "trades" : "books"
export const symbolOf = (name: string): string => name.split(":")[1] ?? ""

/** The state as text and back: Maps and Sets as lists. */
export const print = (state: Topics.State): string =>
  JSON.stringify(
    state,
    (_, value: unknown) =>
      value instanceof Map ? { map: [...value] } : value instanceof Set ? { set: [...value] } : value
  )

export const parse = (text: string): Topics.State =>
  JSON.parse(text, (_, value) => {
    if (typeof value !== "object" || value === null) return value
    return Array.isArray(value.map) ? new Map(value.map) : Array.isArray(value.set) ? new Set(value.set) : value
  })

const same = (command: Topics.Command) => "topic" in command ? command.topic : ""

export const make = (setup: Setup) => {
  const state = Topics.initial({ ...setup, timing }, Rhythm.make())
  let copy = parse(print(state))
  let now = Time.instant(0)
  let all: ReadonlyArray<string> = []
  const pulses = new Map<string, Rhythm.Pulse>()
  const copies = new Map<string, Rhythm.Pulse>()
  const listening = new Set<string>()
  const suspect = new Set<string>()
  const brought = new Map<string, Time.Instant>()
  /** What the server was asked for and did not refuse, nor was told to leave. */
  const held = new Set<string>()
  /** Names of each command that subscribed. */
  const asked = new Map<string, ReadonlyArray<string>>()

  const pulseOf = (from: Map<string, Rhythm.Pulse>, name: string): Rhythm.Pulse => {
    let found = from.get(name)
    if (found === undefined) from.set(name, found = Rhythm.pulse())
    return found
  }

  /** Before it is known what the step commands. */
  const told = (input: Topics.Input): void => {
    if (input._tag === "Sync") all = input.topics.map(({ topic }) => topic)
    if (input._tag === "Rejected" || input._tag === "Unsubscribed") {
      if (state.topics.has(input.topic)) held.delete(input.topic)
    }
    if (input._tag === "Denied") asked.get(input.id)?.forEach((name) => held.delete(name))
    if (input._tag === "Brought") {
      for (const name of state.topics.keys()) {
        if (channelOf(name) === input.channel && symbolOf(name) === input.exchangeSymbol) brought.set(name, now)
      }
    }
  }

  const judge = (input: Topics.Input, commands: ReadonlyArray<Topics.Command>, before: ReadonlyArray<string>): void => {
    for (const command of commands) {
      const topic = same(command)
      if (topic !== "" && command._tag !== "Unsubscribe") {
        const isThere = all.includes(topic) || (command._tag === "Lost" && before.includes(topic))
        assert.isTrue(isThere, `${command._tag} of ${topic}, which left`)
      }
      switch (command._tag) {
        case "Heard":
          assert.isFalse(listening.has(topic), `${topic} is heard twice`)
          listening.add(topic)
          break
        case "Lost":
          assert.isTrue(listening.delete(topic), `${topic} is lost and was not heard`)
          assert.strictEqual(command.broughtAt, brought.get(topic) ?? null)
          if (!all.includes(topic)) brought.delete(topic)
          break
        case "Doubted":
          if (command.cause === "stale") assert.strictEqual(input._tag, "Brought")
          else assert.isTrue(listening.has(topic))
          break
        case "ShowSuspect":
          if (command.suspect) suspect.add(topic)
          else assert.isTrue(suspect.delete(topic), `${topic} was not suspect`)
          break
        case "ShowStatus":
          if (command.status === "active") held.add(topic)
          break
        case "Subscribe":
          assert.strictEqual(input._tag, "Next")
          assert.isAtMost(command.topics.length, setup.topicsPerFrame)
          assert.strictEqual(new Set(command.topics).size, command.topics.length)
          assert.strictEqual(new Set(command.topics.map(channelOf)).size, 1)
          for (const name of command.topics) {
            assert.isTrue(all.includes(name), `${name} left, and is asked for`)
            held.add(name)
          }
          asked.set(String(command.id), command.topics)
          break
        case "Unsubscribe":
          assert.isTrue(setup.canLeave)
          assert.isAtMost(command.topics.length, setup.leftPerFrame)
          assert.strictEqual(new Set(command.topics).size, command.topics.length)
          assert.strictEqual(new Set(command.topics.map(channelOf)).size, 1)
          for (const name of command.topics) held.delete(name)
          break
        default:
      }
    }
    for (const name of brought.keys()) if (!all.includes(name)) brought.delete(name)
    // Whoever is forgotten was lost before.
    for (const name of listening) assert.isTrue(state.topics.get(name)?.listening, `${name} is not lost`)
    assert.sameMembers([...state.topics.keys()], [...all])
  }

  /** What is true of the state at any time. */
  const judgeState = (): void => {
    const { acknowledges, canLeave } = setup
    for (const { commands, listening: isListening, status, topic } of state.topics.values()) {
      assert.strictEqual(isListening, listening.has(topic), topic)
      assert.strictEqual(status === "wanted", state.wanted.has(topic), topic)
      if (status === "active") assert.isTrue(isListening, `${topic} is active and not heard`)
      if (acknowledges && canLeave && isListening) assert.strictEqual(status, "active", topic)
      assert.isAtMost(commands.length, 3)
    }
    for (const name of state.wanted) assert.isTrue(state.topics.has(name), name)
    judgeTally()
    // Memory: nothing is remembered but of the topics there are, and of each its last three commands.
    const ids = new Set(Array.from(state.topics.values()).flatMap(({ commands }) => commands))
    for (const [id, { topics }] of state.frames) {
      assert.isTrue(ids.has(id), `command ${id} is nobody's`)
      assert.isNotEmpty(topics)
      for (const name of topics) assert.include(state.topics.get(name)?.commands ?? [], id)
    }
    const named = Array.from(state.bringing.values()).flatMap((symbols) => Array.from(symbols.values()).flat())
    assert.sameMembers(named, [...state.topics.keys()])
    assert.strictEqual(new Set(state.leaving.map(({ topic }) => topic)).size, state.leaving.length)
    assert.isAtMost(state.leaving.length + state.ghosts.size, names.length)
  }

  /** What is counted with each change is what counting anew finds. */
  const judgeTally = (): void => {
    const topics = Array.from(state.topics.values())
    const counted = (is: (topic: typeof topics[number]) => boolean) => topics.filter(is).length
    const unheard = counted(({ listening, status }) => status === "pending" && !listening)
    assert.deepStrictEqual({ ...state.tally }, {
      wanted: counted(({ status }) => status === "wanted"),
      pending: counted(({ status }) => status === "pending"),
      active: counted(({ status }) => status === "active"),
      rejected: counted(({ status }) => status === "rejected"),
      unheard,
      leading: counted(({ leads }) => leads)
    })
    assert.deepStrictEqual(Topics.counts(state), {
      requested: counted(({ status }) => status !== "wanted"),
      active: counted(({ status }) => status === "active"),
      rejected: counted(({ status }) => status === "rejected")
    })
    const open = setup.acknowledges ? counted(({ status }) => status === "pending") : unheard
    assert.strictEqual(Topics.isSettled(state), state.wanted.size === 0 && open === 0)
  }

  const step = (input: Topics.Input): ReadonlyArray<Topics.Command> => {
    const before = all
    told(input)
    const commands = Topics.step(state, input, now)
    // The same machine, kept as text between any two steps, does the same.
    const twin = input._tag === "Sync"
      ? { ...input, topics: input.topics.map((one) => ({ ...one, pulse: pulseOf(copies, one.topic) })) }
      : input
    assert.deepStrictEqual(Topics.step(copy, twin, now), commands)
    copy = parse(print(copy))
    for (const { pulse, topic } of copy.topics.values()) copies.set(topic, pulse)
    assert.deepStrictEqual(print(copy), print(state))
    judge(input, commands, before)
    if (input._tag === "Brought") {
      const speaking = Topics.bringing(state, input.channel, input.exchangeSymbol)
      for (const name of speaking) assert.isFalse(state.topics.get(name)?.pulse.suspect, name)
    }
    if (input._tag === "End") assert.isEmpty([...listening])
    else judgeState()
    return commands
  }

  const machine = {
    state,
    step,
    held,
    at: (ms: number): void => {
      now = Time.instant(ms)
    },
    after: (ms: number): void => {
      now = Time.plus(now, ms)
    },
    sync: (topics: ReadonlyArray<string>) =>
      step({
        _tag: "Sync",
        topics: topics.map((topic) => ({
          topic,
          channel: channelOf(topic),
          exchangeSymbol: symbolOf(topic),
          pulse: pulseOf(pulses, topic),
          leads: topic.startsWith("trades")
        }))
      }),
    /** All commands that there are now. */
    drain: (): ReadonlyArray<Topics.Command> => {
      const commands: Array<Topics.Command> = []
      while (Topics.hasCommands(state)) {
        commands.push(...step({ _tag: "Next" }))
        // Leave and ask: not more than two frames a topic.
        assert.isAtMost(commands.length, names.length * 8)
      }
      return commands
    },
    subscribed: (topic: string) => step({ _tag: "Subscribed", topic, recovered: false }),
    rejected: (topic: string, remedy: "soon" | "later" | "elsewhere") => step({ _tag: "Rejected", topic, remedy }),
    brought: (topic: string) => step({ _tag: "Brought", channel: channelOf(topic), exchangeSymbol: symbolOf(topic) }),
    check: () => step({ _tag: "Check", deaf: false }),
    /** The topics that commands ask for, frame by frame. */
    frames: (commands: ReadonlyArray<Topics.Command>): ReadonlyArray<ReadonlyArray<string>> =>
      commands.flatMap((one) => one._tag === "Subscribe" ? [one.topics] : [])
  }
  return machine
}

/** Without what is only shown. */
export const deeds = (commands: ReadonlyArray<Topics.Command>): ReadonlyArray<Topics.Command> =>
  commands.filter(({ _tag }) => _tag !== "ShowStatus" && _tag !== "ShowSuspect")
