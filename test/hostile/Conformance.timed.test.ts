/**
 * Conformance of all exchanges. What is measured goes to `docs/conformance.md` with CONFORMANCE_DOC=1. CONFORMANCE_PART (`1/2`): every second of
 * them, from the first on.
 */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import * as FakeBinance from "../../src/layers/testing/FakeBinance.ts"
import * as FakeBitpin from "../../src/layers/testing/FakeBitpin.ts"
import * as FakeBybit from "../../src/layers/testing/FakeBybit.ts"
import * as FakeKraken from "../../src/layers/testing/FakeKraken.ts"
import * as FakeNobitex from "../../src/layers/testing/FakeNobitex.ts"
import * as FakeOkx from "../../src/layers/testing/FakeOkx.ts"
import * as FakeRamzinex from "../../src/layers/testing/FakeRamzinex.ts"
import * as FakeWallex from "../../src/layers/testing/FakeWallex.ts"
import type { Exchange } from "../../src/streams/Exchange.ts"
import { exchanges } from "../../src/streams/exchanges/index.ts"
import * as FakeMadeUp from "../exchanges/FakeMadeUp.ts"
import { madeUp } from "../exchanges/MadeUp.ts"
import { behaviours, conformance, document, type Row, type World } from "./Conformance.ts"
import { layer } from "./Running.ts"

const all: ReadonlyArray<readonly [exchange: Exchange, world: World]> = [
  [exchanges.bitpin, FakeBitpin.make],
  [exchanges.wallex, FakeWallex.make],
  // Unasked it puts no publication into an answer; asked, and that is what it keeps, it gives the last one and calls that all.
  [
    exchanges.nobitex,
    ({ publicationsInReply: cache = false, recovery = cache, ...wishes }) =>
      FakeNobitex.make({ ...wishes, cache, recovery })
  ],
  // Its windows are of fifty rows, always: a smaller one would not be full, and never leave a hole.
  [exchanges.ramzinex, (wishes) => FakeRamzinex.make({ ...wishes, window: 50 })],
  // It counts pongs among the five frames a second that it allows: pings each 200 ms would be its own fault.
  [exchanges.binance, ({ ping, ...wishes }) => FakeBinance.make({ ...wishes, ping: Math.max(ping, 500) })],
  [exchanges.kraken, ({ ping, ...wishes }) => FakeKraken.make({ ...wishes, heartbeat: ping })],
  // Its waits are scaled down, the exchange's limits are not.
  [exchanges.okx, (wishes) => FakeOkx.make({ ...wishes, pages: Infinity })],
  // 600 questions in five seconds are the exchange's limit, and not scaled; nor is what is asked here.
  [exchanges.bybit, (wishes) => FakeBybit.make({ ...wishes, questions: Infinity })],
  [madeUp, FakeMadeUp.make]
]

const [part = 1, parts = 1] = (process.env["CONFORMANCE_PART"] ?? "1/1").split("/").map(Number)

describe("conformance", () => {
  const results = new Map<string, ReadonlyArray<Row>>()
  for (const [exchange, world] of all.filter((_, i) => i % parts === part - 1)) {
    it.scopedLive(`${exchange.id}: ${behaviours.length} behaviours`, () =>
      Effect.gen(function*() {
        const rows = yield* conformance(exchange, world)
        if (exchange !== madeUp) results.set(exchange.id, rows)
        if (process.env["CONFORMANCE_DOC"] === "1" && results.size === all.length - 1) {
          writeFileSync(new URL("../../docs/conformance.md", import.meta.url), document(results))
        }
      }).pipe(Effect.provide(layer)), { timeout: 220_000 })
  }
})
