/**
 * `HTTPS_PROXY` and `NO_PROXY` for REST and WebSocket alike: exchanges often refuse foreign addresses. The proxy carries every
 * connection as a tunnel, so that it sees host and port of what is encrypted, and no more.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { HttpsProxyAgent } from "https-proxy-agent"
import type { Agent } from "node:http"
import type { Socket } from "node:net"
import { SocksProxyAgent } from "socks-proxy-agent"

export interface Options {
  /** `http`, `https` or `socks5`, credentials in the URL; undefined: all connections are direct. */
  readonly https: string | undefined
  /**
   * What is reached without it: a host or address, with or without a port; a domain, with or without a leading dot, which stands for
   * all below it too; `*` for everything.
   */
  readonly no: ReadonlyArray<string>
}

export interface Proxy {
  /** For a connection to that URL; undefined: directly. */
  readonly agent: (url: string | URL) => Agent | undefined
}

const defaultPorts = new Map([["https:", "443"], ["wss:", "443"], ["http:", "80"], ["ws:", "80"]])

const bare = (host: string): string => host.toLowerCase().replace(/^\[(.*)\]$/, "$1")

/** A port that stands behind a name or behind an address in brackets; an IPv6 address without brackets has none. */
const split = (entry: string): { readonly host: string; readonly port: string | undefined } => {
  const [, host = entry, port] = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? []
  return { host: bare(host), port }
}

/** Whether `NO_PROXY` names the URL's host. */
export const isDirect = (url: string | URL, no: ReadonlyArray<string>): boolean => {
  const { hostname, port, protocol } = new URL(url)
  const host = bare(hostname)
  const to = port === "" ? defaultPorts.get(protocol) : port
  return no.some((text) => {
    if (text === "*") return true
    const entry = split(text)
    if (entry.port !== undefined && entry.port !== to) return false
    const domain = entry.host.replace(/^\*?\.+/, "")
    return domain !== "" && (host === domain || host.endsWith(`.${domain}`))
  })
}

/**
 * A proxy that refuses is an error of the connection. The library would hand the refusal on as the exchange's answer, on a socket
 * that takes no request, and Node's client would wait for it to be taken.
 */
class Tunnel extends HttpsProxyAgent<string> {
  override async connect(...[request, options]: Parameters<HttpsProxyAgent<string>["connect"]>): Promise<Socket> {
    let status = 200
    request.once("proxyConnect", (answer: { readonly statusCode: number }) => {
      status = answer.statusCode
    })
    const socket = await super.connect(request, options)
    if (status === 200) return socket
    socket.destroy()
    throw new Error(`the proxy answered ${status}`)
  }
}

/** Names are looked up by a SOCKS proxy too, as they are by one that speaks HTTP. */
const tunnelOf = (url: string): Tunnel | SocksProxyAgent =>
  url.startsWith("socks5:") ? new SocksProxyAgent(url.replace(/^socks5:/, "socks5h:")) : new Tunnel(url)

export const make = ({ https, no }: Options): Proxy => {
  if (https === undefined) return { agent: () => undefined }
  const tunnel = tunnelOf(https)
  return { agent: (url) => isDirect(url, no) ? undefined : tunnel }
}

/** REST: through the proxy where it is to be used, else by `fetch`. */
export const httpClient = (options: Options): Layer.Layer<HttpClient.HttpClient> => {
  if (options.https === undefined) return FetchHttpClient.layer
  const tunnel = tunnelOf(options.https)
  return Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function*() {
      const direct = yield* Effect.provide(HttpClient.HttpClient, FetchHttpClient.layer)
      const proxied = yield* Effect.provideService(NodeHttpClient.make, NodeHttpClient.HttpAgent, {
        [NodeHttpClient.HttpAgentTypeId]: NodeHttpClient.HttpAgentTypeId,
        http: tunnel,
        https: tunnel
      })
      return HttpClient.make((request, url) => (isDirect(url, options.no) ? direct : proxied).execute(request))
    })
  )
}
