/**
 * Which of two sessions is ahead, where nothing but what they bring can tell: parts without numbers. Both are told the same in the same order,
 * so that whoever brings what another has brought and replaced is behind.
 */
import * as Levels from "../Levels.ts"
import type { Listener, Part, State } from "./State.ts"

/** Sides of one listener that are remembered: whoever is later than that is taken for one that is ahead. */
const most = 16

const sides = ["bids", "asks"] as const

type Known = Pick<Listener, "bids" | "asks">

/** One of the sessions has replaced it, or what was kept: the others may bring it yet. */
export const passOver = ({ listeners }: State, by: Listener, before: Known | undefined, now: Known): void => {
  if (before === undefined || listeners.length < 2) return
  for (const side of sides) {
    const [old, next] = [before[side], now[side]]
    if (old === undefined || next === undefined || Levels.isSame(old, next)) continue
    for (const one of listeners) {
      const passed = one.passed[side]
      const last = passed.at(-1)
      if (one === by || (last !== undefined && Levels.isSame(last, old))) continue
      passed.push(old)
      if (passed.length > most) passed.shift()
    }
  }
}

/** The book has what it brought: of that side it has come as far as any. The other may be as another brought it. */
export const catchUp = ({ passed }: Listener, { part }: Pick<Part, "part">): void => {
  for (const side of sides) if (part === "whole" || part === side) passed[side].length = 0
}

/** It brings what was replaced since it hears the market: it is late, or a book of before has come again, which looks the same. */
export const isPassed = ({ kept }: State, listener: Listener): boolean =>
  sides.some((side) => {
    const levels = listener[side]
    return levels !== undefined && (kept === undefined || !Levels.isSame(levels, kept[side])) &&
      listener.passed[side].some((one) => Levels.isSame(one, levels))
  })
