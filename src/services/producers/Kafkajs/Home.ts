/**
 * Which cluster answers at the addresses of the settings. After a fail-over or a migration it is another one, while the old one may live
 * on, or come back, at the addresses that it has told its clients.
 */
import * as Effect from "effect/Effect"
import type { ProducerUnavailable } from "../../Producer.ts"
import type { Settings } from "./Client.ts"
import * as Cluster from "./Cluster.ts"

/** One for all lanes. */
export interface Home {
  /** Asks the cluster for its id. */
  readonly ask: Effect.Effect<void, ProducerUnavailable>
  /** How often it became another one. The first counts: a client from before may be connected to any. */
  readonly moves: () => number
}

export const make = (settings: Settings): Home => {
  let clusterId: string | undefined
  let moves = 0
  return {
    ask: Effect.flatMap(Cluster.probe(settings), (now) => {
      const before = clusterId
      if (now === undefined || now === before) return Effect.void
      clusterId = now
      moves += 1
      return before === undefined ? Effect.void : Effect.annotateLogs(
        Effect.logWarning("another cluster answers at Kafka's addresses: from now on it is sent to"),
        { before, now }
      )
    }),
    moves: () => moves
  }
}
