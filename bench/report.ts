/** `report.mjs tables <file>`: tables to the console; `report.mjs page <file>`: into docs/performance.md, plots into docs/performance. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import * as path from "node:path"
import * as Report from "./support/Report.ts"

const [, , what, file] = process.argv
const page = "docs/performance.md"
const plots = "docs/performance"

const complain = (message: string): never => {
  console.error(message)
  process.exit(64)
}

const linesOf = (name: string): ReadonlyArray<Report.Line> => {
  try {
    return Report.parse(readFileSync(name, "utf8"))
  } catch (error) {
    return complain(`${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const lines = file === undefined ? complain("npm run bench -- report <file>: a file of bench/results") : linesOf(file)
const sections = Report.sectionsOf(lines)

if (what === "page") {
  if (sections.length === 0) {
    complain(`${file}: expected lines of end-to-end, paced or others that docs/performance.md has, found none`)
  }
  writeFileSync(page, Report.fill(readFileSync(page, "utf8"), sections, Report.machineOf(lines)))
  mkdirSync(plots, { recursive: true })
  for (const section of sections) {
    for (const [name, text] of Object.entries(section.plots)) writeFileSync(path.join(plots, `${name}.svg`), text)
  }
  console.log(`${page}: ${sections.map(({ name }) => name).join(", ")}`)
} else {
  for (const { name, tables } of sections) {
    console.log(`\n${name}`)
    for (const table of tables) console.log(`${Report.aligned(table)}\n`)
  }
}
