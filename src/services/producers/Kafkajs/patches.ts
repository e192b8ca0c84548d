/**
 * What kafkajs 2.2.4 needs changed from outside. All touch kafkajs itself, once a process, and only when a producer is made:
 * importing this package changes nothing.
 */
import BrokerPool from "kafkajs/src/cluster/brokerPool.js"
import RequestQueue from "kafkajs/src/network/requestQueue/index.js"
import SocketRequest from "kafkajs/src/network/requestQueue/socketRequest.js"
import Produce from "kafkajs/src/protocol/requests/produce/index.js"
import * as ProduceRequest from "./ProduceRequest.ts"
import type { Transport } from "./Transport.ts"

const applied = new WeakSet<object>()

const once = (target: object, patch: () => void): void => {
  if (applied.has(target)) return
  applied.add(target)
  patch()
}

/**
 * An idle connection re-arms a timer with a negative delay for ever: 2 700 timers a second, and a warning on Node 24
 * (docs/design/kafkajs.md "An idle connection spins"). With nothing pending there is nothing to check; the next `push` arms it again.
 */
export const calmTimers = (): void =>
  once(RequestQueue, () => {
    const original = RequestQueue.prototype.scheduleCheckPendingRequests
    RequestQueue.prototype.scheduleCheckPendingRequests = function(this: RequestQueue) {
      if (this.pending.length > 0) original.call(this)
    }
  })

/**
 * kafkajs reckons by the wall clock how long a request is out, how long it is throttled and how old its metadata are. Set back by an
 * hour, a frozen broker is not noticed, and a throttled connection not used, for that hour; set forward, every request that is out
 * has timed out. Each of these moments is kept monotonic, and told by what the wall clock shows now, which is what kafkajs compares
 * it with.
 */
export const steadyClocks = (): void => {
  for (const [{ prototype }, name] of moments) {
    once(prototype, () => {
      const kept = new WeakMap<object, number | null>()
      Object.defineProperty(prototype, name, {
        configurable: true,
        get(this: object) {
          const at = kept.get(this) ?? null
          return at === null ? null : Date.now() - Math.round(performance.now() - at)
        },
        set(this: object, wall: number | null) {
          kept.set(this, wall === null ? null : performance.now() - (Date.now() - wall))
        }
      })
    })
  }
}

const moments = [
  [SocketRequest, "sentAt"],
  [RequestQueue, "throttledUntil"],
  [BrokerPool, "metadataExpireAt"]
] as const

/** Versions of a request whose batches are of format 2, with headers: Kafka 0.11 and later. */
const firstVersion = 3

/**
 * Our records are encoded by us (`ProduceRequest.ts`: the same bytes, sooner) and compressed as we say: level 1 instead of 6 is a
 * third of the time for a seventh more bytes (docs/design/kafkajs.md "Encoding and compression"). What others in this process send stays kafkajs's own.
 */
export const encodeBy = (compress: Transport["gzip"]): void =>
  once(Produce, () => {
    const original = Produce.protocol
    Produce.protocol = (options) => {
      const make = original(options)
      return (args) => {
        if (options.version < firstVersion || !ProduceRequest.isKnown(args)) {
          return make(ProduceRequest.spelledOut(args))
        }
        const call = make(args)
        const encode = async () => {
          const bytes = await ProduceRequest.encode(args, compress)
          // What kafkajs asks of one of its encoders.
          return { buf: bytes, buffer: bytes }
        }
        return { ...call, request: { ...call.request, encode } }
      }
    }
  })
