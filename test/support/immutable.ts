/**
 * A directory in which nothing can be made, changed or removed, not even by root, whom `chmod` does not keep out.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"

const run = promisify(execFile)

const chattr = async (how: "+i" | "-i", directory: string): Promise<void> => {
  try {
    await run("chattr", [how, directory])
  } catch (cause) {
    throw new Error(
      "these tests make a directory immutable: as root, on ext4, xfs or btrfs (TMPDIR names another place)",
      { cause }
    )
  }
}

export const freeze = (directory: string): Promise<void> => chattr("+i", directory)

export const thaw = (directory: string): Promise<void> => chattr("-i", directory)
