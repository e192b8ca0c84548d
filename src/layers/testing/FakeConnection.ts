/**
 * One client of a fake exchange: frames wait here while they are held back or the client does not read, and what the client
 * may never have seen is told to the oracle.
 */
import type { Socket } from "node:net"
import type { WebSocket } from "ws"
import type { Issued } from "./Oracle.ts"
import type { End, Script } from "./Script.ts"

interface Message {
  readonly data: string | Uint8Array
  readonly issued: ReadonlyArray<Issued>
  /** Never joined with others. */
  readonly alone: boolean
  /** Until when it is held back, by `performance.now`. */
  readonly due: number
}

interface Written {
  readonly issued: ReadonlyArray<Issued>
  /** By `performance.now`. */
  readonly at: number
}

/** What was written so shortly before a connection broke may not have been read, milliseconds. */
const doubt = 1_000

const nothing: ReadonlyArray<Issued> = []

/**
 * One WebSocket of a client, seen from the server.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeConnection {
  readonly ws: WebSocket
  /** Epoch ms. */
  readonly openedAt = Date.now()
  /** Channels as the protocol names them, each with the moment (epoch ms) when it began. */
  readonly subscriptions = new Map<string, number>()
  /** Every frame the client sent. */
  readonly received: Array<string> = []
  pongs = 0
  sentFrames = 0
  /** The close code this side saw (1006: none came), undefined while it is open. */
  closeCode: number | undefined
  private readonly socket: Socket
  private readonly script: () => Script
  private halfOpened = false
  private ending: End | undefined
  /** Messages joined in one frame by newlines, if more than 1: those of one tick, in their order. */
  private readonly batch: number
  private waiting: Array<Message> = []
  private corked = false
  private timer: NodeJS.Timeout | undefined
  /** Trades written in this `doubt` and the one before. */
  private young: Array<Written> = []
  private old: Array<Written> = []
  private rotated = performance.now()

  constructor(ws: WebSocket, socket: Socket, batch: number, script: () => Script) {
    this.ws = ws
    this.socket = socket
    this.batch = batch
    this.script = script
    socket.on("drain", () => this.pump())
    ws.on("close", (code) => this.closed(code))
  }

  /** Neither reads nor writes nor closes: the other side of a broken path. */
  get dead(): boolean {
    return this.halfOpened
  }

  /** It is served: open, not about to close, not half-open. */
  get alive(): boolean {
    return !this.halfOpened && this.ending === undefined && this.ws.readyState === this.ws.OPEN
  }

  /** Messages that the client has yet to take. */
  get queued(): number {
    return this.waiting.length
  }

  /** `issued`: the trades it tells of. False if it can no longer be sent. */
  send(text: string, issued: ReadonlyArray<Issued> = nothing): boolean {
    return this.push({ data: text, issued, alone: false, due: this.due() })
  }

  /** A frame of its own, whatever is in it. */
  sendFrame(data: string | Uint8Array): boolean {
    return this.push({ data, issued: nothing, alone: true, due: this.due() })
  }

  /** Bytes on the TCP connection as they are: frames that no WebSocket library would send. False if the client reads too slowly. */
  sendRaw(bytes: Uint8Array): boolean {
    return this.socket.write(bytes)
  }

  end(how: End): void {
    if (this.ending !== undefined) return
    this.ending = how
    this.discard()
    // Whether the client answers the close frame is seen only by reading.
    this.ws.resume()
    if (how === "reset") {
      this.doubtWritten()
      this.socket.resetAndDestroy()
    } else if (how === 1006) this.socket.end()
    else this.ws.close(how)
  }

  halfOpen(): void {
    this.halfOpened = true
    this.discard()
    this.ws.pause()
  }

  private due(): number {
    const { delay } = this.script()
    return delay > 0 ? performance.now() + delay : 0
  }

  private push(message: Message): boolean {
    if (!this.alive) return false
    for (const one of message.issued) one.pushed += 1
    this.waiting.push(message)
    if (this.batch <= 1) this.pump()
    else if (!this.corked) {
      this.corked = true
      setImmediate(() => {
        this.corked = false
        this.pump()
      })
    }
    return true
  }

  private pump(): void {
    let taken = 0
    let heldUntil = 0
    while (taken < this.waiting.length && this.alive && !this.socket.writableNeedDrain) {
      const now = performance.now()
      const frame = this.nextFrame(taken, now)
      const head = frame[0]
      if (head === undefined) {
        heldUntil = this.waiting[taken]?.due ?? 0
        break
      }
      taken += frame.length
      this.ws.send(frame.length === 1 ? head.data : frame.map(({ data }) => data).join("\n"))
      this.sentFrames += 1
      for (const { issued } of frame) this.remember(issued, now)
      const limit = this.script().closeAfterFrames
      if (limit !== undefined && this.sentFrames >= limit.frames) {
        this.waiting.splice(0, taken)
        return this.end(limit.how)
      }
    }
    if (taken > 0) this.waiting.splice(0, taken)
    const { maxQueued } = this.script()
    if (maxQueued !== undefined && this.waiting.length > maxQueued) return this.end(3008)
    if (heldUntil > 0 && this.timer === undefined) {
      this.timer = setTimeout(() => {
        this.timer = undefined
        this.pump()
      }, Math.max(1, heldUntil - performance.now()))
    }
  }

  /** The messages from `start` on that go out together now; none if the first is held back. */
  private nextFrame(start: number, now: number): ReadonlyArray<Message> {
    const frame: Array<Message> = []
    for (let i = start; i < this.waiting.length && frame.length < Math.max(1, this.batch); i++) {
      const message = this.waiting[i]
      if (message === undefined || message.due > now || (message.alone && frame.length > 0)) break
      frame.push(message)
      if (message.alone) break
    }
    return frame
  }

  private remember(issued: ReadonlyArray<Issued>, now: number): void {
    if (now - this.rotated >= doubt) {
      this.old = this.young
      this.young = []
      this.rotated = now
    }
    if (issued.length > 0) this.young.push({ issued, at: now })
  }

  /** What waits will never be sent. */
  private discard(): void {
    clearTimeout(this.timer)
    for (const { issued } of this.waiting) for (const one of issued) one.doubted += 1
    this.waiting = []
  }

  private closed(code: number): void {
    this.closeCode = code
    this.discard()
    // A close frame of ours that the client answered, or our FIN: all that was written before was there to be read.
    const read = this.ending === 1006 ? !this.socket.errored : this.ending !== undefined && code !== 1006
    if (!read) this.doubtWritten()
  }

  private doubtWritten(): void {
    const since = performance.now() - doubt
    for (const { at, issued } of [...this.old, ...this.young]) {
      if (at >= since) { for (const one of issued) one.doubted += 1 }
    }
    this.old = []
    this.young = []
  }
}
