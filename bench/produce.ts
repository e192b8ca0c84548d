/**
 * A batch of a backlog on its way to Kafka: encoded by us beside kafkajs's own encoder, which makes the same bytes of them. Without
 * compression, which is the same for both. One JSON object a line; `SECONDS` for each figure.
 */
import type { Message } from "kafkajs"
import Produce from "kafkajs/src/protocol/requests/produce/index.js"
import type { EventRecord } from "../src/services/MarketEvent.ts"
import { encodeBy } from "../src/services/producers/Kafkajs/patches.ts"
import { RecordsMessage } from "../src/services/producers/Kafkajs/ProduceRequest.ts"
import { alternate } from "./support/alternate.ts"

const seconds = Number(process.env["SECONDS"] ?? 2)
const partitions = 6
const recordsOfEach = 167
const records = partitions * recordsOfEach
const valueBytes = 300

encodeBy((data) => Promise.resolve(data))

const record = (i: number): EventRecord => ({
  key: `bitpin:C${i % 50}/IRT`,
  value: Buffer.alloc(valueBytes, 120),
  headers: { id: `bitpin:C${i % 50}/IRT:t:${73_802_972 + i}`, schema: "trade/1", source: "ws", spooled: "1" },
  timestamp: 1_780_000_000_000 + i
})

const requestOf = (messages: ReadonlyArray<Message>) =>
  Array.from({ length: partitions }, (_, partition) => ({ partition, firstSequence: 0, messages }))

const others = Array.from({ length: recordsOfEach - 1 }, (_, i) => record(i + 1))
const ours = requestOf([new RecordsMessage([record(0), ...others], partitions)])

/** The same, and not known to be ours. */
const theirs = requestOf([record(0), ...others].map(({ headers, key, timestamp, value }): Message => ({
  key,
  value: Buffer.from(value),
  headers,
  timestamp: String(timestamp)
})))

const rounds =
  (data: ReadonlyArray<{ readonly partition: number; readonly messages: ReadonlyArray<Message> }>) =>
  async (until: number) => {
    const produce = Produce.protocol({ version: 7 })
    let count = 0
    for (; performance.now() < until; count++) {
      const topicData = [{ topic: "market.trades", partitions: data }]
      await produce({ acks: -1, timeout: 4_000, compression: 0, topicData }).request.encode()
    }
    return count
  }

const [fast, slow] = await alternate(seconds, rounds(ours), rounds(theirs))
const microseconds = (perSecond: number) => Number((1e6 / perSecond / records).toFixed(2))
console.log(JSON.stringify({
  bench: "produce.encode",
  records,
  valueBytes,
  microsecondsPerRecord: microseconds(fast),
  kafkajsMicrosecondsPerRecord: microseconds(slow),
  ratio: Number((fast / slow).toFixed(1))
}))
