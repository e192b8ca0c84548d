/**
 * Which part of the markets a collector has when several share them. Nobody coordinates: each market's record key says where it
 * belongs, by the hash that also names its partition (`Murmur2`), so that any tool with Kafka's own hash finds the collector of a market.
 */
import { partitionOf } from "./Murmur2.ts"

export interface Assignment {
  /** From 1 on. */
  readonly index: number
  readonly count: number
}

/** Nothing is shared. */
export const whole: Assignment = { index: 1, count: 1 }

/** More than there are markets would be a mistake. */
export const maxShards = 1000

/** Of one exchange's canonical symbols. Of all shards of one count, exactly one has a symbol. */
export const share = ({ count, index }: Assignment, exchange: string): (symbol: string) => boolean =>
  count === 1 ? () => true : (symbol) => partitionOf(`${exchange}:${symbol}`, count) === index - 1
