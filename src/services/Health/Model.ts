/**
 * What health is made of, and what it answers (docs/design/contract.md "Health").
 */
import type { Snapshot } from "../CircuitBreaker.ts"
import type { LaneStatus } from "../Delivery.ts"
import type { ExchangeStatus } from "../FeedStatus.ts"
import type { Instant, WallTime } from "../Time.ts"

/**
 * `starting`: not known yet, within its time. `degraded`: works, and somebody should look. `unhealthy`: does not work.
 *
 * @since 0.1.0
 * @category models
 */
export type CheckStatus = "healthy" | "degraded" | "unhealthy" | "starting"

/**
 * Of the whole: `unhealthy` only where events cannot be taken or made durable any more, `degraded` where any check is not healthy,
 * `draining` from the moment it was told to stop.
 *
 * @since 0.1.0
 * @category models
 */
export type Status = CheckStatus | "draining"

/**
 * A breaker, as `/health` prints it.
 *
 * @since 0.1.0
 * @category models
 */
export interface BreakerReport {
  readonly name: string
  readonly state: Snapshot["state"]
  /** ISO-8601, of an open one. */
  readonly retry_at: string | null
}

/**
 * One check, as `/health` prints it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Check {
  readonly status: CheckStatus
  /** ISO-8601; null before the first. */
  readonly last_check: string | null
  /** Whole milliseconds: `15ms`. */
  readonly duration: string
  /** One line, at most 200 characters. */
  readonly message?: string | undefined
  /** Of the checks of breakers. */
  readonly breakers?: ReadonlyArray<BreakerReport> | undefined
  /** Of `persistence`: what waits on disk. */
  readonly records?: number | undefined
  readonly bytes?: number | undefined
  readonly max_bytes?: number | undefined
  /** Of `disk`. */
  readonly free_bytes?: number | undefined
}

/**
 * The body of `/health`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly status: Status
  /** ISO-8601. */
  readonly timestamp: string
  readonly checks: Readonly<Record<string, Check>>
}

/** What came of a check that was made in the background. */
export interface Result {
  /** To be shown. */
  readonly checkedAt: WallTime
  /** To know its age. */
  readonly at: Instant
  readonly durationMs: number
  /** `unknown`: it did not end in its time. */
  readonly outcome: "ok" | "failed" | "unknown"
  readonly message: string | null
}

export interface DiskResult extends Result {
  readonly freeBytes: number | null
  /** As the operating system names it; of a failure. */
  readonly code: string | null
}

/**
 * Of the sink, once its queues are recovered.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkReport {
  readonly lanes: ReadonlyArray<
    & Pick<LaneStatus, "topic" | "kafka" | "disk" | "refusedAt" | "queue">
    & Partial<Pick<LaneStatus, "awaited">>
  >
  readonly usage: { readonly bytes: number; readonly maxBytes: number }
  /** Why the checkpoint could not be written the last time, with its path; null if it could. */
  readonly checkpointFailure?: string | null | undefined
}

/** All that health depends on. */
export interface Inputs {
  readonly draining: boolean
  /** How long the program runs, ms, monotonic. */
  readonly uptime: number
  readonly startupGrace: number
  /** Between two checks in the background, ms. */
  readonly period: number
  readonly kafka: Result | undefined
  readonly disk: DiskResult | undefined
  readonly exchanges: ReadonlyArray<ExchangeStatus>
  readonly breakers: ReadonlyArray<Snapshot>
  /** Undefined while the queues are being recovered. */
  readonly sink: SinkReport | undefined
}
