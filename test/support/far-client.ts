/** As a program that embeds parts of this one would have them: REST and a socket, without the service. Arguments: API, WebSocket. */
import { HttpClient } from "@effect/platform"
import { Duration, Effect, Layer } from "effect"
import { getDefaultAutoSelectFamily, getDefaultAutoSelectFamilyAttemptTimeout } from "node:net"
import * as NodeHttp from "../../src/layers/node/Http.ts"
import * as NodeWebSocket from "../../src/layers/node/WebSocket.ts"
import { reasonOf } from "../../src/services/ErrorText.ts"
import * as WebSocketFeed from "../../src/streams/WebSocketFeed.ts"

const [api = "", url = ""] = process.argv.slice(2)

const told = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: reasonOf, onSuccess: () => "reached" })

const program = Effect.gen(function*() {
  const rest = yield* told(HttpClient.get(api))
  const socket = yield* told(
    Effect.flatMap(
      WebSocketFeed.connect({ url, idleTimeout: Duration.minutes(1), maxPayload: 1024 * 1024 }),
      ({ take }) => take
    )
  )
  const defaults = [getDefaultAutoSelectFamily(), getDefaultAutoSelectFamilyAttemptTimeout()]
  yield* Effect.sync(() => process.stdout.write(JSON.stringify({ rest, socket, defaults })))
}).pipe(
  Effect.scoped,
  Effect.provide(Layer.mergeAll(NodeHttp.layer(), NodeWebSocket.layer({ maxPayload: 1024 * 1024 })))
)

void Effect.runPromise(program).then(() => process.exit(0))
