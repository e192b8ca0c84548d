/**
 * One broker with TLS, SASL and ACLs, for the tests that need it. Over its plain listener everything is allowed.
 */
import { Context, Effect, Layer } from "effect"
import * as Broker from "./Broker.ts"
import * as Certificates from "./Certificates.ts"
import * as Jvm from "./Jvm.ts"

/** Of each user. */
export const secret = "s3cret-Pa55word"

/** `collector` may do everything, and so may `latecomer`, who has no password yet; `reader` nothing but log in. */
export class SecureBroker extends Context.Tag("test/kafka/SecureBroker")<SecureBroker, {
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
              "super.users": "User:ANONYMOUS;User:CN=client;User:collector;User:latecomer"
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
