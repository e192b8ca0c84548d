/**
 * `exchange-feeds config`: every setting as it is in effect, or what there is to set.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { Exchanges } from "../../../streams/Exchanges.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as Render from "../../AppConfig/Render.ts"
import { type Group, tableOf } from "../../AppConfig/Variables.ts"
import * as AppLayer from "../../AppLayer.ts"
import * as BookCost from "../../BookCost.ts"

export interface Options {
  readonly envExample: boolean
  readonly markdown: boolean
}

/** The two forms that read nothing come first: they help where the environment is not valid. */
export const config = (
  env: AppConfig.Environment,
  options: Options
): Effect.Effect<void, AppConfig.ConfigInvalid, FileSystem.FileSystem> => {
  const print = (text: (groups: ReadonlyArray<Group>) => string) =>
    Effect.flatMap(Exchanges, (exchanges) => Console.log(text(tableOf(exchanges).groups)))
  if (options.envExample) return print(Render.envExample)
  if (options.markdown) return print(Render.markdown)
  return Effect.gen(function*() {
    const { effective, settings, warnings } = yield* AppConfig.load(env)
    yield* Effect.forEach(warnings, (warning) => Console.error(`warning: ${warning}`), { discard: true })
    yield* Console.log(Render.effective(effective))
    const cost = BookCost.lines(settings, yield* Exchanges)
    const fewer = yield* AppLayer.withFewerLevels(settings)
    yield* Effect.forEach([...fewer, ...cost], (line) => Console.log(`# ${line}`), { discard: true })
  })
}
