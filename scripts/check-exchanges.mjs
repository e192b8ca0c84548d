// `npm run check:exchanges`: the engine names no exchange. What it has to know of one stands in its `Exchange` value, so that one more is one
// file and one line (docs/adding-an-exchange.md). Ids are looked for in code, in strings and in names; comments are free.
import { readdirSync, readFileSync } from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const root = path.resolve(import.meta.dirname, "..")

const textOf = (file) => readFileSync(path.join(root, file), "utf8")

const filesOf = (directory) =>
  readdirSync(path.join(root, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))

/** Those of the list by their own word, and some that are spoken of already. */
const ids = new Set([
  ...filesOf("src/streams/exchanges").flatMap((file) =>
    Array.from(textOf(file).matchAll(/: Exchange = \{\n(?:.*\n)*? {2}id: "([a-z0-9]+)"/g), ([, id]) => id)
  ),
  "nobitex",
  "ramzinex",
  "tabdeal",
  "binance",
  "coinbase",
  "kraken",
  "okx",
  "bybit"
])

/** Where an exchange is at home. */
const homes = ["src/streams/exchanges/", "src/layers/testing/"]

/** File, and why it may name one. A file that names none any more is a problem too. */
const allowed = new Map([
  ["src/layers/cli/commands/Demo.ts", "it plays with two of the fakes, and sets their addresses"],
  ["src/layers/cli/Cli.ts", "examples in its help"]
])

/** The id that a text names, by itself or as a part of a name: `bitpin`, `BITPIN_API_URL`, `FakeBitpin`. */
const named = (text) => text.split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])/).find((word) => ids.has(word.toLowerCase()))

const problems = []
const used = new Set()

for (const file of filesOf("src")) {
  if (homes.some((home) => file.startsWith(home))) continue
  const source = ts.createSourceFile(file, textOf(file), ts.ScriptTarget.Latest, true)
  const visit = (node) => {
    // A leaf that is text of the program: an identifier, a string, a part of a template, a regular expression.
    const isLeaf = ts.isIdentifier(node) || ts.isStringLiteralLike(node) || ts.isTemplateHead(node) ||
      ts.isTemplateMiddleOrTemplateTail(node) || ts.isRegularExpressionLiteral(node)
    const name = isLeaf ? named(node.text) : undefined
    if (name !== undefined) {
      if (allowed.has(file)) used.add(file)
      else {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart(source))
        problems.push(`${file}:${line + 1}: names ${name}; what is known of an exchange stands in its value`)
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
}

for (const file of allowed.keys()) {
  if (!used.has(file)) problems.push(`${file} names no exchange: its allowance is to go`)
}
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
