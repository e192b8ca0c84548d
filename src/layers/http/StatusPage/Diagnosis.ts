/**
 * The line on top of the page: what is wrong and what is being done about it, in words. Pure; of a report alone. What others said (a
 * message, a name) is text, to be escaped by whoever shows it.
 */
import type { Exchange, Lane, Report } from "./Report.ts"
import * as Words from "./Words.ts"

/** Whole sentences, the worst first; one if all is well. */
export const sentences = (report: Report): ReadonlyArray<string> => {
  const wrong = [
    ...phase(report),
    ...losses(report),
    ...kafka(report),
    ...report.exchanges.flatMap((exchange) => exchangeTrouble(report, exchange)),
    ...holes(report),
    ...otherChecks(report)
  ]
  return wrong.length > 0 ? wrong : [well(report)]
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((all, one) => all + one, 0)

const phase = ({ health, lanes }: Report): ReadonlyArray<string> => {
  if (health.status === "draining") return ["It was told to stop: what waits is made durable, then it ends."]
  if (lanes.length === 0) return ["It starts: the queue is being recovered."]
  return health.status === "starting" ? ["It starts: no exchange has given data yet."] : []
}

const losses = ({ lanes }: Report): ReadonlyArray<string> =>
  lanes.filter(({ queueState }) => queueState === "full").map(({ topic }) =>
    `The queue of ${topic} is full: the policy of QUEUE_FULL_POLICY applies, and each loss is counted and told.`
  )

const until = (report: Report, retryAt: string | null): string => {
  if (retryAt === null) return ""
  const [then, now] = [Date.parse(retryAt), Date.parse(report.timestamp)]
  return then - now < 1000 ? " It is being tried again." : ` It is tried again ${Words.ago(then, now)}.`
}

/** Time to full at the pace of the last minute; empty where it does not grow. */
const full = ({ history, queue }: Report): string => {
  const grown = history.queuedBytes.slice(-7)
  const [first, last] = [grown[0], grown.at(-1)]
  if (queue === null || first === undefined || last === undefined || grown.length < 2 || last <= first) return ""
  const perMs = (last - first) / ((grown.length - 1) * history.every)
  return `, full in ${Words.span((queue.maxBytes - queue.bytes) / perMs)} at this pace`
}

const kafka = (report: Report): ReadonlyArray<string> => {
  const { breakers, health, lanes, queue } = report
  const check = health.checks["kafka"]
  const behind = lanes.filter(({ mode }) => mode !== "straight")
  const waiting = sum(behind.map(({ queued }) => queued))
  const room = queue === null
    ? ""
    : ` (${Words.bytes(queue.bytes)} of ${Words.bytes(queue.maxBytes)}${full(report)})`
  const kept = lanes.every(({ queueState }) => queueState === "ok") ? "; nothing is lost" : ""
  const queued = waiting === 0
    ? ""
    : ` ${Words.several(waiting, "event")} wait${waiting === 1 ? "s" : ""} on disk${room}${kept}.`
  const open = breakers.filter(({ name, state }) => name.startsWith("kafka_") && state !== "closed")
  if (check?.status === "unhealthy" || open.length > 0) {
    const why = check?.message ?? behind.map(({ message }) => message).find((message) => message !== null)
    return [
      `Kafka takes nothing${why === undefined || why === null ? "" : `: ${why}`}.${queued}${
        until(report, open[0]?.retryAt ?? null)
      }`
    ]
  }
  return waiting === 0
    ? []
    : [
      `Kafka is back: ${Words.several(waiting, "event")} ${
        waiting === 1 ? "is" : "are"
      } sent from the disk in order, then new ones${drain(behind)}.`
    ]
}

const drain = (behind: ReadonlyArray<Lane>): string => {
  const oldest = behind.flatMap(({ oldest }) => oldest === null ? [] : [oldest]).sort()[0]
  return oldest === undefined ? "" : `; the oldest is of ${oldest}`
}

const exchangeTrouble = (report: Report, one: Exchange): ReadonlyArray<string> => {
  const { connections, exchange, lastError } = one
  const api = report.health.checks[`${exchange}_api`]
  const breaker = report.breakers.find(({ name }) => name === `${exchange}_ws`)
  const lost = connections.filter(({ state }) => state !== "open").length
  const said = lastError === null ? "" : ` (${lastError})`
  const again = breaker?.state === "open" ? until(report, breaker.retryAt) : " It is dialled again."
  const stale = one.markets.filter((market) => market.stale).length
  return [
    ...(lost === 0 || report.health.status === "starting"
      ? []
      : [
        `${exchange}: ${
          lost === connections.length ? "no connection" : `${lost} of ${connections.length} connections lost`
        }${said}.${again}`
      ]),
    ...(api?.status === "unhealthy"
      ? [
        `${exchange}: its API does not answer${
          api.message === undefined ? "" : ` (${api.message})`
        }; holes wait for it.`
      ]
      : []),
    ...(stale === 0
      ? []
      : [`${exchange}: ${Words.several(stale, "market")} silent for longer than usual; asked for anew.`])
  ]
}

const holes = ({ exchanges }: Report): ReadonlyArray<string> => {
  const open = exchanges.filter(({ gaps }) => gaps.open > 0)
  if (open.length === 0) return []
  const where = open.map(({ exchange, gaps }) => `${Words.count(gaps.open)} at ${exchange}`).join(", ")
  return [`Holes in the data: ${where}. The exchange's history is asked; what it does not have is told.`]
}

/** Of which nothing was said above. */
const otherChecks = ({ exchanges, health }: Report): ReadonlyArray<string> =>
  Object.entries(health.checks)
    .filter(([name, { status }]) =>
      (status === "unhealthy" || status === "degraded") && name !== "kafka" && !name.endsWith("_circuit_breaker") &&
      !exchanges.some(({ exchange }) => name === `${exchange}_api` || name === `${exchange}_websocket`)
    )
    .map(([name, { message, status }]) => `${name} is ${status}${message === undefined ? "" : `: ${message}`}.`)

const well = ({ exchanges, history }: Report): string => {
  const rate = history.delivered.at(-1)
  const connected = exchanges.filter(({ connections }) => connections.some(({ state }) => state === "open")).length
  const from = Words.several(connected, "exchange")
  return rate === undefined
    ? `All is well: events of ${from} are delivered; nothing waits.`
    : `All is well: ${Words.rate(rate).replace(" /s", "")} events a second of ${from} are delivered; nothing waits.`
}
