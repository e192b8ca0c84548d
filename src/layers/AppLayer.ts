/**
 * STUB, replaced by the lead: THE composition.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Locked } from "../services/DirectoryLock.ts"
import type { Settings } from "./AppConfig.ts"

/** The port is in use, or the address is not ours. */
export class HttpServerUnavailable extends Schema.TaggedError<HttpServerUnavailable>()("HttpServerUnavailable", {
  message: Schema.String
}) {}

export class DataDirectoryUnavailable extends Schema.TaggedError<DataDirectoryUnavailable>()("DataDirectoryUnavailable", {
  message: Schema.String
}) {}

/** Something could not be made durable (DELIVERY.md H8). */
export class ShutdownIncomplete extends Schema.TaggedError<ShutdownIncomplete>()("ShutdownIncomplete", {
  message: Schema.String
}) {}

/** A fiber that never ends has ended. */
export class PipelineEnded extends Schema.TaggedError<PipelineEnded>()("PipelineEnded", {
  message: Schema.String
}) {}

export type StartupError =
  | HttpServerUnavailable
  | DataDirectoryUnavailable
  | Locked
  | ShutdownIncomplete
  | PipelineEnded

/** Until it is interrupted. */
export const run = (_settings: Settings): Effect.Effect<void, StartupError> =>
  Effect.andThen(Effect.logInfo("stub"), Effect.never)
