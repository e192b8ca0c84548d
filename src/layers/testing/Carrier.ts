/**
 * What a fake exchange is apart from what carries its frames. A fake sees connections and questions; a carrier brings them, over sockets on
 * loopback (`Loopback`) or within the process (`Memory`), and knows nothing of exchanges.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { FakeClock } from "./FakeClock.ts"
import type { Answer } from "./Script.ts"

/**
 * The server's end of one connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wire {
  /** Who hears of it from now on. */
  readonly hear: (ear: Ear) => void
  /** Frames can be sent. */
  readonly isOpen: boolean
  /** Nothing more should be sent before `Ear.drained`: the client does not read, or not so fast. */
  readonly isFull: boolean
  /** It did not end in good order: what was written may not have arrived. */
  readonly isBroken: boolean
  /** A text frame, or a binary one. */
  readonly send: (data: string | Uint8Array) => void
  /** Bytes that no WebSocket library would send: on loopback only, elsewhere a defect. False if the client reads too slowly. */
  readonly write: (bytes: Uint8Array) => boolean
  /** A ping of the WebSocket protocol; the pong has the same payload. */
  readonly ping: (payload?: string) => void
  /** The close frame, behind all that was sent. */
  readonly close: (code: number, reason?: string) => void
  /** The end without a close frame, behind all that was sent. */
  readonly hangUp: () => void
  /** The end at once. */
  readonly reset: () => void
  /** Nothing of the client's is read, not even that it left. */
  readonly pause: () => void
  readonly resume: () => void
  /** Runs when all that the fake sends in one go has been sent. */
  readonly soon: (run: () => void) => void
}

/**
 * Hears what happens on a wire.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ear {
  readonly heard: (text: string) => void
  readonly ponged: (payload: string) => void
  /** A ping of the client's, which is answered already. */
  readonly pinged?: () => void
  readonly drained: () => void
  /** Once. 1006: no close frame came. */
  readonly closed: (code: number) => void
}

/**
 * An answer that comes, some time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** Milliseconds until it is here. */
  readonly delay: number
}

/**
 * What a carrier asks of the fake that it carries.
 *
 * @since 0.1.0
 * @category models
 */
export interface Host {
  readonly clock: FakeClock
  readonly wsPath: string
  /** Of a dial: what it is refused with; undefined if it is let in, which `accept` then does. */
  readonly refusal: (path: string) => Answer | undefined
  readonly accept: (wire: Wire) => void
  /** To a GET; undefined: none, ever. */
  readonly reply: (url: URL) => Reply | undefined
}

/**
 * What brings a fake to its clients: sockets on loopback, or calls within the process.
 *
 * @since 0.1.0
 * @category models
 */
export interface Carrier {
  /** Base of REST, without a slash at its end; whole only once it has started. */
  readonly apiUrl: string
  /** Of WebSockets, without a path. */
  readonly wsUrl: string
  /** Clients can come; under the same address as before, if it is not the first time. */
  readonly start: () => Promise<void>
  /** No client can come, and those that are there are cut off. */
  readonly stop: () => Promise<void>
}

/**
 * Where a fake lives.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  readonly clock: FakeClock
  readonly carry: (host: Host) => Carrier
}

/**
 * Whatever has a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Served {
  readonly server: { readonly listen: () => Promise<void>; readonly close: () => Promise<void> }
}

/**
 * Open for clients when it succeeds; closed with the scope.
 *
 * @since 0.1.0
 * @category constants
 */
export const serve = <Fake extends Served>(born: () => Fake): Effect.Effect<Fake, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const fake = born()
      await fake.server.listen()
      return fake
    }),
    ({ server }) => Effect.promise(() => server.close())
  )
