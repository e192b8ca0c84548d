/** A system that lets us make no other process (ENOMEM, seccomp): that is thrown, where most failures of `spawn` come later. */
import dns from "node:dns"
import { afterEach, assert, describe, it, vi } from "vitest"
import * as Names from "../../../../src/layers/cli/Names.ts"
import * as Watchdog from "../../../../src/layers/cli/Process/Watchdog.ts"

vi.mock("node:child_process", () => ({
  spawn: () => {
    throw Object.assign(new Error("spawn ENOMEM"), { code: "ENOMEM" })
  }
}))

const original = dns.lookup
afterEach(() => {
  dns.lookup = original
})

describe("without another process", () => {
  it("a stop has no watchdog, and goes on", () => {
    Watchdog.start(1_000).hurry()
  })

  it("names are looked up by this one", async () => {
    // A name that no server is asked for in vain: this machine has none that answers for it soon.
    dns.lookup =
      ((_: string, __: object, done: (error: null, found: ReadonlyArray<dns.LookupAddress>) => void) =>
        done(null, [{ address: "127.0.0.9", family: 4 }])) as unknown as typeof dns.lookup
    Names.install()
    const found = await new Promise((resolve, reject) =>
      dns.lookup("nobody-knows.invalid", { all: true }, (error, all) => error === null ? resolve(all) : reject(error))
    )
    assert.deepStrictEqual(found, [{ address: "127.0.0.9", family: 4 }])
  })
})
