/**
 * The built service on a real file system that its kernel makes read-only while it runs, as ext4 does after an error of the disk
 * (`errors=remount-ro`): what is open can be written no more, and only an administrator brings it back. Needs root, and a loop device.
 */
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "vitest"
import { brokenLaw, type Service, sum, until } from "../e2e/Service.ts"
import { cleanups, emit, ready, sentCount, stage, verify } from "../e2e/Stage.ts"
import { flow, startBroker } from "./Outage.ts"

const run = promisify(execFile)

const ext4 = async (directory: string) => {
  const scratch = mkdtempSync(path.join(tmpdir(), "readonly-"))
  const image = path.join(scratch, "image")
  writeFileSync(image, "")
  truncateSync(image, 64 * 1024 * 1024)
  const mount = () => run("mount", ["-o", "loop,errors=remount-ro", image, directory])
  const unmount = () => run("umount", [directory])
  await run("mkfs.ext4", ["-q", image])
  mkdirSync(directory, { recursive: true })
  await mount()
  cleanups.push(async () => {
    await unmount()
    rmSync(scratch, { recursive: true, force: true })
  })
  return {
    /** As the kernel does it: nobody is asked whether files are open. */
    fail: () => run("mount", ["-o", "remount,abort", directory]),
    repair: async () => {
      await unmount()
      // 1: errors were corrected.
      await run("fsck.ext4", ["-p", image]).catch((error: { readonly code?: unknown }) =>
        assert.strictEqual(error.code, 1)
      )
      await mount()
    }
  }
}

const checksOf = async (
  service: Service
): Promise<Readonly<Record<string, { readonly status: string; readonly message?: string }>>> =>
  JSON.parse((await service.get("/health")).body).checks

const refusals = (service: Service) => service.lines.filter((line) => /EROFS|read-only/i.test(line))

describe("a file system that becomes read-only", () => {
  it(
    "what Kafka takes goes on, health names it, the log stays short; repaired and started again, nothing is missing",
    async () => {
      const broker = await startBroker()
      // Histories reach back over all that is not durable.
      const s = await stage(broker.address, 6, 3, 2_000)
      const disk = await ext4(s.dataDir)
      const first = s.start({ SHUTDOWN_TIMEOUT: "3s" })
      await ready(s)
      await emit(s, 200)
      await first.settled(sentCount(s))
      await disk.fail()
      // Each second the checkpoint is tried.
      await flow(s, 100, 12_000)
      await first.settled(sentCount(s))
      let last = await checksOf(first)
      await until(
        "health names it",
        async () => {
          last = await checksOf(first)
          return last["disk"]?.status === "unhealthy" && /EROFS/.test(last["disk"].message ?? "") &&
            /EROFS/.test(last["persistence"]?.message ?? "")
        },
        30_000,
        () => JSON.stringify(last)
      )
      assert.strictEqual((await first.get("/health/ready")).status, 503)
      const said = refusals(first)
      assert.isNotEmpty(said)
      assert.isAtMost(said.length, 4, said.join("\n"))

      // Neither takes anything: it waits, and says in its exit code that something is not durable.
      await broker.kill()
      await emit(s, 200)
      await until("in flight", async () => sum(await first.ledger(), "inFlight") > 0, 20_000, () => first.tail())
      assert.deepStrictEqual(await first.stop(), { code: 75, signal: null }, first.tail())

      await disk.repair()
      await broker.start()
      const second = s.start()
      await ready(s)
      await emit(s, 200)
      assert.isUndefined(brokenLaw(await second.settled(0)))
      assert.deepStrictEqual(await second.stop(), { code: 0, signal: null }, second.tail())
      await verify(s, broker.address, "allowed")
    },
    180_000
  )
})
