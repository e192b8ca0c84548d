/**
 * Order books as a channel: each market's parts go to its machine; what is due is told when its turn comes, and while whoever takes the
 * events is slower than the exchanges nothing piles up, as a market that could not be told yet is told as it is then.
 *
 * All events leave by one queue and one fiber, so that a market's stay in order.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type * as Ledger from "../../services/Ledger.ts"
import type { MarketEvent } from "../../services/MarketEvent.ts"
import * as Time from "../../services/Time.ts"
import type { Board } from "../Board.ts"
import type { Cause, Channel, Hearing, Member } from "../Channel.ts"
import * as Defaults from "../Defaults.ts"
import type { Books, Data, Exchange, Market } from "../Exchange.ts"
import type { Recorder } from "../Recorder.ts"
import type * as Rest from "../Rest.ts"
import type { StatusEvents } from "../StatusEvents.ts"
import * as Asked from "./Asked.ts"
import * as Audit from "./Audit.ts"
import { booksOf } from "./Declared.ts"
import type * as Linked from "./Linked.ts"
import * as Machine from "./Machine.ts"
import * as Markets from "./Markets.ts"
import type { BooksOptions } from "./Options.ts"
import type * as Sync from "./Sync.ts"
import * as Turns from "./Turns.ts"
import * as Wheel from "./Wheel.ts"

export interface Options {
  readonly exchange: Exchange
  readonly books: BooksOptions
  readonly rest: Rest.Rest
  /** Whose numbers and ids these are. */
  readonly collector: string
  readonly ledger: Ledger.Shape
  readonly board: Board
  readonly statusEvents: StatusEvents
  /** Is told of each picture that was asked for and is a book from then on. */
  readonly recorder?: Recorder | undefined
  readonly emit: (events: ReadonlyArray<MarketEvent>) => Effect.Effect<unknown>
  /** Around each fiber: without it one that dies of a defect would leave books that nobody tells. */
  readonly supervise: <R>(effect: Effect.Effect<void, never, R>) => Effect.Effect<void, never, R>
}

/** A whole book, as an answer has it. */
export type Picture = Omit<Sync.Part, "part">

/** New connections for the sake of books are so far apart, doubled each time, ms; after so long a rest the first again. */
const redialAfter = { first: 60_000, last: 600_000, rest: 600_000 }

/** ms */
const hour = 3_600_000

/** Books that ask in one moment were lost with one connection. */
const atOnce = 1_000

/** How often it is looked at whose book is to be compared, and whether that is done. */
const turnEvery = Duration.seconds(1)

/** Events that wait to be taken; beyond it markets wait to be told. */
const maxWaiting = 1_024

/** What the machine is set to, by what is said of books. */
const machineOptions = ({ deltas, depth, interval, refresh }: BooksOptions) => ({
  deltas,
  // An anchor has all that the deltas after it are about.
  depth: deltas ? "all" : depth,
  interval: Duration.toMillis(interval),
  refresh: Duration.toMillis(refresh)
} as const)

export const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Channel, never, Scope.Scope> {
  const { emit, exchange, rest, supervise } = options
  const declared = booksOf(exchange, options.books)
  const picture = declared?.picture
  if (picture !== undefined && declared?.resync === "picture") {
    options.board.books.pictures.perMinute = rest.asidePerMinute / (picture.cost ?? 1)
  }
  const clock = yield* Effect.clock
  /** Markets that ask for a picture, and how many of them there are. */
  const line: Array<Markets.Kept> = []
  const asked = yield* Queue.unbounded<void>()
  const wheel = Wheel.make<Markets.Kept>()
  const changed = yield* Effect.makeLatch(false)
  const outgoing: Array<MarketEvent> = []
  let isStopping = false
  /** What was handed over was the last: nothing more is made, since nobody would take it. */
  let isStopped = false

  const now = () => Time.momentOf(clock)

  const markets = Markets.make({
    ...options,
    ...machineOptions(options.books),
    asked: options.books,
    now,
    onAsk: (kept) => {
      line.push(kept)
      asked.unsafeOffer(undefined)
    },
    onLeft: (events) => isStopping ? undefined : push(events)
  })

  /** It is looked at when something is due, and at once if it is and there is room. */
  const schedule = (kept: Markets.Kept, at: Time.Moment): void => {
    for (; !isStopped;) {
      const wake = Machine.wakeAt(kept.state)
      if (wake === undefined) return
      if (Time.between(wake, at.at) >= 0 && outgoing.length < maxWaiting) {
        push(markets.tell(kept, { _tag: "Due" }, at))
        continue
      }
      const next = wheel.next()
      wheel.set(wake, kept)
      // The one fiber sleeps until what was first then.
      if (next === undefined || Time.between(wake, next) > 0) changed.unsafeOpen()
      return
    }
  }

  const push = (events: ReadonlyArray<MarketEvent>): void => {
    if (events.length === 0) return
    outgoing.push(...events)
    changed.unsafeOpen()
  }

  const tell = (kept: Markets.Kept, input: Linked.Input, at: Time.Moment): void => {
    if (isStopped) return
    push(markets.tell(kept, input, at))
    // By now, and not by when the part came: what is told on receipt says when it was handed over.
    if (kept.isListed) schedule(kept, now())
  }

  /** Of one market after the other whose time has come. */
  const turn = (at: Time.Moment): void => {
    while (!isStopped && outgoing.length < maxWaiting) {
      const kept = wheel.take(at.at)
      if (kept === undefined) return
      if (kept.isListed) schedule(kept, at)
    }
  }

  /** One after the other: a chunk that is being taken is followed by no other. */
  const inLine = yield* Effect.makeSemaphore(1)
  const handOver = inLine.withPermits(1)(Effect.suspend(() => {
    const events = outgoing.splice(0)
    return events.length === 0 ? Effect.void : emit(events)
  }))

  const telling = Effect.suspend(() => {
    changed.unsafeClose()
    const at = now()
    turn(at)
    if (outgoing.length > 0) return Effect.asVoid(handOver)
    const next = isStopped ? undefined : wheel.next()
    return next === undefined
      ? changed.await
      : Effect.raceFirst(Effect.sleep(Math.max(0, Time.between(at.at, next))), changed.await)
  })

  const answered = (kept: Markets.Kept, path: string, found: Rest.Answer<Picture> | undefined): void => {
    // A picture of the number that the book has tells nothing new by itself, but its further levels are known from then on.
    const taken = () => kept.linked?.pictures ?? kept.state.parts
    const before = taken()
    const at = now()
    const part = found === undefined ? undefined : { part: "whole", ...found.value } as const
    tell(kept, { _tag: "Answer", part, sentAt: found?.sentAt }, at)
    if (found === undefined || taken() === before) return
    options.recorder?.answered?.({ channel: "books", market: kept.market, path, text: found.text, at: at.wall })
  }

  const askFor = (picture: NonNullable<Books["picture"]>, kept: Markets.Kept): Effect.Effect<void> => {
    const path = picture.path(kept.market)
    // It may be long ago that it was asked for: the budget is not for pictures that nobody waits for any more.
    return kept.isListed && !isStopped && Machine.isWanted(kept.state)
      ? rest.aside(path, picture.decode, picture.cost).pipe(
        Effect.orElseSucceed(() => undefined),
        Effect.map((found) => answered(kept, path, found))
      )
      : Effect.sync(() => tell(kept, { _tag: "Answer", part: undefined }, now()))
  }

  const turns: Turns.State<Markets.Kept> = Turns.initial()

  /** One book at a time is compared with pictures beside it. */
  const auditing = Effect.sync(() => {
    const at = now()
    if (isStopped) return
    const isDone = ({ linked }: Markets.Kept) => linked?.audit === undefined ? undefined : Audit.isDone(linked.audit)
    const command = Turns.step(turns, markets.all(), isDone, at.at)
    if (command === undefined) return
    const { kept, ...input } = command
    tell(kept, input, at)
  })

  const besideOf = (kept: Markets.Kept, listener: number): string | undefined => {
    const { turn } = turns
    return turn?.isHeard === true && turn.kept === kept && turn.listener === listener && !isStopping
      ? declared?.beside?.topic(kept.market)
      : undefined
  }

  const remedy = declared?.link === "replaced" || declared?.resync === "picture"
    ? undefined
    : declared?.resync
  const redials = { at: Time.never, wait: redialAfter.first }

  const mayRedial = (at: Time.Instant): boolean => {
    const since = Time.between(redials.at, at)
    if (since < atOnce) return true
    if (since < redials.wait) return false
    redials.wait = since > redials.wait + redialAfter.rest
      ? redialAfter.first
      : Math.min(redialAfter.last, redials.wait * 2)
    redials.at = at
    return true
  }

  /** A session does it; whether it helped is seen by what comes. */
  const remedied = (kept: Markets.Kept): Effect.Effect<void> =>
    Effect.sync(() => {
      const at = now()
      if (!kept.isListed || isStopped) return
      if (Machine.isWanted(kept.state) && (remedy !== "redial" || mayRedial(at.at))) kept.remedy = remedy
      tell(kept, { _tag: "Answer", part: undefined }, at)
    })

  /** What has changed of each market since it was told, at once and whatever its turn. */
  const tellLast = Effect.sync(() => {
    const at = now()
    for (const kept of markets.all()) push(markets.tell(kept, { _tag: "Last" }, at))
    isStopped = true
  })

  yield* Effect.forkScoped(supervise(Effect.forever(telling)))
  // One at a time: it is the budget that bounds them.
  const served = (serve: (kept: Markets.Kept) => Effect.Effect<void>) =>
    Effect.forkScoped(supervise(Effect.forever(Effect.flatMap(Queue.take(asked), () => {
      const kept = Asked.next(line)
      return kept === undefined ? Effect.void : serve(kept)
    }))))
  if (remedy !== undefined) yield* served(remedied)
  else if (picture !== undefined) yield* served((kept) => askFor(picture, kept))

  if (declared?.beside !== undefined) {
    yield* Effect.forkScoped(supervise(Effect.forever(Effect.zipRight(Effect.sleep(turnEvery), auditing))))
  }

  return {
    name: "books",
    open: () =>
      open(markets, (kept, input, at) => isStopping ? [] : (tell(kept, input, at), []), now, () => {}, besideOf),
    listed: (symbols) => markets.listed(symbols),
    stopping: () => {
      isStopping = true
    },
    flush: Effect.asVoid(Effect.zipRight(tellLast, handOver))
  }
})

/** A channel of what is played again. */
export interface Alone extends Channel {
  /** A picture that was asked for. */
  readonly answered: (market: Market, found: Picture, at: Time.Moment) => ReadonlyArray<MarketEvent>
  /** What is told of books that come to be doubtful, or are whole again, and was not given with a part: once. */
  readonly left: () => ReadonlyArray<MarketEvent>
}

/** Without a clock, without pictures to ask for: frames that are played again tell each state. `now`: of what is played just now. */
export const alone = (
  options:
    & Pick<Options, "exchange" | "ledger" | "board" | "statusEvents" | "collector">
    & Pick<BooksOptions, "depth" | "deltas">
    & {
      readonly now?: (() => Time.Moment) | undefined
      /** How books were asked of the exchange when it was recorded; by default in the usual way. */
      readonly asked?: BooksOptions | undefined
    }
): Alone => {
  let last: Time.Moment = { at: Time.instant(0), wall: Time.wallTime(0) }
  const now = options.now ?? (() => last)
  /** What was told while no part was taken goes before the next. */
  let before: ReadonlyArray<MarketEvent> = []
  const markets = Markets.make({
    ...options,
    ...machineOptions({ ...options, interval: Duration.zero, refresh: Duration.zero }),
    asked: options.asked ?? Defaults.books,
    now,
    canAsk: false,
    onAsk: () => {},
    onLeft: (events) => void (before = [...before, ...events])
  })
  const tell = (kept: Markets.Kept, input: Linked.Input, at: Time.Moment) => {
    last = at
    const events = [...before, ...markets.tell(kept, input, at), ...markets.tell(kept, { _tag: "Due" }, at)]
    before = input._tag === "Part" || input._tag === "Answer" ? [] : events
    return events
  }
  return {
    name: "books",
    open: () => open(markets, tell, now, (events) => void (before = [...before, ...events])),
    listed: (symbols) => markets.listed(symbols),
    flush: Effect.void,
    answered: (market, found, at) => {
      const kept = markets.of(market)
      return tell(kept, { _tag: "Answer", part: { part: "whole", ...found } }, at)
    },
    left: () => {
      const events = before
      before = []
      return events
    }
  }
}

/** Parts of one market that are kept for the answer to its subscription; later ones are holes that the first picture mends. */
const maxEarly = 2_000

/** What changes keep has no other whole pictures by socket. */
const isBeside = ({ linked }: Markets.Kept, data: Data): boolean =>
  data._tag === "books" && data.part === "whole" && linked?.books.beside !== undefined

/** What one session hears. A market that is told by several topics is heard as a whole with the last of them, and lost with the first. */
const open = (
  markets: Markets.Markets,
  tell: (kept: Markets.Kept, input: Linked.Input, at: Time.Moment) => ReadonlyArray<MarketEvent>,
  now: () => Time.Moment,
  /** What is told while no part is taken. */
  later: (events: ReadonlyArray<MarketEvent>) => void,
  /** A topic that proves what a session has of a market, while that is to be heard. */
  besideOf: (kept: Markets.Kept, listener: number) => string | undefined = () => undefined
): Hearing => {
  /** Those that are heard, and as whom. */
  const heard = new Map<Markets.Kept, number>()
  /** Of those, how many of their topics. */
  const topics = new Map<Markets.Kept, Set<object>>()
  /** Parts of books that changes keep that came before the answer to the subscription: the first picture often does. */
  const early = new Map<Markets.Kept, Array<Sync.Part>>()
  /** When topics were subscribed to anew within the last hour. */
  const remedies: Array<Time.Instant> = []
  let parts = 0

  const hold = (kept: Markets.Kept, part: Sync.Part): void => {
    const held = early.get(kept) ?? []
    early.set(kept, held)
    if (part.part !== "delta") held.length = 0
    if (held.length < maxEarly) held.push(part)
  }

  const doubted = (kept: Markets.Kept, cause: Cause): void => {
    const listener = heard.get(kept)
    if (listener !== undefined) tell(kept, { _tag: "Doubted", listener, cause }, now())
  }

  const member = (market: Market): Member => {
    const kept = markets.of(market)
    const topic = {}
    return {
      market,
      pulse: kept.pulse,
      // A later picture stands for all before it.
      leads: false,
      activity: () => kept.state.parts,
      heard: (_, listener, epoch, after) => {
        const those = topics.get(kept) ?? new Set()
        topics.set(kept, those)
        if (those.has(topic)) return
        those.add(topic)
        const isPartly = those.size < kept.topics
        if (heard.has(kept) && isPartly) return
        heard.set(kept, listener)
        const since = after === undefined ? undefined : BigInt(after)
        kept.remedy = undefined
        tell(kept, { _tag: "Heard", listener, since, epoch, isPartly }, now())
        const held = early.get(kept) ?? []
        early.delete(kept)
        for (const part of held) later(tell(kept, { _tag: "Part", listener, part }, now()))
      },
      lost: (cause, { aliveAt, id: listener }) => {
        const those = topics.get(kept)
        if (those?.delete(topic) !== true) return
        if (those.size === 0) topics.delete(kept)
        early.delete(kept)
        if (heard.delete(kept)) tell(kept, { _tag: "Lost", listener, cause, aliveAt }, now())
      },
      doubted: (cause) => doubted(kept, cause),
      // What is kept is older than what could not be read.
      spoiled: () => {
        early.delete(kept)
        doubted(kept, "undecoded")
      },
      // What came before it does not lead to what comes after: a picture has to come first.
      missed: () => void early.delete(kept),
      take: (data, at) => {
        if (data._tag !== "books") return []
        parts += 1
        const listener = heard.get(kept)
        const part = Markets.toPart(data)
        if (listener !== undefined) return tell(kept, { _tag: "Part", listener, part }, at)
        // A picture beside leads nowhere.
        if (kept.linked !== undefined && !isBeside(kept, data)) hold(kept, part)
        return []
      },
      remedy: () => {
        const { linked, remedy } = kept
        const listener = heard.get(kept)
        if (remedy === undefined || listener === undefined || linked?.sessions.get(listener)?.isLive !== false) return
        const { at } = now()
        const { resubscriptions = Infinity } = linked.books
        while (remedies.length > 0 && Time.between(remedies[0] ?? at, at) >= hour) remedies.shift()
        // It is done when there is room.
        if (remedies.length >= resubscriptions) return
        if (resubscriptions < Infinity) remedies.push(at)
        kept.remedy = undefined
        return remedy
      },
      beside: () => {
        const listener = heard.get(kept)
        return listener === undefined ? undefined : besideOf(kept, listener)
      },
      isBeside: (data) => isBeside(kept, data),
      // The page shows the state of the book instead.
      showStatus: () => {},
      showSuspect: () => {}
    }
  }

  return {
    member,
    foreign: () => void (parts += 1),
    account: () => {
      const some = parts > 0
      parts = 0
      return some
    },
    close: () => {}
  }
}
