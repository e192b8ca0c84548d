/**
 * STUB, replaced by the lead: `exchange-feeds demo`.
 */
import * as Effect from "effect/Effect"

export interface Options {
  /** Ends after so long, with a summary; else runs until it is stopped. */
  readonly seconds: number | undefined
  /** Of the status page; any free one by default. */
  readonly port: number | undefined
}

/** Succeeds with the exit code: 0, or 1 if anything was lost. */
export const demo = (_options: Options): Effect.Effect<number> => Effect.succeed(0)
