/**
 * What a broker refuses for want of trust or rights is an outage: told in one line by `/health`, queued, and delivered once it is
 * mended (DELIVERY.md H5).
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from "kafkajs"
import { brokenLaw, type Service, sum, until } from "../e2e/Service.ts"
import { emit, ready, sentCount, type Stage, stage, verify } from "../e2e/Stage.ts"
import { createTopic, withAdmin } from "../kafka/Admin.ts"
import * as Jvm from "../kafka/Jvm.ts"
import { secret, SecureBroker } from "../kafka/SecureBroker.ts"

/** Everything is on disk, and `/health` says why. */
const refused = async (s: Stage, service: Service, why: RegExp): Promise<void> => {
  await ready(s)
  await emit(s, 1_000)
  await until(
    "everything is queued",
    async () => {
      const rows = await service.ledger()
      return sum(rows, "queued") >= sentCount(s) && sum(rows, "inFlight") === 0
    },
    30_000,
    () => service.tail()
  )
  let text = ""
  await until(
    "health tells",
    async () => {
      text = (await service.get("/health")).body
      const health = JSON.parse(text)
      return health.status === "degraded" && health.checks.kafka.status === "unhealthy" &&
        why.test(health.checks.kafka.message)
    },
    30_000,
    () => text
  )
  const { message } = JSON.parse(text).checks.kafka
  assert.notMatch(message, /\n|Pa55word/, "one line, no secrets")
  assert.strictEqual((await service.get("/health/ready")).status, 200)
}

/** Once mended, all of it arrives, and `/health` is well again. */
const mended = async (s: Stage, service: Service, address: string, received: number): Promise<void> => {
  assert.isUndefined(brokenLaw(await service.settled(received)))
  await verify(s, address, "allowed")
  await until(
    "healthy",
    async () => JSON.parse((await service.get("/health")).body).status === "healthy",
    30_000,
    () => service.tail()
  )
}

layer(SecureBroker.layer, { excludeTestServices: true, timeout: "2 minutes" })("a broker that refuses", (it) => {
  const test = (
    name: string,
    body: (broker: {
      readonly plain: string
      readonly address: SecureBroker["Type"]["address"]
      readonly certificates: SecureBroker["Type"]["certificates"]
    }) => Promise<void>
  ) =>
    it.effect(
      name,
      () =>
        Effect.flatMap(SecureBroker, ({ address, broker, certificates }) =>
          Effect.promise(() =>
            body({ plain: broker.address, address, certificates })
          )),
      120_000
    )

  test("a wrong password: queued, told, delivered when the broker knows it", async ({ address, plain }) => {
    await Jvm.setPassword(plain, "latecomer", "another-Pa55word")
    const s = await stage(address.saslPlaintext, 3)
    const service = s.start({
      KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT",
      KAFKA_SASL_MECHANISM: "SCRAM-SHA-512",
      KAFKA_SASL_USERNAME: "latecomer",
      KAFKA_SASL_PASSWORD: secret
    })
    await refused(s, service, /authentication/i)
    await Jvm.setPassword(plain, "latecomer", secret)
    await mended(s, service, plain, sentCount(s))
  })

  test("no right to write: queued, told, delivered when it is given", async ({ address, plain }) => {
    const s = await stage(address.saslPlaintext, 3)
    for (const topic of [s.topic, s.topic.replace("trade", "status")]) await createTopic(plain, topic)
    const service = s.start({
      KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT",
      KAFKA_SASL_MECHANISM: "PLAIN",
      KAFKA_SASL_USERNAME: "reader",
      KAFKA_SASL_PASSWORD: secret
    })
    await refused(s, service, /authori[sz]/i)
    await withAdmin(plain, (admin) =>
      admin.createAcls({
        acl: [{
          resourceType: AclResourceTypes.TOPIC,
          resourceName: s.topic.replace(".trade.v1", ""),
          resourcePatternType: ResourcePatternTypes.PREFIXED,
          principal: "User:reader",
          host: "*",
          operation: AclOperationTypes.ALL,
          permissionType: AclPermissionTypes.ALLOW
        }]
      }))
    await mended(s, service, plain, sentCount(s))
  })

  test("TLS with a certificate of our own: delivered", async ({ address, certificates, plain }) => {
    const s = await stage(address.ssl, 3)
    const service = s.start({
      KAFKA_SECURITY_PROTOCOL: "SSL",
      KAFKA_SSL_CA_LOCATION: certificates.path("ca.pem"),
      KAFKA_SSL_CERTIFICATE_LOCATION: certificates.path("client.crt"),
      KAFKA_SSL_KEY_LOCATION: certificates.path("client.key")
    })
    await ready(s)
    await emit(s, 200)
    await mended(s, service, plain, sentCount(s))
  })

  test("an authority we do not trust: queued, told, delivered after a restart with the right one", async ({ address, certificates, plain }) => {
    const s = await stage(address.saslSsl, 3)
    const env = {
      KAFKA_SECURITY_PROTOCOL: "SASL_SSL",
      KAFKA_SASL_MECHANISM: "SCRAM-SHA-512",
      KAFKA_SASL_USERNAME: "collector",
      KAFKA_SASL_PASSWORD: secret
    }
    const first = s.start(env)
    await refused(s, first, /certificate/i)
    const before = sentCount(s)
    assert.deepStrictEqual(await first.stop(), { code: 0, signal: null })
    const second = s.start({ ...env, KAFKA_SSL_CA_LOCATION: certificates.path("ca.pem") })
    await ready(s)
    await emit(s, 200)
    await mended(s, second, plain, sentCount(s) - before)
  })
})
