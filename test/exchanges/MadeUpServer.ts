/** The made-up exchange's server, on loopback: strict where it says so. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { type WebSocket, WebSocketServer } from "ws"

export interface MadeUpServer {
  readonly apiUrl: string
  readonly wsUrl: string
  /** By path, in order. */
  readonly asked: ReadonlyArray<string>
  /** Paths of WebSocket dials. */
  readonly dialed: ReadonlyArray<string>
  readonly pings: () => number
  readonly hungUp: () => number
  readonly listeners: (name: string) => number
  /** The next so many REST questions are refused, with status 200. */
  readonly refuse: (count: number) => void
  /** One frame to each who listens; `padding`: bytes that mean nothing. */
  readonly trade: (name: string, price: string, ms: number, padding?: number) => void
}

export const markets = [
  { name: "xbt:rial", buys: "xbt", with: "rial", open: true },
  { name: "xbt:usdt", buys: "xbt", with: "usdt", open: true },
  { name: "old:usdt", buys: "old", with: "usdt", open: false }
]

/** A client that has not pinged for so long is hung up on, ms. */
const patience = 2_000

export const make: Effect.Effect<MadeUpServer, never, Scope.Scope> = Effect.gen(function*() {
  const asked: Array<string> = []
  const dialed: Array<string> = []
  const topics = new Map<WebSocket, Set<string>>()
  let pings = 0
  let hungUp = 0
  let refusals = 0
  const http = createServer((request, response) => {
    const path = request.url ?? ""
    asked.push(path)
    response.writeHead(200, { "content-type": "application/json" })
    if (refusals > 0) {
      refusals -= 1
      response.end(JSON.stringify({ refused: "too busy", seconds: 1 }))
    } else response.end(JSON.stringify(path === "/list" ? { markets } : { trades: [] }))
  })
  const sockets = new WebSocketServer({ noServer: true })
  http.on("upgrade", (request, socket, head) => {
    dialed.push(request.url ?? "")
    sockets.handleUpgrade(request, socket, head, (client) => {
      const own = new Set<string>()
      topics.set(client, own)
      const late = setTimeout(() => {
        hungUp += 1
        client.terminate()
      }, patience)
      client.on("error", () => {})
      client.on("close", () => {
        clearTimeout(late)
        topics.delete(client)
      })
      client.on("message", (data) => {
        const { n, name = "", op }: { readonly op: string; readonly name?: string; readonly n?: number } = JSON.parse(
          String(data)
        )
        if (op === "ping") {
          pings += 1
          late.refresh()
          return client.send(`{"op":"pong"}`)
        }
        if (op === "listen") own.add(name)
        else own.delete(name)
        client.send(JSON.stringify({ op: "ok", n }))
      })
    })
  })
  const port = yield* Effect.acquireRelease(
    Effect.async<number>((resume) => {
      http.listen(0, "127.0.0.1", () => resume(Effect.succeed((http.address() as AddressInfo).port)))
    }),
    () =>
      Effect.async<void>((resume) => {
        for (const client of topics.keys()) client.terminate()
        http.closeAllConnections()
        http.close(() => resume(Effect.void))
      })
  )
  return {
    apiUrl: `http://127.0.0.1:${port}`,
    wsUrl: `ws://127.0.0.1:${port}/v7`,
    asked,
    dialed,
    pings: () => pings,
    hungUp: () => hungUp,
    listeners: (name) => [...topics.values()].filter((own) => own.has(name)).length,
    refuse: (count) => {
      refusals = count
    },
    trade: (name, price, ms, padding = 0) => {
      const row = { p: price, q: "0.5", side: "sell", ms }
      const frame = JSON.stringify({ op: "trades", name, trades: [row], padding: "x".repeat(padding) })
      for (const [client, own] of topics) if (own.has(name)) client.send(frame)
    }
  }
})
