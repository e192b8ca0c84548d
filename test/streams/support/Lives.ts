/**
 * Collectors that live one after the other over one disk: each a feed with the checkpoint that the one before left. What they hand
 * over is delivered later, trades and status each in their order, and what was not delivered dies with a kill.
 */
import type { HttpClient, Socket } from "@effect/platform"
import { Deferred, Duration, Effect, Exit, Scope, TestClock } from "effect"
import { checkpointStore } from "../../../src/layers/DataDirectory.ts"
import * as Checkpoint from "../../../src/services/Checkpoint.ts"
import { encode, type MarketEvent } from "../../../src/services/MarketEvent.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import { FakeSockets } from "./FakeSockets.ts"
import { breaker, retry, run, type Running, settle } from "./Harness.ts"
import * as World from "./World.ts"

/** What happened, in its order. */
export type Word =
  | { readonly _tag: "Begin"; readonly life: number }
  | { readonly _tag: "Issued"; readonly issued: World.Issued }
  /** The feed has handed it over. */
  | { readonly _tag: "HandedOver"; readonly event: MarketEvent }
  /** It cannot be lost any more. */
  | { readonly _tag: "Delivered"; readonly event: MarketEvent }
  /** The checkpoint has all that was delivered. */
  | { readonly _tag: "Written" }
  | { readonly _tag: "Died" }

type LaneName = "trades" | "told"

interface Lane {
  readonly waiting: Array<MarketEvent>
  readonly latch: Effect.Latch
}

interface Life {
  readonly feed: Running
  readonly checkpoint: Checkpoint.Checkpoint["Type"]
  readonly scope: Scope.CloseableScope
  readonly stop: Deferred.Deferred<void>
  readonly lanes: { readonly [K in LaneName]: Lane }
}

export interface Lives {
  readonly words: ReadonlyArray<Word>
  readonly disk: MemoryDisk
  /** How late what is handed over is delivered, ms. */
  readonly late: { [K in LaneName]: number }
  /** All that was handed over, and nobody has asked for yet. */
  readonly handedOver: Effect.Effect<ReadonlyArray<MarketEvent>>
  readonly isAlive: () => boolean
  /** Holes that are not filled. */
  readonly open: () => number
  readonly trade: (base: World.Base, amount: string) => Effect.Effect<void>
  /** Nothing if one lives. */
  readonly begin: Effect.Effect<void>
  /** A clean stop: all that was handed over is delivered, and the checkpoint written if the disk lets it. */
  readonly stop: Effect.Effect<void>
  /** `kill -9`. */
  readonly kill: Effect.Effect<void>
  readonly pass: (ms: number) => Effect.Effect<void>
}

const directory = "/data"

/** A write of the checkpoint comes so long after a change, as the sink has it. */
const writeEvery = 1_000

/** Of a feed that is told to stop; the service cuts it off then. */
const stopWithin = 3_000

export const make = Effect.fnUntraced(function*(
  name: World.Name,
  world: World.World,
  { hold }: { readonly hold: number } = { hold: 5_000 }
): Effect.fn.Return<Lives, never, FakeSockets | HttpClient.HttpClient | Scope.Scope | Socket.WebSocketConstructor> {
  const { dials } = yield* FakeSockets
  const context = yield* Effect.context<HttpClient.HttpClient | Socket.WebSocketConstructor>()
  const words: Array<Word> = []
  const fresh: Array<MarketEvent> = []
  const disk = new MemoryDisk()
  yield* Effect.orDie(disk.ops.makeDirectory(directory))
  const late = { trades: 0, told: 0 }
  let lives = 0
  let life: Life | undefined

  const pass = (ms: number) => Effect.andThen(TestClock.adjust(ms), settle)

  const deliver = ({ checkpoint, lanes }: Life, lane: LaneName) =>
    Effect.suspend(() => {
      const events = lanes[lane].waiting.splice(0)
      for (const event of events) words.push({ _tag: "Delivered", event })
      const records = events.map((event) => encode(event))
      return lane === "trades" ? checkpoint.settle(records) : checkpoint.resolve(records)
    })

  const take = (one: Life, event: MarketEvent): void => {
    words.push({ _tag: "HandedOver", event })
    fresh.push(event)
    const { latch, waiting } = one.lanes[event.type === "trade" ? "trades" : "told"]
    waiting.push(event)
    latch.unsafeOpen()
  }

  const carry = (one: Life, toWrite: Effect.Latch, lane: LaneName) => {
    const { latch } = one.lanes[lane]
    return latch.await.pipe(
      Effect.andThen(Effect.suspend(() => {
        latch.unsafeClose()
        return late[lane] === 0 ? Effect.void : Effect.sleep(late[lane])
      })),
      Effect.andThen(deliver(one, lane)),
      Effect.andThen(toWrite.open),
      Effect.forever
    )
  }

  const begin = Effect.gen(function*() {
    if (life !== undefined) return
    lives += 1
    const scope = yield* Scope.make()
    const found = yield* Effect.orDie(Checkpoint.make(checkpointStore(disk.ops, directory)))
    const checkpoint = { ...found, write: Effect.tap(found.write, () => words.push({ _tag: "Written" })) }
    words.push({ _tag: "Begin", life: lives })
    const stop = yield* Deferred.make<void>()
    const toWrite = yield* Effect.makeLatch(false)
    const lane = Effect.map(Effect.makeLatch(false), (latch): Lane => ({ waiting: [], latch }))
    const lanes = { trades: yield* lane, told: yield* lane }
    const feed = yield* run(World.exchanges[name], {
      stop: Deferred.await(stop),
      memory: yield* checkpoint.markets,
      holes: checkpoint,
      backfillHold: Duration.millis(hold),
      retry: { ...retry, maxDelay: Duration.seconds(4) },
      breakers: {
        api: yield* breaker("api", { maxFailures: 5, timeout: "5 seconds" }),
        ws: yield* breaker("ws", { timeout: "5 seconds" })
      }
    }).pipe(Scope.extend(scope), Effect.provide(context))
    const one = { feed, checkpoint, scope, stop, lanes }
    life = one
    const write = Effect.sleep(writeEvery).pipe(
      Effect.andThen(toWrite.close),
      Effect.andThen(checkpoint.write),
      Effect.catchTag("CheckpointError", () => toWrite.open)
    )
    yield* Effect.all(
      [
        Effect.forever(Effect.map(feed.next, (event) => take(one, event))),
        carry(one, toWrite, "trades"),
        carry(one, toWrite, "told"),
        Effect.forever(Effect.andThen(toWrite.await, write))
      ],
      { concurrency: "unbounded" }
    ).pipe(Effect.forkIn(scope))
    yield* settle
  })

  /** Its sockets are closed by the kernel, and nothing it does counts any more. */
  const bury = Effect.fnUntraced(function*({ scope }: Life) {
    life = undefined
    words.push({ _tag: "Died" })
    disk.dead = true
    yield* Scope.close(scope, Exit.void)
    for (const socket of dials) socket.drop(1006)
    yield* settle
    disk.crashProcess()
  })

  const stop = Effect.gen(function*() {
    if (life === undefined) return
    const one = life
    yield* Deferred.succeed(one.stop, undefined)
    const ended = yield* Effect.fork(one.feed.ended)
    yield* settle
    for (let ms = 0; ms < stopWithin && ended.unsafePoll() === null; ms += 250) yield* pass(250)
    for (const event of yield* one.feed.rest) take(one, event)
    yield* deliver(one, "trades")
    yield* deliver(one, "told")
    yield* Effect.ignore(one.checkpoint.write)
    yield* bury(one)
  })

  return {
    words,
    disk,
    late,
    handedOver: Effect.sync(() => fresh.splice(0)),
    isAlive: () => life !== undefined,
    open: () => life?.feed.status().gaps.open ?? 0,
    trade: (base, amount) =>
      Effect.map(world.trade(base, amount), (issued) => void words.push({ _tag: "Issued", issued })),
    begin,
    stop,
    kill: Effect.suspend(() => life === undefined ? Effect.void : bury(life)),
    pass
  }
})
