/**
 * Why something an exchange sent was not understood: a value, not an error class, since a hostile exchange makes thousands a second
 * and each stack trace would cost more than the decode.
 */

/** Counted by these words (`FeedStatus.decodeFailures`); a bounded set, fit for a metric's label. */
export type Reason =
  /** Not JSON. */
  | "json"
  /** JSON of another shape than documented. */
  | "schema"
  /** Nested deeper than 32. */
  | "too_deep"
  /** A frame, a string or a list beyond its bound. */
  | "too_large"
  /** A price or an amount that is no positive decimal of sane length. */
  | "number"
  /** A time that cannot be one; the trade is delivered all the same where its identity does not need it. */
  | "time"
  /** A symbol outside the allow-list, or one that contradicts its channel. */
  | "symbol"
  /** A WebSocket frame that is not text. */
  | "binary"
  /** Against RFC 6455: invalid UTF-8, compressed though that was not agreed on, an unknown opcode. */
  | "protocol"
  /** Well-formed, but nothing we know. */
  | "unknown"

export interface DecodeFailure {
  readonly reason: Reason
  /** At most 512 characters: Schema's messages contain the whole bad value. */
  readonly detail: string
}

const maxDetail = 512

export const make = (reason: Reason, detail: string): DecodeFailure => ({ reason, detail: detail.slice(0, maxDetail) })
