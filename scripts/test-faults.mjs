// The long fault suites; `npm run test:faults -- --short` is what CI runs. All other arguments are vitest's.
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import * as path from "node:path"

const args = process.argv.slice(2)
const vitest = path.join(path.dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")

// One after the other: what judges times does not bear company.
let code = 0
for (const [project, ...options] of [["long"], ["faults"], ["measured", "--no-file-parallelism"]]) {
  const { signal, status } = spawnSync(
    process.execPath,
    [vitest, "run", "--project", project, "--passWithNoTests", ...options, ...args.filter((arg) => arg !== "--short")],
    {
      cwd: path.resolve(import.meta.dirname, ".."),
      stdio: "inherit",
      env: args.includes("--short") ? { ...process.env, FAULTS_SHORT: "1" } : process.env
    }
  )
  if (signal !== null) console.error(`vitest was ended by ${signal}`)
  if (status !== 0) code = status ?? 1
}
process.exit(code)
