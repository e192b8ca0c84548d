import { NodeContext } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as NodeKafka from "../../src/layers/node/Kafka.ts"
import type { Sasl, Security } from "../../src/services/producers/Kafkajs.ts"
import { createTopic } from "./Admin.ts"
import type * as Certificates from "./Certificates.ts"
import { readTopic } from "./Consumer.ts"
import { secret, SecureBroker } from "./SecureBroker.ts"
import { kafkaOf, laneOf, newTopic, optionsOf, recordOf } from "./TestBroker.ts"

const sasl = (
  mechanism: Sasl["mechanism"],
  more: { readonly username?: string; readonly password?: string } = {}
): Sasl => ({
  mechanism,
  username: more.username ?? "collector",
  password: Redacted.make(more.password ?? secret)
})

layer(SecureBroker.layer, { excludeTestServices: true, timeout: "2 minutes" })(
  "a broker with TLS, SASL and ACLs",
  (it) => {
    const setUp = (
      listener: "ssl" | "saslSsl" | "saslPlaintext" | "elsewhere" | "plain",
      security: (certificates: Certificates.Certificates) => Security
    ) =>
      Effect.gen(function*() {
        const { address, broker, certificates } = yield* SecureBroker
        const topic = newTopic()
        yield* Effect.promise(() => createTopic(broker.address, topic))
        const options = optionsOf(listener === "plain" ? broker.address : address[listener], {
          security: security(certificates)
        })
        const lane = yield* laneOf(options, topic)
        return { lane, options, read: Effect.promise(() => readTopic(broker.address, topic)) }
      })

    const ca = (certificates: Certificates.Certificates) => ({ ca: certificates.read("ca.pem") })

    it.scoped("TLS with a client certificate, read from files", () =>
      Effect.gen(function*() {
        const { certificates } = yield* SecureBroker
        const ssl = yield* NodeKafka.readSsl({
          ca: certificates.path("ca.pem"),
          certificate: certificates.path("client.crt"),
          key: certificates.path("client.key")
        }).pipe(Effect.provide(NodeContext.layer))
        const { lane, options, read } = yield* setUp("ssl", () => ({ protocol: "SSL", ssl }))
        yield* lane.send([recordOf("a", "1")])
        assert.strictEqual((yield* read).length, 1)
        yield* Effect.flatMap(kafkaOf(options), (kafka) => kafka.probe)
      }))

    for (const mechanism of ["PLAIN", "SCRAM-SHA-512"] as const) {
      for (const listener of ["saslSsl", "saslPlaintext"] as const) {
        it.scoped(`SASL ${mechanism} on ${listener}`, () =>
          Effect.gen(function*() {
            const { lane, read } = yield* setUp(listener, (certificates) =>
              listener === "saslSsl"
                ? { protocol: "SASL_SSL", sasl: sasl(mechanism), ssl: ca(certificates) }
                : { protocol: "SASL_PLAINTEXT", sasl: sasl(mechanism) })
            yield* lane.send([recordOf("a", "1")])
            assert.strictEqual((yield* read).length, 1)
          }))
      }
    }

    const refusals: ReadonlyArray<
      readonly [
        name: string,
        reason: string,
        listener: Parameters<typeof setUp>[0],
        security: Parameters<typeof setUp>[1]
      ]
    > = [
      ["a wrong password (PLAIN)", "authentication", "saslPlaintext", () => ({
        protocol: "SASL_PLAINTEXT",
        sasl: sasl("PLAIN", { password: "wrong-Pa55word" })
      })],
      ["a wrong password (SCRAM)", "authentication", "saslPlaintext", () => ({
        protocol: "SASL_PLAINTEXT",
        sasl: sasl("SCRAM-SHA-512", { password: "wrong-Pa55word" })
      })],
      ["an unknown user", "authentication", "saslPlaintext", () => ({
        protocol: "SASL_PLAINTEXT",
        sasl: sasl("SCRAM-SHA-512", { username: "nobody" })
      })],
      ["a mechanism that is off", "authentication", "saslPlaintext", () => ({
        protocol: "SASL_PLAINTEXT",
        sasl: sasl("SCRAM-SHA-256")
      })],
      ["SASL on a plain port", "authentication", "plain", () => ({ protocol: "SASL_PLAINTEXT", sasl: sasl("PLAIN") })],
      ["an untrusted authority", "tls", "saslSsl", () => ({ protocol: "SASL_SSL", sasl: sasl("PLAIN") })],
      [
        "a certificate for another host",
        "tls",
        "elsewhere",
        (certificates) => ({ protocol: "SSL", ssl: ca(certificates) })
      ],
      ["no client certificate", "tls", "ssl", (certificates) => ({ protocol: "SSL", ssl: ca(certificates) })],
      ["no right to write", "authorization", "saslPlaintext", () => ({
        protocol: "SASL_PLAINTEXT",
        sasl: sasl("PLAIN", { username: "reader" })
      })]
    ]
    for (const [name, reason, listener, security] of refusals) {
      it.scoped(`${name}: unavailable, ${reason}, in one line without secrets`, () =>
        Effect.gen(function*() {
          const { lane } = yield* setUp(listener, security)
          const failure = yield* Effect.flip(lane.send([recordOf("a", "1")]))
          assert.deepStrictEqual([failure._tag, failure.reason], ["ProducerUnavailable", reason], failure.message)
          assert.notMatch(failure.message, /Pa55word|\n/)
          assert.isAbove(failure.message.length, 10)
          // A second attempt says the same: the first has left nothing half-made.
          assert.strictEqual((yield* Effect.flip(lane.send([recordOf("a", "1")]))).reason, reason)
        }))
    }
  }
)
