/**
 * The lock on the data directory, in two parts that every owner makes and every newcomer looks at:
 *
 * * `LOCK`: flock, taken by a short-lived `flock` on our file descriptor (Node has no flock). It belongs to the open file, so it stays
 *   with this process when that child ends, goes with the process however it dies, and is not inherited. Only where there is such a
 *   program; weak on NFS.
 * * `LOCK.pid`: a mark (`DirectoryLock/Mark.ts`), given to one process by a contest (`DirectoryLock/Contest.ts`), with a socket
 *   beside it on which the owner listens as long as it lives.
 *
 * A second at a time the owner looks whether both are still there, makes again what is gone or could not be made yet, and is told if
 * another process owns the directory meanwhile (`DirectoryLock/Keeper.ts`).
 *
 * Works across the containers of one host. An earlier version knows the flock or the mark, whichever it has itself.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { DirectoryLock, DirectoryLockError, Holder, Locked, type Ownership } from "../../services/DirectoryLock.ts"
import { FileOps, isNoRoom } from "../../services/FileOps.ts"
import * as Time from "../../services/Time.ts"
import * as Beacon from "./DirectoryLock/Beacon.ts"
import * as Contest from "./DirectoryLock/Contest.ts"
import * as Keeper from "./DirectoryLock/Keeper.ts"
import * as Mark from "./DirectoryLock/Mark.ts"
import * as Processes from "./DirectoryLock/Processes.ts"
import * as NodeFileOps from "./FileOps.ts"
import * as Inodes from "./Inodes.ts"

const Note = Schema.parseJson(Holder)
const encodeNote = Schema.encodeSync(Note)
const decodeNote = Schema.decodeUnknownOption(Note)

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "UNKNOWN"

/** Undefined: there is no such file. */
const textOf = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return undefined
    throw cause
  }
}

const noteOf = (file: string): Holder | null => Option.getOrNull(decodeNote(textOf(file) ?? ""))

/** What fails on an open file says nothing of its path. */
const naming = (path: string, message: string): string => message.includes(path) ? message : `${path}: ${message}`

const attempt = <A>(path: string, run: () => A): Effect.Effect<A, DirectoryLockError> =>
  Effect.try({
    try: run,
    catch: (cause) =>
      new DirectoryLockError({
        path,
        code: codeOf(cause),
        message: naming(path, Inodes.messageOf(cause)),
        cause
      })
  })

/** Whoever got it a moment ago may just be writing: looks again for some 200 ms. The last look counts. */
const patiently = Effect.fnUntraced(function*<A>(
  look: Effect.Effect<A, DirectoryLockError>,
  isWhole: (seen: A) => boolean
): Effect.fn.Return<A, DirectoryLockError> {
  for (let n = 0; n < 10; n++) {
    const seen = yield* look
    if (isWhole(seen)) return seen
    yield* Effect.sleep("20 millis")
  }
  return yield* look
})

/** `undefined`: there is no such program, or it cannot lock on this file system (of a network, of FUSE), which is nobody's refusal. */
const flock = (file: number): "held" | "refused" | undefined => {
  const { error, status } = spawnSync("flock", ["-n", "-x", "3"], { stdio: ["ignore", "ignore", "ignore", file] })
  if (error !== undefined) return undefined
  return status === 0 ? "held" : status === 1 ? "refused" : undefined
}

const openFlags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW

const writeNote = (file: number, note: Holder): void => {
  // What is there keeps its place until it is overwritten: it may be all there is on a full disk.
  const bytes = Buffer.from(`${encodeNote(note)}\n`)
  const length = fs.writeSync(file, bytes, 0, bytes.length, 0)
  fs.ftruncateSync(file, length)
  // A disk that fills up takes a part of it, and the next write would say why.
  if (length < bytes.length) throw Object.assign(new Error("ENOSPC: no room for all of it"), { code: "ENOSPC" })
}

/** Our open `LOCK`. `held`: by flock. Another takes its place when somebody took the file away. */
interface Lock {
  handle: number
  held: boolean
  ino: number
  hasNote: boolean
}

const acquire = Effect.fnUntraced(function*(
  directory: string
): Effect.fn.Return<Ownership, Locked | DirectoryLockError, FileOps | Scope.Scope> {
  const file = path.join(directory, "LOCK")
  const now = new Date(Time.epochMillis(yield* Time.wall))
  const ops = yield* FileOps
  const make = ops.makeDirectory(directory).pipe(
    Effect.mapError(({ cause, code, message, path }) => new DirectoryLockError({ path, code, message, cause }))
  )
  yield* make
  const lock: Lock = yield* Effect.acquireRelease(
    attempt(file, () => {
      const handle = fs.openSync(file, openFlags, 0o600)
      return { handle, held: false, ino: fs.fstatSync(handle).ino, hasNote: false }
    }),
    (lock) => Effect.sync(() => fs.closeSync(lock.handle))
  )
  const outcome = flock(lock.handle)
  if (outcome === "refused") {
    const holder = yield* patiently(attempt(file, () => noteOf(file)), (note) => note !== null)
    return yield* new Locked({ path: file, holder })
  }
  lock.held = outcome === "held"
  const me: Holder = { pid: process.pid, host: os.hostname(), bootId: Processes.bootId(), startedAt: now.toISOString() }
  if (!lock.held) yield* respectFlock(file, lock.handle, me)
  const { beacon, mine, play, socket } = yield* enter(directory, me, lock)
  // For humans, and for an earlier version that has no flock. It stays when the lock goes: removing a file that another has just
  // opened would give two owners.
  const note = Effect.suspend(() =>
    lock.hasNote ? Effect.void : Effect.andThen(
      attempt(file, () => writeNote(lock.handle, me)),
      Effect.sync(() => {
        lock.hasNote = true
      })
    )
  )
  yield* note.pipe(
    Effect.catchIf(isNoRoom, (error) =>
      Effect.logWarning("no room for a note of who holds the data directory").pipe(
        Effect.annotateLogs({ path: file, code: error.code })
      ))
  )
  const wanted = lock.held
  const relock = Effect.gen(function*() {
    const next = yield* attempt(file, () => fs.openSync(file, openFlags, 0o600))
    const got = wanted ? flock(next) : undefined
    const holder = yield* attempt(file, () => noteOf(file))
    const { dev, ino } = fs.fstatSync(next)
    // Only an owner leaves its note: who is just asking has the flock for a moment too.
    const isTheirs = holder !== null && holder.pid !== me.pid &&
      (got === "refused" || (holder.bootId === me.bootId && Processes.hasOpen(holder.pid, { dev, ino })))
    if (wanted && got !== "held" || isTheirs) {
      fs.closeSync(next)
      lock.held = false
      if (isTheirs) return yield* new Locked({ path: file, holder })
      return yield* new DirectoryLockError({
        path: file,
        code: "EAGAIN",
        message: `${file} is locked by another process`
      })
    }
    fs.closeSync(lock.handle)
    Object.assign(lock, { handle: next, held: got === "held", ino, hasNote: false })
  })
  return yield* Keeper.keep({
    look: Keeper.look(directory, { mine, lock: () => lock.ino, socket: beacon.isLit ? socket : undefined }),
    directory,
    wasMarked: lock.hasNote && textOf(path.join(directory, Contest.head)) !== undefined,
    make,
    relock: Effect.uninterruptible(relock),
    relight: beacon.again,
    play,
    note
  })
})

/**
 * An owner with a `flock` that this process has not: it has the file by flock, seen among the processes here; an earlier version, which
 * makes no mark, at least has it open, by its note, which stays when it is gone. In another container neither can be seen.
 */
const respectFlock = Effect.fnUntraced(function*(
  file: string,
  handle: number,
  me: Holder
): Effect.fn.Return<void, Locked | DirectoryLockError> {
  const holder = yield* attempt(file, () => noteOf(file))
  const { dev, ino } = yield* attempt(file, () => fs.fstatSync(handle))
  const noted = holder !== null && holder.bootId === me.bootId && holder.pid !== me.pid
  if (noted && Processes.hasOpen(holder.pid, { dev, ino })) return yield* new Locked({ path: file, holder })
  const pid = Processes.flocking({ dev, ino })
  if (pid === undefined) return
  // The note is in its own words; from here a container's process has another number.
  return yield* new Locked({ path: file, holder: noted ? holder : { ...me, pid, startedAt: "" } })
})

/** The codes of file systems without hard links. */
const noLinks = new Set(["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EMLINK"])

/** Under a name that is free, whole or not at all. `own`: a file that holds it. False: the name is taken. */
const put = (own: string, text: string, file: string): boolean => {
  try {
    fs.linkSync(own, file)
    return true
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") return false
    if (!noLinks.has(codeOf(cause))) throw cause
  }
  try {
    fs.writeFileSync(file, text, { flag: "wx", mode: 0o600 })
    return true
  } catch (cause) {
    if (codeOf(cause) === "EEXIST") return false
    fs.rmSync(file, { force: true })
    throw cause
  }
}

/** Durable before it is put anywhere: of a file that was not, a crash of the system leaves the name and no content. */
const writeDurably = (file: string, text: string): void => {
  const handle = fs.openSync(file, "wx", 0o600)
  try {
    fs.writeFileSync(handle, text)
    fs.fsyncSync(handle)
  } finally {
    fs.closeSync(handle)
  }
}

/** What a crash of the system leaves of a file that was written shortly before: nothing, or zeros in its length. */
const isBlank = (text: string): boolean => /^[\0\s]*$/.test(text)

const names: Contest.Names = { idOf: (text) => createHash("sha256").update(text).digest("hex").slice(0, 16) }

interface Entry {
  readonly mine: string
  readonly socket: string
  readonly beacon: Beacon.Beacon
  /** The contest once more, if the mark is gone. */
  readonly play: Effect.Effect<Contest.Outcome | undefined, DirectoryLockError>
}

/** The contest for the mark. Without a flock nothing else keeps others out; with one a disk without room keeps nobody from starting. */
const enter = Effect.fnUntraced(function*(
  directory: string,
  me: Holder,
  lock: Readonly<Lock>
): Effect.fn.Return<Entry, Locked | DirectoryLockError, Scope.Scope> {
  const within = (name: string) => path.join(directory, name)
  const id = randomBytes(8).toString("hex")
  const socket = Mark.socketOf({ ...me, start: "", id, listens: true }) ?? ""
  const beacon = yield* Beacon.light(directory, socket)
  const namespaces = Processes.namespaces()
  const { held: flock, ino } = lock
  const mine = Mark.encode({
    ...me,
    start: Processes.ownStart(),
    id,
    listens: beacon.isLit,
    flock,
    ...(flock ? { lock: ino } : {}),
    namespaces
  })
  let isOwner = false
  const own = within(`${Contest.head}.${id}`)
  const isLocal = Processes.isLocal(directory)

  const remove = (name: string) => attempt(within(name), () => fs.rmSync(within(name), { force: true }))
  const write = attempt(own, () => {
    if (!fs.existsSync(own)) writeDurably(own, mine)
  })
  const judge = Effect.fnUntraced(function*(text: string) {
    const mark = Mark.decode(text)
    // A mark is put whole, so that what is blank while we own the directory was emptied by somebody. With the flock in our hands its owner cannot be one that has it, and one without put no blank mark.
    if (mark === null) return (isOwner || lock.held) && isBlank(text) ? "dead" : "unknown"
    const theirs = Mark.socketOf(mark)
    return Mark.judge(mark, {
      flock: lock.held,
      lock: lock.ino,
      host: me.host,
      bootId: me.bootId,
      namespaces,
      local: isLocal,
      answers: theirs === undefined ? undefined : yield* Beacon.isLit(directory, theirs),
      runs: Processes.runs(mark)
    })
  })
  const obey = (command: Contest.Command): Effect.Effect<Contest.Answer, DirectoryLockError> => {
    switch (command._tag) {
      case "read": {
        const file = within(command.name)
        return patiently(
          attempt(file, () => textOf(file)?.trimEnd()),
          (text) => text === undefined || Mark.decode(text) !== null
        )
      }
      case "judge":
        return judge(command.text)
      case "put": {
        const file = within(command.name)
        return Effect.andThen(write, attempt(file, () => put(own, mine, file)))
      }
      case "replace": {
        const file = within(Contest.head)
        return Effect.asVoid(Effect.andThen(write, attempt(file, () => fs.renameSync(own, file))))
      }
      case "clean": {
        const sockets = command.marks.flatMap((text) => {
          const mark = Mark.decode(text)
          return mark === null ? [] : Mark.socketOf(mark) ?? []
        })
        return Effect.forEach([...command.names, ...sockets], remove, { discard: true })
      }
    }
  }

  const play = Effect.gen(function*() {
    let contest = Contest.start(mine)
    while (contest.command !== undefined) contest = Contest.next(contest, yield* obey(contest.command), names)
    return contest.outcome
  }).pipe(
    Effect.ensuring(Effect.ignore(remove(`${Contest.head}.${id}`))),
    Effect.uninterruptible
  )
  const begin = play.pipe(
    Effect.catchIf((error) => flock && isNoRoom(error), (error) =>
      Effect.as(
        Effect.logWarning("no room for a mark in the data directory").pipe(
          Effect.annotateLogs({ path: error.path, code: error.code })
        ),
        { _tag: "owner" as const }
      ))
  )
  const leave = attempt(within(Contest.head), () => {
    if (textOf(within(Contest.head)) === mine) fs.rmSync(within(Contest.head), { force: true })
  })
  const outcome = yield* Effect.acquireRelease(
    begin,
    (outcome) =>
      outcome?._tag === "owner"
        ? Effect.catchTag(leave, "DirectoryLockError", (error) =>
          Effect.logWarning("the mark in the data directory stays").pipe(Effect.annotateLogs({ error: error.message })))
        : Effect.void
  )
  if (outcome?._tag === "owner") {
    isOwner = true
    return { mine, socket, beacon, play }
  }
  const text = outcome?.text ?? ""
  return yield* new Locked({
    path: within(Contest.head),
    holder: Option.getOrNull(decodeNote(text)),
    unsure: outcome?.verdict === "unknown"
  })
})

/**
 * Gives `DirectoryLock`, by real files. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<DirectoryLock> = Layer.effect(
  DirectoryLock,
  Effect.map(FileOps, (ops) => ({
    acquire: (directory) => acquire(directory).pipe(Effect.provideService(FileOps, ops))
  }))
).pipe(Layer.provide(NodeFileOps.layer))
