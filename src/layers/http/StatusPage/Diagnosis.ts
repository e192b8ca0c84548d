/**
 * The line on top of the page: what is wrong and what is being done about it, in words. Pure; of a report alone. What others said (a
 * message, a name) is text, to be escaped by whoever shows it.
 *
 * A sentence speaks for a check of `/health`; a check that is not healthy and has no sentence of its own is named as it is, so that nothing
 * is left out.
 */
import type { Exchange, Report } from "./Report.ts"
import * as Words from "./Words.ts"

/** Whole sentences, the worst first; one if all is well. */
export const sentences = (report: Report): ReadonlyArray<string> => {
  const isStopping = report.health.status === "draining"
  const found = [
    ...kafka(report),
    // What is told to stop asks and dials nobody any more.
    ...(isStopping ? [] : report.exchanges.flatMap((exchange) => exchangeTrouble(report, exchange))),
    ...(isStopping ? [] : holes(report))
  ]
  const wrong = [...phase(report), ...found.map(({ text }) => text), ...others(report, found, isStopping)]
  return wrong.length > 0 ? wrong : [well(report)]
}

interface Found {
  readonly text: string
  /** Names of the checks that it speaks for. */
  readonly checks: ReadonlyArray<string>
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((all, one) => all + one, 0)

const isOrAre = (count: number): string => count === 1 ? "is" : "are"

const brackets = (text: string | null | undefined): string => text === null || text === undefined ? "" : ` (${text})`

const phase = ({ health, lanes }: Report): ReadonlyArray<string> => {
  if (health.status === "draining") return ["It was told to stop: what waits is made durable, then it ends."]
  if (lanes.length === 0) return ["It starts: the queue is being recovered."]
  return health.status === "starting" ? ["It starts: no exchange has given data yet."] : []
}

const until = (report: Report, retryAt: string | null): string => {
  if (retryAt === null) return ""
  const [then, now] = [Date.parse(retryAt), Date.parse(report.timestamp)]
  return then - now < 1000 ? " It is being tried again." : ` It is tried again ${Words.ago(then, now)}.`
}

/**
 * Where the queue is going at the pace at which it has grown, or shrunk, without a break within the last minute: `full in 3 h`, `empty in 4 s`.
 * Undefined while that is not known.
 */
export const trend = ({ history, queue }: Pick<Report, "history" | "queue">): string | undefined => {
  if (queue === null) return undefined
  const minute = history.queuedBytes.slice(-7)
  const last = minute.at(-1) ?? 0
  const isGrowing = last > (minute.at(-2) ?? last)
  let first = last
  let steps = 0
  for (const bytes of minute.slice(0, -1).reverse()) {
    if (isGrowing ? bytes >= first : bytes <= first) break
    first = bytes
    steps += 1
  }
  if (steps === 0) return undefined
  const perMs = Math.abs(last - first) / (steps * history.every)
  return isGrowing
    ? `full in ${Words.span(Math.max(0, queue.maxBytes - queue.bytes) / perMs)}`
    : queue.bytes === 0
    ? undefined
    : `empty in ${Words.span(queue.bytes / perMs)}`
}

/** How much room there is, and for how long at the present pace. */
const room = ({ history, queue }: Report): string => {
  if (queue === null) return ""
  const used = `${Words.bytes(queue.bytes)} of ${Words.bytes(queue.maxBytes)}`
  if (queue.bytes >= queue.maxBytes) return ` (${used}, full)`
  const going = trend({ history, queue })
  return going === undefined ? ` (${used})` : ` (${used}, ${going} at this pace)`
}

/** Only while the queue takes all that comes: beyond its bounds, or without room on the disk, its policy drops. */
const isKept = ({ health, lanes }: Report): boolean =>
  health.checks["persistence"]?.status !== "unhealthy" && lanes.every(({ queueState }) => queueState === "ok")

/** A queue that is always behind by what is under way, as in the mode `journal`, is not one that waits for Kafka. */
const longAgo = 5_000

const kafka = (report: Report): ReadonlyArray<Found> => {
  const { breakers, health, lanes, timestamp } = report
  const check = health.checks["kafka"]
  const refused = lanes.filter(({ message }) => message !== null)
  const old = lanes.filter(({ mode, oldest }) =>
    mode !== "straight" && oldest !== null && Date.parse(timestamp) - Date.parse(oldest) >= longAgo
  )
  const open = breakers.filter(({ name, state }) => name.startsWith("kafka_") && state !== "closed")
  const checks = ["kafka", "kafka_circuit_breaker"]
  if (check?.status === "unhealthy" || open.length > 0) {
    const which = refused.length > 0 && refused.length < lanes.length
      ? `does not take ${refused.map(({ topic }) => topic).join(", ")}`
      : "takes nothing"
    const why = check?.message ?? refused[0]?.message
    const waiting = sum(lanes.map(({ queued }) => queued))
    const queued = waiting === 0
      ? ""
      : ` ${Words.several(waiting, "event")} wait${waiting === 1 ? "s" : ""} on disk${room(report)}${
        isKept(report) ? "; nothing is lost" : ""
      }.`
    const retries = open.flatMap(({ retryAt }) => retryAt === null ? [] : [retryAt]).sort()
    return [{
      checks,
      text: `Kafka ${which}${why === undefined || why === null ? "" : `: ${why}`}.${queued}${
        until(report, retries[0] ?? null)
      }`
    }]
  }
  const waiting = sum(old.map(({ queued }) => queued))
  if (waiting === 0) return []
  const oldest = old.flatMap(({ oldest }) => oldest === null ? [] : [Date.parse(oldest)]).sort((a, b) => a - b)[0]
  const age = oldest === undefined ? "" : `; the oldest is of ${Words.ago(oldest, Date.parse(timestamp))}`
  return [{
    checks: [],
    text: `${Words.several(waiting, "event")} ${
      isOrAre(waiting)
    } being sent from the disk, in order, before new ones${age}.`
  }]
}

const exchangeTrouble = (report: Report, one: Exchange): ReadonlyArray<Found> => {
  const { connections, exchange, lastError } = one
  const checks = report.health.checks
  const breakerOf = (group: string) => report.breakers.find(({ name }) => name === `${exchange}_${group}`)
  const [api, ws] = [breakerOf("api"), breakerOf("ws")]
  // One that is being opened was not lost: at a start one follows the other, and a successor stands beside the one it is to replace.
  const lost = connections.filter(({ state }) => state === "backoff").length
  const stale = one.markets.filter((market) => market.stale).length
  const answer = checks[`${exchange}_api`]
  const found: Array<Found> = []
  if (lost > 0) {
    const which = lost === connections.length
      ? "no connection"
      : `${lost} of ${connections.length} connections ${isOrAre(lost)} lost`
    found.push({
      checks: [`${exchange}_websocket`, "ws_circuit_breaker"],
      text: `${exchange}: ${which}${brackets(lastError)}.${
        ws?.state === "open" ? until(report, ws.retryAt) : " It is dialled again."
      }`
    })
  }
  if (answer?.status === "unhealthy" || api?.state === "open") {
    found.push({
      checks: [`${exchange}_api`, "api_circuit_breaker"],
      text: `${exchange}: its API does not answer${brackets(answer?.message)}; holes wait for it.${
        api?.state === "open" ? until(report, api.retryAt) : ""
      }`
    })
  }
  if (stale > 0) {
    found.push({
      checks: [],
      text: `${exchange}: ${Words.several(stale, "market")} silent for longer than usual; asked for anew.`
    })
  }
  const { doubtful } = one.books
  if (doubtful > 0) {
    found.push({
      checks: [],
      text: `${exchange}: ${Words.several(doubtful, "order book")} ${
        isOrAre(doubtful)
      } in doubt, and not sent until whole again.`
    })
  }
  return found
}

const holes = ({ exchanges }: Report): ReadonlyArray<Found> => {
  const open = exchanges.filter(({ gaps }) => gaps.open > 0)
  if (open.length === 0) return []
  const where = open.map(({ exchange, gaps }) => `${Words.count(gaps.open)} at ${exchange}`).join(", ")
  return [{
    checks: [],
    text: `Holes in the data: ${where}. The exchange's history is asked; what it does not have is told.`
  }]
}

/** The checks that are not healthy, of which nothing was said. */
const others = (
  { exchanges, health }: Report,
  found: ReadonlyArray<Found>,
  isStopping: boolean
): ReadonlyArray<string> => {
  const said = new Set(found.flatMap(({ checks }) => checks))
  const isOfExchange = (name: string) =>
    exchanges.some(({ exchange }) => name === `${exchange}_api` || name === `${exchange}_websocket`)
  return Object.entries(health.checks)
    .filter(([name, { status }]) => (status === "unhealthy" || status === "degraded") && !said.has(name))
    .filter(([name]) => !isStopping || !isOfExchange(name))
    .map(([name, { message, status }]) => `${name} is ${status}${message === undefined ? "" : `: ${message}`}.`)
}

const well = ({ exchanges, history }: Report): string => {
  const rate = history.delivered.at(-1)
  const connected = exchanges.filter(({ connections }) => connections.some(({ state }) => state === "open")).length
  const from = Words.several(connected, "exchange")
  return rate === undefined
    ? `All is well: events of ${from} are delivered; nothing waits.`
    : `All is well: ${Words.rate(rate).replace(" /s", "")} events a second of ${from} are delivered; nothing waits.`
}
