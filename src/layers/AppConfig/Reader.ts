/**
 * Reads one setting after the other and remembers every problem. A bad setting reads as its default, so that reading goes on:
 * with a problem there are no settings in the end. What other programs read too is none of our business to refuse: there it is a
 * warning.
 */
import * as Either from "effect/Either"
import type { Problem, Texts } from "./Environment.ts"
import { quote } from "./Parsers.ts"
import type { Row, Variable } from "./Variables.ts"

/** Who passes on quotes that a shell would have taken for its own. */
const keeper = "(docker run --env-file keeps them)"

export class Reader {
  private readonly texts: Texts
  private readonly bad = new Map<string, string>()
  private readonly told = new Map<string, string>()

  constructor(texts: Texts) {
    this.texts = texts
  }

  get<A>(variable: Variable<A>): A {
    const given = this.texts.given.get(variable.name)
    if (given === undefined) return variable.fallback
    const result = variable.parse(given.text)
    const isQuoted = /^(["']).*\1$/s.test(given.text.trim())
    if (Either.isRight(result)) {
      if (isQuoted) this.told.set(variable.name, `the quotes around it are part of it ${keeper}`)
      const leftOut = variable.leftOut(given.text)
      const items = variable.secret ? `${leftOut.length} of its items` : leftOut.map(quote).join(", ")
      if (leftOut.length > 0) this.told.set(variable.name, `not understood, and left out: ${items}`)
      return result.right
    }
    // What was expected may be said of a secret, what was got may not.
    const expected = variable.secret ? result.left.replace(/, got .*$/s, "") : result.left
    const problem = isQuoted ? `${expected}; the quotes are part of it ${keeper}` : expected
    if (variable.foreign) this.told.set(variable.name, `not understood, and not used: ${problem}`)
    else this.bad.set(variable.name, problem)
    return variable.fallback
  }

  isSet(row: Row): boolean {
    return this.texts.given.has(row.name)
  }

  /** The file that it came from, if it did. */
  fileOf(row: Row): string | undefined {
    return this.texts.given.get(row.name)?.file
  }

  /** Whether nothing was wrong with it: only then it can be compared with others. */
  isGood(row: Row): boolean {
    return !this.bad.has(row.name) &&
      !this.texts.problems.some(({ name }) => name === row.name || name === `${row.name}_FILE`)
  }

  effective(row: Row): { readonly name: string; readonly value: string; readonly source: string } {
    const given = this.texts.given.get(row.name)
    return given === undefined
      ? { name: row.name, value: row.defaultText, source: row.defaultText === "" ? "not set" : "default" }
      : { name: row.name, value: row.show(given.text), source: given.source }
  }

  /** Of all that was read so far. */
  warnings(): ReadonlyArray<string> {
    return Array.from(this.told, ([name, text]) => `${name}: ${text}`)
  }

  /** Of all that was read so far, and of the files that could not be. */
  problems(): ReadonlyArray<Problem> {
    return [...this.texts.problems, ...Array.from(this.bad, ([name, problem]) => ({ name, problem }))]
  }
}
