/**
 * A process whose wall clock is off and can be stepped: `NODE_OPTIONS=--import=.../stepped-process.mjs`.
 *
 * `CLOCK_OFFSET`: by how many ms it is off at the start. `CLOCK_FILE`: a file with that number, read anew at each SIGUSR2; a line on
 * stderr tells when it holds. Only `Date` is replaced, for all code of the process, its libraries among it: JavaScript has no other
 * wall clock (Effect's `Clock`, kafkajs and the log read it too), so what follows the wall clock follows this one. `process.hrtime`,
 * `performance.now` and timers stay what they are, as the kernel's monotonic clock does when a real clock is stepped. Not shifted is
 * what Node's own C++ and kernel write: times of files, and the `Date` header of HTTP answers, which nothing here reckons with.
 *
 * `CLOCK_HASTE`: timers of between 15 and 30 minutes take so many times less, so that a planned rotation can be waited for.
 */
import { readFileSync } from "node:fs"

let offset = Number(process.env["CLOCK_OFFSET"] ?? "0")

const RealDate = Date
const now = () => RealDate.now() + offset

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
  get: (target, name, receiver) => name === "now" ? now : Reflect.get(target, name, receiver)
})

const file = process.env["CLOCK_FILE"]
if (file !== undefined) {
  process.on("SIGUSR2", () => {
    offset = Number(readFileSync(file, "utf8"))
    process.stderr.write(`clock is off by ${offset} ms\n`)
  })
}

const haste = Number(process.env["CLOCK_HASTE"] ?? "1")
const minute = 60_000
const { setTimeout: realSetTimeout } = globalThis
globalThis.setTimeout = Object.assign(
  (callback, ms, ...args) =>
    realSetTimeout(callback, ms >= 15 * minute && ms <= 30 * minute ? ms / haste : ms, ...args),
  realSetTimeout
)
