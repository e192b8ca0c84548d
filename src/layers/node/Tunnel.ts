/**
 * A connection through a proxy: HTTP's CONNECT, in the clear or over TLS, or SOCKS 5. The proxy sees host and port of what is
 * encrypted, and no more. Whatever becomes of an attempt, no socket of it stays open.
 */
import { once } from "node:events"
import type { Agent } from "node:http"
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"
import * as tls from "node:tls"
import { SocksClient } from "socks"
import { reasonOf } from "../../services/ErrorText.ts"
import * as Percent from "../Percent.ts"
import * as NodeDial from "./Dial.ts"

/**
 * Which of Node's agents makes the connections to a URL.
 *
 * @since 0.1.0
 * @category models
 */
export interface Proxy {
  /** For one connection to that URL, which ends with `ended` at the latest; undefined: directly. */
  readonly agent: (url: string | URL, ended?: AbortSignal) => Agent | undefined
}

/** How long a proxy may take to open a tunnel: less than a REST call (10 s) and a dial (15 s) may take, so that it is named. */
const patience = 8_000

export interface Target {
  readonly host: string
  readonly port: number
}

const bare = (host: string): string => host.replace(/^\[(.*)\]$/, "$1")

const defaultPorts = new Map([["http:", 80], ["https:", 443]])

/** SOCKS has a port of its own. */
const addressOf = ({ hostname, port, protocol }: URL): Target => ({
  host: bare(hostname),
  port: port === "" ? defaultPorts.get(protocol) ?? 1080 : Number(port)
})

const authority = ({ host, port }: Target): string => `${net.isIPv6(host) ? `[${host}]` : host}:${port}`

const credentialsOf = ({ password, username }: URL) =>
  username === "" && password === ""
    ? undefined
    : { user: Percent.decode(username), password: Percent.decode(password) }

const byConnect = (proxy: URL, target: Target, signal: AbortSignal): Promise<net.Socket> =>
  new Promise((resolve, reject) => {
    const login = credentialsOf(proxy)
    const request = (proxy.protocol === "https:" ? https : http).request({
      ...NodeDial.options(),
      ...addressOf(proxy),
      // Else the name in the header below, the exchange's, is the one that the proxy's certificate would have to bear.
      servername: net.isIP(addressOf(proxy).host) === 0 ? addressOf(proxy).host : "",
      agent: false,
      method: "CONNECT",
      path: authority(target),
      headers: {
        host: authority(target),
        ...(login === undefined
          ? {}
          : { "proxy-authorization": `Basic ${Buffer.from(`${login.user}:${login.password}`).toString("base64")}` })
      },
      signal
    })
    request.once("connect", ({ statusCode = 0 }, socket, head) => {
      // What it says with a refusal is not the exchange's answer.
      if (statusCode < 200 || statusCode > 299) {
        socket.destroy()
        reject(new Error(`it answered ${statusCode}`))
        return
      }
      if (head.length > 0) socket.unshift(head)
      resolve(socket)
    })
    request.on("error", reject)
    request.once("close", () => reject(new Error("it closed the connection")))
    request.end()
  })

/** Names are looked up by the proxy, as they are by one that speaks HTTP. */
const bySocks = async (proxy: URL, target: Target, signal: AbortSignal): Promise<net.Socket> => {
  const login = credentialsOf(proxy)
  const address = addressOf(proxy)
  const socket = net.connect({ ...NodeDial.options(), ...address, signal })
  await once(socket, "connect")
  // From here on what fails is told by its closing: an error that nobody listens to would end the process.
  socket.on("error", () => {})
  await SocksClient.createConnection({
    command: "connect",
    destination: target,
    existing_socket: socket,
    // Never sooner than the signal.
    timeout: 2 * patience,
    proxy: {
      ...address,
      type: 5,
      ...(login === undefined ? {} : { userId: login.user, password: login.password })
    }
  })
  return socket
}

/** Rejects with what is wrong, and with whom: by its address, without its credentials. */
export const open = (proxy: URL, target: Target, ended: AbortSignal | undefined): Promise<net.Socket> =>
  attempt(proxy, target, ended).catch((cause: unknown) =>
    Promise.reject(new Error(`proxy ${authority(addressOf(proxy))}: ${reasonOf(cause)}`))
  )

const attempt = async (proxy: URL, target: Target, ended: AbortSignal | undefined): Promise<net.Socket> => {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(new Error(`no answer within ${patience / 1000}s`)), patience)
  const signal = ended === undefined ? limit.signal : AbortSignal.any([ended, limit.signal])
  try {
    return await (proxy.protocol.startsWith("socks") ? bySocks : byConnect)(proxy, target, signal)
  } catch (cause) {
    // A socket that was ended by it says only that it has ended.
    throw limit.signal.aborted ? limit.signal.reason : cause
  } finally {
    clearTimeout(timer)
  }
}

/** The certificate is looked at by us. */
const secured = (socket: net.Socket, { host }: Target): tls.TLSSocket =>
  tls.connect({ socket, host, ...(net.isIP(host) === 0 ? { servername: host } : {}) })

/** For connections to a `https:` or `wss:` address (`secure`) or to one in the clear. They end when `ended` is aborted. */
export const agent = (proxy: URL, secure: boolean, ended: AbortSignal | undefined): http.Agent => {
  const made = secure ? new https.Agent() : new http.Agent()
  made.createConnection = ({ host, port }, callback) => {
    const target = { host: host ?? "", port: Number(port) }
    const connected = open(proxy, target, ended).then((socket) => secure ? secured(socket, target) : socket)
    connected.then(
      (socket) => callback?.(null, socket),
      // Of a failure there is no socket, whatever the type says.
      (cause: unknown) => callback?.(cause instanceof Error ? cause : new Error(String(cause)), new net.Socket())
    )
    return undefined
  }
  return made
}
