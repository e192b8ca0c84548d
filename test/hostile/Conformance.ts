/**
 * What each exchange's feed does when its server behaves in one of the ways that servers are known for (docs/conformance.md): dials,
 * recovery, holes. Each behaviour has its own server on loopback, and all run at once; waits are scaled down.
 */
import type { HttpClient, Socket } from "@effect/platform"
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import * as Oracle from "../../src/layers/testing/Oracle.ts"
import * as Script from "../../src/layers/testing/Script.ts"
import type { Exchange } from "../../src/streams/Exchange.ts"
import type * as Topics from "../../src/streams/Feed/Topics.ts"
import { defaults, run, until } from "./Running.ts"

const scale = 20
const scaled = defaults(scale)

const markets = 20
const perSecond = 40

/** How patient the feed is, ms: a market trades twice a second here. */
const timing: Topics.Timing = {
  answer: 1_000,
  market: { floor: 3_000, unknown: 4_000, cap: 6_000 },
  // Feeds and servers share one event loop: while it is busy for a second, the server is silent too.
  connection: { floor: 3_000, unknown: 3_500, cap: 6_000 },
  opinion: { after: 30_000, every: 60_000 }
}

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
export type World = (wishes: Wishes) => Effect.Effect<FakeExchange, never, Scope.Scope>

const wishes: Wishes = { markets, history: 300, ping: 1_000, window: 3 }

interface Behaviour {
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
    options: { window: 1 },
    dials: [1, 1],
    alone: true
  }
]

export interface Row {
  readonly name: string
  readonly dials: number
  readonly lastError: string | null
  readonly recovery: number
  readonly issued: number
  readonly rest: number
  readonly gaps: number
  readonly untold: ReadonlyArray<string>
}

const dialsOf = ({ dials, unansweredDials }: Behaviour, { socket }: Exchange) =>
  socket.acknowledges ? dials : unansweredDials ?? dials

const play = (exchange: Exchange, fake: FakeExchange, behaviour: Behaviour) =>
  Effect.gen(function*() {
    const { begin, fromStart = false, heal, lasts = 2_500, name } = behaviour
    const [least] = dialsOf(behaviour, exchange)
    if (fromStart) begin(fake)
    const running = yield* run(exchange, {
      endpoints: fake,
      // One connection, whatever the exchange allows.
      subscriptionsPerConnection: markets,
      scale,
      timing,
      // What was rejected for good is asked for again with the next list.
      marketsRefresh: "3 seconds"
    })
    const stopFlood = fake.flood(perSecond)
    if (!fromStart) {
      yield* until(`${name}: data before`, () => running.trades().length > 80, 10_000)
      begin(fake)
    }
    yield* Effect.sleep(lasts)
    // It goes on as long as it takes on a busy machine: that a feed comes back again and again is what is judged, not how soon.
    if (least > 2) yield* until(`${name}: dials`, () => fake.server.dials.length >= least, 20_000)
    fake.server.heal()
    heal?.(fake)
    const had = running.trades().length
    // The longest delay is 1.5 s here, the breaker's wait too; live trades may wait 5 s for their history.
    const recovery = yield* until(`${name}: data after healing`, () => running.trades().length > had, 12_000)
    // All markets: what was asked for in vain is asked for again, and what is silent is missed in time.
    const all = () =>
      new Set(running.trades().slice(had).flatMap(({ source, symbol }) => source === "ws" ? [symbol] : [])).size ===
        markets
    yield* until(`${name}: data of all markets after healing`, all, 15_000)
    yield* Effect.sleep("1 second")
    // From now on nobody trades, and a silent connection is replaced: that is no dial of this behaviour.
    const dials = fake.server.dials.length
    stopFlood()
    // Histories of whole seconds take 3.2 s from the subscription, and holes that stay open are told after 5.
    yield* until(`${name}: holes closed`, () => running.status().gaps.open === 0, 20_000)
    // The last may still be on their way on a busy machine: that they arrive is what is judged.
    let untold = Oracle.untold(fake.issued, running.events)
    for (let n = 0; n === 0 || (untold.length > 0 && n < 10); n++) {
      yield* Effect.sleep("500 millis")
      untold = Oracle.untold(fake.issued, running.events)
    }
    const trades = running.trades()
    const verdict = Oracle.judge(fake.issued, trades)
    assert.deepStrictEqual(
      { duplicates: verdict.duplicates, foreign: verdict.foreign, disordered: verdict.disordered },
      { duplicates: [], foreign: [], disordered: [] },
      name
    )
    return {
      name,
      dials,
      lastError: running.status().lastError,
      recovery: Math.round(recovery),
      issued: fake.issued.length,
      rest: trades.filter(({ source }) => source === "rest").length,
      gaps: running.events.filter((event) => event.type === "status" && event.event === "gap").length,
      untold
    }
  })

const table = (rows: ReadonlyArray<Row>): string =>
  [
    "| the server | dials | back after, ms | issued | by history | holes told | lost untold |",
    "|---|---|---|---|---|---|---|",
    ...rows.map(({ dials, gaps, issued, name, recovery, rest, untold }) =>
      `| ${name} | ${dials} | ${recovery} | ${issued} | ${rest} | ${gaps} | ${untold.length} |`
    )
  ].join("\n")

/** Plays them all, and judges each. Fails with those that do not end. */
export const conformance = (
  exchange: Exchange,
  world: World
): Effect.Effect<ReadonlyArray<Row>, Error, HttpClient.HttpClient | Socket.WebSocketConstructor> =>
  Effect.gen(function*() {
    const pending = new Map<string, "plays" | "ends">()
    const at = (name: string, phase: "plays" | "ends") => Effect.sync(() => pending.set(name, phase))
    const played = (alone: boolean) =>
      Effect.forEach(
        behaviours.filter((one) => (one.alone ?? false) === alone),
        (one) =>
          at(one.name, "plays").pipe(
            Effect.zipRight(world({ ...wishes, ...one.options })),
            Effect.flatMap((fake) => play(exchange, fake, one)),
            Effect.zipLeft(at(one.name, "ends")),
            Effect.scoped,
            Effect.ensuring(Effect.sync(() => pending.delete(one.name)))
          ),
        { concurrency: "unbounded" }
      ).pipe(
        // Disconnected: whoever does not end is named, and not waited for.
        Effect.disconnect,
        Effect.timeoutFail({
          duration: "100 seconds",
          onTimeout: () => new Error(`not done: ${[...pending].map((one) => one.join(" ")).join(", ")}`)
        })
      )
    const rows = [...yield* played(false), ...yield* played(true)]
    for (const one of behaviours) {
      const row = rows.find(({ name }) => name === one.name)
      const [least, greatest] = dialsOf(one, exchange)
      const what = `${one.name} (last error: ${row?.lastError})`
      assert.isAtLeast(row?.dials ?? 0, least, what)
      assert.isAtMost(row?.dials ?? 0, greatest, what)
      assert.deepStrictEqual(row?.untold, [], one.name)
    }
    return rows
  })

/** `docs/conformance.md`. */
export const document = (results: ReadonlyMap<string, ReadonlyArray<Row>>): string =>
  `# Conformance: what a feed does when its server misbehaves

Written by \`CONFORMANCE_DOC=1 npx vitest run --project measured test/hostile/Conformance.timed.test.ts\`, on ${
    new Date().toISOString().slice(0, 10)
  }. Each behaviour has a server of its own on loopback with ${markets} markets and ${perSecond} trades a second; retry delays, breaker
waits and idle time-outs are 1/${scale} of the defaults (base delay ${
    Number(scaled.retry.baseDelay) || 50
  } ms), so that dials are
comparable to 10 in 30 s at full scale. "Back after" is counted from the server's healing to the next trade handed over; after a lost
connection live trades wait for their history, up to 5 s. "Lost untold" is what neither arrived nor lies in a hole that was told: it
has to be 0.

${[...results].map(([name, rows]) => `## ${name}\n\n${table(rows)}\n`).join("\n")}`
