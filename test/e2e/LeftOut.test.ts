/** Markets that the built service cannot collect, by their names: told wherever somebody may look. */
import { assert, it } from "vitest"
import { ensureBundle } from "../support/bundle.ts"
import { until } from "./Service.ts"
import { emit, sentCount, stage } from "./Stage.ts"

it(
  "names that do not fit are told once in the log, in the status, and in an event; the others are delivered",
  async () => {
    ensureBundle()
    const s = await stage("127.0.0.1:1", 3)
    const names = [["H100-AI", "IRT"], ["BTC.d", "IRT"], ["$WIF", "USDT"], ["تتر", "IRT"]] as const
    const leftOut = names.map(([base, quote]) => s.bitpin.addMarket({ base, quote, price: "1" }))
    const service = s.start({ SINK: "stdout", MARKETS: "*,NONE/IRT" })
    const status = async () => JSON.parse((await service.get("/api/status")).body)
    await until(
      "a list",
      async () => {
        const { exchanges } = await status()
        return exchanges[0].leftOut.length > 0
      },
      20_000,
      () => service.tail()
    )
    const { exchanges, health } = await status()
    assert.deepStrictEqual(exchanges.map(({ leftOut }: { leftOut: unknown }) => leftOut), [leftOut, []])
    assert.notStrictEqual(health.checks.bitpin_api.status, "unhealthy")
    await until("its markets are subscribed", () => s.bitpin.subscribed === 3, 20_000)
    await s.wallex.ready()
    await emit(s, 60)
    const printed = () =>
      service.lines.filter((line) => line.startsWith("{\"") && line.includes("\"v\":1")).map((line) => JSON.parse(line))
    await until(
      "all are printed",
      () => printed().filter(({ type }) => type === "trade").length >= sentCount(s),
      20_000,
      () => service.tail()
    )
    const told = service.lines.filter((line) => line.includes("markets are left out"))
    assert.lengthOf(told, 1)
    for (const name of leftOut) assert.include(told[0], name)
    const events = printed().filter(({ event, exchange }) => event === "markets" && exchange === "bitpin")
    assert.deepStrictEqual(events.map(({ chosen, leftOut, listed, reason }) => ({ chosen, leftOut, listed, reason })), [
      { chosen: 3, leftOut, listed: 7, reason: "left_out" },
      { chosen: 3, leftOut, listed: 7, reason: "unmatched" }
    ])
    assert.lengthOf(service.lines.filter((line) => line.includes("nothing is found by NONE/IRT")), 2, "one an exchange")
  },
  120_000
)
