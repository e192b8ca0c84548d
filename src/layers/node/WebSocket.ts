/**
 * `ws` as the platform's WebSocket: the one place in production that imports it. Node's own (22 and later) knows neither `pause`
 * nor a size cap (docs/design/platform.md "Node's own WebSocket has no size cap"), so it is never chosen.
 */
import * as Socket from "@effect/platform/Socket"
import * as Layer from "effect/Layer"
import WebSocket from "ws"
import { userAgent } from "../Version.ts"
import * as NodeDial from "./Dial.ts"
import type * as NodeProxy from "./Proxy.ts"

/**
 * How much of a message is taken, and through which proxy.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** Bytes of one message, continuation frames included; beyond it the connection is closed with 1009. */
  readonly maxPayload: number
  /** Direct connections if left out. */
  readonly proxy?: NodeProxy.Proxy
}

const handshakeTimeout = 10_000

/**
 * Gives the WebSocket constructor that feeds need, over `ws`: no compression, no redirects. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Socket.WebSocketConstructor> =>
  Layer.succeed(Socket.WebSocketConstructor, (url, protocols) => {
    const attempt = new AbortController()
    const socket = new WebSocket(url, protocols ?? [], {
      ...NodeDial.options(),
      maxPayload: options.maxPayload,
      perMessageDeflate: false,
      handshakeTimeout,
      followRedirects: false,
      headers: { "user-agent": userAgent },
      agent: options.proxy?.agent(url, attempt.signal)
    })
    // A proxy that has not answered yet is hung up on too: `ws` knows of no connection before there is a tunnel.
    socket.once("close", () => attempt.abort())
    socket.on("unexpected-response", (_request, response) => {
      // Without a listener `ws` says as much, but not how long we are to stay away.
      const { date, "retry-after": retryAfter } = response.headers
      const message = `Unexpected server response: ${response.statusCode}`
      socket.emit("error", Object.assign(new Error(message), { status: response.statusCode, retryAfter, date }))
      socket.terminate()
    })
    // `ws` implements the interface but for details of its types; what is used of it beyond is looked for by name.
    return socket as unknown as globalThis.WebSocket
  })
