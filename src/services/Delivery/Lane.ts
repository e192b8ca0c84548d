/**
 * The fiber of one lane (docs/design/delivery.md H1): it alone owns the hand-over machine, feeds it what happens, and does what it says.
 * Sends, appends and reads run beside it and come back as inputs; the machine allows one of each.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Checkpoint } from "../Checkpoint.ts"
import type { CircuitBreaker } from "../CircuitBreaker.ts"
import * as Complaint from "../Complaint.ts"
import type { DeadLetters } from "../DeadLetters.ts"
import { FileQueueError, type Loss, type Queue as DiskQueue, type QueueSnapshot } from "../FileQueue.ts"
import * as Instruments from "../Instruments.ts"
import type * as Ledger from "../Ledger.ts"
import { type EventRecord, type LaneName } from "../MarketEvent.ts"
import type { LaneProducer } from "../Producer.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import * as Time from "../Time.ts"
import * as Bookkeeping from "./Bookkeeping.ts"
import * as Handover from "./Handover.ts"
import * as Sender from "./Sender.ts"

/** A record larger than this is a dead letter at once: neither the queue nor a broker's usual limit takes it. */
const maxRecordBytes = 1024 * 1024

const isLarge = ({ value }: EventRecord): boolean => value.length > maxRecordBytes - 4096

/** A queue writer that is stuck for longer ends the process: a supervisor restarts it (docs/design/contract.md "Health"). */
const stuckAfter = 60_000

const safeAfter = "5 seconds"

export interface Options {
  readonly name: LaneName
  readonly topic: string
  readonly handover: Handover.Options
  /** Between attempts on a Kafka that fails; its breaker comes on top. */
  readonly retry: RetryPolicy.Options
}

export interface Parts {
  readonly queue: DiskQueue
  /** Built with the lane's own reaction to a request timeout. */
  readonly producer: (onRequestTimeout: Sender.OnRequestTimeout) => Effect.Effect<LaneProducer, never, Scope.Scope>
  readonly breaker: CircuitBreaker
  readonly deadLetters: DeadLetters["Type"]
  readonly ledger: Ledger.Shape
  /** Records are gone for good, and what was delivered since shows that somebody can be told. */
  readonly onDropped: (queueId: string, losses: ReadonlyArray<Bookkeeping.Dropped>) => Effect.Effect<void>
  /** `settle` of the trade lane only, which resolves too; `resolve` of all. */
  readonly checkpoint: Pick<Checkpoint["Type"], "resolve"> & Partial<Pick<Checkpoint["Type"], "settle">>
}

export interface LaneStatus {
  readonly name: LaneName
  readonly topic: string
  readonly mode: "straight" | "spooling" | "draining"
  readonly waitingRecords: number
  readonly waitingBytes: number
  readonly sending: number
  readonly queue: QueueSnapshot
  readonly kafka: Sender.Status
  /** How long Kafka has owed the answer to the send that is out, ms; null while none is. */
  readonly awaited: number | null
  readonly disk: { readonly failedAt: Time.Moment | null; readonly message: string | null }
  /** Until when offers were last held for over five seconds, or records dropped. */
  readonly refusedAt: Time.Instant | null
}

export interface Lane {
  readonly offer: (records: ReadonlyArray<EventRecord>) => Effect.Effect<void>
  readonly status: Effect.Effect<LaneStatus>
  /** H8. True if everything is durable or delivered. */
  readonly stop: (timeout: Duration.Duration) => Effect.Effect<boolean>
  /** Fails with what ended the lane's fiber; otherwise never returns. */
  readonly ended: Effect.Effect<never>
  /** What the queue lost by itself. */
  readonly onLoss: (loss: Loss) => Effect.Effect<void>
}

export const make = Effect.fnUntraced(function*(
  options: Options,
  open: (onLoss: (loss: Loss) => Effect.Effect<void>) => Effect.Effect<DiskQueue, FileQueueError, Scope.Scope>,
  parts: Omit<Parts, "queue">
): Effect.fn.Return<Lane, FileQueueError, Scope.Scope> {
  const { breaker, checkpoint, deadLetters, ledger } = parts
  const scope = yield* Effect.scope
  const clock = yield* Effect.clock
  const inbox = yield* Queue.unbounded<Handover.Input>()
  const room = yield* Effect.makeLatch(true)
  const ended = yield* Deferred.make<never>()
  const now = () => Time.instantOf(clock)
  const tell = (input: Handover.Input) => Queue.offer(inbox, input)

  const disk: { failedAt: Time.Moment | null; message: string | null } = { failedAt: null, message: null }
  let inboxBytes = 0
  let heldSince: Time.Instant | undefined
  let refusedAt: Time.Instant | null = null
  /** When the machine will be told of the time, all still to come. */
  const alarms = new Set<Time.Instant>()
  const waiting: Array<{ readonly until: (state: Handover.State) => boolean; readonly done: Deferred.Deferred<void> }> =
    []

  const bookkeeping = Bookkeeping.make(ledger, options.name, () => {
    refusedAt = now()
  })

  // May be told while the queue opens, before there is a machine to tell.
  const onLoss = (loss: Loss) =>
    Effect.suspend(() => {
      bookkeeping.lost(loss)
      return tell({ _tag: "Lost", firstSeq: loss.firstSeq, lastSeq: loss.lastSeq })
    }).pipe(Effect.andThen(
      Effect.logWarning("records lost from the queue").pipe(
        Effect.annotateLogs({ topic: options.topic, reason: loss.reason, first: loss.firstSeq, last: loss.lastSeq })
      )
    ))
  const queue = yield* open(onLoss)
  const found = yield* queue.snapshot
  bookkeeping.openedAt(found.nextSeq)
  let state = Handover.initial(options.handover, { next: found.ackedTo, tail: found.nextSeq }, now())

  // -------------------------------------------------------------------------------------------------------------------
  // Kafka

  const kafka = yield* Sender.make({
    topic: options.topic,
    retry: options.retry,
    breaker,
    producer: parts.producer,
    clock,
    tell
  })

  // -------------------------------------------------------------------------------------------------------------------
  // disk

  const queueErrors = Instruments.queueErrors(
    yield* Instruments.Instruments,
    options.topic,
    FileQueueError.fields.reason.literals
  )

  const complaint = Complaint.make()

  const onDiskFailure = (input: Handover.Input) => (error: { readonly message: string; readonly reason?: string }) =>
    complaint.tell("the queue cannot be written or read", { topic: options.topic, error: error.message }).pipe(
      Effect.andThen(Effect.suspend(() => {
        queueErrors(error.reason ?? "dead_letter").add(1)
        disk.failedAt = Time.momentOf(clock)
        disk.message = error.message
        return tell(input)
      }))
    )

  const onDiskSuccess = (input: Handover.Input) =>
    Effect.suspend(() => {
      disk.message = null
      return input._tag === "Appended"
        ? Effect.andThen(complaint.over("the queue takes records again", { topic: options.topic }), tell(input))
        : tell(input)
    })

  const append = (records: ReadonlyArray<EventRecord>) =>
    queue.append(records).pipe(
      Effect.withSpan(`${options.topic} spill`, Sender.spanOf(options.topic, "spill", records)),
      Effect.matchEffect({
        onFailure: (error) => onDiskFailure({ _tag: "AppendFailed", refused: error.reason === "refused" })(error),
        onSuccess: (range) => onDiskSuccess({ _tag: "Appended", ...range })
      })
    )

  const read = (command: { readonly from: number; readonly maxRecords: number; readonly maxBytes: number }) =>
    queue.read(command).pipe(Effect.matchEffect({
      onFailure: onDiskFailure({ _tag: "ReadFailed" }),
      onSuccess: (records) => {
        // In place, as they are ours (`Queue.read`): copying each took 3 % of a drain's time.
        for (const { headers } of records) Object.assign(headers, { spooled: "1" })
        return tell({ _tag: "Read", records }).pipe(
          // While these are on their way: a drain is to wait for Kafka, not for the disk.
          Effect.andThen(queue.readAhead({ ...command, from: (records.at(-1)?.seq ?? command.from) + 1 }))
        )
      }
    }))

  const persist = queue.persist.pipe(Effect.matchEffect({
    onFailure: onDiskFailure({ _tag: "PersistFailed" }),
    onSuccess: (position) => tell({ _tag: "Persisted", position })
  }))

  const deadLetter = (command: { readonly record: EventRecord; readonly seq: number; readonly reason: string }) =>
    deadLetters.record({ topic: options.topic, ...command }).pipe(
      Effect.matchEffect({
        onFailure: onDiskFailure({ _tag: "DeadLetterFailed" }),
        onSuccess: () => tell({ _tag: "DeadLettered" })
      })
    )

  // -------------------------------------------------------------------------------------------------------------------
  // bookkeeping

  /** `dropped` events, once Kafka takes records again: they are not to claim room in a queue that has none (H6). */
  const tellDropped = Effect.fnUntraced(function*(losses: ReadonlyArray<Bookkeeping.Dropped>) {
    yield* parts.onDropped(queue.id, losses)
    // By then they are durable or delivered (H3).
    yield* queue.forgetTold.pipe(
      Effect.catchTag("FileQueueError", (error) =>
        Effect.logWarning("dropped records will be told of once more").pipe(
          Effect.annotateLogs({ topic: options.topic, error: error.message })
        )),
      Effect.delay(safeAfter),
      Effect.forkIn(scope)
    )
  })

  const execute = (command: Handover.Command): Effect.Effect<unknown> => {
    switch (command._tag) {
      case "Send":
        return beside(kafka.send(command.records, command.fit))
      case "Append":
        return beside(append(command.records))
      case "Read":
        return beside(read(command))
      case "Persist":
        return beside(persist)
      case "DeadLetter":
        return beside(deadLetter(command))
      case "Ack":
        return queue.ack(command.nextSeq)
      case "Pin":
        return queue.pin(command.range)
      case "Trip":
        return kafka.trip
      case "Account":
        bookkeeping.account(command)
        // Lost and counted: a hole must not wait for ever for it to be delivered.
        return command.to === "dropped" ? checkpoint.resolve(command.records) : Effect.void
      case "Settle":
        return checkpoint.settle?.(command.records, command.seq) ?? checkpoint.resolve(command.records)
    }
  }

  /** Work beside the lane; a defect in it ends the lane. */
  const beside = (work: Effect.Effect<unknown>) => work.pipe(Effect.onError(end), Effect.forkIn(scope))

  const end = (cause: Cause.Cause<unknown>) =>
    Cause.isInterruptedOnly(cause) ? Effect.void : Deferred.failCause(ended, Cause.die(Cause.squash(cause)))

  // -------------------------------------------------------------------------------------------------------------------
  // the loop

  const arm = Effect.suspend(() => {
    const current = now()
    const stuckAt = state.append === undefined ? [] : [Time.plus(state.append.startedAt, stuckAfter)]
    if (stuckAt.some((at) => Time.between(at, current) >= 0)) {
      return Effect.dieMessage(`the queue of ${options.topic} took no write for ${stuckAfter} ms`)
    }
    const due = Time.earliest(Handover.deadline(state, current), ...stuckAt)
    if (due === undefined) return Effect.void
    // Whichever comes first looks again. All of them count: with each send the next linger comes before the second after which a head is
    // spilled, and a lane that forgot the later alarm and made it anew had one for each send of the last second, and woke for each.
    for (const alarm of alarms) if (Time.between(alarm, due) >= 0) return Effect.void
    alarms.add(due)
    return Effect.sleep(Duration.millis(Math.max(1, Time.between(current, due)))).pipe(
      Effect.andThen(Effect.suspend(() => {
        alarms.delete(due)
        return tell({ _tag: "Tick" })
      })),
      Effect.forkIn(scope)
    )
  })

  const isHeldTooLong = () => heldSince !== undefined && Time.between(heldSince, now()) >= options.handover.holdFor

  /** Back-pressure: the latch closes when neither Kafka nor the disk takes what waits (docs/design/laws.md "Keep reading, then spill, then pause"). */
  const guardRoom = Effect.suspend(() => {
    if (Handover.hasRoom(state) && inboxBytes < options.handover.spillBytes) {
      if (isHeldTooLong()) refusedAt = now()
      heldSince = undefined
      return room.open
    }
    heldSince ??= now()
    return room.close
  })

  const turn = Effect.gen(function*() {
    const inputs = yield* Queue.takeBetween(inbox, 1, 4096)
    for (const input of inputs) {
      if (input._tag === "Offer") inboxBytes -= input.bytes ?? Handover.bytesOf(input.records)
      const [commands, next] = Handover.step(state, input, now())
      state = next
      for (const command of commands) yield* execute(command)
      if (input._tag === "Sent") {
        const losses = yield* bookkeeping.untold(queue, state.acked)
        // Beside: the status lane may be full, and may be this one, which would wait for itself.
        if (losses.length > 0) yield* beside(tellDropped(losses))
      }
    }
    yield* guardRoom
    yield* arm
    for (let i = waiting.length - 1; i >= 0; i--) {
      const one = waiting[i]
      if (one !== undefined && one.until(state)) {
        waiting.splice(i, 1)
        yield* Deferred.succeed(one.done, undefined)
      }
    }
  })

  yield* Effect.forever(turn).pipe(
    Effect.onExit((exit) => Exit.isFailure(exit) ? end(exit.cause) : Effect.void),
    Effect.forkIn(scope)
  )
  yield* tell({ _tag: "Tick" })

  const reach = (until: (state: Handover.State) => boolean) =>
    Deferred.make<void>().pipe(
      Effect.tap((done) => {
        waiting.push({ until, done })
        return tell({ _tag: "Tick" })
      }),
      Effect.andThen(Deferred.await),
      // The stop runs where nothing may be interrupted: a time limit must be able to.
      Effect.interruptible
    )

  const offerParcel = (records: ReadonlyArray<EventRecord>, bytes: number): Effect.Effect<void> =>
    room.await.pipe(Effect.andThen(Effect.suspend(() => {
      inboxBytes += bytes
      if (inboxBytes >= options.handover.spillBytes) room.unsafeClose()
      return tell({ _tag: "Offer", records, bytes })
    })))

  /** In parcels that a small queue takes. */
  const offer = (records: ReadonlyArray<EventRecord>): Effect.Effect<void> => {
    const bytes = Handover.bytesOf(records)
    if (records.length < 2 || bytes <= options.handover.spillBytes / 4) return offerParcel(records, bytes)
    const half = records.length >> 1
    return Effect.andThen(offer(records.slice(0, half)), offer(records.slice(half)))
  }

  const oversize = (record: EventRecord) =>
    deadLetters.record({ topic: options.topic, reason: "too_large", record }).pipe(
      Effect.retry(RetryPolicy.forever(options.retry)),
      // Unreachable: the schedule has no end.
      Effect.catchTag("DeadLetterError", (error) => Effect.die(error)),
      Effect.andThen(Effect.suspend(() => {
        bookkeeping.oversize(record)
        return checkpoint.resolve([record])
      }))
    )

  return {
    offer: (records) => {
      if (!records.some(isLarge)) return offer(records)
      const large = records.filter(isLarge)
      return Effect.forEach(large, oversize).pipe(
        Effect.andThen(offer(records.filter((record) => !large.includes(record))))
      )
    },
    status: Effect.map(queue.snapshot, (snapshot): LaneStatus => ({
      name: options.name,
      topic: options.topic,
      mode: Handover.mode(state),
      waitingRecords: state.bufferRecords,
      waitingBytes: state.bufferBytes + inboxBytes,
      sending: state.send?.records.length ?? 0,
      queue: snapshot,
      kafka: kafka.status(),
      awaited: state.send === undefined ? null : Time.between(state.send.at, now()),
      disk: { ...disk },
      refusedAt: isHeldTooLong() ? now() : refusedAt
    })),
    stop: Effect.fnUntraced(function*(timeout) {
      yield* tell({ _tag: "Stop" })
      // Most of the time for the head's answer, the rest for the disk.
      const settled = yield* reach(Handover.isSettled).pipe(Effect.timeoutOption(Duration.times(timeout, 0.6)))
      if (settled._tag === "Some") return true
      yield* tell({ _tag: "StopNow" })
      const durable = yield* reach(Handover.isDurable).pipe(Effect.timeoutOption(Duration.times(timeout, 0.4)))
      return durable._tag === "Some"
    }),
    ended: Deferred.await(ended),
    onLoss
  }
})
