/**
 * Looks names up so that the process can end meanwhile. Node has `getaddrinfo` in the threads of its pool, which cannot be called off,
 * and `process.exit` waits for them: with name servers that never answer a stop would last half a minute, or be a kill.
 *
 * So the name servers are asked first whether they answer, in a way that can be given up. If they have the name, `getaddrinfo` will be
 * quick. If they do not, or are silent, it is left to another process, which needs nobody's leave to be gone; it knows what a name
 * server does not, such as search domains.
 *
 * A matter of the whole process, so for `main` alone: an import sets nothing.
 */
import { type ChildProcess, spawn } from "node:child_process"
import dns from "node:dns"
import { readFileSync } from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { isIP } from "node:net"
import * as readline from "node:readline"
import type { Readable } from "node:stream"

type Lookup = typeof dns.lookup
type Addresses = Array<dns.LookupAddress>
type Done = (error: NodeJS.ErrnoException | null, addresses: Addresses) => void
type LookUp = (hostname: string, options: dns.LookupOptions, done: Done) => void

/** Name servers that take longer, ms, are left to the other process. */
const patience = 300

/** The other process is kept so long for the next name, ms. */
const idle = 10_000

// It goes with its stdin, whatever its threads are at.
const script = `
const dns = require("node:dns")
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { hostname, id, options } = JSON.parse(line)
  dns.lookup(hostname, { ...options, all: true }, (error, addresses = []) => {
    const { code, errno, message, syscall } = error ?? {}
    const failure = error === null ? null : { code, errno, message, syscall, hostname }
    process.stdout.write(JSON.stringify({ id, failure, addresses }) + "\\n")
  })
}).on("close", () => process.kill(process.pid, "SIGKILL"))
`

interface Answer {
  readonly id: number
  readonly failure: { readonly message: string } | null
  readonly addresses: Addresses
}

const start = (): ChildProcess =>
  spawn(process.execPath, [...process.execArgv.filter((one) => !one.startsWith("--inspect")), "-e", script], {
    // In a session of its own: Ctrl-C is not for it.
    detached: true,
    stdio: ["pipe", "pipe", "ignore"],
    // One name that hangs must not hold up the others.
    env: { ...process.env, UV_THREADPOOL_SIZE: "16" }
  })

/** By another process, which is there while it is needed; by `otherwise` if there can be none. */
const elsewhere = (otherwise: LookUp): LookUp => {
  interface Asked {
    readonly hostname: string
    readonly options: dns.LookupOptions
    readonly done: Done
  }
  const waiting = new Map<number, Asked>()
  let child: ChildProcess | undefined
  let rest: NodeJS.Timeout | undefined
  let lastId = 0

  const launch = (): ChildProcess => {
    const launched = start()
    const lost = () => {
      if (child !== launched) return
      child = undefined
      const left = [...waiting.values()]
      waiting.clear()
      for (const { done, hostname, options } of left) otherwise(hostname, options, done)
    }
    const retire = () => {
      child = undefined
      launched.kill("SIGKILL")
    }
    launched.once("error", lost).once("exit", lost)
    launched.stdin?.on("error", () => {})
    // Whatever the types say: a child for which no descriptor is left (EMFILE) comes without streams, and says so later.
    const stdout: Readable | null | undefined = launched.stdout
    if (stdout === null || stdout === undefined) return launched
    readline.createInterface({ input: stdout }).on("line", (line) => {
      const { addresses, failure, id }: Answer = JSON.parse(line)
      const asked = waiting.get(id)
      waiting.delete(id)
      if (waiting.size === 0) rest = setTimeout(retire, idle)
      asked?.done(failure === null ? null : Object.assign(new Error(failure.message), failure), addresses)
    })
    return launched
  }

  return (hostname, options, done) => {
    clearTimeout(rest)
    try {
      child ??= launch()
    } catch {
      // No memory for another process, or it is forbidden: unlike other failures this one is thrown.
      return otherwise(hostname, options, done)
    }
    lastId += 1
    waiting.set(lastId, { hostname, options, done })
    child.stdin?.write(`${JSON.stringify({ id: lastId, hostname, options })}\n`)
  }
}

/** Names for which nobody is asked. */
const isInHosts = (hostname: string): boolean => {
  try {
    return readFileSync("/etc/hosts", "utf8").split("\n").some((line) =>
      line.replace(/#.*/, "").trim().toLowerCase().split(/\s+/).slice(1).includes(hostname.toLowerCase())
    )
  } catch {
    return false
  }
}

/** Whether the name servers have an address of it, and answer soon for either family. */
const isKnown = (hostname: string): Promise<boolean> => {
  const resolver = new dns.Resolver({ timeout: patience, tries: 1 })
  const ask = (resolve: "resolve4" | "resolve6") =>
    new Promise<"has" | "has not" | "silent">((answer) => {
      resolver[resolve](hostname, (error) =>
        answer(
          error === null ? "has" : error.code === dns.NODATA || error.code === dns.NOTFOUND ? "has not" : "silent"
        ))
    })
  return new Promise<boolean>((resolve) => {
    const given = setTimeout(() => resolve(false), patience)
    void Promise.all([ask("resolve4"), ask("resolve6")]).then((answers) => {
      clearTimeout(given)
      resolve(answers.includes("has") && !answers.includes("silent"))
    })
  }).finally(() => resolver.cancel())
}

/** As `dns.lookup`, which is `within`. */
const make = (within: Lookup): Lookup => {
  const here: LookUp = (hostname, options, done) => within(hostname, { ...options, all: true }, done)
  const there = elsewhere(here)
  const find: LookUp = (hostname, options, done) => {
    if (isInHosts(hostname)) return here(hostname, options, done)
    void isKnown(hostname).then((known) => (known ? here : there)(hostname, options, done))
  }
  const lookup = (hostname: unknown, ...rest: ReadonlyArray<unknown>): void => {
    const callback = rest.at(-1)
    const given = rest.length > 1 ? rest[0] : {}
    const options = typeof given === "number" ? { family: given } : given
    // What is no name, or no call at all, is not for a name server.
    if (
      typeof hostname !== "string" || hostname === "" || isIP(hostname) !== 0 || typeof callback !== "function" ||
      typeof options !== "object" || options === null
    ) return Reflect.apply(within, dns, [hostname, ...rest])
    const { all, ...wanted }: dns.LookupOptions = options
    find(hostname, wanted, (error, addresses) => {
      if (error !== null) callback(error)
      else if (all === true) callback(null, addresses)
      else callback(null, addresses[0]?.address, addresses[0]?.family)
    })
  }
  return lookup as Lookup
}

/** All look-ups of this process from now on, whoever asks. */
export const install = (): void => {
  const lookup = make(dns.lookup)
  // `util.promisify` finds there how to answer.
  for (const key of Object.getOwnPropertySymbols(dns.lookup)) {
    Object.defineProperty(lookup, key, Object.getOwnPropertyDescriptor(dns.lookup, key) ?? {})
  }
  dns.lookup = lookup
  syncBuiltinESMExports()
}
