/**
 * The real service as a child process: the built bundle, pointed at whatever the test runs on loopback.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import * as path from "node:path"
import * as readline from "node:readline"

const bundle = path.resolve(import.meta.dirname, "../../dist/bin/exchange-feeds.mjs")

/** As the image and the unit start it. */
const flags = ["--max-semi-space-size=16", "--disable-proto=throw"]

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** One series of `/metrics`. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface LedgerRow {
  readonly exchange: string
  readonly received: number
  readonly delivered: number
  readonly queued: number
  readonly dropped: number
  readonly deadLettered: number
  readonly filtered: number
  readonly inFlight: number
}

export class Service {
  readonly process: ChildProcess
  readonly exited: Promise<Exit>
  readonly lines: Array<string> = []
  /** Resident memory, MiB: as it was last seen, and the highest. */
  rss = 0
  peakRss = 0
  private url: string | undefined
  private readonly sampler: NodeJS.Timeout

  /** `under`: a command that runs it, such as a tracer with its arguments. */
  constructor(env: Readonly<Record<string, string>>, under: ReadonlyArray<string> = []) {
    const [command = "", ...args] = [...under, process.execPath, ...flags, bundle, "run"]
    this.process = spawn(command, args, {
      env: { PATH: process.env["PATH"] ?? "", HEALTH_PORT: "0", LOG_FORMAT: "json", ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    this.exited = new Promise((resolve) => this.process.once("exit", (code, signal) => resolve({ code, signal })))
    for (const stream of [this.process.stdout, this.process.stderr]) {
      if (stream === null) continue
      readline.createInterface({ input: stream }).on("line", (line) => {
        this.lines.push(line)
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(line)
        if (found !== null && line.includes("listening")) this.url ??= found[0]
      })
    }
    this.sampler = setInterval(() => this.sample(), 200)
    this.sampler.unref()
    void this.exited.then(() => clearInterval(this.sampler))
  }

  private sample(): void {
    try {
      const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.process.pid}/status`, "utf8"))?.[1]
      this.rss = Number(rss ?? 0) / 1024
      this.peakRss = Math.max(this.peakRss, this.rss)
    } catch {
      // It has just ended.
    }
  }

  /** The last lines it logged, for a failure message. */
  tail(count = 40): string {
    return this.lines.slice(-count).join("\n")
  }

  async baseUrl(): Promise<string> {
    await until(
      "the service listens",
      () => this.url !== undefined || this.process.exitCode !== null,
      20_000,
      () => this.tail()
    )
    if (this.url === undefined) throw new Error(`the service ended with ${this.process.exitCode}\n${this.tail()}`)
    return this.url
  }

  async get(route: string): Promise<{ readonly status: number; readonly body: string }> {
    // A connection that is kept may be closed by the service, idle for 5 s, just as the next question is written: "fetch failed".
    const response = await fetch(`${await this.baseUrl()}${route}`, { headers: { connection: "close" } })
    return { status: response.status, body: await response.text() }
  }

  async samples(): Promise<ReadonlyArray<Sample>> {
    return parseMetrics((await this.get("/metrics")).body)
  }

  /** One row for each exchange, of this life, and one named `recovered` for what it inherited. */
  async ledger(): Promise<ReadonlyArray<LedgerRow>> {
    return ledgerOf(await this.samples())
  }

  /** Waits until nothing is in flight or queued. */
  async settled(received: number, timeout = 60_000): Promise<ReadonlyArray<LedgerRow>> {
    let rows: ReadonlyArray<LedgerRow> = []
    await until(
      `${received} received and all delivered`,
      async () => {
        rows = await this.ledger()
        const live = rows.filter((row) => row.exchange !== "recovered")
        return sum(live, "received") - sum(live, "filtered") >= received && sum(rows, "inFlight") === 0 &&
          sum(rows, "queued") === 0
      },
      timeout,
      () => `${JSON.stringify(rows)}\n${this.tail()}`
    )
    return rows
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> {
    this.process.kill(signal)
    return this.exited
  }
}

export const sum = (rows: ReadonlyArray<LedgerRow>, field: Exclude<keyof LedgerRow, "exchange">): number =>
  rows.reduce((total, row) => total + row[field], 0)

export const parseMetrics = (text: string): ReadonlyArray<Sample> =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
    const match = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line)
    if (match === null) throw new Error(`not a sample: ${line}`)
    const labels: Record<string, string> = {}
    for (const [, key = "", value = ""] of (match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[key] = value
    return { name: match[1] ?? "", labels, value: Number(match[3]) }
  })

export const ledgerOf = (samples: ReadonlyArray<Sample>): ReadonlyArray<LedgerRow> => {
  const nameOf = (labels: Sample["labels"]) => labels["origin"] === "recovered" ? "recovered" : labels["exchange"] ?? ""
  const ledger = samples.filter(({ name }) => name.startsWith("feeds_events_"))
  const exchanges = new Set(ledger.map(({ labels }) => nameOf(labels)))
  return [...exchanges].map((exchange) => {
    const total = (name: string) =>
      ledger.filter((sample) => sample.name === `feeds_events_${name}` && nameOf(sample.labels) === exchange)
        .reduce((all, { value }) => all + value, 0)
    return {
      exchange,
      received: total("received_total"),
      delivered: total("delivered_total"),
      queued: total("queued"),
      dropped: total("dropped_total"),
      deadLettered: total("dead_lettered_total"),
      filtered: total("filtered_total"),
      inFlight: total("in_flight")
    }
  })
}

/** `received = delivered + queued + dropped + dead_lettered + filtered`, and nothing in flight (docs/design/delivery.md "The ledger"). */
export const brokenLaw = (rows: ReadonlyArray<LedgerRow>): string | undefined => {
  for (const row of rows) {
    const placed = row.delivered + row.queued + row.dropped + row.deadLettered + row.filtered
    if (row.received !== placed || row.inFlight !== 0) return JSON.stringify(row)
  }
  return undefined
}

export const until = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeout: number,
  context: () => string = () => ""
): Promise<void> => {
  const end = Date.now() + timeout
  for (;;) {
    if (await condition()) return
    if (Date.now() > end) throw new Error(`not within ${timeout} ms: ${what}\n${context()}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
