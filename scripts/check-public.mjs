// `npm run check:public`: whatever an importer can reach through a door of the package (`exports` of package.json) says what it is, since
// which version, and of which kind. Judged is the declaration itself, wherever it stands: an editor shows that comment and no other.
import { readFileSync } from "node:fs"
import * as path from "node:path"
import ts from "typescript"

const root = path.resolve(import.meta.dirname, "..")

/** The kinds there are; CONTRIBUTING.md explains them. */
const categories = new Set([
  "accessors",
  "combinators",
  "constants",
  "constructors",
  "conversions",
  "errors",
  "layers",
  "models",
  "operations",
  "options",
  "predicates",
  "tags"
])

const { exports: doors } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"))

/** Sources of the doors: `./dist/services/index.js` is built of `src/services/index.ts`. */
const indexes = Object.values(doors).flatMap((door) =>
  typeof door === "string" ? [] : [path.join(root, door.default.replace("./dist/", "src/").replace(/\.js$/, ".ts"))]
)

const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
const program = ts.createProgram(indexes, options)
const checker = program.getTypeChecker()

/** The node that carries the comment: a variable's is on its statement. */
const carrierOf = (declaration) =>
  ts.isVariableDeclaration(declaration) && ts.isVariableStatement(declaration.parent.parent)
    ? declaration.parent.parent
    : declaration

/** The comment right above the declaration. One further up, behind a blank line, is a file's or a section's. */
const commentOf = (declaration) => {
  const carrier = carrierOf(declaration)
  const comment = carrier.jsDoc?.at(-1)
  const source = declaration.getSourceFile()
  return comment === undefined || /\n\s*\n/.test(source.text.slice(comment.end, carrier.getStart(source)))
    ? undefined
    : comment
}

const tagsOf = (comment, name) => (comment.tags ?? []).filter((tag) => tag.tagName.text === name)

const textOf = (node) => (ts.getTextOfJSDocComment(node.comment) ?? "").trim()

/** What is wrong with the comment of a declaration, each in a few words. */
const faultsOf = (comment) => {
  if (comment === undefined) return ["no docstring: what it is, @since, @category"]
  if (tagsOf(comment, "internal").length > 0) return textOf(comment) === "" ? ["no text"] : []
  const since = tagsOf(comment, "since")
  const category = tagsOf(comment, "category")
  return [
    ...(textOf(comment) === "" && tagsOf(comment, "deprecated").every((tag) => textOf(tag) === "") ? ["no text"] : []),
    ...(since.length === 1 && /^\d+\.\d+\.\d+$/.test(textOf(since[0])) ? [] : ["no `@since <version>`"]),
    ...(category.length !== 1
      ? ["no `@category`, or several"]
      : categories.has(textOf(category[0]))
      ? []
      : [`\`@category ${textOf(category[0])}\` is none of ${[...categories].join(", ")}`])
  ]
}

const seen = new Set()
const problems = []

/** A type and a value of one name, or overloads, are one symbol: an editor shows whatever comment any of them has. */
const judge = (name, declarations) => {
  const judged = declarations.map((declaration) => ({ declaration, faults: faultsOf(commentOf(declaration)) }))
  const [{ declaration, faults }] = judged.sort((a, b) => a.faults.length - b.faults.length)
  const source = declaration.getSourceFile()
  const { line } = source.getLineAndCharacterOfPosition(declaration.getStart(source))
  for (const fault of faults) problems.push(`${path.relative(root, source.fileName)}:${line + 1}: ${name}: ${fault}`)
}

/** What a namespace is, its file says in the first comment. */
const judgeModule = (name, source) => {
  if (source.text.startsWith("/**")) return
  problems.push(`${path.relative(root, source.fileName)}:1: ${name}: no comment that says what the file is`)
}

const visit = (symbol, name) => {
  const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
  if (seen.has(target)) return
  seen.add(target)
  const declarations = (target.declarations ?? []).filter((one) =>
    !one.getSourceFile().fileName.includes("/node_modules/")
  )
  const own = declarations.filter((one) => !ts.isSourceFile(one))
  if (own.length > 0) judge(name, own)
  for (const one of declarations) if (ts.isSourceFile(one)) judgeModule(name, one)
  if (target.flags & (ts.SymbolFlags.ValueModule | ts.SymbolFlags.NamespaceModule)) {
    for (const inner of checker.getExportsOfModule(target)) visit(inner, `${name}.${inner.name}`)
  }
}

for (const index of indexes) {
  const door = checker.getSymbolAtLocation(program.getSourceFile(index))
  for (const symbol of checker.getExportsOfModule(door)) visit(symbol, symbol.name)
}

for (const problem of problems) console.error(problem)
console.log(`${seen.size} public exports, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1
