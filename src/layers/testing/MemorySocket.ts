/**
 * A WebSocket within the process, both its ends: to its client it is what `ws` is, an `EventTarget` with `send`, `close`, and what `ws` has
 * beyond; whoever plays the server has the other methods. What it brings is there at once.
 */

class CloseEvent extends Event {
  readonly code: number
  readonly reason: string
  constructor(code: number, reason: string) {
    super("close")
    this.code = code
    this.reason = reason
  }
}

class ErrorEvent extends Event {
  readonly error: Error
  readonly message: string
  constructor(error: Error) {
    super("error")
    this.error = error
    this.message = error.message
  }
}

/**
 * A WebSocket without a network, seen from the client: what a feed uses of one, with controls for whoever plays the server.
 *
 * @since 0.1.0
 * @category models
 */
export class MemorySocket extends EventTarget {
  readonly url: string
  paused = false
  terminated = false
  closedWith: number | undefined
  /** Of which the client has heard. */
  ended = false
  /** What the client had not read was lost. */
  isBroken = false
  /** Bytes that the server has not read. */
  bufferedAmount = 0
  /** The server does not answer a close, nor notice that the client has gone. */
  stubborn = false
  /** Hears what is sent. */
  server: (frame: string) => void = () => {}
  /** Hears a ping of the client's; the pong is its own. */
  onPing: () => void = () => {}
  /** The rest of what the server hears: a pong, that the client reads again, that it has gone (with which code). */
  onPong: (payload: string) => void = () => {}
  onDrain: () => void = () => {}
  onClose: (code: number) => void = () => {}
  private opened = false
  private gone = false
  private readonly held: Array<() => void> = []
  private readonly pingListeners: Array<() => void> = []
  private readonly pongListeners: Array<() => void> = []

  constructor(url: string) {
    super()
    this.url = url
  }

  // What the client uses.
  get readyState(): number {
    return this.ended ? 3 : this.closedWith !== undefined ? 2 : this.opened ? 1 : 0
  }
  send(frame: string): void {
    this.server(frame)
  }
  close(code = 1000): void {
    if (this.closedWith !== undefined || this.ended) return
    this.closedWith = code
    if (!this.stubborn) this.drop(code)
  }
  pause(): void {
    this.paused = true
  }
  resume(): void {
    this.paused = false
    while (!this.paused && this.held.length > 0) this.held.shift()?.()
    if (!this.paused) this.onDrain()
  }
  terminate(): void {
    this.terminated = true
    this.drop(1006)
    this.leave(1006)
  }
  on(event: string, listener: () => void): void {
    if (event === "ping") this.pingListeners.push(listener)
    else if (event === "pong") this.pongListeners.push(listener)
  }
  ping(): void {
    this.onPing()
    if (this.stubborn) return
    this.whenRead(() => {
      for (const listener of this.pongListeners) listener()
    })
  }

  // What the server does; a paused socket notices nothing of it.
  /** Frames and the like that the client has yet to read. */
  get unread(): number {
    return this.held.length
  }
  /** It is open. What `serve` sends comes behind that. */
  open(serve: () => void = () => {}): void {
    this.opened = true
    this.paused = true
    serve()
    this.paused = false
    this.dispatchEvent(new Event("open"))
    if (!this.paused) this.resume()
  }
  push(...frames: ReadonlyArray<string | Uint8Array>): void {
    for (const data of frames) this.whenRead(() => this.dispatchEvent(new MessageEvent("message", { data })))
  }
  pingClient(payload = ""): void {
    this.whenRead(() => {
      for (const listener of this.pingListeners) listener()
      this.onPong(payload)
    })
  }
  drop(code: number, reason = ""): void {
    this.whenRead(() => {
      if (!this.ended) {
        this.ended = true
        this.dispatchEvent(new CloseEvent(code, reason))
      }
      this.leave(code)
    })
  }
  /** As `ws` tells of a refused connection, an HTTP status, a frame that it will not have: an error with these details. */
  refuse(message: string, details: object = {}, code = 1006): void {
    this.whenRead(() => {
      this.dispatchEvent(new ErrorEvent(Object.assign(new Error(message), details)))
      this.leave(code)
      this.drop(1006)
    })
  }
  /** What the client has not read is lost. */
  reset(): void {
    this.isBroken = true
    this.held.length = 0
    this.leave(1006)
    this.refuse("read ECONNRESET")
  }

  private whenRead(action: () => void): void {
    if (this.paused) this.held.push(action)
    else action()
  }
  private leave(code: number): void {
    if (this.gone || this.stubborn) return
    this.gone = true
    this.onClose(code)
  }
}
