/**
 * Two collectors of the same markets, one of them killed half-way (docs/scaling.md): a consumer that takes each id once has every
 * trade, in order.
 */
import { rmSync } from "node:fs"
import { assert, describe, inject, it } from "vitest"
import { sum, until } from "../e2e/Service.ts"
import { cleanups, emit, ready, sentCount, stage, verify } from "../e2e/Stage.ts"
import { pause } from "./Outage.ts"

describe("a hot-hot pair", () => {
  it("one is killed half-way: nothing is missing, what came twice has equal ids", async () => {
    const broker = inject("kafkaBroker")
    // No history: what one of them misses, only the other can bring.
    const s = await stage(broker, 12, 3, 0)
    const other = `${s.dataDir}-other`
    cleanups.push(() => rmSync(other, { recursive: true, force: true }))
    const doomed = s.start()
    const survivor = s.start({ DATA_DIR: other })
    await ready(s)
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
    await emit(s, 1_500)
    const heard = sum(await doomed.ledger(), "received")
    assert.isAbove(heard, 0)
    await emit(s, 500)
    assert.deepStrictEqual(await doomed.stop("SIGKILL"), { code: null, signal: "SIGKILL" })
    await emit(s, 1_500)
    // The control: alone, it would have been short of these.
    assert.isBelow(heard, sentCount(s))
    await survivor.settled(sentCount(s))
    const records = await verify(s, broker, "allowed")
    const ids = new Set(records.map(({ headers }) => headers["id"]))
    assert.strictEqual(ids.size, sentCount(s))
    assert.isAbove(records.length, ids.size, "the other has delivered too")
  }, 120_000)
})
