/**
 * `exchange-feeds run`: the service, with the settings of the environment.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as AppConfig from "../../AppConfig.ts"
import * as AppLayer from "../../AppLayer.ts"
import * as Observability from "../../Observability.ts"
import * as Tracing from "../../Tracing.ts"

export const run = Effect.fnUntraced(function*(
  env: AppConfig.Environment,
  terminal: Observability.Terminal
): Effect.fn.Return<void, AppConfig.ConfigInvalid | AppLayer.StartupError, FileSystem.FileSystem> {
  const { settings, warnings } = yield* AppConfig.load(env)
  yield* Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true }).pipe(
    Effect.andThen(Effect.provide(AppLayer.run(settings), Tracing.layer(settings.traces))),
    Effect.provide(Observability.layer(settings.log, terminal))
  )
})
