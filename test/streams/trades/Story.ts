/**
 * One market's trades as a story: an exchange that issues them, sockets that bring them or not, a history that answers well or badly, a
 * disk, and collectors that live one after the other. The holes are the pure machine's, identity and checkpoint the real ones (all that
 * the next life knows is text in a store); what `Backfill.ts` does with fibers is done here step by step on a clock of its own.
 */
import { Effect, Logger } from "effect"
import * as Checkpoint from "../../../src/services/Checkpoint.ts"
import * as ExchangeTime from "../../../src/services/ExchangeTime.ts"
import * as FeedStatus from "../../../src/services/FeedStatus.ts"
import { encode, type MarketEvent } from "../../../src/services/MarketEvent.ts"
import * as Time from "../../../src/services/Time.ts"
import * as Board from "../../../src/streams/Board.ts"
import type * as Channel from "../../../src/streams/Channel.ts"
import type { TradeRow } from "../../../src/streams/Exchange.ts"
import * as ExchangeClock from "../../../src/streams/ExchangeClock.ts"
import { spansOf, toHole } from "../../../src/streams/trades/Backfill/Kept.ts"
import * as Holes from "../../../src/streams/trades/Holes.ts"
import * as Identity from "../../../src/streams/trades/Identity.ts"
import * as Numbers from "../../../src/streams/trades/Numbers.ts"
import * as Spans from "../../../src/streams/trades/Spans.ts"
import { toTrades } from "../../../src/streams/trades/Trades.ts"
import type { Life, Session } from "./Story/Life.ts"
import {
  askAfterOf,
  type Disk,
  exchangeOf,
  exchangeSymbolOf,
  type Issued,
  patience,
  refresh,
  type Rest,
  type Setup,
  start,
  type Step,
  symbol,
  type Told,
  tradeIdsOf,
  whole,
  type Word
} from "./Story/Model.ts"

const quiet = <A, E>(effect: Effect.Effect<A, E>): A =>
  Effect.runSync(Effect.provide(effect, Logger.remove(Logger.defaultLogger)))

/** Our clock against the exchange's. */
const monotonicStart = 7_000

export const play = (setup: Setup, steps: ReadonlyArray<Step>): Told => {
  const exchange = exchangeOf(setup)
  const key = `${exchange}:${symbol}`
  const prefix = `${key}:t:`
  const exchangeSymbol = exchangeSymbolOf(setup)
  const tradeIds = tradeIdsOf(setup)
  const hasIds = setup.ids !== "none"
  const words: Array<Word> = []
  const say = (word: Word): void => void words.push(word)

  // -------------------------------------------------------------------------------------------------------------------
  // time

  let elapsed = 0
  const now = (): Time.Instant => Time.instant(monotonicStart + elapsed)
  let order = 0
  let agenda: Array<{ readonly at: number; readonly order: number; readonly run: () => void }> = []
  const later = (ms: number, run: () => void): void => void agenda.push({ at: elapsed + ms, order: order++, run })

  /** All that is due by then happens, each at its time. */
  const pass = (ms: number): void => {
    const until = elapsed + ms
    for (let turn = 0;; turn++) {
      if (turn > 20_000) throw new Error(`it turns on the spot: ${JSON.stringify(life?.market?.holes)}`)
      let next = agenda[0]
      for (const one of agenda) {
        if (next === undefined || one.at < next.at || (one.at === next.at && one.order < next.order)) next = one
      }
      const wake = wakeOf()
      if (wake !== undefined && wake <= until && (next === undefined || wake <= next.at)) {
        elapsed = Math.max(elapsed, wake)
        wakeUp()
        continue
      }
      if (next === undefined || next.at > until) break
      agenda = agenda.filter((one) => one !== next)
      elapsed = Math.max(elapsed, next.at)
      next.run()
    }
    elapsed = until
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the exchange

  const issued: Array<Issued> = []
  let rest: Rest = whole
  let isHistorySpared = false
  const timeAt = (ms: number): ExchangeTime.ExchangeTime => {
    const second = Math.floor((start + ms) / 1000)
    if (!hasIds) return { timestamp: second * 1000 }
    const micros = ms === micro.ms ? micro.next : 0
    micro = { ms, next: micros + 7 }
    const fraction = String((start + ms) % 1000 * 1000 + micros).padStart(6, "0")
    return ExchangeTime.make(second, fraction) ?? { timestamp: start + ms }
  }
  let micro = { ms: -1, next: 0 }
  const equals = new Map<string, number>()
  let number = 1_000
  const idAt = (n: number): string | undefined => {
    if (tradeIds === undefined) return hasIds ? `x${n}` : undefined
    number += tradeIds === "consecutive" || n % 3 !== 1 ? 1 : 1 + n * 7 % 13
    return String(number)
  }
  const issue = (amount: string, at: number): Issued => {
    const n = issued.length
    const row: TradeRow = {
      id: idAt(n),
      price: "100",
      amount,
      side: "buy",
      ...timeAt(at)
    }
    const { timestamp } = row
    const group = `${timestamp}:buy:100:${amount}`
    const count = (equals.get(group) ?? 0) + 1
    equals.set(group, count)
    const one = { row, id: prefix + (row.id ?? `${group}:${count}`), at, n }
    issued.push(one)
    return one
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the disk, which outlives all lives

  let disk: Disk = "ok"
  let isDiskSpared = false
  const segments = new Map<number, ReadonlyArray<string>>()
  const store: Checkpoint.Store = {
    old: { path: "checkpoint", read: Effect.succeed(undefined) },
    pathOf: (segment) => `checkpoint-2/${segment}`,
    segments: Effect.sync(() => Array.from(segments.keys()).sort((a, b) => a - b)),
    read: (segment) => Effect.sync(() => ({ texts: segments.get(segment) ?? [], damaged: 0 })),
    append: (segment, text) =>
      Effect.suspend(() => {
        if (disk !== "ok") {
          return new Checkpoint.CheckpointError({ reason: "io", path: "checkpoint-2", message: disk })
        }
        segments.set(segment, [...segments.get(segment) ?? [], text])
        return Effect.void
      }),
    removeBefore: (segment) =>
      Effect.sync(() => {
        for (const one of segments.keys()) if (one < segment) segments.delete(one)
      })
  }
  const keptNow = (): ReadonlyArray<Checkpoint.Hole> =>
    quiet(Effect.flatMap(Checkpoint.make(store), ({ markets }) => markets)).get(key)?.holes ?? []
  let waitingForDisk: Array<() => void> = []
  const becomeDisk = (next: Disk): void => {
    disk = next
    if (next !== "ok") isDiskSpared = true
    if (next === "hangs") return
    const waiting = waitingForDisk
    waitingForDisk = []
    for (const run of waiting) run()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // a life

  let life: Life | undefined
  let lives = 0
  let sessions = 0
  let sink = { trades: 0, told: 0 }
  const isNow = (one: Life): boolean => one === life

  const write = (one: Life): boolean => {
    const ok = quiet(Effect.match(one.checkpoint.write, { onSuccess: () => true, onFailure: () => false }))
    if (ok) say({ _tag: "Written", life: one.n })
    return ok
  }

  /** At most once a second, as the sink does it. */
  const writeSoon = (one: Life): void => {
    if (one.isWriteDue) return
    one.isWriteDue = true
    later(1_000, () => {
      if (!isNow(one)) return
      one.isWriteDue = false
      if (disk === "hangs") waitingForDisk.push(() => void (isNow(one) && write(one)))
      else if (!write(one)) writeSoon(one)
    })
  }

  const deliver = (one: Life, event: MarketEvent): void => {
    say({ _tag: "Delivered", event, life: one.n })
    quiet(event.type === "trade" ? one.checkpoint.settle([encode(event)]) : one.checkpoint.resolve([encode(event)]))
    writeSoon(one)
  }

  const send = (one: Life, name: "trades" | "told"): void => {
    const [event] = one.lanes[name]
    if (event === undefined || one.isSending[name]) return
    one.isSending[name] = true
    later(sink[name], () => {
      if (!isNow(one)) return
      one.isSending[name] = false
      one.lanes[name].shift()
      deliver(one, event)
      send(one, name)
    })
  }

  const gaps = new Map<MarketEvent, { readonly gap: Holes.Gap; readonly made: number }>()

  /** From here on it belongs to the sink. */
  const emit = (one: Life, events: ReadonlyArray<MarketEvent>): void => {
    for (const event of events) {
      if (event.type === "trade") {
        const received = one.rows.get(event)
        if (received !== undefined && one.behind.length > 0) {
          say({ _tag: "Behind", gaps: one.behind, kept: keptNow(), life: one.n })
          one.behind = []
        }
        say({ _tag: "Trade", trade: event, received, life: one.n })
        one.lanes.trades.push(event)
      } else {
        const found = gaps.get(event)
        if (found !== undefined) {
          say({ _tag: "Gap", ...found, life: one.n })
          one.behind = one.behind.filter(({ gapId }) => gapId !== found.gap.gapId)
          if (!found.gap.complete && !isDiskSpared) one.behind = [...one.behind, found.gap]
        }
        one.lanes.told.push(event)
      }
    }
    send(one, "trades")
    send(one, "told")
  }

  const keep = (one: Life, market: NonNullable<Life["market"]>): void => {
    one.checkpoint.keepHoles(
      key,
      exchangeSymbol,
      Holes.spansToKeep(market.holes).map((span) => toHole(span, null, prefix))
    )
    writeSoon(one)
  }

  const gapEvent = (gap: Holes.Gap): MarketEvent => {
    const event: MarketEvent = {
      type: "status",
      v: 1,
      exchange,
      event: "gap",
      id: gap.id,
      channel: "trades",
      symbol,
      receivedAt: new Date(start + elapsed).toISOString(),
      gapId: gap.gapId,
      from: gap.from?.text ?? null,
      to: gap.to?.text ?? null,
      cause: gap.cause,
      recovered: gap.recovered,
      complete: gap.complete
    }
    gaps.set(event, { gap, made: words.length })
    return event
  }

  const persist = (one: Life, market: NonNullable<Life["market"]>): void => {
    one.isToWrite = true
    if (one.isWriting) return
    one.isWriting = true
    later(5, () => {
      if (!isNow(one)) return
      one.isToWrite = false
      const done = () => {
        if (!isNow(one)) return
        one.isWriting = false
        step(one, { _tag: "Persisted", ok: write(one) })
        if (one.isToWrite && one.market !== undefined) persist(one, one.market)
      }
      keep(one, market)
      if (disk === "hangs") waitingForDisk.push(done)
      else done()
    })
  }

  const step = (one: Life, input: Holes.Input<MarketEvent>): void => {
    const { market } = one
    if (market === undefined) return
    const before = market.holes
    const [commands, after] = Holes.step(before, input, now())
    market.holes = after
    const events: Array<MarketEvent> = []
    for (const command of commands) {
      if (command._tag === "Persist") persist(one, market)
      else if (command._tag === "Keep") keep(one, market)
      else if (command._tag === "Publish") events.push(gapEvent(command.gap))
      else if (command._tag === "HandOver") events.push(...command.events)
      else if (command.isKept) {
        keep(one, market)
        one.checkpoint.closeHole(key, toHole(command.span, command.complete ? "filled" : "given up", prefix), {
          trade: command.span.lastTrade === null ? null : prefix + command.span.lastTrade,
          event: command.lastEvent
        })
      }
    }
    if (after.handing > before.handing) {
      one.handings.push(events)
      hand(one)
    }
  }

  const hand = (one: Life): void => {
    if (one.isHanding || one.handings.length === 0) return
    one.isHanding = true
    const go = () => {
      if (!isNow(one)) return
      const [events = []] = one.handings
      one.handings = one.handings.slice(1)
      one.isHanding = false
      emit(one, events)
      step(one, { _tag: "Handed" })
      forgetIfGone(one)
      hand(one)
    }
    if (setup.slow === 0) go()
    else later(setup.slow, go)
  }

  const forgetIfGone = (one: Life): void => {
    if (one.market?.holes.vanished !== true || !Holes.isIdle(one.market.holes)) return
    one.checkpoint.forget(key)
    one.isForgotten = true
    one.nextId = one.market.holes.nextId
    say({ _tag: "Forgotten", n: issued.length, life: one.n })
    writeSoon(one)
    one.market = undefined
  }

  const marketOf = (one: Life): NonNullable<Life["market"]> =>
    one.market ??= {
      holes: Holes.initial({
        hold: setup.hold,
        patience,
        askAfter: askAfterOf(setup),
        maxAge: setup.maxAge,
        tradeIds,
        pages: setup.pages ?? undefined,
        idPrefix: `${exchange}:status:${one.n}:gap:${symbol}:`
      }, one.nextId),
      state: one.identity.market({ symbol, exchangeSymbol: exchangeSymbol }),
      heardSince: undefined
    }

  const inherit = (one: Life): boolean => {
    if (one.isInherited) return false
    one.isInherited = true
    const found = one.memory.get(key)
    if (found === undefined) return false
    const market = marketOf(one)
    const edge = market.state.edge()
    const spans = spansOf(found, edge, tradeIds, prefix)
    if (spans.length > 0) {
      const known = (found.kept ?? []).map((id) => id.slice(prefix.length))
      step(one, { _tag: "TakenOver", spans, known: [...edge.known, ...known] })
    }
    if (!one.identity.isRemembered(symbol) && spans.length === 0) return false
    step(one, {
      _tag: "Lost",
      listener: null,
      cause: "restart",
      edge: { ...edge, last: edge.last ?? spans.at(-1)?.to ?? null }
    })
    return true
  }

  const by = (one: Life): Holes.Stamp | null => {
    const latest = one.clock.latest(now())
    return latest === null ? null : Spans.stampOfMs(latest)
  }

  const listen = (one: Life, session: Session, recovered: boolean): void => {
    if (session.isListening) return
    session.isListening = true
    session.aliveAt = now()
    const market = marketOf(one)
    market.heardSince ??= now()
    inherit(one)
    if (one.isForgotten) keep(one, market)
    one.isForgotten = false
    const isSecond = market.holes.listeners.length > 0 && !recovered
    say({ _tag: "Subscribed", n: issued.length, isSecond, life: one.n })
    step(one, { _tag: "Subscribed", listener: session.id, recovered, by: by(one), edge: market.state.edge() })
  }

  const deafen = (one: Life, session: Session, cause: Channel.Cause): void => {
    if (!session.isListening) return
    session.isListening = false
    const { aliveAt, broughtAt, id } = session
    say({ _tag: "Lost", life: one.n })
    step(one, { _tag: "Lost", listener: { id, aliveAt, broughtAt }, cause, edge: marketOf(one).state.edge() })
  }

  const bring = (one: Life, session: Session, trades: ReadonlyArray<Issued>, live: Issued | undefined): void => {
    if (one.memory.has(key)) inherit(one)
    const market = marketOf(one)
    const { state } = market
    if (!hasIds) listen(one, session, false)
    session.aliveAt = now()
    session.broughtAt = now()
    if (state.pulse.suspect || session.hasMissed) {
      session.hasMissed = false
      state.pulse.suspect = false
      step(one, { _tag: "Doubted", cause: "stale", edge: state.edge(), by: by(one) })
    }
    for (const heard of trades) {
      say({ _tag: "Heard", issued: heard, isLive: heard === live, isShared: session.isShared, life: one.n })
    }
    const identified = state.identify(session.view, trades.map(({ row }) => row))
    const events = toTrades(exchange, state, identified, start + elapsed, "ws")
    identified.forEach(({ row }, i) => {
      const event = events[i]
      const found = trades.find((one) => one.row === row)
      if (event !== undefined && found !== undefined) one.rows.set(event, { issued: found, place: one.rows.size })
    })
    if (events.length === 0) return
    const fresh = freshOf(identified, events)
    if (Holes.mustWait(market.holes)) step(one, { _tag: "Arrived", trades: fresh })
    else {
      if (Holes.isCurious(market.holes)) step(one, { _tag: "Passed", trades: fresh })
      emit(one, events)
    }
  }

  const freshOf = (
    identified: ReadonlyArray<Identity.Identified>,
    events: ReadonlyArray<MarketEvent>
  ): ReadonlyArray<Holes.Fresh<MarketEvent>> =>
    identified.flatMap(({ id, row }, i) => {
      const event = events[i]
      if (event === undefined) return []
      const numbers = tradeIds === undefined ? undefined : Numbers.rangeOf(row)
      return [{ id: id.slice(prefix.length), stamp: Spans.stampOf(row), event, numbers }]
    })

  // -------------------------------------------------------------------------------------------------------------------
  // the history

  /**
   * As `Exchange.Pages` has it, of a history that has so many trades; all of them where no page is asked for. Where a page begins behind the
   * trade nobody could see that the history does not reach back to it.
   */
  const pageOf = (asked: Numbers.Question | null, count: number): ReadonlyArray<Issued> => {
    const { pages } = setup
    const history = pages?.empty === "end" ? issued : issued.slice(-count)
    if (asked === null || pages === null) return history
    const { above, reach } = asked
    const numberOf = ({ row }: Issued) => Numbers.rangeOf(row)?.last ?? -1n
    return pages.holds === "oldest"
      // With a page that begins behind the trade an empty one says that there is no more; else it holds that trade.
      ? history.filter((one) => numberOf(one) > above || (pages.empty === undefined && numberOf(one) === above)).slice(
        0,
        pages.size
      )
      : history.filter((one) => numberOf(one) <= above + BigInt(reach)).slice(-pages.size)
  }

  const ask = (one: Life): void => {
    step(one, { _tag: "Aged", exchangeNow: one.clock.earliest(now()) })
    if (one.market === undefined || Holes.askAt(one.market.holes) === undefined) return
    const asked = Holes.question(one.market.holes)
    step(one, { _tag: "Asked" })
    say({ _tag: "Asked", asked, life: one.n })
    const { market } = one
    later(rest.queued, () => {
      const { early, rows: count, takes } = rest
      // Of an exchange whose empty pages say something there are none that say nothing.
      const says = rest.says === "nothing" && setup.pages?.empty === "end" ? "failure" : rest.says
      const sentAt = now()
      const rows = () => pageOf(asked, count)
      const seen = () => ({ rows: rows().map(({ row }) => row), at: elapsed })
      const first = seen()
      later(takes, () => {
        if (!isNow(one) || one.market !== market) return
        const { at, rows: all } = early ? first : seen()
        const date = setup.date ? Math.floor((start + at) / 1000) * 1000 : null
        if (date !== null && says !== "failure") one.clock.heard({ date, sentAt, at: now() })
        if (says === "failure" || says === "unknown") {
          if (says === "unknown") isHistorySpared = true
          step(one, { _tag: "Unanswered", isUnknown: says === "unknown" })
          forgetIfGone(one)
          return
        }
        // Of a page a row that is not understood is passed over for good.
        if (setup.pages !== null && says === "unsound") isHistorySpared = true
        if (setup.pages?.empty !== "end" && count < issued.length) isHistorySpared = true
        if (says === "nothing") isHistorySpared = true
        const rows = says === "nothing" ? [] : says === "unsound" ? all.filter((_, i) => i % 3 !== 1) : all
        const oldest = rows[0]
        const since = market.heardSince === undefined ? null : one.clock.earliest(market.heardSince)
        const answer: Holes.Answer = {
          rows,
          oldest: oldest === undefined ? null : Spans.stampOf(oldest),
          sound: says !== "unsound",
          sentAt,
          date,
          since: since === null ? null : since - 1_000,
          asked,
          count: says === "nothing" ? 0 : all.length
        }
        const { state } = market
        const identified = state.identifyHistory(Holes.candidates(market.holes, answer), market.holes.known)
        const events = toTrades(exchange, state, identified, start + elapsed, "rest")
        say({
          _tag: "Recovered",
          count: identified.length,
          isEmpty: rows.length === 0,
          n: issued.length,
          life: one.n
        })
        step(one, { _tag: "Answered", answer, fresh: freshOf(identified, events) })
        forgetIfGone(one)
      })
    })
  }

  const wakeOf = (): number | undefined => {
    const holes = life?.market?.holes
    const due = holes === undefined ? undefined : Time.earliest(Holes.wakeAt(holes), Holes.askAt(holes))
    return due === undefined ? undefined : Math.max(elapsed, Time.between(Time.instant(monotonicStart), due))
  }

  const wakeUp = (): void => {
    const holes = life?.market?.holes
    if (life === undefined || holes === undefined) return
    const wake = Holes.wakeAt(holes)
    if (wake !== undefined && Time.between(wake, now()) >= 0) step(life, { _tag: "Tick" })
    const market = life.market
    const askAt = market === undefined ? undefined : Holes.askAt(market.holes)
    if (askAt !== undefined && Time.between(askAt, now()) >= 0) ask(life)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the list of markets

  const listed = (one: Life): void => {
    if (one.isListed) return
    if (one.market !== undefined && !Holes.isIdle(one.market.holes)) step(one, { _tag: "Vanished" })
    if (one.market === undefined && !one.isInherited && one.memory.get(key)?.exchangeSymbol !== undefined) {
      marketOf(one)
      if (inherit(one)) step(one, { _tag: "Vanished" })
    }
    if (one.market?.holes.vanished === true) step(one, { _tag: "Aged", exchangeNow: one.clock.earliest(now()) })
    forgetIfGone(one)
  }

  const refreshes = (one: Life): void => {
    if (!isNow(one)) return
    listed(one)
    later(refresh, () => refreshes(one))
  }

  let isListed = true

  // -------------------------------------------------------------------------------------------------------------------
  // what happens

  const subscribe = (one: Life, session: Session): void => {
    if (!hasIds || !session.isOpen || session.isMute || session.isListening || !one.isListed) return
    const recovered = session.recovers && one.position !== undefined
    const missed = recovered ? issued.slice(one.position) : []
    one.position = issued.length
    listen(one, session, recovered)
    if (missed.length > 0) bring(one, session, missed, undefined)
  }

  const connect = (
    one: Life,
    { after, mute, picture = 0, recovers }: Extract<Step, { readonly what: "connect" }>
  ): void => {
    if (one.sessions.length === 2) return
    for (const other of one.sessions) other.isShared = true
    const session: Session = {
      id: ++sessions,
      aliveAt: Time.never,
      broughtAt: null,
      hasMissed: false,
      view: one.identity.views.open(),
      recovers,
      isMute: mute && !hasIds,
      isShared: one.sessions.length > 0,
      isListening: false,
      isOpen: true
    }
    one.sessions.push(session)
    later(after, () => {
      if (!isNow(one)) return
      // A server that recovers what was missed has no other way to begin. And of those whose ids do not count up none is
      // known that begins so; of a market of which nothing is known
      // nobody can tell what was before its picture.
      const isKnown = (one.market?.state.edge().mark ?? null) !== null || (one.memory.get(key)?.ids.length ?? 0) > 0
      const isPictured = tradeIds === "consecutive" && !recovers && isKnown && !session.isShared && setup.window === 1
      const last = isPictured && session.isOpen && !session.isMute && one.isListed && picture > 0
        ? issued.slice(-picture)
        : []
      if (last.length > 0) bring(one, session, last, undefined)
      subscribe(one, session)
    })
  }

  const drop = (one: Life, session: Session): void => {
    one.identity.views.close(session.view)
    session.isOpen = false
    one.sessions.splice(one.sessions.indexOf(session), 1)
    deafen(one, session, "disconnected")
  }

  /** A page without the next number was taken for the last one: what is behind shows when the next trade comes. */
  let hasLeapt = false
  const trade = (amount: string): void => {
    const fresh = issue(amount, elapsed)
    if (hasLeapt) say({ _tag: "Slipped", issued: fresh, life: lives })
    if (life === undefined || !life.isListed) return
    const listening = life.sessions.filter(({ isListening }) => isListening)
    if (listening.every(({ isMute }) => isMute)) {
      // Of a connection that is dead, and that another replaces, a missing number tells when the next one comes (delivery.md B9).
      const isCounted = tradeIds === "consecutive" && (life.market?.state.edge().mark ?? null) !== null
      if (listening.length > 0 && isCounted && !hasLeapt) say({ _tag: "Slipped", issued: fresh, life: lives })
      for (const session of listening) session.hasMissed = true
    }
    for (const session of life.sessions.slice()) {
      if (session.isMute || (hasIds && !session.isListening)) continue
      if (life.position !== undefined) life.position = issued.length
      bring(life, session, hasIds ? issued.slice(-setup.window) : [fresh], fresh)
    }
  }

  const slip = (): void => {
    // Before a first number is known none can be missing.
    if (life === undefined || tradeIds !== "consecutive" || (life.market?.state.edge().mark ?? null) === null) return
    // Where no connection lives, none fails to bring it: it is missed like any trade, and a server that recovers has it.
    if (!life.sessions.some(({ isListening, isMute }) => isListening && !isMute)) return trade("7")
    say({ _tag: "Slipped", issued: issue("7", elapsed), life: life.n })
    if (life.position !== undefined) life.position = issued.length
  }

  const begin = (): void => {
    if (life !== undefined) return
    const checkpoint = quiet(Checkpoint.make(store))
    const memory = quiet(checkpoint.markets)
    const board = Board.make(FeedStatus.make([exchange]), exchange)
    lives += 1
    life = {
      n: lives,
      checkpoint,
      memory,
      identity: Identity.make(exchange, memory, board, { tradeIds }),
      clock: ExchangeClock.make(),
      sessions: [],
      rows: new Map(),
      market: undefined,
      isInherited: false,
      isForgotten: false,
      nextId: undefined,
      isHanding: false,
      isListed,
      isWriting: false,
      isToWrite: false,
      isWriteDue: false,
      handings: [],
      lanes: { trades: [], told: [] },
      isSending: { trades: false, told: false },
      position: undefined,
      behind: []
    }
    say({ _tag: "Begin", life: lives, memory: memory.get(key) })
    // The list of markets came first, with its `Date`.
    if (setup.date) {
      life.clock.heard({ date: Math.floor((start + elapsed) / 1000) * 1000, sentAt: now(), at: now() })
    }
    refreshes(life)
  }

  const die = (one: Life, clean: boolean): void => {
    say({ _tag: "Died", life: one.n, disk, clean })
    life = undefined
    agenda = []
    waitingForDisk = []
  }

  const isQuiet = ({ handings, isHanding, market }: Life): boolean =>
    market === undefined ||
    (Holes.waiting(market.holes) === 0 && market.holes.handing === 0 && !isHanding && handings.length === 0)

  let keptAtStop: ReadonlyArray<Checkpoint.Hole> = []
  const stop = (): void => {
    const one = life
    if (one === undefined) return
    keptAtStop = keptNow()
    for (const session of one.sessions.slice()) drop(one, session)
    if (one.market !== undefined && Holes.waiting(one.market.holes) > 0) step(one, { _tag: "Hurry" })
    for (let n = 0; n < 400 && !isQuiet(one); n++) pass(25)
    if (!isQuiet(one)) throw new Error(`a stop that does not end: ${JSON.stringify(one.market?.holes)}`)
    for (const event of [...one.lanes.trades, ...one.lanes.told]) deliver(one, event)
    one.lanes.trades.length = 0
    one.lanes.told.length = 0
    const isWritten = disk === "ok" && write(one)
    die(one, isWritten)
  }

  const unlist = (): void => {
    isListed = false
    if (life === undefined) return
    life.isListed = false
    listed(life)
    for (const session of life.sessions) deafen(life, session, "unsubscribed")
  }

  const list = (): void => {
    isListed = true
    const one = life
    if (one === undefined || one.isListed) return
    one.isListed = true
    for (const session of one.sessions) subscribe(one, session)
  }

  const silence = (): void => {
    if (life?.market === undefined || life.sessions.every(({ isListening }) => !isListening)) return
    for (const session of life.sessions) session.isMute = true
    life.market.state.pulse.suspect = true
  }

  const heard = (): void => {
    for (const session of life?.sessions ?? []) {
      session.isMute = false
      if (life !== undefined) subscribe(life, session)
    }
  }

  const apply = (one: Step): void => {
    switch (one.what) {
      case "trade":
        for (let n = 0; n < one.count; n++) trade(one.amount)
        break
      case "slip":
        for (let n = 0; n < one.count; n++) slip()
        break
      case "leap":
        if (tradeIds === "consecutive") number += one.count
        hasLeapt = true
        break
      case "others":
        for (const session of life?.sessions ?? []) {
          if (session.isMute) continue
          if (life?.isListed === true && !hasIds) listen(life, session, false)
          session.aliveAt = now()
        }
        break
      case "wait":
        pass(one.ms)
        break
      case "until":
        pass(Math.max(0, one.ms - elapsed))
        break
      case "connect":
        // No connection is lost and made again within a millisecond: the resolution of what is known of a question's time.
        pass(1)
        if (life !== undefined) connect(life, one)
        break
      case "drop": {
        const session = life?.sessions.at(one.newest ? -1 : 0)
        if (life !== undefined && session !== undefined) drop(life, session)
        break
      }
      case "silence":
        silence()
        break
      case "mute":
        for (const session of life?.sessions ?? []) session.isMute = true
        break
      case "heard":
        heard()
        break
      case "stop":
        stop()
        break
      case "kill":
        if (life !== undefined) die(life, false)
        break
      case "start":
        begin()
        break
      case "rest":
        rest = one.rest
        break
      case "disk":
        becomeDisk(one.disk)
        break
      case "sink":
        sink = { trades: one.trades, told: one.told }
        break
      case "unlist":
        unlist()
        break
      case "list":
        list()
        break
    }
    pass(one.what === "trade" || one.what === "until" || one.what === "drop" ? 0 : 1)
  }

  for (let n = setup.before; n > 0; n--) issue("5", -n * 10_000)
  begin()
  for (const one of steps) apply(one)

  return {
    setup,
    issued,
    words,
    isDiskSpared,
    isHistorySpared,
    kept: keptAtStop
  }
}
