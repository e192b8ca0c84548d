/** One market's machine by a clock of its own, for tests that go case by case: what it is told, and what it says to that. */
import * as Time from "../../../src/services/Time.ts"
import type { Level } from "../../../src/streams/books/Levels.ts"
import * as Machine from "../../../src/streams/books/Machine.ts"

export const epochMs = 1_781_182_785_301

/** One market, by a clock of its own. All that is due is done at once. */
export const make = (options: Partial<Machine.Options> = {}) => {
  const state = Machine.initial({
    key: "x:A/B",
    collector: "k3f9",
    depth: 20,
    interval: 1_000,
    refresh: 60_000,
    deltas: false,
    phase: 0,
    canAsk: true,
    ...options
  })
  let now = 0
  const step = (input: Machine.Input): ReadonlyArray<Machine.Command> =>
    Machine.step(state, input, { at: Time.instant(now), wall: Time.wallTime(epochMs + now) })
  const due = (): ReadonlyArray<Machine.Command> => {
    const wake = Machine.wakeAt(state)
    return wake === undefined || Time.between(wake, Time.instant(now)) < 0 ? [] : [...step({ _tag: "Due" }), ...due()]
  }
  const tell = (input: Machine.Input): ReadonlyArray<Machine.Command> => [...step(input), ...due()]
  return {
    state,
    tell,
    /** As `tell`, with no room for what is due. */
    step,
    /** Time passes, millisecond by millisecond where something is due. */
    pass: (ms: number): ReadonlyArray<Machine.Command> => {
      const out: Array<Machine.Command> = []
      for (const end = now + ms; now < end;) {
        const wake = Machine.wakeAt(state)
        now = Math.min(end, wake === undefined ? end : Math.max(now + 1, Time.between(Time.instant(0), wake)))
        out.push(...due())
      }
      return out
    },
    /** `since`: all that was said behind that number follows. */
    heard: (listener = 0, epoch?: string, since?: bigint) => tell({ _tag: "Heard", listener, epoch, since }),
    /** `deafFor`: it had brought nothing of anything for so long, ms. */
    lost: (listener = 0, cause: "disconnected" | "stale" = "disconnected", deafFor = 0) =>
      tell({ _tag: "Lost", listener, cause, aliveAt: Time.instant(now - deafFor) }),
    part: (
      part: Machine.Part["part"],
      levels: { readonly bids?: ReadonlyArray<Level>; readonly asks?: ReadonlyArray<Level> },
      { listener = 0, sequence, timestamp = null }: {
        readonly listener?: number
        readonly sequence?: number
        readonly timestamp?: number | null
      } = {}
    ) =>
      tell({
        _tag: "Part",
        listener,
        part: {
          part,
          bids: levels.bids ?? [],
          asks: levels.asks ?? [],
          previous: undefined,
          sequence: sequence === undefined ? undefined : BigInt(sequence),
          timestamp
        }
      })
  }
}

export const bid = (price: string, amount = "1"): { readonly bids: ReadonlyArray<Level> } => ({
  bids: [[price, amount]]
})
export const ask = (price: string, amount = "1"): { readonly asks: ReadonlyArray<Level> } => ({
  asks: [[price, amount]]
})

export const tags = (commands: ReadonlyArray<Machine.Command>) =>
  commands.flatMap((one) => one._tag === "Count" ? [] : [one._tag])
export const told = (commands: ReadonlyArray<Machine.Command>) =>
  commands.flatMap((one) => one._tag === "Book" || one._tag === "Delta" ? [one] : [])
export const outcomes = (commands: ReadonlyArray<Machine.Command>) =>
  commands.flatMap((one) => one._tag === "Count" ? [one.outcome] : [])
