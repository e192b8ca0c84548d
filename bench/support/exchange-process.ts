/**
 * The exchange of the bench: BitPin's protocol, a process of its own, so that its CPU is nobody else's. Asked and told over the channel
 * of `fork` (`Exchange.ts`). Full speed is a closed loop over frames that are all encoded beforehand; a paced stretch notes when each
 * trade was written. With `TAP_PORT` it is also the way to Kafka, and notes when what was acknowledged: one clock for both.
 */
import { Kafka, logLevel } from "kafkajs"
import { once } from "node:events"
import { createServer } from "node:http"
import * as net from "node:net"
import { type WebSocket, WebSocketServer } from "ws"
import * as ClosedLoop from "./ClosedLoop.ts"
import type { Answers, Question, Questions } from "./Exchange.ts"
import * as Frames from "./Frames.ts"
import * as Tap from "./Tap.ts"

const env = (name: string): string => process.env[name] ?? ""
const markets = Number(env("MARKETS"))
const frames = Frames.make({ fresh: Number(env("FRESH")), window: Number(env("WINDOW")) }, markets)
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** By market. */
const sockets: Array<WebSocket | undefined> = []
let subscribed = 0

/** Raw bytes past `ws`: of each connection those of many frames at once. */
interface Batch {
  readonly trades: number
  readonly writes: ReadonlyArray<readonly [WebSocket, Buffer]>
}

/** Of a batch. */
const maxFrames = 400
const maxTrades = 1000

/** What waits in a socket before the next batch is held back. */
const highWater = 1024 * 1024

const prepareBatch = (until: number): Batch => {
  const first = frames.count()
  const bySocket = new Map<WebSocket, Array<Buffer>>()
  for (let i = 0; i < maxFrames && frames.count() < until && frames.count() - first < maxTrades; i++) {
    const { market, text } = frames.next()
    const socket = sockets[market]
    if (socket === undefined) throw new Error(`market ${market} is not subscribed`)
    const those = bySocket.get(socket)
    if (those === undefined) bySocket.set(socket, [Frames.onTheWire(text)])
    else those.push(Frames.onTheWire(text))
  }
  return {
    trades: frames.count() - first,
    writes: Array.from(bySocket, ([socket, buffers]) => [socket, Buffer.concat(buffers)] as const)
  }
}

let prepared: Array<Batch> = []

const raw = (socket: WebSocket): net.Socket => {
  const { _socket } = socket as unknown as { readonly _socket: net.Socket }
  return _socket
}

let loop = ClosedLoop.make(Infinity)

const fullSpeed = async ({ broker, room, topic }: Questions["go"]): Promise<void> => {
  const batches = prepared
  prepared = []
  loop = { ...loop, room }
  const sending = new AbortController()
  const watch = async () => {
    const admin = new Kafka({ clientId: "bench-exchange", brokers: [broker], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    while (!sending.signal.aborted) {
      const offsets = await admin.fetchTopicOffsets(topic)
      loop = ClosedLoop.told(loop, offsets.reduce((sum, { offset }) => sum + Number(offset), 0))
      await pause(10)
    }
    await admin.disconnect()
  }
  const watched = room === Infinity ? Promise.resolve() : watch()
  for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
    while (!ClosedLoop.hasRoom(loop, batch.trades)) await pause(1)
    while (batch.writes.some(([socket]) => raw(socket).writableLength > highWater)) await pause(1)
    for (const [socket, bytes] of batch.writes) raw(socket).write(bytes)
    loop = ClosedLoop.sent(loop, batch.trades)
    await new Promise(setImmediate)
  }
  sending.abort()
  await watched
}

/** Of trades of paced stretches, by their number, ms. */
const writtenAt: Array<number> = []

/** One trade a frame, several at a time where the rate is above 1 000. */
const paced = async ({ rate, trades }: Questions["pace"]): Promise<void> => {
  const from = frames.count()
  const began = performance.now()
  while (frames.count() < from + trades) {
    const due = Math.min(from + trades, from + Math.floor((performance.now() - began) / 1000 * rate))
    while (frames.count() < due) {
      const { first, market, text } = frames.next()
      writtenAt[first] = performance.now()
      sockets[market]?.send(text)
    }
    loop = ClosedLoop.sent(loop, frames.count() - loop.sent)
    await pause(1)
  }
}

const batches: Array<Tap.Batch & { readonly topic: string }> = []

const listenForKafka = async (port: number, target: number): Promise<void> => {
  const server = net.createServer({ noDelay: true }, (producer) => {
    const broker = net.connect({ host: "127.0.0.1", port: target, noDelay: true })
    const tap = Tap.make()
    producer.on("data", (bytes) => {
      broker.write(bytes)
      tap.asked(bytes)
    })
    broker.on("data", (bytes) => {
      const at = performance.now()
      producer.write(bytes)
      for (const acknowledged of tap.answered(bytes)) batches.push({ ...acknowledged, at })
    })
    for (const [one, other] of [[producer, broker], [broker, producer]] as const) {
      one.on("error", () => other.destroy())
      one.on("close", () => other.destroy())
    }
  })
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
}

const http = createServer((request, response) => {
  response.setHeader("content-type", "application/json")
  response.end(
    request.url?.startsWith("/api/v1/mkt/markets/") === true
      ? JSON.stringify(Array.from({ length: markets }, (_, market) => ({
        symbol: Frames.symbolOf(market),
        name: Frames.symbolOf(market),
        base: `B${market}`,
        quote: "IRT",
        tradable: true,
        price_precision: "0",
        base_amount_precision: "8",
        quote_amount_precision: "0"
      })))
      : "[]"
  )
})

interface Command {
  readonly id?: number
  readonly connect?: object
  readonly subscribe?: { readonly channel: string }
}

new WebSocketServer({ server: http, perMessageDeflate: false }).on("connection", (socket) => {
  // The subject is ended while it is sent to.
  socket.on("error", () => socket.terminate())
  socket.on("message", (data) => {
    for (const line of String(data).split("\n")) {
      if (line.trim() === "" || line.trim() === "{}") continue
      const { connect, id, subscribe }: Command = JSON.parse(line)
      if (connect !== undefined) {
        const accepted = { client: "bench", version: "0", ping: 25, pong: true }
        socket.send(JSON.stringify({ id, connect: accepted }))
      }
      if (subscribe === undefined) continue
      socket.send(JSON.stringify({ id, subscribe: {} }))
      const market = Number(/^matches:B(\d+)_IRT$/.exec(subscribe.channel)?.[1])
      if (sockets[market] === undefined) subscribed += 1
      sockets[market] = socket
    }
  })
})

// Full speed and pace answer at once; one that fails rejects unheard, which ends the process, and the harness says so.
const answers: { readonly [K in keyof Questions]: (asked: Questions[K]) => Answers[K] } = {
  state: () => ({ subscribed, sent: loop.sent }),
  prepare: ({ trades }) => {
    const until = frames.count() + trades
    while (frames.count() < until) prepared.push(prepareBatch(until))
    return {}
  },
  go: (asked) => {
    void fullSpeed(asked)
    return {}
  },
  pace: (asked) => {
    void paced(asked)
    return {}
  },
  seen: ({ from, topic, trades }) => ({
    writtenAt: Float64Array.from({ length: trades }, (_, i) => writtenAt[from + i] ?? NaN),
    batches: batches.filter((batch) => batch.topic === topic)
  })
}

process.on("message", ({ asked, name, number }: Question) => {
  const answer = (answers[name] as (asked: unknown) => unknown)(asked)
  process.send?.({ number, answer })
})

if (env("TAP_PORT") !== "") await listenForKafka(Number(env("TAP_PORT")), Number(env("TAP_TARGET")))
http.listen(0, "127.0.0.1", () => {
  const address = http.address()
  process.send?.({ port: typeof address === "object" && address !== null ? address.port : 0 })
})
