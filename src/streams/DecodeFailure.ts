/**
 * Why something an exchange sent was not understood: a value, not an error class, since a hostile exchange makes thousands a second
 * and each stack trace would cost more than the decode.
 */

import type { decodeReasons } from "../services/FeedStatus.ts"

/**
 * Counted by these words (`FeedStatus.decodeFailures`).
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = (typeof decodeReasons)[number]

/**
 * What was not understood, and why.
 *
 * @since 0.1.0
 * @category models
 */
export interface DecodeFailure {
  readonly reason: Reason
  /** At most 512 characters: Schema's messages contain the whole bad value. */
  readonly detail: string
}

const maxDetail = 512

/**
 * A failure; `detail` is cut to 512 characters.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (reason: Reason, detail: string): DecodeFailure => ({ reason, detail: detail.slice(0, maxDetail) })
