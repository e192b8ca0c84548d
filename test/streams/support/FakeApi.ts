/** The platform's HTTP client without a network: answers by path, all calls remembered. */
import { HttpClient, type HttpClientError, HttpClientResponse } from "@effect/platform"
import { Clock, Context, Effect, Layer } from "effect"

export interface Answer {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body: string
}

export interface Call {
  readonly path: string
  /** Epoch ms. */
  readonly at: number
}

export type Respond = (call: Call, n: number) => Effect.Effect<Answer, HttpClientError.HttpClientError>

export class FakeApi extends Context.Tag("test/FakeApi")<FakeApi, {
  readonly calls: ReadonlyArray<Call>
  /** Replaces what the layer was given. */
  readonly respond: (respond: Respond) => Effect.Effect<void>
}>() {}

/** `n` counts the calls from 0. */
export const layer = (initial: Respond): Layer.Layer<FakeApi | HttpClient.HttpClient> =>
  Layer.effectContext(Effect.sync(() => {
    const calls: Array<Call> = []
    let respond = initial
    const client = HttpClient.make((request, url) =>
      Effect.gen(function*() {
        const call = { path: url.pathname + url.search, at: yield* Clock.currentTimeMillis }
        const n = calls.push(call) - 1
        const { body, headers = {}, status = 200 } = yield* respond(call, n)
        return HttpClientResponse.fromWeb(request, new Response(body, { status, headers }))
      })
    )
    return Context.make(FakeApi, { calls, respond: (next) => Effect.sync(() => void (respond = next)) }).pipe(
      Context.add(HttpClient.HttpClient, client)
    )
  }))

/** BitPin's list. */
export const bitpinList = (...symbols: ReadonlyArray<string>): string =>
  JSON.stringify(symbols.map((symbol) => {
    const [base, quote] = symbol.split("_")
    return { symbol, name: symbol, base, quote, tradable: true, price_precision: "0", base_amount_precision: 8 }
  }))

/** Wallex's list. */
export const wallexList = (...symbols: ReadonlyArray<readonly [base: string, quote: string]>): string =>
  JSON.stringify({
    success: true,
    message: "ok",
    result: {
      markets: symbols.map(([base_asset, quote_asset]) => ({
        symbol: base_asset + quote_asset,
        base_asset,
        quote_asset,
        is_spot: true,
        is_market_type_enable: false,
        price: "",
        volume_24h: null
      }))
    }
  })
