/**
 * A true book, an exchange that tells of it, and the machine that keeps it: what the machine says is held against what was true. Levels
 * are plain integers as text, told apart by no line of the code under test.
 */
import { assert } from "@effect/vitest"
import * as Time from "../../../src/services/Time.ts"
import type { Level } from "../../../src/streams/books/Levels.ts"
import * as Machine from "../../../src/streams/books/Machine.ts"

export interface Setup {
  /** One side a message, without numbers, as Wallex has it. */
  readonly bySides: boolean
  readonly numbered: boolean
  readonly deltas: boolean
  readonly depth: number | "all"
  readonly interval: number
  readonly refresh: number
}

export type Action =
  /** Levels of the true book change: a price by its place, an amount; 0 takes it away. */
  | { readonly _tag: "change"; readonly place: number; readonly amount: number }
  /** The exchange tells what is true to all who hear it. `side`: where it tells one side. */
  | { readonly _tag: "push"; readonly side: "bids" | "asks" }
  /** `recovers`: what was said since the last that any session heard is said to it first, where the exchange numbers it. */
  | { readonly _tag: "connect"; readonly recovers: boolean }
  /** The oldest or the newest session ends. */
  | { readonly _tag: "drop"; readonly newest: boolean }
  | { readonly _tag: "restart" }
  /** The oldest or the newest session hears nothing any more, and nobody knows. */
  | { readonly _tag: "mute"; readonly newest: boolean }
  /** The newest session is silent, and subscribes to the market anew. */
  | { readonly _tag: "silence" }
  | { readonly _tag: "doubt" }
  /** The exchange tells what is true to all who hear it, and none of them can read it. */
  | { readonly _tag: "spoil"; readonly side: "bids" | "asks" }
  /** An answer to the question that waits for one. */
  | { readonly _tag: "answer"; readonly fails: boolean }
  | { readonly _tag: "pass"; readonly ms: number }
  /** From here on there is no room for what is due; or there is again. */
  | { readonly _tag: "block" }
  | { readonly _tag: "unblock" }

export interface Version {
  readonly bids: ReadonlyArray<Level>
  readonly asks: ReadonlyArray<Level>
}

const places = 6

export class World {
  readonly state: Machine.State
  readonly commands: Array<Machine.Command & { readonly at: number }> = []
  /** All that ever were true, in order. */
  readonly versions: Array<Version> = [{ bids: [], asks: [] }]
  private readonly setup: Setup
  private readonly amounts: Array<number> = Array.from({ length: 2 * places }, () => 0)
  private now = 1_000_000
  private epochs = 0
  private offset = 0
  private nextId = 0
  private readonly sessions: Array<{ readonly id: number; readonly epoch: string; mutedAt: number | undefined }> = []
  /** What was true when a picture was asked for. `spoils`: how often somebody could not read something until then. */
  private asked: { readonly version: Version; readonly at: number; readonly spoils: number } | undefined
  /** What was last told of each side; undefined: nothing yet, or it could not be read. */
  private readonly last: { bids: ReadonlyArray<Level> | undefined; asks: ReadonlyArray<Level> | undefined } = {
    bids: undefined,
    asks: undefined
  }
  /** Time of the last picture that was asked for, as it says. */
  private answered = 0
  private spoils = 0
  /** Of an epoch, by offset. */
  private readonly said: Array<{ readonly offset: number; readonly part: Machine.Part | undefined }> = []
  /** The offset that sessions have come to, or that the answer to a subscription named. */
  private position: number | undefined
  /** That were not told to their end yet, by the sequences of the last good state and of the first that was whole again. */
  private readonly holes: Array<{ readonly from: string; to: string | undefined }> = []
  isBlocked = false
  wasBlocked = false

  constructor(setup: Setup) {
    this.setup = setup
    this.state = Machine.initial({
      key: "x:A/B",
      collector: "me",
      depth: setup.deltas ? "all" : setup.depth,
      interval: setup.interval,
      refresh: setup.refresh,
      deltas: setup.deltas,
      phase: 137,
      canAsk: true
    })
  }

  get moment(): Time.Moment {
    return { at: Time.instant(this.now), wall: Time.wallTime(1_800_000_000_000 + this.now) }
  }

  get truth(): Version {
    return this.versions.at(-1) ?? { bids: [], asks: [] }
  }

  /** A price is above 100 on the side of the asks, below on the other: what is true does not cross. */
  private priceOf(side: "bids" | "asks", place: number): string {
    return String(side === "bids" ? 99 - place : 101 + place)
  }

  private sideNow(side: "bids" | "asks"): ReadonlyArray<Level> {
    return Array.from({ length: places }, (_, i): Level => [
      this.priceOf(side, i),
      String(this.amounts[side === "bids" ? i : places + i] ?? 0)
    ]).filter(([, amount]) => amount !== "0")
  }

  tell(input: Machine.Input): void {
    for (const command of this.step(input)) {
      // All else waits until there is room: what is made by each input would grow without end.
      assert.include(["Count", "Stale"], command._tag)
    }
    this.work()
  }

  private step(input: Machine.Input): ReadonlyArray<Machine.Command> {
    const { phase } = this.state
    const commands = Machine.step(this.state, input, this.moment)
    const { hole, kept } = this.state
    if (phase !== "doubtful" && hole !== undefined) this.holes.push({ from: hole.fromSequence, to: undefined })
    for (const command of commands) {
      if (command._tag === "Ask") this.asked = { version: this.truth, at: this.now, spoils: this.spoils }
      if (command._tag === "Gap") this.checkTold(command)
      this.commands.push({ ...command, at: this.now })
    }
    const last = this.holes.at(-1)
    if (phase === "doubtful" && hole === undefined && last !== undefined) last.to = kept?.stamp.sequence
    return commands
  }

  /** Both events together are about all that was doubtful since it was told last. */
  private checkTold({ fromSequence, isLast, toSequence }: Extract<Machine.Command, { readonly _tag: "Gap" }>): void {
    assert.strictEqual(this.holes[0]?.from, fromSequence)
    if (!isLast) return
    assert.strictEqual(this.holes.at(-1)?.to, toSequence ?? undefined)
    this.holes.length = 0
  }

  /** All that is due, if there is room. */
  private work(): void {
    if (this.isBlocked) return
    for (let n = 0; n < 5; n++) {
      const wake = Machine.wakeAt(this.state)
      if (wake === undefined || Time.between(wake, this.moment.at) < 0) {
        // Of those that are open what was over before belongs to them.
        return assert.isUndefined(this.holes.at(-1)?.to, "what is over was told")
      }
      this.step({ _tag: "Due" })
    }
    assert.fail("something is due for ever")
  }

  private pass(ms: number): void {
    const end = this.now + ms
    for (; !this.isBlocked;) {
      const wake = Machine.wakeAt(this.state)
      const next = wake === undefined ? end : Math.max(this.now, Math.ceil(Time.between(Time.instant(0), wake)))
      if (next > end) break
      this.now = next
      this.work()
      if (wake === undefined) break
      this.now = Math.max(this.now, next)
    }
    this.now = end
  }

  private partOf(version: Version, part: "whole" | "bids" | "asks"): Machine.Part {
    return {
      part,
      bids: part === "asks" ? [] : version.bids,
      asks: part === "bids" ? [] : version.asks,
      previous: undefined,
      sequence: this.setup.numbered ? BigInt(this.offset) : undefined,
      timestamp: this.setup.bySides ? null : 1_800_000_000_000 + this.now
    }
  }

  /** The sides that a push has. */
  private sidesOf(side: "bids" | "asks"): ReadonlyArray<"bids" | "asks"> {
    return this.setup.bySides ? [side] : ["bids", "asks"]
  }

  /** `part`: undefined if it cannot be read. */
  private bring(id: number, part: Machine.Part | undefined): void {
    this.tell(
      part === undefined ? { _tag: "Doubted", listener: id, cause: "undecoded" } : { _tag: "Part", listener: id, part }
    )
  }

  private say(part: Machine.Part | undefined): void {
    this.said.push({ offset: this.offset, part })
    for (const { id, mutedAt } of this.sessions) {
      if (mutedAt !== undefined) continue
      this.bring(id, part)
      this.position = this.offset
    }
  }

  /** A live book is what the exchange said last, and that could be read. */
  checkKept(): void {
    const { kept, leader, phase } = this.state
    if (phase !== "live" || this.sessions.find(({ id }) => id === leader)?.mutedAt !== undefined) return
    if (leader === undefined) return
    assert.deepStrictEqual({ bids: kept?.bids, asks: kept?.asks }, { ...this.last })
  }

  act(action: Action): void {
    switch (action._tag) {
      case "change": {
        // No two states have the same millisecond: of those that have, nobody could tell which is the later.
        this.pass(1)
        this.amounts[action.place % (2 * places)] = action.amount
        this.versions.push({ bids: this.sideNow("bids"), asks: this.sideNow("asks") })
        return
      }
      case "push": {
        this.offset += 1
        const part = this.partOf(this.truth, this.setup.bySides ? action.side : "whole")
        for (const side of this.sidesOf(action.side)) this.last[side] = this.truth[side]
        this.say(part)
        return
      }
      case "connect": {
        if (this.sessions.length >= 2) return
        const session = { id: this.nextId++, epoch: `e${this.epochs}`, mutedAt: undefined }
        this.sessions.push(session)
        const { position } = this
        const { numbered } = this.setup
        const isRecovered = action.recovers && numbered && position !== undefined
        const since = isRecovered ? BigInt(position) : undefined
        this.tell({ _tag: "Heard", listener: session.id, since, epoch: numbered ? session.epoch : undefined })
        if (isRecovered) {
          for (const { part } of this.said.filter(({ offset }) => offset > position)) {
            const { kept } = this.state
            this.bring(session.id, part)
            // Said while nobody heard: newer than a picture that was asked for before it, and what was said before that stays away.
            if (part === undefined || this.state.kept === kept || (part.timestamp ?? 0) < this.answered) continue
            Object.assign(this.last, { bids: part.bids, asks: part.asks })
          }
        }
        this.position = this.offset
        return
      }
      case "drop": {
        const session = action.newest ? this.sessions.pop() : this.sessions.shift()
        if (session === undefined) return
        const aliveAt = Time.instant(session.mutedAt ?? this.now)
        this.tell({ _tag: "Lost", listener: session.id, cause: "disconnected", aliveAt })
        return
      }
      case "mute": {
        const session = action.newest ? this.sessions.at(-1) : this.sessions[0]
        // What joins within this millisecond may have missed what it missed.
        if (session !== undefined) session.mutedAt ??= this.now - 1
        return
      }
      case "restart": {
        while (this.sessions.length > 0) this.act({ _tag: "drop", newest: false })
        this.epochs += 1
        this.offset = 0
        this.position = undefined
        this.said.length = 0
        return
      }
      case "silence": {
        const session = this.sessions.at(-1)
        if (session === undefined) return
        const epoch = this.setup.numbered ? session.epoch : undefined
        const aliveAt = Time.instant(session.mutedAt ?? this.now)
        session.mutedAt = undefined
        this.tell({ _tag: "Lost", listener: session.id, cause: "stale", aliveAt })
        this.tell({ _tag: "Heard", listener: session.id, since: undefined, epoch })
        return
      }
      case "doubt": {
        const [session] = this.sessions
        if (session !== undefined) this.tell({ _tag: "Doubted", listener: session.id, cause: "undecoded" })
        return
      }
      case "spoil": {
        this.offset += 1
        if (this.sessions.some(({ mutedAt }) => mutedAt === undefined)) this.spoils += 1
        for (const side of this.sidesOf(action.side)) this.last[side] = undefined
        this.say(undefined)
        return
      }
      case "answer": {
        const { asked } = this
        if (asked === undefined || !this.state.ask.isPending) return
        this.asked = undefined
        const timestamp = this.setup.bySides ? null : 1_800_000_000_000 + asked.at
        const part = { ...this.partOf(asked.version, "whole"), sequence: undefined, timestamp }
        const { parts } = this.state
        this.tell({ _tag: "Answer", part: action.fails ? undefined : part, sentAt: Time.instant(asked.at) })
        if (this.state.parts === parts) return
        assert.strictEqual(asked.spoils, this.spoils, "made before something that could not be read")
        this.last.bids = this.state.kept?.bids
        this.last.asks = this.state.kept?.asks
        this.answered = timestamp ?? 0
        return
      }
      case "pass":
        return this.pass(action.ms)
      case "block":
        this.isBlocked = true
        this.wasBlocked = true
        return
      case "unblock":
        this.isBlocked = false
        return this.work()
    }
  }
}
