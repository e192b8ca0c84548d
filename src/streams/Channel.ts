/**
 * The seam between a session on a socket and what it brings. A channel (trades, books) is a folder beside `Feed`: it knows what
 * a message of its own means for a market, while `Feed`, its sessions and their subscriptions know only what is said here. A channel is added
 * by its folder, its messages in `Exchange.Data` and a line in `Feed`.
 */
import type * as Effect from "effect/Effect"
import type * as Channels from "../services/MarketEvent.ts"
import type { MarketEvent } from "../services/MarketEvent.ts"
import type * as Time from "../services/Time.ts"
import type { Data, Market } from "./Exchange.ts"
import type * as Rhythm from "./Rhythm.ts"

/** Name of a channel, as `CHANNELS` has it. */
export type Name = Channels.Channel

/** What a topic brings. */
export interface Subject {
  readonly channel: Name
  readonly market: Market
}

/** Why something of a market may be missing. */
export const causes = ["disconnected", "restart", "stale", "unsubscribed", "undecoded", "sequence"] as const

export type Cause = (typeof causes)[number]

/** A session that heard a market. */
export interface Listener {
  readonly id: number
  /** When its connection last brought anything. */
  readonly aliveAt: Time.Instant
  /** When it last brought something of this market; null: never. */
  readonly broughtAt: Time.Instant | null
}

/** One market of a channel, as one session hears it. */
export interface Member {
  readonly market: Market
  /** Shared by all sessions that hear the market. */
  readonly pulse: Rhythm.Pulse
  /**
   * What is missing of it cannot be had later: a connection that carries such members is judged by them alone, and the others' silence never
   * replaces or closes it.
   */
  readonly leads: boolean
  /** How much it has brought so far: a silent connection is judged by the market that brings most. */
  readonly activity: () => number
  /**
   * From here on the session hears the market. `recovered`: what it said since it was lost follows. `listener`: the session's id. `epoch`: in
   * which its numbers count up, where the exchange named one. `after`: where it is recovered, the number behind which all of it follows.
   */
  readonly heard: (recovered: boolean, listener: number, epoch: string | undefined, after?: number) => void
  /** From here on it does not. */
  readonly lost: (cause: Cause, listener: Listener) => void
  /** It hears the market, but what that said just before, nobody may have heard. */
  readonly doubted: (cause: Cause) => void
  /** Something of this market came and could not be read: before anything else of that message is taken. Left out: that is counted, and no more. */
  readonly spoiled?: (() => void) | undefined
  /** A frame is missing that may have been about it, also while it is not heard yet; `doubted` follows where it is. Left out: nothing. */
  readonly missed?: ((cause: Cause) => void) | undefined
  /** A message of the channel about this market, in the order of the frames. Gives what may be handed over at once. */
  readonly take: (data: Data, now: Time.Moment) => ReadonlyArray<MarketEvent>
  /**
   * Whether the exchange, asked by another way, has something of after `silentSince` that the session should have brought. `wasHeard`: it
   * brought something before. Left out where nobody could tell.
   */
  readonly isMissing?: ((silentSince: Time.Instant, wasHeard: boolean) => Effect.Effect<boolean>) | undefined
  /**
   * What this session is to do so that a book of the market is whole again, once: subscribe to its topics anew, or leave for a new connection.
   * Left out, or undefined: nothing.
   */
  readonly remedy?: (() => "resubscribe" | "redial" | undefined) | undefined
  /**
   * A topic beside the market's own that this session is to hear just now, to prove by it what it has of the market: it is asked for once the
   * market's topics are, and left when it is not named any more. Left out, or undefined: none.
   */
  readonly beside?: (() => string | undefined) | undefined
  /** Whether a message came by the topic beside: then the market's own topics are as silent as before. Left out: none does. */
  readonly isBeside?: ((data: Data) => boolean) | undefined
  /** To be seen on the page. `null`: it has no connection. */
  readonly showStatus: (status: "wanted" | "pending" | "active" | "rejected" | null) => void
  readonly showSuspect: (suspect: boolean) => void
}

/** A channel as one session has it. */
export interface Hearing {
  readonly member: (market: Market) => Member
  /** Counts a message about a market that this session does not listen to. */
  readonly foreign: (data: Data) => void
  /** A run over arrivals is over: what it brought goes into the ledger. True if anything of it was understood. */
  readonly account: () => boolean
  readonly close: () => void
}

export interface Channel {
  readonly name: Name
  /** What one session on a socket has of it. */
  readonly open: () => Hearing
  /** Left out: sockets bring all that there is. Before `listed`: the markets whose data it is to ask for by itself from now on. */
  readonly follow?: ((markets: ReadonlyArray<Market>) => Effect.Effect<void>) | undefined
  /** These are the markets that are listened to, or about to be. */
  readonly listed: (symbols: ReadonlySet<string>) => void
  /** The feed stops: what is lost from here on leaves no hole, since nobody listens any more by intent. */
  readonly stopping?: (() => void) | undefined
  /** Nothing comes any more: what waits is handed over, and told what is missing before it. */
  readonly flush: Effect.Effect<void>
}
