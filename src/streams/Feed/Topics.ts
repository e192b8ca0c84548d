/**
 * What one session has subscribed to: each topic wanted, pending, active or rejected. Only what is missing is asked for again; a
 * topic whose data stays away longer than is usual for it is subscribed to anew, and if that does not help its connection is
 * replaced. Synchronous, told of the time: no clock, no socket.
 */
import * as Time from "../../services/Time.ts"
import type { Exchange, Market, Position, Remedy } from "../Exchange.ts"
import { FeedError } from "../FeedError.ts"
import type { Backfill, Cause } from "../trades/Backfill.ts"
import type { MarketState } from "./Identity.ts"
import type * as Rhythm from "./Rhythm.ts"
import type { Question } from "./SecondOpinion.ts"

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

export const defaultTiming: Timing = {
  answer: 10_000,
  market: { floor: 60_000, unknown: 3_600_000, cap: 3_600_000 },
  connection: { floor: 30_000, unknown: 300_000, cap: 3_600_000 }
}

const defaultOpinion = { after: 30_000, every: 60_000 }

/** What a silence led to. */
export interface Stale {
  readonly symbol: string
  readonly remedy: "resubscribe" | "reconnect"
  /** Since the last data, or the subscription, ms. */
  readonly silence: number
}

export interface Verdict {
  readonly stale: ReadonlyArray<Stale>
  /** The connection is to be replaced; it is not all dead. */
  readonly replace: boolean
  /** It is. */
  readonly error: FeedError | undefined
  /** Nobody knows: a history is to be asked. */
  readonly question: Question | undefined
}

export interface Counts {
  readonly requested: number
  readonly active: number
  readonly rejected: number
}

export interface Topics {
  /** Follows the living map: what joined is wanted, what left is left. */
  readonly sync: (now: Time.Instant) => void
  /** The next command to be sent; what it asks for counts as pending from `now`. */
  readonly command: (now: Time.Instant) => string | undefined
  readonly hasCommands: () => boolean
  readonly topicOf: (commandId: string) => string | undefined
  readonly market: (exchangeSymbol: string) => MarketState | undefined
  readonly subscribed: (topic: string, position: Position | undefined, recovered: boolean, now: Time.Instant) => void
  readonly moved: (topic: string, offset: number) => void
  /** True if the topic must find another connection. */
  readonly rejected: (topic: string, remedy: Remedy, now: Time.Instant) => boolean
  readonly unsubscribed: (topic: string, resubscribe: boolean) => void
  readonly heard: (exchangeSymbol: string, now: Time.Instant) => void
  /** A frame was not read, of whatever topic: what it held is missing from what is heard. */
  readonly unread: () => void
  /** No data since that instant. */
  readonly isSilentSince: (at: Time.Instant) => boolean
  /** `deaf`: what has arrived was not looked at yet, so that silence is ours. */
  readonly check: (now: Time.Instant, deaf: boolean) => Verdict
  readonly counts: () => Counts
  /** Places taken on the connection. */
  readonly taken: () => number
  /** Every topic was answered, or where nothing is answered, data has come. */
  readonly isSettled: () => boolean
  /** What was heard is heard no more, for this reason. */
  readonly end: (cause: Cause) => void
}

type Status = "wanted" | "pending" | "active" | "rejected"

interface Entry {
  readonly topic: string
  readonly market: MarketState
  status: Status
  /**
   * The last commands about it: an answer to any of them is one, however late. Without the earlier ones a server that answers later
   * than `Timing.answer` would be heard only with its answer to the repetition, and what it sent before that would lie in a hole.
   * Older ones are forgotten: a server that takes back all it grants would fill the memory.
   */
  commands: ReadonlyArray<string>
  /** Commands in a row that were not answered well. */
  attempts: number
  /** Of a rejection that passes; undefined if it does not, or there is none. */
  retryAt: Time.Instant | undefined
  /** Since when it is silent: last data, or the subscription. */
  silentSince: Time.Instant
  /** Subscribed to anew in this silence. */
  remedied: boolean
  /** To be left before it is asked for again. */
  leaveFirst: boolean
  /** Counted as heard by the backfill. */
  listening: boolean
  /** Of the last subscribe command. */
  order: number
  /** When it last brought data; null: never. */
  broughtAt: Time.Instant | null
}

/** Where nothing is answered: a command is through when its connection brings data so long after it, ms. */
const throughAfter = 1_000

/** Commands about one topic that may go unanswered. */
const maxAttempts = 3

/** Before a rejection that passes is tried again, doubled each time, ms. */
const firstRetry = 1_000
const lastRetry = 60_000

/** Command ids below are the protocol's own. */
const firstId = 2

export const make = (options: {
  readonly exchange: Exchange
  readonly topics: ReadonlyMap<string, Market>
  readonly stateOf: (market: Market) => MarketState
  readonly backfill: Backfill
  /** Who listens: the number of the connection; and when it last brought a frame. */
  readonly listener: number
  readonly aliveAt: () => Time.Instant
  /** The connection's own. */
  readonly rhythm: Rhythm.Rhythm
  readonly timing: Timing
  /** By topic, of all sessions of the exchange: where its history has come to. */
  readonly positions: Map<string, Position>
  readonly now: Time.Instant
}): Topics => {
  const { aliveAt, backfill, exchange: { socket }, listener, positions, rhythm, stateOf, timing, topics } = options
  const { opinion = defaultOpinion } = timing
  const entries = new Map<string, Entry>()
  const byTrades = new Map<string, Entry>()
  const byCommand = new Map<string, Entry>()
  /** Topics to leave, whose entries are gone. */
  const leaving: Array<string> = []
  /** Topics that left where no topic can be left: they hold their places, and what they bring is no market's. */
  const ghosts = new Set<string>()
  let wanted = new Set<Entry>()
  let nextId = firstId
  /** Of any data on the connection, or of the first subscription. */
  let silentSince: Time.Instant | undefined
  /** When a history was last to be asked whether the silence is one. */
  let askedAt = Time.never
  /** Until the next subscribe command; spares a look at all topics with each trade. */
  let allHeard = false

  const become = (entry: Entry, status: Status): void => {
    entry.status = status
    entry.market.status.subscription = status
  }

  const isAllHeard = (): boolean => {
    if (wanted.size > 0) return false
    for (const { listening, status } of entries.values()) {
      if (status === "pending" && !listening) return false
    }
    return true
  }

  const doubt = (market: MarketState): void => {
    market.suspect = true
    market.status.stale = true
  }

  const trust = (market: MarketState): void => {
    market.suspect = false
    market.status.stale = false
  }

  /** Its silence is over: what it said meanwhile nobody may have heard, even if another connection is the one that speaks now. */
  const believe = (market: MarketState): void => {
    if (!market.suspect) return
    trust(market)
    market.rhythm.restart()
    backfill.doubted(market, "stale")
  }

  const want = (entry: Entry): void => {
    allHeard = false
    become(entry, "wanted")
    wanted.add(entry)
  }

  const listen = (entry: Entry, recovered = false): void => {
    if (entry.listening) return
    entry.listening = true
    entry.market.rhythm.restart()
    backfill.subscribed(entry.market, recovered, listener)
  }

  const deafen = (entry: Entry, cause: Cause): void => {
    if (!entry.listening) return
    entry.listening = false
    backfill.lost(entry.market, cause, { id: listener, aliveAt: aliveAt(), broughtAt: entry.broughtAt })
  }

  const forget = (entry: Entry): void => {
    entries.delete(entry.topic)
    byTrades.delete(entry.market.market.exchangeSymbol)
    for (const id of entry.commands) byCommand.delete(id)
    wanted.delete(entry)
  }

  const sync = (now: Time.Instant): void => {
    for (const entry of Array.from(entries.values())) {
      if (topics.has(entry.topic)) continue
      if (entry.status !== "wanted") {
        if (socket.unsubscribe === undefined) ghosts.add(entry.topic)
        else if (entry.status !== "rejected") leaving.push(entry.topic)
      }
      deafen(entry, "unsubscribed")
      forget(entry)
    }
    for (const [topic, market] of topics) {
      let entry = entries.get(topic)
      if (entry === undefined) {
        entry = {
          topic,
          market: stateOf(market),
          status: "wanted",
          commands: [],
          attempts: 0,
          retryAt: undefined,
          silentSince: now,
          remedied: false,
          leaveFirst: false,
          listening: false,
          order: 0,
          broughtAt: null
        }
        entries.set(topic, entry)
        byTrades.set(market.exchangeSymbol, entry)
        if (ghosts.delete(topic)) {
          become(entry, "pending")
          listen(entry)
        } else want(entry)
      } else if (entry.status === "rejected") want(entry)
    }
  }

  const command = (now: Time.Instant): string | undefined => {
    const left = leaving.pop()
    if (left !== undefined && socket.unsubscribe !== undefined) return socket.unsubscribe(left, nextId++)
    for (const entry of wanted) {
      if (entry.leaveFirst && socket.unsubscribe !== undefined) {
        entry.leaveFirst = false
        return socket.unsubscribe(entry.topic, nextId++)
      }
      wanted.delete(entry)
      const id = nextId++
      entry.order = id
      become(entry, "pending")
      entry.silentSince = now
      silentSince ??= now
      if (socket.acknowledges) {
        const commands = [...entry.commands, String(id)]
        for (const old of commands.slice(0, -maxAttempts)) byCommand.delete(old)
        entry.commands = commands.slice(-maxAttempts)
        byCommand.set(String(id), entry)
      }
      return socket.subscribe(entry.topic, id, positions.get(entry.topic))
    }
    return undefined
  }

  const silent = (entry: Entry, now: Time.Instant, stale: Array<Stale>): boolean => {
    const silence = Time.between(entry.silentSince, now)
    if (silence < entry.market.rhythm.patience(timing.market)) return false
    const { symbol } = entry.market.market
    const wasHeard = entry.listening
    doubt(entry.market)
    deafen(entry, "stale")
    if (!entry.remedied && socket.unsubscribe !== undefined) {
      stale.push({ symbol, remedy: "resubscribe", silence })
      entry.remedied = true
      entry.leaveFirst = true
      want(entry)
      return false
    }
    stale.push({ symbol, remedy: "reconnect", silence })
    // Should a new connection bring nothing either, it is the market that is quiet.
    entry.market.rhythm.learn(silence)
    entry.remedied = false
    entry.silentSince = now
    if (wasHeard) listen(entry)
    return true
  }

  /**
   * Nothing is answered, so data is the answer: that of a topic itself, or of one that was asked for after it, or of any long enough
   * after it. Before that a socket may be open and mute, and what is missed on it belongs to the hole.
   */
  const listenToAll = (order: number, now: Time.Instant): void => {
    for (const entry of entries.values()) {
      if (entry.listening || entry.status !== "pending") continue
      if (entry.order <= order || Time.between(entry.silentSince, now) >= throughAfter) {
        listen(entry)
        believe(entry.market)
      }
    }
  }

  /** About the market that trades most: it is the likeliest to have traded. */
  const questionAt = (now: Time.Instant): Question | undefined => {
    if (silentSince === undefined || Time.between(askedAt, now) < opinion.every) return undefined
    let busiest: Entry | undefined
    for (const entry of entries.values()) {
      if (entry.status === "wanted" || entry.status === "rejected") continue
      if (busiest === undefined || entry.market.status.trades > busiest.market.status.trades) busiest = entry
    }
    if (busiest === undefined) return undefined
    askedAt = now
    return { market: busiest.market, silentSince, wasHeard: busiest.broughtAt !== null }
  }

  const check = (now: Time.Instant, deaf: boolean): Verdict => {
    const stale: Array<Stale> = []
    let replace = false
    const unanswered: Array<Entry> = []
    let answered = false
    if (deaf) {
      silentSince = silentSince === undefined ? undefined : now
      for (const entry of entries.values()) entry.silentSince = now
      return { stale, replace, error: undefined, question: undefined }
    }
    for (const entry of entries.values()) {
      if (entry.status === "active") answered = true
      if (entry.status === "pending" && socket.acknowledges) {
        if (Time.between(entry.silentSince, now) < timing.answer) continue
        entry.attempts += 1
        if (entry.attempts < maxAttempts) want(entry)
        else unanswered.push(entry)
      } else if (entry.status === "rejected") {
        if (entry.retryAt !== undefined && Time.between(entry.retryAt, now) >= 0) want(entry)
      } else if (entry.status !== "wanted" && silent(entry, now, stale)) replace = true
    }
    if (answered) {
      // The server answers, but not about these: a new connection would change nothing for them, and cost the others.
      for (const entry of unanswered) {
        become(entry, "rejected")
        entry.retryAt = Time.plus(now, lastRetry)
      }
    }
    const mute = silentSince === undefined ? 0 : Time.between(silentSince, now)
    const isMute = mute > 0 && mute >= rhythm.patience(timing.connection)
    if (isMute) {
      rhythm.learn(mute)
      for (const { market } of entries.values()) doubt(market)
    }
    const message = !answered && unanswered.length > 0
      ? `no answer to ${unanswered.length} subscriptions`
      : isMute
      ? `no data for ${Math.round(mute / 1000)} s`
      : undefined
    return {
      stale,
      replace,
      error: message === undefined ? undefined : new FeedError({ reason: "stale", message }),
      question: message === undefined && mute >= opinion.after ? questionAt(now) : undefined
    }
  }

  sync(options.now)
  return {
    sync,
    command,
    check,
    unread: () => {
      for (const { listening, market } of entries.values()) if (listening) backfill.doubted(market, "undecoded")
    },
    isSilentSince: (at) => silentSince === at,
    hasCommands: () => wanted.size > 0 || leaving.length > 0,
    topicOf: (id) => byCommand.get(id)?.topic,
    market: (exchangeSymbol) => byTrades.get(exchangeSymbol)?.market,
    moved: (topic, offset) => {
      const position = positions.get(topic)
      if (position !== undefined) positions.set(topic, { ...position, offset })
    },
    subscribed: (topic, position, recovered, now) => {
      // What was recovered has not been handled yet: the position moves with it.
      if (position === undefined) positions.delete(topic)
      else if (!recovered) positions.set(topic, position)
      const entry = entries.get(topic)
      if (entry === undefined) return
      // An answer that comes late is as good, and spares the repetition.
      wanted.delete(entry)
      become(entry, "active")
      entry.attempts = 0
      entry.silentSince = now
      listen(entry, recovered)
    },
    rejected: (topic, remedy, now) => {
      const entry = entries.get(topic)
      if (entry === undefined) return false
      deafen(entry, "unsubscribed")
      wanted.delete(entry)
      // It may be the place that the server does not like.
      positions.delete(topic)
      let active = 0
      for (const { status } of entries.values()) if (status === "active") active += 1
      become(entry, "rejected")
      entry.attempts += 1
      entry.retryAt = remedy === "soon"
        ? Time.plus(now, Math.min(lastRetry, firstRetry * 2 ** (entry.attempts - 1)))
        : undefined
      // A server that grants nothing grants no more on the next connection.
      return remedy === "elsewhere" && active > 0
    },
    unsubscribed: (topic, resubscribe) => {
      const entry = entries.get(topic)
      if (entry === undefined) return
      deafen(entry, "unsubscribed")
      if (resubscribe) want(entry)
      else become(entry, "rejected")
    },
    heard: (exchangeSymbol, now) => {
      silentSince = now
      rhythm.heard(now)
      const entry = byTrades.get(exchangeSymbol)
      if (!socket.acknowledges && !allHeard) {
        listenToAll(entry?.order ?? 0, now)
        allHeard = isAllHeard()
      }
      if (entry === undefined) return
      believe(entry.market)
      entry.market.rhythm.heard(now)
      entry.silentSince = now
      entry.broughtAt = now
      entry.remedied = false
      if (entry.status === "pending" && !socket.acknowledges) become(entry, "active")
    },
    counts: () => {
      let [requested, active, rejected] = [0, 0, 0]
      for (const { status } of entries.values()) {
        if (status !== "wanted") requested += 1
        if (status === "active") active += 1
        if (status === "rejected") rejected += 1
      }
      return { requested, active, rejected }
    },
    taken: () => entries.size + ghosts.size,
    isSettled: () => {
      if (wanted.size > 0) return false
      if (!socket.acknowledges) return isAllHeard()
      for (const { status } of entries.values()) if (status === "pending") return false
      return true
    },
    end: (cause) => {
      wanted = new Set()
      rhythm.restart()
      for (const entry of entries.values()) {
        entry.market.status.subscription = null
        // Asked to go on from before the frame that was too large, the server would send it again.
        if (cause === "undecoded") positions.delete(entry.topic)
        deafen(entry, cause)
      }
    }
  }
}
