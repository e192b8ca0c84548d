/** The contract of outputs, kept by the fake and by files; Kafka itself keeps it in `test/kafka/KafkaProducer.test.ts`. */
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as Fake from "../../../src/layers/testing/FakeKafka.ts"
import { readFile, replaceFile } from "../../../src/services/FileOps.ts"
import { Producer } from "../../../src/services/Producer.ts"
import * as FileProducer from "../../../src/services/producers/File.ts"
import { MemoryDisk } from "../../support/MemoryDisk.ts"
import * as Contract from "./Contract.ts"

const topic = "marketdata.trade.v1"

const fake = Effect.map(Layer.build(Fake.layer), (context): Contract.World => {
  const kafka = Context.get(context, Fake.FakeKafka)
  return {
    producer: Context.get(context, Producer),
    topic,
    held: Effect.map(kafka.records(topic), (records) => records.map(({ value }) => value)),
    goAway: kafka.down,
    comeBack: kafka.up,
    probeSees: true
  }
})

const file = Effect.suspend(() => {
  const disk = new MemoryDisk()
  const directory = `/data/out/${topic}/`
  const layer = FileProducer.layer({
    directory: "/data/out",
    compress: (from, to) =>
      Effect.flatMap(readFile(disk.ops, from), (bytes) => replaceFile(disk.ops, to, bytes ?? new Uint8Array()))
  }).pipe(Layer.provide(disk.layer))
  const capacity = (bytes: number) =>
    Effect.sync(() => {
      disk.capacity = bytes
    })
  return Effect.map(Layer.build(layer), (context): Contract.World => ({
    producer: Context.get(context, Producer),
    topic,
    held: Effect.sync(() =>
      disk.paths().filter((path) => path.startsWith(directory)).sort().flatMap((path) =>
        new TextDecoder().decode(disk.get(path)).split("\n").slice(0, -1)
      )
    ),
    goAway: capacity(0),
    comeBack: capacity(Infinity),
    probeSees: false
  }))
})

describe("outputs", () => {
  for (const [name, world] of [["the fake Kafka", fake], ["files", file]] as const) {
    Contract.suite((what, test) => it.scopedLive(`${name}: ${what}`, () => Effect.flatMap(world, test)))
  }
})
