// T25: is there a test for each promise of the queue, of the checkpoint, and of the holes? Breaks one line of a copy of the sources at a time and runs the tests that should
// see it. Every one must be seen, and without any the same tests must be green. By hand, about ten minutes.
//
//   node scripts/mutations.mjs [name part]
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const queue = "src/services/FileQueue"
const checkpoint = "src/services/Checkpoint"
const holes = "src/streams/trades/Holes"

const mutations = [
  {
    name: "crc check: any record with a marker counts",
    file: `${queue}/Format.ts`,
    from: "if (view.getUint32(offset + 8, true) !== checksum(bytes, offset, end, seed, crc32)) return undefined",
    to: "",
    tests: ["Damage"]
  },
  {
    name: "epoch check: the same seed for every segment",
    file: `${queue}/Format.ts`,
    from: "crc32(text.encode(`exchange-feeds:${base}`), 0)",
    to: "crc32(text.encode(`exchange-feeds:${base * 0}`), 0)",
    tests: ["Damage"]
  },
  {
    name: "directory fsync: a new segment's name is not made durable",
    file: `${queue}/Active.ts`,
    from:
      "writeAll(file, header, 0).pipe(\n    Effect.andThen(file.sync),\n    Effect.andThen(ops.syncDirectory(state.directory)),\n",
    to: "writeAll(file, header, 0).pipe(\n    Effect.andThen(file.sync),\n",
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
    file: `${queue}/Retention.ts`,
    from:
      "  yield* Effect.mapError(Losses.keep(shared, losses), (error) => ioError(error))\n  yield* Cursor.write(shared, ranges)\n",
    to:
      "  yield* Cursor.write(shared, ranges)\n  yield* Effect.mapError(Losses.keep(shared, losses), (error) => ioError(error))\n",
    tests: ["Losses"]
  },
  {
    name: "a loss that did not happen stays noted where the disk was full",
    file: `${queue}/Cursor.ts`,
    from: "Effect.mapError(Losses.correct(shared), (error) => ioError(error)).pipe(",
    to: "Effect.void.pipe(",
    tests: ["Losses"]
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
    tests: ["Retention"]
  },
  {
    name: "what was read ahead is handed out, asked for or not",
    file: `${queue}/Reader.ts`,
    from: "if (first !== Ranges.skip(state.holes, Math.max(from, state.ackedTo))) return undefined",
    to: "",
    tests: ["Model"]
  },
  {
    name: "checkpoint: trades go by the order of delivery",
    file: `${checkpoint}/Market.ts`,
    from: "if (!market.isTrimmed) order.sort((a, b) => timeOf(a) - timeOf(b) || a - b)",
    to: "",
    tests: ["Checkpoint"]
  },
  {
    name: "checkpoint: trades within holes go with the rest",
    file: `${checkpoint}/Market.ts`,
    from: "order.slice(0, cut).filter((i) => isWithinHole(market, times[i]))",
    to: "order.slice(0, 0)",
    tests: ["Checkpoint"]
  },
  {
    name: "checkpoint: the last time goes back",
    file: `${checkpoint}/Market.ts`,
    from: "market.last === null || compare(time, market.last) > 0",
    to: "true",
    tests: ["Checkpoint"]
  },
  {
    name: "checkpoint: those of one time are the oldest of all",
    file: `${checkpoint}/Market.ts`,
    from: "time ?? (market.last === null ? null : epochMsOf(market.last))",
    to: "time",
    tests: ["Checkpoint"]
  },
  {
    name: "checkpoint: sorted, and only the last ones are written",
    file: `${checkpoint}/Market.ts`,
    from: "if (market.unwritten !== 0) market.unwritten = \"all\"",
    to: "",
    tests: ["Model"]
  },
  {
    name: "checkpoint: all untold holes are one",
    file: `${checkpoint}/Market.ts`,
    from: "a.gapId === b.gapId && (a.gapId !== null || a.from === b.from)",
    to: "a.gapId === b.gapId",
    tests: ["Checkpoint"]
  },
  {
    name: "checkpoint: filled, though the trade may be lost",
    file: `${checkpoint}/Market.ts`,
    from: "trade === null ? hole : { ...hole, over: null }",
    to: "hole",
    tests: ["Checkpoint"]
  },
  {
    name: "checkpoint: gone when either is resolved",
    file: `${checkpoint}/Market.ts`,
    from: "closing.filter(({ awaited: { event, trade } }) => event !== null || trade !== null)",
    to: "closing.filter(({ awaited: { event, trade } }) => event !== null && trade !== null)",
    tests: ["Checkpoint"]
  },
  {
    name: "checkpoint: a market that came back is forgotten",
    file: `${checkpoint}/Memory.ts`,
    from: "      forgotten.delete(key)\n",
    to: "",
    tests: ["Checkpoint"]
  },
  {
    name: "checkpoint: what was on its way makes a forgotten market known",
    file: `${checkpoint}/Memory.ts`,
    from: "if (forgotten.has(key)) {\n      const left",
    to: "if (false) {\n      const left",
    tests: ["Checkpoint"]
  },
  {
    name: "checkpoint: all of version 1 is new each time",
    file: `${checkpoint}/Memory.ts`,
    from: "market.lastOfOld === undefined ? 0 : ids.lastIndexOf(market.lastOfOld) + 1",
    to: "0",
    tests: ["Upgrade"]
  },
  {
    name: "checkpoint: version 1 is read each time",
    file: `${checkpoint}/Reader.ts`,
    from: "if (old !== undefined && old.mark !== position.old) {",
    to: "if (old !== undefined) {",
    tests: ["Upgrade"]
  },
  {
    name: "checkpoint: a failed write is not written again as a whole",
    file: `${checkpoint}/Memory.ts`,
    from: "if (market !== undefined) market.unwritten = \"all\"\n      changed.add(key)",
    to: "",
    tests: ["Disk"]
  },
  {
    name: "checkpoint: a copy swallows what is not written",
    file: `${checkpoint}/Memory.ts`,
    from: "market.unwritten !== 0 || market.areHolesUnwritten",
    to: "false",
    tests: ["Disk"]
  },
  {
    name: "checkpoint: the position is ahead of what it covers",
    file: `${checkpoint}/Writer.ts`,
    from: "append(draft, isLast ? next : position)",
    to: "append(draft, next)",
    tests: ["Model", "Upgrade"]
  },
  {
    name: "checkpoint: an interrupted write is lost",
    file: `${checkpoint}/Writer.ts`,
    from: "Effect.uninterruptible(write)",
    to: "write",
    tests: ["Disk"]
  },
  {
    name: "checkpoint: on in a file whose write failed",
    file: `${checkpoint}/Writer.ts`,
    from: "          leave()\n          for",
    to: "          for",
    tests: ["Disk"]
  },
  {
    name: "checkpoint: segments go while they are needed",
    file: `${checkpoint}/Writer.ts`,
    from: "const [needed = segment] = wholes.values()",
    to: "const needed = segment",
    tests: ["Model"]
  },
  {
    name: "checkpoint: segments never go",
    file: `${checkpoint}/Writer.ts`,
    from: "if (needed <= oldest) return Effect.void",
    to: "return Effect.void",
    tests: ["Disk"]
  },
  {
    name: "checkpoint: what may not be durable counts as written",
    file: `${checkpoint}/Reader.ts`,
    from: "for (const key of doubtful.keys()) memory.unwrite(key)",
    to: "",
    tests: ["Disk"]
  },
  {
    name: "checkpoint: the position that may not be durable counts as written",
    file: `${checkpoint}/Reader.ts`,
    from: "position: durable, old:",
    to: "position, old:",
    tests: ["Model"]
  },
  {
    name: "checkpoint: a line that was cut off is damage",
    file: `${checkpoint}/Lines.ts`,
    from: "else if (!isLast) damaged += 1",
    to: "else damaged += 1",
    tests: ["Disk"]
  },
  {
    name: "checkpoint: any line counts",
    file: `${checkpoint}/Lines.ts`,
    from: "&& Number.parseInt(head, 16) === crc32(body, 0)",
    to: "",
    tests: ["Disk", "Model"]
  },
  {
    name: "checkpoint: not synced",
    file: "src/layers/DataDirectory.ts",
    from: "Effect.andThen(writeAll(file, line, length), file.datasync)",
    to: "writeAll(file, line, length)",
    tests: ["Model"]
  },
  {
    name: "checkpoint: a new segment's name is not made durable",
    file: "src/layers/DataDirectory.ts",
    from: "Effect.andThen(withFile(files, path, \"replace\", write), files.syncDirectory(directory))",
    to: "withFile(files, path, \"replace\", write)",
    tests: ["Model"]
  },
  {
    name: "checkpoint: a file each second on a full disk",
    file: "src/layers/DataDirectory.ts",
    from: "Effect.tapError(() => unlink(path))",
    to: "Effect.tapError(() => Effect.void)",
    tests: ["Disk"]
  },
  {
    name: "checkpoint: a hole waits for a trade that is settled",
    file: `${checkpoint}/Market.ts`,
    from: "trade: isResolved ? null : trade }",
    to: "trade }",
    tests: ["Checkpoint"]
  },
  {
    name: "holes: trades do not wait",
    file: `${holes}/Front.ts`,
    from: "return deadline !== undefined && Time.between(deadline, now) >= 0",
    to: "return deadline !== undefined",
    tests: ["Holes"]
  },
  {
    name: "holes: trades go before the hole is told",
    file: `${holes}/Front.ts`,
    from: "  out.push({ _tag: \"Publish\", gap })\n  if (outcome === \"given up\") {",
    to: "  if (outcome === \"given up\") {",
    tests: ["Holes"]
  },
  {
    name: "holes: told before it is durable",
    file: `${holes}/Front.ts`,
    from: "if (isUnwritten(item) && s.persistingSince !== null &&",
    to: "if (false && s.persistingSince !== null &&",
    tests: ["Holes"]
  },
  {
    name: "holes: a disk that hangs holds trades up",
    file: `${holes}/Front.ts`,
    from: "Time.between(s.persistingSince, now) < s.options.patience",
    to: "true",
    tests: ["Holes"]
  },
  {
    name: "holes: any answer fills",
    file: "src/streams/trades/Spans.ts",
    from: "return timestamp === null ? isKnown : timestamp < from.ms || (timestamp === from.ms && isKnown)",
    to: "return true",
    tests: ["Holes"]
  },
  {
    name: "holes: filled, wherever the answer ends",
    file: "src/streams/trades/Spans.ts",
    from: "return !isBefore(reached, to) && (reached.ms > to.ms || growing === null)",
    to: "return true",
    tests: ["Spans"]
  },
  {
    name: "holes: an answer to a question from before",
    file: "src/streams/trades/Spans.ts",
    from: "until !== null && Time.between(until, sentAt) >= 0",
    to: "until !== null",
    tests: ["Holes"]
  },
  {
    name: "holes: the newest timestamp of an answer is whole",
    file: `${holes}/Answers.ts`,
    from: "return isOver ? null : timestamp",
    to: "return null",
    tests: ["Holes"]
  },
  {
    name: "holes: what the socket brought is the history's",
    file: `${holes}/Arrivals.ts`,
    from: "known: inside.length === 0 ? s.known : [...s.known, ...inside.map(({ id }) => id)]",
    to: "known: s.known",
    tests: ["Holes"]
  },
  {
    name: "holes: the edge is not known",
    file: `${holes}/Listening.ts`,
    from: "line: [...s.line, item], known: [...s.known, ...known] }",
    to: "line: [...s.line, item] }",
    tests: ["Holes"]
  },
  {
    name: "holes: an empty answer is believed",
    file: `${holes}/Answers.ts`,
    from: "if (rows.length === 0 && s.seen !== null) return \"open\"",
    to: "",
    tests: ["Holes"]
  },
  {
    name: "holes: given up untold",
    file: `${holes}/Answers.ts`,
    from: "    const gap = Spans.gapOf(span, false, idOf(s, nextId++))\n    out.push({ _tag: \"Publish\", gap })\n",
    to: "    const gap = Spans.gapOf(span, false, idOf(s, nextId++))\n",
    tests: ["Holes"]
  },
  {
    name: "holes: without a Date none is too old",
    file: `${holes}/Answers.ts`,
    from: "(until !== null && Time.between(Time.latest(since, until), now) > maxAge)",
    to: "false",
    tests: ["Holes"]
  },
  {
    name: "holes: a vanished market's last hole has no end",
    file: `${holes}/Listening.ts`,
    from: "  return s.vanished ? vanished(next, now) : next",
    to: "  return next",
    tests: ["Holes"]
  },
  {
    name: "holes: of two listeners the old one is alive",
    file: `${holes}/Listening.ts`,
    from: "const isAlive = id === elder && since !== null && Time.between(at, since) >= 0",
    to: "const isAlive = true",
    tests: ["Holes"]
  },
  {
    name: "holes: of two listeners both heard all",
    file: `${holes}/Listening.ts`,
    from: "const isSettled = Time.between(at, now) >= Spans.settledAfter(s.options) || hasIds(s)",
    to: "const isSettled = true",
    tests: ["Holes"]
  },
  {
    name: "holes: what was taken over is new",
    file: `${holes}.ts`,
    from: "itemOf({ ...span, since: now, isInherited: true }, \"yes\", outcome)",
    to: "itemOf({ ...span, since: now, isInherited: true, gapId: null }, \"yes\", outcome)",
    tests: ["Holes"]
  },
  {
    name: "holes: what was taken over begins with this life",
    file: "src/streams/trades/Spans.ts",
    from: "isInherited ? null : since",
    to: "since",
    tests: ["Holes"]
  },
  {
    name: "holes: filled, and not told again",
    file: `${holes}/Front.ts`,
    from: "const gap = isTold || span.recovered > 0 ? Spans.gapOf(span, true, id) : undefined",
    to: "const gap = undefined",
    tests: ["Holes"]
  },
  {
    name: "holes: kept without the id that it will be told under",
    file: `${holes}/Front.ts`,
    from: "...named(item, idOf(s, nextId++)), durable: \"asked\"",
    to: "...item, durable: \"asked\"",
    tests: ["Holes"]
  },
  {
    name: "holes: a span ends before it begins",
    file: "src/streams/trades/Spans.ts",
    from: "to: end !== null && from !== null && isBefore(end, from) ? from : end,",
    to: "to: end,",
    tests: ["Spans"]
  }
]

const wanted = mutations.filter(({ name }) => name.includes(process.argv[2] ?? ""))
const copy = mkdtempSync(path.join(tmpdir(), "mutations-"))

/** Of the queue, unless its name begins with another subject. */
const folderOf = (name) =>
  name.startsWith("checkpoint:")
    ? "services/Checkpoint"
    : name.startsWith("holes:")
    ? "streams/trades"
    : "services/FileQueue"

/** Of either tier that `npm test` runs. */
const testsOf = ({ name, tests }) =>
  tests.map((test) => {
    const file = `test/${folderOf(name)}/${test}`
    return existsSync(path.join(root, `${file}.fuzz.test.ts`)) ? `${file}.fuzz.test.ts` : `${file}.test.ts`
  })

const run = (files) =>
  spawnSync(
    process.execPath,
    [
      path.join(root, "node_modules/vitest/vitest.mjs"),
      "run",
      "--project",
      "unit",
      "--bail",
      "1",
      ...files
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
  const control = run([...new Set(wanted.flatMap(testsOf))])
  if (control.status !== 0) throw new Error(`without any mutation:\n${control.stdout}`)
  console.log("without any: green")
  for (const mutation of wanted) {
    const { file, from, name, to } = mutation
    const target = path.join(copy, file)
    const source = readFileSync(target, "utf8")
    if (source.split(from).length !== 2) throw new Error(`${name}: ${file} does not have that line once`)
    writeFileSync(target, source.replace(from, () => to))
    const red = firstRed(run(testsOf(mutation)).stdout)
    writeFileSync(target, source)
    if (red === undefined) unseen += 1
    console.log(`${red === undefined ? "NOT SEEN" : "red"}  ${name}\n     ${red ?? testsOf(mutation).join(", ")}`)
  }
} finally {
  rmSync(copy, { recursive: true, force: true })
}
console.log(`${wanted.length - unseen} of ${wanted.length} seen`)
process.exitCode = unseen === 0 ? 0 : 1
