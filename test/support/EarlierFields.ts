/**
 * Decimals and times as they were read before that was done by scans (commit 35b1f01), unchanged: what today's must agree with.
 */
const maxDigits = 30

const literal = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/

const render = (negative: boolean, whole: string, fraction: string): string | undefined => {
  const int = whole.replace(/^0+(?=\d)/, "")
  const frac = fraction.replace(/0+$/, "")
  if (int.length > maxDigits || frac.length > maxDigits) return undefined
  const text = frac === "" ? int : `${int}.${frac}`
  return negative && text !== "0" ? `-${text}` : text
}

export const canonical = (text: string): string | undefined => {
  if (text.length > 128) return undefined
  const match = literal.exec(text)
  if (match === null) return undefined
  const [, sign, whole = "", fraction = "", exponent] = match
  if (exponent === undefined) return render(sign === "-", whole, fraction)
  const shift = Number(exponent)
  if (Math.abs(shift) > maxDigits * 2) return undefined
  const point = whole.length + shift
  const digits = whole + fraction
  if (point <= 0) return render(sign === "-", "0", "0".repeat(-point) + digits)
  if (point >= digits.length) return render(sign === "-", digits + "0".repeat(point - digits.length), "")
  return render(sign === "-", digits.slice(0, point), digits.slice(point))
}

const maxTime = 253_402_300_799_999
const maxDecimals = 9

const make = (
  seconds: number,
  fraction: string
): { readonly timestamp: number; readonly time?: string } | undefined => {
  const timestamp = seconds * 1000 + Number(fraction.slice(0, 3).padEnd(3, "0"))
  if (!(timestamp >= 0 && timestamp <= maxTime)) return undefined
  if (fraction.length <= 3) return { timestamp }
  const decimals = fraction.slice(0, maxDecimals).padEnd(fraction.length <= 6 ? 6 : maxDecimals, "0")
  return { timestamp, time: `${new Date(timestamp).toISOString().slice(0, 20)}${decimals}Z` }
}

const secondsPattern = /^(\d{1,12})(?:\.(\d+))?$/

export const epochSeconds = (text: string): ReturnType<typeof make> => {
  const match = secondsPattern.exec(text.includes("e") || text.includes("E") ? canonical(text) ?? "" : text)
  if (match === null) return undefined
  const [, whole = "", fraction = ""] = match
  return make(Number(whole), fraction)
}

const isoPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,30}))?(Z|[+-]\d\d:\d\d)$/

export const isoTime = (text: string): ReturnType<typeof make> => {
  const match = isoPattern.exec(text)
  if (match === null) return undefined
  const [, whole = "", fraction = "", zone = ""] = match
  return make(Date.parse(whole + zone) / 1000, fraction)
}
