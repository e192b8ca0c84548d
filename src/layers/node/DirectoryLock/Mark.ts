/**
 * What an owner leaves in `LOCK.pid` about itself, and what it proves to one who finds it: pure functions of what can be seen.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Holder } from "../../../services/DirectoryLock.ts"
import type { Verdict } from "./Contest.ts"

export const Mark = Schema.Struct({
  ...Holder.fields,
  /** Clock ticks since boot at which the process began; empty where the system does not say. Linux only. */
  start: Schema.String,
  // What follows earlier versions neither write nor read.
  /** Random, so that no two marks are alike. */
  id: Schema.optional(Schema.String),
  /** The owner has a socket beside its mark, on which it listens for as long as it lives: `socketOf`. */
  listens: Schema.optional(Schema.Boolean),
  /** The owner has `LOCK` by flock too. */
  flock: Schema.optional(Schema.Boolean),
  /** The inode of that `LOCK`: one that was put in its place later proves nothing. */
  lock: Schema.optional(Schema.Number),
  /** In which namespaces `pid` and `start` mean anything; empty where the system has none. */
  namespaces: Schema.optional(Schema.String)
})
export type Mark = typeof Mark.Type

const Text = Schema.parseJson(Mark)
export const encode: (mark: Mark) => string = Schema.encodeSync(Text)
const decodeText = Schema.decodeUnknownOption(Text)
export const decode = (text: string): Mark | null => Option.getOrNull(decodeText(text))

/** The name of the owner's socket in the directory; undefined if it has none. */
export const socketOf = ({ id, listens }: Mark): string | undefined =>
  listens === true && id !== undefined && /^[0-9a-f]+$/.test(id) ? `LOCK.${id}.sock` : undefined

/** What can be seen of a mark's owner from this process. */
export interface Sight {
  /** This process has `LOCK` by flock. */
  readonly flock: boolean
  /** The inode of that `LOCK`. */
  readonly lock: number
  readonly host: string
  readonly bootId: string
  readonly namespaces: string
  /** The file system belongs to this kernel alone: whoever has the directory runs on it. */
  readonly local: boolean
  /** Somebody listens on the mark's socket; undefined if that cannot be told, or there is none. */
  readonly answers: boolean | undefined
  /** There is a process of that number and, if both are known, of that start in our own namespaces. */
  readonly runs: boolean
}

/**
 * A socket proves most: the kernel answers for its owner, whatever that one is doing and in whatever container it does it, and
 * refuses when the owner is gone. All but a socket that answers is believed only from where it can be seen. Then a process that is seen to
 * run: that we have `LOCK` proves less, since it may be another file than the owner's, which somebody took away.
 */
export const judge = (mark: Mark, sight: Sight): Verdict => {
  if (sight.answers === true) return "alive"
  const booted = mark.bootId === sight.bootId
  if (sight.answers === false && booted) return "dead"
  const isSeen = booted && mark.namespaces !== undefined && mark.namespaces !== "" &&
    mark.namespaces === sight.namespaces && mark.start !== ""
  if (isSeen) return sight.runs ? "alive" : "dead"
  // It would still have the flock that we got.
  const isSame = !booted || mark.lock === undefined || mark.lock === sight.lock
  if (sight.flock && mark.flock === true && isSame) return "dead"
  if (mark.namespaces === undefined) {
    // An earlier version's, which knows a process by its host's name.
    if (mark.host !== sight.host) return "unknown"
    return booted && sight.runs ? "alive" : "dead"
  }
  // Another boot of this machine, or another machine that has the same disk over the network.
  if (!booted) return sight.local ? "dead" : "unknown"
  if (mark.namespaces !== sight.namespaces) return "unknown"
  return sight.runs ? "alive" : "dead"
}
