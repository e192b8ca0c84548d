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
  /** Each part has the time at which it was said. */
  readonly timed: boolean
  /** What is said to a session may come to it late. */
  readonly lags: boolean
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
  /** The exchange counts from the beginning, in the same epoch and on connections that live. */
  | { readonly _tag: "renumber" }
  /** From here on what is said to the oldest or the newest session comes to it later. */
  | { readonly _tag: "lag"; readonly newest: boolean }
  /** So many parts come to it; all of them: it is not behind any more. */
  | { readonly _tag: "deliver"; readonly newest: boolean; readonly count: number }
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

/** No session is so far behind, ms. */
const mostBehind = 5_000

/** Numbers of two series are never the same: where there is no time either, nobody could tell them apart. */
const series = 64

/** What was said, and when; of what nobody can read no part. `order`: what was said later has a higher one. */
interface Said {
  readonly order: number
  readonly at: number
  readonly offset: number
  readonly part: Machine.Part | undefined
}

interface Session {
  readonly id: number
  readonly epoch: string
  mutedAt: number | undefined
  /** What it has not had yet; undefined: it is not behind. */
  behind: Array<Said> | undefined
  /** The last that came to it could not be read, and was said then. */
  unread: number | undefined
  /** When the last was said that it could not read; undefined: it has read all. */
  doubted: number | undefined
}

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
  private readonly sessions: Array<Session> = []
  /** What was true when a picture was asked for. `spoils`: how often somebody could not read something until then. */
  private asked:
    | { readonly version: Version; readonly at: number; readonly order: number; readonly spoils: number }
    | undefined
  /** The newest of what came to anybody and could be read: as what a live book is kept. */
  private newest: Version & { readonly order: number } | undefined
  /** What was last said of each side to those who are not behind; undefined: nothing yet, or it could not be read. */
  private readonly last: { bids: ReadonlyArray<Level> | undefined; asks: ReadonlyArray<Level> | undefined } = {
    bids: undefined,
    asks: undefined
  }
  /** Of a doubtful book: when the first was said that somebody could not read; 0: all could be. */
  private unread = 0
  private order = 0
  /** When it was said what is kept. */
  private kept = 0
  private spoils = 0
  private renumbered = 0
  /** Of an epoch and its numbers. */
  private readonly said: Array<Said> = []
  /** The number that sessions have come to, or that the answer to a subscription named. */
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
      if (command._tag === "Ask") this.asked = this.question()
      if (command._tag === "Gap") this.checkTold(command)
      this.commands.push({ ...command, at: this.now })
    }
    const last = this.holes.at(-1)
    if (phase === "doubtful" && hole === undefined && last !== undefined) last.to = kept?.stamp.sequence
    return commands
  }

  private question() {
    this.order += 1
    return { version: this.truth, at: this.now, order: this.order, spoils: this.spoils }
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
    for (const session of this.sessions) {
      while ((session.behind?.[0]?.at ?? end) + mostBehind < end) this.deliver(session, 1)
    }
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
      sequence: this.setup.numbered ? BigInt(this.number) : undefined,
      timestamp: this.setup.timed ? 1_800_000_000_000 + this.now : null
    }
  }

  private get number(): number {
    return this.setup.timed ? this.offset : this.offset * series + this.renumbered % series
  }

  /** The sides that a push has. */
  private sidesOf(side: "bids" | "asks"): ReadonlyArray<"bids" | "asks"> {
    return this.setup.bySides ? [side] : ["bids", "asks"]
  }

  private bring(session: Session, { at, offset, order, part }: Said): void {
    const { id: listener } = session
    const { phase } = this.state
    const before = this.kept
    if (part === undefined) {
      this.spoils += 1
      session.unread = session.doubted = order
      this.tell({ _tag: "Doubted", listener, cause: "undecoded" })
      if (this.state.phase === "doubtful" && this.unread === 0) this.unread = order
    } else {
      session.unread = undefined
      if (order > (this.newest?.order ?? 0)) this.newest = { order, bids: part.bids, asks: part.asks }
      const { kept } = this.state
      this.tell({ _tag: "Part", listener, part })
      if (this.state.kept !== kept) this.kept = order
      if (phase === "doubtful" && this.state.phase === "live" && this.unread > 0) {
        // Who could not read it knows that what follows on its own connection is newer.
        const least = session.doubted ?? (this.setup.numbered || this.setup.timed ? before : this.unread)
        assert.isAbove(order, least, `made whole by what was said at ${at}, before something unreadable`)
      }
    }
    if (this.state.phase === "live") this.unread = 0
    if (this.said.some((one) => one.order === order)) this.position = offset
  }

  private say(part: Machine.Part | undefined): void {
    this.order += 1
    const said = { order: this.order, at: this.now, offset: this.number, part }
    this.said.push(said)
    for (const session of this.sessions) {
      if (session.mutedAt !== undefined) continue
      if (session.behind === undefined) this.bring(session, said)
      else session.behind.push(said)
    }
  }

  private deliver(session: Session, count: number): void {
    for (const said of session.behind?.splice(0, count) ?? []) this.bring(session, said)
  }

  private catchUp(): void {
    for (const session of this.sessions) this.deliver(session, Infinity)
  }

  /** A live book is the newest that came to anybody, and whoever leads could read all that came to it. */
  checkKept(): void {
    const { kept, leader, phase } = this.state
    const session = this.sessions.find(({ id }) => id === leader)
    if (phase !== "live" || session === undefined || session.mutedAt !== undefined) return
    assert.isBelow(
      session.unread ?? 0,
      Math.max(1, this.newest?.order ?? 0),
      "the last of its leader could not be read"
    )
    const sides = { bids: kept?.bids, asks: kept?.asks }
    if (!this.setup.bySides) {
      // That numbers began again comes to it later.
      if (this.renumbered > 0 && session.behind !== undefined) return
      return assert.deepStrictEqual(sides, { bids: this.newest?.bids, asks: this.newest?.asks })
    }
    // Of sides nobody can tell which is the newer.
    if (!this.setup.lags) assert.deepStrictEqual(sides, { ...this.last })
  }

  private at(newest: boolean): Session | undefined {
    return this.sessions.at(newest ? -1 : 0)
  }

  /** Only sessions that hear are left, and there is one. */
  hear(): void {
    while (this.sessions.some(({ mutedAt }) => mutedAt !== undefined)) this.act({ _tag: "drop", newest: false })
    this.act({ _tag: "connect", recovers: false })
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
        const session: Session = {
          id: this.nextId++,
          epoch: `e${this.epochs}`,
          mutedAt: undefined,
          behind: undefined,
          unread: undefined,
          doubted: undefined
        }
        this.sessions.push(session)
        const { position } = this
        const { numbered } = this.setup
        const isRecovered = action.recovers && numbered && position !== undefined
        const since = isRecovered ? BigInt(position) : undefined
        this.tell({ _tag: "Heard", listener: session.id, since, epoch: numbered ? session.epoch : undefined })
        if (isRecovered) {
          for (const one of this.said.filter(({ offset }) => offset > position)) this.bring(session, one)
        }
        this.position = this.number
        // What is said from here on does not come with the answer.
        return this.pass(1)
      }
      case "drop": {
        const session = action.newest ? this.sessions.pop() : this.sessions.shift()
        if (session === undefined) return
        const aliveAt = Time.instant(session.mutedAt ?? this.now)
        this.tell({ _tag: "Lost", listener: session.id, cause: "disconnected", aliveAt })
        return
      }
      case "mute": {
        const session = this.at(action.newest)
        if (session === undefined) return
        // What joins within this millisecond may have missed what it missed.
        session.mutedAt ??= this.now - 1
        if (session.behind !== undefined) session.behind.length = 0
        return
      }
      case "lag": {
        const session = this.at(action.newest)
        if (session !== undefined && this.setup.lags) session.behind ??= []
        return
      }
      case "deliver": {
        const session = this.at(action.newest)
        if (session === undefined) return
        this.deliver(session, action.count)
        if (session.behind?.length === 0) session.behind = undefined
        return
      }
      case "renumber":
        // Of numbers without a time, while somebody is behind: which of two are the newer nobody could tell.
        if (this.setup.lags && !this.setup.timed) return
        // The second is what is put behind the numbers.
        this.pass(1_000)
        this.renumbered += 1
        this.offset = 0
        this.position = undefined
        this.said.length = 0
        return
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
        const session = this.sessions.find(({ mutedAt }) => mutedAt === undefined)
        if (session === undefined) return
        // It was said after what came to it before, and before what did not yet.
        this.pass(1)
        this.order += 1
        const order = (session.behind?.[0]?.order ?? this.order + 0.5) - 0.5
        return this.bring(session, { order, at: this.now, offset: this.number, part: undefined })
      }
      case "spoil": {
        this.pass(1)
        this.offset += 1
        for (const side of this.sidesOf(action.side)) this.last[side] = undefined
        this.say(undefined)
        return
      }
      case "answer": {
        const { asked } = this
        if (asked === undefined || !this.state.ask.isPending) return
        this.asked = undefined
        // Where nothing has a time, what was said before is told from the picture by nothing.
        if (!this.setup.timed) this.catchUp()
        const timestamp = this.setup.timed ? 1_800_000_000_000 + asked.at : null
        const part = { ...this.partOf(asked.version, "whole"), sequence: undefined, timestamp }
        const { parts } = this.state
        this.tell({ _tag: "Answer", part: action.fails ? undefined : part, sentAt: Time.instant(asked.at) })
        if (this.state.parts === parts) return
        assert.strictEqual(asked.spoils, this.spoils, "made before something that could not be read")
        const { asks, bids } = this.state.kept ?? asked.version
        Object.assign(this.last, { bids, asks })
        this.kept = asked.order
        if (asked.order > (this.newest?.order ?? 0)) this.newest = { order: asked.order, bids, asks }
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
