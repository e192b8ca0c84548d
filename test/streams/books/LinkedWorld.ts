/**
 * A true book, an exchange that tells of its changes, a wire that drops, doubles, delays and cuts, and what keeps the book of it. Nothing here
 * is a line of the code under test: prices and amounts are plain integers.
 */
import { assert } from "@effect/vitest"
import * as Time from "../../../src/services/Time.ts"
import type { Level } from "../../../src/streams/books/Levels.ts"
import * as Linked from "../../../src/streams/books/Linked.ts"
import * as Machine from "../../../src/streams/books/Machine.ts"
import * as Sync from "../../../src/streams/books/Sync.ts"
import type * as Exchange from "../../../src/streams/Exchange.ts"

export type Link = Exclude<Exchange.Link, "replaced">

export interface Setup {
  readonly link: Link
  readonly deltas: boolean
  readonly depth: number
  readonly interval: number
  /** Levels a side of a picture by REST; the book has more. */
  readonly window: number
}

export type Action =
  /** A level of the true book changes; 0 takes it away. */
  | { readonly _tag: "change"; readonly place: number; readonly amount: number }
  /** The exchange tells what has changed since it last told. */
  | { readonly _tag: "push" }
  /** It says something that changes nothing. */
  | { readonly _tag: "beat" }
  /** It counts anew, from a lower number. */
  | { readonly _tag: "reset" }
  /** The wire hands over so many frames. */
  | { readonly _tag: "deliver"; readonly frames: number }
  | { readonly _tag: "drop" }
  | { readonly _tag: "double" }
  | { readonly _tag: "delay" }
  | { readonly _tag: "connect"; readonly isFirst?: false }
  /** `isSilent`: its end is told as a silence that was strange. */
  | { readonly _tag: "cut"; readonly newest: boolean; readonly isSilent?: boolean }
  /** Where there are any: pictures of the best levels, beside the changes, with which the book is compared. */
  | { readonly _tag: "beside" }
  /** Nobody hears them any more, and all that was said has come. */
  | { readonly _tag: "besideOver" }
  /** The exchange tells what has changed, but for one level of it: no number says so. */
  | { readonly _tag: "omit"; readonly place: number }
  /** An answer to the question that waits for one. `lag`: of so many states ago. */
  | { readonly _tag: "answer"; readonly fails: boolean; readonly lag: number }
  | { readonly _tag: "pass"; readonly ms: number }

interface Version {
  readonly bids: ReadonlyArray<Level>
  readonly asks: ReadonlyArray<Level>
  readonly number: number
  readonly at: number
}

interface Frame {
  /** Of the connection. */
  readonly n: number
  readonly part: Sync.Part | undefined
}

interface Session {
  readonly id: number
  /** What it was last told. */
  told: Version
  sent: number
  heard: number | undefined
  readonly wire: Array<Frame>
}

/** Also when somebody hears the market that nobody heard before. */
export type Said = (Machine.Command | { readonly _tag: "Connected" }) & { readonly at: number }

export const places = 8
/** Of an exchange whose readers cut. */
const depthAsked = 4
/** Levels a side of the pictures beside the changes. */
const levelsBeside = 3
/** Fresh pictures without cause, ms. */
const fresh = { every: 100_000, offset: 7_000 }

const digitsOf = (levels: ReadonlyArray<Exchange.Level>): string => levels.map(([, , digits]) => digits).join(" ")

const booksOf = ({ link, window }: Setup): Exchange.Books => ({
  link,
  levels: undefined,
  numbers: link === "exact" || link === "overlap" ? "own" : "none",
  resync: link === "overlap" ? "picture" : link === "counted" ? "redial" : "resubscribe",
  picture: link === "overlap"
    ? { path: () => "", decode: () => assert.fail("nothing is asked here"), levels: window }
    : undefined,
  ...link === "overlap" ? { beside: { topic: () => "", levels: levelsBeside } } : {},
  ...link === "none"
    ? {
      cut: depthAsked,
      checksum: { levels: depthAsked, of: (asks, bids) => `${digitsOf(asks)}|${digitsOf(bids)}` }
    }
    : {}
})

export class LinkedWorld {
  readonly state: Machine.State
  readonly linked: Linked.State
  readonly commands: Array<Said> = []
  /** All that ever were true, in order. */
  readonly versions: Array<Version>
  private readonly setup: Setup
  private readonly amounts: Array<number> = Array.from({ length: 2 * places }, (_, i) => 1 + i % 3)
  private now = 1_000_000
  private number = 1_000_000
  private base = 1_000_000
  private nextId = 0
  readonly sessions: Array<Session> = []
  private asked = false

  constructor(setup: Setup) {
    this.setup = setup
    const books = booksOf(setup)
    const depth = setup.deltas ? "all" : setup.depth
    this.linked = Linked.make({ books, depth, pool: Sync.pool() })
    this.state = Machine.initial({
      key: "x:A/B",
      collector: "me",
      depth,
      interval: setup.interval,
      refresh: setup.deltas ? 60_000 : 0,
      deltas: setup.deltas,
      phase: 137,
      canAsk: true,
      linked: Linked.patience(books),
      fresh: setup.link === "overlap" ? fresh : undefined
    })
    this.versions = [this.version()]
  }

  get moment(): Time.Moment {
    return { at: Time.instant(this.now), wall: Time.wallTime(1_800_000_000_000 + this.now) }
  }

  get truth(): Version {
    return this.versions.at(-1) ?? assert.fail("nothing is true")
  }

  private side(side: "bids" | "asks"): ReadonlyArray<Level> {
    return Array.from({ length: places }, (_, i): Level => [
      String(side === "bids" ? 99 - i : 101 + i),
      String(this.amounts[side === "bids" ? i : places + i] ?? 0)
    ]).filter(([, amount]) => amount !== "0")
  }

  private version(): Version {
    return { bids: this.side("bids"), asks: this.side("asks"), number: this.number, at: this.now }
  }

  /** What of a side the exchange speaks of on the socket. */
  private seen(levels: ReadonlyArray<Level>): ReadonlyArray<Level> {
    return this.setup.link === "none" ? levels.slice(0, depthAsked) : levels
  }

  private proven(levels: ReadonlyArray<Level>): ReadonlyArray<Exchange.Level> {
    return this.setup.link === "none" ? levels.map(([price, amount]) => [price, amount, `${price}:${amount}`]) : levels
  }

  private checksum({ asks, bids }: Version): { readonly checksum?: string } {
    const digits = (levels: ReadonlyArray<Level>) => digitsOf(this.proven(this.seen(levels)))
    return this.setup.link === "none" ? { checksum: `${digits(asks)}|${digits(bids)}` } : {}
  }

  private numbers(previous: number | undefined, sequence: number): Pick<Sync.Part, "previous" | "sequence"> {
    const { link } = this.setup
    return link === "exact" || link === "overlap"
      ? { previous: previous === undefined ? undefined : BigInt(previous), sequence: BigInt(sequence) }
      : { previous: undefined, sequence: undefined }
  }

  private whole(version: Version): Sync.Part {
    return {
      part: "whole",
      bids: this.proven(this.seen(version.bids)),
      asks: this.proven(this.seen(version.asks)),
      ...this.numbers(undefined, version.number),
      ...this.checksum(version),
      timestamp: 1_800_000_000_000 + version.at
    }
  }

  /** Of a level that fell out of the window nothing is said. */
  private changes(from: ReadonlyArray<Level>, to: ReadonlyArray<Level>, touched: ReadonlySet<string>) {
    const before = new Map(this.seen(from))
    const after = new Map(this.seen(to))
    const there = new Set(to.map(([price]) => price))
    const gone = [...before.keys(), ...touched].filter((price) => !after.has(price) && !there.has(price))
    const came = [...after].filter(([price, amount]) => before.get(price) !== amount || touched.has(price))
    // What comes stands before what goes: for a moment there are more than were asked for.
    return [...came, ...gone.map((price): Level => [price, "0"])]
  }

  /** Where a picture may lie between the two, what came and went between is told too. */
  private touched(side: "bids" | "asks", from: Version, to: Version): ReadonlySet<string> {
    if (this.setup.link !== "overlap") return new Set()
    const between = this.versions.slice(this.versions.indexOf(from), this.versions.indexOf(to) + 1)
    const all = new Map<string, Set<string>>()
    for (const { [side]: levels } of between) {
      for (const [price, amount] of levels) all.set(price, (all.get(price) ?? new Set()).add(amount))
    }
    const isThroughout = (price: string) => between.every(({ [side]: levels }) => levels.some(([one]) => one === price))
    return new Set([...all].flatMap(([price, amounts]) => amounts.size > 1 || !isThroughout(price) ? [price] : []))
  }

  private delta(from: Version, to: Version): Sync.Part {
    return {
      part: "delta",
      bids: this.proven(this.changes(from.bids, to.bids, this.touched("bids", from, to))),
      asks: this.proven(this.changes(from.asks, to.asks, this.touched("asks", from, to))),
      ...this.numbers(from.number, to.number),
      ...this.checksum(to),
      timestamp: 1_800_000_000_000 + to.at
    }
  }

  private send(session: Session, part: Sync.Part | undefined): void {
    session.wire.push({ n: session.sent++, part })
  }

  private tell(input: Linked.Input): void {
    for (const one of Linked.toMachine(this.linked, input)) {
      for (const command of Machine.step(this.state, one, this.moment)) this.said(command)
    }
    this.work()
  }

  private said(command: Machine.Command): void {
    this.commands.push({ ...command, at: this.now })
    if (command._tag === "Ask") this.asked = true
    // As `Markets` does.
    if (command._tag === "Refresh") this.tell({ _tag: "Fresh" })
  }

  /** All that is due. */
  private work(): void {
    for (let n = 0; n < 20; n++) {
      const wake = Machine.wakeAt(this.state)
      if (wake === undefined || Time.between(wake, this.moment.at) < 0) return this.resync()
      for (const command of Machine.step(this.state, { _tag: "Due" }, this.moment)) this.said(command)
    }
    assert.fail("something is due for ever")
  }

  /** What the channel does at once; a question by REST waits for its answer. */
  private resync(): void {
    if (!this.asked || this.setup.link === "overlap") return
    this.asked = false
    if (this.setup.link === "counted") {
      this.tell({ _tag: "Answer", part: undefined })
      while (this.sessions.length > 0) this.act({ _tag: "cut", newest: false })
      return this.act({ _tag: "connect", isFirst: false })
    }
    this.tell({ _tag: "Answer", part: undefined })
    for (const session of this.sessions) {
      this.tell({ _tag: "Lost", listener: session.id, cause: "unsubscribed", aliveAt: this.moment.at })
      session.wire.length = 0
      this.subscribe(session)
    }
  }

  private subscribe(session: Session): void {
    this.tell({ _tag: "Heard", listener: session.id, since: undefined, epoch: undefined })
    // Nobody is told less than what all were told.
    this.act({ _tag: "push" })
    session.told = this.truth
    if (this.setup.link !== "overlap") this.send(session, this.whole(this.truth))
  }

  private deliver(session: Session): void {
    const frame = session.wire.shift()
    if (frame === undefined) return
    if (this.setup.link === "counted") {
      // As `Feed/Session` counts.
      const isMissing = session.heard !== undefined && frame.n > session.heard + 1
      session.heard = Math.max(session.heard ?? -1, frame.n)
      if (isMissing) this.tell({ _tag: "Doubted", listener: session.id, cause: "sequence" })
    }
    if (frame.part !== undefined) this.tell({ _tag: "Part", listener: session.id, part: frame.part })
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
    }
    this.now = end
  }

  /** The oldest session that has frames. */
  private busy(): Session | undefined {
    return this.sessions.find(({ wire }) => wire.length > 0)
  }

  act(action: Action): void {
    const { link } = this.setup
    switch (action._tag) {
      case "change":
        this.amounts[action.place % (2 * places)] = action.amount
        this.number += 1
        // No two states have one time.
        this.pass(1)
        this.versions.push(this.version())
        return
      case "push":
        for (const session of this.sessions) {
          if (session.told === this.truth) continue
          this.send(session, this.delta(session.told, this.truth))
          session.told = this.truth
        }
        return
      case "beat":
        for (const session of this.sessions) {
          this.send(session, link === "exact" ? this.delta(session.told, session.told) : undefined)
        }
        return
      case "reset": {
        if (link !== "exact") return
        // Lower than any before, and far from all: no number comes twice.
        this.base -= 10_000
        this.number = this.base
        // A moment that no state had before.
        this.pass(1_000)
        this.versions.push(this.version())
        return this.act({ _tag: "push" })
      }
      case "deliver":
        for (const session of this.sessions) for (let n = 0; n < action.frames; n++) this.deliver(session)
        return
      case "drop": {
        this.busy()?.wire.shift()
        return
      }
      case "double": {
        // Where nothing has a number, the wire of the exchange is trusted not to.
        const session = link === "exact" || link === "overlap" ? this.busy() : undefined
        const frame = session?.wire.find(({ part }) => part?.part === "delta")
        if (session !== undefined && frame !== undefined) session.wire.push(frame)
        return
      }
      case "delay": {
        const session = link === "exact" || link === "overlap" ? this.busy() : undefined
        const [first, second] = session?.wire ?? []
        if (first?.part?.part === "delta" && second?.part?.part === "delta") session?.wire.splice(0, 2, second, first)
        return
      }
      case "connect": {
        if (this.sessions.length >= 2) return
        const session: Session = { id: this.nextId++, told: this.truth, sent: 0, heard: undefined, wire: [] }
        if (this.sessions.length === 0 && action.isFirst !== false) {
          this.commands.push({ _tag: "Connected", at: this.now })
        }
        this.sessions.push(session)
        return this.subscribe(session)
      }
      case "cut": {
        const session = action.newest ? this.sessions.pop() : this.sessions.shift()
        if (session === undefined) return
        const cause = action.isSilent === true ? "stale" : "disconnected"
        this.tell({ _tag: "Lost", listener: session.id, cause, aliveAt: this.moment.at })
        return
      }
      case "answer": {
        if (!this.asked) return
        this.asked = false
        const version = this.versions[Math.max(0, this.versions.length - 1 - action.lag)] ?? this.truth
        const { window } = this.setup
        const whole = { ...this.whole(version), timestamp: null }
        this.tell({
          _tag: "Answer",
          part: action.fails
            ? undefined
            : { ...whole, bids: whole.bids.slice(0, window), asks: whole.asks.slice(0, window) }
        })
        return
      }
      case "beside":
        if (link !== "overlap") return
        for (const session of this.sessions) {
          const { asks, bids, ...whole } = this.whole(this.truth)
          this.send(session, { ...whole, bids: bids.slice(0, levelsBeside), asks: asks.slice(0, levelsBeside) })
        }
        return
      case "besideOver":
        this.tell({ _tag: "AuditCeased" })
        this.act({ _tag: "push" })
        this.act({ _tag: "deliver", frames: 1_000 })
        return this.tell({ _tag: "AuditOver" })
      case "omit":
        for (const session of this.sessions) {
          const { asks, bids, ...delta } = this.delta(session.told, this.truth)
          session.told = this.truth
          const left = <A>(levels: ReadonlyArray<A>, at: number) => levels.filter((_, i) => i !== at)
          this.send(session, { ...delta, bids: left(bids, action.place), asks: left(asks, action.place - bids.length) })
        }
        return
      case "pass":
        return this.pass(action.ms)
    }
  }
}
