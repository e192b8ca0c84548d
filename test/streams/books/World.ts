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
  | { readonly _tag: "connect" }
  /** The oldest or the newest session ends. */
  | { readonly _tag: "drop"; readonly newest: boolean }
  | { readonly _tag: "restart" }
  | { readonly _tag: "doubt" }
  /** An answer to the question that waits for one. */
  | { readonly _tag: "answer"; readonly fails: boolean }
  | { readonly _tag: "pass"; readonly ms: number }

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
  private readonly sessions: Array<{ readonly id: number; readonly epoch: string }> = []
  /** What was true when a picture was asked for. */
  private asked: { readonly version: Version; readonly at: number } | undefined

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
    for (const command of Machine.step(this.state, input, this.moment)) this.commands.push({ ...command, at: this.now })
    this.work()
  }

  /** All that is due. */
  private work(): void {
    for (let n = 0; n < 5; n++) {
      const wake = Machine.wakeAt(this.state)
      if (wake === undefined || Time.between(wake, this.moment.at) < 0) return
      for (const command of Machine.step(this.state, { _tag: "Due" }, this.moment)) {
        if (command._tag === "Ask") this.asked = { version: this.truth, at: this.now }
        this.commands.push({ ...command, at: this.now })
      }
    }
    assert.fail("something is due for ever")
  }

  private pass(ms: number): void {
    const end = this.now + ms
    for (;;) {
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

  act(action: Action): void {
    switch (action._tag) {
      case "change": {
        this.amounts[action.place % (2 * places)] = action.amount
        this.versions.push({ bids: this.sideNow("bids"), asks: this.sideNow("asks") })
        return
      }
      case "push": {
        this.offset += 1
        const part = this.partOf(this.truth, this.setup.bySides ? action.side : "whole")
        for (const { id } of this.sessions) this.tell({ _tag: "Part", listener: id, part })
        return
      }
      case "connect": {
        if (this.sessions.length >= 2) return
        const session = { id: this.nextId++, epoch: `e${this.epochs}` }
        this.sessions.push(session)
        this.tell({
          _tag: "Heard",
          listener: session.id,
          recovered: false,
          epoch: this.setup.numbered ? session.epoch : undefined
        })
        return
      }
      case "drop": {
        const session = action.newest ? this.sessions.pop() : this.sessions.shift()
        if (session === undefined) return
        this.tell({ _tag: "Lost", listener: session.id, cause: "disconnected", aliveAt: this.moment.at })
        return
      }
      case "restart": {
        while (this.sessions.length > 0) this.act({ _tag: "drop", newest: false })
        this.epochs += 1
        this.offset = 0
        return
      }
      case "doubt": {
        const [session] = this.sessions
        if (session !== undefined) this.tell({ _tag: "Doubted", listener: session.id, cause: "undecoded" })
        return
      }
      case "answer": {
        const { asked } = this
        if (asked === undefined || !this.state.ask.isPending) return
        this.asked = undefined
        const timestamp = this.setup.bySides ? null : 1_800_000_000_000 + asked.at
        const part = { ...this.partOf(asked.version, "whole"), sequence: undefined, timestamp }
        this.tell({ _tag: "Answer", part: action.fails ? undefined : part })
        return
      }
      case "pass":
        return this.pass(action.ms)
    }
  }
}
