/**
 * Runs Apache Kafka's own classes with the `java` of this machine: no Docker, no download at run time. Everything lives below
 * `.cache/kafka`; several test runs may share it, so each piece is made aside and moved into place.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

// Never the synchronous form: a fault proxy in the same process would stand still meanwhile.
const run = promisify(execFile)

const here = path.dirname(fileURLToPath(import.meta.url))

export const cache = path.resolve(here, "../../.cache/kafka")

const libs = path.join(cache, "libs")

/** Half of the memory and less than half of the start time of Java's defaults. */
const flags = [
  "-Xms64m",
  "-Xmx256m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
  "-Dorg.slf4j.simpleLogger.showDateTime=true",
  "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
  "-cp",
  path.join(libs, "*") // java expands it, no shell may
]

/** Makes `target` by `make` in a directory beside it; a concurrent run that was quicker wins. */
export const once = async (target: string, make: (directory: string) => Promise<void>): Promise<void> => {
  if (existsSync(target)) return
  const aside = `${target}.${process.pid}`
  rmSync(aside, { recursive: true, force: true })
  mkdirSync(aside, { recursive: true })
  try {
    await make(aside)
    if (!existsSync(target)) renameSync(aside, target)
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}

/** The jars, by Maven: about ten seconds the first time. */
export const prepare = (): Promise<void> =>
  once(libs, async (directory) => {
    const parameters = [
      "-B",
      "-q",
      "-f",
      path.join(here, "pom.xml"),
      "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies",
      "-DincludeScope=runtime",
      `-DoutputDirectory=${directory}`
    ]
    try {
      await run("java", ["-version"])
      await run("mvn", parameters)
    } catch (cause) {
      throw new Error(
        "These tests run a real Apache Kafka broker and need Java 17 or newer and Maven, e.g. `apt-get install default-jre-headless maven`; " +
          "or name a running broker: KAFKA_TEST_BROKER=host:9092 npm test",
        { cause }
      )
    }
  })

/** Any sixteen bytes, in base 64. */
const clusterId = "RASqLWHOowoCGbNLE-kwSA"

/** Formats the log directory that the properties name. Brokers of different clusters have different ids. */
export const format = async (
  properties: string,
  parameters: ReadonlyArray<string>,
  cluster = clusterId
): Promise<void> => {
  await run("java", [
    ...flags,
    "kafka.tools.StorageTool",
    "format",
    "--cluster-id",
    cluster,
    ...parameters,
    "--config",
    properties
  ])
}

/** Gives a user a password, as an administrator does while the broker runs. */
export const setPassword = async (address: string, user: string, password: string): Promise<void> => {
  const scram = `SCRAM-SHA-512=[iterations=4096,password=${password}]`
  const entity = ["--entity-type", "users", "--entity-name", user]
  await run("java", [
    ...flags,
    "kafka.admin.ConfigCommand",
    "--bootstrap-server",
    address,
    "--alter",
    "--add-config",
    scram,
    ...entity
  ])
}

/** A node of a cluster: one process, ended only by its own id. */
export interface Node {
  readonly start: () => void
  /** SIGSTOP: sockets stay open and nothing answers. Returns when all its threads stand still. */
  readonly freeze: () => Promise<void>
  readonly thaw: () => void
  /** SIGKILL, returns when it is gone. May be started again on the same directory. */
  readonly kill: () => Promise<void>
  /** SIGTERM, thawed first; SIGKILL after ten seconds. */
  readonly stop: () => Promise<void>
  /** What it said last, if it has ended by itself. */
  readonly obituary: () => string | undefined
}

/** On a busy machine threads run on for some milliseconds, long enough to answer. Without /proc we take it for granted. */
const isStopped = (pid: number): boolean => {
  const tasks = `/proc/${pid}/task`
  // `pid (name) state ...`
  return !existsSync(tasks) ||
    readdirSync(tasks).every((task) => /\) [TtXZ] /.test(readFileSync(`${tasks}/${task}/stat`, "utf8")))
}

export const node = (directory: string): Node => {
  const log = path.join(directory, "broker.log")
  let child: ChildProcess | undefined
  let gone: Promise<void> = Promise.resolve()
  const killWithUs = () => {
    child?.kill("SIGKILL")
  }
  const end = async (signal: "SIGKILL" | "SIGTERM") => {
    child?.kill("SIGCONT")
    child?.kill(signal)
    const late = setTimeout(() => child?.kill("SIGKILL"), 10_000)
    await gone
    clearTimeout(late)
  }
  return {
    start: () => {
      const out = openSync(log, "a")
      const started = spawn("java", [...flags, "kafka.Kafka", path.join(directory, "server.properties")], {
        stdio: ["ignore", out, out]
      })
      child = started
      process.once("exit", killWithUs)
      gone = new Promise((resolve) => {
        started.once("exit", () => {
          process.off("exit", killWithUs)
          resolve()
        })
      })
    },
    freeze: async () => {
      child?.kill("SIGSTOP")
      const pid = child?.pid
      if (pid === undefined) return
      while (!isStopped(pid)) await new Promise((resolve) => setTimeout(resolve, 5))
    },
    thaw: () => {
      child?.kill("SIGCONT")
    },
    kill: () => end("SIGKILL"),
    stop: () => end("SIGTERM"),
    obituary: () =>
      child === undefined || (child.exitCode === null && child.signalCode === null)
        ? undefined
        : readFileSync(log, "utf8").slice(-2_000)
  }
}

const taken = new Set<number>()

/**
 * A free port below the range from which the kernel takes the source ports of connections: a client that dials a dead broker
 * within that range can end up connected to itself.
 */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (taken.has(port)) continue
    const free = await new Promise<boolean>((resolve) => {
      const server = net.createServer()
      server.once("error", () => resolve(false))
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)))
    })
    if (!free) continue
    taken.add(port)
    return port
  }
}
