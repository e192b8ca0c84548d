/**
 * Two lanes on one disk, and what an outsider knows of them: what was promised, what was told as lost. Complains at once when a
 * promise is broken. The oracle of docs/design/queue.md "What the tests must show": it never looks at the files.
 */
import { Effect, Exit, Fiber, Scope } from "effect"
import * as FileQueue from "../../../src/services/FileQueue.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { countOf, defaults, numberOf, record } from "./Harness.ts"

export type Command =
  | { readonly _tag: "Append"; readonly lane: number; readonly count: number; readonly size: number }
  | { readonly _tag: "AppendTwice"; readonly lane: number; readonly count: number }
  | { readonly _tag: "Read"; readonly lane: number; readonly count: number }
  | { readonly _tag: "ReadAhead"; readonly lane: number; readonly count: number }
  /** Appended while the read waits for its bytes, or while they are on their way back. */
  | {
    readonly _tag: "ReadBeside"
    readonly lane: number
    readonly count: number
    readonly append: number
    readonly late: boolean
  }
  | { readonly _tag: "Ack"; readonly lane: number }
  | { readonly _tag: "Nack"; readonly lane: number }
  | { readonly _tag: "Persist"; readonly lane: number }
  /** Acknowledged while the cursor is written. */
  | { readonly _tag: "PersistBeside"; readonly lane: number }
  | { readonly _tag: "Check"; readonly lane: number }
  | { readonly _tag: "Restart" }
  | { readonly _tag: "Crash"; readonly power: boolean }
  /** Between two lives, one bit of a segment that is not the lane's last: there a torn batch and damage look alike. */
  | { readonly _tag: "Corrupt"; readonly lane: number }
  /** The process dies at the n-th file operation from here. */
  | { readonly _tag: "CrashIn"; readonly operations: number; readonly power: boolean }
  /** The n-th sync from here fails. */
  | { readonly _tag: "FailSync"; readonly syncs: number }
  | { readonly _tag: "Fill"; readonly bytes: number }
  | { readonly _tag: "Free" }

const fail = (message: string): never => {
  throw new Error(message)
}

class Lane {
  queue: FileQueue.Queue | undefined
  /** What append has promised. */
  readonly promised = new Map<number, number>()
  /** Handed over, without an answer or with a refusal. */
  readonly doubtful = new Set<number>()
  readonly lost = new Map<number, string>()
  /** Each may cost the one record it hits. */
  flips = 0
  /** The records handed out and not answered for. */
  send: { readonly first: number; readonly last: number } | undefined
  pinned: { readonly first: number; readonly last: number } | undefined
  next = 1
  acked = 1
  ackedEver = 1
  durable = 1
  delivered = new Set<number>()
  highest = 0
  readonly topic: string
  readonly dropOrder: number

  constructor(topic: string, dropOrder: number) {
    this.topic = topic
    this.dropOrder = dropOrder
  }

  open(): FileQueue.Queue {
    return this.queue ?? fail("not open")
  }
}

export class World {
  readonly disk = new MemoryDisk()
  readonly lanes = [new Lane("trade", 1), new Lane("book", 0)]
  private scope: Scope.CloseableScope | undefined
  private counter = 0
  private power = false
  private readonly flipped = new Set<string>()
  private readonly choose: (n: number) => number
  private readonly options: Partial<FileQueue.Options>
  /** How often what happened, so that a test can say that it tested something. */
  readonly seen = { drops: 0, crashes: 0, failures: 0, reads: 0, beside: 0, restarts: 0, flips: 0 }

  constructor(choose: (n: number) => number, options: Partial<FileQueue.Options>) {
    this.choose = choose
    this.options = options
  }

  private lane(index: number): Lane {
    return this.lanes[index] ?? fail("no such lane")
  }

  readonly start: Effect.Effect<void> = Effect.gen(this, function*() {
    for (;;) {
      const scope = yield* Scope.make()
      this.scope = scope
      const opened = yield* Effect.gen(this, function*() {
        const files = yield* FileQueue.make({ ...defaults, ...this.options })
        for (const lane of this.lanes) {
          lane.queue = yield* files.open({
            topic: lane.topic,
            dropOrder: lane.dropOrder,
            onLoss: (loss) =>
              Effect.andThen(
                Effect.sync(() => this.onLoss(lane, loss)),
                loss.reason === "full" && lane.dropOrder > 0 ? this.booksWentFirst : Effect.void
              )
          })
        }
      }).pipe(Effect.provide(this.disk.layer), Scope.extend(scope), Effect.exit)
      if (Exit.isSuccess(opened)) {
        for (const lane of this.lanes) yield* this.opened(lane)
        this.dropping = false
        return
      }
      // Only what was done to it keeps it from opening.
      if (!this.disk.dead) return fail(`does not open: ${opened.cause.toString()}`)
      yield* this.die
    }
  })

  private readonly opened = Effect.fnUntraced(function*(this: World, lane: Lane) {
    const snapshot = yield* lane.open().snapshot
    if (snapshot.nextSeq <= lane.highest) fail(`${snapshot.nextSeq} is given a second time`)
    if (snapshot.ackedTo < lane.durable) fail(`the cursor went back to ${snapshot.ackedTo} from ${lane.durable}`)
    for (let seq = lane.ackedEver; seq < snapshot.ackedTo; seq++) {
      if (lane.promised.has(seq) && !lane.lost.has(seq)) {
        // Dropped, and the process died before it could tell: the cursor had it, so it counts as told.
        if (!this.dropping) fail(`${seq} skipped without a word`)
        lane.lost.set(seq, "full")
      }
    }
    lane.next = snapshot.ackedTo
    lane.acked = snapshot.ackedTo
    lane.send = undefined
    lane.pinned = undefined
    lane.delivered = new Set()
    yield* this.check(lane)
  })

  /** An append was running when the process died: it may have dropped what it had no time to tell. */
  private dropping = false

  private onLoss(lane: Lane, loss: FileQueue.Loss): void {
    if (countOf(loss) !== loss.lastSeq - loss.firstSeq + 1) {
      fail(`a loss of ${JSON.stringify(loss)} counts ${countOf(loss)}`)
    }
    if (loss.reason === "corrupt") return this.onDamage(lane, loss)
    this.seen.drops += 1
    for (let seq = loss.firstSeq; seq <= loss.lastSeq; seq++) {
      if (lane.lost.has(seq)) fail(`${seq} is lost twice`)
      if (lane.delivered.has(seq)) fail(`${seq} was delivered and is dropped`)
      const { send } = lane
      if (send !== undefined && seq >= send.first && seq <= send.last) fail(`H6: ${seq} is pinned and dropped`)
      lane.lost.set(seq, loss.reason)
    }
  }

  /** As much as was damaged. And of a batch that a loss of power tore, some may be left and some not: none was promised. */
  private onDamage(lane: Lane, { firstSeq, lastSeq }: FileQueue.Loss): void {
    for (let seq = firstSeq; seq <= lastSeq; seq++) {
      if (lane.promised.has(seq) && lane.lost.get(seq) !== "corrupt") {
        if (lane.flips === 0) fail(`nothing was damaged, but ${seq} is`)
        lane.flips -= 1
      }
      lane.lost.set(seq, "corrupt")
    }
  }

  /** Everything promised is here, in order, unless it was told as lost; nothing else is. */
  private readonly check = Effect.fnUntraced(function*(this: World, lane: Lane) {
    const queue = lane.open()
    const found = new Set<number>()
    let from = lane.acked
    // Not as the lane does it: without pins, so a copy of them is put back.
    for (;;) {
      const read = yield* Effect.exit(queue.read({ from, maxRecords: 7, maxBytes: 4096 }))
      if (Exit.isFailure(read)) return this.disk.dead ? undefined : fail(`cannot be read: ${read.cause.toString()}`)
      const some = read.value
      const last = some.at(-1)
      if (last === undefined) break
      for (const one of some) this.accept(lane, one, found)
      from = last.seq + 1
    }
    yield* queue.pin(lane.pinned)
    for (const seq of lane.promised.keys()) {
      if (seq >= lane.acked && !found.has(seq) && !lane.lost.has(seq)) {
        if (!this.dropping) fail(`${lane.topic}: ${seq} is gone without a word`)
        lane.lost.set(seq, "full")
      }
    }
    for (const seq of found) if (lane.lost.has(seq)) fail(`${seq} was told as lost, and is here`)
    const { ackedTo, records } = yield* queue.snapshot
    const here = Array.from(found).filter((seq) => seq >= ackedTo).length
    if (here !== records) fail(`${records} records by count, ${here} in fact`)
  })

  private accept(lane: Lane, one: FileQueue.QueuedRecord, found: Set<number>): void {
    const n = numberOf(one)
    const want = lane.promised.get(one.seq)
    if (want !== undefined && want !== n) fail(`${one.seq} holds ${n} instead of ${want}`)
    if (want === undefined && !lane.doubtful.has(n)) fail(`${n} was never handed over, or it is here twice`)
    if (found.has(one.seq)) fail(`${one.seq} comes twice`)
    for (const seq of found) if (seq > one.seq) fail(`${one.seq} comes after ${seq}`)
    found.add(one.seq)
  }

  /** What a process that died leaves, after the loss of power if there was one. */
  private readonly die: Effect.Effect<void> = Effect.gen(this, function*() {
    this.disk.dead = true
    if (this.scope !== undefined) yield* Scope.close(this.scope, Exit.void)
    this.scope = undefined
    this.disk.fault = this.shorten
    this.seen.crashes += 1
    if (this.power) this.disk.crashPower(this.choose)
    else this.disk.crashProcess()
    this.power = false
  })

  /** Now and then the kernel takes only a part of a write. */
  private readonly shorten = (operation: { readonly op: string; readonly bytes: number }) =>
    operation.op === "write" && operation.bytes > 1 && this.choose(8) === 0
      ? { short: 1 + this.choose(operation.bytes - 1) }
      : undefined

  readonly run = (command: Command): Effect.Effect<void> =>
    this.execute(command).pipe(
      Effect.andThen(Effect.suspend(() => this.disk.dead ? Effect.andThen(this.die, this.start) : Effect.void))
    )

  private readonly append = Effect.fnUntraced(function*(this: World, lane: Lane, count: number, size: number) {
    const first = this.counter
    this.counter += count
    const records = Array.from({ length: count }, (_, i) => record(first + i, size))
    for (let i = 0; i < count; i++) lane.doubtful.add(first + i)
    this.dropping = true
    const exit = yield* Effect.exit(lane.open().append(records))
    if (!this.disk.dead) this.dropping = false
    if (Exit.isFailure(exit)) {
      this.seen.failures += 1
      return
    }
    const { firstSeq, lastSeq } = exit.value
    if (lastSeq - firstSeq + 1 !== count) fail("not one number for each record")
    if (firstSeq <= lane.highest) fail(`${firstSeq} is given a second time`)
    lane.highest = lastSeq
    for (let i = 0; i < count; i++) {
      lane.promised.set(firstSeq + i, first + i)
      lane.doubtful.delete(first + i)
    }
  })

  private readonly booksWentFirst = Effect.suspend(() => {
    const books = this.lane(1)
    return Effect.map(books.open().snapshot, ({ ackedTo, records }) => {
      const pinned = books.pinned
      const spared = pinned === undefined ? 0 : Math.max(0, pinned.last - Math.max(pinned.first, ackedTo) + 1)
      if (records > spared) fail(`trades were dropped, and ${records} books are here`)
    })
  })

  private execute(command: Command): Effect.Effect<void> {
    switch (command._tag) {
      case "Append":
        return this.append(this.lane(command.lane), command.count, command.size)
      case "AppendTwice":
        return Effect.all([
          this.append(this.lane(command.lane), command.count, 5),
          this.append(this.lane(command.lane), 2, 50),
          this.append(this.lane(1 - command.lane), 1, 50)
        ], { concurrency: "unbounded", discard: true })
      case "Read":
        return this.read(this.lane(command.lane), command.count)
      case "ReadAhead":
        return Effect.suspend(() => {
          const lane = this.lane(command.lane)
          return lane.open().readAhead({ from: lane.next, maxRecords: command.count, maxBytes: 100_000 })
        })
      case "ReadBeside":
        return this.readBeside(this.lane(command.lane), command)
      case "Ack":
        return this.ack(this.lane(command.lane))
      case "Nack":
        return Effect.sync(() => {
          const lane = this.lane(command.lane)
          lane.next = lane.send?.first ?? lane.next
        })
      case "Persist":
        return this.persist(this.lane(command.lane))
      case "PersistBeside":
        return Effect.suspend(() => {
          const lane = this.lane(command.lane)
          this.disk.aside = { op: "rename", before: this.ack(lane), after: Effect.void }
          return this.persist(lane)
        }).pipe(
          Effect.andThen(Effect.sync(() => {
            this.disk.aside = undefined
          }))
        )
      case "Check":
        return this.check(this.lane(command.lane))
      case "Restart":
        return Effect.andThen(this.stop, this.start)
      case "Corrupt":
        return this.stop.pipe(
          Effect.andThen(Effect.sync(() => this.flip(this.lane(command.lane)))),
          Effect.andThen(this.start)
        )
      case "Crash":
        return Effect.sync(() => {
          this.power = command.power
          this.disk.dead = true
        })
      case "CrashIn":
        return Effect.sync(() => {
          let left = command.operations
          this.disk.fault = (operation) => {
            left -= 1
            if (left > 0) return this.shorten(operation)
            this.power = command.power
            this.disk.dead = true
            return "DEAD"
          }
        })
      case "FailSync":
        return Effect.sync(() => {
          let left = command.syncs
          this.disk.fault = (operation) => {
            if (operation.op !== "sync" && operation.op !== "datasync") return this.shorten(operation)
            left -= 1
            return left === 0 ? "EIO" : undefined
          }
        })
      case "Fill":
        return Effect.sync(() => {
          this.disk.capacity = this.disk.used() + command.bytes
        })
      case "Free":
        return Effect.sync(() => {
          this.disk.capacity = Infinity
        })
    }
  }

  private readonly stop = Effect.suspend(() => {
    this.seen.restarts += 1
    return this.scope === undefined ? Effect.void : Scope.close(this.scope, Exit.void)
  }).pipe(
    Effect.andThen(Effect.suspend(() => this.disk.dead ? this.die : Effect.void))
  )

  private flip(lane: Lane): void {
    const segments = this.disk.paths().filter((path) => path.includes(`/${lane.topic}/`) && path.endsWith(".seg"))
    const path = segments.slice(0, -1)[this.choose(segments.length - 1)]
    if (path === undefined) return
    const bytes = this.disk.get(path).slice()
    const at = this.choose(bytes.length)
    const bit = this.choose(8)
    const place = `${path}:${at}:${bit}`
    // A second flip of one bit is no damage, it mends: what was told as lost would be here again, and rightly so.
    if (this.flipped.has(place)) return
    this.flipped.add(place)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
    this.disk.put(path, bytes)
    lane.flips += 1
    this.seen.flips += 1
  }

  private readonly read = Effect.fnUntraced(function*(this: World, lane: Lane, count: number) {
    const queue = lane.open()
    // An unresolved send stays the only one; reading it again is what a failed send does.
    if (lane.send !== undefined && lane.next !== lane.send.first) return
    if (lane.send === undefined) {
      lane.pinned = { first: lane.next, last: lane.next + count - 1 }
      yield* queue.pin(lane.pinned)
    }
    // What comes beside the read need not be in it.
    const before = Array.from(lane.promised.keys())
    const exit = yield* Effect.exit(queue.read({ from: lane.next, maxRecords: count, maxBytes: 100_000 }))
    if (Exit.isFailure(exit)) return
    this.seen.reads += 1
    const found = new Set<number>()
    for (const one of exit.value) this.accept(lane, one, found)
    for (const seq of found) if (lane.lost.has(seq)) fail(`${seq} was told as lost, and is read`)
    const first = exit.value[0]
    const last = exit.value.at(-1)
    for (const seq of last === undefined ? before : lane.promised.keys()) {
      if (seq >= lane.next && seq <= (last?.seq ?? Infinity) && !found.has(seq) && !lane.lost.has(seq)) {
        fail(`${seq} was passed over`)
      }
    }
    if (first === undefined || last === undefined) return
    lane.send = { first: first.seq, last: last.seq }
    lane.pinned = lane.send
    lane.next = last.seq + 1
    yield* queue.pin(lane.pinned)
  })

  private readonly persist = (lane: Lane): Effect.Effect<void> =>
    Effect.map(Effect.exit(lane.open().persist), (exit) => {
      if (Exit.isSuccess(exit)) lane.durable = Math.max(lane.durable, exit.value)
    })

  private readonly readBeside = Effect.fnUntraced(function*(
    this: World,
    lane: Lane,
    { append, count, late }: Command & { readonly _tag: "ReadBeside" }
  ) {
    let beside: Fiber.Fiber<void> | undefined
    const begin = Effect.gen(this, function*() {
      this.seen.beside += 1
      // Whatever it does without waiting for the reader; the rest behind the read.
      beside = yield* Effect.forkDaemon(this.append(lane, append, 30))
      for (let turns = 0; turns < 20; turns++) yield* Effect.yieldNow()
    })
    this.disk.aside = late
      ? { op: "read", before: Effect.void, after: begin }
      : { op: "read", before: begin, after: Effect.void }
    yield* this.read(lane, count)
    this.disk.aside = undefined
    if (beside !== undefined) yield* Fiber.join(beside)
  })

  private readonly ack = Effect.fnUntraced(function*(this: World, lane: Lane) {
    const { send } = lane
    if (send === undefined || lane.next !== send.last + 1) return
    for (let seq = send.first; seq <= send.last; seq++) if (!lane.lost.has(seq)) lane.delivered.add(seq)
    lane.send = undefined
    lane.pinned = undefined
    lane.acked = lane.next
    lane.ackedEver = Math.max(lane.ackedEver, lane.next)
    yield* lane.open().pin(undefined)
    yield* lane.open().ack(lane.next)
  })

  /** At the end, on a healthy disk, after a restart: everything is accounted for, and the queue takes more. */
  readonly finish: Effect.Effect<void> = Effect.gen(this, function*() {
    this.disk.capacity = Infinity
    this.disk.fault = () => undefined
    yield* this.execute({ _tag: "Restart" })
    for (const [index, lane] of this.lanes.entries()) {
      yield* this.check(lane)
      const before = lane.highest
      yield* this.append(lane, 1, 10)
      if (lane.highest <= before) fail("takes nothing more")
      yield* this.check(lane)
      for (;;) {
        const held = lane.next
        yield* this.read(lane, 50)
        if (lane.send === undefined || lane.next === held) break
        yield* this.ack(lane)
      }
      yield* this.execute({ _tag: "Persist", lane: index })
      const { records } = yield* lane.open().snapshot
      if (records !== 0) fail(`${records} records do not leave`)
    }
    if (this.scope !== undefined) yield* Scope.close(this.scope, Exit.void)
    if (this.disk.open !== 0) fail(`${this.disk.open} files are open`)
  })
}
