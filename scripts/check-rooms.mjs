/**
 * `X/` is the private room of `X.ts`: its files are imported by `X.ts` and from within `X/` only, so that whoever reads a part of the
 * program has one door to it. Folders that begin with a small letter (`services`, `exchanges`, `node`, ...) are open.
 */
import { readdirSync, readFileSync } from "node:fs"
import path from "node:path"

/** Who may pass a door, and why. */
const allowed = [
  {
    who: "src/streams/Capture.ts",
    room: "src/streams/Feed",
    why: "it plays frames into a session without a socket: a feed of its own"
  },
  {
    who: "src/layers/cli/",
    room: "src/layers/AppConfig",
    why: "the command line reads and prints the table of settings itself"
  }
]

const files = readdirSync("src", { recursive: true }).map((file) => `src/${file}`).filter((file) =>
  file.endsWith(".ts")
)
const there = new Set(files)

/** Rooms with a door `X.ts` that `file` lies in, the outer ones first. */
const roomsOf = (file) => {
  const parts = path.dirname(file).split("/")
  return parts.map((_, i) => parts.slice(0, i + 1).join("/")).filter((room) => there.has(`${room}.ts`))
}

const broken = []
for (const file of files) {
  for (const [, specifier] of readFileSync(file, "utf8").matchAll(/(?:from|import\() ?"(\.[^"]+)"/g)) {
    const target = path.posix.join(path.dirname(file), specifier)
    for (const room of roomsOf(target)) {
      if (allowed.some((one) => one.room === room && file.startsWith(one.who))) continue
      if (file !== `${room}.ts` && !file.startsWith(`${room}/`)) {
        broken.push(`${file}: ${target} is in the room of ${room}.ts`)
      }
    }
  }
}
for (const line of broken) console.error(line)
console.log(`${files.length} files, ${broken.length} imports past a door`)
process.exit(broken.length === 0 ? 0 : 1)
