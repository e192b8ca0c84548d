/**
 * Programs of the operating system that tests run: by apt where we are root, as in a container; else the command for a human.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"

const run = promisify(execFile)

const isMissing = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && "code" in cause && cause.code === "ENOENT"

const installed = new Map<string, Promise<void>>()

/** Returns when `program` can be run; it comes from the package of the same name. `ask`: how it tells its version. */
export const install = (program: string, ask = "-V"): Promise<void> => {
  const known = installed.get(program)
  if (known !== undefined) return known
  const installing = (async () => {
    try {
      await run(program, [ask])
      return
    } catch (cause) {
      if (!isMissing(cause)) throw cause
    }
    try {
      await run("apt-get", ["install", "-y", "--no-install-recommends", program])
    } catch (cause) {
      throw new Error(`these tests need ${program}: \`apt-get install ${program}\``, { cause })
    }
  })()
  installed.set(program, installing)
  return installing
}
