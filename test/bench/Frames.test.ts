import { once } from "node:events"
import type * as net from "node:net"
import { expect, test } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import * as Frames from "../../bench/support/Frames.ts"
import { bitpin } from "../../src/streams/exchanges/Bitpin.ts"

const matchesOf = (text: string): ReadonlyArray<{ readonly id: string; readonly time: number }> =>
  JSON.parse(text).push.pub.data.matches

const take = (shape: Frames.Shape, markets: number, count: number) => {
  const frames = Frames.make(shape, markets)
  return { texts: Array.from({ length: count }, () => frames.next()), trades: frames.count() }
}

test("each trade is new in one frame, and trades and frames are counted alike", () => {
  for (const shape of Object.values(Frames.shapes)) {
    const seen = new Set<string>()
    const { texts, trades } = take(shape, 3, 90)
    for (const { first, text } of texts) {
      const fresh = matchesOf(text).map(({ id }) => id).filter((id) => !seen.has(id))
      expect(fresh.toReversed()).toEqual(Array.from({ length: shape.fresh }, (_, i) => Frames.idOf(first + i)))
      for (const id of fresh) seen.add(id)
    }
    expect(seen.size).toBe(trades)
    expect(trades).toBe(90 * shape.fresh)
  }
})

test("a window shows its market's last twenty, newest first", () => {
  const { texts } = take(Frames.shapes.window, 2, 60)
  const last = matchesOf(texts.at(-1)?.text ?? "")
  expect(last.map(({ id }) => Frames.numberOf(`:t:${id}`))).toEqual(Array.from({ length: 20 }, (_, i) => 59 - 2 * i))
})

test("times have the six decimals that BitPin sends", () => {
  const { texts } = take(Frames.shapes.one, 1, 100)
  expect(texts.filter(({ text }) => /"time":\d+\.\d{6}[,}]/.test(text)).length).toBeGreaterThan(80)
})

test("the number of a trade is read from a record's id, and from no other", () => {
  expect(Frames.numberOf(`bitpin:B7/IRT:t:${Frames.idOf(123)}`)).toBe(123)
  expect(Frames.numberOf("bitpin:B7/IRT:t:70000012_70000014")).toBeUndefined()
  expect(Frames.numberOf("bitpin:B7/IRT:t:1_2")).toBeUndefined()
  expect(Frames.numberOf("feeds:gap:1")).toBeUndefined()
})

test("a frame on the wire is what a client reads, in each of its three lengths", async () => {
  const lengths = [0, 125, 126, 65_535, 65_536, 200_000]
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" })
  server.on("connection", (_, { socket }: { readonly socket: net.Socket }) => {
    for (const length of lengths) socket.write(Frames.onTheWire("x".repeat(length)))
  })
  await once(server, "listening")
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as net.AddressInfo).port}`)
  const read: Array<number> = []
  await new Promise<void>((resolve) =>
    client.on("message", (data) => {
      read.push(String(data).length)
      if (read.length === lengths.length) resolve()
    })
  )
  client.terminate()
  server.close()
  expect(read).toEqual(lengths)
})

test("the collector takes every frame whole, and gives the trades the numbers they have", () => {
  const { texts } = take(Frames.shapes.window, 2, 60)
  const messages = texts.flatMap(({ text }) => bitpin.socket.decode(text, () => undefined))
  expect(messages.filter(({ _tag }) => _tag === "failure")).toEqual([])
  const rows = messages.flatMap((message) => message._tag === "trades" ? message.rows : [])
  expect(new Set(rows.map(({ id }) => Frames.numberOf(`:t:${id}`))).size).toBe(60)
  expect(rows.every(({ timestamp }) => timestamp !== null)).toBe(true)
})
