/**
 * `exchange-feeds config`: every setting as it is in effect, or what there is to set.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as AppConfig from "../../AppConfig.ts"
import * as Render from "../../AppConfig/Render.ts"

export interface Options {
  readonly envExample: boolean
  readonly markdown: boolean
}

/** The two forms that read nothing come first: they help where the environment is not valid. */
export const config = (
  env: AppConfig.Environment,
  options: Options
): Effect.Effect<void, AppConfig.ConfigInvalid, FileSystem.FileSystem> => {
  if (options.envExample) return Console.log(Render.envExample)
  if (options.markdown) return Console.log(Render.markdown)
  return Effect.gen(function*() {
    const { effective, warnings } = yield* AppConfig.load(env)
    yield* Effect.forEach(warnings, (warning) => Console.error(`warning: ${warning}`), { discard: true })
    yield* Console.log(Render.effective(effective))
  })
}
