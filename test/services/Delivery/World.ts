/**
 * Everything around the hand-over machine, as plain data: a queue, a broker, one process that may die. Knows what happened to
 * every record and complains at once when a rule of docs/design/delivery.md "The hand-over" is broken.
 */
import * as Handover from "../../../src/services/Delivery/Handover.ts"
import { type EventRecord, sizeOf } from "../../../src/services/MarketEvent.ts"
import * as Rounds from "../../../src/services/producers/Kafkajs/Rounds.ts"
import * as Time from "../../../src/services/Time.ts"

interface Durable {
  readonly seq: number
  readonly record: EventRecord
}

type Place = "in_flight" | "queued" | "delivered" | "dropped" | "dead_lettered" | "lost"

const idOf = (record: EventRecord): string => record.headers["id"] ?? ""

const fail = (message: string): never => {
  throw new Error(message)
}

export class World {
  now = 1_000_000
  state: Handover.State
  readonly options: Handover.Options
  /** What is on disk. */
  disk: Array<Durable> = []
  cursor = 1
  nextSeq = 1
  pinned: { readonly first: number; readonly last: number } | undefined
  /** What Kafka has, in its order. */
  readonly log: Array<string> = []
  readonly places = new Map<string, Place>()
  readonly offered: Array<EventRecord> = []
  readonly deadLetters: Array<string> = []
  /** Commands that wait for their answer. */
  send: ReadonlyArray<EventRecord> | undefined
  /** As the machine asked for it with that send. */
  fit = Infinity
  /** `max.message.bytes` of the topic: what one partition takes in one request. */
  limit = Infinity
  /** Requests that it refused. */
  refusals = 0
  append: ReadonlyArray<EventRecord> | undefined
  read: ReadonlyArray<EventRecord & { readonly seq: number }> | undefined
  persist = false
  deadLetter: { readonly record: EventRecord } | undefined
  tripped = false
  /** The broker's limit was raised: it takes what it refused before (how an outage by the fuse of H5 ends). */
  tolerant = false
  /** Requests that Kafka got but has not executed: a thawed broker may do so at any time. */
  readonly late: Array<ReadonlyArray<EventRecord>> = []
  /** Of requests that were out when the process died: nobody knows of them any more. */
  readonly orphaned = new Set<string>()
  acknowledgedAt: number
  settled = new Set<string>()
  /** Offered in this life and perhaps in memory only, with the time of the offer: a queue, of which what left memory is taken off lazily. */
  private memory: Array<{ readonly id: string; readonly at: number }> = []

  constructor(options: Handover.Options) {
    this.options = options
    this.acknowledgedAt = this.cursor
    this.state = Handover.initial(options, { next: 1, tail: 1 }, Time.instant(this.now))
  }

  input(input: Handover.Input): void {
    const [commands, state] = Handover.step(this.state, input, Time.instant(this.now))
    this.state = state
    for (const command of commands) this.execute(command)
    this.judgeAge()
  }

  /**
   * H3: what a kill -9 takes is at most so old, whatever comes meanwhile: either it is being written, or the machine asks to be woken in
   * time. Not where the disk takes nothing (H7).
   */
  private judgeAge(): void {
    while (this.memory.length > 0 && this.places.get(this.memory[0]?.id ?? "") !== "in_flight") this.memory.shift()
    const [oldest] = this.memory
    if (oldest === undefined || this.append !== undefined || this.state.disk === "failed") return
    const { spillAfter } = this.options
    if (this.now - oldest.at >= spillAfter) fail(`H3: ${oldest.id} is in memory only for ${this.now - oldest.at} ms`)
    const now = Time.instant(this.now)
    const wanted = Handover.deadline(this.state, now)
    const tooLate = Time.plus(now, oldest.at + spillAfter - this.now)
    if (wanted === undefined || Time.between(tooLate, wanted) > 0) fail(`H3: nobody wakes the machine for ${oldest.id}`)
  }

  private execute(command: Handover.Command): void {
    switch (command._tag) {
      case "Send": {
        if (this.send !== undefined) fail("H1: a second unresolved send")
        if (command.records.length === 0) fail("an empty send")
        if (command.records.length > this.options.maxBatchRecords) fail("H1: too many records in a send")
        this.send = command.records
        this.fit = command.fit
        return
      }
      case "Append": {
        if (this.append !== undefined) fail("a second append")
        if (command.records.length === 0) fail("an empty append")
        this.append = command.records
        return
      }
      case "Read":
        if (this.read !== undefined) fail("a second read")
        // What it will answer is read now: a drop may come between.
        this.read = this.disk.filter(({ seq }) => seq >= command.from).slice(0, command.maxRecords)
          .map(({ record, seq }) => ({ ...record, seq }))
        return
      case "Ack":
        if (command.nextSeq < this.acknowledgedAt) fail("the cursor goes back")
        this.acknowledgedAt = command.nextSeq
        for (const { record, seq } of this.disk) {
          if (seq < command.nextSeq && this.places.get(idOf(record)) === "queued") {
            fail(`acknowledged without delivery: ${idOf(record)}`)
          }
        }
        return
      case "Pin":
        this.pinned = command.range
        return
      case "Persist":
        if (this.persist) fail("a second persist")
        this.persist = true
        return
      case "DeadLetter":
        if (this.deadLetter !== undefined) fail("a second dead letter")
        this.deadLetter = command
        return
      case "Trip":
        this.tripped = true
        return
      case "Settle":
        for (const record of command.records) {
          if (this.settled.has(idOf(record))) fail(`settled twice: ${idOf(record)}`)
          this.settled.add(idOf(record))
        }
        return
      case "Account":
        for (const record of command.records) {
          const id = idOf(record)
          const place = this.places.get(id)
          if (place !== command.from) fail(`${id} moves from ${command.from} to ${command.to} but is ${place}`)
          this.places.set(id, command.to)
          if (command.to === "delivered" && !this.log.includes(id)) fail(`${id} counted as delivered, not in the log`)
        }
        return
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // what the outside does

  offer(records: ReadonlyArray<EventRecord>): void {
    if (this.state.stopping !== "no") return
    this.offered.push(...records)
    for (const record of records) {
      this.places.set(idOf(record), "in_flight")
      this.memory.push({ id: idOf(record), at: this.now })
    }
    this.input({ _tag: "Offer", records })
  }

  answerSend(outcome: "ok" | "refused" | "written" | "later"): void {
    const records = this.send
    if (records === undefined) return
    this.send = undefined
    if (outcome !== "refused" && !this.tolerant) {
      for (const round of Rounds.of(records, this.fit, partitionOfKey)) {
        const refusing = this.refusing(round)
        // Such a partition takes nothing, the others are written (docs/design/kafkajs.md "A refused record takes its partition's batch along").
        if (refusing.size > 0 || outcome === "ok") {
          this.write(round.filter((record) => !refusing.has(partitionOf(record))))
        }
        if (refusing.size === 0) continue
        this.refusals += 1
        return this.input({ _tag: "SendRejected", reason: "MESSAGE_TOO_LARGE", partitions: records.map(partitionOf) })
      }
    } else if (outcome === "ok") this.write(records)
    if (outcome === "ok") return this.input({ _tag: "Sent" })
    if (outcome === "written") this.write(records)
    if (outcome === "later") this.late.push(records)
    this.input({ _tag: "SendFailed" })
  }

  private refusing(round: ReadonlyArray<EventRecord>): ReadonlySet<number> {
    const bytes = new Map<number, number>()
    for (const record of round) {
      const partition = partitionOf(record)
      bytes.set(partition, isPoison(record) ? Infinity : (bytes.get(partition) ?? 0) + sizeOf(record))
    }
    return new Set(
      [...bytes].filter(([, size]) => size > this.limit || size === Infinity).map(([partition]) => partition)
    )
  }

  thaw(): void {
    const records = this.late.shift()
    if (records !== undefined) this.write(records)
  }

  private write(records: ReadonlyArray<EventRecord>): void {
    for (const record of records) {
      if (this.places.get(idOf(record)) === "dropped" && !this.orphaned.has(idOf(record))) {
        fail(`H6: ${idOf(record)} dropped and delivered`)
      }
      this.log.push(idOf(record))
    }
  }

  /** `refused`: the budget is spent; a queue that drops its oldest never says so. */
  answerAppend(outcome: "ok" | "failed" | "refused"): void {
    const records = this.append
    if (records === undefined) return
    this.append = undefined
    if (outcome !== "ok") {
      const refused = outcome === "refused" && this.options.fullPolicy !== "drop_oldest"
      return this.input({ _tag: "AppendFailed", refused })
    }
    const firstSeq = this.nextSeq
    for (const record of records) {
      this.disk.push({ seq: this.nextSeq, record })
      this.nextSeq += 1
    }
    this.input({ _tag: "Appended", firstSeq, lastSeq: this.nextSeq - 1 })
  }

  answerRead(outcome: "ok" | "failed"): void {
    const records = this.read
    if (records === undefined) return
    this.read = undefined
    if (outcome === "failed") return this.input({ _tag: "ReadFailed" })
    this.input({ _tag: "Read", records })
  }

  answerPersist(outcome: "ok" | "failed"): void {
    if (!this.persist) return
    this.persist = false
    if (outcome === "failed") return this.input({ _tag: "PersistFailed" })
    this.cursor = Math.max(this.cursor, this.acknowledgedAt)
    this.disk = this.disk.filter(({ seq }) => seq >= this.cursor)
    this.input({ _tag: "Persisted", position: this.cursor })
  }

  answerDeadLetter(outcome: "ok" | "failed"): void {
    const letter = this.deadLetter
    if (letter === undefined) return
    this.deadLetter = undefined
    if (outcome === "failed") return this.input({ _tag: "DeadLetterFailed" })
    if (!isPoison(letter.record)) fail(`H5: ${idOf(letter.record)} is no poison`)
    this.deadLetters.push(idOf(letter.record))
    this.input({ _tag: "DeadLettered" })
  }

  gate(open: boolean): void {
    this.input({ _tag: open ? "GateOpened" : "GateClosed" })
  }

  /** `drop_oldest`: the older half of what is on disk goes, but for the pinned. */
  drop(): void {
    const live = this.disk.filter(({ seq }) => seq >= this.acknowledgedAt)
    const { pinned } = this
    const victims = live.slice(0, Math.ceil(live.length / 2))
      .filter(({ seq }) => pinned === undefined || seq < pinned.first || seq > pinned.last)
    const [first] = victims
    const last = victims.at(-1)
    if (first === undefined || last === undefined) return
    const gone = new Set(victims.map(({ seq }) => seq))
    this.disk = this.disk.filter(({ seq }) => !gone.has(seq))
    for (const { record } of victims) {
      if (this.places.get(idOf(record)) !== "queued") {
        fail(`dropped from the queue but ${this.places.get(idOf(record))}`)
      }
      this.places.set(idOf(record), "dropped")
    }
    this.input({ _tag: "Lost", firstSeq: first.seq, lastSeq: last.seq })
  }

  pass(ms: number): void {
    this.now += ms
    this.input({ _tag: "Tick" })
  }

  /** kill -9 and start again. What was neither acknowledged nor durable is gone: the loss that fallback mode admits. */
  crash(): void {
    const onDisk = new Set(this.disk.map(({ record }) => idOf(record)))
    for (const [id, place] of this.places) {
      if (place === "in_flight") {
        this.places.set(id, onDisk.has(id) ? "queued" : this.log.includes(id) ? "delivered" : "lost")
      }
      // Delivered, but the cursor was not durable: it will be delivered again.
      if (place === "delivered" && onDisk.has(id)) this.places.set(id, "queued")
      if (place === "dead_lettered" && onDisk.has(id)) this.places.set(id, "queued")
    }
    if (this.send !== undefined && !this.send.some(isPoison)) this.late.push(this.send)
    for (const { headers } of [...this.late.flat(), ...(this.send ?? [])]) this.orphaned.add(headers["id"] ?? "")
    this.send = undefined
    this.append = undefined
    this.memory = []
    this.read = undefined
    this.persist = false
    this.deadLetter = undefined
    this.pinned = undefined
    this.acknowledgedAt = this.cursor
    const repeated = this.disk.filter(({ record }) => this.log.includes(idOf(record))).length
    const bound = this.options.cursorEvery + 2 * this.options.maxBatchRecords
    if (this.crashBound && repeated > bound) fail(`a crash repeats ${repeated} records, more than ${bound}`)
    this.settled = new Set([...this.settled].filter((id) => !onDisk.has(id)))
    for (const id of onDisk) this.settled.add(id)
    this.state = Handover.initial(this.options, { next: this.cursor, tail: this.nextSeq }, Time.instant(this.now))
  }

  /** Off where requests were lost after the append on purpose: those repeat whatever the cursor does. */
  crashBound = true

  /** Everything works again, until nothing is left to do. */
  heal(): void {
    for (let round = 0; round < 10_000; round++) {
      if (
        Handover.isSettled(this.state) && this.state.next >= this.state.tail && this.state.durable >= this.state.acked
      ) return
      if (this.tripped) this.tolerant = true
      this.gate(true)
      this.answerDeadLetter("ok")
      this.answerSend("ok")
      this.answerAppend("ok")
      this.answerRead("ok")
      this.answerPersist("ok")
      this.pass(1000)
    }
    fail(
      `does not come to rest: ${
        JSON.stringify({ ...this.state, buffer: this.state.bufferRecords, hot: this.state.hot.length })
      }`
    )
  }

  /** The rules that can be judged at the end. */
  verify(): void {
    for (const record of this.offered) {
      const id = idOf(record)
      const place = this.places.get(id)
      const inLog = this.log.includes(id)
      if (place === "delivered" && !inLog) fail(`${id} is lost`)
      if (place === "dead_lettered" && !isPoison(record)) fail(`${id} dead-lettered for nothing`)
      if (place === "in_flight" || place === "queued") fail(`${id} still ${place} at rest`)
    }
    const position = new Map(this.offered.map((record, index) => [idOf(record), index]))
    const keyOf = new Map(this.offered.map((record) => [idOf(record), record.key]))
    const highest = new Map<string, number>()
    const seen = new Set<string>()
    for (const id of this.log) {
      if (seen.has(id)) continue
      seen.add(id)
      const key = keyOf.get(id) ?? fail(`${id} was never offered`)
      const at = position.get(id) ?? -1
      // Lost with the process, but the broker had the request and executed it later: nobody is left to keep its order.
      const place = this.places.get(id)
      if (place === "lost" || (place === "dropped" && this.orphaned.has(id))) continue
      if (at < (highest.get(key) ?? -1)) fail(`order: ${id} first delivered behind a newer record of ${key}`)
      highest.set(key, at)
    }
  }
}

const isPoison = (record: EventRecord): boolean => record.headers["poison"] === "1"

const partitionOfKey = (key: string): number => key.charCodeAt(key.length - 1) % 3

const partitionOf = (record: EventRecord): number => partitionOfKey(record.key)

let counter = 0
export const record = (key: number, poison = false, size = 10): EventRecord => ({
  key: `x:${String.fromCharCode(65 + key)}`,
  value: "v".repeat(size),
  headers: { id: `${counter++}`, ...(poison ? { poison: "1" } : {}) },
  timestamp: 0
})
