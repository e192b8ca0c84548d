/**
 * One WebSocket connection: frames in chunks, with back-pressure down to TCP, and exactly one end.
 *
 * Listeners go on in the tick that makes the socket, or frames that come with the handshake are lost. What the consumer has not
 * taken waits in a mailbox; at a high-water mark the socket is paused, so the rest waits in the kernel and at the exchange
 * (docs/design/laws.md "Keep reading, then spill, then pause"). A paused `ws` does not notice that it was closed; every way out resumes it first.
 */
import * as Socket from "@effect/platform/Socket"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { reasonOf } from "../services/ErrorText.ts"
import * as RetryPolicy from "../services/RetryPolicy.ts"
import { oneLine } from "../services/Text.ts"
import * as Time from "../services/Time.ts"
import type { Advice, KeepAlive } from "./Exchange.ts"
import { FeedError } from "./FeedError.ts"

/** What happened on the socket, in order, and when it arrived: `at` to know ages by, `wall` to be written down. */
export type Arrival =
  & Time.Moment
  & ({ readonly _tag: "open" } | { readonly _tag: "text"; readonly text: string } | { readonly _tag: "binary" })

export interface Options {
  readonly url: string
  /** Any frame counts, pings of the WebSocket protocol too. */
  readonly idleTimeout: Duration.Duration
  /** Characters of the largest frame that is taken from a socket that has no bound of its own, as that of a browser. */
  readonly maxPayload: number
  /** What has to be sent so often, from the opening on, lest the other side hangs up. */
  readonly keepAlive?: KeepAlive | undefined
  /** What can be done about the status by which a dial is refused. */
  readonly advice?: Advice | undefined
}

export interface Connection {
  /** All that arrived since the last take, at least one; `None` after the end that `close` asked for. */
  readonly take: Effect.Effect<ReadonlyArray<Arrival>, Option.Option<FeedError>>
  readonly send: (text: string) => void
  /** Ends the session for a reason of ours; what has arrived can still be taken. */
  readonly fail: (error: FeedError) => void
  /** Close handshake, at most 2 s; all that arrives until then can be taken, then `take` ends. */
  readonly close: Effect.Effect<void>
  /** Null before the first. */
  readonly lastFrameAt: () => Time.Moment | null
  /** Arrivals have not been taken yet. */
  readonly isWaiting: () => boolean
}

/** Where the socket is paused: arrivals, and characters of text. */
const highWaterArrivals = 1024
const highWaterText = 1024 * 1024

/**
 * Bytes of ours that the other side has not read: it makes us answer pings faster than it reads the answers, and they wait in our
 * memory.
 */
const maxUnsent = 1024 * 1024

const openTimeout = Duration.seconds(15)
const closeTimeout = Duration.seconds(2)

const normalClosure = 1000

/**
 * What `ws` has beyond the WHATWG interface, looked for by name: a browser's socket then works too, without back-pressure.
 */
const extra = (socket: object, name: string): ((...args: ReadonlyArray<unknown>) => void) | undefined => {
  const method: unknown = Reflect.get(socket, name)
  return typeof method === "function" ? (...args) => void Reflect.apply(method, socket, args) : undefined
}

/** `ws` gives the error itself, other libraries at most a `message`. */
const messageOf = (event: object): string => {
  const error: unknown = Reflect.get(event, "error")
  if (error instanceof Error) return reasonOf(error)
  const message: unknown = Reflect.get(event, "message")
  return typeof message === "string" && message !== "" ? message : "socket error"
}

/** What can be done about the status that a dial was refused with, where our `ws` tells of it (`NodeWebSocket`). */
const adviceOf = (event: object, advice: Options["advice"]): string => {
  const error: unknown = Reflect.get(event, "error")
  const status: unknown = error instanceof Error ? Reflect.get(error, "status") : undefined
  const found = typeof status === "number" ? advice?.[status] : undefined
  return found === undefined ? "" : `: ${found}`
}

/** What the answer to a dial asked us to wait, where our `ws` tells of it (`NodeWebSocket`). */
const retryAfterOf = (event: object): Duration.Duration | undefined => {
  const error: unknown = Reflect.get(event, "error")
  if (!(error instanceof Error)) return undefined
  const asked: unknown = Reflect.get(error, "retryAfter")
  const date: unknown = Reflect.get(error, "date")
  return typeof asked === "string"
    ? RetryPolicy.retryAfter(asked, typeof date === "string" ? date : undefined)
    : undefined
}

/** By the codes of `ws`: what the frame that broke the socket was; undefined if it was no frame, or by another library. */
const frameOf = (event: object): FeedError["frame"] => {
  const error: unknown = Reflect.get(event, "error")
  const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined
  if (typeof code !== "string" || !code.startsWith("WS_ERR_")) return undefined
  return code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" || code === "WS_ERR_TOO_MANY_BUFFERED_PARTS" ||
      code === "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH"
    ? "too_large"
    : "protocol"
}

/** Dials. The socket is closed with the scope, whatever became of it. */
export const connect = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Connection, FeedError, Scope.Scope | Socket.WebSocketConstructor> {
  const construct = yield* Socket.WebSocketConstructor
  const clock = yield* Effect.clock
  const mailbox = yield* Mailbox.make<Arrival, FeedError>()
  let waitingText = 0
  let paused = false
  let opened = false
  let closing = false
  let gone = false
  let lastFrameAt: Time.Moment | null = null
  /** Since when silence is the other side's: the last frame, or the moment from which we listen again. */
  let quietSince = yield* Time.now

  const end = (exit: Exit.Exit<void, FeedError>): void => {
    mailbox.unsafeDone(exit)
  }

  const attach = (socket: globalThis.WebSocket) => {
    const pause = extra(socket, "pause")
    const resumeSocket = extra(socket, "resume")
    const isBounded = extra(socket, "terminate") !== undefined
    /** Of the task at hand: frames that came with one read of the socket came together, and the clocks are asked once. */
    let moment: Time.Moment | undefined
    const alive = (): Time.Moment => {
      if (moment !== undefined) return moment
      moment = Time.momentOf(clock)
      quietSince = moment.at
      lastFrameAt = moment
      queueMicrotask(() => {
        moment = undefined
      })
      return moment
    }
    const offer = (arrival: Arrival, size: number): void => {
      mailbox.unsafeOffer(arrival)
      waitingText += size
      if (paused || closing || pause === undefined) return
      const waiting = Option.getOrElse(mailbox.unsafeSize(), () => 0)
      if (waiting >= highWaterArrivals || waitingText >= highWaterText) {
        paused = true
        pause()
      }
    }
    socket.addEventListener("open", () => {
      opened = true
      offer({ _tag: "open", ...alive() }, 0)
    })
    socket.addEventListener("message", (event) => {
      const { at, wall } = alive()
      const data: unknown = event.data
      if (typeof data === "string" && !isBounded && data.length > options.maxPayload) {
        const message = `a frame of ${data.length} characters`
        end(Exit.fail(new FeedError({ reason: "broken", message, frame: "too_large" })))
      } else if (typeof data === "string") offer({ _tag: "text", text: data, at, wall }, data.length)
      else offer({ _tag: "binary", at, wall }, 0)
    })
    socket.addEventListener("error", (event) => {
      end(
        closing
          ? Exit.void
          : Exit.fail(
            new FeedError({
              reason: opened ? "broken" : "dial",
              message: oneLine(messageOf(event) + adviceOf(event, options.advice)),
              frame: frameOf(event),
              retryAfter: retryAfterOf(event)
            })
          )
      )
    })
    socket.addEventListener("close", (event) => {
      gone = true
      end(
        closing ? Exit.void : Exit.fail(
          new FeedError({
            reason: opened ? "closed" : "dial",
            message: oneLine(event.reason === "" ? `closed with ${event.code}` : event.reason),
            code: event.code
          })
        )
      )
    })
    const terminate = (): void => {
      gone = true
      extra(socket, "terminate")?.()
    }
    // Not an event of the WHATWG interface; a quiet stream is kept alive by little else.
    extra(socket, "on")?.("ping", alive)
    extra(socket, "on")?.("pong", alive)
    return {
      socket,
      resume: () => {
        waitingText = 0
        if (!paused) return
        paused = false
        quietSince = Time.instantOf(clock)
        resumeSocket?.()
      },
      terminate,
      /** Without a text, a ping of the WebSocket protocol, where the socket can send one. */
      send: (text: string | undefined) => {
        if (text === undefined) extra(socket, "ping")?.()
        else socket.send(text)
        // A socket that does not tell (undefined, whatever its type says) passes.
        if (gone || !(socket.bufferedAmount > maxUnsent)) return
        end(Exit.fail(new FeedError({ reason: "broken", message: "the other side does not read" })))
        terminate()
      }
    }
  }

  const awaitClosed = (socket: globalThis.WebSocket): Effect.Effect<void> =>
    Effect.async((resume) => {
      if (gone) resume(Effect.void)
      else socket.addEventListener("close", () => resume(Effect.void), { once: true })
    })

  const handle = yield* Effect.acquireRelease(
    Effect.try({
      try: () => attach(construct(options.url)),
      catch: (cause) => new FeedError({ reason: "dial", message: oneLine(String(cause)) })
    }),
    (handle) =>
      Effect.suspend(() => {
        if (gone) return Effect.void
        closing = true
        handle.resume()
        handle.socket.close(normalClosure)
        return awaitClosed(handle.socket).pipe(
          // A finalizer is not: the limit would wait for what it limits.
          Effect.interruptible,
          Effect.timeoutOption(closeTimeout),
          Effect.andThen(Effect.sync(() => gone || handle.terminate()))
        )
      })
  )

  const fail = (error: FeedError): void => end(Exit.fail(error))

  yield* Effect.sleep(openTimeout).pipe(
    Effect.andThen(Effect.sync(() => {
      if (!opened) fail(new FeedError({ reason: "dial", message: `not open after ${Duration.format(openTimeout)}` }))
    })),
    Effect.forkScoped
  )

  // A paused socket receives nothing, and so is not idle.
  const idle = Duration.toMillis(options.idleTimeout)
  yield* Effect.gen(function*() {
    while (true) {
      const silent = paused ? 0 : Time.between(quietSince, yield* Time.now)
      if (silent >= idle) {
        fail(new FeedError({ reason: "idle", message: `no frame for ${Duration.format(options.idleTimeout)}` }))
        return handle.terminate()
      }
      yield* Effect.sleep(idle - silent)
    }
  }).pipe(Effect.forkScoped)

  const send = (text: string | undefined): void => {
    try {
      handle.send(text)
    } catch (cause) {
      fail(new FeedError({ reason: "broken", message: oneLine(String(cause)) }))
    }
  }

  const { keepAlive } = options
  if (keepAlive !== undefined) {
    yield* Effect.sleep(keepAlive.every).pipe(
      Effect.andThen(Effect.sync(() => {
        if (opened && !closing && !gone) send(keepAlive.text)
      })),
      Effect.forever,
      Effect.forkScoped
    )
  }

  return {
    take: mailbox.takeAll.pipe(
      Effect.mapError(Option.some),
      Effect.flatMap(([arrivals]) => {
        handle.resume()
        return arrivals.length === 0 ? Effect.fail(Option.none()) : Effect.succeed(Chunk.toReadonlyArray(arrivals))
      })
    ),
    send,
    fail,
    close: Effect.suspend(() => {
      closing = true
      handle.resume()
      handle.socket.close(normalClosure)
      return awaitClosed(handle.socket).pipe(
        Effect.timeoutOption(closeTimeout),
        Effect.andThen(Effect.sync(() => {
          if (!gone) handle.terminate()
          end(Exit.void)
        }))
      )
    }),
    lastFrameAt: () => lastFrameAt,
    isWaiting: () => paused || Option.exists(mailbox.unsafeSize(), (size) => size > 0)
  }
})
