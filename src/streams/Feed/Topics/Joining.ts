/** Which topics there are: what joins, what leaves, and the commands that tell the server so. */
import type { Instant } from "../../../services/Time.ts"
import {
  add,
  become,
  type Command,
  deafen,
  listen,
  remove,
  type State,
  type Topic,
  want,
  type Wanted,
  withdraw
} from "./State.ts"

/** Commands about one topic that may go unanswered. */
export const maxAttempts = 3

export const sync = (s: State, topics: ReadonlyArray<Wanted>, now: Instant, out: Array<Command>): void => {
  const names = new Set(topics.map(({ topic }) => topic))
  for (const topic of s.topics.values()) if (!names.has(topic.topic)) leave(s, topic, out)
  for (const wanted of topics) {
    const known = s.topics.get(wanted.topic)
    if (known === undefined) join(s, wanted, now, out)
    else if (known.status === "rejected" && !known.patient) want(s, known, out)
  }
}

const join = (
  s: State,
  { channel, exchangeSymbol, leads, pulse, topic: name }: Wanted,
  now: Instant,
  out: Array<Command>
) => {
  const topic: Topic = {
    topic: name,
    channel,
    exchangeSymbol,
    pulse,
    leads,
    status: "wanted",
    commands: [],
    attempts: 0,
    retryAt: null,
    patient: false,
    silentSince: now,
    remedied: false,
    leaveFirst: false,
    alone: false,
    asked: false,
    listening: false,
    order: 0,
    broughtAt: null
  }
  add(s, topic)
  let symbols = s.bringing.get(channel)
  if (symbols === undefined) s.bringing.set(channel, symbols = new Map())
  const names = symbols.get(exchangeSymbol)
  if (names === undefined) symbols.set(exchangeSymbol, [name])
  else names.push(name)
  if (!s.ghosts.delete(name)) return want(s, topic, out)
  // The connection never ceased to bring it.
  topic.asked = true
  become(s, topic, "pending", out)
  listen(s, topic, false, out)
}

const leave = (s: State, topic: Topic, out: Array<Command>): void => {
  const { asked, channel, commands, exchangeSymbol, status, topic: name } = topic
  if (s.options.canLeave) {
    if (asked) s.leaving.push({ topic: name, channel })
  } else if (asked || status !== "wanted") s.ghosts.add(name)
  deafen(s, topic, "unsubscribed", out)
  remove(s, topic)
  for (const id of commands) withdraw(s, id, name)
  const symbols = s.bringing.get(channel)
  const names = symbols?.get(exchangeSymbol)?.filter((one) => one !== name) ?? []
  if (names.length === 0) symbols?.delete(exchangeSymbol)
  else symbols?.set(exchangeSymbol, names)
}

/** One command: what is left goes before what is asked for, since it may hold the place. */
export const next = (s: State, now: Instant, out: Array<Command>): void => {
  const left = s.leaving.at(-1)
  if (left !== undefined) return unsubscribe(s, lastLeft(s, left.channel), out)
  const topics = nextFrame(s)
  const [first] = topics
  if (first === undefined) return
  if (first.leaveFirst && s.options.canLeave) {
    for (const topic of topics) {
      topic.leaveFirst = false
      topic.asked = false
      topic.order = 0
    }
    return unsubscribe(s, topics.map(({ topic }) => topic), out)
  }
  const id = s.nextId++
  const names = topics.map(({ topic }) => topic)
  for (const topic of topics) {
    s.wanted.delete(topic.topic)
    topic.order = id
    topic.asked = true
    become(s, topic, "pending", out)
    topic.silentSince = now
    if (!s.options.acknowledges) continue
    const commands = [...topic.commands, String(id)]
    for (const old of commands.slice(0, -maxAttempts)) withdraw(s, old, topic.topic)
    topic.commands = commands.slice(-maxAttempts)
  }
  s.silentSince ??= now
  s.muteSince ??= now
  if (s.options.acknowledges) s.frames.set(String(id), { lone: names.length === 1, topics: names.slice() })
  out.push({ _tag: "Subscribe", id, topics: names })
}

const unsubscribe = (s: State, topics: ReadonlyArray<string>, out: Array<Command>): void => {
  out.push({ _tag: "Unsubscribe", id: s.nextId++, topics })
}

/** As many as one frame leaves, of one channel. */
const lastLeft = ({ leaving, options }: State, channel: Topic["channel"]): ReadonlyArray<string> => {
  const names: Array<string> = []
  while (names.length < options.leftPerFrame && leaving.at(-1)?.channel === channel) {
    names.push(leaving.pop()?.topic ?? "")
  }
  return names
}

/**
 * The first that is wanted, and as many others as go into a frame with it: of its channel, as some exchanges name that once a frame. If it is
 * to be left first, only those that are too.
 */
const nextFrame = (s: State): ReadonlyArray<Topic> => {
  const frame: Array<Topic> = []
  let most = 1
  let isLeaving = false
  for (const name of s.wanted) {
    const topic = s.topics.get(name)
    if (topic === undefined) continue
    const [first] = frame
    const isLeft = topic.leaveFirst && s.options.canLeave
    if (first === undefined) {
      frame.push(topic)
      isLeaving = isLeft
      most = topic.alone ? 1 : isLeaving ? s.options.leftPerFrame : s.options.topicsPerFrame
    } else if (!topic.alone && topic.channel === first.channel && isLeft === isLeaving) frame.push(topic)
    if (frame.length >= most) break
  }
  return frame
}
