/**
 * STUB, replaced by the lead: THE composition.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Locked } from "../services/DirectoryLock.ts"
import type { Settings } from "./AppConfig.ts"

export class HttpServerUnavailable extends Schema.TaggedError<HttpServerUnavailable>()("HttpServerUnavailable", {
  message: Schema.String
}) {}

export type StartupError = HttpServerUnavailable | Locked

/** Until it is interrupted. */
export const run = (_settings: Settings): Effect.Effect<void, StartupError> =>
  Effect.andThen(Effect.logInfo("stub"), Effect.never)
