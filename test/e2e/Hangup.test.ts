/**
 * SIGHUP of the real process: by hand while Kafka stands still, and from real terminals that close (`script` holds them).
 */
import { spawn } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { assert, beforeAll, describe, it } from "vitest"
import { startBroker } from "../faults/Outage.ts"
import { bundle, ensureBundle } from "../support/bundle.ts"
import { brokenLaw, ledgerOf, parseMetrics, sum, until } from "./Service.ts"
import { cleanups, emit, ready, sentCount, type Stage, stage, verify } from "./Stage.ts"

const nowhere = "127.0.0.1:1"

/** A shell in a terminal of its own, and what appears on it. */
const terminal = (command: string, env: Readonly<Record<string, string>>) => {
  const child = spawn("script", ["-qfec", command, "/dev/null"], {
    env: { PATH: process.env["PATH"] ?? "", SHELL: "/bin/sh", ...env },
    stdio: ["pipe", "pipe", "inherit"]
  })
  let screen = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => screen += text)
  cleanups.push(() => {
    child.kill("SIGKILL")
  })
  return {
    screen: () => screen,
    /** As when its window is closed, or the line of ssh is cut. */
    close: () => child.kill("SIGKILL")
  }
}

const settings = (s: Stage): Readonly<Record<string, string>> => ({
  KAFKA_BROKER: nowhere,
  DATA_DIR: s.dataDir,
  HEALTH_PORT: "0",
  LOG_FORMAT: "json",
  BITPIN_API_URL: s.bitpin.server.apiUrl,
  BITPIN_WS_URL: s.bitpin.server.wsUrl,
  WALLEX_API_URL: s.wallex.server.apiUrl,
  WALLEX_WS_URL: s.wallex.server.wsUrl,
  WS_STAGGER: "50ms",
  SHUTDOWN_TIMEOUT: "5s"
})

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const run = `${process.execPath} ${bundle} run`

describe("SIGHUP", () => {
  beforeAll(ensureBundle)

  it("is a stop as SIGTERM, also while Kafka stands still: what was received goes out in the next life", async () => {
    const broker = await startBroker()
    // Without a history nothing but the queue can bring it.
    const s = await stage(broker.address, 6, 3, 0)
    const first = s.start({ SHUTDOWN_TIMEOUT: "5s" })
    await ready(s)
    await emit(s, 200)
    await first.settled(sentCount(s))
    await broker.freeze()
    await emit(s, 273)
    await until(
      "all is received",
      async () => {
        const rows = await first.ledger()
        return sum(rows, "received") - sum(rows, "filtered") >= sentCount(s)
      },
      20_000,
      () => first.tail()
    )
    assert.deepStrictEqual(await first.stop("SIGHUP"), { code: 0, signal: null }, first.tail())
    broker.thaw()
    const second = s.start()
    await ready(s)
    assert.isUndefined(brokenLaw(await second.settled(0)))
    // A request that the frozen broker had been given may be carried out after the thaw.
    await verify(s, broker.address, "allowed")
  }, 120_000)

  it.each([["", "a terminal that closes"], ["nohup ", "and nohup does not help"]])(
    "%sfrom %s: a clean stop",
    async (nohup) => {
      const s = await stage(nowhere, 3)
      const code = path.join(s.dataDir, "code")
      const log = path.join(s.dataDir, "log")
      // The terminal's shell dies of the hangup, and with it everything in the foreground is hung up on: there a second one lives on
      // and tells how it ended.
      const job = path.join(s.dataDir, "job")
      writeFileSync(job, `trap : HUP\n${nohup}${run} >${log} 2>&1\necho $? >${code}\n`)
      const shell = terminal(`sh ${job}; true`, settings(s))
      await ready(s)
      await emit(s, 50)
      shell.close()
      await until("it ended", () => existsSync(code) && readFileSync(code, "utf8") !== "", 20_000)
      assert.strictEqual(readFileSync(code, "utf8"), "0\n", readFileSync(log, "utf8"))
    },
    60_000
  )

  it("is not sent to what setsid started: a closed terminal does nothing, though its log had gone there", async () => {
    const s = await stage(nowhere, 3)
    const code = path.join(s.dataDir, "code")
    const job = path.join(s.dataDir, "job")
    writeFileSync(job, `${run} & echo "pid=$!"\nwait $!\necho $? >${code}\n`)
    const shell = terminal(`setsid sh ${job} & wait`, settings(s))
    await until("it listens", () => /listening.*http:\/\/127\.0\.0\.1:\d+/.test(shell.screen()), 20_000, shell.screen)
    const pid = Number(/pid=(\d+)/.exec(shell.screen())?.[1])
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(shell.screen())?.[0]
    cleanups.push(() => {
      if (isAlive(pid)) process.kill(pid, "SIGKILL")
    })
    await ready(s)
    shell.close()
    // Connections that are lost are logged, to nowhere.
    for (const { server } of s.exchanges) server.drop("reset")
    await until("it dials again", () => s.exchanges.every(({ server }) => server.dials.length > 1), 20_000)
    await ready(s)
    await emit(s, 50)
    const received = async () => sum(ledgerOf(parseMetrics(await (await fetch(`${url}/metrics`)).text())), "received")
    await until("it hears", async () => await received() >= 50, 20_000)
    process.kill(pid, "SIGTERM")
    await until("it ended", () => existsSync(code) && readFileSync(code, "utf8") !== "", 20_000)
    assert.strictEqual(readFileSync(code, "utf8"), "0\n")
  }, 60_000)
})
