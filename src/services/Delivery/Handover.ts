/**
 * The hand-over of one lane, as a pure machine: which records go straight to Kafka, which to the queue, and when
 * (docs/design/delivery.md "The hand-over", H1-H10). `step` is a plain function of (state, input, now); `Lane` is its only caller in the program.
 *
 * The one thing that keeps order: while anything is in the queue, or must go there, nothing newer is sent. And one send at most
 * is unresolved, so a late answer can only ever concern the head.
 */
import * as Time from "../Time.ts"
import { decide, dueAt, wouldSendStraight } from "./Handover/Decisions.ts"
import { apply } from "./Handover/Inputs.ts"
import { type Command, hasRoom, type Input, oldestInMemory, type State } from "./Handover/State.ts"

export { bytesOf } from "./Handover/Memory.ts"
export {
  type Command,
  defaults,
  hasRoom,
  initial,
  type Input,
  isDurable,
  isSettled,
  mode,
  type Options,
  type State
} from "./Handover/State.ts"

type Result = readonly [commands: ReadonlyArray<Command>, state: State]

/** One input, and all that follows from it: what is to be done, in this order. */
export const step = (state: State, input: Input, now: Time.Instant): Result => {
  const commands: Array<Command> = []
  let s = apply(state, input, now, commands)
  s = trackPressure(s, now)
  for (;;) {
    const next = decide(s, now, commands)
    if (next === undefined) return [commands, s]
    s = next
  }
}

/** When the machine wants a `Tick` if nothing else happens; undefined: never. What was due by `now` has been decided already. */
export const deadline = (s: State, now: Time.Instant): Time.Instant | undefined => {
  const times: Array<Time.Instant> = [s.diskRetryAt]
  const oldest = oldestInMemory(s)
  if (oldest !== undefined) {
    times.push(Time.plus(oldest, s.options.spillAfter), Time.plus(oldest, s.options.holdFor))
    if (wouldSendStraight(s)) times.push(dueAt(s, oldest))
  }
  if (s.acked > s.durable && !s.persisting) times.push(Time.plus(s.persistedAt, s.options.cursorInterval))
  if (s.pressureSince !== undefined) times.push(Time.plus(s.pressureSince, s.options.holdFor))
  return Time.earliest(...times.filter((time) => Time.between(now, time) > 0))
}

const trackPressure = (s: State, now: Time.Instant): State => {
  const pressed = !hasRoom(s)
  if (pressed === (s.pressureSince !== undefined)) return s
  return { ...s, pressureSince: pressed ? now : undefined }
}
