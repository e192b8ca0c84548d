/**
 * The exchanges that a program knows, in the order in which they are shown: what can be set, what is checked, listed and collected all
 * comes from this list. Another list is provided as this service: `Effect.provideService(Exchanges, [...])`.
 */
import * as Context from "effect/Context"
import type { Exchange } from "./Exchange.ts"
import { exchanges } from "./exchanges/index.ts"

/**
 * The exchanges that a program knows, in their order. Those of this package if nothing else is provided.
 *
 * @since 0.1.0
 * @category tags
 */
export class Exchanges extends Context.Reference<Exchanges>()("effect-exchange-feeds/streams/Exchanges", {
  defaultValue: (): ReadonlyArray<Exchange> => Object.values(exchanges)
}) {}

/**
 * Ids of those that are collected where nobody names any; all, if none of a list is collected by default.
 *
 * @since 0.1.0
 * @category accessors
 */
export const defaults = (list: ReadonlyArray<Exchange>): ReadonlyArray<string> => {
  const some = list.filter(({ byDefault }) => byDefault !== false)
  return (some.length > 0 ? some : list).map(({ id }) => id)
}

/** What settings, keys and metrics of others begin with, or are called. */
const reserved = ["api", "backfill", "collector", "data", "health", "kafka", "log", "queue", "recovered", "retry", "ws"]

/**
 * What is wrong with a list, one line each; none if it can be used.
 *
 * @since 0.1.0
 * @category predicates
 */
export const invalid = (list: ReadonlyArray<Exchange>): ReadonlyArray<string> =>
  list.flatMap(({ id }, i) => {
    if (!/^[a-z][a-z0-9]{0,31}$/.test(id)) {
      return [`expected ids of lower case letters and digits, a letter first, got the exchange ${JSON.stringify(id)}`]
    }
    if (reserved.includes(id)) return [`expected ids that nothing else is called, got the exchange "${id}"`]
    return list.findIndex((other) => other.id === id) < i ? [`expected each exchange once, got "${id}" twice`] : []
  })
