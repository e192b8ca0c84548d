/**
 * What one session has subscribed to: each topic wanted, pending, active or rejected. Only what is missing is asked for again; a
 * topic whose data stays away longer than is usual for it is subscribed to anew, and if that does not help its connection is
 * replaced. A pure machine: `step(state, input, now)` gives the commands that its one caller (`Session`) carries out in order. The state
 * is plain data, which a test prints and compares. It is changed in place, since `brought` runs with each frame: whoever made it with
 * `initial` is its one owner.
 *
 * What the channel of a topic is told alternates: `Heard` when this connection begins to bring it, `Lost` when it ceases to; what the
 * market does in between is heard, and the rest is a hole.
 */
import type * as Time from "../../services/Time.ts"
import type { Cause } from "../Channel.ts"
import * as Rhythm from "../Rhythm.ts"
import { denied, granted, recalled, rejected, subscribed, unsubscribed } from "./Topics/Answers.ts"
import { next, sync } from "./Topics/Joining.ts"
import { anew, brought, check, missed } from "./Topics/Silence.ts"
import { type Command, deafen, type Input, type State, type Timing } from "./Topics/State.ts"

export { bringing, brought, spoke } from "./Topics/Silence.ts"
export {
  type Command,
  initial,
  type Input,
  type Options,
  type State,
  type Timing,
  type Wanted
} from "./Topics/State.ts"

export const defaultTiming: Timing = {
  answer: 10_000,
  market: { floor: 60_000, unknown: 3_600_000, cap: 3_600_000 },
  connection: { floor: 30_000, unknown: 300_000, cap: 3_600_000 }
}

// ---------------------------------------------------------------------------------------------------------------------
// questions to the state

export const hasCommands = (s: State): boolean => s.wanted.size > 0 || s.leaving.length > 0

/** The topic that a command was about, by its id; undefined if it is not known any more, or was about several. */
export const topicOf = (s: State, id: string): string | undefined => {
  const frame = s.frames.get(id)
  return frame?.lone === true ? frame.topics[0] : undefined
}

export interface Counts {
  readonly requested: number
  readonly active: number
  readonly rejected: number
}

export const counts = ({ tally: { active, pending, rejected } }: State): Counts => ({
  requested: pending + active + rejected,
  active,
  rejected
})

/** Topics that an answer to the command with that id is about; empty if it is not known any more. */
export const topicsOf = (s: State, id: string): ReadonlyArray<string> => s.frames.get(id)?.topics ?? []

/** Places taken on the connection. */
export const taken = (s: State): number => s.topics.size + s.ghosts.size

/** Every topic was answered, or where nothing is answered, data has come. */
export const isSettled = ({ options, tally, wanted }: State): boolean =>
  wanted.size === 0 && (options.acknowledges ? tally.pending : tally.unheard) === 0

// ---------------------------------------------------------------------------------------------------------------------
// the step

export const step = (s: State, input: Input, now: Time.Instant): ReadonlyArray<Command> => {
  const out: Array<Command> = []
  switch (input._tag) {
    case "Sync":
      sync(s, input.topics, now, out)
      break
    case "Next":
      next(s, now, out)
      break
    case "Subscribed":
      subscribed(s, input.topic, input.recovered, now, out)
      break
    case "Rejected":
      rejected(s, input.topic, input.remedy, now, out)
      break
    case "Granted":
      granted(s, input.id, now, out)
      break
    case "Recalled":
      recalled(s, input.id, input.topics)
      break
    case "Denied":
      denied(s, input.id, input.remedy, now, out)
      break
    case "Unsubscribed":
      unsubscribed(s, input.topic, input.resubscribe, out)
      break
    case "Brought":
      return brought(s, input.channel, input.exchangeSymbol, now)
    case "Anew":
      anew(s, input.topic, out)
      break
    case "Missed":
      missed(s, input.cause, out)
      break
    case "Check":
      check(s, input.deaf, now, out)
      break
    case "End":
      end(s, input.cause, out)
      break
  }
  return out
}

const end = (s: State, cause: Cause, out: Array<Command>): void => {
  s.wanted.clear()
  s.leaving.length = 0
  Rhythm.restart(s.rhythm)
  for (const topic of s.topics.values()) {
    out.push({ _tag: "ShowStatus", topic: topic.topic, status: null })
    // Asked to go on from before the frame that was too large, the server would send it again.
    if (cause === "undecoded") out.push({ _tag: "StartAfresh", topic: topic.topic })
    deafen(s, topic, cause, out)
  }
}
