// The long fault suites; `npm run test:faults -- --short` is what CI runs. All other arguments are vitest's.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createRequire } from "node:module"
import * as path from "node:path"

const args = process.argv.slice(2)
const rest = args.filter((arg) => arg !== "--short")
const vitest = path.join(path.dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")
const conformance = "test/hostile/Conformance.timed.test.ts"

let code = 0

/** `stdio`: a pipe's output is printed when all of it is there. */
const run = async (options, { env = {}, stdio = "inherit" } = {}) => {
  const child = spawn(process.execPath, [vitest, "run", "--passWithNoTests", ...options], {
    cwd: path.resolve(import.meta.dirname, ".."),
    stdio,
    env: { ...process.env, ...args.includes("--short") ? { FAULTS_SHORT: "1" } : {}, ...env }
  })
  const output = []
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => output.push(chunk))
  const [status, signal] = await once(child, "close")
  process.stdout.write(Buffer.concat(output))
  if (signal !== null) console.error(`vitest was ended by ${signal}`)
  if (status !== 0) code = status ?? 1
}

await run(["--project", "long", ...rest])
// Most of what they do is waiting.
await run(["--project", "faults", "--maxWorkers", "3", ...rest])
// One file after the other: what judges times does not bear company.
const measured = ["--project", "measured", "--no-file-parallelism"]
if (rest.length > 0) await run([...measured, ...rest])
else {
  await run([...measured, "--exclude", conformance])
  // An exchange's conformance takes a third of a core for twenty seconds: three of them go beside each other.
  await Promise.all(
    ["1/3", "2/3", "3/3"].map((part) =>
      run([...measured, conformance], { env: { CONFORMANCE_PART: part }, stdio: ["ignore", "pipe", "pipe"] })
    )
  )
}
process.exit(code)
