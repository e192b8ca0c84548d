/** A child process that runs a TypeScript file, and its lines. */
import { type ChildProcess, spawn } from "node:child_process"
import * as path from "node:path"
import * as readline from "node:readline"

export interface Child {
  readonly process: ChildProcess
  readonly lines: Array<string>
  readonly exited: Promise<void>
  /** Resolves when a line begins so; rejects if the child ends without it. */
  readonly line: (prefix: string) => Promise<string>
}

export const start = (script: string, args: ReadonlyArray<string>): Child => {
  const child = spawn(process.execPath, ["--import", "tsx", path.resolve(import.meta.dirname, script), ...args], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const lines: Array<string> = []
  const waiting = new Set<() => void>()
  readline.createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line)
    for (const look of waiting) look()
  })
  // After its last line was read.
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const line = (prefix: string) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = lines.find((one) => one.startsWith(prefix))
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
      void exited.then(() => reject(new Error(`ended without "${prefix}": ${lines.slice(-3).join(" | ")}`)))
    })
  return { process: child, lines, exited, line }
}
