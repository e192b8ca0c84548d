/** A collector that never was, to be looked at over HTTP. */
import { Effect, Ref } from "effect"
import type { Sources } from "../../../src/layers/http/Monitor.ts"
import type { LaneStatus } from "../../../src/services/Delivery.ts"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import type * as Health from "../../../src/services/Health.ts"
import { evaluate } from "../../../src/services/Health/Evaluate.ts"
import type { Inputs } from "../../../src/services/Health/Model.ts"
import * as Ledger from "../../../src/services/Ledger.ts"
import { breaker, exchange, fine, lane, now } from "../../services/Health/inputs.ts"

export const laneStatus = (over: Partial<LaneStatus> = {}): LaneStatus => ({
  ...lane(),
  name: "trade",
  mode: "straight",
  waitingRecords: 0,
  waitingBytes: 0,
  sending: 0,
  ...over
})

export interface Stage {
  readonly sources: Sources
  /** What health is made of. */
  readonly inputs: Ref.Ref<Inputs>
  readonly status: FeedStatus.Shape
  readonly ledger: Ledger.Shape
}

export const make = (over: Partial<Sources> = {}): Effect.Effect<Stage> =>
  Effect.map(Ref.make(fine()), (inputs) => {
    const status = FeedStatus.make(["bitpin", "wallex"])
    status.update("bitpin", () => exchange("bitpin"))
    const ledger = Ledger.make()
    ledger.received({ lane: "trade", exchange: "bitpin" }, 7)
    ledger.move({ lane: "trade", exchange: "bitpin" }, "in_flight", "delivered", 7)
    const health: Health.Health["Type"] = {
      answer: Effect.map(Ref.get(inputs), (all) => evaluate(all, now)),
      drain: Ref.update(inputs, (all) => ({ ...all, draining: true }))
    }
    const breakers: Sources["breakers"] = {
      make: () => Effect.dieMessage("nobody makes breakers here"),
      snapshots: Effect.succeed([breaker("bitpin_api", "api")]),
      get transitions(): never {
        throw new Error("nobody asks")
      }
    }
    return {
      inputs,
      status,
      ledger,
      sources: {
        version: "0.1.0",
        exchanges: ["bitpin", "wallex"],
        channels: ["trades"],
        ledger,
        status,
        breakers,
        health,
        sink: Effect.succeed({ lanes: [laneStatus()], usage: { bytes: 0, maxBytes: 1000 } }),
        ...over
      }
    }
  })

export const loopback = { host: "127.0.0.1", port: 0 }
