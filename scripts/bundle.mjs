// The command as one file, dist/bin/exchange-feeds.mjs: it starts in a third of the time (docs/design/platform.md "A bundle starts in a third of the time").
import * as esbuild from "esbuild"
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const outfile = path.join(root, "dist/bin/exchange-feeds.mjs")

const { version } = JSON.parse(await readFile(path.join(root, "package.json"), "utf8"))

const result = await esbuild.build({
  absWorkingDir: root,
  entryPoints: ["src/main.ts"],
  outfile,
  write: false,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  sourcemap: true,
  sourcesContent: false,
  legalComments: "none",
  logLevel: "warning",
  define: { EXCHANGE_FEEDS_VERSION: JSON.stringify(version) },
  // Optional natives of ws, which does without them.
  external: ["bufferutil", "utf-8-validate"],
  banner: {
    js: [
      "#!/usr/bin/env node",
      // kafkajs is CommonJS and requires Node's own modules.
      "import { createRequire as __createRequire } from \"node:module\"",
      "const require = __createRequire(import.meta.url)"
    ].join("\n")
  }
})

await mkdir(path.dirname(outfile), { recursive: true })
for (const file of result.outputFiles) {
  // By rename: whoever starts it meanwhile gets the whole old one or the whole new one.
  const draft = `${file.path}.${process.pid}`
  await writeFile(draft, file.contents)
  if (file.path === outfile) await chmod(draft, 0o755)
  await rename(draft, file.path)
}
