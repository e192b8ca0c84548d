/**
 * What settings say of each other. Compared only if nothing is wrong with either: one mistake is one line.
 */
import * as Duration from "effect/Duration"
import type { Exchange } from "../../streams/Exchange.ts"
import type { Problem } from "./Environment.ts"
import type { Reader } from "./Reader.ts"
import type { Settings } from "./Settings.ts"
import {
  backfill,
  books,
  kafka,
  prefixOf,
  queue,
  retry,
  type Row,
  service,
  traces,
  type Variable
} from "./Variables.ts"

export interface Findings {
  readonly problems: ReadonlyArray<Problem>
  readonly warnings: ReadonlyArray<string>
}

/** OTLP over gRPC, by its registration; over HTTP it is 4318. */
const grpcPort = "4317"

/** The process ends that long after SIGTERM whatever hangs (docs/design/contract.md "Settings"), so a longer wait cannot be had. */
const lastResort = Duration.seconds(19)

export const check = (reader: Reader, settings: Settings): Findings => {
  const problems: Array<Problem> = []
  const warnings: Array<string> = []
  const { protocol } = settings.kafka.security
  const setting = `${kafka.protocol.name}=${protocol}`

  const sasl = [kafka.mechanism, kafka.username, kafka.password]
  const files = [kafka.caLocation, kafka.certificateLocation, kafka.keyLocation]
  if (reader.isGood(kafka.protocol)) {
    if (protocol.startsWith("SASL_")) {
      for (const row of sasl) {
        if (!reader.isSet(row) && reader.isGood(row)) {
          problems.push({ name: row.name, problem: `is needed with ${setting}` })
        }
      }
    } else {
      for (const row of sasl) {
        if (reader.isSet(row)) warnings.push(`${row.name} is not used with ${setting}`)
      }
    }
    if (!protocol.endsWith("SSL")) {
      for (const row of files) {
        if (reader.isSet(row)) warnings.push(`${row.name} is not used with ${setting}`)
      }
    }
    if (protocol === "SASL_PLAINTEXT") warnings.push(`${setting} sends the password and all data unencrypted`)
  }

  const { certificateLocation: certificate, keyLocation: key } = kafka
  for (const [one, other] of [[certificate, key], [key, certificate]] as const) {
    if (reader.isSet(one) && !reader.isSet(other) && reader.isGood(other)) {
      problems.push({ name: other.name, problem: `is needed with ${one.name}` })
    }
  }

  if (
    Duration.greaterThan(settings.retry.baseDelay, settings.retry.maxDelay) &&
    reader.isGood(retry.baseDelay) && reader.isGood(retry.maxDelay)
  ) {
    const { value: base } = reader.effective(retry.baseDelay)
    const { value: max } = reader.effective(retry.maxDelay)
    problems.push(
      reader.isSet(retry.baseDelay)
        ? { name: retry.baseDelay.name, problem: `expected at most ${retry.maxDelay.name} (${max}), got "${base}"` }
        : { name: retry.maxDelay.name, problem: `expected at least ${retry.baseDelay.name} (${base}), got "${max}"` }
    )
  }

  const { hold } = backfill
  if (
    settings.queue.mode === "journal" && reader.isGood(queue.mode) && reader.isSet(hold) && reader.isGood(hold) &&
    !Duration.isZero(reader.get(hold))
  ) {
    const { value } = reader.effective(hold)
    problems.push({
      name: hold.name,
      problem: `expected 0 with ${queue.mode.name}=journal, where nothing waits in memory, got "${value}"`
    })
  }

  problems.push(...refreshProblems(reader, settings))

  if (Duration.greaterThanOrEqualTo(settings.shutdownTimeout, lastResort) && reader.isGood(service.shutdownTimeout)) {
    warnings.push(`${service.shutdownTimeout.name} is more than the 19s after which the process ends in any case`)
  }

  const { endpoint } = settings.traces
  if (endpoint !== undefined && new URL(endpoint).port === grpcPort) {
    warnings.push(
      `${traces.endpoint.name}: port ${grpcPort} is usually OTLP over gRPC; traces go over HTTP, usually to 4318`
    )
  }
  return { problems, warnings }
}

/** Books of an exchange that has them of named markets only (`Books.ofNamedMarkets`), of which none is named. */
export const withoutMarkets = (
  reader: Reader,
  { channels, exchanges, markets, marketsOf }: Settings,
  known: ReadonlyArray<Exchange>,
  row: Variable<ReadonlyArray<string>>
): ReadonlyArray<Problem> => {
  if (!channels.includes("books") || !reader.isGood(row)) return []
  const unnamed = known.filter(({ books, id }) =>
    books?.ofNamedMarkets === true && exchanges.includes(id) && (marketsOf[id] ?? markets).length === 0
  )
  const [first] = unnamed
  if (first === undefined) return []
  const own = unnamed.map((exchange) => `${prefixOf(exchange)}_MARKETS`).join(", ")
  return [{
    name: row.name,
    problem: `is needed for the order books of ${unnamed.map(({ id }) => id).join(", ")}, or ${own}; ` +
      `expected some of its markets, such as ${row.name}=BTC/USDT,ETH/USDT`
  }]
}

/** What is said of order books where none are collected. */
export const withoutChannel = (
  reader: Reader,
  { channels }: Settings,
  row: Variable<ReadonlyArray<string>>
): ReadonlyArray<string> =>
  channels.includes("books") || !reader.isGood(row)
    ? []
    : Object.values<Row>(books).filter((one) => reader.isSet(one)).map(({ name }) =>
      `${name} is not used with ${row.name}=${reader.effective(row).value}`
    )

/** A refresh cannot come sooner than a `book` may, and a reader of deltas begins at an anchor. */
const refreshProblems = (
  reader: Reader,
  { books: { deltas, interval, refresh } }: Settings
): ReadonlyArray<Problem> => {
  const { name } = books.refresh
  const { value } = reader.effective(books.refresh)
  if (!reader.isGood(books.refresh)) return []
  if (Duration.isZero(refresh)) {
    return deltas && reader.isGood(books.deltas)
      ? [{
        name,
        problem: `expected more than 0 with ${books.deltas.name}, whose readers begin at an anchor, got "${value}"`
      }]
      : []
  }
  if (!reader.isGood(books.interval) || Duration.lessThanOrEqualTo(interval, refresh)) return []
  const pace = reader.effective(books.interval).value
  return reader.isSet(books.refresh)
    ? [{ name, problem: `expected at least ${books.interval.name} (${pace}) or 0, got "${value}"` }]
    : [{ name: books.interval.name, problem: `expected at most ${name} (${value}), got "${pace}"` }]
}
