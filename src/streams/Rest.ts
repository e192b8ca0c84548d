/**
 * The REST side of an exchange: every call within its budget, through its breaker, with its time limit inside the breaker so that a
 * call that hangs counts. Answers are bounded and decoded without doubles.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CircuitBreaker, Outcome } from "../services/CircuitBreaker.ts"
import { reasonOf } from "../services/ErrorText.ts"
import * as Instruments from "../services/Instruments.ts"
import * as RetryPolicy from "../services/RetryPolicy.ts"
import { oneLine } from "../services/Text.ts"
import * as Time from "../services/Time.ts"
import type { Board } from "./Board.ts"
import type { DecodeFailure } from "./DecodeFailure.ts"
import type { Advice, Refusal, Rest as Way } from "./Exchange.ts"
import * as ExchangeClock from "./ExchangeClock.ts"
import * as Json from "./protocols/Json.ts"
import * as Budget from "./Rest/Budget.ts"

export class RestError extends Schema.TaggedError<RestError>()("RestError", {
  reason: Schema.Literal(
    /** No answer within 10 s. */
    "timeout",
    /** No connection, or it broke. */
    "transport",
    /** Another status than 2xx. */
    "status",
    /** No JSON, as in the HTML pages of gateways, JSON of another shape, or a refusal in the exchange's words. */
    "body"
  ),
  /** One line, at most 200 characters. */
  message: Schema.String,
  status: Schema.optional(Schema.Number),
  /** What the exchange asked us to wait, at most 10 minutes. */
  retryAfter: Schema.optional(Schema.DurationFromSelf),
  /** It says in its own words that it does not know the market. */
  isUnknownMarket: Schema.optional(Schema.Boolean),
  /** It is the exchange's own word (`Rest.refused`), no gateway's. */
  isRefusal: Schema.optional(Schema.Boolean)
}) {}

/** Statuses of the way to an API, or of all of it, whatever was asked: who we are, and how often we ask. */
const ofTheWay: ReadonlySet<number> = new Set([401, 403, 407, 408, 418, 429, 451])

/**
 * A question about one market was refused because of that market, as far as can be told. There is no use in asking again at once, and
 * other markets may be answered.
 */
export const isOfMarket = ({ isUnknownMarket, retryAfter, status = 0 }: RestError): boolean =>
  isUnknownMarket === true || (retryAfter === undefined && status >= 400 && status <= 499 && !ofTheWay.has(status))

/** Statuses of a path that an address does not serve, though it may serve others: a gateway that lets some pass refuses with the first two. */
const ofPath: ReadonlySet<number> = new Set([401, 403, 404, 405, 410])

/** A path that an address does not serve is not asked for so long, ms: a firewall that was in a bad mood is not for ever. */
const unservedFor = 3_600_000

const isOfPath = ({ isUnknownMarket, status = 0 }: RestError): boolean => isUnknownMarket !== true && ofPath.has(status)

/**
 * What an answer to a question about one market says of the API. By its own word about a market it answers; a bare 404 may be a gateway's
 * as well, and says nothing.
 */
const ofMarket = (error: RestError): Outcome =>
  !isOfMarket(error) ? "failure" : error.isRefusal === true ? "success" : "ignored"

/** Servers of one exchange may differ by so much, and a `Date` is cut to the second, ms. */
const clocksDiffer = 3_000

/** How long before the question an answer was made at the least, ms: one that a cache on the way had kept. */
const keptFor = (
  headers: Readonly<Record<string, string | undefined>>,
  date: number | null,
  exchangeNow: number | null
): number => {
  const age = headers["age"] ?? ""
  return Math.max(
    /^\d{1,9}$/.test(age) ? Number(age) * 1000 : 0,
    date === null || exchangeNow === null ? 0 : exchangeNow - date - clocksDiffer,
    0
  )
}

export interface Answer<A> {
  readonly value: A
  /** The body that it was read from. */
  readonly text: string
  /** When the question left, or before, if the answer is older: kept in a cache on the way. What happened later it cannot know. */
  readonly sentAt: Time.Instant
  /**
   * The answer was made at that time of the exchange's clock or later, epoch ms: its `Date` less the time it took, since a server may
   * make an answer long before it sends it. Null if it had no `Date`.
   */
  readonly date: number | null
}

export interface Rest {
  /** `path` is below the API's base. One attempt; a breaker that refuses is waited for. A refusal is a failure of the API. */
  readonly get: <A>(
    path: string,
    decode: (body: unknown) => Either.Either<A, DecodeFailure>
  ) => Effect.Effect<A, RestError>
  /**
   * About one market, with the times that the question and the answer carry. A refusal because of that market (`isOfMarket`) is no failure
   * of the API: a few of them would else keep its breaker open, and all other markets unasked.
   */
  readonly ask: <A>(
    path: string,
    decode: (body: unknown) => Either.Either<A, DecodeFailure>
  ) => Effect.Effect<Answer<A>, RestError>
  /**
   * As `ask`, for what can be had again: what cannot goes first, and has a part of the budget for itself (`asidePerMinute`). It waits until the
   * breaker is closed, and whatever becomes of it says nothing of the API: neither the breaker nor the board hears of it. `cost`: for how many
   * questions it counts; 1 if left out.
   */
  readonly aside: <A>(
    path: string,
    decode: (body: unknown) => Either.Either<A, DecodeFailure>,
    cost?: number
  ) => Effect.Effect<Answer<A>, RestError>
  /** For so many questions a minute there is room for `aside`, if nothing else is asked. */
  readonly asidePerMinute: number
  /** By the answers so far. */
  readonly clock: ExchangeClock.ExchangeClock
}

export interface Options {
  /** Its id. */
  readonly exchange: string
  readonly apiUrl: string
  readonly restPerMinute: number
  /** Between two questions at the least. */
  readonly restApart?: Duration.Duration | undefined
  readonly breaker: CircuitBreaker
  readonly board: Board
  /** Of the exchange: what a refusal by body looks like. */
  readonly refused?: Way["refused"]
  /** Of the exchange: which path stands for one that the address does not serve. */
  readonly instead?: Way["instead"]
  /** Of the exchange: what can be done about a status. */
  readonly advice?: Advice | undefined
  /** The API answers no more, or again; `reason` is one line, null where it answers. It is taken to answer at first. */
  readonly onChange?: ((answers: boolean, reason: string | null, at: Time.WallTime) => Effect.Effect<void>) | undefined
  /** Questions never stop, as where trades are polled: they are spread over the minute, one by one. */
  readonly isSteady?: boolean | undefined
  /** What cannot be had again can be had late as well, as where a history goes back to any trade: `aside` leaves less of the budget to it. */
  readonly isPatient?: boolean | undefined
}

/** How far apart steady questions leave, ms. */
export const spacingOf = Budget.spacingOf

/** One question that can wait is asked so often, ms, where others are asked all the time. */
const steadyAside = 10_000

/** How often a question that can wait looks whether there is room for it, ms. */
const lookForRoom = 1_000

/** One that can wait leaves when no other was in line, nor under way, for so long, ms: between two pages of a history is none. */
const pause = 1_000

/** Of a minute's budget questions that can wait take so much, and leave at once. */
const atOnce = 1 / 2

/** Where the others are patient they take so much, but one by one what is more than that half: the others wait for seconds at most, not a minute. */
const inAll = 9 / 10

const timeout = Duration.seconds(10)
const maxBytes = Json.bodyLimits.size

const transport = (error: HttpClientError.HttpClientError): RestError =>
  new RestError({
    // An answer without a body arrived well; it says nothing.
    reason: error._tag === "ResponseError" && error.reason === "EmptyBody" ? "body" : "transport",
    message: oneLine(reasonOf(error))
  })

/** The body, cut off when it grows beyond all reason. */
const textOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<string, RestError> => {
  const decoder = new TextDecoder()
  let bytes = 0
  return response.stream.pipe(
    Stream.mapError(transport),
    Stream.mapEffect((part) => {
      bytes += part.length
      return bytes > maxBytes
        ? Effect.fail(new RestError({ reason: "body", message: `an answer of over ${maxBytes} bytes` }))
        : Effect.succeed(decoder.decode(part, { stream: true }))
    }),
    Stream.mkString,
    Effect.map((text) => text + decoder.decode())
  )
}

/** What can be done first: what else is said may be long. */
const statusText = (status: number, advice: string | undefined, words: string | undefined): string => {
  if (advice === undefined) return words === undefined ? `HTTP ${status}` : `HTTP ${status}: ${words}`
  return words === undefined ? `HTTP ${status}: ${advice}` : `HTTP ${status}: ${advice} (${words})`
}

/** Of an answer with another status than 2xx. Whatever else its body is, it says nothing. */
const refusalOf = (
  response: HttpClientResponse.HttpClientResponse,
  refused: Options["refused"]
): Effect.Effect<Refusal | undefined> =>
  refused === undefined ? Effect.succeed(undefined) : textOf(response).pipe(
    Effect.map((text) => {
      const parsed = Json.parse(text, Json.bodyLimits)
      return refused({ status: response.status, body: Either.isRight(parsed) ? parsed.right : undefined, text })
    }),
    Effect.orElseSucceed(() => undefined)
  )

export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Rest, never, HttpClient.HttpClient | Scope.Scope> {
  // A body that is not read to its end, as after a bad status, is hung up on; else its sender could hold the connection for ever.
  const client = HttpClient.withScope(yield* HttpClient.HttpClient)
  /** Until then the exchange asked to be left alone, whoever asks. */
  let quietUntil = Time.never
  const clock = ExchangeClock.make()

  const attempt = Effect.fnUntraced(function*<A>(
    path: string,
    decode: (body: unknown) => Either.Either<A, DecodeFailure>
  ): Effect.fn.Return<Answer<A>, RestError, Scope.Scope> {
    const sentAt = yield* Time.now
    const response = yield* HttpClientRequest.get(options.apiUrl + path).pipe(
      HttpClientRequest.acceptJson,
      client.execute,
      // Where an answer points to is the exchange's word, and may lie within our own network. Other clients do not follow by default.
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
      Effect.mapError(transport)
    )
    const date = RetryPolicy.httpDate(response.headers["date"] ?? "") ?? null
    const at = yield* Time.now
    if (date !== null) clock.heard({ date, sentAt, at })
    const waitOf = (asked: string | undefined): Duration.Duration | undefined => {
      const retryAfter = asked === undefined ? undefined : RetryPolicy.retryAfter(asked, response.headers["date"])
      if (retryAfter !== undefined) {
        quietUntil = Time.latest(quietUntil, Time.plus(at, Duration.toMillis(retryAfter)))
      }
      return retryAfter
    }
    const { status } = response
    if (status < 200 || status > 299) {
      const asked = response.headers["retry-after"]
      const refusal = asked === undefined ? yield* refusalOf(response, options.refused) : undefined
      return yield* new RestError({
        reason: "status",
        message: oneLine(statusText(status, options.advice?.[status], refusal?.message)),
        status,
        retryAfter: waitOf(asked ?? refusal?.retryAfter),
        isUnknownMarket: refusal?.isUnknownMarket,
        isRefusal: refusal !== undefined
      })
    }
    const text = yield* textOf(response)
    const parsed = Json.parse(text, Json.bodyLimits)
    const refusal = Either.isRight(parsed) ? options.refused?.({ status, body: parsed.right, text }) : undefined
    if (refusal !== undefined) {
      return yield* new RestError({
        reason: "body",
        message: oneLine(`refused: ${refusal.message}`),
        status,
        retryAfter: waitOf(refusal.retryAfter),
        isUnknownMarket: refusal.isUnknownMarket,
        isRefusal: true
      })
    }
    const decoded = Either.flatMap(parsed, decode)
    if (Either.isRight(decoded)) {
      return {
        value: decoded.right,
        text,
        sentAt: Time.plus(sentAt, -keptFor(response.headers, date, clock.earliest(sentAt))),
        date: date === null ? null : date - Time.between(sentAt, at)
      }
    }
    return yield* new RestError({
      reason: "body",
      message: oneLine(`${decoded.left.reason}: ${decoded.left.detail}`),
      status
    })
  }, Effect.scoped)

  const timed = <A>(
    path: string,
    decode: (body: unknown) => Either.Either<A, DecodeFailure>
  ): Effect.Effect<Answer<A>, RestError> =>
    attempt(path, decode).pipe(Effect.timeoutFail({
      duration: timeout,
      onTimeout: () => new RestError({ reason: "timeout", message: `no answer within ${Duration.format(timeout)}` })
    }))

  let answers = true

  const requests = Instruments.restRequest(
    yield* Instruments.Instruments,
    options.exchange,
    RestError.fields.reason.literals
  )

  type Told = (error: RestError | undefined, durationMs: number, now: Time.Moment) => Effect.Effect<void>

  const measured = <A>(call: Effect.Effect<A, RestError>, told: Told): Effect.Effect<A, RestError> =>
    Effect.flatMap(Time.now, (started) => {
      const tell = (error: RestError | undefined) =>
        Effect.flatMap(Time.moment, (now) => {
          const durationMs = Time.between(started, now.at)
          requests(error?.reason ?? "ok").observe(durationMs)
          return told(error, durationMs, now)
        })
      return call.pipe(Effect.tap(() => tell(undefined)), Effect.tapError(tell))
    })

  /** Tells the board how the API is. */
  const watched = <A>(
    call: Effect.Effect<A, RestError>,
    judge: (error: RestError) => Outcome
  ): Effect.Effect<A, RestError> =>
    measured(call, (error, durationMs, { at, wall }) => {
      const outcome = error === undefined ? "success" : judge(error)
      if (outcome === "ignored") return Effect.void
      const message = error === undefined || outcome === "success" ? null : `${error.reason}: ${error.message}`
      options.board.api({ at, checkedAt: wall, ok: message === null, durationMs, message })
      options.board.show()
      if (answers === (message === null)) return Effect.void
      answers = message === null
      return options.onChange?.(answers, message, wall) ?? Effect.void
    })

  const admitted = <A>(
    call: Effect.Effect<A, RestError>,
    judge: (error: RestError) => Outcome
  ): Effect.Effect<A, RestError> =>
    Effect.catchTag(
      options.breaker.run(call, (exit) =>
        Exit.isSuccess(exit)
          ? "success"
          : Option.match(Cause.failureOption(exit.cause), {
            onSome: judge,
            onNone: () => Cause.isInterruptedOnly(exit.cause) ? "ignored" : "failure"
          })),
      "CircuitOpen",
      () => Effect.andThen(options.breaker.awaitAdmittance, admitted(call, judge))
    )

  const quiet: Effect.Effect<void> = Effect.flatMap(Time.now, (now) => {
    const wait = Time.between(now, quietUntil)
    return wait <= 0 ? Effect.void : Effect.andThen(Effect.sleep(wait), quiet)
  })

  const isSteady = options.isSteady === true
  const apart = options.restApart === undefined ? 0 : Duration.toMillis(options.restApart)
  const budget = Budget.make(
    options.restPerMinute,
    isSteady ? Math.max(apart, spacingOf(options.restPerMinute)) : apart
  )
  /** For questions that can wait: what all together take of them. */
  const quick = Budget.make(Math.ceil(options.restPerMinute * atOnce), 0)
  const slow = options.isPatient === true ? Budget.make(Math.ceil(options.restPerMinute * inAll), 0) : undefined

  const turns = yield* Effect.makeSemaphore(1)
  /**
   * Just before a question leaves: what waits for a breaker, or while the exchange wants quiet, must not leave all at once after it. Those about
   * no market, as whether the API answers, take nothing of what can wait: there are few, and they have their part.
   */
  const turn = (cost: number, isAboutMarket: boolean): Effect.Effect<void> =>
    turns.withPermits(1)(Effect.gen(function*() {
      yield* Effect.sleep(Budget.wait(budget, yield* Time.now, cost))
      yield* quiet
      const now = yield* Time.now
      for (const one of isAboutMarket ? [budget, quick, slow] : [budget]) {
        if (one !== undefined) Budget.left(one, now, cost)
      }
    }))

  /** Questions that cannot wait, in line or under way; and when the last one about a market ended. Steady ones leave no moment without: they do not count. */
  const first = { count: 0, at: Time.never }
  const goesFirst = <A, E>(call: Effect.Effect<A, E>, isAboutMarket: boolean): Effect.Effect<A, E> =>
    isSteady ? call : Effect.suspend(() => {
      first.count += 1
      return Effect.ensuring(
        call,
        Effect.map(Time.now, (now) => {
          first.count -= 1
          if (isAboutMarket) first.at = now
        })
      )
    })

  const asking = <A>(
    path: string,
    decode: (body: unknown) => Either.Either<A, DecodeFailure>,
    isAboutMarket: boolean,
    judge: (error: RestError) => Outcome = isAboutMarket ? ofMarket : () => "failure"
  ): Effect.Effect<Answer<A>, RestError> => {
    const call = watched(timed(path, decode), judge)
    const asked = admitted(Effect.andThen(turn(1, isAboutMarket), call), judge)
    return goesFirst(Effect.andThen(quiet, asked), isAboutMarket)
  }
  /** Paths without what is asked of them, and when they were last refused though the ones in their place were answered. */
  const unserved = new Map<string, Time.Instant>()
  const ask: Rest["ask"] = (path, decode) => {
    const other = options.instead?.(path)
    if (other === undefined) return asking(path, decode, true)
    const [name = path] = path.split("?")
    const inItsPlace = asking(other.path, decode, true)
    const note = ({ message }: RestError) =>
      Effect.flatMap(Time.now, (now) => {
        const isTold = unserved.has(name)
        unserved.set(name, now)
        return isTold ? Effect.void : Effect.logWarning(`this address does not serve ${name}: ${other.advice}`, message)
          .pipe(Effect.annotateLogs({ exchange: options.exchange }))
      })
    return Effect.flatMap(Time.now, (now) =>
      Time.between(unserved.get(name) ?? Time.never, now) < unservedFor
        ? inItsPlace
        : Effect.catchIf(
          // Of the API it says nothing: the other path will.
          asking(path, decode, true, (error) => isOfPath(error) ? "ignored" : ofMarket(error)),
          isOfPath,
          (error) => Effect.tap(inItsPlace, note(error))
        ))
  }
  const get: Rest["get"] = (path, decode) => Effect.map(asking(path, decode, false), ({ value }) => value)

  const isClosed = Effect.map(options.breaker.snapshot, ({ state }) => state === "closed")

  let asideAt = Time.never
  /** How long one that counts for so many has to wait for the budget, ms. */
  const budgetAside = (cost: number, now: Time.Instant): number => {
    const since = Time.between(asideAt, now)
    const wait = Budget.wait(quick, now, cost)
    // Steady questions leave no room, ever: what can wait has a share of it.
    if (isSteady) return Math.min(wait, Math.max(0, steadyAside - since))
    if (slow === undefined) return wait
    const apart = cost * spacingOf(options.restPerMinute) - since
    return Math.min(wait, Math.max(apart, Budget.wait(slow, now, cost)))
  }
  /** Two that look at the same moment may both find it: one question too many is no harm. */
  const roomAside = (cost: number) =>
    Effect.zipWith(Time.now, isClosed, (now, isClosed) => {
      if (!isClosed || first.count > 0) return lookForRoom
      const wait = Math.max(
        0,
        Time.between(now, quietUntil),
        pause - Time.between(first.at, now),
        budgetAside(cost, now)
      )
      if (wait === 0) asideAt = now
      return wait
    })
  const room = (cost: number): Effect.Effect<void> =>
    Effect.flatMap(
      roomAside(cost),
      (wait) => wait === 0 ? Effect.void : Effect.andThen(Effect.sleep(Math.min(wait, lookForRoom)), room(cost))
    )
  const aside: Rest["aside"] = (path, decode, cost = 1) => {
    const call = measured(timed(path, decode), () => Effect.void)
    return Effect.flatMap(
      // The breaker may have opened while this waited: then the question would be a probe.
      Effect.zipRight(room(cost), Effect.zipRight(turn(cost, true), Effect.whenEffect(call, isClosed))),
      Option.match({ onSome: Effect.succeed, onNone: () => aside(path, decode, cost) })
    )
  }

  return { ask, aside, asidePerMinute: (slow ?? quick).perMinute, clock, get }
})
