/**
 * The log: one line for each entry, on stderr (data on stdout, everything else on stderr), in the form and from the level that
 * the settings say. Values are cut, so that no frame of an exchange fills the disk, and cannot forge lines or move the cursor.
 */
import * as Cause from "effect/Cause"
import * as HashMap from "effect/HashMap"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type { Writable } from "node:stream"
import { escaped } from "../services/Text.ts"
import type { LogSettings } from "./AppConfig.ts"

/** Longest value of a log line, in UTF-16 units. */
const maxLength = 512

/** Stack traces earn more, and stay bounded too. */
const maxCause = 8 * 1024

/**
 * At most `length` UTF-16 units of a text (512 if not given); what was cut is told as `… (<whole length>)`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const cut = (text: string, length: number = maxLength): string =>
  text.length > length ? `${text.slice(0, length)}… (${text.length})` : text

/**
 * One line that leaves a terminal as it was: control characters and what turns the reading direction are written as escapes.
 *
 * @since 0.1.0
 * @category conversions
 */
export const sanitise = (text: string): string => escaped(text)

type Value = string | number | boolean | null

/** What a log line carries, in order. */
interface Entry {
  readonly timestamp: string
  readonly level: string
  readonly message: string
  readonly fields: ReadonlyArray<readonly [key: string, value: Value]>
  readonly cause: string | undefined
}

const textOf = (value: unknown): string => {
  if (value instanceof Error) return `${value.name}: ${value.message}`
  return typeof value === "object" ? Inspectable.toStringUnknown(Inspectable.redact(value), 0) : String(value)
}

const valueOf = (value: unknown): Value =>
  value === null || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))
    ? value
    : cut(textOf(value))

const entryOf = (options: Logger.Logger.Options<unknown>): Entry => {
  const parts = Array.isArray(options.message) ? options.message : [options.message]
  return {
    timestamp: options.date.toISOString(),
    level: options.logLevel.label,
    message: cut(parts.map(textOf).join(" ")),
    // Spans of the log are left out: Effect times them by the wall clock.
    fields: HashMap.toEntries(options.annotations).map(([key, value]) => [cut(key), valueOf(value)] as const),
    cause: Cause.isEmpty(options.cause)
      ? undefined
      : cut(Cause.pretty(options.cause, { renderErrorCause: true }), maxCause)
  }
}

const json = (entry: Entry): string =>
  // What JSON leaves as it is, C1 among it, becomes an escape of JSON too.
  sanitise(JSON.stringify({
    // A field cannot take the place of what every line has.
    ...Object.fromEntries(entry.fields),
    timestamp: entry.timestamp,
    level: entry.level,
    message: entry.message,
    ...(entry.cause === undefined ? {} : { cause: entry.cause })
  }))

const word = (value: Value): string => {
  const text = String(value)
  return text === "" || /[\s="\\]/.test(text) || text !== sanitise(text) ? JSON.stringify(text) : text
}

const logfmt = (entry: Entry): string =>
  [
    `timestamp=${entry.timestamp}`,
    `level=${entry.level}`,
    `message=${word(entry.message)}`,
    ...entry.fields.map(([key, value]) => `${key.replace(/[^\w.-]/g, "_")}=${word(value)}`),
    ...(entry.cause === undefined ? [] : [`cause=${word(entry.cause)}`])
  ].map(sanitise).join(" ")

const colors: Record<string, string> = { ERROR: "31", FATAL: "31", WARN: "33", INFO: "32", DEBUG: "36", TRACE: "90" }

const pretty = (paint: boolean) => (entry: Entry): string => {
  const color = (code: string, text: string) => paint ? `\u001b[${code}m${text}\u001b[0m` : text
  const head = [
    color("90", entry.timestamp.slice(11, 23)),
    color(colors[entry.level] ?? "0", entry.level.padEnd(5)),
    sanitise(entry.message),
    ...entry.fields.map(([key, value]) => `${color("90", `${sanitise(key)}=`)}${sanitise(word(value))}`)
  ].join(" ")
  const cause = entry.cause === undefined ? [] : entry.cause.split("\n").map((line) => `  ${sanitise(line)}`)
  return [head, ...cause].join("\n")
}

/**
 * The form of a line of the log; `auto` of the settings is one of them by the terminal.
 *
 * @since 0.1.0
 * @category options
 */
export type Format = "pretty" | "json" | "logfmt"

/**
 * Where the log goes.
 *
 * @since 0.1.0
 * @category options
 */
export interface Terminal {
  readonly isTTY: boolean
  /** Whether it takes colours, and whoever runs it wants them. */
  readonly colors: boolean
}

/**
 * A logger that renders an entry as one line; `pretty` adds a line for each of an error's stack. Writes nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const logger = (format: Format, terminal: Terminal): Logger.Logger<unknown, string> => {
  const render = format === "json" ? json : format === "logfmt" ? logfmt : pretty(terminal.colors)
  return Logger.make((options) => render(entryOf(options)))
}

/**
 * The form that settings ask for: `auto` is `pretty` on a terminal, else `json`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const formatOf = (settings: LogSettings["format"], terminal: Terminal): Format =>
  settings === "auto" ? terminal.isTTY ? "pretty" : "json" : settings

/** Of Node's stream: what its reader has not taken, in bytes. It takes whatever it is given, and keeps it in memory. */
type Output = Pick<Writable, "writableLength">

/** Waits at most for a reader that does not read: beyond it lines are dropped, or the log would take all memory there is. */
const maxWaiting = 1024 * 1024

/** As `self`, which writes to `output`; the first line after some were dropped is one that says how many. */
const bounded = (self: Logger.Logger<unknown, void>, output: Output): Logger.Logger<unknown, void> => {
  let dropped = 0
  return Logger.make((options) => {
    if (output.writableLength > maxWaiting) {
      dropped += 1
      return
    }
    if (dropped > 0) {
      self.log({
        ...options,
        logLevel: LogLevel.Warning,
        message: "lines of this log were dropped: whoever reads it did not keep up",
        annotations: HashMap.make(["dropped", dropped]),
        cause: Cause.empty
      })
      dropped = 0
    }
    self.log(options)
  })
}

/**
 * Replaces the default logger; `level` is the least that is written. One after the other: merged, they would be built in parallel, and a
 * logger added there outlives the layer's scope. Needs nothing. `output`: the stream behind the console's errors, looked at to see
 * whether its reader keeps up.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  settings: LogSettings,
  terminal: Terminal,
  output: Output = process.stderr
): Layer.Layer<never> =>
  Logger.minimumLogLevel(settings.level).pipe(
    Layer.provideMerge(Logger.replace(
      Logger.defaultLogger,
      bounded(Logger.withConsoleError(logger(formatOf(settings.format, terminal), terminal)), output)
    ))
  )
