/** Of tests that make namespaces: where that is not allowed they fail and say what to run, since one that is passed over proves nothing. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import * as path from "node:path"
import { expect } from "vitest"

const asRoot = (): string => {
  const file = path.relative(process.cwd(), expect.getState().testPath ?? "")
  return `sudo env "PATH=$PATH" npx vitest run ${file}`
}

/** Throws unless this user makes networks, and there is what far hosts are made of. */
export const demandNetworks = (): void => {
  const missing = ["/dev/net/tun", "/usr/bin/perl"].filter((file) => !existsSync(file))
  if (missing.length > 0) throw new Error(`this test makes networks of its own, and needs ${missing.join(" and ")}`)
  if (process.getuid?.() !== 0) throw new Error(`this test makes networks of its own, as root: ${asRoot()}`)
}

/** Throws unless `command`, which runs what follows it in namespaces of its own, does. */
export const demandNamespaces = ([command = "", ...args]: ReadonlyArray<string>): void => {
  const { error, status, stderr } = spawnSync(command, [...args, "true"], { encoding: "utf8" })
  if (status === 0) return
  const why = error?.message ?? stderr.trim()
  throw new Error(`this test makes namespaces, as root or where users may (${why}): ${asRoot()}`)
}
