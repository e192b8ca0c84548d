/**
 * `exchange-feeds healthcheck`: asks a running service how it is. For containers: the exit code is the answer.
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as http from "node:http"
import { reasonOf } from "../../../services/ErrorText.ts"
import * as AppConfig from "../../AppConfig.ts"
import * as NodeDial from "../../node/Dial.ts"

/** It did not answer, or not with 200. */
export class Unhealthy extends Schema.TaggedError<Unhealthy>()("Unhealthy", {
  message: Schema.String
}) {}

export interface Options {
  /** Where it listens: `http://127.0.0.1:8080`; by default where HEALTH_HOST and HEALTH_PORT say. */
  readonly url: string | undefined
  /** Ask `/health/ready` instead of `/health`. */
  readonly ready: boolean
}

/** Shorter than what Docker gives it. */
const timeout = 5_000

export const healthcheck = Effect.fnUntraced(function*(
  env: AppConfig.Environment,
  options: Options
): Effect.fn.Return<void, Unhealthy | AppConfig.ConfigInvalid, FileSystem.FileSystem> {
  const url = `${yield* baseUrl(env, options.url)}/health${options.ready ? "/ready" : ""}`
  const { code, text } = yield* get(url)
  const answer = decode(text)
  const status = answer._tag === "Some" ? answer.value.status : ""
  yield* Console.log(status)
  if (code !== 200) return yield* new Unhealthy({ message: `${url} answered ${code} ${status}` })
})

/** As given, or where the settings say; without a slash at its end. Fails with `Unhealthy` where they do not say it. */
export const baseUrl = Effect.fnUntraced(function*(
  env: AppConfig.Environment,
  given: string | undefined
): Effect.fn.Return<string, Unhealthy | AppConfig.ConfigInvalid, FileSystem.FileSystem> {
  if (given !== undefined) return given.replace(/\/+$/, "")
  const { settings: { http } } = yield* AppConfig.load(env)
  // Node would ask at port 80, where another's server may answer.
  if (http.port === 0) {
    const message = "HEALTH_PORT=0 does not say where the service listens, which it told on stderr as it started: " +
      "name that with --url http://HOST:PORT, or give it a port"
    return yield* new Unhealthy({ message })
  }
  // What listens everywhere is asked here.
  const host = http.host === "0.0.0.0" ? "127.0.0.1" : http.host === "::" ? "::1" : http.host
  return `http://${host.includes(":") ? `[${host}]` : host}:${http.port}`
})

// internal

/** The word that matters of a health answer. */
const Answer = Schema.parseJson(Schema.Struct({ status: Schema.String }))
const decode = Schema.decodeUnknownOption(Answer)

/** Most that is read: a report of a thousand markets is some 200 KiB. */
const maxBody = 8 * 1024 * 1024

export const get = (url: string): Effect.Effect<{ readonly code: number; readonly text: string }, Unhealthy> =>
  Effect.async((resume) => {
    const fail = (message: string) => resume(new Unhealthy({ message: `${url}: ${message}` }))
    if (!URL.canParse(url) || new URL(url).protocol !== "http:") {
      return fail("not an address such as http://127.0.0.1:8080")
    }
    const signal = AbortSignal.timeout(timeout)
    const failed = (error: Error) => fail(signal.aborted ? `no answer within ${timeout} ms` : reasonOf(error))
    const request = http.get(url, { ...NodeDial.options(), signal, agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => {
        if (body.length < maxBody) body += chunk
      })
      response.on("error", failed)
      response.on("end", () => resume(Effect.succeed({ code: response.statusCode ?? 0, text: body })))
    })
    request.on("error", failed)
    return Effect.sync(() => request.destroy())
  })
