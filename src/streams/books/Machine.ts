/**
 * One market's order book: a pure machine. `step(state, input, now)` gives the commands that its one caller (`BooksChannel`) carries out in
 * order, and changes the state in place. Only a picture that is true is told: `waiting` for the first, `live`, or `doubtful` until it is whole
 * again, which two `gap`s tell (docs/design/contract.md "Books").
 */
import * as Time from "../../services/Time.ts"
import {
  answered,
  asking,
  deafFor,
  doubted,
  heard,
  isWanted,
  left,
  lost,
  open,
  refresh,
  worn
} from "./Machine/Holes.ts"
import { answer, count, part } from "./Machine/Parts.ts"
import type { Command, Input, State } from "./Machine/State.ts"
import { due, gaps, isOver, last } from "./Machine/Telling.ts"

export { isWanted } from "./Machine/Holes.ts"
export {
  type Cause,
  type Command,
  initial,
  type Input,
  type Options,
  type Part,
  type Patience,
  type State,
  type Told
} from "./Machine/State.ts"
export { wakeAt } from "./Machine/Telling.ts"

export const step = (s: State, input: Input, now: Time.Moment): ReadonlyArray<Command> => {
  const out: Array<Command> = []
  switch (input._tag) {
    case "Heard":
      heard(s, input, now.at)
      break
    case "Lost":
      lost(s, input, now.at)
      break
    case "Doubted":
      doubted(s, input, now.at)
      break
    case "Part":
      part(s, input, now, out)
      break
    case "Answer":
      answer(s, input, now, out)
      break
    case "Passed":
      count(input.outcome, out)
      break
    case "Answered":
      answered(s, input.fits, now.at, out)
      break
    case "Worn":
      worn(s, now.at)
      break
    case "Audited":
      out.push(input)
      break
    case "Due":
      // Subscribed to anew it was not, in time.
      if (s.deafSince !== null && isOver(Time.plus(s.deafSince, deafFor), now.at)) open(s, "disconnected")
      due(s, now, out)
      refresh(s, now.at, out)
      ask(s, now.at, out)
      break
    case "Left":
      left(s)
      gaps(s, out)
      break
    case "Last":
      last(s, now, out)
      break
  }
  return out
}

const ask = (s: State, now: Time.Instant, out: Array<Command>): void => {
  if (s.ask.isPending || !isOver(s.ask.at, now)) return
  s.ask.at = undefined
  if (!isWanted(s)) return
  s.ask.isPending = true
  asking(s, now)
  out.push({ _tag: "Ask" })
}
