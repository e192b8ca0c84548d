/** What the server says to a subscription: by the topic's name, by the id of the command, late, twice, or unasked. */
import * as Time from "../../../services/Time.ts"
import type { Remedy } from "../../Exchange.ts"
import { become, type Command, deafen, listen, type State, type Topic, want, withdraw } from "./State.ts"

/** Before a rejection that passes is tried again, doubled each time, ms. */
const firstRetry = 1_000
export const lastRetry = 60_000

/** The same where the server takes no more commands for a while (`slowly`), ms. */
const firstPatience = 60_000
const lastPatience = 600_000

export const subscribed = (
  s: State,
  name: string,
  recovered: boolean,
  now: Time.Instant,
  out: Array<Command>
): void => {
  const topic = s.topics.get(name)
  if (topic === undefined) return
  // Not asked for since it joined or was left: the answer is from before that, and the server is to be told of that first. An answer may name
  // all that the connection has, whatever was asked.
  if (topic.status === "wanted" && (topic.order === 0 || topic.leaveFirst)) return
  answeredByName(s, topic)
  grant(s, topic, recovered, now, out)
}

const grant = (s: State, topic: Topic, recovered: boolean, now: Time.Instant, out: Array<Command>): void => {
  s.slow = null
  // An answer that comes late is as good, and spares the repetition.
  s.wanted.delete(topic.topic)
  become(s, topic, "active", out)
  topic.attempts = 0
  topic.retryAt = null
  topic.alone = false
  topic.asked = true
  topic.silentSince = now
  listen(s, topic, recovered, out)
}

export const rejected = (s: State, name: string, remedy: Remedy, now: Time.Instant, out: Array<Command>): void => {
  const topic = s.topics.get(name)
  if (topic === undefined) return
  answeredByName(s, topic)
  reject(s, topic, remedy, now, out)
}

const reject = (s: State, topic: Topic, remedy: Remedy, now: Time.Instant, out: Array<Command>): void => {
  deafen(s, topic, "unsubscribed", out)
  s.wanted.delete(topic.topic)
  out.push({ _tag: "StartAfresh", topic: topic.topic })
  // A server that grants nothing grants no more on the next connection.
  if (remedy === "elsewhere" && isAnyActive(s)) out.push({ _tag: "Displaced", topic: topic.topic })
  become(s, topic, "rejected", out)
  topic.asked = false
  topic.attempts += 1
  topic.patient = remedy === "slowly"
  topic.retryAt = topic.patient
    ? slowed(s, now)
    : remedy === "soon"
    ? Time.plus(now, Math.min(lastRetry, firstRetry * 2 ** (topic.attempts - 1)))
    : null
}

/** The same for all that are refused meanwhile: each at its own time would be a command for each. */
const slowed = (s: State, now: Time.Instant): Time.Instant => {
  if (s.slow !== null && Time.between(now, s.slow.until) > 0) return s.slow.until
  const times = (s.slow?.times ?? 0) + 1
  const until = Time.plus(now, Math.min(lastPatience, firstPatience * 2 ** (times - 1)))
  s.slow = { until, times }
  return until
}

export const isAnyActive = ({ tally }: State): boolean => tally.active > 0

/** What is said of all of a frame does not concern a topic of it that was answered by its name. */
const answeredByName = (s: State, { commands, topic }: Topic): void => {
  for (const id of commands) if (s.frames.get(id)?.lone === false) withdraw(s, id, topic)
}

export const granted = (s: State, id: string, now: Time.Instant, out: Array<Command>): void => {
  for (const topic of answeredFrame(s, id)) grant(s, topic, false, now, out)
}

/**
 * Ours may have been about others: it was asked in another order, or again, for a silence that nobody sees now. The answer to it that
 * follows would then be taken for theirs, and these would stay unheard.
 */
export const recalled = (s: State, id: string, names: ReadonlyArray<string>): void => {
  answeredFrame(s, id)
  s.frames.set(id, { lone: names.length === 1, topics: names.slice() })
  for (const name of names) {
    const topic = s.topics.get(name)
    if (topic === undefined) continue
    topic.commands = topic.commands.concat(id)
    topic.order = Number(id)
  }
}

export const denied = (s: State, id: string, remedy: Remedy, now: Time.Instant, out: Array<Command>): void => {
  const isLone = s.frames.get(id)?.lone === true
  for (const topic of answeredFrame(s, id)) {
    // It has its answer, or will have one to a later command.
    if (topic.status === "active" || topic.order !== Number(id)) continue
    // That there are too many commands is about none of its topics, which by themselves would be as many.
    if (remedy === "slowly") topic.alone = false
    if (isLone || remedy === "slowly") reject(s, topic, remedy, now, out)
    else {
      // One of them may be what the server does not like: each is asked for by itself.
      topic.alone = true
      topic.asked = false
      if (topic.status !== "wanted") want(s, topic, out)
    }
  }
}

/** A frame is answered as a whole once. */
const answeredFrame = (s: State, id: string): ReadonlyArray<Topic> => {
  const topics = (s.frames.get(id)?.topics ?? []).flatMap((name) => s.topics.get(name) ?? [])
  for (const topic of topics) topic.commands = topic.commands.filter((one) => one !== id)
  s.frames.delete(id)
  return topics
}

export const unsubscribed = (s: State, name: string, resubscribe: boolean, out: Array<Command>): void => {
  const topic = s.topics.get(name)
  if (topic === undefined) return
  deafen(s, topic, "unsubscribed", out)
  topic.asked = false
  // What is wanted already is asked for in any case: this is about a command before.
  if (topic.status === "wanted") return
  if (resubscribe) want(s, topic, out)
  else become(s, topic, "rejected", out)
}
