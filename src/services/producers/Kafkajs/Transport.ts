/**
 * What a Kafka client needs of its platform, and the sockets of one client.
 */
import type { ISocketFactory } from "kafkajs"
import * as Address from "../../Address.ts"
import { reasonOf } from "../../ErrorText.ts"

/**
 * Sockets and compression, which kafkajs does not bring itself. `NodeKafka.transport` are Node's.
 *
 * @since 0.1.0
 * @category options
 */
export interface Transport {
  /** Opens a TCP or TLS connection and returns at once. */
  readonly connect: ISocketFactory
  /** Resolves with a `Buffer`, as kafkajs wants it. */
  readonly gzip: (data: Uint8Array) => Promise<Uint8Array>
}

export interface Sockets {
  readonly open: ISocketFactory
  /** All brokers that were dialled, `host:port`; the last one dialled is the last. */
  readonly dialled: () => ReadonlyArray<string>
  /** The brokers that a connection leads to, `host:port`. */
  readonly connected: () => ReadonlyArray<string>
  /** How many connections have been made and are none any more. */
  readonly ended: () => number
  /** Ends the connections to one broker, as kafkajs names it. */
  readonly destroy: (broker: string) => void
  /** Ends all and opens none any more: whatever kafkajs still has in hand fails. */
  readonly close: () => void
}

/**
 * kafkajs keeps a socket on which a request timed out, and so never recovers from a half-open connection (docs/design/kafkajs.md "A connection that hangs is kept for ever"). It
 * listens for `error` but not for `close`: a socket must be destroyed with an error.
 */
export const makeSockets = (transport: Transport): Sockets => {
  const open = new Map<string, Set<ReturnType<ISocketFactory>>>()
  const dialled = new Set<string>()
  const established = new Map<ReturnType<ISocketFactory>, string>()
  let ended = 0
  let closed = false
  const end = (sockets: Iterable<ReturnType<ISocketFactory>>, why: string) => {
    for (const socket of sockets) socket.destroy(Object.assign(new Error(why), { code: "ETIMEDOUT" }))
  }
  return {
    open: (target) => {
      if (closed) throw new Error("this client was given up")
      const broker = `${target.host}:${target.port}`
      const host = Address.hostOf(target.host)
      const address = Address.format({ host, port: target.port })
      const socket = transport.connect({
        ...target,
        host,
        onConnect: () => {
          established.set(socket, address)
          target.onConnect()
        }
      })
      // kafkajs keeps its message and no more: of a name with several addresses that would be nothing. Before kafkajs listens.
      socket.once("error", (error) => {
        error.message = reasonOf(error)
      })
      const siblings = open.get(broker) ?? new Set()
      open.set(broker, siblings.add(socket))
      socket.once("close", () => {
        siblings.delete(socket)
        if (established.delete(socket)) ended += 1
      })
      dialled.delete(address)
      dialled.add(address)
      return socket
    },
    dialled: () => Array.from(dialled),
    connected: () => Array.from(new Set(established.values())),
    ended: () => ended,
    destroy: (broker) => end(open.get(broker) ?? [], "request timed out"),
    close: () => {
      closed = true
      for (const sockets of open.values()) end(sockets, "this client was given up")
    }
  }
}
