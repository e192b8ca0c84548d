/** The way to a host: whether a name server knows it, and which of its addresses takes a connection. */
import * as Effect from "effect/Effect"
import dns from "node:dns"
import * as net from "node:net"
import { Problem, problem } from "./Problem.ts"

export interface Reached {
  /** The address that takes connections; the first of them. */
  readonly address: string
  /** What is wrong with the others, in words. */
  readonly others: ReadonlyArray<string>
}

/** Less than resolvers wait by themselves: two rounds of 5 s. */
const lookupTimeout = 5_000
const connectTimeout = 3_000

export const reach = Effect.fnUntraced(function*(host: string, port: number): Effect.fn.Return<Reached, Problem> {
  const addresses = yield* lookup(host)
  const tried = yield* Effect.forEach(addresses, (address) => connect(address, port), { concurrency: "unbounded" })
  const others = tried.flatMap((one) => one.problem ?? [])
  const address = tried.find((one) => one.problem === undefined)?.address
  return address === undefined ? yield* new Problem({ message: others.join("; ") }) : { address, others }
})

/** As the service looks names up: in a way that can be given up (`Process/Names.ts`), which `dns/promises` is not. */
const addressesOf = (host: string): Effect.Effect<ReadonlyArray<dns.LookupAddress>, Problem> =>
  Effect.async((resume) => {
    dns.lookup(
      host,
      { all: true },
      (error, found) => resume(error === null ? Effect.succeed(found) : Effect.fail(lookupProblem(host)(error)))
    )
  })

const lookup = (host: string): Effect.Effect<ReadonlyArray<string>, Problem> =>
  addressesOf(host).pipe(
    Effect.timeoutFail({
      duration: lookupTimeout,
      onTimeout: () => new Problem({ message: `no name server answers for ${host} within ${lookupTimeout} ms` })
    }),
    Effect.map((found) => found.map(({ address }) => address))
  )

const lookupProblem = (host: string) => (error: unknown): Problem => {
  switch (codeOf(error)) {
    case "ENOTFOUND":
      return new Problem({ message: `no name server knows ${host} (ENOTFOUND)` })
    case "EAI_AGAIN":
      return new Problem({ message: `no name server answers for ${host} (EAI_AGAIN)` })
    default:
      return problem(error)
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : ""

/** This machine has no address of that family, or no way out for it. */
const isRouteless = (code: string): boolean =>
  ["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"].includes(code)

const connect = (address: string, port: number) =>
  Effect.async<{ readonly address: string; readonly problem: string | undefined }>((resume) => {
    const socket = net.connect({ host: address, port, timeout: connectTimeout })
    const end = (problem: string | undefined) => {
      socket.destroy()
      resume(Effect.succeed({ address, problem }))
    }
    socket.once("connect", () => end(undefined))
    socket.once("timeout", () => end(`${address} does not answer within ${connectTimeout} ms`))
    socket.once("error", (error) => {
      const code = codeOf(error)
      end(isRouteless(code) ? `no route for IPv${net.isIP(address)}: ${address} (${code})` : error.message)
    })
    return Effect.sync(() => socket.destroy())
  })
