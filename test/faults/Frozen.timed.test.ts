/** A broker that takes connections and answers nothing (SIGSTOP): the queue has to take over in time, so nothing else may run meanwhile. */
import { assert, describe, it } from "vitest"
import { brokenLaw, type Service, sum, until } from "../e2e/Service.ts"
import { emit, ready, sentCount, stage, verify } from "../e2e/Stage.ts"
import { flow, pause, startBroker } from "./Outage.ts"

const queued = async (service: Service): Promise<number> => sum(await service.ledger(), "queued")

const kafkaOf = async (service: Service): Promise<{ readonly status: string; readonly message?: string }> =>
  JSON.parse((await service.get("/health")).body).checks.kafka

describe("a frozen broker", () => {
  it("for 20 s: on disk within 1.5 s, nothing lost, memory bounded, delivery resumes by itself", async () => {
    const broker = await startBroker()
    const s = await stage(broker.address)
    const service = s.start()
    await ready(s)
    await emit(s, 2_000)
    await service.settled(sentCount(s))
    await broker.freeze()
    const flowing = flow(s, 2_000, 20_000)
    const began = performance.now()
    await until("the queue takes over", async () => (await queued(service)) > 0, 5_000, () => service.tail())
    // From the first trade that a frozen broker was given: the first burst comes 20 ms after the freeze.
    assert.isBelow(performance.now() - began, 1_500, "ms until the early spill (docs/design/delivery.md H3)")
    await flowing
    assert.strictEqual((await kafkaOf(service)).status, "unhealthy")
    assert.strictEqual((await service.get("/health/ready")).status, 200)
    broker.thaw()
    await emit(s, 1_000)
    assert.isUndefined(brokenLaw(await service.settled(sentCount(s))))
    await verify(s, broker.address, "allowed")
    assert.isBelow(service.peakRss, 250, "MiB")
  }, 120_000)

  it("before we ever connected: delivery begins by itself after the thaw", async () => {
    const broker = await startBroker()
    await broker.freeze()
    const s = await stage(broker.address)
    const service = s.start()
    await ready(s)
    await emit(s, 1_000)
    await until("queued", async () => (await queued(service)) >= sentCount(s), 20_000, () => service.tail())
    // Long enough for connections that are dialled while it stands still.
    await pause(12_000)
    broker.thaw()
    await emit(s, 1_000)
    assert.isUndefined(brokenLaw(await service.settled(sentCount(s))))
    await verify(s, broker.address, "allowed")
  }, 120_000)
})
