/**
 * What is told of a list of markets: what of it is left out, and globs that find nothing. Once for each list that changes it, not with
 * each list, of which one comes each ten minutes. Pure.
 */
import { type Choice, type LeftOut, matcher } from "./Choice.ts"

/** More names than any line or event should have: the rest is a number. */
const maxNames = 1000

/** In a line of the log. */
const maxInLine = 20

/** The fields of a status event `markets`. */
export interface Event {
  /** Tradable markets of the list. */
  readonly listed: number
  /** Of those, by `MARKETS`, or the exchange's own, and `SHARD`. */
  readonly chosen: number
  /** As the exchange names them; at most 1 000, then how many more. */
  readonly leftOut: ReadonlyArray<string>
  /** `left_out`: that list has changed. `unmatched`: a glob finds nothing. */
  readonly reason: "left_out" | "unmatched"
}

/** What has been told. */
export interface Told {
  readonly names: ReadonlySet<string>
  readonly globs: ReadonlySet<string>
  /** That no market is chosen. */
  readonly none: boolean
}

export const nothing: Told = { names: new Set(), globs: new Set(), none: false }

export interface Tidings {
  readonly told: Told
  /** Names left out now, and not from the list before. */
  readonly fresh: ReadonlySet<string>
  /** For `/api/status`. */
  readonly leftOut: ReadonlyArray<string>
  /** For the log: warnings. */
  readonly lines: ReadonlyArray<string>
  readonly events: ReadonlyArray<Event>
}

const first = (names: ReadonlyArray<string>, count: number): ReadonlyArray<string> =>
  names.length <= count ? names : [...names.slice(0, count), `and ${names.length - count} more`]

const words: Record<LeftOut["reason"], string> = {
  name: "their names do not fit BASE/QUOTE, or hold what no symbol may",
  twice: "another one has their name",
  beyond: "more than 2000 markets are listed"
}

/** One line a reason. */
export const linesOf = (leftOut: ReadonlyArray<LeftOut>): ReadonlyArray<string> =>
  (["name", "twice", "beyond"] as const).flatMap((reason) => {
    const names = leftOut.filter((one) => one.reason === reason).map(({ name }) => name)
    return names.length === 0
      ? []
      : [`markets are left out, since ${words[reason]}: ${first(names, maxInLine).join(", ")}`]
  })

/** Globs that no tradable market fits, whosever share it is. */
export const unmatched = (globs: ReadonlyArray<string>, symbols: ReadonlySet<string>): ReadonlyArray<string> =>
  globs.filter((glob) => {
    const matches = matcher([glob])
    for (const symbol of symbols) if (matches(symbol)) return false
    return true
  })

/** `setting`: where the globs come from. */
export const unmatchedLine = (globs: ReadonlyArray<string>, setting = "MARKETS"): string =>
  `${setting}: nothing is found by ${globs.join(", ")}`

export const tell = (told: Told, choice: Choice, globs: ReadonlyArray<string>, setting?: string): Tidings => {
  const names = new Set(choice.leftOut.map(({ name }) => name))
  const fresh = new Set(Array.from(names).filter((name) => !told.names.has(name)))
  const isChanged = fresh.size > 0 || names.size !== told.names.size
  const vain = unmatched(globs, choice.symbols).filter((glob) => !told.globs.has(glob))
  const leftOut = first([...names], maxNames)
  const none = choice.markets.length === 0
  const event = (reason: Event["reason"]): Event => ({
    listed: choice.symbols.size + names.size,
    chosen: choice.markets.length,
    leftOut,
    reason
  })
  return {
    told: { names, globs: new Set([...told.globs, ...vain]), none },
    fresh,
    leftOut,
    lines: [
      ...(!isChanged ? [] : names.size === 0 ? ["no market is left out any more"] : linesOf(choice.leftOut)),
      ...(vain.length === 0 ? [] : [unmatchedLine(vain, setting)]),
      ...(none && !told.none ? ["no market is chosen"] : [])
    ],
    events: [
      ...(isChanged ? [event("left_out")] : []),
      ...(vain.length === 0 ? [] : [event("unmatched")])
    ]
  }
}
