/**
 * The yardstick: the least a loop from `ws` to Kafka can do. Parses, normalises, prints, sends in batches of 1 000; no breaker, no
 * queue, no duplicate filter, no schema, no linger. `ENCODER`: kafkajs's own with gzip as kafkajs has it (level 6), or this project's
 * `ProduceRequest`, with its three headers and gzip level 1. Runs until it is ended.
 */
import { CompressionTypes, Kafka, logLevel } from "kafkajs"
import { promisify } from "node:util"
import * as zlib from "node:zlib"
import { WebSocket } from "ws"
import { encodeBy } from "../../src/services/producers/Kafkajs/patches.ts"
import { RecordsMessage } from "../../src/services/producers/Kafkajs/ProduceRequest.ts"

const env = (name: string): string => process.env[name] ?? ""
const markets = Number(env("MARKETS"))
const isOurs = env("ENCODER") === "ours"

interface Row {
  readonly id: string
  readonly price: string
  readonly base_amount: string
  readonly side: string
  readonly time: number
}

const gzip = promisify(zlib.gzip)
if (isOurs) encodeBy((data) => gzip(data, { level: 1 }))

const kafka = new Kafka({ clientId: "bare", brokers: [env("KAFKA_BROKER")], logLevel: logLevel.NOTHING })
const producer = kafka.producer({ retry: { retries: 0 } })
await producer.connect()

const messageOf = isOurs
  ? (key: string, value: string, id: string, timestamp: number) =>
    new RecordsMessage([{ key, value, headers: { id, schema: "trade/1", source: "ws" }, timestamp }])
  : (key: string, value: string, id: string, timestamp: number) => ({
    key,
    value,
    headers: { id },
    timestamp: String(timestamp)
  })

let waiting: Array<ReturnType<typeof messageOf>> = []
let sending = false

const flush = async (): Promise<void> => {
  if (sending) return
  sending = true
  while (waiting.length > 0) {
    const messages = waiting.slice(0, 1000)
    waiting = waiting.slice(1000)
    await producer.send({ topic: env("TOPIC"), acks: -1, compression: CompressionTypes.GZIP, messages })
  }
  sending = false
}

const socket = new WebSocket(env("BITPIN_WS_URL"), { perMessageDeflate: false })
socket.on("open", () => socket.send(JSON.stringify({ id: 1, connect: {} })))
socket.on("message", (data) => {
  const receivedAt = new Date()
  for (const line of String(data).split("\n")) {
    const document = JSON.parse(line)
    if (document.connect !== undefined) {
      for (let i = 0; i < markets; i++) {
        socket.send(JSON.stringify({ id: i + 2, subscribe: { channel: `matches:B${i}_IRT` } }))
      }
      continue
    }
    const publication = document.push?.pub?.data
    if (publication === undefined) {
      if (line === "{}") socket.send("{}")
      continue
    }
    const symbol = String(publication.symbol).replace("_", "/")
    for (const row of publication.matches as ReadonlyArray<Row>) {
      const id = `bitpin:${symbol}:t:${row.id}`
      const value = JSON.stringify({
        type: "trade",
        v: 1,
        exchange: "bitpin",
        symbol,
        exchangeSymbol: publication.symbol,
        id,
        price: row.price,
        amount: row.base_amount,
        side: row.side,
        timestamp: new Date(row.time * 1000).toISOString(),
        receivedAt: receivedAt.toISOString(),
        source: "ws"
      })
      waiting.push(messageOf(`bitpin:${symbol}`, value, id, receivedAt.getTime()))
    }
  }
  void flush()
})
