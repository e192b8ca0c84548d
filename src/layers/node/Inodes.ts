/** A file system may have bytes and no inode left to put another file to: the system calls both of them no space. */
import { statfsSync } from "node:fs"
import * as path from "node:path"

/** In words of our own, for whoever looks at free bytes alone. */
export const none = "no inodes left on the file system (df -i)"

export const areThere = (directory: string): boolean => {
  const { ffree, files } = statfsSync(directory)
  // Some file systems have no fixed number of them, and say 0 of 0.
  return files === 0 || ffree > 0
}

const isGone = (file: string): boolean => {
  try {
    return !areThere(path.dirname(file))
  } catch {
    // It cannot be told: then the system's own words are all there is.
    return false
  }
}

/** What the failure of a call that makes files or directories says. */
export const messageOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause)
  const { code, message, path: file, syscall = "open" }: NodeJS.ErrnoException = cause
  return code === "ENOSPC" && file !== undefined && isGone(file) ? `ENOSPC: ${none}, ${syscall} '${file}'` : message
}
