/** Small proxies on loopback that remember whom they connected to. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { createServer as createTlsServer } from "node:https"
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from "node:net"
import type { Duplex } from "node:stream"

export interface Proxy {
  /** With the credentials that it asks for. */
  readonly url: string
  /** `host:port` of each tunnel, in order. */
  readonly tunnels: ReadonlyArray<string>
  /** Connections made to it, also those that it refused. */
  readonly visits: () => number
  /** Connections that are there. */
  readonly open: () => number
  readonly listen: () => Promise<void>
  /** It dies, with all its tunnels; `listen` brings it back. */
  readonly close: () => Promise<void>
}

export interface Options {
  readonly credentials?: { readonly user: string; readonly password: string }
  /** They stand in the URL as they are. */
  readonly verbatim?: boolean
  /** It takes what it is asked for, and says nothing any more. Of a SOCKS proxy also to the greeting alone. */
  readonly mute?: "at once" | "when asked"
  /** Key and certificate in one text: it speaks TLS. */
  readonly pem?: string
}

const serve = async (
  scheme: string,
  { credentials, verbatim = false }: Options,
  tunnels: ReadonlyArray<string>,
  build: () => Server
): Promise<Proxy> => {
  const sockets = new Set<Socket>()
  let server: Server | undefined
  let port = 0
  let visits = 0
  const listen = async () => {
    server = build()
    server.on("connection", (socket: Socket) => {
      visits += 1
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
      socket.on("error", () => socket.destroy())
    })
    await new Promise<void>((resolve) => server?.listen(port, "127.0.0.1", resolve))
    // oxlint-disable-next-line typescript/consistent-type-assertions
    port = (server.address() as AddressInfo).port
  }
  await listen()
  const login = credentials === undefined ?
    "" :
    `${credentials.user}:${verbatim ? credentials.password : encodeURIComponent(credentials.password)}@`
  return {
    url: `${scheme}://${login}127.0.0.1:${port}`,
    tunnels,
    visits: () => visits,
    open: () => sockets.size,
    listen,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server?.close(resolve))
    }
  }
}

const join = (client: Duplex, port: number, host: string, ready: (up: Socket) => void, failed: () => void): void => {
  const up = connect(port, host, () => {
    ready(up)
    client.pipe(up).pipe(client)
  })
  up.on("error", failed)
  up.on("close", () => client.destroy())
  client.on("close", () => up.destroy())
  client.on("error", () => up.destroy())
}

/** Knows CONNECT only. */
export const http = (options: Options = {}): Promise<Proxy> => {
  const { credentials, mute, pem } = options
  const tunnels: Array<string> = []
  const expected = credentials === undefined
    ? undefined
    : `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString("base64")}`
  return serve(pem === undefined ? "http" : "https", options, tunnels, () => {
    const refuse = (_request: unknown, response: ServerResponse) => void response.writeHead(405).end()
    const server = pem === undefined ? createServer(refuse) : createTlsServer({ key: pem, cert: pem }, refuse)
    server.on("connect", (request: IncomingMessage, client: Duplex) => {
      if (request.headers["proxy-authorization"] !== expected) {
        client.end(
          "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n"
        )
        return
      }
      const target = request.url ?? ""
      tunnels.push(target)
      if (mute !== undefined) {
        // Unread it would not learn that the client has gone.
        client.on("end", () => client.destroy()).resume()
        return
      }
      const { hostname, port } = new URL(`http://${target}`)
      join(
        client,
        Number(port || 80),
        hostname,
        () => client.write("HTTP/1.1 200 Connection established\r\n\r\n"),
        () => client.end("HTTP/1.1 502 Bad Gateway\r\n\r\n")
      )
    })
    return server
  })
}

/** RFC 1928 with names and IPv4, RFC 1929 for the password; each message has to come in one piece. */
export const socks5 = (options: Options = {}): Promise<Proxy> => {
  const { credentials, mute } = options
  const tunnels: Array<string> = []
  return serve("socks5", options, tunnels, () =>
    createTcpServer((client) => {
      const command = (request: Buffer) => {
        const isName = request[3] === 3
        const length = isName ? request[4] ?? 0 : 4
        const start = isName ? 5 : 4
        const address = request.subarray(start, start + length)
        const host = isName ? address.toString() : address.join(".")
        const port = request.readUInt16BE(start + length)
        tunnels.push(`${host}:${port}`)
        if (mute !== undefined) return
        const reply = (code: number) => Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0])
        join(client, port, host, () => client.write(reply(0)), () => client.end(reply(5)))
      }
      client.once("data", () => {
        if (mute === "at once") return
        if (credentials === undefined) {
          client.once("data", command)
          client.write(Buffer.from([5, 0]))
          return
        }
        client.once("data", (login: Buffer) => {
          const userEnd = 2 + (login[1] ?? 0)
          const given = `${login.subarray(2, userEnd)}:${login.subarray(userEnd + 1)}`
          const isRight = given === `${credentials.user}:${credentials.password}`
          if (isRight) client.once("data", command)
          client.write(Buffer.from([1, isRight ? 0 : 1]))
        })
        client.write(Buffer.from([5, 2]))
      })
    }))
}
