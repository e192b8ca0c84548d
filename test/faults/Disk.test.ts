/**
 * The built service on a disk that fails in earnest, while Kafka is away (T12, T13, T14): no room, a sync that fails, a sync that takes
 * its time. Nothing is lost, health says so meanwhile, and what heals needs no restart.
 */
import { execFile } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "vitest"
import { brokenLaw, type Service, sum, until } from "../e2e/Service.ts"
import { cleanups, emit, ready, sentCount, type Stage, stage, verify } from "../e2e/Stage.ts"
import { strace } from "../support/strace.ts"
import { flow, pause, startBroker } from "./Outage.ts"

const run = promisify(execFile)

/** Offers wait for room: what is not lost by a policy must not be lost at all. */
const patient = { QUEUE_FULL_POLICY: "block" }

const queueOf = async (service: Service): Promise<{ readonly status: string; readonly message?: string }> =>
  JSON.parse((await service.get("/health")).body).checks.persistence

const noRoom = /no space left on the disk|EFBIG/

/** Of the queue: the checkpoint, which is written at once, may fail seconds before the queue is needed. */
const saying = async (s: Stage, service: Service, message: RegExp) => {
  let last: Awaited<ReturnType<typeof queueOf>> | undefined
  await until(
    `health says ${message} of ${s.topic}`,
    async () => {
      last = await queueOf(service)
      const told = last.message ?? ""
      return last.status === "degraded" && told.startsWith(`${s.topic}: `) && message.test(told)
    },
    30_000,
    () => `${JSON.stringify(last)}\n${service.tail()}`
  )
}

/** What waited in memory is on disk, and what was said once is not said each second. */
const healed = async (service: Service) => {
  await until("all is on disk", async () => sum(await service.ledger(), "inFlight") === 0, 30_000, () => service.tail())
  await until("and health says so", async () => (await queueOf(service)).status === "healthy", 30_000)
  // Once for each of what is written: mark, note and mark again of the lock, collector's name, two lists of markets, checkpoint, two queues.
  assert.isAtMost(service.lines.filter((line) => noRoom.test(line)).length, 9, service.tail())
  await until(
    "it says so",
    () => service.lines.some((line) => line.includes("takes records again")),
    5_000,
    () => service.tail(60)
  )
}

/** Kafka is here again: all that the exchanges ever sent arrives. */
const allArrives = async (s: Stage, service: Service, broker: Awaited<ReturnType<typeof startBroker>>) => {
  await broker.start()
  const rows = await service.settled(sentCount(s), 120_000)
  assert.isUndefined(brokenLaw(rows))
  assert.strictEqual(sum(rows, "dropped"), 0)
  await verify(s, broker.address, "allowed")
}

const awayFrom = async (markets = 10) => {
  const broker = await startBroker()
  const s = await stage(broker.address, markets)
  mkdirSync(s.dataDir, { recursive: true })
  return { broker, s }
}

describe("a disk that fails while Kafka is away", () => {
  it(
    "no file may hold anything (EFBIG), from the first start on: offers wait, health says so; allowed, it goes on by itself",
    async () => {
      const { broker, s } = await awayFrom()
      const service = s.start(patient, ["prlimit", "--fsize=0:unlimited"])
      await ready(s)
      await emit(s, 200)
      await service.settled(sentCount(s))
      await broker.kill()
      await emit(s, 3_000)
      await saying(s, service, noRoom)
      assert.isAbove(sum(await service.ledger(), "inFlight"), 0)
      await run("prlimit", ["--pid", String(service.process.pid), "--fsize=unlimited:unlimited"])
      await healed(service)
      await allArrives(s, service, broker)
    },
    180_000
  )

  it("syncs fail (EIO): the file is never written or synced again, and nothing is lost", async () => {
    const { broker, s } = await awayFrom()
    const trace = path.join(s.dataDir, "trace")
    const service = s.start(
      patient,
      await strace(trace, "trace=openat,fdatasync,write,pwrite64", "inject=fdatasync:error=EIO:when=3+9")
    )
    await ready(s)
    await broker.kill()
    await flow(s, 500, 8_000)
    await allArrives(s, service, broker)
    assert.deepStrictEqual(await service.stop(), { code: 0, signal: null })
    const failed = new Set<string>()
    let failures = 0
    for (const line of readFileSync(trace, "utf8").split("\n")) {
      // A name may come again, of a file that came to nothing: then it is another file.
      const made = /openat\(.*"([^"]*\.seg)".*O_CREAT/.exec(line)?.[1]
      if (made !== undefined) failed.delete(made)
      const file = /(?:fdatasync|write|pwrite64)\(\d+<([^>]*\.seg)>/.exec(line)?.[1]
      if (file === undefined) continue
      assert.isFalse(failed.has(file), `${line}\nafter its sync had failed`)
      if (!line.includes("EIO")) continue
      failed.add(file)
      failures += 1
    }
    assert.isAbove(failures, 2, "syncs that failed")
  }, 180_000)

  it("each sync takes a second: probes are answered, memory is bounded, nothing is lost", async () => {
    const { broker, s } = await awayFrom()
    const service = s.start(
      patient,
      await strace("/dev/null", "trace=fdatasync", "inject=fdatasync:delay_exit=1000000")
    )
    await ready(s)
    await broker.kill()
    let isFlowing = true
    const flowing = flow(s, 1_000, 10_000).then(() => {
      isFlowing = false
    })
    for (let probe = 0; probe < 50; probe++) {
      assert.strictEqual((await service.get("/health/live")).status, 200)
      await pause(100)
    }
    // None of them waited for a sync.
    assert.isTrue(isFlowing)
    await flowing
    assert.isBelow(service.peakRss, 400)
    await allArrives(s, service, broker)
  }, 180_000)

  // Needs the right to mount: with root, not in every container.
  if (process.env["FAULTS_SHORT"] !== "1") {
    it(
      "a file system without room (ENOSPC), from the first start on: it waits, and goes on when there is some",
      async () => {
        const { broker, s } = await awayFrom()
        await run("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", s.dataDir])
        cleanups.push(() => run("umount", ["-l", s.dataDir]))
        const ballast = path.join(s.dataDir, "ballast")
        writeFileSync(ballast, Buffer.alloc(4096))
        for (;;) {
          try {
            writeFileSync(ballast, Buffer.alloc(4096), { flag: "a" })
          } catch {
            break
          }
        }
        await broker.kill()
        const service = s.start(patient)
        await ready(s)
        await emit(s, 2_000)
        await saying(s, service, noRoom)
        await run("mount", ["-o", "remount,size=64m", s.dataDir])
        await healed(service)
        await allArrives(s, service, broker)
      },
      180_000
    )
  }
})
