/**
 * The command as users get it: the bundled file, made anew if a source is newer.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, readdirSync, statSync } from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "../..")

export const bundle: string = path.join(root, "dist/bin/exchange-feeds.mjs")

const newest = (directory: string): number =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") || file.endsWith(".mjs"))
    .reduce((latest, file) => Math.max(latest, statSync(path.join(directory, file)).mtimeMs), 0)

/** Does nothing if it is newer than everything it is made of. */
export const ensureBundle = (): void => {
  const sources = Math.max(newest(path.join(root, "src")), newest(path.join(root, "scripts")))
  if (existsSync(bundle) && statSync(bundle).mtimeMs > sources) return
  const { status, stderr } = spawnSync(process.execPath, ["scripts/bundle.mjs"], { cwd: root, encoding: "utf8" })
  if (status !== 0) throw new Error(`the bundle cannot be made: ${stderr}`)
}

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs it to its end, with nothing of this environment but PATH. `stop`: as Ctrl-C does. */
export const exchangeFeeds = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  stop?: AbortSignal
): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bundle, ...args], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    stop?.addEventListener("abort", () => child.kill("SIGINT"))
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => stdout += chunk)
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => stderr += chunk)
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, stdout, stderr }))
  })
