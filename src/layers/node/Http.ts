/**
 * HTTP by Node's own client, with or without a proxy, and the same answers either way: what comes compressed is decompressed as it
 * is read, so that whoever counts the bytes counts what has to be kept. Redirects are not followed. Bodies that are sent are bytes.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import { RequestError } from "@effect/platform/HttpClientError"
import type { HttpClientRequest } from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as http from "node:http"
import * as https from "node:https"
import { pipeline, type Readable, type Transform } from "node:stream"
import { ReadableStream } from "node:stream/web"
import * as zlib from "node:zlib"
import { userAgent } from "../Version.ts"
import * as NodeDial from "./Dial.ts"
import type { Proxy } from "./Tunnel.ts"

/** A connection that has been idle for so long is closed, ms: before most servers do it, with a request of ours on its way. */
const idle = 4_000

/** What is given unless a request says otherwise. */
const defaults = { "accept-encoding": "gzip, br", "user-agent": userAgent }

/**
 * Gives an HTTP client, through the proxy where one is given. Needs nothing, connects to nothing by itself, and closes its connections
 * with its scope.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (proxy?: Proxy): Layer.Layer<HttpClient.HttpClient> =>
  Layer.scoped(HttpClient.HttpClient, Effect.map(directAgents, (direct) => make(direct, proxy)))

// internal

interface Agents {
  readonly http: http.Agent
  readonly https: https.Agent
}

const agentsOf = (options: http.AgentOptions): Agents => {
  const all = { ...NodeDial.options(), ...options }
  return { http: new http.Agent(all), https: new https.Agent(all) }
}

const agentFor = (url: URL, agents: Agents): http.Agent => url.protocol === "https:" ? agents.https : agents.http

const directAgents = Effect.acquireRelease(
  Effect.sync(() => agentsOf({ keepAlive: true, timeout: idle })),
  (agents) =>
    Effect.sync(() => {
      agents.http.destroy()
      agents.https.destroy()
    })
)

const make = (direct: Agents, proxy: Proxy | undefined): HttpClient.HttpClient =>
  HttpClient.make((request, url, signal) =>
    bytesOf(request).pipe(
      Effect.flatMap((body) =>
        answerOf({ request, url, signal, body }, proxy?.agent(url, signal) ?? agentFor(url, direct))
      ),
      Effect.flatMap((answer) => responseOf(request, answer))
    )
  )

const failed = (request: HttpClientRequest, cause: unknown, reason: "Transport" | "Encode" = "Transport") =>
  new RequestError({ request, reason, cause })

const bytesOf = (request: HttpClientRequest): Effect.Effect<Uint8Array | undefined, RequestError> => {
  const { body } = request
  switch (body._tag) {
    case "Empty":
      return Effect.succeed(undefined)
    case "Uint8Array":
      return Effect.succeed(body.body)
    default:
      return Effect.fail(failed(request, new Error(`a body of ${body._tag} cannot be sent`), "Encode"))
  }
}

interface Call {
  readonly request: HttpClientRequest
  readonly url: URL
  readonly signal: AbortSignal
  readonly body: Uint8Array | undefined
}

const answerOf = (
  call: Call,
  agent: http.Agent
): Effect.Effect<http.IncomingMessage, RequestError> =>
  Effect.async((resume) => {
    const { body, request, signal, url } = call
    const fail = (cause: unknown) => resume(Effect.fail(failed(request, cause)))
    try {
      const outgoing = (url.protocol === "https:" ? https : http).request(url, {
        agent,
        method: request.method,
        headers: { ...defaults, ...request.headers },
        signal
      })
      // The server hung up on a spare connection while we asked: that is no answer, and no failure of the server.
      const lost = (cause: unknown) =>
        outgoing.reusedSocket && isRepeatable(request) && !signal.aborted
          ? resume(answerOf(call, agentFor(url, agentsOf({}))))
          : fail(cause)
      outgoing.once("response", (answer) => resume(Effect.succeed(answer)))
      // Also after the answer has begun, when its body tells of it: an error that nobody listens to would end the process.
      outgoing.on("error", lost)
      outgoing.once("close", () => lost(new Error("closed without an answer")))
      outgoing.end(body)
    } catch (cause) {
      fail(cause)
    }
  })

const isRepeatable = ({ method }: HttpClientRequest): boolean => method === "GET" || method === "HEAD"

const decoders: ReadonlyMap<string, () => Transform> = new Map([
  ["gzip", () => zlib.createGunzip(lenient)],
  ["x-gzip", () => zlib.createGunzip(lenient)],
  ["deflate", () => zlib.createInflate(lenient)],
  ["br", () => zlib.createBrotliDecompress()]
])

/** What was compressed is passed on as it comes, and one that ends early is left to whoever understands what was in it. */
const lenient = { flush: zlib.constants.Z_SYNC_FLUSH, finishFlush: zlib.constants.Z_SYNC_FLUSH }

/** More than one is allowed by the standard and made by nobody: each could multiply what has to be worked through. */
const maxCodings = 2

/** The body in the clear; an error's text if we do not know how. */
const decoded = (answer: http.IncomingMessage): Readable | string => {
  const named = (answer.headers["content-encoding"] ?? "").toLowerCase()
  const codings = named.split(",").map((coding) => coding.trim()).filter((coding) =>
    coding !== "" && coding !== "identity"
  )
  const streams: Array<Transform> = []
  // The last one named was applied last.
  for (const coding of codings.reverse()) {
    const decoder = decoders.get(coding)
    if (decoder === undefined || codings.length > maxCodings) return `content-encoding "${named}" is not understood`
    streams.push(decoder())
  }
  const last = streams.at(-1)
  if (last === undefined) return answer
  // The error of either is the error of the last, which is read.
  pipeline([answer, ...streams], () => {})
  return last
}

/** These have no body, and a `Response` takes none for them. */
const bodiless = new Set([204, 205, 304])

const responseOf = (
  request: HttpClientRequest,
  answer: http.IncomingMessage
): Effect.Effect<HttpClientResponse.HttpClientResponse, RequestError> =>
  Effect.try({
    try: () => {
      const status = answer.statusCode ?? 0
      const body = decoded(answer)
      if (typeof body === "string") throw new Error(body)
      const headers = new Headers()
      for (let at = 0; at + 1 < answer.rawHeaders.length; at += 2) {
        headers.append(answer.rawHeaders[at] ?? "", answer.rawHeaders[at + 1] ?? "")
      }
      if (body !== answer) {
        headers.delete("content-encoding")
        headers.delete("content-length")
      }
      if (bodiless.has(status) || request.method === "HEAD") {
        answer.resume()
        return HttpClientResponse.fromWeb(request, new Response(null, { status, headers }))
      }
      // Pulled part by part, and destroyed with its reader.
      const stream = ReadableStream.from<Uint8Array>(body)
      return HttpClientResponse.fromWeb(request, new Response(stream, { status, headers }))
    },
    catch: (cause) => {
      answer.destroy()
      return failed(request, cause)
    }
  })
