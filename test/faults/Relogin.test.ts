/**
 * Brokers that end a SASL session after a while (`connections.max.reauth.ms`): the connection stays, the client has to log in again
 * on it in time. No trade may notice.
 */
import { assert, describe, it } from "vitest"
import { brokenLaw, type Sample, sum, until } from "../e2e/Service.ts"
import { cleanups, ready, sentCount, stage, verify } from "../e2e/Stage.ts"
import { createTopic } from "../kafka/Admin.ts"
import * as FaultProxy from "../kafka/FaultProxy.ts"
import * as Jvm from "../kafka/Jvm.ts"
import { startBroker } from "./Outage.ts"

const short = process.env["FAULTS_SHORT"] === "1"

const password = "s3cret-Pa55word"

/** Lives of a session in seconds. An hour scaled down: what is left of it when the client logs in again does not depend on its length. */
const lives = short ? [6] : [6, 15, 60]

const reLogins = 10

/** Kafka's SaslHandshake: what each login begins with. */
const handshake = 17

const total = (samples: ReadonlyArray<Sample>, name: string, labels: Readonly<Record<string, string>> = {}): number =>
  samples.filter((sample) =>
    sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value)
  ).reduce((all, { value }) => all + value, 0)

describe("a SASL session that ends", () => {
  it(`lives of ${lives.join(", ")} s: ${reLogins} times logged in again, no send failed, no copy`, async () => {
    const proxies = await Promise.all(lives.map(() => FaultProxy.make()))
    cleanups.push(() => Promise.all(proxies.map((proxy) => proxy.close())))
    const ports = await Promise.all(lives.map(() => Jvm.freePort()))
    const listener = (life: number) => `FOR_${life}`
    const broker = await startBroker({
      listeners: Object.fromEntries(
        lives.map((life, i) => [
          listener(life),
          { protocol: "SASL_PLAINTEXT", port: ports[i] ?? 0, advertised: proxies[i]?.address ?? "" }
        ])
      ),
      properties: {
        "sasl.enabled.mechanisms": "PLAIN",
        ...Object.fromEntries(
          lives.flatMap((life) => {
            const prefix = `listener.name.${listener(life).toLowerCase()}.plain`
            return [
              [
                `${prefix}.sasl.jaas.config`,
                `org.apache.kafka.common.security.plain.PlainLoginModule required user_collector="${password}";`
              ],
              [`${prefix}.connections.max.reauth.ms`, `${life * 1_000}`]
            ]
          })
        )
      }
    })
    await Promise.all(lives.map(async (life, i) => {
      const proxy = proxies[i]
      if (proxy === undefined) return
      proxy.to(ports[i] ?? 0)
      const logins = new Map<number, number>()
      proxy.onRequest((connection, apiKey) => {
        if (apiKey === handshake) logins.set(connection, (logins.get(connection) ?? 0) + 1)
      })
      const again = () => Math.max(0, ...Array.from(logins.values(), (count) => count - 1))
      const s = await stage(proxy.address, 10)
      for (const topic of [s.topic, s.topic.replace("trade", "status")]) await createTopic(broker.address, topic)
      const service = s.start({
        KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT",
        KAFKA_SASL_MECHANISM: "PLAIN",
        KAFKA_SASL_USERNAME: "collector",
        KAFKA_SASL_PASSWORD: password
      })
      await ready(s)
      const stops = s.exchanges.map((exchange) => exchange.flood(20))
      await until(
        `${reLogins} re-logins of one connection, ${life} s each`,
        () => again() >= reLogins,
        (reLogins + 3) * life * 1_000,
        () => `${JSON.stringify([...logins])}\n${service.tail()}`
      )
      for (const stop of stops) stop()
      const rows = await service.settled(sentCount(s))
      assert.isUndefined(brokenLaw(rows))
      assert.isAbove(sum(rows, "delivered"), 40 * life)
      await verify(s, broker.address)
      const samples = await service.samples()
      const failures = samples.filter(({ name, value }) => name === "feeds_kafka_delivery_failures_total" && value > 0)
      assert.deepStrictEqual(failures, [], service.tail())
      // Each trade of it: none waited for longer.
      const lags = { stage: "receive_to_ack" }
      const all = total(samples, "feeds_lag_seconds_count", lags)
      assert.strictEqual(total(samples, "feeds_lag_seconds_bucket", { ...lags, le: "2.5" }), all)
      assert.isAtLeast(all, sentCount(s))
    }))
  }, 1_200_000)
})
