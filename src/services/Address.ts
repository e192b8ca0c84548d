/**
 * Addresses of brokers as text, `host:port` and `[::1]:9092`. kafkajs takes apart the ones it is given at their first colon: an
 * address of IPv6 is given to it with other signs in place of its colons, and comes back from it when it dials.
 */

export interface Address {
  readonly host: string
  readonly port: number
}

export const format = ({ host, port }: Address): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** Undefined if it is no `host:port`. */
export const parse = (text: string): Address | undefined => {
  const [, bracketed, plain = "", port = ""] = /^(?:\[([^\]]*:[^\]]*)\]|([^:[\]]+)):(\d+)$/.exec(text) ?? []
  const host = bracketed ?? plain
  return host === "" ? undefined : { host, port: Number(port) }
}

/** In no name and in no address. */
const stand = "|"

const bracketed = /^\[([^\]]*)\]/

/** As kafkajs may be given it. */
export const forKafkajs = (broker: string): string => broker.replace(bracketed, (part) => part.replaceAll(":", stand))

/** What kafkajs calls the host, as Node dials it. Hosts that a broker tells it of come as they are. */
export const hostOf = (named: string): string => named.replace(bracketed, "$1").replaceAll(stand, ":")

/** What kafkajs calls a broker, for people: it joins whatever host it has with the port. */
export const shown = (named: string): string => {
  const colon = named.lastIndexOf(":")
  return colon === -1 ? named : format({ host: hostOf(named.slice(0, colon)), port: Number(named.slice(colon + 1)) })
}
