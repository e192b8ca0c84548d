/**
 * What fails again and again is tried each second and told of each minute: a disk that is full for a day must not fill the log too, nor
 * must one that fails and works in turns, many times a second.
 */
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Time from "./Time.ts"

/** One and the same error is told of so often, ms. */
const every = 60_000

/** More different ones than that, and all are told again. */
const maxErrors = 16

/** Numbers in the names of files: where each attempt has a file of its own, all of them fail alike. */
const serial = /\d{8,}/g

export interface Complaint {
  /**
   * A warning, or if it was told of just now, a debug line. `details` are annotations; `error` is what makes it the same, but for
   * numbers of eight digits or more.
   */
  readonly tell: (
    what: string,
    details: { readonly error: string } & Readonly<Record<string, string>>
  ) => Effect.Effect<void>
  /** It works again: says `what`, if the last that was told of it is a complaint. */
  readonly over: (what: string, details: Readonly<Record<string, string>>) => Effect.Effect<void>
}

export const make = (): Complaint => {
  /** When each error was told of. */
  const toldAt = new Map<string, Time.Instant>()
  let isStanding = false
  return {
    tell: (what, details) =>
      Effect.flatMap(Time.now, (now) => {
        const same = details.error.replace(serial, "#")
        const isNew = Time.between(toldAt.get(same) ?? Time.never, now) >= every
        if (isNew && toldAt.size >= maxErrors) toldAt.clear()
        if (isNew) {
          toldAt.set(same, now)
          isStanding = true
        }
        return Effect.logWithLevel(isNew ? LogLevel.Warning : LogLevel.Debug, what)
      }).pipe(Effect.annotateLogs(details)),
    over: (what, details) =>
      Effect.suspend(() => {
        if (!isStanding) return Effect.void
        isStanding = false
        return Effect.annotateLogs(Effect.logInfo(what), details)
      })
  }
}
