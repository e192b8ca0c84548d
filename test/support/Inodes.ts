/** A file system that runs out of inodes long before it runs out of bytes. */
import { Effect, type Scope } from "effect"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"

/** With sixteen of them, its root included; undefined where it is not allowed to mount one. */
export const fewInodes: Effect.Effect<string | undefined, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const directory = mkdtempSync(path.join(tmpdir(), "few-inodes-"))
      const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=16m,nr_inodes=16", "tmpfs", directory])
      return { directory, isMounted: status === 0 }
    }),
    ({ directory, isMounted }) =>
      Effect.sync(() => {
        if (isMounted) spawnSync("umount", ["-l", directory])
        rmSync(directory, { recursive: true, force: true })
      })
  ),
  ({ directory, isMounted }) => isMounted ? directory : undefined
)
