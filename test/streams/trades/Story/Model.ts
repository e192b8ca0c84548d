/** What a story is made of, step by step, and what it says, word by word. */
import type * as Checkpoint from "../../../../src/services/Checkpoint.ts"
import type { MarketEvent, Trade } from "../../../../src/services/MarketEvent.ts"
import type { TradeRow } from "../../../../src/streams/Exchange.ts"
import type * as Holes from "../../../../src/streams/trades/Holes.ts"
import type { Paging, Question } from "../../../../src/streams/trades/Numbers.ts"

export interface Setup {
  /**
   * `own`: the exchange gives ids, and microseconds; `increasing`, `consecutive`: they are such numbers. `none`: no ids, whole seconds, many
   * equal trades.
   */
  readonly ids: "own" | "increasing" | "consecutive" | "none"
  /** How its history is paged, where ids are numbers; null: it gives the last trades only. */
  readonly pages: Paging | null
  readonly hold: number
  readonly maxAge: number
  /** The history's answers have a `Date`. */
  readonly date: boolean
  /** Rows of a push, of exchanges with ids: the last ones are repeated. */
  readonly window: number
  /** How late what was handed over is taken, ms. */
  readonly slow: number
  /** Trades that are older than all collectors. */
  readonly before: number
}

/** How the history answers. */
export interface Rest {
  readonly says: "all" | "nothing" | "unsound" | "failure" | "unknown"
  /** The newest ones of all. */
  readonly rows: number
  /** Before the question is sent, and until its answer comes, ms. */
  readonly queued: number
  readonly takes: number
  /** The answer is made when the question comes, or just before it leaves. */
  readonly early: boolean
}

export type Disk = "ok" | "full" | "hangs"

export type Step =
  | { readonly what: "trade"; readonly amount: string; readonly count: number }
  /** The connections live, and do not bring them: what nobody could see unless numbers are missing. */
  | { readonly what: "slip"; readonly count: number }
  /** Numbers that the exchange leaves out, though it says that it leaves out none. */
  | { readonly what: "leap"; readonly count: number }
  /** Markets that share its connections trade, by which a subscription that nobody answers is known to be through. */
  | { readonly what: "others" }
  | { readonly what: "wait"; readonly ms: number }
  /** Since the beginning. */
  | { readonly what: "until"; readonly ms: number }
  /**
   * `recovers`: the server brings what was missed. `mute`: it brings nothing until it is `heard`. `picture`: where ids count up without a hole, so
   * many of the last trades come before the answer to the subscription; none if left out.
   */
  | {
    readonly what: "connect"
    readonly after: number
    readonly recovers: boolean
    readonly mute: boolean
    readonly picture?: number | undefined
  }
  | { readonly what: "drop"; readonly newest: boolean }
  /** The connections live and bring nothing, which looks strange; then they do again. */
  | { readonly what: "silence" }
  /** They are dead, and nothing shows it. */
  | { readonly what: "mute" }
  | { readonly what: "heard" }
  | { readonly what: "stop" }
  | { readonly what: "kill" }
  | { readonly what: "start" }
  | { readonly what: "rest"; readonly rest: Rest }
  | { readonly what: "disk"; readonly disk: Disk }
  /** How late Kafka takes what it is given, ms: trades, and what is told, which goes another way. */
  | { readonly what: "sink"; readonly trades: number; readonly told: number }
  | { readonly what: "unlist" }
  | { readonly what: "list" }

export const whole: Rest = { says: "all", rows: 100_000, queued: 0, takes: 100, early: false }

export const exchangeSymbolOf = ({ ids }: Setup): string => ids === "none" ? "AAATMN" : "AAA_IRT"
export const exchangeOf = ({ ids }: Setup): string => ids === "none" ? "wallex" : "bitpin"

/** Exchange time at the beginning. The clock of the collectors began elsewhere. */
export const start = Date.parse("2026-06-11T12:59:45.000Z")
export const symbol = "AAA/IRT"
export const askAfterOf = ({ ids }: Setup): number => ids === "none" ? 3_200 : 0
export const tradeIdsOf = ({ ids }: Setup) => ids === "own" || ids === "none" ? undefined : ids
export const patience = 1_000
/** After which a vanished market's holes are given up, whatever `maxAge` is. */
export const day = 24 * 3_600_000
export const refresh = 600_000

export interface Issued {
  readonly row: TradeRow
  /** As docs/design/contract.md "Events" has it. */
  readonly id: string
  /** When, ms since the beginning. */
  readonly at: number
  /** Its place among all. */
  readonly n: number
}

/** What a life gives away, in its order. */
export type Word =
  /** `received`: of a socket's trade, which one it was, and its place among those that sockets brought. */
  | {
    readonly _tag: "Trade"
    readonly trade: Trade
    readonly received: { readonly issued: Issued; readonly place: number } | undefined
    readonly life: number
  }
  /** `made`: how many words there were when the machine made it. */
  | { readonly _tag: "Gap"; readonly gap: Holes.Gap; readonly made: number; readonly life: number }
  /** A socket's trade follows, the first behind these gaps: what the store has of holes. */
  | {
    readonly _tag: "Behind"
    readonly gaps: ReadonlyArray<Holes.Gap>
    readonly kept: ReadonlyArray<Checkpoint.Hole>
    readonly life: number
  }
  | { readonly _tag: "Begin"; readonly life: number; readonly memory: Checkpoint.MarketMemory | undefined }
  /** A socket brought it. `isLive`: when it was issued, not with later ones. `isShared`: another socket was open at some time. */
  | {
    readonly _tag: "Heard"
    readonly issued: Issued
    readonly isLive: boolean
    readonly isShared: boolean
    readonly life: number
  }
  | { readonly _tag: "Delivered"; readonly event: MarketEvent; readonly life: number }
  | { readonly _tag: "Died"; readonly life: number; readonly disk: Disk; readonly clean: boolean }
  | { readonly _tag: "Written"; readonly life: number }
  /** `n`: trades issued until then. */
  | {
    readonly _tag: "Subscribed"
    readonly n: number
    /** Another one hears the market too, or did: it may be dead. */
    readonly isSecond: boolean
    readonly life: number
  }
  /** A listener less. */
  | { readonly _tag: "Lost"; readonly life: number }
  /** So many new ones a history has brought. `isEmpty`: it had none at all. `n`: trades issued until then. */
  | {
    readonly _tag: "Recovered"
    readonly count: number
    readonly isEmpty: boolean
    readonly n: number
    readonly life: number
  }
  /** No connection has brought it. */
  | { readonly _tag: "Slipped"; readonly issued: Issued; readonly life: number }
  /** Null: not a page. */
  | { readonly _tag: "Asked"; readonly asked: Question | null; readonly life: number }
  /** Nobody will subscribe to it, and nothing is kept of it. */
  | { readonly _tag: "Forgotten"; readonly n: number; readonly life: number }

export interface Told {
  readonly setup: Setup
  readonly issued: ReadonlyArray<Issued>
  readonly words: ReadonlyArray<Word>
  /** The disk was bad once. */
  readonly isDiskSpared: boolean
  /** Some history was no whole one: short, empty, or of a market not known. */
  readonly isHistorySpared: boolean
  /** What the checkpoint knew of holes when the last life was to stop. */
  readonly kept: ReadonlyArray<Checkpoint.Hole>
}
