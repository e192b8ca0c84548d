/**
 * One real Apache Kafka broker (KRaft, broker and controller in one process): about a second to start, 150 MB.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { withAdmin } from "./Admin.ts"
import * as Jvm from "./Jvm.ts"

export interface Options {
  /** Port of a fault proxy: the broker then has a second listener, `proxiedPort`, that clients find only through it. */
  readonly behindProxy?: number
  /**
   * Further listeners by name. `at`: their own address, 127.0.0.1 by default; clients are told that and their port, another `host`, or
   * another address altogether (`advertised`, with its port).
   */
  readonly listeners?: Readonly<
    Record<
      string,
      {
        readonly protocol: string
        readonly port: number
        readonly at?: string
        readonly host?: string
        readonly advertised?: string
      }
    >
  >
  /** Further lines of `server.properties`; they win. */
  readonly properties?: Readonly<Record<string, string>>
  /** Further arguments of the storage tool, such as `--add-scram`. */
  readonly format?: ReadonlyArray<string>
  /** Sixteen bytes in base 64, where two brokers must not be taken for one cluster. */
  readonly cluster?: string
}

export interface Broker {
  /** `127.0.0.1:port`, unencrypted, never behind the proxy. */
  readonly address: string
  readonly proxiedPort: number
  readonly directory: string
  /** Returns when the broker answers. Also after `kill` and `stop`, with all it had on disk. */
  readonly start: () => Promise<void>
  /** Returns when it stands still. */
  readonly freeze: () => Promise<void>
  readonly thaw: () => void
  readonly kill: () => Promise<void>
  readonly stop: () => Promise<void>
  /** Removes its files. */
  readonly remove: () => void
}

/** How long a broker may take until it answers: a cold disk and a busy machine included. */
const startLimit = 60_000

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

interface Ports {
  readonly port: number
  readonly controller: number
  readonly proxied: number
}

export const toProperties = (properties: Readonly<Record<string, string>>): string =>
  Object.entries(properties).map(([key, value]) => `${key}=${value}\n`).join("")

/** What every broker of the tests has, alone or in a cluster of `brokers`. */
export const commonProperties = (directory: string, brokers: number): Readonly<Record<string, string>> => ({
  "controller.listener.names": "CONTROLLER",
  "inter.broker.listener.name": "PLAINTEXT",
  "log.dirs": path.join(directory, "data"),
  "auto.create.topics.enable": "false",
  "num.network.threads": "2",
  "num.io.threads": "2",
  "log.segment.bytes": "16777216",
  "offsets.topic.num.partitions": "1",
  "offsets.topic.replication.factor": `${brokers}`,
  "transaction.state.log.replication.factor": `${brokers}`,
  "transaction.state.log.min.isr": "1",
  "share.coordinator.state.topic.replication.factor": `${brokers}`,
  "group.initial.rebalance.delay.ms": "0",
  // Retention goes by the records' own time: seven days would delete what a test writes with an old one, thirty seconds after
  // the start.
  "log.retention.ms": "-1",
  // Memory.
  "log.cleaner.dedupe.buffer.size": "2097152",
  "log.cleaner.io.buffer.size": "65536",
  // Back two seconds after a SIGKILL, not eleven.
  "broker.session.timeout.ms": "1000",
  "broker.heartbeat.interval.ms": "200"
})

const propertiesOf = (directory: string, ports: Ports, options: Options): string => {
  const { behindProxy = ports.proxied, listeners = {}, properties = {} } = options
  const loopback = "127.0.0.1"
  const own = { protocol: "PLAINTEXT", at: loopback }
  const all = {
    PLAINTEXT: { ...own, port: ports.port, advertised: `${loopback}:${ports.port}` },
    PROXIED: { ...own, port: ports.proxied, advertised: `${loopback}:${behindProxy}` },
    ...Object.fromEntries(
      Object.entries(listeners).map(([name, { at = loopback, host = at, port, protocol, advertised }]) => [
        name,
        { protocol, at, port, advertised: advertised ?? `${host}:${port}` }
      ])
    )
  }
  const each = (line: (name: string, listener: (typeof all)["PLAINTEXT"]) => string) =>
    Object.entries(all).map(([name, listener]) => line(name, listener))
  return toProperties({
    ...commonProperties(directory, 1),
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.bootstrap.servers": `127.0.0.1:${ports.controller}`,
    "listeners": [
      ...each((name, { at, port }) => `${name}://${at}:${port}`),
      `CONTROLLER://127.0.0.1:${ports.controller}`
    ].join(","),
    "advertised.listeners": each((name, { advertised }) => `${name}://${advertised}`).join(","),
    "listener.security.protocol.map": [...each((name, { protocol }) => `${name}:${protocol}`), "CONTROLLER:PLAINTEXT"]
      .join(","),
    ...properties
  })
}

const template = path.join(Jvm.cache, "template")

/** A formatted directory holds no port and no path: it is made once and copied. */
const prepareTemplate = () =>
  Jvm.once(template, async (directory) => {
    const properties = path.join(directory, "server.properties")
    writeFileSync(properties, propertiesOf(directory, { port: 19_092, proxied: 19_094, controller: 19_093 }, {}))
    await Jvm.format(properties, ["--standalone"])
  })

export const make = async (options: Options = {}): Promise<Broker> => {
  await Jvm.prepare()
  const ports: Ports = {
    port: await Jvm.freePort(),
    controller: await Jvm.freePort(),
    proxied: await Jvm.freePort()
  }
  const directory = mkdtempSync(path.join(tmpdir(), "kafka-broker-"))
  const properties = path.join(directory, "server.properties")
  mkdirSync(path.join(directory, "data"))
  writeFileSync(properties, propertiesOf(directory, ports, options))
  if (options.format === undefined && options.cluster === undefined) {
    await prepareTemplate()
    cpSync(path.join(template, "data"), path.join(directory, "data"), { recursive: true })
  } else {
    await Jvm.format(properties, ["--standalone", ...options.format ?? []], options.cluster)
  }
  const node = Jvm.node(directory)
  const address = `127.0.0.1:${ports.port}`
  return {
    address,
    proxiedPort: ports.proxied,
    directory,
    start: async () => {
      node.start()
      await awaitReady(address, 1, node.obituary)
    },
    freeze: node.freeze,
    thaw: node.thaw,
    kill: node.kill,
    stop: node.stop,
    remove: () => rmSync(directory, { recursive: true, force: true })
  }
}

/** Until so many brokers are known to the one at `address`. */
export const awaitReady = async (
  address: string,
  brokers: number,
  obituary: () => string | undefined
): Promise<void> => {
  const end = Date.now() + startLimit
  for (;;) {
    const dead = obituary()
    if (dead !== undefined) throw new Error(`the broker ended:\n${dead}`)
    const problem = await withAdmin(address, (admin) => admin.describeCluster()).then(
      (cluster) => cluster.brokers.length >= brokers ? undefined : `${cluster.brokers.length} brokers only`,
      (cause: unknown) => cause
    )
    if (problem === undefined) return
    if (Date.now() > end) throw new Error(`no broker at ${address} within ${startLimit} ms`, { cause: problem })
    await pause(50)
  }
}
