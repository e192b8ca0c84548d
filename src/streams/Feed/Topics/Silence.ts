/** Data, and what to make of it that none comes: topics are subscribed to anew, connections replaced, histories asked. */
import * as Time from "../../../services/Time.ts"
import type { Cause, Name } from "../../Channel.ts"
import * as Rhythm from "../../Rhythm.ts"
import { isAnyActive, lastRetry } from "./Answers.ts"
import { maxAttempts } from "./Joining.ts"
import { become, believe, type Command, deafen, doubt, isJudge, listen, type State, type Topic, want } from "./State.ts"

const defaultOpinion = { after: 30_000, every: 60_000 }

/** Where nothing is answered: a command is through when its connection brings data so long after it, ms. */
const throughAfter = 1_000

const noTopics: ReadonlyArray<string> = []
const noCommands: ReadonlyArray<Command> = []

export const bringing = (s: State, channel: Name, exchangeSymbol: string): ReadonlyArray<string> =>
  s.bringing.get(channel)?.get(exchangeSymbol) ?? noTopics

/** What came is of none of the topics here: the connection is not mute, and each of them is as silent as before. */
export const spoke = (s: State, now: Time.Instant): void => {
  s.muteSince = now
}

/**
 * Runs with every frame of data: mostly it commands nothing, and then allocates nothing. `isPast`: it is what a subscription begins with. Taken for a
 * sign of life, it would end each silence that a new subscription is to end, and a market that is quiet would be subscribed to anew for ever.
 */
export const brought = (
  s: State,
  channel: Name,
  exchangeSymbol: string,
  now: Time.Instant,
  isPast = false
): ReadonlyArray<Command> => {
  s.muteSince = now
  const names = bringing(s, channel, exchangeSymbol)
  if (isPast && s.options.acknowledges) {
    for (const name of names) {
      const topic = s.topics.get(name)
      if (topic !== undefined) topic.broughtAt = now
    }
    return noCommands
  }
  const first = s.topics.get(names[0] ?? "")
  // What left and still speaks has always counted.
  if (first === undefined || isJudge(s, first)) {
    s.silentSince = now
    Rhythm.heard(s.rhythm, now)
  }
  let out: Array<Command> | undefined
  if (!s.options.acknowledges && s.tally.unheard > 0) {
    out = []
    listenToAll(s, names, now, out)
  }
  for (const name of names) {
    const topic = s.topics.get(name)
    if (topic === undefined) continue
    if (topic.pulse.suspect) believe(topic, out ??= [])
    Rhythm.heard(topic.pulse.rhythm, now)
    topic.silentSince = now
    topic.broughtAt = now
    topic.remedied = false
    if (topic.status === "pending" && !s.options.acknowledges) become(s, topic, "active", out ??= [])
  }
  return out ?? noCommands
}

/**
 * Nothing is answered, so data is the answer: that of a topic itself, or of one that was asked for after it, or of any long enough
 * after it. Before that a socket may be open and mute, and what is missed on it belongs to the hole.
 */
const listenToAll = (s: State, speaking: ReadonlyArray<string>, now: Time.Instant, out: Array<Command>): void => {
  const order = speaking.reduce((latest, name) => Math.max(latest, s.topics.get(name)?.order ?? 0), 0)
  for (const topic of s.topics.values()) {
    if (topic.listening || topic.status !== "pending") continue
    if (topic.order <= order || Time.between(topic.silentSince, now) >= throughAfter) {
      listen(s, topic, false, out)
      believe(topic, out)
    }
  }
}

export const missed = (s: State, cause: Cause, out: Array<Command>): void => {
  for (const { listening, topic } of s.topics.values()) {
    if (listening) out.push({ _tag: "Doubted", topic, cause })
  }
}

/** One that is not active yet begins in any case. */
export const anew = (s: State, name: string, out: Array<Command>): void => {
  const topic = s.topics.get(name)
  if (topic?.status !== "active") return
  deafen(s, topic, "unsubscribed", out)
  topic.leaveFirst = s.options.canLeave
  want(s, topic, out)
}

export const check = (s: State, deaf: boolean, now: Time.Instant, out: Array<Command>): void => {
  if (deaf) {
    if (s.silentSince !== null) s.silentSince = now
    if (s.muteSince !== null) s.muteSince = now
    for (const topic of s.topics.values()) topic.silentSince = now
    return
  }
  const isAnswering = isAnyActive(s)
  const unanswered: Array<Topic> = []
  let replace = false
  for (const topic of s.topics.values()) {
    if (topic.status === "pending" && s.options.acknowledges) {
      if (isOverdue(s, topic, now, out)) unanswered.push(topic)
    } else if (topic.status === "rejected") {
      if (topic.retryAt !== null && Time.between(topic.retryAt, now) >= 0) want(s, topic, out)
    } else if (topic.status !== "wanted" && isTooSilent(s, topic, now, out)) replace = true
  }
  const atFault = isAnswering ? [] : unanswered.filter((topic) => isJudge(s, topic))
  // The server answers, but not about these: a new connection would change nothing for them, and cost the others.
  for (const topic of unanswered) {
    if (atFault.includes(topic)) continue
    become(s, topic, "rejected", out)
    topic.retryAt = Time.plus(now, lastRetry)
    out.push({ _tag: "Unanswered", topic: topic.topic })
  }
  if (replace) out.push({ _tag: "Replace" })
  const mute = s.muteSince === null ? 0 : Time.between(s.muteSince, now)
  const isMute = mute > 0 && mute >= Rhythm.patience(s.rhythm, s.options.timing.connection)
  if (isMute) {
    Rhythm.learn(s.rhythm, mute)
    for (const topic of s.topics.values()) doubt(topic, out)
  }
  if (atFault.length > 0) {
    out.push({ _tag: "Fail", message: `no answer to ${atFault.length} subscriptions` })
  } else if (isMute) out.push({ _tag: "Fail", message: `no data for ${Math.round(mute / 1000)} s` })
  else ask(s, now, out)
}

/** An answer has not come in time: it is asked for again, but for the last time by itself. True if it was asked for often enough. */
const isOverdue = (s: State, topic: Topic, now: Time.Instant, out: Array<Command>): boolean => {
  if (Time.between(topic.silentSince, now) < s.options.timing.answer) return false
  topic.attempts += 1
  if (topic.attempts >= maxAttempts) return true
  if (topic.attempts === maxAttempts - 1) topic.alone = true
  want(s, topic, out)
  return false
}

/** True if the connection is to be replaced for it. */
const isTooSilent = (s: State, topic: Topic, now: Time.Instant, out: Array<Command>): boolean => {
  const silence = Time.between(topic.silentSince, now)
  if (silence < Rhythm.patience(topic.pulse.rhythm, s.options.timing.market)) return false
  const wasHeard = topic.listening
  doubt(topic, out)
  deafen(s, topic, "stale", out)
  const isJudging = isJudge(s, topic)
  if (s.options.canLeave && (!topic.remedied || !isJudging)) {
    // Subscribed to anew it brought nothing either.
    if (topic.remedied) Rhythm.learn(topic.pulse.rhythm, silence)
    out.push({ _tag: "Stale", topic: topic.topic, channel: topic.channel, remedy: "resubscribe", silence })
    topic.remedied = true
    topic.leaveFirst = true
    want(s, topic, out)
    return false
  }
  if (isJudging) {
    out.push({ _tag: "Stale", topic: topic.topic, channel: topic.channel, remedy: "reconnect", silence })
  }
  // Should a new connection bring nothing either, it is the market that is quiet.
  Rhythm.learn(topic.pulse.rhythm, silence)
  topic.remedied = false
  topic.silentSince = now
  if (wasHeard) listen(s, topic, false, out)
  return isJudging
}

const ask = (s: State, now: Time.Instant, out: Array<Command>): void => {
  const { after, every } = s.options.timing.opinion ?? defaultOpinion
  const { askedAt, silentSince } = s
  if (silentSince === null || Time.between(silentSince, now) < after) return
  if (askedAt !== null && Time.between(askedAt, now) < every) return
  const topics = Array.from(s.topics.values()).flatMap(({ broughtAt, status, topic }) =>
    status === "wanted" || status === "rejected" ? [] : [{ topic, wasHeard: broughtAt !== null }]
  )
  if (topics.length === 0) return
  s.askedAt = now
  out.push({ _tag: "Ask", silentSince, topics })
}
