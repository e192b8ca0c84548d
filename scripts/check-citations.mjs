// `npm run check:citations`: what a comment or a test's title cites is in this repository. A rule's code (`H3`, `B6`, `T9`) is a heading of
// docs/design, a page that is named is there, and so is a heading that is named with it. Whoever clones the project else reads half a sentence.
import { readdirSync, readFileSync } from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")

const filesIn = (directory, endings) =>
  readdirSync(path.join(root, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))

/** Of a page: the text of each heading, without its marks of code. */
const headingsOf = (page) =>
  Array.from(
    readFileSync(path.join(root, page), "utf8").matchAll(/^#+ (.+)$/gm),
    ([, text]) => text.replaceAll("`", "")
  )

const pages = new Map(
  ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", ...filesIn("docs", [".md"])].map((page) => [page, headingsOf(page)])
)

/** `H3: what it says` defines `H3`. */
const codes = new Set(
  Array.from(pages).filter(([page]) => page.startsWith("docs/design/")).flatMap(([, headings]) =>
    headings.flatMap((heading) => /^([A-Z]\d+)(?::|$)/.exec(heading)?.[1] ?? [])
  )
)

/** Cited from outside of the repository, or by a number that means nothing in it. */
const refused = [
  [/\bissue #?\d+\b/i, "an issue's number"],
  [/\bcontract,? section\b/i, "a section of a contract that is not here"],
  [/\(row \d+\)/i, "a row of a table that is not here"]
]

const problems = []
for (const file of ["src", "test", "scripts", "bench"].flatMap((directory) => filesIn(directory, [".ts", ".mjs"]))) {
  if (file === "scripts/check-citations.mjs") continue
  readFileSync(path.join(root, file), "utf8").split("\n").forEach((line, i) => {
    const complain = (what) => problems.push(`${file}:${i + 1}: ${what}`)
    for (const [pattern, what] of refused) if (pattern.test(line)) complain(what)
    for (const [, page, cited] of line.matchAll(/(?<![\w/.-])((?:[\w-]+\/)*[A-Z\w-]+\.md)(?: "([^"]+)")?/g)) {
      // A path that a program reads or writes is none of ours.
      if (!/^(?:docs\/|[A-Z][A-Z-]+\.md)/.test(page)) continue
      const headings = pages.get(page)
      const heading = cited?.replaceAll("`", "")
      if (headings === undefined) complain(`${page} is not in this repository`)
      else if (heading !== undefined && !headings.some((one) => one === heading || one.startsWith(`${heading}:`))) {
        complain(`${page} has no heading "${heading}"`)
      }
    }
    const comment = /(?:^\s*\*|\/\*\*?|(?<!:)\/\/)(.*)$/.exec(line)?.[1]
    for (const [code] of comment?.matchAll(/(?<![\w/.-])[HBIT]\d{1,2}\b(?![-/.]\w)/g) ?? []) {
      if (!codes.has(code)) complain(`${code} is no heading of docs/design`)
    }
  })
}
for (const problem of problems) console.error(problem)
console.log(`${codes.size} codes, ${pages.size} pages, ${problems.length} citations that lead nowhere`)
process.exitCode = problems.length === 0 ? 0 : 1
