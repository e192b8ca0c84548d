// `npm run check:docs`: links lead somewhere, shell blocks name commands that exist, JSON parses, TypeScript type-checks, each check is listed.
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const documents = [
  ...readdirSync(root),
  ...readdirSync(path.join(root, "docs"), { recursive: true }).map((name) => path.join("docs", name))
].filter((name) => name.endsWith(".md"))
const problems = []

const textOf = (file) => readFileSync(path.join(root, file), "utf8")

/** As GitHub names a heading. */
const slug = (heading) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").trim().replaceAll(" ", "-")

const anchorsOf = (file) =>
  textOf(file).split("\n").filter((line) => /^#{1,6} /.test(line)).map((line) => slug(line.replace(/^#+ /, "")))

const { scripts } = JSON.parse(textOf("package.json"))
const commands = readdirSync(path.join(root, "src/layers/cli/commands")).map((name) =>
  name.replace(".ts", "").toLowerCase()
)
const builtIn = ["ci", "test", "start"]

/** A line of a shell block. */
const commandProblem = (line) => {
  const words = line.replace(/^(?:[A-Z_]+=\S+ )+/, "").split(/\s+/)
  if (words[0] === "npm") {
    const name = words[1] === "run" ? words[2] : words[1]
    return name in scripts || (words[1] !== "run" && builtIn.includes(name)) ? undefined : `no script ${name}`
  }
  if (words[0] === "npx") words.shift()
  if (words[0] === "exchange-feeds") {
    return commands.includes(words[1]) || words[1].startsWith("--") ? undefined : `no command ${words[1]}`
  }
  return undefined
}

// Who is refused by a check looks there for what it judges.
for (const name of Object.keys(scripts).filter((name) => name.startsWith("check:"))) {
  if (!textOf("CONTRIBUTING.md").includes(`| \`${name}\` |`)) problems.push(`CONTRIBUTING.md: does not name ${name}`)
}

const snippets = []

for (const file of documents) {
  const fail = (text) => problems.push(`${file}: ${text}`)
  const prose = textOf(file).replace(/^```[\s\S]*?^```$/gm, "")
  for (const [, target] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue
    const [where, anchor] = target.split("#")
    const linked = where === "" ? file : path.join(path.dirname(file), where)
    if (!existsSync(path.join(root, linked))) fail(`leads nowhere: ${target}`)
    else if (anchor !== undefined && !anchorsOf(linked).includes(anchor)) fail(`no such heading: ${target}`)
  }
  // Documents and files that are named without a link.
  for (const [, named] of prose.matchAll(/`((?:docs|src|test|scripts|deploy|bench)\/[\w./-]+)`/g)) {
    if (!existsSync(path.join(root, named)) && !existsSync(path.join(root, `${named}.ts`))) {
      fail(`no such file: ${named}`)
    }
  }
  for (const [, language, code] of textOf(file).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)) {
    if (language === "sh") {
      for (const line of code.trim().split("\n")) {
        const problem = commandProblem(line)
        if (problem !== undefined) fail(problem)
      }
    } else if (language === "json") {
      try {
        JSON.parse(code)
      } catch (error) {
        fail(`JSON: ${error.message}`)
      }
    } else if (language === "ts") snippets.push({ file, code })
  }
}

// Inside the project: the package's name means what was built, as it does to whoever installs it.
mkdirSync(path.join(root, "dist"), { recursive: true })
const directory = mkdtempSync(path.join(root, "dist/docs-"))
try {
  snippets.forEach(({ code }, i) => writeFileSync(path.join(directory, `snippet${i}.ts`), code))
  writeFileSync(
    path.join(directory, "tsconfig.json"),
    JSON.stringify({
      extends: "../../tsconfig.json",
      compilerOptions: {
        noEmit: true,
        incremental: false,
        composite: false,
        skipLibCheck: true,
        plugins: []
      },
      include: ["*.ts"],
      exclude: []
    })
  )
  const { status, stdout } = spawnSync("npx", ["tsc", "-p", directory], { cwd: root, encoding: "utf8" })
  if (status !== 0) problems.push(`snippets (${snippets.map(({ file }) => file).join(", ")}):\n${stdout}`)
} finally {
  rmSync(directory, { recursive: true })
}

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exit(1)
console.log(`${documents.length} documents, ${snippets.length} snippets: well`)
