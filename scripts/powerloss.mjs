// T9: does the queue keep what it promised when the power goes? On a real ext4, in a file mounted by loop: a writer appends and says
// outside what it was promised; EXT4_IOC_SHUTDOWN without a log flush takes all that was not synced; the disk is mounted again and the
// queue read. `always` must have lost nothing. `interval` and `never` are the control: they must have lost something, or this script
// is blind. Root; needs mkfs.ext4, losetup and python3 (for the ioctl).
// Of a run in which `always` lost something, the disk as the power left it stays, with what was said.
//
//   sudo node scripts/powerloss.mjs [runs, 100]
import { spawn, spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const runs = Number(process.argv[2] ?? 100)
const work = mkdtempSync(path.join(tmpdir(), "powerloss-"))
const image = path.join(work, "disk")
/** As the power left it: mounting it again changes it. */
const cut = path.join(work, "cut")
const mount = path.join(work, "mnt")
mkdirSync(mount)

const must = (command, ...args) => {
  const { error, status, stderr, stdout } = spawnSync(command, args, { encoding: "utf8" })
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${error?.message ?? stderr}`)
  return stdout
}

/** EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH. Says when, by the monotonic clock, ns. */
const powerLoss = () =>
  BigInt(must(
    "python3",
    "-c",
    `import fcntl,os,struct,time; fd=os.open("${mount}", os.O_RDONLY); before=time.monotonic_ns()
fcntl.ioctl(fd, 0x8004587d, struct.pack("I", 2)); print(before)`
  ))

const child = (mode, ...args) =>
  spawn(process.execPath, ["--import", "tsx", "test/support/queue-child.ts", path.join(mount, "data"), ...args], {
    cwd: root,
    env: { ...process.env, QUEUE_FSYNC: mode },
    stdio: ["ignore", "pipe", "pipe"]
  })

const linesOf = (stream) => {
  const lines = []
  let rest = ""
  stream.setEncoding("utf8").on("data", (text) => {
    const parts = (rest + text).split("\n")
    rest = parts.pop() ?? ""
    lines.push(...parts)
  })
  return lines
}

const ended = (process) => new Promise((resolve) => process.once("close", resolve))

/** What is needed to find out why: the disk before and after it was mounted again, and all that was said. */
const keep = (story) => {
  const kept = mkdtempSync(path.join(tmpdir(), "powerloss-kept-"))
  must("cp", "--sparse=always", cut, path.join(kept, "cut"))
  must("cp", "-r", path.join(mount, "data"), path.join(kept, "data"))
  const kernel = spawnSync("dmesg", { encoding: "utf8" }).stdout.split("\n").slice(-20)
  writeFileSync(path.join(kept, "story.json"), JSON.stringify({ ...story, kernel }, undefined, 1))
  console.log(`kept in ${kept}`)
}

/** Lets it write for some time, takes the power, and says what was promised and what is gone. */
const once = async (mode) => {
  must("truncate", "-s", "64M", image)
  must("mkfs.ext4", "-q", "-F", image)
  must("mount", "-o", "loop", image, mount)
  try {
    const writer = child(mode, "0")
    const said = linesOf(writer.stdout)
    const complained = linesOf(writer.stderr)
    while (!said.some((line) => line.startsWith("a "))) {
      if (writer.exitCode !== null) throw new Error(`the writer ended at once: ${[...said, ...complained].join("\n")}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 700))
    const before = powerLoss()
    writer.kill("SIGKILL")
    await ended(writer)
    must("umount", mount)
    must("cp", "--sparse=always", image, cut)
    must("mount", "-o", "loop", image, mount)
    const reader = child("always", "0", "read")
    const read = linesOf(reader.stdout)
    const warned = linesOf(reader.stderr)
    const code = await ended(reader)
    // What a reader that failed has not read is not lost.
    if (code !== 0) throw new Error(`the reader ended with ${code}: ${[...read.slice(-3), ...warned].join("\n")}`)
    const here = new Map(read.filter((line) => line.startsWith("r ")).map((line) => line.slice(2).split(" ")))
    const delivered = new Set(said.filter((line) => line.startsWith("d ")).map((line) => line.split(" ")[1]))
    const promised = said.filter((line) => line.startsWith("a ")).map((line) => line.slice(2).split(" "))
    const gone = promised.filter(([seq, n]) => !delivered.has(seq) && here.get(seq) !== n)
    // A sync that is under way when the journal is aborted may be told that all is well (seen in one run of 300, 5 ms after the ioctl).
    // No disk without power answers: only what was promised before counts.
    const lost = gone.filter(([, , at]) => BigInt(at) < before)
    const afterwards = gone.length - lost.length
    if (mode === "always" && lost.length > 0) keep({ before: String(before), gone, said, complained, read, warned })
    // What was delivered may come once more; a number that was promised may never carry another record.
    const wrong = promised.filter(([seq, n]) => here.has(seq) && here.get(seq) !== n)
    return { promised: promised.length, lost: lost.length, afterwards, wrong: wrong.length }
  } finally {
    spawnSync("umount", ["-l", mount])
  }
}

let failed = false
try {
  for (const [mode, times] of [["always", runs], ["interval", Math.ceil(runs / 10)], ["never", Math.ceil(runs / 10)]]) {
    const total = { promised: 0, lost: 0, afterwards: 0, wrong: 0 }
    let withLoss = 0
    for (let run = 0; run < times; run++) {
      const result = await once(mode)
      for (const key of Object.keys(total)) total[key] += result[key]
      if (result.lost > 0) withLoss += 1
    }
    console.log(JSON.stringify({ mode, runs: times, ...total, runsWithLoss: withLoss }))
    if (total.wrong > 0 || (mode === "always" ? total.lost > 0 : total.lost === 0)) failed = true
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
console.log(failed ? "FAILED" : "ok: always lost nothing, the controls did")
process.exit(failed ? 1 : 0)
