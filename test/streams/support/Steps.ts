/** What may happen to an exchange and to the collectors that hear it, step by step on the test's clock. */
import { Effect, Logger, TestClock } from "effect"
import { FakeSockets } from "./FakeSockets.ts"
import { hurryClock, settle } from "./Harness.ts"
import * as Lives from "./Lives.ts"
import * as World from "./World.ts"

/** Rows of a history that has all. */
export const all = 1_000

/** How the history answers from here on. `rows`: the newest ones. */
interface History {
  readonly what: "history"
  readonly rows: number
  readonly takes: number
  readonly early: boolean
}

export type Step =
  | { readonly what: "trade"; readonly base: World.Base; readonly amount: string; readonly count: number }
  | { readonly what: "wait"; readonly ms: number }
  /** `mute`: the next sockets bring nothing until they are heard again; where an exchange answers subscriptions, they do. */
  | { readonly what: "drop"; readonly mute: boolean }
  | { readonly what: "heard" }
  | { readonly what: "stop" }
  | { readonly what: "kill" }
  | { readonly what: "start" }
  | { readonly what: "rest"; readonly up: boolean }
  | History
  | { readonly what: "disk"; readonly full: boolean }
  /** How late Kafka takes what it is given, ms: trades, and what is told, which goes another way. */
  | { readonly what: "sink"; readonly trades: number; readonly told: number }

export interface Setup extends World.Setup {
  readonly hold: number
  /** How it ends: all is well again, and the collector is started anew, or is given the time to ask again of itself. */
  readonly ending: "restart" | "patience"
}

const last = World.bases.map((base): Step => ({ what: "trade", base, amount: "9", count: 1 }))

/** All is well again. */
const healing = ({ ending }: Setup): ReadonlyArray<Step> => [
  { what: "disk", full: false },
  { what: "sink", trades: 0, told: 0 },
  { what: "rest", up: true },
  { what: "history", rows: all, takes: 0, early: false },
  { what: "start" },
  { what: "heard" },
  // Behind a wait of the dials' breaker.
  { what: "wait", ms: 9_000 },
  ...last,
  { what: "wait", ms: 9_000 },
  ...ending === "patience"
    ? [{ what: "wait", ms: 660_000 } as const]
    : [{ what: "stop" }, { what: "start" }, { what: "wait", ms: 3_000 }, ...last, { what: "wait", ms: 9_000 }] as const,
  { what: "stop" }
]

/** How often each was seen in all stories. */
export const seen = { lostAgain: 0, openAtDeath: 0, late: 0, short: 0, failing: 0, fullDisk: 0, stops: 0, kills: 0 }

export const play = (name: World.Name, setup: Setup, steps: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    yield* hurryClock
    yield* TestClock.setTime(Date.parse("2026-06-11T12:59:45.000Z"))
    const world = yield* World.make(name, setup)
    const { dials } = yield* FakeSockets
    const lives = yield* Lives.make(name, world, setup)
    const { disk, pass, trade } = lives
    let isAllOwed = true

    const apply = (one: Step): Effect.Effect<void> => {
      switch (one.what) {
        case "trade":
          return Effect.andThen(Effect.repeatN(trade(one.base, one.amount), one.count - 1), settle)
        case "wait":
          return pass(one.ms)
        case "drop":
          return Effect.suspend(() => {
            if (world.asking() > 0) seen.lostAgain += 1
            world.mute ||= one.mute && name === "wallex"
            for (const socket of dials) socket.drop(1006)
            // No connection is lost and made again within a millisecond.
            return pass(1)
          })
        case "heard":
          world.mute = false
          return Effect.void
        case "start":
          return lives.begin
        case "stop":
          if (lives.isAlive()) seen.stops += 1
          if (lives.open() > 0) seen.openAtDeath += 1
          return lives.stop
        case "kill":
          if (lives.isAlive()) seen.kills += 1
          if (lives.open() > 0) seen.openAtDeath += 1
          return lives.kill
        case "rest":
          world.rest = one.up
          if (!one.up) seen.failing += 1
          return Effect.void
        case "history":
          world.history = one.rows
          world.takes = one.takes
          world.early = one.early
          if (one.rows < all) {
            isAllOwed = false
            seen.short += 1
          }
          if (one.takes > setup.hold) seen.late += 1
          return Effect.void
        case "disk":
          disk.capacity = one.full ? disk.used() : Infinity
          if (one.full) {
            isAllOwed = false
            seen.fullDisk += 1
          }
          return Effect.void
        case "sink":
          lives.late.trades = one.trades
          lives.late.told = one.told
          return Effect.void
      }
    }

    yield* lives.begin
    // Each market has a known past, older than anything that follows.
    for (const amount of ["7", "8"]) {
      for (const one of World.bases) yield* trade(one, amount)
      yield* pass(3_000)
    }
    for (const one of [...steps, ...healing(setup)]) yield* apply(one)
    return { words: lives.words, isAllOwed }
  }).pipe(Effect.scoped, Effect.provide([World.layer(name), Logger.remove(Logger.defaultLogger)]))
