/**
 * What the service uses where nothing else is said (docs/configuration.md).
 */
import * as Duration from "effect/Duration"
import type { Channel } from "../services/MarketEvent.ts"
import * as RetryPolicy from "../services/RetryPolicy.ts"
import type { BooksOptions } from "./books/Options.ts"
import type { Exchange } from "./Exchange.ts"

export const channels: ReadonlyArray<Channel> = ["trades"]

export const stagger = Duration.seconds(1)

export const idleTimeout = Duration.seconds(60)

/** Bytes of the largest frame, for an exchange that says nothing. */
export const usualPayload = 1024 ** 2

/** Bytes of the largest frame that is taken from an exchange. */
export const maxPayload = ({ limits }: Exchange): number => limits.maxPayload ?? usualPayload

export const retry: RetryPolicy.Options = RetryPolicy.defaults

export const marketsRefresh = Duration.minutes(10)

export const backfillHold = Duration.seconds(5)

export const backfillMaxAge = Duration.hours(24)

export const books: BooksOptions = {
  depth: 20,
  interval: Duration.seconds(1),
  refresh: Duration.seconds(60),
  deltas: false
}

export const breakers = {
  api: { maxFailures: 5, timeout: Duration.seconds(60), successThreshold: 3 },
  ws: { maxFailures: 3, timeout: Duration.seconds(30), successThreshold: 2 }
} as const
