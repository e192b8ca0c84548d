/**
 * A disk in memory that does what disks do: it loses what was not synced, in any legal way (ALICE, OSDI'14), fills up, and fails at a
 * chosen operation. A failed sync marks pages clean, as Linux does: a later sync that succeeds says nothing about them.
 */
import { Effect, Layer } from "effect"
import * as zlib from "node:zlib"
import { type File, FileOps, FileOpsError, type OpenMode } from "../../src/services/FileOps.ts"

type Change =
  | { readonly _tag: "Write"; readonly position: number; readonly bytes: Uint8Array }
  | { readonly _tag: "Truncate"; readonly length: number }

class Inode {
  /** As programs see it. */
  content: Uint8Array<ArrayBufferLike> = new Uint8Array(0)
  /** As the platter has it. */
  durable: Uint8Array<ArrayBufferLike> = new Uint8Array(0)
  /** Not synced yet. */
  pending: Array<Change> = []
}

type Entry =
  | { readonly _tag: "Link"; readonly path: string; readonly inode: Inode }
  | { readonly _tag: "Unlink"; readonly path: string }
  | { readonly _tag: "Rename"; readonly from: string; readonly to: string; readonly inode: Inode }

const apply = (content: Uint8Array, change: Change): Uint8Array => {
  if (change._tag === "Truncate") {
    const cut = new Uint8Array(change.length)
    cut.set(content.subarray(0, change.length))
    return cut
  }
  const end = change.position + change.bytes.length
  let next = content
  if (end > content.length) {
    next = new Uint8Array(end)
    next.set(content)
  } else next = content.slice()
  next.set(change.bytes, change.position)
  return next
}

export interface Operation {
  readonly n: number
  readonly op: string
  readonly path: string
  /** Bytes of a read or write, and where they begin. */
  readonly bytes: number
  readonly position: number
}

/** What becomes of an operation instead of its success: an error code, or a write of so many bytes only. */
export type Fault = string | { readonly short: number } | undefined

/** Picks one of the legal outcomes of a power loss: a number from 0 to `n` - 1. */
export type Choose = (n: number) => number

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/"

export class MemoryDisk {
  private files = new Map<string, Inode>()
  private durableFiles = new Map<string, Inode>()
  private pendingEntries = new Map<string, Array<Entry>>()
  private readonly directories = new Set<string>(["/"])
  readonly trace: Array<Operation> = []
  fault: (operation: Operation) => Fault = () => undefined
  /** Of all files together. */
  capacity = Infinity
  /** A process that has died does nothing more: set by a fault, told to every operation. */
  dead = false
  /** What happens while the next operation of that kind is under way: before it is done, and between that and the answer. Once. */
  aside:
    | { readonly op: string; readonly before: Effect.Effect<unknown>; readonly after: Effect.Effect<unknown> }
    | undefined
  open = 0

  used(): number {
    let sum = 0
    for (const { content } of this.files.values()) sum += content.length
    return sum
  }

  // -------------------------------------------------------------------------------------------------------------------
  // as an outsider

  paths(): ReadonlyArray<string> {
    return Array.from(this.files.keys()).sort()
  }

  get(path: string): Uint8Array {
    const found = this.files.get(path)
    if (found === undefined) throw new Error(`no file ${path}`)
    return found.content
  }

  /** Durable at once. */
  put(path: string, bytes: Uint8Array): void {
    const inode = new Inode()
    inode.content = bytes.slice()
    inode.durable = bytes.slice()
    this.files.set(path, inode)
    this.durableFiles.set(path, inode)
  }

  remove(path: string): void {
    this.files.delete(path)
    this.durableFiles.delete(path)
  }

  /** `kill -9`: what was written stays. */
  crashProcess(): void {
    this.dead = false
    this.open = 0
  }

  /** What was not synced is there, or not, or in part. */
  crashPower(choose: Choose): void {
    this.crashProcess()
    for (const entries of this.pendingEntries.values()) {
      // Order within a directory is kept (a journal), its end is not.
      for (const entry of entries.slice(0, choose(entries.length + 1))) this.applyEntry(this.durableFiles, entry)
    }
    this.pendingEntries.clear()
    for (const inode of new Set([...this.files.values(), ...this.durableFiles.values()])) {
      if (inode.pending.length > 0) this.settle(inode, choose)
      inode.content = inode.durable.slice()
      inode.pending = []
    }
    this.files = new Map(this.durableFiles)
  }

  private settle(inode: Inode, choose: Choose): void {
    for (const change of inode.pending) {
      switch (choose(4)) {
        case 0: // it never got there
          break
        case 1:
          inode.durable = apply(inode.durable, change)
          break
        case 2: // a part of it
          if (change._tag === "Truncate") break
          inode.durable = apply(inode.durable, {
            ...change,
            bytes: change.bytes.slice(0, choose(change.bytes.length + 1))
          })
          break
        default: // its length, but zeros
          if (change._tag === "Truncate") break
          inode.durable = apply(inode.durable, { ...change, bytes: new Uint8Array(change.bytes.length) })
      }
    }
  }

  private applyEntry(files: Map<string, Inode>, entry: Entry): void {
    if (entry._tag === "Link") files.set(entry.path, entry.inode)
    else if (entry._tag === "Unlink") files.delete(entry.path)
    else {
      files.delete(entry.from)
      files.set(entry.to, entry.inode)
    }
  }

  private enter(entry: Entry): void {
    this.applyEntry(this.files, entry)
    const parent = parentOf(entry._tag === "Rename" ? entry.to : entry.path)
    const entries = this.pendingEntries.get(parent)
    if (entries === undefined) this.pendingEntries.set(parent, [entry])
    else entries.push(entry)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // as a program

  private run<A>(
    op: string,
    path: string,
    effect: (fault: { readonly short: number } | undefined) => A | FileOpsError,
    bytes = 0,
    position = 0
  ): Effect.Effect<A, FileOpsError> {
    const done = Effect.suspend(() => {
      const operation = { n: this.trace.length, op, path, bytes, position }
      if (!this.dead) this.trace.push(operation)
      const fault = this.dead ? "DEAD" : this.fault(operation)
      // The fault itself may be the death.
      if (this.dead) return this.error(op, path, "DEAD")
      if (typeof fault === "string") {
        if (op === "sync" || op === "datasync") this.forget(path)
        return this.error(op, path, fault)
      }
      const result = effect(fault)
      return result instanceof FileOpsError ? Effect.fail(result) : Effect.succeed(result)
    })
    return Effect.suspend(() => {
      const { aside } = this
      if (aside?.op !== op) return done
      this.aside = undefined
      return Effect.zipLeft(Effect.andThen(aside.before, done), aside.after)
    })
  }

  private error(op: string, path: string, code: string): FileOpsError {
    return new FileOpsError({ op, path, code, message: code })
  }

  private forget(path: string): void {
    const inode = this.files.get(path)
    if (inode !== undefined) inode.pending = []
  }

  private sync(inode: Inode): void {
    for (const change of inode.pending) inode.durable = apply(inode.durable, change)
    inode.pending = []
  }

  private fileOf(path: string, inode: Inode): File {
    this.open += 1
    const change = (one: Change): void => {
      inode.content = apply(inode.content, one)
      inode.pending.push(one)
    }
    let closed = false
    const run = <A>(
      op: string,
      effect: (fault: { readonly short: number } | undefined) => A | FileOpsError,
      bytes = 0,
      position = 0
    ) => this.run(op, path, (fault) => closed ? this.error(op, path, "EBADF") : effect(fault), bytes, position)
    return {
      path,
      write: (bytes, position) => {
        const asked = bytes.length
        return run(
          "write",
          (fault) => {
            const grown = Math.max(0, position + asked - inode.content.length)
            const room = Math.max(0, asked - Math.max(0, grown - (this.capacity - this.used())))
            const count = Math.min(asked, room, fault?.short ?? asked)
            if (count <= 0 && asked > 0) return this.error("write", path, "ENOSPC")
            change({ _tag: "Write", position, bytes: bytes.slice(0, count) })
            return count
          },
          asked,
          position
        )
      },
      read: (into, position) =>
        run(
          "read",
          () => {
            const found = inode.content.subarray(position, position + into.length)
            into.set(found)
            return found.length
          },
          into.length,
          position
        ),
      datasync: run("datasync", () => this.sync(inode)),
      sync: run("sync", () => this.sync(inode)),
      truncate: (length) => run("truncate", () => change({ _tag: "Truncate", length })),
      size: run("stat", () => inode.content.length),
      close: run("close", () => {
        closed = true
        this.open -= 1
      })
    }
  }

  private openFile(path: string, mode: OpenMode): File | FileOpsError {
    const found = this.files.get(path)
    if (mode === "create" && found !== undefined) return this.error("open", path, "EEXIST")
    if (mode === "read" && found === undefined) return this.error("open", path, "ENOENT")
    if (found !== undefined) {
      if (mode === "replace") {
        found.content = new Uint8Array(0)
        found.pending.push({ _tag: "Truncate", length: 0 })
      }
      return this.fileOf(path, found)
    }
    if (!this.directories.has(parentOf(path))) return this.error("open", path, "ENOENT")
    const inode = new Inode()
    this.enter({ _tag: "Link", path, inode })
    return this.fileOf(path, inode)
  }

  readonly ops: FileOps["Type"] = {
    open: (path, mode) => this.run(`open:${mode}`, path, () => this.openFile(path, mode)),
    makeDirectory: (path) =>
      this.run("mkdir", path, () => {
        for (let at = path; at !== "/"; at = parentOf(at)) this.directories.add(at)
      }),
    readDirectory: (path) =>
      this.run(
        "readdir",
        path,
        () =>
          Array.from(this.files.keys()).filter((one) => parentOf(one) === path).map((one) => one.slice(path.length + 1))
            .sort()
      ),
    syncDirectory: (path) =>
      this.run("syncDirectory", path, () => {
        for (const entry of this.pendingEntries.get(path) ?? []) this.applyEntry(this.durableFiles, entry)
        this.pendingEntries.delete(path)
      }),
    rename: (from, to) =>
      this.run("rename", to, () => {
        const inode = this.files.get(from)
        if (inode === undefined) return this.error("rename", from, "ENOENT")
        return this.enter({ _tag: "Rename", from, to, inode })
      }),
    unlink: (path) =>
      this.run(
        "unlink",
        path,
        () => this.files.has(path) ? this.enter({ _tag: "Unlink", path }) : this.error("unlink", path, "ENOENT")
      ),
    stat: (path) =>
      this.run("stat", path, () => {
        const inode = this.files.get(path)
        return inode === undefined
          ? this.error("stat", path, "ENOENT")
          : { size: inode.content.length, isFile: true }
      }),
    freeBytes: (path) => this.run("statfs", path, () => this.capacity - this.used()),
    crc32: (data, seed) => zlib.crc32(data, seed)
  }

  readonly layer: Layer.Layer<FileOps> = Layer.succeed(FileOps, this.ops)
}
