/**
 * The yardstick: the least a loop from `ws` to Kafka can do. Parses, normalises, prints, sends in batches of 1 000; no breaker, no
 * queue, no duplicate filter, no schema. Ends when all trades are acknowledged.
 */
import { CompressionTypes, Kafka, logLevel } from "kafkajs"
import { WebSocket } from "ws"

const env = (name: string): string => process.env[name] ?? ""
const markets = Number(env("MARKETS"))
const trades = Number(env("TRADES"))

interface Row {
  readonly id: string
  readonly price: string
  readonly base_amount: string
  readonly side: string
  readonly time: number
}

const kafka = new Kafka({ clientId: "bare", brokers: [env("KAFKA_BROKER")], logLevel: logLevel.NOTHING })
const producer = kafka.producer({ retry: { retries: 0 } })
await producer.connect()

let waiting: Array<
  {
    readonly key: string
    readonly value: string
    readonly timestamp: string
    readonly headers: { readonly id: string }
  }
> = []
let sending = false
let acked = 0

const flush = async (): Promise<void> => {
  if (sending) return
  sending = true
  while (waiting.length > 0) {
    const messages = waiting.slice(0, 1000)
    waiting = waiting.slice(1000)
    await producer.send({ topic: env("TOPIC"), acks: -1, compression: CompressionTypes.GZIP, messages })
    acked += messages.length
  }
  sending = false
  if (acked >= trades) {
    process.stdout.write("done\n")
    process.exit(0)
  }
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
      waiting.push({
        key: `bitpin:${symbol}`,
        headers: { id },
        timestamp: String(receivedAt.getTime()),
        value: JSON.stringify({
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
      })
    }
  }
  void flush()
})
