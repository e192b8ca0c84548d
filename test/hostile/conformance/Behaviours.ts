/** The ways in which servers are known to misbehave (docs/conformance.md), as data: how each begins, how long it lasts, how often a feed may dial. */
import type { Effect, Scope } from "effect"
import type { FakeExchange } from "../../../src/layers/testing/FakeExchange.ts"
import * as Script from "../../../src/layers/testing/Script.ts"

export const markets = 20

/** What a fake is made with. One that has no such thing passes over it. */
export interface Wishes {
  readonly markets: number
  /** Trades of a market that REST gives. */
  readonly history: number
  /** Milliseconds between the server's pings. */
  readonly ping: number
  /** Messages joined in one frame. */
  readonly batch?: number
  /** Trades in a push: this one and those before it. */
  readonly window?: number
  readonly publicationsInReply?: boolean
  readonly recovery?: boolean
}

/** An exchange's servers, one for each behaviour. */
export type World<Fake extends FakeExchange = FakeExchange> = (
  wishes: Wishes
) => Effect.Effect<Fake, never, Scope.Scope>

export const wishes: Wishes = { markets, history: 300, ping: 1_000, window: 3 }

export interface Behaviour {
  readonly name: string
  readonly options?: Partial<Wishes>
  /** From the first dial on; else after data has come. */
  readonly fromStart?: boolean
  readonly begin: (fake: FakeExchange) => void
  readonly heal?: (fake: FakeExchange) => void
  /** How long it lasts, ms. */
  readonly lasts?: number
  /** Dials while it lasts and after, the first one included. */
  readonly dials: readonly [least: number, most: number]
  /** It keeps the event loop busy for seconds, and the other servers on it would seem mute: played when they are done. */
  readonly alone?: boolean
  /** Where the exchange answers no subscription: only a new connection can help. */
  readonly unansweredDials?: readonly [least: number, most: number]
}

/** At most 10 dials of a connection in 30 s: in scaled seconds. */
const most = 12

/**
 * As long as a silence has to last to be seen for certain, ms: the greatest patience (6 s, whatever pace was learned before it began),
 * the half second that the last trade may be older, and the checks' own.
 */
const silence = 8_000

const markedBy = (fake: FakeExchange): string => fake.tradable[7]?.exchangeSymbol ?? ""

const upgrade = (name: string, answer: Script.Answer): Behaviour => ({
  name,
  begin: (fake) => {
    fake.server.script.upgrade = answer
    fake.server.drop(1006)
  },
  dials: [3, most]
})

const ending = (how: Script.End, what: string): Behaviour => ({
  name: what,
  fromStart: true,
  begin: ({ server }) => void (server.script.acceptThenClose = how),
  dials: [3, most]
})

const dropped = (how: number): Behaviour => ({
  name: `closes with ${how} while it trades`,
  begin: ({ server }) => server.drop(how),
  lasts: 500,
  dials: [2, 2]
})

export const behaviours: ReadonlyArray<Behaviour> = [
  { name: "is well", begin: () => {}, dials: [1, 1] },
  ending(1000, "accepts, then closes with 1000"),
  ending(1006, "accepts, then hangs up (1006)"),
  ending(1012, "accepts, then closes with 1012"),
  {
    name: "one frame, then closes",
    fromStart: true,
    begin: ({ server }) => void (server.script.closeAfterFrames = { frames: 1, how: 1006 }),
    dials: [3, most]
  },
  {
    name: "mute from the start, pings and answers go on",
    fromStart: true,
    begin: ({ server }) => void (server.script.mute = "all"),
    lasts: silence,
    dials: [2, 5]
  },
  {
    name: "mute after data, pings and answers go on",
    begin: ({ server }) => void (server.script.mute = "all"),
    lasts: silence,
    dials: [2, 5]
  },
  {
    name: "mute for one market of 20",
    begin: (fake) => void (fake.server.script.mute = new Set([markedBy(fake)])),
    lasts: silence,
    dials: [1, 3]
  },
  {
    name: "rejects 1 subscription of 20",
    fromStart: true,
    begin: (fake) => void (fake.server.script.denied = new Set([markedBy(fake)])),
    dials: [1, 2],
    unansweredDials: [2, 4]
  },
  {
    name: "ignores 1 subscription of 20",
    fromStart: true,
    begin: (fake) => void (fake.server.script.ignored = new Set([markedBy(fake)])),
    lasts: 5_000,
    dials: [1, 2],
    unansweredDials: [2, 4]
  },
  {
    name: "acknowledges late",
    fromStart: true,
    begin: ({ server }) => void (server.script.ackDelay = 1_500),
    dials: [1, 1]
  },
  {
    name: "batches frames, pings among them",
    options: { batch: 16, ping: 200 },
    begin: () => {},
    dials: [1, 1]
  },
  {
    name: "publications in the subscribe reply",
    options: { publicationsInReply: true },
    begin: ({ server }) => server.drop(3001),
    lasts: 500,
    dials: [2, 2]
  },
  {
    name: "pings twice at once",
    begin: (fake) => {
      for (let n = 0; n < 2; n++) fake.ping()
    },
    dials: [1, 1]
  },
  dropped(3012),
  {
    // It says that the client is to blame: back only after the longest delay.
    ...dropped(3501),
    lasts: 3_000
  },
  {
    name: "restarts: epoch and offsets begin anew",
    options: { recovery: true },
    begin: ({ server }) => void server.refuse().then(() => server.listen()),
    lasts: 1_000,
    dials: [2, 4]
  },
  {
    name: "a frame beyond the size cap",
    begin: ({ server }) => server.oversize(2 * 1024 * 1024),
    lasts: 500,
    dials: [2, 2]
  },
  {
    name: "garbage between frames",
    begin: ({ server }) => {
      for (const garbage of ["nonsense", "{\"push\":", "[]", "null", "\u0000", new Uint8Array(9)]) server.frame(garbage)
    },
    dials: [1, 1]
  },
  {
    name: "half-open: the path is dead, nobody closes",
    options: { ping: 400 },
    begin: ({ server }) => server.halfOpen(),
    lasts: 4_500,
    dials: [2, 3]
  },
  upgrade("HTTP 429 with Retry-After on upgrade", Script.tooManyRequests(1)),
  upgrade("HTTP 502 with HTML on upgrade", Script.html),
  {
    name: "flood: 20 000 trades at once",
    begin: (fake) => fake.trades(20_000),
    // That all of them arrive is waited for.
    lasts: 500,
    options: { window: 1 },
    dials: [1, 1],
    alone: true
  }
]
