/**
 * The fiber of one lane (DELIVERY.md H1): it alone owns the hand-over machine, feeds it what happens, and does what it says.
 * Sends, appends and reads run beside it and come back as inputs; the machine allows one of each.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Checkpoint } from "../Checkpoint.ts"
import type { CircuitBreaker } from "../CircuitBreaker.ts"
import type { DeadLetters } from "../DeadLetters.ts"
import type { FileQueueError, Loss, Queue as DiskQueue, QueueSnapshot } from "../FileQueue.ts"
import type { KafkaRejected, KafkaUnavailable, LaneProducer } from "../KafkaProducer.ts"
import type * as Ledger from "../Ledger.ts"
import { type EventRecord, exchangeOf, type LaneName, sizeOf } from "../MarketEvent.ts"
import * as Metrics from "../Metrics.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import * as Handover from "./Handover.ts"
import * as Lag from "./Lag.ts"

/** A record larger than this is a dead letter at once: neither the queue nor a broker's usual limit takes it. */
const maxRecordBytes = 1024 * 1024

/** A queue writer that is stuck for longer ends the process: a supervisor restarts it (contract section 6). */
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
  readonly producer: (onRequestTimeout: Effect.Effect<void>) => Effect.Effect<LaneProducer, never, Scope.Scope>
  readonly breaker: CircuitBreaker
  readonly deadLetters: DeadLetters["Type"]
  readonly ledger: Ledger.Shape
  /** Records are gone for good, and what was delivered since shows that somebody can be told. */
  readonly onDropped: (queueId: string, losses: ReadonlyArray<Dropped>) => Effect.Effect<void>
  /** Of the trade lane only. */
  readonly checkpoint: Checkpoint["Type"] | undefined
}

/** Without sequence numbers: dropped from memory, before any queue had them. */
export type Dropped =
  & Pick<Loss, "byExchange" | "recovered" | "reason" | "from" | "to">
  & { readonly firstSeq: number | null; readonly lastSeq: number | null }

export interface LaneStatus {
  readonly name: LaneName
  readonly topic: string
  readonly mode: "straight" | "spooling" | "draining"
  readonly waitingRecords: number
  readonly waitingBytes: number
  readonly sending: number
  readonly queue: QueueSnapshot
  readonly kafka: {
    /** Epoch ms of the last acknowledged send. */
    readonly ackedAt: number | null
    readonly failedAt: number | null
    /** One line, of the last failure; null after a success. */
    readonly message: string | null
  }
  readonly disk: { readonly failedAt: number | null; readonly message: string | null }
  /** Epoch ms until when offers were last held for over five seconds, or records dropped. */
  readonly refusedAt: number | null
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
  /** Monotonic: no jump of the wall clock ages a record. */
  const now = () => Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)
  const wall = () => clock.unsafeCurrentTimeMillis()
  const tell = (input: Handover.Input) => Queue.offer(inbox, input)

  const kafka: { ackedAt: number | null; failedAt: number | null; message: string | null } = {
    ackedAt: null,
    failedAt: null,
    message: null
  }
  const disk: { failedAt: number | null; message: string | null } = { failedAt: null, message: null }
  let inboxBytes = 0
  let heldSince: number | undefined
  let refusedAt: number | null = null
  /** From memory, not told yet. */
  let shed: { readonly byExchange: Map<string, number>; from: number; to: number } | undefined
  let wakeAt = Infinity
  let reopening = false
  const waiting: Array<{ readonly until: (state: Handover.State) => boolean; readonly done: Deferred.Deferred<void> }> =
    []

  // Losses may be told while the queue opens, before there is a machine to tell.
  let liveFrom = Infinity
  const onLoss = (loss: Loss) =>
    Effect.suspend(() => {
      const lost = (exchange: string | undefined, count: number) =>
        ledger.move({ lane: options.name, exchange }, "queued", "dropped", count, loss.reason)
      for (const [exchange, count] of loss.byExchange) lost(exchange, count)
      lost(undefined, loss.recovered)
      if (loss.reason === "full") refusedAt = wall()
      return tell({ _tag: "Lost", firstSeq: loss.firstSeq, lastSeq: loss.lastSeq })
    }).pipe(Effect.andThen(
      Effect.logWarning("records lost from the queue").pipe(
        Effect.annotateLogs({ topic: options.topic, reason: loss.reason, first: loss.firstSeq, last: loss.lastSeq })
      )
    ))
  const queue = yield* open(onLoss)
  const found = yield* queue.snapshot
  liveFrom = found.nextSeq
  let state = Handover.initial(options.handover, { next: found.ackedTo, tail: found.nextSeq }, now())

  // -------------------------------------------------------------------------------------------------------------------
  // Kafka

  const lags = Lag.make()
  const sends = Metrics.kafkaSend(options.topic)
  const batches = Metrics.kafkaBatch(options.topic)
  const sendFailures = Metrics.kafkaFailures(options.topic)
  const queueErrors = Metrics.queueErrors(options.topic)
  const backoff = yield* Schedule.driver(RetryPolicy.forever(options.retry))

  /** After a failure: wait, then for the breaker, then let the machine try again. */
  const reopen = Effect.suspend(() => {
    if (reopening) return Effect.void
    reopening = true
    return backoff.next(undefined).pipe(
      Effect.catchTag("None", () => Effect.dieMessage("a schedule without end has ended")),
      Effect.andThen(breaker.awaitAdmittance),
      Effect.andThen(Effect.suspend(() => {
        reopening = false
        return tell({ _tag: "GateOpened" })
      })),
      Effect.forkIn(scope),
      Effect.asVoid
    )
  })

  const producer = yield* parts.producer(
    // H3: at once, without waiting for the send itself to fail.
    breaker.trip.pipe(Effect.andThen(tell({ _tag: "GateClosed" })), Effect.andThen(reopen))
  )

  const failed = (message: string) =>
    Effect.suspend(() => {
      kafka.failedAt = wall()
      kafka.message = message
      return tell({ _tag: "SendFailed" })
    }).pipe(Effect.andThen(reopen))

  const onUnavailable = (error: KafkaUnavailable) => failed(error.message)

  const onRejected = (records: ReadonlyArray<EventRecord>, error: KafkaRejected) =>
    Effect.forEach(records, (record) => producer.partitionOf(record.key)).pipe(
      Effect.andThen((partitions) =>
        tell({
          _tag: "SendRejected",
          reason: error.reason,
          partitions: partitions.map((partition) => partition ?? 0)
        })
      )
    )

  /** Of a batch, never of an event; names are OpenTelemetry's. */
  const spanOf = (records: ReadonlyArray<EventRecord>, kind: "producer" | "internal") => ({
    kind,
    root: true,
    captureStackTrace: false,
    attributes: {
      "messaging.system": "kafka",
      "messaging.operation.name": "send",
      "messaging.destination.name": options.topic,
      "messaging.batch.message_count": records.length
    }
  })

  const send = (records: ReadonlyArray<EventRecord>) =>
    breaker.admit.pipe(
      Effect.matchEffect({
        onFailure: () => tell({ _tag: "SendFailed" }).pipe(Effect.andThen(reopen)),
        onSuccess: (permit) => {
          const startedAt = wall()
          return producer.send(records).pipe(
            Effect.withSpan(`${options.topic} send`, spanOf(records, "producer")),
            Effect.onInterrupt(() => permit.release),
            Effect.matchEffect({
              onFailure: (error) => {
                sendFailures(error.reason).add(1)
                return error._tag === "KafkaRejected"
                  // An answer about a record, from a broker that works.
                  ? permit.succeed.pipe(Effect.andThen(onRejected(records, error)))
                  : permit.fail.pipe(Effect.andThen(onUnavailable(error)))
              },
              onSuccess: () =>
                permit.succeed.pipe(
                  Effect.andThen(Effect.suspend(() => {
                    const now = wall()
                    kafka.ackedAt = now
                    kafka.message = null
                    lags.acknowledged(records, now)
                    sends.observe(now - startedAt)
                    batches.observe(records.length)
                    return tell({ _tag: "Sent" })
                  })),
                  Effect.andThen(backoff.reset)
                )
            })
          )
        }
      })
    )

  // -------------------------------------------------------------------------------------------------------------------
  // disk

  const onDiskFailure = (input: Handover.Input) => (error: { readonly message: string; readonly reason?: string }) =>
    Effect.logWarning("the queue cannot be written or read").pipe(
      Effect.annotateLogs({ topic: options.topic, error: error.message }),
      Effect.andThen(Effect.suspend(() => {
        queueErrors(error.reason ?? "dead letter").add(1)
        disk.failedAt = wall()
        disk.message = error.message
        return tell(input)
      }))
    )

  const onDiskSuccess = (input: Handover.Input) =>
    Effect.suspend(() => {
      disk.message = null
      return tell(input)
    })

  const append = (records: ReadonlyArray<EventRecord>) =>
    queue.append(records).pipe(
      Effect.withSpan(`${options.topic} spill`, spanOf(records, "internal")),
      Effect.matchEffect({
        onFailure: (error) => onDiskFailure({ _tag: "AppendFailed", refused: error.reason === "refused" })(error),
        onSuccess: (range) => onDiskSuccess({ _tag: "Appended", ...range })
      })
    )

  const read = (command: { readonly from: number; readonly maxRecords: number; readonly maxBytes: number }) =>
    queue.read(command).pipe(Effect.matchEffect({
      onFailure: onDiskFailure({ _tag: "ReadFailed" }),
      onSuccess: (records) =>
        tell({
          _tag: "Read",
          records: records.map((record) => ({ ...record, headers: { ...record.headers, spooled: "1" } }))
        })
    }))

  const persist = queue.persist.pipe(Effect.matchEffect({
    onFailure: onDiskFailure({ _tag: "PersistFailed" }),
    onSuccess: (position) => tell({ _tag: "Persisted", position })
  }))

  const bury = (command: { readonly record: EventRecord; readonly seq: number; readonly reason: string }) =>
    deadLetters.record({ topic: options.topic, ...command }).pipe(
      Effect.matchEffect({
        onFailure: onDiskFailure({ _tag: "DeadLetterFailed" }),
        onSuccess: () => tell({ _tag: "DeadLettered" })
      })
    )

  // -------------------------------------------------------------------------------------------------------------------
  // bookkeeping

  const account = (command: Extract<Handover.Command, { readonly _tag: "Account" }>): void => {
    const live = new Map<string, number>()
    let recovered = 0
    for (const record of command.records) {
      if ("seq" in record && typeof record.seq === "number" && record.seq < liveFrom) recovered += 1
      else {
        const exchange = exchangeOf(record)
        live.set(exchange, (live.get(exchange) ?? 0) + 1)
      }
    }
    const reason = command.reason === undefined ? undefined : ledgerReason(command.reason)
    for (const [exchange, count] of live) {
      ledger.move({ lane: options.name, exchange }, command.from, command.to, count, reason)
    }
    ledger.move({ lane: options.name, exchange: undefined }, command.from, command.to, recovered, reason)
    if (command.to === "dropped") {
      refusedAt = wall()
      remember(live, command.records)
    }
  }

  const remember = (counts: ReadonlyMap<string, number>, records: ReadonlyArray<EventRecord>): void => {
    shed ??= { byExchange: new Map(), from: Infinity, to: -Infinity }
    for (const [exchange, count] of counts) shed.byExchange.set(exchange, (shed.byExchange.get(exchange) ?? 0) + count)
    for (const { timestamp } of records) {
      shed.from = Math.min(shed.from, timestamp)
      shed.to = Math.max(shed.to, timestamp)
    }
  }

  /** `dropped` events, once Kafka takes records again: they are not to claim room in a queue that has none (H6). */
  const tellDropped = Effect.gen(function*() {
    const losses: Array<Dropped> = [...(yield* queue.untold(state.acked))]
    if (shed !== undefined) {
      losses.push({ reason: "full", firstSeq: null, lastSeq: null, recovered: 0, ...shed })
      shed = undefined
    }
    if (losses.length === 0) return
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
        return beside(send(command.records))
      case "Append":
        return beside(append(command.records))
      case "Read":
        return beside(read(command))
      case "Persist":
        return beside(persist)
      case "DeadLetter":
        return beside(bury(command))
      case "Ack":
        return queue.ack(command.nextSeq)
      case "Pin":
        return queue.pin(command.range)
      case "Trip":
        return breaker.trip.pipe(Effect.andThen(failed("Kafka rejects everything: an outage, not poison")))
      case "Account":
        return Effect.sync(() => account(command))
      case "Settle":
        return checkpoint === undefined ? Effect.void : checkpoint.settle(command.records, command.seq)
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
    const stuckAt = state.append === undefined ? Infinity : state.append.startedAt + stuckAfter
    if (current >= stuckAt) return Effect.dieMessage(`the queue of ${options.topic} took no write for ${stuckAfter} ms`)
    const due = Math.min(Handover.deadline(state, current) ?? Infinity, stuckAt)
    if (due >= wakeAt || due === Infinity) return Effect.void
    wakeAt = due
    return Effect.sleep(Duration.millis(Math.max(1, due - current))).pipe(
      Effect.andThen(Effect.suspend(() => {
        if (wakeAt === due) wakeAt = Infinity
        return tell({ _tag: "Tick" })
      })),
      Effect.forkIn(scope)
    )
  })

  /** Back-pressure: the latch closes when neither Kafka nor the disk takes what waits (ARCHITECTURE.md law 2). */
  const guardRoom = Effect.suspend(() => {
    if (Handover.hasRoom(state) && inboxBytes < options.handover.spillBytes) {
      if (heldSince !== undefined && now() - heldSince >= options.handover.holdFor) refusedAt = wall()
      heldSince = undefined
      return room.open
    }
    heldSince ??= now()
    return room.close
  })

  const turn = Effect.gen(function*() {
    const inputs = yield* Queue.takeBetween(inbox, 1, 4096)
    for (const input of inputs) {
      if (input._tag === "Offer") inboxBytes -= bytesOf(input.records)
      const [commands, next] = Handover.step(state, input, now())
      state = next
      for (const command of commands) yield* execute(command)
      // Beside: the status lane may be full, and may be this one, which would wait for itself.
      if (input._tag === "Sent") yield* beside(tellDropped)
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
      return tell({ _tag: "Offer", records })
    })))

  /** In parcels that a small queue takes. */
  const offer = (records: ReadonlyArray<EventRecord>): Effect.Effect<void> => {
    const bytes = bytesOf(records)
    if (records.length < 2 || bytes <= options.handover.spillBytes / 4) return offerParcel(records, bytes)
    const half = records.length >> 1
    return Effect.andThen(offer(records.slice(0, half)), offer(records.slice(half)))
  }

  const oversize = (record: EventRecord) =>
    deadLetters.record({ topic: options.topic, reason: "too_large", record }).pipe(
      Effect.retry(RetryPolicy.forever(options.retry)),
      // Unreachable: the schedule has no end.
      Effect.catchTag("DeadLetterError", (error) => Effect.die(error)),
      Effect.andThen(
        Effect.sync(() =>
          ledger.move(
            { lane: options.name, exchange: exchangeOf(record) },
            "in_flight",
            "dead_lettered",
            1,
            "too_large"
          )
        )
      )
    )

  return {
    offer: (records) => {
      const large = records.filter((record) => record.value.length > maxRecordBytes - 4096)
      if (large.length === 0) return offer(records)
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
      kafka: { ...kafka },
      disk: { ...disk },
      refusedAt: heldSince !== undefined && now() - heldSince >= options.handover.holdFor ? wall() : refusedAt
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

const bytesOf = (records: ReadonlyArray<EventRecord>): number =>
  records.reduce((sum, record) => sum + sizeOf(record), 0)

const ledgerReason = (reason: string): Ledger.Reason => {
  switch (reason) {
    case "MESSAGE_TOO_LARGE":
    case "RECORD_LIST_TOO_LARGE":
    case "too_large":
      return "too_large"
    case "INVALID_RECORD":
      return "invalid"
    default:
      return "full"
  }
}
