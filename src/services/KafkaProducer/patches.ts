/**
 * What kafkajs 2.2.4 needs changed from outside. Both touch kafkajs itself, once a process, and only when a producer is made:
 * importing this package changes nothing.
 */
import RequestQueue from "kafkajs/src/network/requestQueue/index.js"
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
 * (KAFKA.md 1.6). With nothing pending there is nothing to check; the next `push` arms it again.
 */
export const calmTimers = (): void =>
  once(RequestQueue, () => {
    const original = RequestQueue.prototype.scheduleCheckPendingRequests
    RequestQueue.prototype.scheduleCheckPendingRequests = function(this: RequestQueue) {
      if (this.pending.length > 0) original.call(this)
    }
  })

/** Versions of a request whose batches are of format 2, with headers: Kafka 0.11 and later. */
const firstVersion = 3

/**
 * Our records are encoded by us (`ProduceRequest.ts`: the same bytes, sooner) and compressed as we say: level 1 instead of 6 is a
 * third of the time for a seventh more bytes (KAFKA-REAL.md section 1). What others in this process send stays kafkajs's own.
 */
export const encodeBy = (compress: Transport["gzip"]): void =>
  once(Produce, () => {
    const original = Produce.protocol
    Produce.protocol = (options) => {
      const make = original(options)
      return (args) => {
        const call = make(args)
        if (options.version < firstVersion || !ProduceRequest.isKnown(args)) return call
        const encode = async () => {
          const bytes = await ProduceRequest.encode(args, compress)
          // What kafkajs asks of one of its encoders.
          return { buf: bytes, buffer: bytes }
        }
        return { ...call, request: { ...call.request, encode } }
      }
    }
  })
