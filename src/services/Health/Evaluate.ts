/**
 * Health as a plain function of (inputs, now): the checks one by one, and the whole by the table of docs/design/contract.md "Health",
 * which is not the worst of the checks.
 */
import * as Duration from "effect/Duration"
import type { Group } from "../CircuitBreaker.ts"
import type { ExchangeStatus, Polling } from "../FeedStatus.ts"
import { isNoRoom } from "../FileOps.ts"
import { isNearlyFull } from "../FileQueue.ts"
import { oneLine } from "../Text.ts"
import * as Time from "../Time.ts"
import type { Answer, Check, CheckStatus, DiskResult, Inputs, Result, Status } from "./Model.ts"

/** What was refused, dropped or held so long ago still counts. */
const refusedFor = 60_000

/** So many periods without a result, and the check itself is broken. */
const staleAfter = 3

/** An answer of Kafka's that is owed for longer than this, ms, is none: by then what waits goes to the disk. */
const answerWithin = 1_000

/**
 * One line of at most 200 characters, without the credentials of an address (docs/design/platform.md "Messages of others").
 *
 * @since 0.1.0
 * @category conversions
 */
export const messageOf = (text: string): string => oneLine(text)

export const evaluate = (inputs: Inputs, now: Time.Moment): Answer => {
  const checks = checksOf(inputs, now)
  return {
    status: statusOf(inputs, checks, now),
    timestamp: Time.iso(now.wall),
    checks: Object.fromEntries(checks)
  }
}

/**
 * The HTTP status of `/health` and `/health/ready` alike; `/health/live` is always 200.
 *
 * @since 0.1.0
 * @category conversions
 */
export const codeOf = (status: Status): 200 | 503 => status === "healthy" || status === "degraded" ? 200 : 503

// internal

type Checks = ReadonlyArray<readonly [name: string, check: Check]>

const statusOf = (inputs: Inputs, checks: Checks, now: Time.Moment): Status => {
  if (inputs.draining) return "draining"
  if (unwritable(inputs) || refused(inputs, now)) return "unhealthy"
  if (inputs.sink === undefined || (inputs.uptime < inputs.startupGrace && isWaiting(inputs.exchanges))) {
    return "starting"
  }
  // An exchange that still starts up while another gives data is no trouble yet.
  return checks.every(([, { status }]) => status === "healthy" || status === "starting") ? "healthy" : "degraded"
}

const checksOf = (inputs: Inputs, now: Time.Moment): Checks => [
  ["kafka", kafka(inputs, now)],
  ...inputs.exchanges.flatMap((exchange): Checks => [
    [`${exchange.exchange}_api`, api(inputs, exchange)],
    [`${exchange.exchange}_websocket`, websocket(inputs, exchange, now)]
  ]),
  ["api_circuit_breaker", breakers(inputs, "api", now)],
  ["ws_circuit_breaker", breakers(inputs, "ws", now)],
  ["kafka_circuit_breaker", breakers(inputs, "kafka", now)],
  ["persistence", persistence(inputs, now)],
  ["disk", disk(inputs, now)]
]

interface Details extends Partial<Omit<Check, "status" | "last_check" | "duration">> {
  readonly durationMs?: number | undefined
}

const checkOf = (status: CheckStatus, checkedAt: Time.WallTime | null, details: Details = {}): Check => {
  const { durationMs, message, ...rest } = details
  return {
    status,
    last_check: checkedAt === null ? null : Time.iso(checkedAt),
    duration: `${Math.max(0, Math.round(durationMs ?? 0))}ms`,
    ...(message === undefined ? {} : { message: messageOf(message) }),
    ...rest
  }
}

const notYet = checkOf("starting", null, { message: "not checked yet" })

const isStale = (inputs: Inputs, result: Result, now: Time.Moment): boolean =>
  Time.between(result.at, now.at) > staleAfter * inputs.period

const stale = (result: Result): Check =>
  checkOf("unhealthy", result.checkedAt, { durationMs: result.durationMs, message: "stale check" })

// Kafka

interface Trouble {
  readonly message: string
  readonly at: Time.WallTime
  /** How long it has lasted, if that is known. */
  readonly durationMs?: number
}

/** What the lanes know themselves, long before the next check in the background. */
const laneTrouble = (inputs: Inputs, now: Time.Moment): Trouble | undefined => {
  for (const { awaited = null, kafka, topic } of inputs.sink?.lanes ?? []) {
    if (kafka.message !== null) {
      return { message: `${topic}: ${kafka.message}`, at: kafka.failedAt?.wall ?? now.wall }
    }
    if (awaited !== null && awaited > answerWithin) {
      return { message: `${topic}: no answer yet`, at: now.wall, durationMs: awaited }
    }
  }
  const open = inputs.breakers.find(({ group, state }) => group === "kafka" && state === "open")
  return open === undefined
    ? undefined
    : { message: `the circuit breaker ${open.name} is open`, at: now.wall }
}

/** The last word of the check in the background, unless a send has done better since. */
const probeFailed = (inputs: Inputs): boolean => {
  const { kafka: result, sink } = inputs
  return result !== undefined && result.outcome !== "ok" &&
    !(sink?.lanes.some(({ kafka: { ackedAt } }) => ackedAt !== null && Time.between(result.at, ackedAt.at) > 0) ??
      false)
}

const kafkaDown = (inputs: Inputs, now: Time.Moment): boolean =>
  laneTrouble(inputs, now) !== undefined || probeFailed(inputs) ||
  inputs.breakers.some(({ group, state }) => group === "kafka" && state !== "closed")

const kafka = (inputs: Inputs, now: Time.Moment): Check => {
  const { kafka: result } = inputs
  const trouble = laneTrouble(inputs, now)
  if (trouble !== undefined) {
    const { at, durationMs = result?.durationMs, message } = trouble
    return checkOf("unhealthy", at, { durationMs, message })
  }
  if (result === undefined) return notYet
  if (isStale(inputs, result, now)) return stale(result)
  const { checkedAt, durationMs } = result
  return probeFailed(inputs)
    ? checkOf("unhealthy", checkedAt, { durationMs, message: result.message ?? "no answer" })
    : checkOf("healthy", checkedAt, { durationMs })
}

// Exchanges

/** None of its markets is chosen, as may happen to a small share of them: nothing is waited for. */
const isIdle = (exchange: ExchangeStatus): boolean => exchange.listed === 0

const isSilent = (exchange: ExchangeStatus): boolean => exchange.lastDataAt === null && !isIdle(exchange)

/** For the first data of any of them. */
const isWaiting = (exchanges: ReadonlyArray<ExchangeStatus>): boolean =>
  exchanges.length === 0 || (exchanges.some(isSilent) && exchanges.every((one) => isSilent(one) || isIdle(one)))

const isStarting = (inputs: Inputs, exchange: ExchangeStatus): boolean =>
  isSilent(exchange) && inputs.uptime < inputs.startupGrace

/** As its feed has seen it. */
const api = (inputs: Inputs, exchange: ExchangeStatus): Check => {
  const { checkedAt, durationMs, message, ok } = exchange.api
  const bad = isStarting(inputs, exchange) ? "starting" : "unhealthy"
  if (checkedAt === null || ok === null) return checkOf(bad, null, { message: "not checked yet" })
  const took = { durationMs: durationMs ?? 0 }
  return ok
    ? checkOf("healthy", checkedAt, took)
    : checkOf(bad, checkedAt, { ...took, message: message ?? "no answer" })
}

const notUsed = ({ every }: Polling): string =>
  `not used: trades are asked for by REST, of each market every ${
    Duration.format(Duration.seconds(Math.round(every / 1_000)))
  }`

const websocket = (inputs: Inputs, exchange: ExchangeStatus, now: Time.Moment): Check => {
  const connections = Array.from(exchange.connections.values())
  const open = connections.filter(({ state }) => state === "open").length
  if (isIdle(exchange)) return checkOf("healthy", now.wall, { message: "none of its markets is chosen" })
  if (exchange.polling?.isAlone === true) return checkOf("healthy", now.wall, { message: notUsed(exchange.polling) })
  const why = exchange.lastError === null ? "" : `: ${exchange.lastError}`
  if (isSilent(exchange)) {
    return checkOf(isStarting(inputs, exchange) ? "starting" : "unhealthy", now.wall, { message: `no data yet${why}` })
  }
  if (open === 0) return checkOf("unhealthy", now.wall, { message: `not connected${why}` })
  return open < connections.length
    ? checkOf("degraded", now.wall, { message: `${open} of ${connections.length} connections are up${why}` })
    : checkOf("healthy", now.wall)
}

// Breakers

/** Never worse than degraded: a breaker that is open does its work. */
const breakers = (inputs: Inputs, group: Group, now: Time.Moment): Check => {
  const all = inputs.breakers.filter((breaker) => breaker.group === group)
  return checkOf(all.every(({ state }) => state === "closed") ? "healthy" : "degraded", now.wall, {
    breakers: all.map(({ name, retryAt, state }) => ({
      name,
      state,
      retry_at: retryAt === null ? null : Time.iso(retryAt)
    }))
  })
}

// Disk

/** A full disk is no broken one: the queue then goes by its policy, and what that refuses is looked at. */
const isFull = ({ code }: DiskResult): boolean => code !== null && isNoRoom({ code })

const failedQueue = (inputs: Inputs) => inputs.sink?.lanes.find(({ queue }) => queue.state === "failed")

/** What did not answer in time may only be slow; the queue's own watch ends the process when its writer is stuck. */
const unwritable = (inputs: Inputs): boolean =>
  failedQueue(inputs) !== undefined ||
  (inputs.disk !== undefined && inputs.disk.outcome === "failed" && !isFull(inputs.disk))

const refused = (inputs: Inputs, now: Time.Moment): boolean =>
  kafkaDown(inputs, now) &&
  (inputs.sink?.lanes.some(({ refusedAt }) => refusedAt !== null && Time.between(refusedAt, now.at) <= refusedFor) ??
    false)

const persistence = (inputs: Inputs, now: Time.Moment): Check => {
  const { sink } = inputs
  if (sink === undefined) return checkOf("starting", null, { message: "the queue is being recovered" })
  const { bytes, maxBytes } = sink.usage
  const details = {
    records: sink.lanes.reduce((sum, { queue }) => sum + queue.records, 0),
    bytes,
    max_bytes: maxBytes
  }
  const say = (status: CheckStatus, message?: string) => checkOf(status, now.wall, { ...details, message })
  const failed = failedQueue(inputs)
  if (failed !== undefined) return say("unhealthy", `${failed.topic}: ${failed.disk.message ?? "the disk has failed"}`)
  if (refused(inputs, now)) return say("unhealthy", "records were refused, dropped or held back while Kafka is down")
  const troubled = sink.lanes.find((lane) => lane.disk.message !== null)
  if (troubled !== undefined) return say("degraded", `${troubled.topic}: ${troubled.disk.message}`)
  if (sink.lanes.some(({ queue }) => queue.state === "full")) return say("degraded", "no room on the disk")
  if (typeof sink.checkpointFailure === "string") return say("degraded", `the checkpoint: ${sink.checkpointFailure}`)
  return isNearlyFull(sink.usage)
    ? say("degraded", `${Math.floor((100 * bytes) / maxBytes)} % of the queue is in use`)
    : say("healthy")
}

const disk = (inputs: Inputs, now: Time.Moment): Check => {
  const { disk: result } = inputs
  if (result === undefined) return notYet
  if (isStale(inputs, result, now)) return stale(result)
  const { checkedAt, durationMs, freeBytes } = result
  const details = { durationMs, ...(freeBytes === null ? {} : { free_bytes: freeBytes }) }
  return result.outcome === "ok"
    ? checkOf("healthy", checkedAt, details)
    : checkOf(isFull(result) ? "degraded" : "unhealthy", checkedAt, {
      ...details,
      message: result.message ?? "no answer"
    })
}
