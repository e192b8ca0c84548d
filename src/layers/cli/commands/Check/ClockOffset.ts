/** How far our clock is from somebody's who puts the time, in whole seconds, on each answer. */
import * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as NodeProxy from "../../../node/Proxy.ts"

/** Epoch ms: ours when we asked and when the answer had come, theirs as it says. */
export interface Sample {
  readonly sent: number
  readonly received: number
  readonly date: number
}

/** Whole seconds are cut off. */
const resolution = 1_000

/**
 * Milliseconds that ours is ahead of theirs, as near as the samples tell: each of them leaves a second and its way, and together they
 * leave what all of them allow. Undefined if they contradict each other, or there are none.
 */
export const offset = (samples: ReadonlyArray<Sample>): number | undefined => {
  const least = Math.max(...samples.map(({ date, sent }) => sent - date - resolution))
  const most = Math.min(...samples.map(({ date, received }) => received - date))
  return samples.length > 0 && least <= most ? (least + most) / 2 : undefined
}

const clockSamples = 5
const clockSpacing = Duration.millis(220)

/** As `offset`, by the `Date` of answers, whatever else they say; undefined if they have none, or come from a cache. */
export const measure = (url: string, proxy: NodeProxy.Options): Effect.Effect<number | undefined> =>
  Effect.gen(function*() {
    const samples: Array<Sample> = []
    for (let i = 0; i < clockSamples; i++) {
      if (i > 0) yield* Effect.sleep(clockSpacing)
      const sent = yield* Clock.currentTimeMillis
      const { headers } = yield* HttpClient.head(url)
      const received = yield* Clock.currentTimeMillis
      const date = Date.parse(headers["date"] ?? "")
      if (Number.isNaN(date) || headers["age"] !== undefined) return undefined
      samples.push({ sent, received, date })
    }
    return offset(samples)
  }).pipe(
    Effect.provide(NodeProxy.httpClient(proxy)),
    Effect.timeoutOption("8 seconds"),
    Effect.map(Option.getOrUndefined),
    // What is wrong with the API was looked for before.
    Effect.orElseSucceed(() => undefined)
  )
