/** Trades that wait in the queue of an older version: real bytes that it wrote (`test/recordings/data-*`). */
import { assert, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer } from "effect"
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import * as DataDirectory from "../../../src/layers/DataDirectory.ts"
import * as NodeFileOps from "../../../src/layers/node/FileOps.ts"
import * as Fake from "../../../src/layers/testing/FakeKafka.ts"
import { Checkpoint } from "../../../src/services/Checkpoint.ts"
import * as CircuitBreaker from "../../../src/services/CircuitBreaker.ts"
import * as DeadLetters from "../../../src/services/DeadLetters.ts"
import * as Delivery from "../../../src/services/Delivery.ts"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import * as FileQueue from "../../../src/services/FileQueue.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import * as RetryPolicy from "../../../src/services/RetryPolicy.ts"
import * as Board from "../../../src/streams/Board.ts"
import { bitpin } from "../../../src/streams/exchanges/Bitpin.ts"
import * as Identity from "../../../src/streams/trades/Identity.ts"
import { line } from "../../streams/support/recordings.ts"

const topic = "marketdata.trade.v1"
const recorded = path.resolve(import.meta.dirname, "../../recordings/data-d731bbc/queue")

const textOf = (value: string | Uint8Array): string =>
  typeof value === "string" ? value : new TextDecoder().decode(value)

it.scopedLive("goes out byte for byte, three digits of time and all, and is not delivered again with six", () =>
  Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(path.join(tmpdir(), "upgrade-"))),
      (dir) => Effect.sync(() => rmSync(dir, { recursive: true }))
    )
    cpSync(recorded, path.join(directory, "queue"), { recursive: true })
    const context = yield* Layer.build(
      Delivery.layer({
        topicPrefix: "marketdata",
        lanes: ["trade", "status"],
        mode: "fallback",
        linger: Duration.millis(1),
        breaker: { maxFailures: 3, timeout: Duration.millis(100), successThreshold: 1 },
        retry: RetryPolicy.defaults,
        handover: {}
      }).pipe(
        Layer.provideMerge(Layer.mergeAll(
          CircuitBreaker.layer,
          DeadLetters.layer(directory),
          DataDirectory.checkpoint(directory),
          FileQueue.layer({
            dir: directory,
            maxBytes: 1024 * 1024,
            fsync: "always",
            fsyncInterval: "1 second",
            fullPolicy: "drop_oldest"
          }),
          Fake.layer
        )),
        Layer.provide(NodeFileOps.layer),
        Layer.provide(Layer.succeed(Ledger.Ledger, Ledger.make()))
      )
    )
    const fake = Context.get(context, Fake.FakeKafka)
    const delivered = yield* Effect.delay(fake.records(topic), "5 millis").pipe(
      Effect.repeat({ until: (records) => records.length >= 3 })
    )
    const bytes = readFileSync(path.join(recorded, topic, "00000000000000000001.seg")).toString("latin1")
    for (const { value } of delivered) assert.include(bytes, textOf(value))
    assert.deepStrictEqual(delivered.map(({ value }) => JSON.parse(textOf(value)).timestamp), [
      "2026-06-11T12:59:45.263Z",
      "2026-06-11T12:59:46.000Z",
      "2026-07-13T08:25:38.000Z"
    ])

    // What the queue held is known, so the exchange's history, which has six digits now, brings nothing twice.
    yield* Context.get(context, Delivery.Delivery).stop(Duration.seconds(5))
    const markets = yield* Context.get(context, Checkpoint).markets
    assert.strictEqual(markets.get("bitpin:BTC/IRT")?.lastTimestamp, "2026-06-11T12:59:46.000Z")
    const identity = Identity.make("bitpin", markets, Board.make(FeedStatus.make(), "bitpin"))
    const state = identity.market({ symbol: "BTC/IRT", exchangeSymbol: "BTC_IRT" })
    const rows = bitpin.socket.decode(line("bitpin", "reconstructed-bitpin-ws", 5), () => undefined)
      .flatMap((message) => message._tag === "trades" ? message.rows : [])
    assert.deepStrictEqual(rows.map(({ time }) => time), ["2026-06-11T12:59:45.263627Z"])
    assert.deepStrictEqual(state.identify(identity.views.open(), rows), [])
  }))
