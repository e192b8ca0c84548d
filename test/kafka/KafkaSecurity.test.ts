import { NodeContext } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import * as NodeKafka from "../../src/layers/NodeKafka.ts"
import type { Sasl, Security } from "../../src/services/KafkaProducer.ts"
import { createTopic } from "./Admin.ts"
import * as Broker from "./Broker.ts"
import * as Certificates from "./Certificates.ts"
import { readTopic } from "./Consumer.ts"
import * as Jvm from "./Jvm.ts"
import { kafkaOf, laneOf, newTopic, optionsOf, recordOf } from "./TestBroker.ts"

const secret = "s3cret-Pa55word"

/** With TLS, SASL and ACLs; over its plain listener everything is allowed. */
class SecureBroker extends Context.Tag("test/kafka/SecureBroker")<SecureBroker, {
  readonly broker: Broker.Broker
  readonly certificates: Certificates.Certificates
  readonly address: Readonly<Record<"ssl" | "saslSsl" | "saslPlaintext" | "elsewhere", string>>
}>() {
  static readonly layer: Layer.Layer<SecureBroker> = Layer.scoped(
    SecureBroker,
    Effect.gen(function*() {
      const certificates = yield* Effect.promise(() => Certificates.make())
      const [ssl, saslSsl, saslPlaintext, elsewhere] = yield* Effect.promise(() =>
        Promise.all([Jvm.freePort(), Jvm.freePort(), Jvm.freePort(), Jvm.freePort()])
      )
      const module = (name: string) => `org.apache.kafka.common.security.${name}LoginModule required`
      const users = [`user_collector="${secret}"`, `user_reader="${secret}"`].join(" ")
      const broker = yield* Effect.acquireRelease(
        Effect.promise(() =>
          Broker.make({
            format: ["--add-scram", `SCRAM-SHA-512=[name=collector,password=${secret}]`],
            listeners: {
              SSL: { protocol: "SSL", port: ssl },
              SASL_SSL: { protocol: "SASL_SSL", port: saslSsl },
              SASL_PLAINTEXT: { protocol: "SASL_PLAINTEXT", port: saslPlaintext },
              ELSEWHERE: { protocol: "SSL", port: elsewhere }
            },
            properties: {
              "ssl.keystore.type": "PEM",
              "ssl.keystore.location": certificates.path("server.pem"),
              "ssl.truststore.type": "PEM",
              "ssl.truststore.location": certificates.path("ca.pem"),
              "listener.name.ssl.ssl.client.auth": "required",
              "listener.name.elsewhere.ssl.keystore.type": "PEM",
              "listener.name.elsewhere.ssl.keystore.location": certificates.path("elsewhere.pem"),
              "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
              "listener.name.sasl_ssl.plain.sasl.jaas.config": `${module("plain.Plain")} ${users};`,
              "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": `${module("scram.Scram")};`,
              "listener.name.sasl_plaintext.plain.sasl.jaas.config": `${module("plain.Plain")} ${users};`,
              "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config": `${module("scram.Scram")};`,
              "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
              "super.users": "User:ANONYMOUS;User:CN=client;User:collector"
            }
          })
        ),
        (broker) => Effect.promise(() => broker.stop().then(() => broker.remove()))
      )
      yield* Effect.promise(() => broker.start())
      return {
        broker,
        certificates,
        address: {
          ssl: `127.0.0.1:${ssl}`,
          saslSsl: `localhost:${saslSsl}`,
          saslPlaintext: `127.0.0.1:${saslPlaintext}`,
          elsewhere: `127.0.0.1:${elsewhere}`
        }
      }
    })
  )
}

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
          assert.deepStrictEqual([failure._tag, failure.reason], ["KafkaUnavailable", reason], failure.message)
          assert.notMatch(failure.message, /Pa55word|\n/)
          assert.isAbove(failure.message.length, 10)
          // A second attempt says the same: the first has left nothing half-made.
          assert.strictEqual((yield* Effect.flip(lane.send([recordOf("a", "1")]))).reason, reason)
        }))
    }
  }
)
