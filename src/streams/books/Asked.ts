/** Markets that ask for a picture, one after the other. */
import type { BookState } from "../../services/FeedStatus.ts"

/** What nobody has told anything of goes first, then what is doubtful; a fresh picture of a live book can wait. */
const order: Readonly<Record<BookState, number>> = { waiting: 0, doubtful: 1, live: 2 }

/** The next one, by what each is now, and of those alike the first that has asked: it is not in the line any more. Undefined: nobody asks. */
export const next = <A extends { readonly state: { readonly phase: BookState } }>(line: Array<A>): A | undefined => {
  let at = 0
  line.forEach(({ state: { phase } }, i) => {
    const best = line[at]
    if (best !== undefined && order[phase] < order[best.state.phase]) at = i
  })
  return line.splice(at, 1)[0]
}
