/**
 * Keeps the marks of an owner for as long as it lives: looks each second whether they are there, makes again what somebody took away or
 * what had no room so far, and says if another process has become the owner meanwhile. Without it whoever begins after `rm LOCK*`, or
 * after a start on a full disk, would be a second owner, unnoticed by the first.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as Complaint from "../../../services/Complaint.ts"
import { DirectoryLockError, Locked, type Ownership } from "../../../services/DirectoryLock.ts"
import * as Contest from "./Contest.ts"
import * as Mark from "./Mark.ts"

/** What is not as the owner left it. */
export interface Missing {
  readonly lock: boolean
  readonly mark: boolean
  readonly socket: boolean
}

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "UNKNOWN"

/** Undefined: there is no such file. In the thread pool: a disk that hangs must not hold the event loop. */
const unlessMissing = <A>(file: string, look: () => Promise<A>): Effect.Effect<A | undefined, DirectoryLockError> =>
  Effect.tryPromise({
    try: () => look().catch((cause: unknown) => codeOf(cause) === "ENOENT" ? undefined : Promise.reject(cause)),
    catch: (cause) =>
      new DirectoryLockError({ path: file, code: codeOf(cause), message: `${file}: ${String(cause)}`, cause })
  })

/** `socket`: the name of ours, undefined if we have none. `lock`: the inode of our `LOCK`. */
export const look = (
  directory: string,
  ours: { readonly mine: string; readonly lock: () => number; readonly socket: string | undefined }
): Effect.Effect<Missing, DirectoryLockError> => {
  const of = <A>(name: string, run: (file: string) => Promise<A>) =>
    Effect.suspend(() => unlessMissing(path.join(directory, name), () => run(path.join(directory, name))))
  return Effect.all({
    lock: Effect.map(of("LOCK", (file) => fs.lstat(file)), (stat) => stat?.ino !== ours.lock()),
    mark: Effect.map(of(Contest.head, (file) => fs.readFile(file, "utf8")), (text) => text?.trimEnd() !== ours.mine),
    socket: ours.socket === undefined
      ? Effect.succeed(false)
      : Effect.map(of(ours.socket, (file) => fs.lstat(file)), (stat) => stat === undefined)
  })
}

export interface Parts {
  readonly directory: string
  /** All of it was made at the start. */
  readonly wasMarked: boolean
  readonly look: Effect.Effect<Missing, DirectoryLockError>
  /** The directory, if it is gone too. */
  readonly make: Effect.Effect<void, DirectoryLockError>
  readonly relock: Effect.Effect<void, Locked | DirectoryLockError>
  readonly relight: Effect.Effect<boolean>
  readonly play: Effect.Effect<Contest.Outcome | undefined, DirectoryLockError>
  /** Who holds the directory, written into `LOCK` if it is not there yet. */
  readonly note: Effect.Effect<void, DirectoryLockError>
}

/** Until the scope closes. */
export const keep = Effect.fnUntraced(function*(
  { directory, look, make, note, play, relight, relock, wasMarked }: Parts
): Effect.fn.Return<Ownership, never, Scope.Scope> {
  const lost = yield* Deferred.make<never, Locked>()
  const complaint = Complaint.make()
  const file = path.join(directory, Contest.head)

  /** Once more the contest, with the same mark: another who owns the directory by now is as good an owner as we were. */
  const contend = Effect.flatMap(play, (outcome): Effect.Effect<void, Locked | DirectoryLockError> => {
    if (outcome?._tag === "owner") return Effect.void
    const mark = Option.fromNullable(Mark.decode(outcome?.text ?? ""))
    // No version writes such a mark: nobody owns the directory by it.
    if (Option.isNone(mark)) {
      return new DirectoryLockError({ path: file, code: "EEXIST", message: `${file} was overwritten, and is no mark` })
    }
    return new Locked({ path: file, holder: mark.value, unsure: outcome?.verdict === "unknown" })
  })

  let isMarked = wasMarked
  const round = Effect.gen(function*() {
    const missing = yield* look
    const isWhole = !missing.lock && !missing.mark && !missing.socket
    if (!isWhole) yield* make
    const isDark = missing.socket && !(yield* relight)
    // The mark first: whoever has it decides.
    if (missing.mark) yield* contend
    if (missing.lock) yield* relock
    yield* note
    if (isDark) {
      const message = `${directory}: the socket of the owner cannot be made again`
      return yield* new DirectoryLockError({ path: directory, code: "UNKNOWN", message })
    }
    const tell = !isMarked
      ? Effect.logInfo("the marks of the data directory's owner are there again")
      : isWhole
      ? Effect.void
      : Effect.logWarning("marks of the data directory's owner were taken away; they are there again")
    isMarked = true
    yield* Effect.annotateLogs(tell, { path: directory })
  }).pipe(
    Effect.catchTag("DirectoryLockError", ({ message, path }) => {
      isMarked = false
      return complaint.tell(
        "a mark of the data directory's owner cannot be made: a second process could begin beside it",
        {
          path,
          error: message
        }
      )
    })
  )
  yield* round.pipe(
    // A look that dies must not be the last one: from then on a second owner would be unnoticed.
    Effect.catchAllDefect((defect) =>
      complaint.tell("the marks of the data directory's owner cannot be looked at", {
        path: directory,
        error: String(defect)
      })
    ),
    Effect.delay("1 second"),
    Effect.forever,
    Effect.catchTag("Locked", (error) =>
      Effect.andThen(
        Effect.logFatal("another process has become the owner of the data directory", error.message),
        Deferred.fail(lost, error)
      )),
    Effect.forkScoped
  )
  return { lost: Deferred.await(lost) }
})
