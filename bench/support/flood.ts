/**
 * An exchange that sends as fast as it is read: BitPin's protocol, `MARKETS` markets, `TRADES` trades in all, one a frame. A process
 * of its own, so that its CPU is nobody else's. Prints its port; starts sending when every market is subscribed.
 */
import { createServer } from "node:http"
import { type WebSocket, WebSocketServer } from "ws"

const markets = Number(process.env["MARKETS"] ?? 60)
const trades = Number(process.env["TRADES"] ?? 100_000)

/** What waits in a socket before the next batch is held back. */
const highWater = 4 * 1024 * 1024

const symbols = Array.from({ length: markets }, (_, i) => `B${i}_IRT`)

const http = createServer((request, response) => {
  response.setHeader("content-type", "application/json")
  response.end(
    request.url?.startsWith("/api/v1/mkt/markets/") === true
      ? JSON.stringify(symbols.map((symbol) => ({
        symbol,
        name: symbol,
        base: symbol.split("_")[0],
        quote: "IRT",
        tradable: true,
        price_precision: "0",
        base_amount_precision: "8",
        quote_amount_precision: "0"
      })))
      : "[]"
  )
})

const subscribers = new Map<string, WebSocket>()

const frame = (n: number): string => {
  const symbol = symbols[n % markets] ?? ""
  const row = {
    id: `${70_000_000 + n}_${70_000_001 + n}`,
    price: String(11_379_465_211 + n % 1000),
    base_amount: `0.0${1000 + n % 9000}`,
    quote_amount: "11075213",
    side: n % 2 === 0 ? "buy" : "sell",
    time: 1_781_182_785.263 + n / 1000
  }
  const pub = { data: { event: "matches_update", symbol, matches: [row] }, offset: n }
  return JSON.stringify({ push: { channel: `matches:${symbol}`, pub } })
}

let sent = 0
const pump = (): void => {
  for (let i = 0; i < 500 && sent < trades; i++) {
    const socket = subscribers.get(symbols[sent % markets] ?? "")
    if (socket === undefined) return
    if (socket.bufferedAmount > highWater) break
    socket.send(frame(sent))
    sent += 1
  }
  if (sent < trades) setImmediate(pump)
}

new WebSocketServer({ server: http, perMessageDeflate: false }).on("connection", (socket) => {
  socket.on("message", (data) => {
    for (const line of String(data).split("\n")) {
      if (line.trim() === "" || line.trim() === "{}") continue
      const command: {
        readonly id?: number
        readonly connect?: object
        readonly subscribe?: { readonly channel: string }
      } = JSON
        .parse(line)
      if (command.connect !== undefined) {
        socket.send(
          JSON.stringify({ id: command.id, connect: { client: "flood", version: "0", ping: 25, pong: true } })
        )
      }
      if (command.subscribe === undefined) continue
      socket.send(JSON.stringify({ id: command.id, subscribe: {} }))
      subscribers.set(command.subscribe.channel.replace("matches:", ""), socket)
      // A moment for the reader to be ready with all of them.
      if (subscribers.size === markets && sent === 0) setTimeout(pump, 500)
    }
  })
})

http.listen(0, "127.0.0.1", () => {
  const address = http.address()
  process.stdout.write(`${typeof address === "object" && address !== null ? address.port : 0}\n`)
})
