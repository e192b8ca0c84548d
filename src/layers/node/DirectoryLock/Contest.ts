/**
 * Who owns a directory, among processes that share nothing but its files: a pure machine of commands and their answers.
 *
 * A mark is a text that no two processes ever write alike, and `head` is the owner's. A dead owner's mark is never taken away, since
 * whoever takes a file away may take the one that another has just put there. It gets a successor instead: a file named after the dead
 * mark, which can be made once only. The owner is the last of the chain that begins at `head`, as long as it lives; when it has got
 * there it puts its own mark in the place of `head`, all at once, and the chain goes.
 */

/** What an owner's mark tells of it: it lives, it is dead, or neither can be told from here. */
export type Verdict = "alive" | "dead" | "unknown"

export const head = "LOCK.pid"

export type Command =
  /** Answered by the text, undefined if there is no such file. */
  | { readonly _tag: "read"; readonly name: string }
  /** Our mark under this name, whole or not at all; answered by false if the name is taken. */
  | { readonly _tag: "put"; readonly name: string }
  | { readonly _tag: "judge"; readonly text: string }
  /** Our mark in the place of `head`, at once. */
  | { readonly _tag: "replace" }
  /** Of our own making, or of the dead: `marks` are their texts. Answered when they are gone. */
  | { readonly _tag: "clean"; readonly names: ReadonlyArray<string>; readonly marks: ReadonlyArray<string> }

export type Answer = string | boolean | undefined | void

export type Outcome =
  | { readonly _tag: "owner" }
  | { readonly _tag: "refused"; readonly text: string; readonly verdict: Exclude<Verdict, "dead"> }

export interface Contest {
  readonly mine: string
  /** The marks read so far, from `head` on. */
  readonly chain: ReadonlyArray<string>
  /** Successors that we have put. */
  readonly put: ReadonlyArray<string>
  readonly outcome: Outcome | undefined
  /** What is asked next; undefined at the end. */
  readonly command: Command | undefined
}

/** `idOf`: a name for a mark, for use in the names of files. */
export interface Names {
  readonly idOf: (text: string) => string
}

const successorOf = ({ idOf }: Names, text: string): string => `LOCK.after.${idOf(text)}`

const walk = (self: Pick<Contest, "mine" | "put">): Contest => ({
  mine: self.mine,
  put: self.put,
  chain: [],
  outcome: undefined,
  command: { _tag: "read", name: head }
})

export const start = (mine: string): Contest => walk({ mine, put: [] })

const end = (self: Contest, outcome: Outcome, names: ReadonlyArray<string>, marks: ReadonlyArray<string>): Contest => ({
  ...self,
  outcome,
  command: names.length === 0 && marks.length === 0 ? undefined : { _tag: "clean", names, marks }
})

/** The contest after the answer to its command. */
export const next = (self: Contest, answer: Answer, names: Names): Contest => {
  const { chain, command, mine, put } = self
  const last = chain.at(-1)
  switch (command?._tag) {
    case "read": {
      if (typeof answer === "string") {
        // No two marks are alike: whoever wrote these did not keep to it.
        if (chain.includes(answer)) return end(self, { _tag: "refused", text: answer, verdict: "unknown" }, put, [])
        return {
          ...self,
          chain: [...chain, answer],
          command: { _tag: "read", name: successorOf(names, answer) }
        }
      }
      if (last === undefined) return { ...self, command: { _tag: "put", name: head } }
      return { ...self, command: last === mine ? { _tag: "replace" } : { _tag: "judge", text: last } }
    }
    case "put": {
      if (command.name === head) return answer === true ? end(self, { _tag: "owner" }, put, []) : walk(self)
      // Made or not: the chain that begins at `head` now decides, which may have left this mark behind meanwhile.
      return walk(answer === true ? { mine, put: [...put, command.name] } : self)
    }
    case "judge": {
      if (answer === "dead") return { ...self, command: { _tag: "put", name: successorOf(names, command.text) } }
      return end(
        self,
        { _tag: "refused", text: command.text, verdict: answer === "alive" ? "alive" : "unknown" },
        put,
        []
      )
    }
    case "replace": {
      const dead = chain.slice(0, -1)
      const successors = dead.map((text) => successorOf(names, text))
      return end(self, { _tag: "owner" }, [...new Set([...successors, ...put])], dead)
    }
    default:
      return { ...self, command: undefined }
  }
}
