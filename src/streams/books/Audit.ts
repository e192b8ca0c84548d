/**
 * The proof of a book that changes keep, by whole pictures of its best levels that the exchange tells beside them (`Books.beside`): at one number
 * both are the same, or the book is wrong. Numbers alone prove that no change is missing, not that each did what it should. Pure, changed in
 * place by its one owner.
 */
import * as Levels from "./Levels.ts"

/** The best levels of a side each, at a number of the exchange. */
export interface Picture extends Levels.Both {
  readonly sequence: bigint
}

/** `unproven`: nothing could be compared. `behind`: the exchange has told of a number that the book did not come to. */
export type Outcome = "equal" | "different" | "unproven" | "behind"

/** States of the book, and pictures, of which each waits for the other, which comes by another way. */
const remembered = 64

/** Pictures that were the same, after which no more are waited for. */
const enough = 5

export interface State {
  /** Whose book it is. */
  readonly listener: number
  /** False: pictures came unasked, as the last ones do that were on their way. */
  readonly isAsked: boolean
  /** What the book was, oldest first. */
  readonly states: Array<Picture>
  /** Pictures of what the book has not come to yet, oldest first. */
  readonly waiting: Array<Picture>
  /** The last of them that the book is given time to come to; undefined: there is none, or more are heard. */
  last: Picture | undefined
  /** Pictures that were the same. */
  equal: number
  /** How often the book has changed since the last picture. */
  idle: number
}

/** `state`: what the book is; undefined: not known far enough. */
export const make = (listener: number, isAsked: boolean, state: Picture | undefined): State => ({
  listener,
  isAsked,
  states: state === undefined ? [] : [state],
  waiting: [],
  last: undefined,
  equal: 0,
  idle: 0
})

/** The book is that now. Pictures of numbers that it passed over prove nothing. */
export const changed = (s: State, state: Picture): "equal" | "different" | undefined => {
  s.idle += 1
  remember(s.states, state)
  for (;;) {
    const [picture] = s.waiting
    if (picture === undefined || picture.sequence > state.sequence) return undefined
    s.waiting.shift()
    if (picture.sequence === state.sequence) return compared(s, state, picture)
  }
}

/** A picture has come. Undefined: it is to be waited for, or proves nothing. */
export const pictured = (s: State, picture: Picture): "equal" | "different" | undefined => {
  s.idle = 0
  const last = s.states.at(-1)
  if (last === undefined || picture.sequence > last.sequence) {
    remember(s.waiting, picture)
    return undefined
  }
  const state = s.states.findLast(({ sequence }) => sequence === picture.sequence)
  return state === undefined ? undefined : compared(s, state, picture)
}

/** They are not to be heard any more. One that comes all the same, however late, says nothing of where the book should be. */
export const ceased = (s: State): void => {
  s.last = s.waiting.at(-1)
}

/** The last of them has come: there is no use in remembering what the book was. */
export const isOver = ({ idle, isAsked }: State): boolean => !isAsked && idle > remembered

/** Enough pictures were the same: no more need be heard. */
export const isDone = ({ equal }: State): boolean => equal >= enough

/**
 * What it came to when no more pictures are heard (`ceased`), and those that still wait were given time enough. `state`: what the book is. One that is
 * the same as the last of them may have another number only because the exchange counts what changes nothing; one whose number is higher has passed it
 * by, as with a picture by REST.
 */
export const outcome = (s: State, state: Picture | undefined): Exclude<Outcome, "different"> => {
  const { last } = s
  const isBehind = last !== undefined && state !== undefined && state.sequence < last.sequence && !isSame(last, state)
  if (!isDone(s) && isBehind) return "behind"
  return s.equal > 0 ? "equal" : "unproven"
}

const remember = (list: Array<Picture>, picture: Picture): void => {
  list.push(picture)
  if (list.length > remembered) list.shift()
}

const compared = (s: State, state: Picture, picture: Picture): "equal" | "different" => {
  if (!isSame(state, picture)) return "different"
  s.equal += 1
  return "equal"
}

const isSame = (a: Levels.Both, b: Levels.Both): boolean =>
  Levels.isSame(a.bids, b.bids) && Levels.isSame(a.asks, b.asks)
