/** The whole sink on whatever Kafka there is: real lanes, real queue files, breakers, checkpoint. One life of it in a directory. */
import { Context, Duration, Effect, Exit, Layer, Scope } from "effect"
import { existsSync, readFileSync } from "node:fs"
import * as path from "node:path"
import * as DataDirectory from "../../src/layers/DataDirectory.ts"
import * as NodeFileOps from "../../src/layers/node/FileOps.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as DeadLetters from "../../src/services/DeadLetters.ts"
import * as Delivery from "../../src/services/Delivery.ts"
import { EventSink } from "../../src/services/EventSink.ts"
import * as FileQueue from "../../src/services/FileQueue.ts"
import * as Ledger from "../../src/services/Ledger.ts"
import type { MarketEvent } from "../../src/services/MarketEvent.ts"
import { Producer } from "../../src/services/Producer.ts"
import * as RetryPolicy from "../../src/services/RetryPolicy.ts"
import * as Time from "../../src/services/Time.ts"

export const trade = (n: number, receivedAt: Time.WallTime, market = n % 3): MarketEvent => ({
  type: "trade",
  v: 1,
  exchange: "bitpin",
  symbol: `M${market}/IRT`,
  exchangeSymbol: `M${market}_IRT`,
  id: `x:${n}`,
  price: "1",
  amount: String(n + 1),
  side: "buy",
  timestamp: null,
  receivedAt: Time.iso(receivedAt),
  source: "ws"
})

/** Topics are `<prefix>.trade.v1` and `<prefix>.status.v1`. */
export const begin = Effect.fnUntraced(function*(
  directory: string,
  prefix: string,
  producer: Producer["Type"]
) {
  const ledger = Ledger.make()
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(
    Delivery.layer({
      topicPrefix: prefix,
      lanes: ["trade", "status"],
      mode: "fallback",
      linger: Duration.millis(1),
      breaker: { maxFailures: 3, timeout: Duration.millis(100), successThreshold: 1 },
      retry: { ...RetryPolicy.defaults, baseDelay: Duration.millis(10), maxDelay: Duration.millis(50) },
      handover: { spillAfter: 100 }
    }).pipe(
      Layer.provideMerge(Layer.mergeAll(
        CircuitBreaker.layer,
        DeadLetters.layer(directory),
        DataDirectory.checkpoint(directory),
        FileQueue.layer({
          dir: directory,
          maxBytes: 1024 * 1024 * 1024,
          fsync: "never",
          fsyncInterval: "1 second",
          fullPolicy: "drop_oldest"
        })
      )),
      Layer.provide(NodeFileOps.layer),
      Layer.provide(Layer.succeed(Producer, producer)),
      Layer.provide(Layer.succeed(Ledger.Ledger, ledger))
    ),
    scope
  )
  const sink = Context.get(context, EventSink)
  const { lanes, stop } = Context.get(context, Delivery.Delivery)
  const tradeLane = Effect.map(lanes, ([first]) => {
    if (first === undefined) throw new Error("no lane")
    return first
  })
  return {
    offer: (events: ReadonlyArray<MarketEvent>) =>
      Effect.suspend(() => {
        for (const { exchange } of events) ledger.received({ lane: "trade", exchange }, 1)
        return sink.offer(events)
      }),
    /** Of trades. */
    lane: tradeLane,
    /** Waits for what the lane comes to. */
    reach: (until: (lane: Delivery.LaneStatus) => boolean) =>
      Effect.repeat(Effect.delay(tradeLane, "20 millis"), { until }),
    /** Everything that was offered is acknowledged. */
    delivered: Effect.repeat(
      Effect.delay(Effect.sync(() => ledger.accounts()), "20 millis"),
      { until: (accounts) => accounts.every(({ delivered, received }) => received === delivered) }
    ),
    deadLetters: (): ReadonlyArray<string> => {
      const file = path.join(directory, "dead/records.ndjson")
      return existsSync(file) ? readFileSync(file, "utf8").split("\n").filter((line) => line !== "") : []
    },
    end: Effect.andThen(stop(Duration.seconds(5)), Scope.close(scope, Exit.void))
  }
})
