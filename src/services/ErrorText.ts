/** What an error says, in one text for people. */

/** Longer chains are cut; also ends one that bites its own tail. */
const maxDepth = 8

/** `connect ENETUNREACH 2001:db8::1:443 - Local (:::0)`: our own end of a connection that was never made. */
const localEnd = / - Local \(.*\)$/

/** The errors of an `AggregateError`: Node's dial of a name with several addresses has one for each, and no message of its own. */
const partsOf = (error: object): ReadonlyArray<unknown> =>
  "errors" in error && Array.isArray(error.errors) ? error.errors : []

const ownText = (error: Error): string => {
  if (error.message !== "") return error.message.replace(localEnd, "")
  return "code" in error && typeof error.code === "string" ? error.code : error.name
}

const reason = (error: unknown, depth: number): string => {
  if (!(error instanceof Error)) return String(error)
  if (depth >= maxDepth) return ownText(error)
  if (error.cause instanceof Error) return reason(error.cause, depth + 1)
  const parts = partsOf(error)
  return parts.length === 0 ? ownText(error) : [...new Set(parts.map((part) => reason(part, depth + 1)))].join("; ")
}

/** The innermost cause, which platforms wrap in words of their own; where there are several, each of them. */
export const reasonOf = (error: unknown): string => reason(error, 0)
