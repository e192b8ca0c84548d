/**
 * Times as ISO-8601 text, as `Date.prototype.toISOString` prints them, for the hot path, where each trade has two: put together of a day,
 * a minute and a second that were printed before.
 */

/** Epoch ms of the last one in the year 9999: beyond it ISO-8601 changes its form. */
export const maxTime = 253_402_300_799_999

const secondsOfDay = 86_400

const numbered = (count: number, digits: number, behind: string): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `${String(i).padStart(digits, "0")}${behind}`)

/** `12:59:` */
const minutes = numbered(24, 2, ":").flatMap((hour) => numbered(60, 2, ":").map((minute) => hour + minute))
const seconds = numbered(60, 2, ".")
const millis = numbered(1000, 3, "Z")

/** Days printed last: about midnight two take turns, and more where an exchange's window of trades goes back for days. */
const days = Array.from({ length: 16 }, () => ({ day: -1, text: "" }))

/** `2026-06-11T` */
const dayOf = (day: number): string => {
  const kept = days[day % days.length] ?? { day: -1, text: "" }
  if (kept.day !== day) {
    kept.text = new Date(day * secondsOfDay * 1000).toISOString().slice(0, 11)
    kept.day = day
  }
  return kept.text
}

/** `2026-06-11T12:59:45.` of a whole epoch second, from 1970 to 9999. */
export const ofSecond = (second: number): string => {
  const day = Math.floor(second / secondsOfDay)
  const inDay = second - day * secondsOfDay
  const minute = Math.floor(inDay / 60)
  return dayOf(day) + ((minutes[minute] ?? "") + (seconds[inDay - minute * 60] ?? ""))
}

/** Of epoch milliseconds. Throws a RangeError where there is no such date, as `toISOString` does. */
export const ofMillis = (epochMs: number): string => {
  if (!(epochMs >= 0 && epochMs <= maxTime)) return new Date(epochMs).toISOString()
  const whole = Math.floor(epochMs)
  const second = Math.floor(whole / 1000)
  return ofSecond(second) + (millis[whole - second * 1000] ?? "")
}
