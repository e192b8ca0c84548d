/**
 * Servers that accept and drop, refuse, hang, lie or fall silent: at most 10 dials in 30 s from each connection, and data
 * within max(current retry delay, breaker's remaining wait) + 5 s of their healing (docs/design/breaker-and-retry.md "What counts as a call").
 *
 * All waits of the configuration are a tenth of the defaults, and so is the stretch in which dials are counted. The time-outs that
 * are constants (10 s for a handshake) are not: where a call still hangs when the server heals, its time-out comes on top.
 */
import { Socket } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, type Scope } from "effect"
import { createServer } from "node:net"
import { WebSocket } from "ws"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import type { FakeExchange } from "../../src/layers/testing/FakeExchange.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import * as Script from "../../src/layers/testing/Script.ts"
import * as Time from "../../src/services/Time.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import { defaults, layer, mostWithin, run, type Running, until } from "./Running.ts"

const scale = 10

const scaled = defaults(scale)

/** The promise: at most so many dials of one connection, in 30 s by default. */
const maxDials = 10
const stretch = 30_000 / scale

const handshake = 10_000

interface Case {
  readonly name: string
  readonly begin: (fake: FakeExchange) => void | Promise<void>
  /** All is well for so long first, ms. */
  readonly well?: number
  readonly heal?: (fake: FakeExchange) => Promise<void>
  /** How long it is watched while hostile, ms: more than one stretch. */
  readonly watch?: number
  /** A call may hang for so long after the server has healed, ms. */
  readonly hangs?: number
  /** Fewest dials, to see that the case is what it says. */
  readonly least: number
  readonly most?: number
  /** Milliseconds between the server's pings; by default more than the idle timeout, which so decides. */
  readonly ping?: number
}

const upgrade = (name: string, answer: Script.Answer): Case => ({
  name,
  begin: ({ server }) => void (server.script.upgrade = answer),
  least: 3
})

const closing = (code: number): Case => ({
  name: `accepts, then closes with ${code}`,
  begin: ({ server }) => void (server.script.acceptThenClose = code),
  least: 3
})

const closingAfter = (frames: number): Case => ({
  name: `closes after ${frames} frames`,
  begin: ({ server }) => void (server.script.closeAfterFrames = { frames, how: 1006 }),
  least: 3
})

const cases = (dataFrame: number, redirectTo: string, silence: number): ReadonlyArray<Case> => [
  closing(1000),
  closing(1006),
  closing(1012),
  closingAfter(1),
  closingAfter(dataFrame),
  {
    name: "refuses connections",
    well: 500,
    begin: ({ server }) => server.refuse(),
    heal: ({ server }) => server.listen(),
    least: 4
  },
  {
    name: "is mute from the start",
    begin: ({ server }) => void (server.script.silent = true),
    watch: 13_000,
    hangs: silence,
    least: 2
  },
  {
    name: "falls silent later",
    well: 1_000,
    begin: ({ server }) => void (server.script.silent = true),
    watch: 8_000,
    hangs: silence,
    least: 2
  },
  {
    // The session lives by its pings: there is nothing to mend by dialling.
    name: "pushes nothing any more, but pings and answers",
    well: 1_000,
    begin: ({ server }) => void (server.script.mute = "all"),
    watch: 8_000,
    ping: 500,
    least: 1,
    most: 1
  },
  upgrade("HTTP 503 on upgrade", Script.unavailable),
  upgrade("HTTP 429 with Retry-After on upgrade", Script.tooManyRequests(1)),
  upgrade("HTTP 200 with HTML on upgrade", {
    status: 200,
    body: "<html></html>",
    headers: { "content-type": "text/html" }
  }),
  { ...upgrade("never answers the upgrade", "hang"), watch: 13_000, hangs: handshake, least: 2 },
  upgrade("redirects to another port", Script.redirect(redirectTo))
]

/** A TCP server that must not be talked to. */
const trap = Effect.acquireRelease(
  Effect.async<{ readonly server: ReturnType<typeof createServer>; readonly connections: Array<number> }>((resume) => {
    const connections: Array<number> = []
    const server = createServer((socket) => {
      connections.push(Date.now())
      socket.destroy()
    })
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, connections })))
  }),
  ({ server }) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
)

const portOf = (address: ReturnType<ReturnType<typeof createServer>["address"]>): number =>
  typeof address === "object" && address !== null ? address.port : 0

/** Every dial of the client, also those that no server sees. */
const counting = Effect.map(Socket.WebSocketConstructor, (construct) => {
  const dials: Array<number> = []
  const counted: typeof construct = (url, protocols) => {
    dials.push(performance.now())
    return construct(url, protocols)
  }
  return { dials, counted }
})

/** What may still have to pass when the server heals, ms. */
const remaining = (running: Running) =>
  Effect.map(running.wsBreaker.snapshot, ({ retryAt }) => {
    const { baseDelay, jitter, maxDelay } = scaled.retry
    const { reconnects } = running.status()
    const delay = Duration.toMillis(baseDelay) * 2 ** Math.max(0, reconnects - 1) * (1 + jitter)
    return Math.max(
      Math.min(Duration.toMillis(maxDelay), delay),
      retryAt === null ? 0 : Time.epochMillis(retryAt) - Date.now()
    )
  })

const play = (fake: FakeExchange, { begin, hangs = 0, heal, name, watch = 5_000, well }: Case) =>
  Effect.gen(function*() {
    const { counted, dials } = yield* counting
    if (well === undefined) yield* Effect.promise(async () => begin(fake))
    const exchange = Object.values(exchanges).find(({ id }) => id === fake.id) ?? assert.fail(fake.id)
    const running = yield* run(exchange, {
      endpoints: { apiUrl: fake.apiUrl, wsUrl: fake.wsUrl },
      scale
    }).pipe(Effect.provideService(Socket.WebSocketConstructor, counted))
    const stopFlood = fake.flood(50)
    if (well !== undefined) {
      yield* until(`${name}: data before`, () => running.trades().length > 0, 5_000)
      yield* Effect.sleep(well)
      yield* Effect.promise(async () => begin(fake))
    }
    yield* Effect.sleep(watch)
    const before = [...dials]
    const wait = yield* remaining(running)
    fake.server.heal()
    if (heal !== undefined) yield* Effect.promise(() => heal(fake))
    const had = running.trades().length
    const healed = yield* until(
      `${name}: data after healing`,
      () => running.trades().length > had,
      wait + hangs + 5_000
    )
    const all = [...dials]
    stopFlood()
    return { seen: fake.server.dials.length, before, all, healed, running }
  })

type World = (ping: number) => Effect.Effect<FakeExchange, never, Scope.Scope>

const bitpin: World = (ping) => FakeBitpin.make({ markets: 1, ping })
const wallex: World = (ping) => FakeWallex.make({ markets: 1, ping })

/** `dataFrame`: the first frame with trades. `silence`: how long a server that says nothing can keep a call. */
const worlds = {
  bitpin: { world: bitpin, dataFrame: 3, silence: handshake },
  wallex: { world: wallex, dataFrame: 2, silence: Duration.toMillis(scaled.idleTimeout) }
} as const

describe("hostile servers", () => {
  for (const name of ["bitpin", "wallex"] as const) {
    it.scopedLive(`${name}: few dials, and data soon after they heal`, () =>
      Effect.gen(function*() {
        const { connections, server } = yield* trap
        const { dataFrame, silence, world } = worlds[name]
        const target = `http://127.0.0.1:${portOf(server.address())}/`
        yield* Effect.forEach(cases(dataFrame, target, silence), (one) =>
          Effect.gen(function*() {
            const { all, before, seen } = yield* play(yield* world(one.ping ?? 20_000), one)
            assert.isAtMost(mostWithin(all, stretch), maxDials, one.name)
            assert.isAtLeast(before.length, one.least, one.name)
            assert.isAtMost(before.length, one.most ?? maxDials * 5, one.name)
            // What the server saw is what was dialled, but for dials that found nobody.
            if (one.heal === undefined) assert.strictEqual(seen, all.length, one.name)
          }), { concurrency: "unbounded", discard: true })
        assert.deepStrictEqual(connections, [])
      }).pipe(Effect.provide(layer)), { concurrent: true, timeout: 60_000 })
  }

  it.scopedLive("control: who comes back at once is caught by the same count", () =>
    Effect.gen(function*() {
      const fake = yield* FakeBitpin.make({ markets: 1 })
      fake.server.script.acceptThenClose = 1006
      let stopped = false
      const dial = () => {
        if (stopped) return
        const socket = new WebSocket(fake.wsUrl)
        socket.on("error", () => {})
        socket.on("close", dial)
      }
      dial()
      yield* Effect.sleep(stretch)
      stopped = true
      assert.isAbove(mostWithin(fake.server.dials.map(({ at }) => at), stretch), maxDials)
    }), { concurrent: true })
})
