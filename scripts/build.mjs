// `dist`: the library with its types, and the command as one file. `npm ci` runs it (`prepare`).
import { spawnSync } from "node:child_process"
import { rmSync } from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc")

rmSync(path.join(root, "dist"), { recursive: true, force: true })

for (const args of [[tsc, "-p", "tsconfig.build.json"], ["scripts/bundle.mjs"]]) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" })
  if (status !== 0) process.exit(status ?? 1)
}
