/**
 * A TCP proxy in front of a broker that fails in the ways networks do.
 */
import * as net from "node:net"

export interface FaultProxy {
  readonly port: number
  readonly address: string
  /** Where to; set it before the first connection. */
  readonly to: (port: number) => void
  /** Milliseconds by which every answer is late. */
  readonly delay: (ms: number) => void
  /** The next so many answers of the broker are thrown away: it has done its work and nobody learns of it. */
  readonly dropResponses: (chunks: number) => void
  /** How many were thrown away. */
  readonly dropped: () => number
  /** Half-open: connections of now stay open and carry nothing any more, new ones work. Tells how many. */
  readonly blackholeEstablished: () => number
  /** New connections are taken and carry nothing, as a frozen broker does. */
  readonly blackholeNew: (on: boolean) => void
  /** New connections are refused (the port is closed). */
  readonly refuse: (on: boolean) => Promise<void>
  /** Each whole request of an unencrypted connection, by the number of the connection and Kafka's key of the request. */
  readonly onRequest: (listener: (connection: number, apiKey: number) => void) => void
  /** RST on all connections of now. Tells how many. */
  readonly reset: () => number
  readonly close: () => Promise<void>
}

interface Pair {
  readonly client: net.Socket
  readonly broker: net.Socket | undefined
  dead: boolean
}

/** Kafka's requests in a stream of bytes: each begins with its length and its key. */
const requestsOf = (listener: (apiKey: number) => void): (chunk: Buffer) => void => {
  let rest = Buffer.alloc(0)
  return (chunk) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 6 && rest.length >= 4 + rest.readInt32BE(0)) {
      listener(rest.readInt16BE(4))
      rest = rest.subarray(4 + rest.readInt32BE(0))
    }
  }
}

export const make = async (): Promise<FaultProxy> => {
  const pairs = new Set<Pair>()
  let target = 0
  let delay = 0
  let toDrop = 0
  let dropped = 0
  let blackhole = false
  let connections = 0
  let seen: ((connection: number, apiKey: number) => void) | undefined

  const accept = (client: net.Socket) => {
    client.setNoDelay(true)
    if (blackhole) {
      const pair: Pair = { client, broker: undefined, dead: true }
      pairs.add(pair)
      client.on("error", () => {})
      client.once("close", () => pairs.delete(pair))
      client.resume()
      return
    }
    const broker = net.connect({ host: "127.0.0.1", port: target, noDelay: true })
    const pair: Pair = { client, broker, dead: false }
    pairs.add(pair)
    const connection = connections++
    const watch = seen === undefined ? undefined : requestsOf((apiKey) => seen?.(connection, apiKey))
    client.on("data", (chunk) => {
      if (pair.dead) return
      broker.write(chunk)
      watch?.(chunk)
    })
    broker.on("data", (chunk) => {
      if (pair.dead) return
      if (toDrop > 0) {
        toDrop -= 1
        dropped += 1
        return
      }
      const pass = () => {
        if (!pair.dead && !client.destroyed) client.write(chunk)
      }
      if (delay === 0) pass()
      else setTimeout(pass, delay) // equal delays keep their order
    })
    const end = () => {
      client.destroy()
      broker.destroy()
      pairs.delete(pair)
    }
    client.on("error", end)
    client.on("close", end)
    // A dead pair stays half-open towards the client, whatever the broker does.
    const brokerEnd = () => {
      if (!pair.dead) end()
    }
    broker.on("error", brokerEnd)
    broker.on("close", brokerEnd)
  }

  let server: net.Server | undefined
  const listen = (port: number) =>
    new Promise<number>((resolve, reject) => {
      const listening = net.createServer(accept)
      server = listening
      listening.once("error", reject)
      listening.listen(port, "127.0.0.1", () => {
        const bound = listening.address()
        resolve(typeof bound === "object" && bound !== null ? bound.port : port)
      })
    })
  const stopListening = () =>
    new Promise<void>((resolve) => {
      const listening = server
      server = undefined
      if (listening === undefined) return resolve()
      // Established connections go on: waiting for the `close` event would wait for them.
      listening.close()
      resolve()
    })
  const port = await listen(0)
  return {
    port,
    address: `127.0.0.1:${port}`,
    to: (port) => {
      target = port
    },
    delay: (ms) => {
      delay = ms
    },
    dropResponses: (chunks) => {
      toDrop = chunks
    },
    dropped: () => dropped,
    blackholeEstablished: () => {
      const living = Array.from(pairs).filter((pair) => !pair.dead)
      for (const pair of living) pair.dead = true
      return living.length
    },
    blackholeNew: (on) => {
      blackhole = on
    },
    refuse: async (on) => {
      if (on) await stopListening()
      else if (server === undefined) await listen(port)
    },
    onRequest: (listener) => {
      seen = listener
    },
    reset: () => {
      const all = Array.from(pairs)
      for (const pair of all) pair.client.resetAndDestroy()
      return all.length
    },
    close: async () => {
      await stopListening()
      for (const pair of pairs) {
        pair.client.destroy()
        pair.broker?.destroy()
      }
      pairs.clear()
    }
  }
}
