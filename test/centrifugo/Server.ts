/** The Go program beside this file, built once and started. */
import { type ChildProcess, execFile, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs"
import * as path from "node:path"
import { createInterface } from "node:readline"
import { promisify } from "node:util"
import * as Jvm from "../kafka/Jvm.ts"

const sources = ["main.go", "go.mod", "go.sum"].map((file) => path.join(import.meta.dirname, file))

const build = async (): Promise<string> => {
  const hash = createHash("sha256")
  for (const file of sources) hash.update(readFileSync(file))
  const built = path.join(Jvm.cache, `centrifugo-${hash.digest("hex").slice(0, 16)}`)
  if (existsSync(built)) return built
  mkdirSync(Jvm.cache, { recursive: true })
  const half = `${built}.${process.pid}`
  await promisify(execFile)("go", ["build", "-o", half, "."], { cwd: import.meta.dirname }).catch((error: unknown) => {
    throw new Error(`"go build" in test/centrifugo failed; Go 1.24 or later is needed: ${String(error)}`)
  })
  renameSync(half, built)
  return built
}

let built: Promise<string> | undefined
const binary = (): Promise<string> => built ??= build()

export interface Server {
  readonly wsUrl: string
  readonly process: ChildProcess
  readonly control: (what: string, query: Readonly<Record<string, string>>, body?: string) => Promise<void>
  readonly clients: () => Promise<number>
}

/** It ends with its standard input, and so with the test. */
export const start = async (): Promise<Server> => {
  const child = spawn(await binary(), { stdio: ["pipe", "pipe", "inherit"] })
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve)
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)))
  })
  const base = `http://127.0.0.1:${port}`
  return {
    wsUrl: `ws://127.0.0.1:${port}/connection/websocket`,
    process: child,
    control: async (what, query, body = "") => {
      const response = await fetch(`${base}/${what}?${new URLSearchParams(query)}`, { method: "POST", body })
      if (!response.ok) throw new Error(`${what}: ${response.status} ${await response.text()}`)
    },
    clients: async () => Number(await (await fetch(`${base}/clients`)).text())
  }
}
