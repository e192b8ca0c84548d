// `npm run bench` measures everything, `npm run bench -- <name>...` some, `npm run bench -- report <file>` writes the tables and plots of
// docs/performance.md from a file of results. Each benchmark prints one JSON object a line; they go to a file below bench/results, and a
// table of them to the console. What is measured, or measures in its own process, is compiled as the product is: a loader that keeps
// the names of functions costs more than what is measured.
import * as esbuild from "esbuild"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { appendFileSync, copyFileSync, mkdirSync, readdirSync } from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as readline from "node:readline"

const root = path.resolve(import.meta.dirname, "..")
const outdir = path.join(root, ".cache/bench")
const compiled = ["books", "books-memory", "checkpoint", "metrics", "produce", "queue", "recovery", "report"]
const processes = ["support/bare", "support/exchange-process"]

/** By name only: it asserts, in half a minute, what CI asks for. */
const byName = ["ratios"]
const names = readdirSync(path.join(root, "bench")).filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -3)).filter((name) => name !== "report").sort()

/** What needs a quiet machine most comes first. */
const order = ["end-to-end", "paced", "outage", "idle", "start", "overload"]
const rank = (name) => (order.indexOf(name) + order.length + 1) % (order.length + 1)

const wanted = process.argv.slice(2)
const isReport = wanted[0] === "report"
const missing = isReport ? [] : wanted.filter((name) => !names.includes(name))
if (missing.length > 0) {
  console.error(`no benchmark called ${missing.join(", ")}; there are: ${names.join(", ")}, and report <file>`)
  process.exit(64)
}

await esbuild.build({
  absWorkingDir: root,
  entryPoints: [...compiled, ...processes].map((name) => `bench/${name}.ts`),
  outbase: "bench",
  outdir,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  logLevel: "warning"
})

const reporter = (...args) => {
  const { status } = spawnSync(process.execPath, [path.join(outdir, "report.mjs"), ...args], {
    cwd: root,
    stdio: "inherit"
  })
  return status ?? 1
}

if (isReport) process.exit(reporter("page", ...wanted.slice(1)))

// The command as users run it, of the sources that are here now.
if (spawnSync(process.execPath, ["scripts/bundle.mjs"], { cwd: root, stdio: "inherit" }).status !== 0) process.exit(1)
copyFileSync(path.join(root, "dist/bin/exchange-feeds.mjs"), path.join(outdir, "exchange-feeds.mjs"))

const said = (command, ...args) => spawnSync(command, args, { cwd: root, encoding: "utf8" }).stdout?.trim() ?? ""
const results = path.join(root, "bench/results", `${new Date().toISOString().replaceAll(/[:.]/g, "-")}.jsonl`)
mkdirSync(path.dirname(results), { recursive: true })
const keep = (line) => appendFileSync(results, `${line}\n`)
keep(JSON.stringify({
  bench: "machine",
  at: new Date().toISOString(),
  commit: `${said("git", "rev-parse", "--short", "HEAD")}${
    said("git", "status", "--porcelain", "src") === "" ? "" : ", changed"
  }`,
  node: process.version,
  cpu: os.cpus()[0]?.model.trim(),
  cores: os.availableParallelism(),
  memoryGiB: Math.round(os.totalmem() / 2 ** 30),
  os: `${os.type()} ${os.release()}`,
  load: os.loadavg()[0]
}))
if (os.loadavg()[0] > 0.5) {
  console.error(`others use this machine (load ${os.loadavg()[0]}): figures will tell of them, too`)
}

const chosen = wanted.length > 0
  ? wanted
  : names.filter((name) => !byName.includes(name)).sort((a, b) => rank(a) - rank(b))
let failed = false
let stopped = false
for (const name of chosen) {
  if (stopped) break
  const began = performance.now()
  const args = compiled.includes(name)
    ? [path.join(outdir, `${name}.mjs`)]
    : ["--import", "tsx", path.join("bench", `${name}.ts`)]
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] })
  readline.createInterface({ input: child.stdout }).on("line", (line) => {
    console.log(line)
    if (line.startsWith("{")) keep(line)
  })
  const end = (signal) => {
    stopped = true
    child.kill(signal)
  }
  process.once("SIGINT", end).once("SIGTERM", end)
  const [status, signal] = await once(child, "close")
  process.off("SIGINT", end).off("SIGTERM", end)
  if (status !== 0) {
    console.error(`${name} ended with ${status ?? signal}`)
    failed = true
  }
  console.error(`${name}: ${Math.round((performance.now() - began) / 1000)} s`)
}
if (reporter("tables", results) !== 0) failed = true
console.log(path.relative(root, results))
process.exit(failed ? 1 : 0)
