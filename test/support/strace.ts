import { install } from "./packages.ts"

/**
 * What stands before a command for strace to look at its system calls, or to tamper with them: `expressions` as of `-e`. What we start and
 * signal is the command itself (`-D`: the tracer is its grandchild). The files of descriptors are named in the trace.
 */
export const strace = async (
  trace: string,
  ...expressions: ReadonlyArray<string>
): Promise<ReadonlyArray<string>> => {
  await install("strace")
  return ["strace", "-D", "-f", "-y", "-qqq", "-o", trace, ...expressions.flatMap((one) => ["-e", one])]
}
