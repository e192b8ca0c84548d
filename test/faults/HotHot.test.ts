/**
 * Two collectors of the same markets, each of which misses something (docs/scaling.md): a consumer that takes each id once has every
 * trade, in order.
 */
import { rmSync } from "node:fs"
import { assert, describe, inject, it } from "vitest"
import type { FakeConnection } from "../../src/layers/testing/FakeConnection.ts"
import { type Service, until } from "../e2e/Service.ts"
import { cleanups, emit, ready, sentCount, stage, verify } from "../e2e/Stage.ts"
import { pause } from "./Outage.ts"

/** Trades that this life took from the exchanges, each once. */
const heardBy = async (service: Service) => {
  const samples = await service.samples()
  const total = (of: string) =>
    samples.filter(({ labels, name }) => name === `feeds_events_${of}_total` && labels["channel"] === "trades")
      .reduce((sum, { value }) => sum + value, 0)
  return total("received") - total("filtered")
}

describe("a hot-hot pair", () => {
  it("one loses its connections, the other its life: nothing is missing, what came twice has equal ids", async () => {
    const broker = inject("kafkaBroker")
    // No history: what one of them misses, only the other can bring.
    const s = await stage(broker, 12, 3, 0)
    const other = `${s.dataDir}-other`
    cleanups.push(() => rmSync(other, { recursive: true, force: true }))
    const doomed = s.start()
    await ready(s)
    const ofDoomed = new Set<FakeConnection>(s.exchanges.flatMap(({ server }) => [...server.connections]))
    const survivor = s.start({ DATA_DIR: other })
    const bothSubscribed = async () => {
      await until(
        "both are subscribed",
        () =>
          s.exchanges.every(({ server, tradable }) =>
            [...server.connections].reduce((total, { subscriptions }) => total + subscriptions.size, 0) ===
              2 * tradable.length
          ),
        20_000,
        () => `${doomed.tail(5)}\n${survivor.tail(5)}`
      )
      // Wallex's ids count within whole seconds, which both must have heard from the beginning (I2).
      await pause(1_100)
    }
    await bothSubscribed()
    await emit(s, 500)
    for (const { server } of s.exchanges) server.drop("reset", (connection) => !ofDoomed.has(connection))
    await emit(s, 300)
    await bothSubscribed()
    const before = await heardBy(survivor)
    await emit(s, 700)
    await until("the doomed has heard all", async () => await heardBy(doomed) >= sentCount(s), 20_000)
    const heardByDoomed = await heardBy(doomed)
    assert.deepStrictEqual(await doomed.stop("SIGKILL"), { code: null, signal: "SIGKILL" })
    await emit(s, 1_500)
    await until(
      "the survivor has delivered what it heard",
      async () => {
        const rows = await survivor.ledger()
        const open = rows.reduce((sum, { inFlight, queued }) => sum + inFlight + queued, 0)
        return open === 0 && await heardBy(survivor) >= before + 2_200
      },
      20_000,
      () => survivor.tail(5)
    )
    // The controls: either of them alone would have been short.
    assert.isBelow(await heardBy(survivor), sentCount(s))
    assert.isAtMost(heardByDoomed, sentCount(s) - 1_500)
    const records = await verify(s, broker, "allowed")
    const ids = new Set(records.map(({ headers }) => headers["id"]))
    assert.strictEqual(ids.size, sentCount(s))
    assert.isAbove(records.length, ids.size, "both have delivered")
  }, 120_000)
})
