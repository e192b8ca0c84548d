/** What is measured, as a process: the collector as it is built and as the image starts it, or the bare loop. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import type { Plan } from "./Cores.ts"
import { compiled, type Exchange } from "./Exchange.ts"

export type SubjectName = "exchange-feeds" | "bare loop" | "bare loop, our encoder"

export interface Options {
  readonly name: SubjectName
  readonly exchange: Exchange
  /** Its way to Kafka. */
  readonly broker: string
  readonly markets: number
  /** What the names of its topics begin with. */
  readonly prefix: string
  readonly cores: Plan | undefined
  /** Further settings of the collector. */
  readonly env?: Readonly<Record<string, string>>
}

export interface Subject {
  readonly pid: number
  /** The end of what it said. */
  readonly tail: () => string
  /** Undefined: it runs. */
  readonly ended: () => number | NodeJS.Signals | undefined
  /** MiB, now. */
  readonly rss: () => number
  /** MiB, the most since the last `forgetPeak`, as the kernel noted it. */
  readonly peak: () => number
  readonly forgetPeak: () => void
  readonly end: () => Promise<void>
}

export const isOurs = (name: SubjectName): boolean => name === "exchange-feeds"

/** Where its trades go. */
export const topicOf = (name: SubjectName, prefix: string): string => isOurs(name) ? `${prefix}.trade.v1` : prefix

/** The built bundle. A copy: a build that somebody starts meanwhile would take it away, or put another in its place. */
const bundle = path.resolve(import.meta.dirname, "../../.cache/bench/exchange-feeds.mjs")

/** As the image and the unit start it (Dockerfile); the bare loop too, that only the programs differ. */
const flags = ["--max-semi-space-size=16", "--disable-proto=throw"]
const common = { PATH: process.env["PATH"] ?? "", MALLOC_ARENA_MAX: "1" }

const commandOf = (
  { broker, env = {}, exchange, markets, name, prefix }: Options,
  directory: string
): { readonly args: ReadonlyArray<string>; readonly env: Readonly<Record<string, string>> } =>
  isOurs(name)
    ? {
      args: [bundle, "run"],
      env: {
        ...common,
        KAFKA_BROKER: broker,
        KAFKA_TOPIC_PREFIX: prefix,
        EXCHANGES: "bitpin",
        BITPIN_API_URL: exchange.api,
        BITPIN_WS_URL: exchange.ws,
        DATA_DIR: directory,
        HEALTH_PORT: "0",
        LOG_FORMAT: "json",
        ...env
      }
    }
    : {
      args: [compiled("bare")],
      env: {
        ...common,
        KAFKA_BROKER: broker,
        TOPIC: prefix,
        BITPIN_WS_URL: exchange.ws,
        MARKETS: `${markets}`,
        ENCODER: name === "bare loop" ? "kafkajs" : "ours"
      }
    }

const memory = (pid: number, field: "VmRSS" | "VmHWM"): number => {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? NaN) / 1024
}

export const start = (options: Options): Subject => {
  const directory = mkdtempSync(path.join(tmpdir(), "bench-subject-"))
  const { args, env } = commandOf(options, directory)
  const pin = options.cores === undefined ? [] : ["taskset", "-c", options.cores.subject]
  const [command = "", ...rest] = [...pin, process.execPath, ...flags, ...args]
  const child: ChildProcess = spawn(command, rest, { env, stdio: ["ignore", "pipe", "pipe"] })
  const endWithUs = () => {
    child.kill("SIGKILL")
  }
  process.once("exit", endWithUs)
  let said = ""
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (data: Buffer) => {
      said = (said + String(data)).slice(-8_000)
    })
  }
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  const pid = child.pid ?? 0
  return {
    pid,
    tail: () => said.slice(-3_000),
    ended: () => child.exitCode ?? child.signalCode ?? undefined,
    rss: () => memory(pid, "VmRSS"),
    peak: () => memory(pid, "VmHWM"),
    forgetPeak: () => writeFileSync(`/proc/${pid}/clear_refs`, "5"),
    end: async () => {
      process.off("exit", endWithUs)
      child.kill("SIGKILL")
      await exited
      rmSync(directory, { recursive: true, force: true })
    }
  }
}
