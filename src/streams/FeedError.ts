/** Every end of a WebSocket session is one of these: there is no clean end but the one that was asked for. */
import * as Schema from "effect/Schema"

/**
 * Why a session with an exchange has ended. A feed retries it by itself; it shows in `disconnected` events, in `FeedStatus` (`lastError`)
 * and in the log.
 *
 * @since 0.1.0
 * @category errors
 */
export class FeedError extends Schema.TaggedError<FeedError>()("FeedError", {
  reason: Schema.Literal(
    /** Never opened: refused, reset, an HTTP status instead of an upgrade, too slow. */
    "dial",
    /** Opened, but the server's greeting did not come. */
    "handshake",
    /** The server refused the session. */
    "refused",
    /** Closed by the other side, with or without a handshake. */
    "closed",
    /** No frame for the idle timeout. */
    "idle",
    /** Broke, e.g. by a frame beyond the size cap. */
    "broken",
    /** No data for longer than is usual, or subscriptions that nobody answers, on a socket that lives. */
    "stale"
  ),
  /** One line, at most 200 characters. */
  message: Schema.String,
  /** WebSocket close code, or the protocol's own in its place. */
  code: Schema.optional(Schema.Number),
  /** What the exchange asked us to wait before the next dial. */
  retryAfter: Schema.optional(Schema.DurationFromSelf),
  /** Where a frame broke it: what that frame is counted as (`DecodeFailure.Reason`). */
  frame: Schema.optional(Schema.Literal("too_large", "protocol"))
}) {}
