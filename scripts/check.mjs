// `npm run check`: each of its parts is a script of package.json, two go at a time; what they say is printed when they end. All are run.
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")

// Some as long as the others. `package` builds, which nothing else here reads.
const parts = [
  ["effect", "lint", "format", "layers", "rooms", "clocks", "exchanges"],
  ["package", "types", "public", "dead", "deploy", "docs", "citations"]
]

const failed = []

const run = async (part) => {
  const child = spawn("npm", ["run", "--silent", `check:${part}`], { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
  const output = []
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output.push(chunk))
  const started = performance.now()
  const [code] = await once(child, "close")
  if (code !== 0) failed.push(part)
  const seconds = Math.round((performance.now() - started) / 1000)
  process.stdout.write(`check:${part} ${code === 0 ? "passed" : "FAILED"} in ${seconds} s\n${Buffer.concat(output)}`)
}

await Promise.all(parts.map(async (lane) => {
  for (const part of lane) await run(part)
}))
if (failed.length > 0) console.error(`failed: ${failed.map((part) => `check:${part}`).join(", ")}`)
process.exit(failed.length === 0 ? 0 : 1)
