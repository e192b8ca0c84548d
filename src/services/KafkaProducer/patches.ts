/**
 * What kafkajs 2.2.4 needs changed from outside. Both touch kafkajs itself, once a process, and only when a producer is made:
 * importing this package changes nothing.
 */
import kafkajs from "kafkajs"
import RequestQueue from "kafkajs/src/network/requestQueue/index.js"
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

/** Level 1 instead of 6: a third of the time for a seventh more bytes (KAFKA-REAL.md section 1). Reading stays kafkajs's own. */
export const gzipBy = (compress: Transport["gzip"]): void =>
  once(kafkajs.CompressionCodecs, () => {
    const original: { readonly decompress: unknown } = kafkajs.CompressionCodecs[kafkajs.CompressionTypes.GZIP]()
    kafkajs.CompressionCodecs[kafkajs.CompressionTypes.GZIP] = () => ({
      compress: (encoder: { readonly buffer: Uint8Array }) => compress(encoder.buffer),
      decompress: original.decompress
    })
  })
