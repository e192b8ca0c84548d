// `npm run check:clocks`: `src/services/Time.ts` is the only way to a clock. Its types keep the wall clock out of durations, deadlines and
// ages; whoever reads `Date.now` or Effect's `currentTimeMillis` has a plain number, which no type keeps out of anything.
import { readdirSync, readFileSync } from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const root = path.resolve(import.meta.dirname, "..")

/** Where a clock may be read directly: file or folder, and why. One that allows nothing is a problem too. */
const allowed = new Map([
  ["src/services/Time.ts", "it is the way"],
  [
    "src/services/producers/Kafkajs/patches.ts",
    "it turns kafkajs's own moments, which are the wall clock's, into steady ones"
  ],
  ["src/layers/testing/", "fake exchanges are another machine: their clock is their own"],
  [
    "src/layers/cli/commands/Check/ClockOffset.ts",
    "it measures how far this machine's calendar is from the exchange's: two wall clocks are its subject"
  ],
  ["src/layers/node/ProcessMetrics.ts", "process_start_time_seconds is in epoch seconds by Prometheus's convention"]
])

/** Where a wall time may become a plain number (`Time.epochMillis`), to be written down or where nothing but it is there: file, and why. */
const exits = new Map([
  ["src/services/Time.ts", "it is the way"],
  ["src/services/Exposition/Families.ts", "gauges of Prometheus are in epoch seconds"],
  ["src/services/Delivery.ts", "part of an id"],
  ["src/services/Delivery/RecordTime.ts", "a record's time, in epoch ms, which must not be ahead of ours"],
  ["src/services/Delivery/Lag.ts", "how old a record of an earlier life is only its own time tells"],
  ["src/services/MarketEvent.ts", "what waited for a history before it was handed over, if that is plausible"],
  ["src/services/producers/File.ts", "a file's name"],
  ["src/services/FileQueue.ts", "times in the queue's files, monotonic from its opening on"],
  ["src/streams/trades/Backfill/Histories.ts", "receivedAt of a recovered trade: when the answer was here"],
  ["src/streams/trades/Polling.ts", "receivedAt of a trade that was asked for: when the answer was here"],
  ["src/streams/Capture.ts", "a capture tells no other time"],
  ["src/streams/Pipeline.ts", "part of an id"],
  ["src/streams/StatusEvents.ts", "part of an id"],
  ["src/streams/books/Machine/Parts.ts", "receivedAt of a picture, part of its id and of the name of its numbers"],
  ["src/streams/books/Machine/Telling.ts", "receivedAt of a book that is told again: when it is"],
  ["src/streams/trades/TradesChannel.ts", "receivedAt of trades; the lag, in which the distance of two clocks is"],
  ["src/layers/node/DirectoryLock.ts", "a note for people"]
])

/** A property by this name, whatever it is of. */
const properties = new Map([
  ["currentTimeMillis", "the wall clock as a plain number"],
  ["unsafeCurrentTimeMillis", "the wall clock as a plain number"],
  ["currentTimeNanos", "a clock as a plain number"],
  ["unsafeCurrentTimeNanos", "a clock as a plain number"],
  ["timeOrigin", "the wall clock as a plain number"],
  ["cachedWithTTL", "lives by the wall clock"],
  ["cachedInvalidateWithTTL", "lives by the wall clock"],
  ["withLogSpan", "is timed by the wall clock"]
])

/** Of these objects. */
const members = new Map([
  ["Date", new Map([["now", "the wall clock as a plain number"]])],
  ["DateTime", new Map([["now", "the wall clock"], ["unsafeNow", "the wall clock"], ["nowAsDate", "the wall clock"]])],
  // Their steps are told the wall time by Effect, and reckon with it. `spaced`, `recurs`, `forever` and delays do not.
  [
    "Schedule",
    new Map(
      [
        "elapsed",
        "upTo",
        "resetAfter",
        "fixed",
        "windowed",
        "cron",
        "secondOfMinute",
        "minuteOfHour",
        "hourOfDay",
        "dayOfMonth",
        "dayOfWeek",
        "during"
      ].map((name) => [name, "reckons by the wall clock"])
    )
  ],
  ["Stream", new Map([["throttle", "reckons by the wall clock"], ["throttleEffect", "reckons by the wall clock"]])],
  ["Sink", new Map([["timed", "reckons by the wall clock"]])],
  [
    "Cache",
    new Map([["make", "its entries live by the wall clock"], ["makeWith", "its entries live by the wall clock"]])
  ]
])

const filesOf = (directory) =>
  readdirSync(path.join(root, directory), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))

/** What a node reads of a clock; undefined if nothing. */
const readingOf = (node) => {
  if (ts.isPropertyAccessExpression(node)) {
    const name = node.name.text
    const object = ts.isIdentifier(node.expression) ? node.expression.text : ""
    const why = members.get(object)?.get(name) ?? properties.get(name)
    return why === undefined ? undefined : `${object === "" ? "" : `${object}.`}${name}: ${why}`
  }
  // Taken out of a clock by its name.
  if (ts.isBindingElement(node)) {
    const name = (node.propertyName ?? node.name).getText()
    const why = properties.get(name)
    return why === undefined ? undefined : `${name}: ${why}`
  }
  const isDate = (ts.isNewExpression(node) || ts.isCallExpression(node)) && ts.isIdentifier(node.expression) &&
    node.expression.text === "Date"
  return isDate && (ts.isCallExpression(node) || (node.arguments ?? []).length === 0)
    ? "Date without an argument: the wall clock"
    : undefined
}

/** Called by itself or of a namespace. `protocols/Fields.ts` has one of the same name, for texts of exchanges: whoever has no `Time` means that. */
const isExit = (node, source) =>
  source.text.includes("/Time.ts\"") &&
  ts.isCallExpression(node) &&
  (ts.isIdentifier(node.expression)
      ? node.expression.text
      : ts.isPropertyAccessExpression(node.expression)
      ? node.expression.name.text
      : "") ===
    "epochMillis"

const problems = []
const used = new Set()
const left = new Set()

for (const file of filesOf("src")) {
  const source = ts.createSourceFile(file, readFileSync(path.join(root, file), "utf8"), ts.ScriptTarget.Latest, true)
  const allowance = [...allowed.keys()].find((key) => key === file || (key.endsWith("/") && file.startsWith(key)))
  const visit = (node) => {
    const reading = readingOf(node)
    if (reading !== undefined) {
      if (allowance === undefined) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
        problems.push(`${file}:${line + 1}: ${reading}; use src/services/Time.ts`)
      } else used.add(allowance)
    }
    if (isExit(node, source)) {
      left.add(file)
      if (!exits.has(file)) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
        problems.push(`${file}:${line + 1}: a wall time becomes a plain number, which no type keeps out of anything`)
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
}

for (const key of allowed.keys()) if (!used.has(key)) problems.push(`${key} reads no clock: its allowance is to go`)

for (const key of exits.keys()) {
  if (key !== "src/services/Time.ts" && !left.has(key)) {
    problems.push(`${key}: no wall time becomes a number there any more`)
  }
}

for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
