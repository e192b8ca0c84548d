/**
 * `FileOps` on Node's file handles. Beside `FileSystem` of @effect/platform because that has no fdatasync, no directory fsync, no
 * statfs, and hides short writes; the queue's promises rest on all four.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { constants, fdatasync, write } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import * as zlib from "node:zlib"
import { advised } from "../../services/ErrorText.ts"
import { type File, FileOps, FileOpsError, type OpenMode } from "../../services/FileOps.ts"
import * as Inodes from "./Inodes.ts"

const flags: Record<OpenMode, number> = {
  read: constants.O_RDONLY,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  replace: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
  write: constants.O_RDWR | constants.O_CREAT
}

const isErrno = (cause: unknown): cause is NodeJS.ErrnoException => cause instanceof Error && "code" in cause

const failure = (op: string, path: string, cause: unknown): FileOpsError => {
  const code = isErrno(cause) && cause.code !== undefined ? cause.code : "UNKNOWN"
  const message = advised(code, Inodes.messageOf(cause))
  return new FileOpsError({ op, path, code, message, cause })
}

/** A call that is under way goes on in Node's threads whatever happens here: so it is waited for. */
const call = <A>(op: string, path: string, run: () => Promise<A>): Effect.Effect<A, FileOpsError> =>
  Effect.uninterruptible(Effect.tryPromise({
    try: run,
    catch: (cause) => failure(op, path, cause)
  }))

/** As `call`, for the two of each append, without Node's promises: they cost CPU that an append has not (bench/queue.ts). */
const callback = <A>(
  op: string,
  path: string,
  run: (done: (cause: Error | null, value: A) => void) => void
): Effect.Effect<A, FileOpsError> =>
  Effect.uninterruptible(Effect.async((resume) => {
    try {
      run((cause, value) => resume(cause === null ? Effect.succeed(value) : Effect.fail(failure(op, path, cause))))
    } catch (cause) {
      // A file that is closed has no number.
      resume(Effect.fail(failure(op, path, cause)))
    }
  }))

const fileOf = (path: string, handle: fs.FileHandle): File => ({
  path,
  write: (bytes, position) =>
    callback("write", path, (done) => write(handle.fd, bytes, 0, bytes.length, position, done)),
  read: (into, position) =>
    call("read", path, async () => (await handle.read(into, 0, into.length, position)).bytesRead),
  datasync: callback("datasync", path, (done) => fdatasync(handle.fd, (cause) => done(cause, undefined))),
  sync: call("sync", path, () => handle.sync()),
  truncate: (length) => call("truncate", path, () => handle.truncate(length)),
  size: call("stat", path, async () => (await handle.stat()).size),
  close: call("close", path, () => handle.close())
})

const open = (path: string, mode: OpenMode): Effect.Effect<File, FileOpsError> =>
  call("open", path, async () => fileOf(path, await fs.open(path, flags[mode] | constants.O_NOFOLLOW, 0o600)))

/**
 * Each directory made is synced into its parent: a queue whose directory a power loss takes is a lost queue. By hand, because
 * `recursive` of Node never ends where a directory cannot be made, as in `/proc`.
 */
const makeDirectory = async (target: string): Promise<void> => {
  try {
    await fs.mkdir(target, { mode: 0o700 })
  } catch (cause) {
    if (!isErrno(cause)) throw cause
    if (cause.code === "EEXIST" && (await fs.stat(target)).isDirectory()) return
    if (cause.code !== "ENOENT" || path.dirname(target) === target) throw cause
    await makeDirectory(path.dirname(target))
    await fs.mkdir(target, { mode: 0o700 })
  }
  await syncDirectory(path.dirname(target))
}

const syncDirectory = async (directory: string): Promise<void> => {
  // Windows opens no directories; its file systems order these by themselves.
  if (process.platform === "win32") return
  const handle = await fs.open(directory, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Gives `FileOps`, the real file system. Needs nothing.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<FileOps> = Layer.succeed(FileOps, {
  open,
  makeDirectory: (path) => call("mkdir", path, () => makeDirectory(path)),
  readDirectory: (path) => call("readdir", path, async () => (await fs.readdir(path)).sort()),
  syncDirectory: (path) => call("syncDirectory", path, () => syncDirectory(path)),
  rename: (from, to) => call("rename", to, () => fs.rename(from, to)),
  unlink: (path) => call("unlink", path, () => fs.unlink(path)),
  stat: (path) =>
    call("stat", path, async () => {
      const found = await fs.lstat(path)
      return { size: found.size, isFile: found.isFile() }
    }),
  freeBytes: (path) =>
    call("statfs", path, async () => {
      const found = await fs.statfs(path)
      return found.bavail * found.bsize
    }),
  crc32: (data, seed) => zlib.crc32(data, seed)
})
