import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import dns from "node:dns"
import { createServer } from "node:http"
import { type AddressInfo, createServer as createTcpServer } from "node:net"
import { afterEach, vi } from "vitest"
import * as Healthcheck from "../../../../src/layers/cli/commands/Healthcheck.ts"

const cleanups: Array<() => void> = []
afterEach(() => {
  vi.restoreAllMocks()
  for (const cleanup of cleanups.splice(0)) cleanup()
})

/** A name that Node finds so many addresses for. */
const named = (name: string, addresses: ReadonlyArray<string>) => {
  const found = addresses.map((address) => ({ address, family: 4 }))
  vi.spyOn(dns, "lookup").mockImplementation(
    ((host: string, _options: unknown, callback: (error: Error | null, all: typeof found) => void) =>
      callback(host === name ? null : new Error(`asked for ${host}`), found)) as unknown as typeof dns.lookup
  )
}

const listening = <A extends { readonly address: () => AddressInfo | string | null }>(
  server: A & {
    readonly listen: (port: number, host: string, done: () => void) => unknown
    readonly close: () => unknown
  }
) =>
  Effect.async<number>((resume) => {
    cleanups.push(() => void server.close())
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const refused = (url: string) => Effect.map(Effect.flip(Healthcheck.get(url)), ({ message }) => message)

describe("what `healthcheck`, `top` and `gaps` say of a service that does not answer", () => {
  it.effect("each address of its name, and its reason", () =>
    Effect.gen(function*() {
      named("two.test", ["127.0.0.1", "127.0.0.2"])
      assert.strictEqual(
        yield* refused("http://two.test:1/health"),
        "http://two.test:1/health: connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED 127.0.0.2:1"
      )
    }))

  it.live("the second address is asked where the first refuses", () =>
    Effect.gen(function*() {
      const port = yield* listening(createServer((_, response) => void response.end("{}")))
      named("two.test", ["127.0.0.2", "127.0.0.1"])
      assert.deepStrictEqual(yield* Healthcheck.get(`http://two.test:${port}/health`), { code: 200, text: "{}" })
    }))

  it.live("nothing within five seconds", () =>
    Effect.gen(function*() {
      const taken = createTcpServer((socket) => cleanups.push(() => void socket.destroy()))
      const url = `http://127.0.0.1:${yield* listening(taken)}/health`
      assert.strictEqual(yield* refused(url), `${url}: no answer within 5000 ms`)
    }))

  it.effect("an address that is none", () =>
    Effect.gen(function*() {
      for (const url of ["nonsense", "https://127.0.0.1"]) {
        assert.strictEqual(yield* refused(url), `${url}: not an address such as http://127.0.0.1:8080`)
      }
    }))
})
