/** What `NO_PROXY` says of an address. */
import { BlockList, isIP, isIPv6 } from "node:net"

const defaultPorts = new Map([["https:", "443"], ["wss:", "443"], ["http:", "80"], ["ws:", "80"]])

const bare = (host: string): string => host.toLowerCase().replace(/^\[(.*)\]$/, "$1")

/** A port that stands behind a name or behind an address in brackets; an IPv6 address without brackets has none. */
const split = (entry: string): { readonly host: string; readonly port: string | undefined } => {
  const [, host = entry, port] = /^(\[.*\]|[^:]*)(?::(\d+))?$/.exec(entry) ?? []
  return { host: bare(host), port }
}

/** Addresses as `10.0.0.0/8`, or one by itself; undefined if the text is neither. */
export const subnetOf = (text: string): BlockList | undefined => {
  const [, host = text, bits] = /^(.+)\/(\d{1,3})$/.exec(text) ?? []
  const address = bare(host)
  const family = isIP(address)
  const most = family === 4 ? 32 : 128
  const prefix = bits === undefined ? most : Number(bits)
  if (family === 0 || prefix > most) return undefined
  const list = new BlockList()
  list.addSubnet(address, prefix, family === 4 ? "ipv4" : "ipv6")
  return list
}

/** Whom a URL leads to. */
export const targetOf = (url: string | URL): { readonly host: string; readonly port: number } => {
  const { hostname, port, protocol } = new URL(url)
  return { host: bare(hostname), port: Number(port === "" ? defaultPorts.get(protocol) : port) }
}

/**
 * Whether a URL is reached without the proxy: one of `no` (`NodeProxy.Options`) names its host.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isDirect = (url: string | URL, no: ReadonlyArray<string>): boolean => {
  const { host, port } = targetOf(url)
  return no.some((text) => {
    if (text === "*") return true
    const entry = split(text)
    if (entry.port !== undefined && Number(entry.port) !== port) return false
    if (isIP(host) !== 0) return subnetOf(entry.host)?.check(host, isIPv6(host) ? "ipv6" : "ipv4") === true
    const domain = entry.host.replace(/^\*?\.+/, "")
    return domain !== "" && (host === domain || host.endsWith(`.${domain}`))
  })
}
