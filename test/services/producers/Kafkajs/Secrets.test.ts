import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Redacted } from "effect"
import { unavailable } from "../../../../src/services/producers/Kafkajs/classify.ts"
import * as Secrets from "../../../../src/services/producers/Kafkajs/Secrets.ts"

const login = (password: string): Secrets.Security => ({
  protocol: "SASL_SSL",
  sasl: { mechanism: "PLAIN", username: "collector", password: Redacted.make(password) },
  ssl: { ca: `authority of ${password}` }
})

/** What the source has, how often it was read, and what was logged. */
const source = (first: string) => {
  const logged: Array<unknown> = []
  const state = { text: first as string | undefined, reads: 0 }
  const again = Effect.suspend(() => {
    state.reads += 1
    return state.text === undefined ? Effect.fail({ message: "gone" }) : Effect.succeed(login(state.text))
  })
  const logger = Logger.make(({ logLevel, message }) => {
    logged.push(`${logLevel.label} ${String(message)}`)
  })
  return { again, logged, logs: Logger.replace(Logger.defaultLogger, logger), state }
}

describe("secrets", () => {
  const wrong = unavailable("authentication", "SASL PLAIN authentication failed")

  it.effect("are read again after a refusal of login or certificate, once, and after no other failure", () => {
    const { again, logged, logs, state } = source("old")
    return Effect.gen(function*() {
      const secrets = yield* Secrets.make(login("old"), again)
      state.text = "new"
      for (const reason of ["connection", "timeout", "authorization", "topic", "cluster"] as const) {
        secrets.failed(unavailable(reason, "x"))
      }
      yield* secrets.renewed
      assert.deepInclude(secrets.sasl(), { password: "old" })
      assert.strictEqual(state.reads, 0)
      for (const reason of ["authentication", "tls"] as const) {
        secrets.failed(unavailable(reason, "x"))
        yield* Effect.all([secrets.renewed, secrets.renewed], { concurrency: "unbounded" })
      }
      assert.strictEqual(state.reads, 2)
      assert.deepStrictEqual(secrets.sasl(), { mechanism: "plain", username: "collector", password: "new" })
      assert.deepStrictEqual(secrets.ssl(), { ca: "authority of new" })
      assert.deepStrictEqual(logged, ["INFO Kafka's login or certificates have changed and are used from now on"])
    }).pipe(Effect.provide(logs))
  })

  it.effect("that cannot be read stay as they were, which is told once, and are tried again with the next client", () => {
    const { again, logged, logs, state } = source("old")
    return Effect.gen(function*() {
      const secrets = yield* Secrets.make(login("old"), again)
      state.text = undefined
      secrets.failed(wrong)
      for (let client = 0; client < 3; client++) yield* secrets.renewed
      assert.strictEqual(state.reads, 3)
      assert.deepInclude(secrets.sasl(), { password: "old" })
      state.text = "new"
      yield* secrets.renewed
      yield* secrets.renewed
      assert.strictEqual(state.reads, 4)
      assert.deepInclude(secrets.sasl(), { password: "new" })
      assert.deepStrictEqual(logged.filter((line) => String(line).startsWith("WARN")), [
        "WARN Kafka's login and certificates cannot be read again"
      ])
    }).pipe(Effect.provide(logs))
  })

  it.effect("are given only to a protocol that wants them, to each client in an object of its own", () =>
    Effect.gen(function*() {
      const plain = yield* Secrets.make({ ...login("old"), protocol: "PLAINTEXT" }, undefined)
      assert.deepStrictEqual([plain.sasl(), plain.ssl()], [undefined, undefined])
      const both = yield* Secrets.make(login("old"), undefined)
      assert.notStrictEqual(both.sasl(), both.sasl())
      both.failed(wrong)
      yield* both.renewed
    }))
})
