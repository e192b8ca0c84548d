/**
 * What a broker refuses for want of trust or rights is an outage: told in one line by `/health`, queued, and delivered once it is
 * mended (docs/design/delivery.md H5).
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from "kafkajs"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { brokenLaw, type Service, sum, until } from "../e2e/Service.ts"
import { cleanups, emit, ready, sentCount, type Stage, stage, verify } from "../e2e/Stage.ts"
import { createTopic, withAdmin } from "../kafka/Admin.ts"
import * as Jvm from "../kafka/Jvm.ts"
import { secret, SecureBroker } from "../kafka/SecureBroker.ts"

/** Everything since then is on disk, and `/health` says why. */
const refused = async (s: Stage, service: Service, why: RegExp, delivered = 0): Promise<void> => {
  await ready(s)
  await emit(s, 1_000)
  await until(
    "everything is queued",
    async () => {
      const rows = await service.ledger()
      return sum(rows, "queued") >= sentCount(s) - delivered && sum(rows, "inFlight") === 0
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
      readonly broker: SecureBroker["Type"]["broker"]
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
            body({ broker, plain: broker.address, address, certificates })
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

  /** Files of the test's own, to be changed while the service runs. */
  const files = (contents: Readonly<Record<string, string>>) => {
    const directory = mkdtempSync(path.join(tmpdir(), "feeds-secrets-"))
    cleanups.push(() => rmSync(directory, { recursive: true, force: true }))
    const at = (name: string) => path.join(directory, name)
    const write = (name: string, text: string) => writeFileSync(at(name), text)
    for (const [name, text] of Object.entries(contents)) write(name, text)
    return { at, write }
  }

  test("a password file that is mended, then rotated on both sides: delivered without a restart", async ({ address, broker, plain }) => {
    const { at, write } = files({ password: "not-the-Pa55word" })
    await Jvm.setPassword(plain, "latecomer", secret)
    const s = await stage(address.saslPlaintext, 3)
    const service = s.start({
      KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT",
      KAFKA_SASL_MECHANISM: "SCRAM-SHA-512",
      KAFKA_SASL_USERNAME: "latecomer",
      KAFKA_SASL_PASSWORD_FILE: at("password")
    })
    await refused(s, service, /authentication/i)
    write("password", `${secret}\n`)
    await mended(s, service, plain, sentCount(s))
    const before = sentCount(s)
    await Jvm.setPassword(plain, "latecomer", "the-next-Pa55word")
    // Who is logged in stays so: the broker's restart ends all connections.
    await broker.stop()
    await broker.start()
    await refused(s, service, /authentication/i, before)
    write("password", "the-next-Pa55word")
    await mended(s, service, plain, sentCount(s))
    assert.notInclude(service.lines.join("\n"), "Pa55word")
  })

  test("an authority and a certificate that are replaced, one file after the other: delivered without a restart", async ({ address, certificates, plain }) => {
    const other = certificates.read("elsewhere.crt")
    const { at, write } = files({
      "ca.pem": other,
      "client.crt": other,
      "client.key": certificates.read("elsewhere.key")
    })
    const s = await stage(address.ssl, 3)
    for (const topic of [s.topic, s.topic.replace("trade", "status")]) await createTopic(plain, topic)
    const service = s.start({
      KAFKA_SECURITY_PROTOCOL: "SSL",
      KAFKA_SSL_CA_LOCATION: at("ca.pem"),
      KAFKA_SSL_CERTIFICATE_LOCATION: at("client.crt"),
      KAFKA_SSL_KEY_LOCATION: at("client.key")
    })
    await refused(s, service, /certificate/i)
    const [begin = "", ...rest] = certificates.read("client.crt").split("\n")
    // As an editor writes it, and as a rotation in two steps leaves it: half a file, then a certificate with another one's key.
    write("ca.pem", certificates.read("ca.pem"))
    write("client.crt", begin)
    await refused(s, service, /PEM|error:/)
    write("client.crt", [begin, ...rest].join("\n"))
    await refused(s, service, /key values mismatch/)
    write("client.key", certificates.read("client.key"))
    await mended(s, service, plain, sentCount(s))
  })
})
