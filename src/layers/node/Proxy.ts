/**
 * `HTTPS_PROXY` and `NO_PROXY` for REST and WebSocket alike: exchanges often refuse foreign addresses.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Layer from "effect/Layer"
import * as NodeHttp from "./Http.ts"
import { isDirect } from "./NoProxy.ts"
import * as NodeTunnel from "./Tunnel.ts"

export { isDirect } from "./NoProxy.ts"
export type { Proxy } from "./Tunnel.ts"

/**
 * Which proxy, and what is reached without it.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options {
  /** `http`, `https`, `socks5` or `socks5h` (the same here), credentials in the URL; undefined: all connections are direct. */
  readonly https: string | undefined
  /**
   * What is reached without it: a host or address, with or without a port; a domain, with or without a leading dot, which stands for
   * all below it too; addresses as `10.0.0.0/8` or `fd00::/64`, where the URL has an address and no name; `*` for everything.
   */
  readonly no: ReadonlyArray<string>
}

/**
 * A proxy. Throws if `https` is no URL; dials nothing by itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ https, no }: Options): NodeTunnel.Proxy => {
  if (https === undefined) return { agent: () => undefined }
  const proxy = new URL(https)
  return {
    agent: (url, ended) => {
      if (isDirect(url, no)) return undefined
      const { protocol } = new URL(url)
      return NodeTunnel.agent(proxy, protocol === "https:" || protocol === "wss:", ended)
    }
  }
}

/**
 * Gives an HTTP client: through the proxy where it is to be used, else directly. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const httpClient = (options: Options): Layer.Layer<HttpClient.HttpClient> => NodeHttp.layer(make(options))
