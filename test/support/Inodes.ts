/** A file system that runs out of inodes long before it runs out of bytes. */
import { Effect, type Scope } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"

/** With sixteen of them, its root included; dies with the command to run where it is not allowed to mount one. */
export const fewInodes: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const directory = mkdtempSync(path.join(tmpdir(), "few-inodes-"))
    const options = ["-t", "tmpfs", "-o", "size=16m,nr_inodes=16", "tmpfs", directory]
    const { error, status, stderr } = spawnSync("mount", options, { encoding: "utf8" })
    if (status === 0) return directory
    rmSync(directory, { recursive: true, force: true })
    const why = error?.message ?? stderr.trim()
    throw new Error(
      `a file system of few inodes cannot be mounted (${why}); run the tests as root: mount ${options.join(" ")}`
    )
  }),
  (directory) =>
    Effect.sync(() => {
      spawnSync("umount", ["-l", directory])
      rmSync(directory, { recursive: true, force: true })
    })
)
