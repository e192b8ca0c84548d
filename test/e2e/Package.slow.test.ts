/** The package as it is published: installed by somebody without rights, and run where nothing can be written. */
import { execFile } from "node:child_process"
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "vitest"
import { ensureBundle } from "../support/bundle.ts"
import { cleanups } from "./Stage.ts"

const execute = promisify(execFile)

const root = path.resolve(import.meta.dirname, "../..")

const nobody = 65_534

describe("the tarball", () => {
  it("is installed by nobody into an empty folder, and runs the demo in one that cannot be written", async () => {
    ensureBundle()
    const scratch = mkdtempSync(path.join(tmpdir(), "feeds-package-"))
    cleanups.push(() => rmSync(scratch, { recursive: true, force: true }))
    chmodSync(scratch, 0o755)
    await execute("npm", ["pack", "--ignore-scripts", "--pack-destination", scratch], { cwd: root })
    const [folder, home] = ["empty", "home"].map((name) => {
      const directory = path.join(scratch, name)
      mkdirSync(directory)
      chownSync(directory, nobody, nobody)
      return directory
    })
    assert.isDefined(folder)
    assert.isDefined(home)
    const asNobody = (command: string, args: ReadonlyArray<string>, cwd: string) =>
      execute(command, [...args], {
        cwd,
        uid: nobody,
        gid: nobody,
        env: { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: home, npm_config_cache: path.join(home, "npm") }
      })
    const { stdout: packed } = await execute("ls", [scratch])
    const tarball = packed.split("\n").find((name) => name.endsWith(".tgz")) ?? ""
    await asNobody("npm", ["install", "--no-audit", "--no-fund", path.join(scratch, tarball)], folder)
    await execute("chmod", ["-R", "a-w", folder])
    // The control: it is what it is said to be.
    const touch = await asNobody("touch", [path.join(folder, "x")], folder).then(() => "written", () => "refused")
    assert.strictEqual(touch, "refused")
    const bin = path.join(folder, "node_modules/.bin/exchange-feeds")
    const { stdout } = await asNobody(bin, ["demo", "--seconds", "12"], folder)
    assert.match(stdout, /received \d{3,}, delivered \d{3,}.* lost 0/)
    // As a library, by each of its doors.
    const doors = ["", "/services", "/streams", "/layers", "/testing"]
    const script = [...doors.map((door) => `await import("effect-exchange-feeds${door}")`), "console.log('imported')"]
    const { stderr, stdout: imported } = await asNobody(
      process.execPath,
      ["--input-type=module", "-e", script.join("\n")],
      folder
    )
    assert.deepStrictEqual({ imported, stderr }, { imported: "imported\n", stderr: "" })
  }, 240_000)
})
