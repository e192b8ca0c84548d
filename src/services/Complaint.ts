/**
 * What fails again and again is tried each second and told of each minute: a disk that is full for a day must not fill the log too.
 */
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Time from "./Time.ts"

/** One and the same error is told of so often, ms. */
const every = 60_000

/** More different ones than that, and all are told again. */
const maxErrors = 16

export interface Complaint {
  /** A warning, or if it was told of just now, a debug line. `details` are annotations; `error` is what makes it the same. */
  readonly tell: (
    what: string,
    details: { readonly error: string } & Readonly<Record<string, string>>
  ) => Effect.Effect<void>
  /** It works again: says `what`, if there had been a complaint. */
  readonly over: (what: string, details: Readonly<Record<string, string>>) => Effect.Effect<void>
}

export const make = (): Complaint => {
  /** When each error was told of. */
  const toldAt = new Map<string, Time.Instant>()
  return {
    tell: (what, details) =>
      Effect.flatMap(Time.now, (now) => {
        const isNew = Time.between(toldAt.get(details.error) ?? Time.never, now) >= every
        if (isNew && toldAt.size >= maxErrors) toldAt.clear()
        if (isNew) toldAt.set(details.error, now)
        return Effect.logWithLevel(isNew ? LogLevel.Warning : LogLevel.Debug, what)
      }).pipe(Effect.annotateLogs(details)),
    over: (what, details) =>
      Effect.suspend(() => {
        if (toldAt.size === 0) return Effect.void
        toldAt.clear()
        return Effect.annotateLogs(Effect.logInfo(what), details)
      })
  }
}
