/**
 * How a fake exchange misbehaves: plain data, changed at any moment, in force from the next frame, call or dial on.
 */

/**
 * What a REST call or an upgrade is answered with instead of the truth. `hang`: nothing, ever.
 *
 * @since 0.1.0
 * @category models
 */
export type Answer =
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  | "hang"

/**
 * What a proxy in front of a dead exchange says.
 *
 * @since 0.1.0
 * @category constants
 */
export const html: Answer = {
  status: 502,
  body: "<html><body><h1>502 Bad Gateway</h1></body></html>",
  headers: { "content-type": "text/html" }
}

/**
 * An exchange that is overloaded: 503.
 *
 * @since 0.1.0
 * @category constants
 */
export const unavailable: Answer = { status: 503, body: "Service Unavailable" }

/**
 * 429 with a `Retry-After` in seconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tooManyRequests = (retryAfterSeconds: number): Answer => ({
  status: 429,
  body: "{\"detail\":\"Request was throttled.\"}",
  headers: { "content-type": "application/json", "retry-after": String(retryAfterSeconds) }
})

/**
 * A 302 to another address, which clients must not follow.
 *
 * @since 0.1.0
 * @category constructors
 */
export const redirect = (location: string): Answer => ({ status: 302, headers: { location } })

/**
 * Wallex says so with status 200.
 *
 * @since 0.1.0
 * @category constants
 */
export const notSuccessful: Answer = {
  status: 200,
  body: "{\"success\":false,\"code\":1201,\"message\":\"invalid API key format\",\"result\":{}}",
  headers: { "content-type": "application/json" }
}

/**
 * How a connection ends. A close code: what was written before arrives, then the close frame. 1006: what was written arrives, then
 * the end, without a close frame. `reset`: RST, and nobody knows what had arrived.
 *
 * @since 0.1.0
 * @category models
 */
export type End = number | "reset"

/**
 * What is wrong with a fake at this moment; anything may be changed at any time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Script {
  upgrade: Answer | undefined
  rest: Answer | undefined
  /** Milliseconds that an answer to a REST call is on its way: it says what was true, and bears the `Date`, when it was asked for. */
  restDelay: number
  /** Trades of a market that REST gives, at most: fewer than the fake was made with. */
  history: number | undefined
  /** Right after accepting. */
  acceptThenClose: End | undefined
  /** Each connection ends when it has been sent so many frames. */
  closeAfterFrames: { readonly frames: number; readonly how: End } | undefined
  /** Trades of these symbols are not pushed; replies, pings and pongs go on. */
  mute: "all" | ReadonlySet<string>
  /** Nothing at all is sent on a connection, not even a greeting, a reply or a ping. */
  silent: boolean
  /** Milliseconds that each frame is held back; their order stays. */
  delay: number
  /** A reader more than so many messages behind (beyond what the kernel's buffers hold) is closed with 3008, and loses them. */
  maxQueued: number | undefined
  /** Milliseconds before a subscription is acknowledged and begins. */
  ackDelay: number
  /** Subscriptions to these symbols are passed over: no answer, no data. */
  ignored: ReadonlySet<string>
  /** Subscriptions to these symbols are refused: BitPin answers 103; Wallex, which answers nothing, is mute. */
  denied: ReadonlySet<string>
}

/**
 * A script by which all is well.
 *
 * @since 0.1.0
 * @category constructors
 */
export const quiet = (): Script => ({
  upgrade: undefined,
  rest: undefined,
  restDelay: 0,
  history: undefined,
  acceptThenClose: undefined,
  closeAfterFrames: undefined,
  mute: new Set(),
  silent: false,
  delay: 0,
  maxQueued: undefined,
  ackDelay: 0,
  ignored: new Set(),
  denied: new Set()
})
