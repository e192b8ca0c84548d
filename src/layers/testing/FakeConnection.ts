/**
 * One client of a fake exchange: frames wait here while they are held back or the client does not read, and what the client
 * may never have seen is told to the oracle.
 */
import type { Ear, Wire } from "./Carrier.ts"
import type { FakeClock } from "./FakeClock.ts"
import type { Issued } from "./Oracle.ts"
import type { End, Script } from "./Script.ts"

interface Message {
  readonly data: string | Uint8Array
  readonly issued: ReadonlyArray<Issued>
  /** Never joined with others. */
  readonly alone: boolean
  /** Until when it is held back, by the steady clock. */
  readonly due: number
}

interface Written {
  readonly issued: ReadonlyArray<Issued>
  /** By the steady clock. */
  readonly at: number
}

/** What was written so shortly before a connection broke may not have been read, milliseconds. */
const doubt = 1_000

const nothing: ReadonlyArray<Issued> = []

/**
 * What a connection asks of its server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Owner {
  readonly clock: FakeClock
  /** Messages joined in one frame by newlines, if more than 1: those of one tick, in their order. */
  readonly batch: number
  readonly script: () => Script
  readonly frame: (connection: FakeConnection, text: string) => void
  /** It has sent a ping of the WebSocket protocol. */
  readonly pinged?: ((connection: FakeConnection) => void) | undefined
  /** It has answered a ping of the WebSocket protocol, with that payload. */
  readonly ponged?: ((connection: FakeConnection, payload: string) => void) | undefined
  readonly closed: (connection: FakeConnection) => void
}

/**
 * One WebSocket of a client, seen from the server.
 *
 * @since 0.1.0
 * @category models
 */
export class FakeConnection implements Ear {
  /** What carries it: for what no exchange would do. */
  readonly wire: Wire
  /** Epoch ms. */
  readonly openedAt: number
  /** Channels as the protocol names them, each with the moment (epoch ms) when it began. */
  readonly subscriptions = new Map<string, number>()
  /** Every frame the client sent. */
  readonly received: Array<string> = []
  pongs = 0
  /** Pings of the WebSocket protocol that the client sent. */
  pings = 0
  sentFrames = 0
  /** The close code this side saw (1006: none came), undefined while it is open. */
  closeCode: number | undefined
  private readonly owner: Owner
  private halfOpened = false
  private ending: End | undefined
  private waiting: Array<Message> = []
  /** Of those that wait, the first so many are sent. */
  private taken = 0
  private corked = false
  private pumping = false
  private cancelPump: (() => void) | undefined
  /** Take back what is to happen later. */
  private readonly timers = new Set<() => void>()
  /** Trades written in this `doubt` and the one before. */
  private young: Array<Written> = []
  private old: Array<Written> = []
  private rotated: number

  constructor(wire: Wire, owner: Owner) {
    this.wire = wire
    this.owner = owner
    this.openedAt = owner.clock.wall()
    this.rotated = owner.clock.steady()
    wire.hear(this)
  }

  /** Neither reads nor writes nor closes: the other side of a broken path. */
  get dead(): boolean {
    return this.halfOpened
  }

  /** It is served: open, not about to close, not half-open. */
  get alive(): boolean {
    return !this.halfOpened && this.ending === undefined && this.wire.isOpen
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
    return this.wire.write(bytes)
  }

  /** A ping of the WebSocket protocol. */
  ping(payload?: string): void {
    this.wire.ping(payload)
  }

  /** Runs once, so many milliseconds from now, if it is still served then. Gives what takes that back. */
  after(ms: number, run: () => void): () => void {
    const cancel = this.owner.clock.after(ms, () => {
      this.timers.delete(cancel)
      if (this.alive) run()
    })
    this.timers.add(cancel)
    return () => {
      this.timers.delete(cancel)
      cancel()
    }
  }

  /** Runs after each so many milliseconds for as long as it is served. */
  every(ms: number, run: () => void): void {
    this.after(ms, () => {
      run()
      this.every(ms, run)
    })
  }

  /** `reason`: what the close frame says. */
  end(how: End, reason?: string): void {
    if (this.ending !== undefined) return
    this.ending = how
    this.discard()
    // Whether the client answers the close frame is seen only by reading.
    this.wire.resume()
    if (how === "reset") {
      this.doubtWritten()
      this.wire.reset()
    } else if (how === 1006) this.wire.hangUp()
    else this.wire.close(how, reason)
  }

  halfOpen(): void {
    this.halfOpened = true
    this.discard()
    // Nothing will come of them, and until they are due they would keep the process.
    for (const cancel of this.timers) cancel()
    this.timers.clear()
    this.wire.pause()
  }

  heard(text: string): void {
    if (!this.alive) return
    this.received.push(text)
    if (!this.owner.script().silent) this.owner.frame(this, text)
  }

  ponged(payload: string): void {
    this.pongs += 1
    if (this.alive) this.owner.ponged?.(this, payload)
  }

  pinged(): void {
    this.pings += 1
    if (this.alive) this.owner.pinged?.(this)
  }

  drained(): void {
    this.pump()
  }

  private due(): number {
    const { delay } = this.owner.script()
    return delay > 0 ? this.owner.clock.steady() + delay : 0
  }

  private push(message: Message): boolean {
    if (!this.alive) return false
    for (const one of message.issued) one.pushed += 1
    this.waiting.push(message)
    if (this.owner.batch <= 1) this.pump()
    else if (!this.corked) {
      this.corked = true
      this.wire.soon(() => {
        this.corked = false
        this.pump()
      })
    }
    return true
  }

  private pump(): void {
    // Whoever hears a frame within the process may answer it at once, and what is said to that comes behind.
    if (this.pumping) return
    this.pumping = true
    const now = this.owner.clock.steady()
    let heldUntil = 0
    while (this.taken < this.waiting.length && this.alive && !this.wire.isFull) {
      const frame = this.nextFrame(this.taken, now)
      const head = frame[0]
      if (head === undefined) {
        heldUntil = this.waiting[this.taken]?.due ?? 0
        break
      }
      this.taken += frame.length
      this.sentFrames += 1
      for (const { issued } of frame) this.remember(issued, now)
      this.wire.send(frame.length === 1 ? head.data : frame.map(({ data }) => data).join("\n"))
      const limit = this.owner.script().closeAfterFrames
      if (limit !== undefined && this.sentFrames >= limit.frames) this.end(limit.how)
    }
    this.waiting.splice(0, this.taken)
    this.taken = 0
    this.pumping = false
    const { maxQueued } = this.owner.script()
    if (maxQueued !== undefined && this.waiting.length > maxQueued) return this.end(3008)
    if (heldUntil > 0 && this.cancelPump === undefined) {
      this.cancelPump = this.owner.clock.after(Math.max(1, heldUntil - now), () => {
        this.cancelPump = undefined
        this.pump()
      })
    }
  }

  /** The messages from `start` on that go out together now; none if the first is held back. */
  private nextFrame(start: number, now: number): ReadonlyArray<Message> {
    const frame: Array<Message> = []
    for (let i = start; i < this.waiting.length && frame.length < Math.max(1, this.owner.batch); i++) {
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
    this.cancelPump?.()
    for (const { issued } of this.waiting.slice(this.taken)) for (const one of issued) one.doubted += 1
    this.waiting = []
    this.taken = 0
  }

  closed(code: number): void {
    this.closeCode = code
    this.discard()
    for (const cancel of this.timers) cancel()
    this.timers.clear()
    // A close frame of ours that the client answered, or our FIN: all that was written before was there to be read.
    const read = this.ending === 1006 ? !this.wire.isBroken : this.ending !== undefined && code !== 1006
    if (!read) this.doubtWritten()
    this.owner.closed(this)
  }

  private doubtWritten(): void {
    const since = this.owner.clock.steady() - doubt
    for (const { at, issued } of [...this.old, ...this.young]) {
      if (at >= since) { for (const one of issued) one.doubted += 1 }
    }
    this.old = []
    this.young = []
  }
}
