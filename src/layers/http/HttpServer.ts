/**
 * Node's HTTP server, made to end and to stay answering: that of @effect/platform-node waits for ever for a client that keeps
 * its connection open (docs/design/platform.md "An HTTP server that never closes").
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as PlatformServer from "@effect/platform/HttpServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import * as http from "node:http"
import type { Socket } from "node:net"

/**
 * The server cannot listen at its address.
 *
 * @since 0.1.0
 * @category errors
 */
export class HttpServerUnavailable extends Schema.TaggedError<HttpServerUnavailable>()("HttpServerUnavailable", {
  host: Schema.String,
  port: Schema.Int,
  /** One line that names the settings. */
  message: Schema.String
}) {}

/**
 * Where to listen.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  readonly host: string
  /** 0 = any free one; `url` says which. */
  readonly port: number
}

/**
 * An HTTP server that listens; needs nothing, and fails if it cannot. With its scope it takes no more connections, answers what is under
 * way, and after three seconds ends what is still open.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<PlatformServer.HttpServer, HttpServerUnavailable> =>
  Layer.scoped(PlatformServer.HttpServer, NodeHttpServer.make(() => new Server(), { ...options })).pipe(
    Layer.mapError(({ cause }) => new HttpServerUnavailable({ ...options, message: messageOf(cause, options) }))
  )

/**
 * Where it listens, as `http://127.0.0.1:8080`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const url: Effect.Effect<string, never, PlatformServer.HttpServer> = PlatformServer.addressWith((address) =>
  Effect.succeed(
    address._tag === "TcpAddress" && address.hostname.includes(":")
      ? `http://[${address.hostname}]:${address.port}`
      : PlatformServer.formatAddress(address)
  )
)

// internal

const messageOf = (cause: unknown, { host, port }: Options): string => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EADDRINUSE":
      return `port ${port} on ${host} is in use; choose another with HEALTH_PORT`
    case "EACCES":
      return `port ${port} on ${host} is not allowed; choose another with HEALTH_PORT`
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `${host} is no address of this machine; choose another with HEALTH_HOST`
    default:
      return `cannot listen on ${host}, port ${port}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

/** Probes are small and come often; nobody needs more, and slow or many clients must not keep others out (docs/design/platform.md "Slow and many clients"). */
const limits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  /** By default Node looks after the two above only each 30 s. */
  connectionsCheckingInterval: 1_000
}

/** A client that reads nothing of what it asked for is let go. */
const inactivity = 60_000

const mostConnections = 256

/** What the collector needs itself of a small limit: sockets to exchanges and to Kafka, files of the queue, Node's own. */
const reserved = 32

/**
 * How many connections this server takes, of a limit of open files: of what is beyond the collector's own needs half, so that whoever
 * looks at it does not take the last descriptor from a socket or a file. Undefined: the limit is not known.
 *
 * @internal
 */
export const connectionsFor = (openFiles: number | undefined): number =>
  openFiles === undefined
    ? mostConnections
    : Math.max(4, Math.min(mostConnections, Math.floor((openFiles - reserved) / 2)))

/** The soft limit of this process, as Linux tells it. */
const openFilesLimit = (): number | undefined => {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? []
    return limit === undefined ? undefined : Number(limit)
  } catch {
    return undefined
  }
}

/**
 * How many connections the server of this process takes.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxConnections: number = connectionsFor(openFilesLimit())

/** To one for whom there is no room: all connections are being answered. */
const full = "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

/** For what is under way when it closes. */
const patience = 3_000

class Server extends http.Server {
  /** Connections on which no request is being answered, the longest unused first. */
  private readonly unused = new Set<Socket>()
  private readonly connected = new Set<Socket>()

  constructor() {
    super(limits)
    this.timeout = inactivity
    this.on("connection", (socket) => this.admit(socket))
    this.on("request", (request, response) => {
      this.unused.delete(request.socket)
      response.on("close", () => {
        if (!request.socket.destroyed) this.unused.add(request.socket)
      })
    })
    // A connection that could not be accepted (EMFILE) is its client's loss; without a listener it would be the process' end.
    this.on("error", () => {})
  }

  /** When there are too many, the newcomer may be a probe: the one that has said nothing for the longest goes. */
  private admit(socket: Socket): void {
    if (this.connected.size >= maxConnections) {
      const [oldest] = this.unused
      const victim = oldest ?? socket
      this.forget(victim)
      if (victim === socket) {
        victim.on("error", () => {}).end(full, () => victim.destroy())
        return
      }
      victim.destroy()
    }
    this.connected.add(socket)
    this.unused.add(socket)
    socket.once("close", () => this.forget(socket))
  }

  private forget(socket: Socket): void {
    this.connected.delete(socket)
    this.unused.delete(socket)
  }

  override close(callback?: (error?: Error) => void): this {
    super.close(callback)
    setTimeout(() => this.connected.forEach((socket) => socket.destroy()), patience).unref()
    return this
  }
}
