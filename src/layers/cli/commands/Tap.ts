/** `exchange-feeds tap`: normalised events straight from an exchange, one JSON object a line. */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Channel } from "../../../services/MarketEvent.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as Observability from "../../Observability.ts"
import * as Alone from "./Alone.ts"
import * as Output from "./Output.ts"

export interface Options {
  readonly exchange: string
  readonly markets: string | undefined
  /** Goes before CHANNELS. */
  readonly channel: Channel | undefined
  /** Ends after so long, as a failure if the exchange was not reached until then; else runs until it is stopped. */
  readonly seconds: number | undefined
}

export const tap = Effect.fnUntraced(function*(
  env: AppConfig.Environment,
  terminal: Observability.Terminal,
  { channel, exchange, markets, seconds }: Options
): Effect.fn.Return<void, AppConfig.ConfigInvalid | Alone.Unreached, FileSystem.FileSystem> {
  const { settings } = yield* AppConfig.load(Alone.chosen(env, { channel, exchange, markets }))
  yield* Alone.eventsFor(seconds, settings, yield* AppConfig.choose(settings, exchange)).pipe(
    Stream.map((event) => JSON.stringify(event)),
    Stream.runForEachChunk(Output.lines),
    Effect.provide(Observability.layer(settings.log, terminal))
  )
})
