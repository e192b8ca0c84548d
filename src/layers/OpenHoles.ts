/** The open holes of all exchanges in words: for the page, `top` and `gaps`. */
import type { OpenHole } from "../services/FeedStatus.ts"

/** `published`, `waiting`, `ageMs`: null where no service runs that could know. */
export type Hole = Omit<OpenHole, "published" | "waiting" | "ageMs"> & {
  readonly exchange: string
  readonly published: boolean | null
  readonly waiting: number | null
  readonly ageMs: number | null
}

/** Oldest first. */
export const all = (
  exchanges: ReadonlyArray<{ readonly exchange: string; readonly openHoles: ReadonlyArray<OpenHole> }>
): ReadonlyArray<Hole & OpenHole> =>
  exchanges
    .flatMap(({ exchange, openHoles }) => openHoles.map((hole) => ({ exchange, ...hole })))
    .sort((a, b) => b.ageMs - a.ageMs)

export const columns = [
  "exchange",
  "market",
  "cause",
  "open for",
  "awaits",
  "waiting",
  "told",
  "recovered",
  "from",
  "to"
] as const

/** As `columns`; null: not known. */
export const cells = (hole: Hole): ReadonlyArray<string | number | null> => [
  hole.exchange,
  hole.symbol,
  hole.cause,
  hole.ageMs === null ? null : duration(hole.ageMs),
  hole.awaits,
  hole.waiting,
  hole.published === null ? "perhaps" : hole.published ? "yes" : hole.gapId === null ? "no" : "by an earlier life",
  hole.recovered,
  hole.from,
  hole.to
]

/** `12 s`, `34 min`, `5 h`, `6 d`. */
export const duration = (ms: number): string => {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 90) return `${seconds} s`
  if (seconds < 90 * 60) return `${Math.floor(seconds / 60)} min`
  return seconds < 36 * 3600 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`
}
