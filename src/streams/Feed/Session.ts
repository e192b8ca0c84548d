/**
 * What one session on a socket knows and does: the handshake, the frames, what is answered. Its subscriptions are in `Topics.ts`; what the
 * frames mean for their markets, the channels know (`../Channel.ts`). Synchronous; the fiber that owns the socket carries it out (`Connection.ts`).
 */
import type * as Effect from "effect/Effect"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import { oneLine } from "../../services/Text.ts"
import * as Time from "../../services/Time.ts"
import type { Board } from "../Board.ts"
import type * as Channel from "../Channel.ts"
import * as DecodeFailure from "../DecodeFailure.ts"
import type { Data, Exchange, Message, Position, Remedy } from "../Exchange.ts"
import { FeedError } from "../FeedError.ts"
import { whole } from "../protocols/Json.ts"
import * as Recorder from "../Recorder.ts"
import type * as Rhythm from "../Rhythm.ts"
import type { StatusEvents } from "../StatusEvents.ts"
import type { Arrival } from "../WebSocketFeed.ts"
import * as Topics from "./Topics.ts"

/** Ids of commands about topics beside begin here: no answer to one is taken for that to a topic's own (`Topics`). */
const firstBesideId = 1_000_000

/** What all sessions of one exchange share. */
export interface Shared {
  readonly exchange: Exchange
  readonly board: Board
  readonly channels: ReadonlyArray<Channel.Channel>
  readonly statusEvents: StatusEvents
  readonly timing: Topics.Timing
  /** By topic: where its history has come to, at exchanges that keep one. */
  readonly positions: Map<string, Position>
  /** Topics that the exchange will not have, and that was told. */
  readonly refused: Set<string>
  /** Is told of all that the sockets bring. */
  readonly recorder?: Recorder.Recorder | undefined
}

/** Whether a silent connection keeps data from us: one of its markets is to be asked for by another way. */
export interface Question {
  readonly member: Channel.Member
  /** True if it does. */
  readonly isMissing: Effect.Effect<boolean>
  /** Since then the connection has brought no data. */
  readonly silentSince: Time.Instant
}

export interface DeadFrame {
  readonly failure: DecodeFailure.DecodeFailure
  readonly text: string
  readonly receivedAt: Time.WallTime
}

/** What a run over arrivals, or over the time that has passed, has come to. */
export interface Outcome {
  readonly events: ReadonlyArray<MarketEvent>
  /** Frames to be sent, in order. */
  readonly send: ReadonlyArray<string>
  readonly dead: ReadonlyArray<DeadFrame>
  /** Topics that this connection has no room for. */
  readonly displaced: ReadonlyArray<string>
  /** Data was understood. */
  readonly decoded: boolean
  /** The connection is to be replaced; it is not all dead. */
  readonly replace: boolean
  /** The session is over. */
  readonly error: FeedError | undefined
  readonly question: Question | undefined
}

export interface Session {
  readonly handle: (arrivals: ReadonlyArray<Arrival>) => Outcome
  /** Looks for what has not come. `deaf`: arrivals wait that were not handled yet. */
  readonly check: (now: Time.Moment, deaf: boolean) => Outcome
  /** Brings the subscriptions in line with the connection's topics; `command` has the frames. */
  readonly sync: (now: Time.Instant) => void
  readonly hasCommands: () => boolean
  /** What was recorded is played again: what its commands were about, by their ids. */
  readonly recall: (commands: Iterable<readonly [id: string, topics: ReadonlyArray<string>]>, now: Time.Instant) => void
  /** The next command that is to be sent, within the exchange's budget; undefined if there is none for now. */
  readonly command: (now: Time.Instant) => string | undefined
  /** The greeting has come. */
  readonly isReady: () => boolean
  /** Every topic was answered, or where nothing is answered, data has come. */
  readonly isSettled: () => boolean
  /** No data since that instant. */
  readonly isSilentSince: (at: Time.Instant) => boolean
  /** Places taken on the connection: topics that left may hold theirs. */
  readonly taken: () => number
  /** Only the first end counts. `cause`: of the holes that it leaves; a lost connection by default. */
  readonly end: (cause?: Channel.Cause) => void
}

type Stale = Extract<Topics.Command, { readonly _tag: "Stale" }>
type Ask = Extract<Topics.Command, { readonly _tag: "Ask" }>

export interface Options {
  readonly shared: Shared
  readonly connection: number
  /** The connection's living map: it changes when markets join or leave. */
  readonly topics: ReadonlyMap<string, Channel.Subject>
  readonly rhythm: Rhythm.Rhythm
  readonly now: Time.Instant
}

const refusalOf = (
  { code, message, remedy }: { readonly code: string; readonly message: string; readonly remedy: Remedy }
) => ({ words: `refused: ${code} ${message}`, remedy })

export const make = ({ connection, now, rhythm, shared, topics: wanted }: Options): Session => {
  const { board, channels, exchange, positions, recorder, refused, statusEvents, timing } = shared
  const { socket } = exchange
  const status = board.connection(connection)
  const hearings = new Map(channels.map((channel) => [channel.name, channel.open()]))
  let aliveAt = now
  const topics = Topics.initial({
    acknowledges: socket.acknowledges,
    canLeave: socket.unsubscribe !== undefined,
    topicsPerFrame: socket.batch?.size ?? 1,
    leftPerFrame: socket.batch?.unsubscribe === undefined ? 1 : socket.batch.size,
    timing
  }, rhythm)
  /** Of the topics that are wanted. */
  const members = new Map<string, Channel.Member>()
  /** By topic: in which epoch the exchange counts what it publishes, where it says so. */
  const epochs = new Map<string, string>()
  /** By topic: behind which offset all follows, where it was recovered. */
  const recoveredAfter = new Map<string, number>()
  /** Topics beside the markets' own (`Channel.Member.beside`) that the exchange was asked for, and commands about them that wait. */
  const beside = new Set<string>()
  const besideCommands: Array<{ readonly topic: string; readonly isJoining: boolean }> = []
  let nextBesideId = firstBesideId
  let ready = false
  let ended = false
  /** Number of the last frame, where the exchange numbers them. */
  let counted: bigint | undefined

  /** What one run gathers. */
  interface Gathering {
    readonly events: Array<MarketEvent>
    readonly send: Array<string>
    readonly dead: Array<DeadFrame>
    readonly displaced: Array<string>
    decoded: boolean
    replace: boolean
    error: FeedError | undefined
    question: Question | undefined
    readonly stale: Array<Stale>
    readonly unanswered: Array<string>
    /** The command that `Next` gave. */
    command: string | undefined
  }

  const gathering = (): Gathering => ({
    events: [],
    send: [],
    dead: [],
    displaced: [],
    decoded: false,
    replace: false,
    error: undefined,
    question: undefined,
    stale: [],
    unanswered: [],
    command: undefined
  })

  const outcome = (
    { dead, decoded, displaced, error, events, question, replace, send }: Gathering
  ): Outcome => {
    status.subscriptions = Topics.counts(topics)
    board.show()
    return { events, send, dead, displaced, decoded, replace, error, question }
  }

  const carryOut = (into: Gathering, commands: ReadonlyArray<Topics.Command>): void => {
    for (const command of commands) carryOutOne(into, command)
  }

  const carryOutOne = (into: Gathering, command: Topics.Command): void => {
    switch (command._tag) {
      case "Heard": {
        const { recovered, topic } = command
        const after = recovered ? recoveredAfter.get(topic) : undefined
        return toMember(topic, (member) => member.heard(recovered, connection, epochs.get(topic), after))
      }
      case "Lost": {
        const listener = { id: connection, aliveAt, broughtAt: command.broughtAt }
        return toMember(command.topic, (member) => member.lost(command.cause, listener))
      }
      case "Doubted":
        return toMember(command.topic, (member) => member.doubted(command.cause))
      case "ShowStatus":
        return toMember(command.topic, (member) => member.showStatus(command.status))
      case "ShowSuspect":
        return toMember(command.topic, (member) => member.showSuspect(command.suspect))
      case "Subscribe": {
        const [first = "", ...others] = command.topics
        into.command = socket.batch === undefined || others.length === 0
          ? socket.subscribe(first, command.id, positions.get(first))
          : socket.batch.subscribe(command.topics, command.id)
        return
      }
      case "Unsubscribe": {
        const [first = "", ...others] = command.topics
        into.command = others.length === 0
          ? socket.unsubscribe?.(first, command.id)
          : socket.batch?.unsubscribe?.(command.topics, command.id)
        return
      }
      case "StartAfresh":
        positions.delete(command.topic)
        return
      case "Displaced":
        into.displaced.push(command.topic)
        return
      case "Unanswered":
        into.unanswered.push(command.topic)
        return
      case "Stale":
        into.stale.push(command)
        return
      case "Replace":
        into.replace = true
        return
      case "Fail":
        into.error = new FeedError({ reason: "stale", message: command.message })
        return
      case "Ask":
        into.question = questionOf(command)
        return
    }
  }

  const toMember = (topic: string, tell: (member: Channel.Member) => void): void => {
    const member = members.get(topic)
    if (member !== undefined) tell(member)
  }

  /** About the market that brings most: it is the likeliest to have brought something. */
  const questionOf = ({ silentSince, topics }: Ask): Question | undefined => {
    let busiest: Question | undefined
    for (const { topic, wasHeard } of topics) {
      const member = members.get(topic)
      if (member?.isMissing === undefined) continue
      if (busiest === undefined || member.activity() > busiest.member.activity()) {
        busiest = { member, isMissing: member.isMissing(silentSince, wasHeard), silentSince }
      }
    }
    return busiest
  }

  const sync = (now: Time.Instant): void => {
    const all: Array<Topics.Wanted> = []
    for (const [topic, { channel, market }] of wanted) {
      const member = members.get(topic) ?? hearings.get(channel)?.member(market)
      if (member === undefined) continue
      members.set(topic, member)
      all.push({ topic, channel, exchangeSymbol: market.exchangeSymbol, pulse: member.pulse, leads: member.leads })
    }
    carryOut(gathering(), Topics.step(topics, { _tag: "Sync", topics: all }, now))
    for (const topic of members.keys()) {
      if (wanted.has(topic)) continue
      members.delete(topic)
      epochs.delete(topic)
      recoveredAfter.delete(topic)
    }
  }

  const followBeside = (): void => {
    const named = new Set<string>()
    for (const member of members.values()) {
      const topic = member.beside?.()
      if (topic !== undefined) named.add(topic)
    }
    for (const topic of beside) {
      if (named.has(topic)) continue
      beside.delete(topic)
      besideCommands.push({ topic, isJoining: false })
    }
    for (const topic of named) {
      if (beside.has(topic)) continue
      beside.add(topic)
      besideCommands.push({ topic, isJoining: true })
    }
  }

  const besideCommand = (): string | undefined => {
    const next = besideCommands.shift()
    if (next === undefined) return undefined
    const id = nextBesideId++
    return next.isJoining ? socket.subscribe(next.topic, id, undefined) : socket.unsubscribe?.(next.topic, id)
  }

  const take = (into: Gathering, data: Data, now: Time.Moment): void => {
    const { _tag: channel, exchangeSymbol } = data
    const isPast = data._tag === "trades" && data.isPast === true
    const [topic] = Topics.bringing(topics, channel, exchangeSymbol)
    const member = topic === undefined ? undefined : members.get(topic)
    // Else a market's own topic that has ceased would not be missed while its topic beside goes on.
    if (member?.isBeside?.(data) === true) Topics.spoke(topics, now.at)
    else carryOut(into, Topics.brought(topics, channel, exchangeSymbol, now.at, isPast))
    if (member === undefined) hearings.get(channel)?.foreign(data)
    else into.events.push(...member.take(data, now))
  }

  const becomeReady = (into: Gathering, { at, wall }: Time.Moment): void => {
    if (ready) return
    ready = true
    status.state = "open"
    sync(at)
    into.events.push(statusEvents.make("connected", wall, { connection, subscriptions: wanted.size }))
  }

  const tell = (into: Gathering, input: Topics.Input, now: Time.Moment): void =>
    carryOut(into, Topics.step(topics, input, now.at))

  /** Of whatever topic. */
  const miss = (into: Gathering, cause: Channel.Cause, now: Time.Moment): void => {
    for (const member of members.values()) member.missed?.(cause)
    tell(into, { _tag: "Missed", cause }, now)
  }

  /** Once, however often it is asked for again. */
  const tellRefused = (
    into: Gathering,
    topic: string,
    { remedy, words }: { readonly words: string; readonly remedy: Remedy },
    { wall }: Time.Moment
  ): void => {
    const subject = wanted.get(topic)
    if (subject === undefined || refused.has(topic)) return
    // An answer to an earlier command changes nothing, and another connection may have room.
    if (topics.topics.get(topic)?.status !== "rejected" || remedy === "elsewhere") return
    refused.add(whole(topic))
    const { channel, market: { symbol } } = subject
    const reason = oneLine(words)
    into.events.push(statusEvents.make("stale", wall, { channel, symbol, since: Time.iso(wall), reason }))
  }

  /** Whatever the server calls it: what follows has to begin where we are, or what lies between is a hole. No place, no recovery. */
  const isRecovered = (
    { after, position, recovered, topic }: Extract<Message, { readonly _tag: "subscribed" }>
  ): boolean => {
    const ours = positions.get(topic)
    return recovered && ours !== undefined && ours.epoch === position?.epoch && ours.offset >= (after ?? ours.offset)
  }

  const apply = (into: Gathering, message: Message, now: Time.Moment): void => {
    switch (message._tag) {
      case "ping":
        into.send.push(message.reply)
        return
      case "ready":
        return becomeReady(into, now)
      case "subscribed": {
        const recovered = isRecovered(message)
        // Another session may have moved the position since the book that is kept was told.
        const after = message.after ?? positions.get(message.topic)?.offset
        if (!recovered || after === undefined) recoveredAfter.delete(message.topic)
        else if (members.has(message.topic)) recoveredAfter.set(whole(message.topic), after)
        // What was recovered has not been handled yet: the position moves with it.
        if (message.position === undefined) positions.delete(message.topic)
        else if (!recovered) {
          const { epoch, offset } = message.position
          positions.set(whole(message.topic), { epoch: whole(epoch), offset })
        }
        refused.delete(message.topic)
        if (message.epoch === undefined) epochs.delete(message.topic)
        else if (members.has(message.topic)) epochs.set(whole(message.topic), whole(message.epoch))
        return tell(into, { _tag: "Subscribed", topic: message.topic, recovered }, now)
      }
      case "moved": {
        const position = positions.get(message.topic)
        if (position !== undefined) positions.set(message.topic, { ...position, offset: message.offset })
        return
      }
      case "rejected":
        tell(into, { _tag: "Rejected", topic: message.topic, remedy: message.remedy }, now)
        return tellRefused(into, message.topic, refusalOf(message), now)
      case "granted":
        refused.delete(topicOf(message.id) ?? "")
        return tell(into, { _tag: "Granted", id: message.id }, now)
      case "denied": {
        // Not known any more once it is answered.
        const about = Topics.topicsOf(topics, message.id).slice()
        tell(into, { _tag: "Denied", id: message.id, remedy: message.remedy }, now)
        for (const topic of about) tellRefused(into, topic, refusalOf(message), now)
        return
      }
      case "unsubscribed":
        return tell(into, { _tag: "Unsubscribed", topic: message.topic, resubscribe: message.resubscribe }, now)
      case "leaving":
        into.replace = true
        return
      case "refused":
        into.error = new FeedError({
          reason: "refused",
          message: oneLine(`refused with ${message.code} ${message.message}`),
          code: message.code
        })
        return
      case "counted": {
        const isMissing = counted !== undefined && message.sequence > counted + 1n
        // One that comes twice, or late, is none that is missing.
        if (counted === undefined || message.sequence > counted) counted = message.sequence
        return isMissing ? miss(into, "sequence", now) : undefined
      }
      case "failure":
        board.failure(message.failure.reason)
        return spoil(message)
      default:
        return take(into, message, now)
    }
  }

  const spoil = ({ subject, topic }: Extract<Message, { readonly _tag: "failure" }>): void => {
    const [of] = subject === undefined
      ? [topic]
      : Topics.bringing(topics, subject.channel, subject.exchangeSymbol)
    if (of !== undefined) toMember(of, (member) => member.spoiled?.())
  }

  const topicOf = (id: string): string | undefined => Topics.topicOf(topics, id)

  /** Told to the recorder with what its answers are about, also where the reading of it dies of a defect. */
  const recorded = (recorder: Recorder.Recorder, frame: string, { wall }: Time.Moment): ReadonlyArray<Message> => {
    const about = new Map<string, ReadonlyArray<string>>()
    const note = (id: string): void => {
      const names = Topics.topicsOf(topics, id)
      if (names.length > 0) about.set(id, names.slice())
    }
    try {
      const messages = socket.decode(frame, (id) => (note(id), topicOf(id)))
      for (const message of messages) if (message._tag === "granted" || message._tag === "denied") note(message.id)
      return messages
    } finally {
      recorder.frame(connection, frame, wall, about)
    }
  }

  const text = (into: Gathering, frame: string, now: Time.Moment): void => {
    let failure: DecodeFailure.DecodeFailure | undefined
    const messages = recorder === undefined ? socket.decode(frame, topicOf) : recorded(recorder, frame, now)
    for (const message of messages) {
      if (message._tag === "failure") {
        failure ??= message.failure
        // Refused by a bound of ours, it may have held data: older than what follows.
        if (message.failure.reason === "too_deep" || message.failure.reason === "too_large") {
          miss(into, "undecoded", now)
          // Its number was not read either, and is not to be missed once more.
          counted = undefined
        }
      }
      apply(into, message, now)
    }
    if (failure === undefined) return
    // One entry for each frame, however many of its rows were bad.
    into.dead.push({ failure, text: frame, receivedAt: now.wall })
  }

  const binary = (into: Gathering, receivedAt: Time.WallTime): void => {
    const failure = DecodeFailure.make("binary", "a binary frame")
    board.failure(failure.reason)
    into.dead.push({ failure, text: "", receivedAt })
  }

  sync(now)
  return {
    sync,
    hasCommands: () => ready && (Topics.hasCommands(topics) || besideCommands.length > 0),
    recall: (commands, now) => {
      for (const [id, names] of commands) Topics.step(topics, { _tag: "Recalled", id, topics: names }, now)
    },
    command: (now) => {
      if (!Topics.hasCommands(topics)) return besideCommand()
      const into = gathering()
      carryOut(into, Topics.step(topics, { _tag: "Next" }, now))
      return into.command
    },
    isReady: () => ready,
    isSettled: () => ready && Topics.isSettled(topics),
    isSilentSince: (at) => topics.silentSince === at,
    taken: () => Topics.taken(topics),
    end: (cause = "disconnected") => {
      if (ended) return
      ended = true
      for (const hearing of hearings.values()) hearing.close()
      carryOut(gathering(), Topics.step(topics, { _tag: "End", cause }, aliveAt))
    },
    check: (now, deaf) => {
      const into = gathering()
      if (!ready) return outcome(into)
      for (const [topic, member] of members) {
        const remedy = member.remedy?.()
        if (remedy === "resubscribe") tell(into, { _tag: "Anew", topic }, now)
        if (remedy !== "redial") continue
        const { symbol } = member.market
        into.error = new FeedError({
          reason: "stale",
          message: `the book of ${symbol} begins only on a new connection`
        })
      }
      followBeside()
      tell(into, { _tag: "Check", deaf }, now)
      for (const topic of into.unanswered) {
        tellRefused(into, topic, { words: "its subscription is not answered", remedy: "later" }, now)
      }
      for (const { channel, remedy, silence, topic } of into.stale) {
        board.stale(remedy)
        const since = Time.iso(Time.wallAfter(now, -silence))
        const symbol = members.get(topic)?.market.symbol ?? ""
        into.events.push(statusEvents.make("stale", now.wall, { channel, symbol, since, remedy }))
      }
      return outcome(into)
    },
    handle: (arrivals) => {
      const into = gathering()
      aliveAt = arrivals.at(-1)?.at ?? aliveAt
      for (const arrival of arrivals) {
        if (arrival._tag === "open") recorder?.opened(connection, Recorder.heardOf(wanted.values()), arrival.wall)
        if (arrival._tag === "text") text(into, arrival.text, arrival)
        else if (arrival._tag === "binary") binary(into, arrival.wall)
        else if (socket.hello === undefined) becomeReady(into, arrival)
        else into.send.push(socket.hello)
      }
      for (const hearing of hearings.values()) if (hearing.account()) into.decoded = true
      const last = arrivals[arrivals.length - 1]
      if (last !== undefined) {
        const moment = { at: last.at, wall: last.wall }
        status.lastFrameAt = moment
        board.frame(moment)
        if (into.decoded) board.data(moment)
      }
      return outcome(into)
    }
  }
}
