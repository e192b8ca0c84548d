/**
 * What the machine of one session's topics knows, what it is told and what it commands: plain data, Maps and Sets of it included, and
 * no object stands in two places of it, but the pulse of a market that has several topics. How a topic comes from one status to another.
 */
import type { Instant } from "../../../services/Time.ts"
import type * as Channel from "../../Channel.ts"
import type { Cause } from "../../Channel.ts"
import type { Remedy } from "../../Exchange.ts"
import * as Rhythm from "../../Rhythm.ts"

export interface Timing {
  /** A subscription is to be answered within this time, ms. */
  readonly answer: number
  /** Of a market's data. */
  readonly market: Rhythm.Patience
  /** Of any data on a connection. */
  readonly connection: Rhythm.Patience
  /** Silence of a connection after which a history is asked whether there was anything to say, and the time between two such questions, ms. */
  readonly opinion?: { readonly after: number; readonly every: number } | undefined
}

export interface Options {
  /** Each subscription is answered (`Protocol.acknowledges`). */
  readonly acknowledges: boolean
  /** A topic can be left while its connection goes on (`Protocol.unsubscribe`). */
  readonly canLeave: boolean
  /** Topics that one subscribe frame takes (`Protocol.batch`). */
  readonly topicsPerFrame: number
  /** Topics that one frame leaves (`Protocol.batch`). */
  readonly leftPerFrame: number
  readonly timing: Timing
}

/** `wanted`: to be asked for; `pending`: asked for, not answered. */
export type Status = "wanted" | "pending" | "active" | "rejected"

export interface Topic {
  readonly topic: string
  readonly channel: Channel.Name
  readonly exchangeSymbol: string
  readonly pulse: Rhythm.Pulse
  /** See `Channel.Member`. */
  readonly leads: boolean
  status: Status
  /**
   * Ids of the last commands about it: an answer to any of them is one, however late. Without the earlier ones a server that answers
   * later than `Timing.answer` would be heard only with its answer to the repetition, and what it sent before that would lie in a hole.
   * Older ones are forgotten: a server that takes back all it grants would fill the memory.
   */
  commands: ReadonlyArray<string>
  /** Commands in a row that were not answered well. */
  attempts: number
  /** When a rejection that passes is tried again; null if it does not pass, or there is none. */
  retryAt: Instant | null
  /** Not before that, whatever the list of markets says: the server takes no more commands for a while. */
  patient: boolean
  /** Since when it is silent: last data, or the subscription. */
  silentSince: Instant
  /** Subscribed to anew in this silence. */
  remedied: boolean
  /** To be left before it is asked for again. */
  leaveFirst: boolean
  /** It stands in no frame with others: one that it stood in was refused, or not answered. */
  alone: boolean
  /** The server may have it: it was asked for, and neither refused nor left since. */
  asked: boolean
  /** The channel was told that it is heard, and not yet that it is lost. */
  listening: boolean
  /** Id of the last subscribe command; 0: none. */
  order: number
  /** When it last brought data; null: never. */
  broughtAt: Instant | null
}

/** A subscribe command that was sent and may still be answered. */
export interface Frame {
  /** It was about one topic only. */
  readonly lone: boolean
  /** Those of which it may bring the answer. */
  readonly topics: Array<string>
}

export interface State {
  readonly options: Options
  /** By the topic's name. */
  readonly topics: Map<string, Topic>
  /** Names of the topics that bring a market's data: by channel and `exchangeSymbol`. */
  readonly bringing: Map<Channel.Name, Map<string, Array<string>>>
  /** By the id of the command. */
  readonly frames: Map<string, Frame>
  /** Topics whose status is `wanted`, in the order in which they are asked for. */
  readonly wanted: Set<string>
  /** Topics that are to be left; they are not wanted any more. */
  readonly leaving: Array<Pick<Topic, "topic" | "channel">>
  /** Topics that left where no topic can be left: they hold their places, and what they bring is no market's. */
  readonly ghosts: Set<string>
  /** Of the data that the connection is judged by (`isJudge`). The connection that replaces this one goes on with it. */
  readonly rhythm: Rhythm.Rhythm
  nextId: number
  /** Of the data that the connection is judged by, or of the first subscription; null before that. */
  silentSince: Instant | null
  /** The same of any data: while there is some, the connection lives. */
  muteSince: Instant | null
  /** When a history was last to be asked whether the silence is one. */
  askedAt: Instant | null
  /** The server takes no more commands until then, as far as can be told; `times`: refusals since it took one. Null: it takes them. */
  slow: { readonly until: Instant; readonly times: number } | null
  readonly tally: Tally
}

/** How many topics are so: kept with each change, since with every chunk of frames somebody asks, and there may be thousands of topics. */
export interface Tally {
  wanted: number
  pending: number
  active: number
  rejected: number
  /** Pending, and not listening: nothing of it was heard yet. */
  unheard: number
  /** Topics that lead. */
  leading: number
}

/** A topic that is to be listened to. */
export interface Wanted {
  readonly topic: string
  readonly channel: Channel.Name
  readonly exchangeSymbol: string
  readonly pulse: Rhythm.Pulse
  readonly leads: boolean
}

export type Input =
  /** These are the topics: what joined is wanted, what left is left, what was rejected is tried again. */
  | { readonly _tag: "Sync"; readonly topics: ReadonlyArray<Wanted> }
  /** There is room for one command. */
  | { readonly _tag: "Next" }
  /** `recovered`: all since the place that was asked for follows. */
  | { readonly _tag: "Subscribed"; readonly topic: string; readonly recovered: boolean }
  | { readonly _tag: "Rejected"; readonly topic: string; readonly remedy: Remedy }
  /** The command with that id is granted, for all of its topics that were not answered by name. */
  | { readonly _tag: "Granted"; readonly id: string }
  | { readonly _tag: "Denied"; readonly id: string; readonly remedy: Remedy }
  /** Frames are played again: whoever recorded them had sent the command with that id about these topics. */
  | { readonly _tag: "Recalled"; readonly id: string; readonly topics: ReadonlyArray<string> }
  /** It brings what nobody can use until it is subscribed to anew. */
  | { readonly _tag: "Anew"; readonly topic: string }
  /** The server took it back. */
  | { readonly _tag: "Unsubscribed"; readonly topic: string; readonly resubscribe: boolean }
  /** Data came; see `brought`. */
  | { readonly _tag: "Brought"; readonly channel: Channel.Name; readonly exchangeSymbol: string }
  /** A frame was not read, or did not arrive, of whatever topic: what it held is missing from what is heard. */
  | { readonly _tag: "Missed"; readonly cause: Cause }
  /** `deaf`: what has arrived was not looked at yet, so that silence is ours. */
  | { readonly _tag: "Check"; readonly deaf: boolean }
  /** The session is over, for this reason. */
  | { readonly _tag: "End"; readonly cause: Cause }

/** Carried out in order. Every topic is one that is wanted, but those of `Lost` and `Unsubscribe`, which may have just left. */
export type Command =
  /** To the channel: from here on this connection hears the topic. */
  | { readonly _tag: "Heard"; readonly topic: string; readonly recovered: boolean }
  /** To the channel: from here on it does not. `broughtAt`: when it last brought data of it; null: never. */
  | { readonly _tag: "Lost"; readonly topic: string; readonly cause: Cause; readonly broughtAt: Instant | null }
  /** To the channel: it may have said things just now that nobody heard. */
  | { readonly _tag: "Doubted"; readonly topic: string; readonly cause: Cause }
  /** A frame to be sent. */
  | { readonly _tag: "Subscribe"; readonly id: number; readonly topics: ReadonlyArray<string> }
  | { readonly _tag: "Unsubscribe"; readonly id: number; readonly topics: ReadonlyArray<string> }
  /** The place in its history that was asked for may be what the server does not like, or what must not come again. */
  | { readonly _tag: "StartAfresh"; readonly topic: string }
  /** It was asked for as often as is of use, while others are answered. */
  | { readonly _tag: "Unanswered"; readonly topic: string }
  /** This connection has no room for it. */
  | { readonly _tag: "Displaced"; readonly topic: string }
  /** `silence`: since the last data, or the subscription, ms. */
  | {
    readonly _tag: "Stale"
    readonly topic: string
    readonly channel: Channel.Name
    readonly remedy: "resubscribe" | "reconnect"
    readonly silence: number
  }
  /** The connection is to be replaced; it is not all dead. */
  | { readonly _tag: "Replace" }
  /** It is. */
  | { readonly _tag: "Fail"; readonly message: string }
  /** The history of one of these is to be asked whether the connection keeps something from us. `wasHeard`: it brought data before. */
  | {
    readonly _tag: "Ask"
    readonly silentSince: Instant
    readonly topics: ReadonlyArray<{ readonly topic: string; readonly wasHeard: boolean }>
  }
  /** To be seen on the page. `null`: it has no connection. */
  | { readonly _tag: "ShowStatus"; readonly topic: string; readonly status: Status | null }
  | { readonly _tag: "ShowSuspect"; readonly topic: string; readonly suspect: boolean }

/** Command ids below are the protocol's own. */
const firstId = 2

export const initial = (options: Options, rhythm: Rhythm.Rhythm): State => ({
  options,
  topics: new Map(),
  bringing: new Map(),
  frames: new Map(),
  wanted: new Set(),
  leaving: [],
  ghosts: new Set(),
  rhythm,
  nextId: firstId,
  silentSince: null,
  muteSince: null,
  askedAt: null,
  slow: null,
  tally: { wanted: 0, pending: 0, active: 0, rejected: 0, unheard: 0, leading: 0 }
})

/** By 1 when a topic is there, or is what it is from now on; by -1 before it changes or goes. */
const count = ({ tally }: State, { leads, listening, status }: Topic, by: 1 | -1): void => {
  tally[status] += by
  if (leads) tally.leading += by
  if (status === "pending" && !listening) tally.unheard += by
}

export const add = (s: State, topic: Topic): void => {
  s.topics.set(topic.topic, topic)
  count(s, topic, 1)
}

export const remove = (s: State, topic: Topic): void => {
  count(s, topic, -1)
  s.topics.delete(topic.topic)
  s.wanted.delete(topic.topic)
}

/** The connection is judged by it: by all topics where none leads. */
export const isJudge = ({ tally }: State, { leads }: Topic): boolean => leads || tally.leading === 0

export const become = (s: State, topic: Topic, status: Status, out: Array<Command>): void => {
  count(s, topic, -1)
  topic.status = status
  count(s, topic, 1)
  out.push({ _tag: "ShowStatus", topic: topic.topic, status })
}

export const want = (s: State, topic: Topic, out: Array<Command>): void => {
  topic.patient = false
  become(s, topic, "wanted", out)
  s.wanted.add(topic.topic)
}

const turn = (s: State, topic: Topic, listening: boolean): void => {
  count(s, topic, -1)
  topic.listening = listening
  count(s, topic, 1)
}

export const listen = (s: State, topic: Topic, recovered: boolean, out: Array<Command>): void => {
  if (topic.listening) return
  turn(s, topic, true)
  Rhythm.restart(topic.pulse.rhythm)
  out.push({ _tag: "Heard", topic: topic.topic, recovered })
}

export const deafen = (s: State, topic: Topic, cause: Cause, out: Array<Command>): void => {
  if (!topic.listening) return
  turn(s, topic, false)
  out.push({ _tag: "Lost", topic: topic.topic, cause, broughtAt: topic.broughtAt })
}

export const doubt = (topic: Topic, out: Array<Command>): void => {
  topic.pulse.suspect = true
  out.push({ _tag: "ShowSuspect", topic: topic.topic, suspect: true })
}

/** Its silence is over: what it said meanwhile nobody may have heard, even if another connection is the one that speaks now. */
export const believe = (topic: Topic, out: Array<Command>): void => {
  if (!topic.pulse.suspect) return
  topic.pulse.suspect = false
  Rhythm.restart(topic.pulse.rhythm)
  out.push({ _tag: "ShowSuspect", topic: topic.topic, suspect: false })
  out.push({ _tag: "Doubted", topic: topic.topic, cause: "stale" })
}

/** A topic's frame brings no answer to it any more. */
export const withdraw = (s: State, id: string, topic: string): void => {
  const frame = s.frames.get(id)
  if (frame === undefined) return
  const at = frame.topics.indexOf(topic)
  if (at !== -1) frame.topics.splice(at, 1)
  if (frame.topics.length === 0) s.frames.delete(id)
}
