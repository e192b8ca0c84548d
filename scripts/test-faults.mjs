// The long fault suites; `npm run test:faults -- --short` is what CI runs. All other arguments are vitest's.
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import * as path from "node:path"

const args = process.argv.slice(2)
const rest = args.filter((arg) => arg !== "--short")
const vitest = path.join(path.dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")

let code = 0

const run = (options) => {
  const { signal, status } = spawnSync(process.execPath, [vitest, "run", "--passWithNoTests", ...options], {
    cwd: path.resolve(import.meta.dirname, ".."),
    stdio: "inherit",
    env: args.includes("--short") ? { ...process.env, FAULTS_SHORT: "1" } : process.env
  })
  if (signal !== null) console.error(`vitest was ended by ${signal}`)
  if (status !== 0) code = status ?? 1
}

run(["--project", "long", ...rest])
// Most of what they do is waiting.
run(["--project", "conformance", "--maxWorkers=3", ...rest])
run(["--project", "faults", "--maxWorkers=3", ...rest])
// One file after the other: what judges times does not bear company.
run(["--project", "measured", "--no-file-parallelism", ...rest])
process.exit(code)
