/** What an error says, in one text for people. */

/** Longer chains are cut; also ends one that bites its own tail. */
const maxDepth = 8

/** `connect ENETUNREACH 2001:db8::1:443 - Local (:::0)`: our own end of a connection that was never made. */
const localEnd = / - Local \(.*\)$/

/** The errors of an `AggregateError`: Node's dial of a name with several addresses has one for each, and no message of its own. */
const partsOf = (error: object): ReadonlyArray<unknown> =>
  "errors" in error && Array.isArray(error.errors) ? error.errors : []

/** What to do about an error of the operating system that no retry mends. */
const advice: Readonly<Record<string, string>> = {
  EMFILE:
    "this process has all the files and sockets open that it may: raise its limit (ulimit -n, LimitNOFILE=, --ulimit nofile)",
  ENFILE: "this machine has all the files and sockets open that it can: raise fs.file-max"
}

/** With what to do about it, where `code` is one that the operator has to mend. */
export const advised = (code: unknown, text: string): string => {
  const todo = typeof code === "string" && Object.hasOwn(advice, code) ? advice[code] : undefined
  return todo === undefined ? text : `${text}; ${todo}`
}

const ownText = (error: Error): string => {
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  return error.message === "" ? code ?? error.name : advised(code, error.message.replace(localEnd, ""))
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
