/**
 * Login and certificates of all clients of one program. They may be changed while it runs (a mounted secret, a certificate that is
 * renewed each month): after a refusal they are read again before the next client is made.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { KafkaConfig } from "kafkajs"
import * as Complaint from "../../Complaint.ts"
import type { ProducerRejected, ProducerUnavailable } from "../../Producer.ts"
import { isRefusal } from "./classify.ts"

/**
 * A login.
 *
 * @since 0.1.0
 * @category options
 */
export interface Sasl {
  readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512"
  readonly username: string
  readonly password: Redacted.Redacted<string>
}

/**
 * TLS to the brokers, each as PEM text.
 *
 * @since 0.1.0
 * @category options
 */
export interface Ssl {
  /** Trusted certificates; Node's own list if absent. */
  readonly ca?: string | undefined
  /** For brokers that ask clients for one. */
  readonly certificate?: string | undefined
  readonly key?: Redacted.Redacted<string> | undefined
}

/**
 * How brokers are spoken to. `sasl` and `ssl` are used where `protocol` says so.
 *
 * @since 0.1.0
 * @category options
 */
export interface Security {
  readonly protocol: "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL"
  readonly sasl?: Sasl | undefined
  readonly ssl?: Ssl | undefined
}

export interface Secrets {
  /** As of now. A new object for each client: kafkajs writes into it. */
  readonly sasl: () => KafkaConfig["sasl"] | undefined
  /** As of now; undefined without TLS. */
  readonly ssl: () => KafkaConfig["ssl"] | undefined
  /** A client failed so: if it was for its login or a certificate, `renewed` has something to do. */
  readonly failed: (failure: ProducerUnavailable | ProducerRejected) => void
  /** To be run before a client is made: reads them again if the last were refused. What cannot be read stays as it is, and is told. */
  readonly renewed: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function*(
  first: Security,
  readAgain: Effect.Effect<Security, { readonly message: string }> | undefined
): Effect.fn.Return<Secrets> {
  const complaint = Complaint.make()
  const reading = yield* Effect.makeSemaphore(1)
  let current = first
  let refused = false
  const renewed = readAgain === undefined ? Effect.void : reading.withPermits(1)(Effect.suspend(() => {
    if (!refused) return Effect.void
    refused = false
    return Effect.matchEffect(readAgain, {
      onFailure: ({ message }) => {
        // The next client tries again, whatever it is refused for: this one goes with what was refused before.
        refused = true
        return complaint.tell("Kafka's login and certificates cannot be read again", { error: message })
      },
      onSuccess: (next) => {
        const changed = textOf(next) !== textOf(current)
        current = next
        return Effect.andThen(
          complaint.over("Kafka's login and certificates can be read again", {}),
          changed ? Effect.logInfo("Kafka's login or certificates have changed and are used from now on") : Effect.void
        )
      }
    })
  }))
  return {
    sasl: () => current.protocol.startsWith("SASL_") ? saslOf(current) : undefined,
    ssl: () => current.protocol.endsWith("SSL") ? tlsOf(current) : undefined,
    failed: (failure) => {
      if (isRefusal(failure)) refused = true
    },
    renewed
  }
})

// internal

/** To see whether anything has changed; never shown. */
const textOf = (security: Security): string => JSON.stringify([saslOf(security), tlsOf(security)])

const tlsOf = ({ ssl = {} }: Security): NonNullable<KafkaConfig["ssl"]> => {
  const { ca, certificate, key } = ssl
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { cert: certificate }),
    ...(key === undefined ? {} : { key: Redacted.value(key) })
  }
}

const saslOf = ({ sasl }: Security): KafkaConfig["sasl"] | undefined => {
  if (sasl === undefined) return undefined
  const secret = { username: sasl.username, password: Redacted.value(sasl.password) }
  switch (sasl.mechanism) {
    case "PLAIN":
      return { mechanism: "plain", ...secret }
    case "SCRAM-SHA-256":
      return { mechanism: "scram-sha-256", ...secret }
    case "SCRAM-SHA-512":
      return { mechanism: "scram-sha-512", ...secret }
  }
}
