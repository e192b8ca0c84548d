/**
 * Which part of the markets a collector has when several share them. Nobody coordinates: each market's record key says where it
 * belongs, by the hash that also names its partition (`Murmur2`), so that any tool with Kafka's own hash finds the collector of a market.
 */
import { partitionOf } from "./Murmur2.ts"

/**
 * One part of `count` equal ones.
 *
 * @since 0.1.0
 * @category models
 */
export interface Assignment {
  /** From 1 on. */
  readonly index: number
  readonly count: number
}

/**
 * The only part of one: nothing is shared.
 *
 * @since 0.1.0
 * @category constants
 */
export const whole: Assignment = { index: 1, count: 1 }

/**
 * The most parts that settings may ask for: more than there are markets would be a mistake.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxShards = 1000

/**
 * Whether a canonical symbol of an exchange belongs to this part. Of all parts of one count, exactly one has it.
 *
 * @since 0.1.0
 * @category predicates
 */
export const share = ({ count, index }: Assignment, exchange: string): (symbol: string) => boolean =>
  count === 1 ? () => true : (symbol) => partitionOf(`${exchange}:${symbol}`, count) === index - 1
