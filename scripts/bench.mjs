// `npm run bench` runs every file of bench/, `npm run bench -- <name>...` some: one JSON object a line on stdout. What
// measures in its own process is compiled as the product is: a loader that keeps the names of functions costs more than what is measured.
import * as esbuild from "esbuild"
import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const all = readdirSync(path.join(root, "bench")).filter((file) => file.endsWith(".ts")).map((file) =>
  file.slice(0, -3)
).sort()
const wanted = process.argv.slice(2)

const missing = wanted.filter((name) => !all.includes(name))
if (missing.length > 0) {
  console.error(`no benchmark called ${missing.join(", ")}; there are: ${all.join(", ") || "none"}`)
  process.exit(64)
}

const compiled = ["checkpoint", "produce", "queue", "recovery"]
const outdir = path.join(root, ".cache/bench")
await esbuild.build({
  absWorkingDir: root,
  entryPoints: compiled.map((name) => `bench/${name}.ts`),
  outdir,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  logLevel: "warning"
})

let failed = false
for (const name of wanted.length > 0 ? wanted : all) {
  const args = compiled.includes(name)
    ? [path.join(outdir, `${name}.mjs`)]
    : ["--import", "tsx", path.join("bench", `${name}.ts`)]
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: "inherit"
  })
  if (status !== 0) {
    console.error(`${name} ended with ${status}`)
    failed = true
  }
}
process.exit(failed ? 1 : 0)
