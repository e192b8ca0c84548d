/**
 * The built service whose files somebody takes away while it runs: a cleaner of `/tmp`, a hand in the wrong directory. Kafka is away, and
 * the exchanges keep no histories: nothing but the queue has what was received.
 */
import { existsSync, readdirSync, rmSync } from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "vitest"
import { brokenLaw, type Service, sum, until } from "../e2e/Service.ts"
import { emit, ready, sentCount, type Stage, stage, verify } from "../e2e/Stage.ts"
import { startBroker } from "./Outage.ts"

const empty = (directory: string): void => {
  for (const name of readdirSync(directory)) rmSync(path.join(directory, name), { recursive: true, force: true })
}

/** Files of all lanes' queues. */
const segments = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".seg"))
    .map((name) => path.join(directory, name))

/** Of all that was sent. */
const onDisk = (s: Stage, service: Service) =>
  until(
    "all is on disk",
    async () => {
      const rows = await service.ledger()
      return sum(rows, "received") - sum(rows, "filtered") >= sentCount(s) && sum(rows, "inFlight") === 0
    },
    60_000,
    () => service.tail()
  )

const scene = async () => {
  const broker = await startBroker()
  const s = await stage(broker.address, 6, 3, 0)
  const service = s.start()
  await ready(s)
  await emit(s, 200)
  await service.settled(sentCount(s))
  await broker.kill()
  await emit(s, 400)
  await onDisk(s, service)
  return { broker, s, service }
}

describe("DATA_DIR is emptied while it runs", () => {
  it("Kafka is back before anything else comes: what was on disk is delivered, and it goes on", async () => {
    const { broker, s, service } = await scene()
    empty(s.dataDir)
    await broker.start()
    await service.settled(sentCount(s), 120_000)
    await emit(s, 200)
    const rows = await service.settled(sentCount(s), 120_000)
    assert.isUndefined(brokenLaw(rows))
    assert.strictEqual(sum(rows, "dropped"), 0)
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null }, service.tail())
    await verify(s, broker.address, "allowed")
  }, 240_000)

  it("something comes first: the file of the queue is there again, and outlives a kill", async () => {
    const { broker, s, service } = await scene()
    const files = segments(s.dataDir)
    assert.isTrue(files.some((file) => file.includes(".trade.v1")))
    empty(s.dataDir)
    // Whether it is there is looked at once a second, by each lane for itself: killed before, a lane of which nothing came has lost what it had.
    await until(
      "it is there again",
      async () => {
        await emit(s, 20)
        return files.every((file) => existsSync(file)) &&
          service.lines.some((line) => line.includes("it is there again") && line.includes(".trade.v1"))
      },
      30_000,
      () => service.tail()
    )
    await emit(s, 200)
    await onDisk(s, service)
    assert.deepStrictEqual(await service.stop("SIGKILL"), { code: null, signal: "SIGKILL" })
    await broker.start()
    const next = s.start()
    await ready(s)
    const rows = await next.settled(0, 120_000)
    assert.isUndefined(brokenLaw(rows))
    assert.deepStrictEqual(next.lines.filter((line) => line.includes("damaged")), [])
    await verify(s, broker.address, "allowed")
  }, 240_000)
})
