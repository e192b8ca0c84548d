/** Every end of a WebSocket session is one of these: there is no clean end but the one that was asked for. */
import * as Schema from "effect/Schema"

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
    "broken"
  ),
  /** One line, at most 200 characters. */
  message: Schema.String,
  /** WebSocket close code, or the protocol's own in its place. */
  code: Schema.optional(Schema.Number)
}) {}
