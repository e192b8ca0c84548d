// T25: is there a test for each promise of the queue? Breaks one line of a copy of the sources at a time and runs the tests that should
// see it. Every one must be seen, and without any the same tests must be green. By hand, about ten minutes.
//
//   node scripts/mutations.mjs [name part]
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const queue = "src/services/FileQueue"

const mutations = [
  {
    name: "crc check: any record with a marker counts",
    file: `${queue}/Segment.ts`,
    from: "if (view.getUint32(offset + 8, true) !== checksum(bytes, offset, end, seed, crc32)) return undefined",
    to: "",
    tests: ["Damage"]
  },
  {
    name: "epoch check: the same seed for every segment",
    file: `${queue}/Segment.ts`,
    from: "crc32(text.encode(`exchange-feeds:${base}`), 0)",
    to: "crc32(text.encode(`exchange-feeds:${base * 0}`), 0)",
    tests: ["Damage"]
  },
  {
    name: "directory fsync: a new segment's name is not made durable",
    file: `${queue}/Active.ts`,
    from: "Effect.andThen(ops.syncDirectory(state.directory)),\n",
    to: "",
    tests: ["Model"]
  },
  {
    name: "directory fsync: nor the cursor's",
    file: "src/services/FileOps.ts",
    from: "yield* ops.syncDirectory(directoryOf(path))",
    to: "",
    tests: ["Model"]
  },
  {
    name: "fsync of the cursor before its rename",
    file: "src/services/FileOps.ts",
    from: "Effect.andThen(writeAll(file, bytes, 0), file.sync)",
    to: "writeAll(file, bytes, 0)",
    tests: ["Model"]
  },
  {
    name: "fsync before the roll: what `interval` promised for later",
    file: `${queue}/Active.ts`,
    from: "if (active.dirty && settings.fsync === \"interval\")",
    to: "if (active.dirty && settings.fsync === \"never\")",
    tests: ["Faults"]
  },
  {
    name: "fsync before the answer",
    file: `${queue}/Writer.ts`,
    from: "settings.fsync === \"always\" ? Active.sync(shared, file) : Effect.void",
    to: "Effect.void",
    tests: ["Model"]
  },
  {
    name: "a failed file is written on",
    file: `${queue}/Writer.ts`,
    from: "Effect.tapError(() => Active.abandon(shared))",
    to: "Effect.tapError(() => Effect.void)",
    tests: ["Faults"]
  },
  {
    name: "cursor before unlink: files go by what is acknowledged, not by what is durable",
    file: `${queue}/State.ts`,
    from: "const first = Math.max(segment.base, s.durableAckedTo)",
    to: "const first = Math.max(segment.base, s.ackedTo)",
    tests: ["Model"]
  },
  {
    name: "short-write loop",
    file: "src/services/FileOps.ts",
    from: "while (done < bytes.length) {\n    const written",
    to: "if (done < bytes.length) {\n    const written",
    tests: ["Model"]
  },
  {
    name: "the highest number ever given is forgotten",
    file: `${queue}/Recovery.ts`,
    from: "Math.max(cursor.nextAssign, cursor.nextSeq,",
    to: "Math.max(cursor.nextSeq,",
    tests: ["Damage"]
  },
  {
    name: "H6: records of the unresolved send may be dropped",
    file: `${queue}/State.ts`,
    from: "const spared = pinnedAnd(s, s.holes)",
    to: "const spared = s.holes",
    tests: ["Model"]
  },
  {
    name: "holes of the cursor are not written",
    file: `${queue}/Cursor.ts`,
    from: "cursor.holes.slice(0, maxHoles)",
    to: "cursor.holes.slice(0, 0)",
    tests: ["Model"]
  },
  {
    name: "the note of a loss comes after its cursor",
    file: `${queue}/Drop.ts`,
    from:
      "  yield* Effect.mapError(Drops.keep(shared, losses), (error) => ioError(error))\n  yield* writeCursor(shared, ranges)\n",
    to:
      "  yield* writeCursor(shared, ranges)\n  yield* Effect.mapError(Drops.keep(shared, losses), (error) => ioError(error))\n",
    tests: ["Drops"]
  },
  {
    name: "a loss that did not happen stays noted where the disk was full",
    file: `${queue}/Drop.ts`,
    from: "Effect.mapError(Drops.settle(shared), (error) => ioError(error)).pipe(",
    to: "Effect.void.pipe(",
    tests: ["Drops"]
  },
  {
    name: "dropped records behind a damaged head come back",
    file: `${queue}/Reader.ts`,
    from: "frame.seq < Math.max(from, state.ackedTo)",
    to: "frame.seq < from",
    tests: ["Damage"]
  },
  {
    name: "what is appended beside a read is missing",
    file: `${queue}/Reader.ts`,
    from: "if (at.seq < at.seen.end) yield* missed(Math.max(at.seq, from), at.seen.end - 1, at, damage)",
    to: "if (at.seq < segment.end) yield* missed(Math.max(at.seq, from), segment.end - 1, at, damage)",
    tests: ["Model"]
  },
  {
    name: "what was read ahead is handed out, dropped meanwhile or not",
    file: `${queue}/Reader.ts`,
    from: "Ranges.count(State.present(state, { first, last })) === batch.records.length ? batch : undefined",
    to: "batch",
    tests: ["Faults"]
  },
  {
    name: "what was read ahead is handed out, asked for or not",
    file: `${queue}/Reader.ts`,
    from: "if (first !== Ranges.skip(state.holes, Math.max(from, state.ackedTo))) return undefined",
    to: "",
    tests: ["Model"]
  }
]

const wanted = mutations.filter(({ name }) => name.includes(process.argv[2] ?? ""))
const copy = mkdtempSync(path.join(tmpdir(), "mutations-"))

const run = (tests) =>
  spawnSync(
    process.execPath,
    [
      path.join(root, "node_modules/vitest/vitest.mjs"),
      "run",
      "--project",
      "unit",
      "--bail",
      "1",
      ...tests.map((name) => `test/services/FileQueue/${name}.test.ts`)
    ],
    {
      cwd: copy,
      encoding: "utf8",
      timeout: 300_000,
      killSignal: "SIGKILL",
      env: { ...process.env, NO_COLOR: "1", FUZZ_RUNS: process.env["FUZZ_RUNS"] ?? "1000" }
    }
  )

/** What the first test that failed is called. */
const firstRed = (stdout) => /^ +× (.*?)( \d+ms)?$/m.exec(stdout)?.[1]

let unseen = 0
try {
  for (const name of ["src", "test", "package.json", "tsconfig.json", "vitest.config.ts"]) {
    cpSync(path.join(root, name), path.join(copy, name), { recursive: true })
  }
  symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"))
  const control = run([...new Set(wanted.flatMap(({ tests }) => tests))])
  if (control.status !== 0) throw new Error(`without any mutation:\n${control.stdout}`)
  console.log("without any: green")
  for (const { file, from, name, tests, to } of wanted) {
    const target = path.join(copy, file)
    const source = readFileSync(target, "utf8")
    if (source.split(from).length !== 2) throw new Error(`${name}: ${file} does not have that line once`)
    writeFileSync(target, source.replace(from, () => to))
    const red = firstRed(run(tests).stdout)
    writeFileSync(target, source)
    if (red === undefined) unseen += 1
    console.log(`${red === undefined ? "NOT SEEN" : "red"}  ${name}\n     ${red ?? tests.join(", ")}`)
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
console.log(`${wanted.length - unseen} of ${wanted.length} seen`)
process.exitCode = unseen === 0 ? 0 : 1
