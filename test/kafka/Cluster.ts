/**
 * Three brokers; the first is also the only controller and must not be stopped.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { awaitReady, commonProperties, toProperties } from "./Broker.ts"
import { kcat } from "./Consumer.ts"
import * as Jvm from "./Jvm.ts"

const size = 3

export interface Cluster {
  /** `host:port` of each, by id from 1. */
  readonly addresses: ReadonlyArray<string>
  readonly node: (id: number) => Jvm.Node
  /** Returns when all three are there, every replica has caught up and every partition is led by its preferred one. */
  readonly ready: () => Promise<void>
  /** Leader of each partition. */
  readonly leaders: (topic: string) => Promise<ReadonlyArray<number>>
  readonly close: () => Promise<void>
}

/** What `kcat -L -J` prints, as far as it is of interest. */
interface Metadata {
  readonly topics: ReadonlyArray<{
    readonly partitions: ReadonlyArray<{
      readonly leader: number
      readonly replicas: ReadonlyArray<{ readonly id: number }>
      readonly isrs: ReadonlyArray<{ readonly id: number }>
    }>
  }>
}

export const make = async (): Promise<Cluster> => {
  await Jvm.prepare()
  const root = mkdtempSync(path.join(tmpdir(), "kafka-cluster-"))
  const controller = await Jvm.freePort()
  const ids = Array.from({ length: size }, (_, i) => i + 1)
  const ports = await Promise.all(ids.map(() => Jvm.freePort()))
  const nodes = await Promise.all(ids.map(async (id, i) => {
    const directory = path.join(root, `${id}`)
    const properties = path.join(directory, "server.properties")
    const listener = `PLAINTEXT://127.0.0.1:${ports[i]}`
    mkdirSync(directory)
    writeFileSync(
      properties,
      toProperties({
        ...commonProperties(directory, size),
        // On a busy machine three brokers miss a second.
        "broker.session.timeout.ms": "3000",
        "process.roles": id === 1 ? "broker,controller" : "broker",
        "node.id": `${id}`,
        "controller.quorum.voters": `1@127.0.0.1:${controller}`,
        "listeners": id === 1 ? `${listener},CONTROLLER://127.0.0.1:${controller}` : listener,
        "advertised.listeners": listener,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "leader.imbalance.check.interval.seconds": "1",
        "leader.imbalance.per.broker.percentage": "0",
        "default.replication.factor": `${size}`
      })
    )
    await Jvm.format(properties, [])
    const node = Jvm.node(directory)
    node.start()
    return node
  }))
  const addresses = ports.map((port) => `127.0.0.1:${port}`)
  const node = (id: number): Jvm.Node => {
    const found = nodes[id - 1]
    if (found === undefined) throw new Error(`no broker ${id}`)
    return found
  }
  const obituary = () => nodes.map((each) => each.obituary()).find((text) => text !== undefined)
  // By kcat, which asks the one it is told to: kafkajs asks any, also a dead one.
  const partitionsOf = async (...parameters: ReadonlyArray<string>) => {
    const { topics }: Metadata = JSON.parse(await kcat(["-L", "-J", "-b", addresses[0] ?? "", ...parameters]))
    return topics.flatMap(({ partitions }) => partitions)
  }
  const ready = async () => {
    // Each by itself: the controller still counts one that has just been killed.
    await Promise.all(addresses.map((address) => awaitReady(address, size, obituary)))
    const settled = async () =>
      (await partitionsOf()).every(({ isrs, leader, replicas }) =>
        isrs.length === replicas.length && leader === replicas[0]?.id
      )
    while (!await settled()) await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const close = async () => {
    await Promise.all(nodes.map((each) => each.kill()))
    rmSync(root, { recursive: true, force: true })
  }
  try {
    await ready()
  } catch (cause) {
    await close()
    throw cause
  }
  return {
    addresses,
    node,
    ready,
    leaders: async (topic) => (await partitionsOf("-t", topic)).map(({ leader }) => leader),
    close
  }
}
