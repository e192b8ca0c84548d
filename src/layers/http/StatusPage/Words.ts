/** Sizes, counts and times as people say them. The exact value is shown where the pointer rests. */
import type { BooksStatus } from "../../../services/FeedStatus.ts"

/** `165 KiB`, `1.2 MiB`, `1 GiB`: three digits at most. */
export const bytes = (count: number): string => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  let value = count
  let unit = 0
  // 999.5 would be printed as 1000.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${digits(value)} ${units[unit]}`
}

/** `12`, `3 450`, `12.3 million`. */
export const count = (value: number): string => {
  if (value >= 999_950_000) return `${digits(value / 1_000_000_000)} billion`
  if (value >= 999_950) return `${digits(value / 1_000_000)} million`
  // A narrow space that does not break.
  return String(Math.round(value)).replace(/\B(?=(?:\d{3})+$)/g, "\u202f")
}

/** Of something each second: `0.4 /s`, `245 /s`. */
export const rate = (value: number): string => `${value > 0 && value < 10 ? value.toFixed(1) : count(value)} /s`

/** A stretch of time: `now`, `4 s`, `12 min`, `5 h`, `6 d`. */
export const span = (ms: number): string => {
  const seconds = Math.round(ms / 1000)
  if (seconds < 90) return `${seconds} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  return seconds < 36 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}

/** `4 s ago`; `in 4 s` of what is to come. Both are epoch ms by the same clock. */
export const ago = (then: number, now: number): string => {
  const ms = now - then
  if (Math.abs(ms) < 1000) return "now"
  return ms > 0 ? `${span(ms)} ago` : `in ${span(-ms)}`
}

/** `1 hole`, `2 holes`. */
export const several = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`

/**
 * `312 of 500 have their first picture, the last in about 4 min`; then `498 of 500 live, 2 doubtful; first pictures took 9 min`. Empty where
 * there are no books.
 */
export const books = (
  { doubtful, live, pictures, waiting }: Pick<BooksStatus, "doubtful" | "live" | "pictures" | "waiting">
): string => {
  const known = live + doubtful
  const all = count(known + waiting)
  if (known + waiting === 0) return ""
  const { perMinute, tookMs } = pictures
  if (waiting > 0) {
    const last = perMinute === null ? "" : `, the last in about ${span(waiting / perMinute * 60_000)}`
    return `${count(known)} of ${all} have their first picture${last}`
  }
  const trouble = doubtful === 0 ? "" : `, ${count(doubtful)} doubtful`
  return `${count(live)} of ${all} live${trouble}${tookMs === null ? "" : `; first pictures took ${span(tookMs)}`}`
}

const digits = (value: number): string =>
  value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1)
