/**
 * Ends this process from outside. `process.exit` waits for the threads of Node's pool, and one that is stuck in the kernel (a disk
 * that does not answer, a FIFO) holds it up for ever; a blocked event loop runs no timer either. So a stop that must end has a
 * second process beside it, which kills this one when its time is up, and ends with it.
 *
 * As PID 1 of a container nobody inside can kill us: there the runtime does it, or its `init`.
 */
import { spawn } from "node:child_process"
import type { Writable } from "node:stream"

export interface Watchdog {
  /** The process is about to exit: if it is still there half a second later it is killed. */
  readonly hurry: () => void
}

// The pipe closes with the process, however it ends; `ppid` is compared lest a successor of that number be killed.
const script = `
const [, pid, patience] = process.argv.map(Number)
const kill = () => { if (process.ppid === pid) process.kill(pid, "SIGKILL") }
setTimeout(kill, patience)
process.stdin.on("data", () => setTimeout(kill, 500)).on("end", () => process.exit())
`

/** `patience` in milliseconds. In a session of its own: Ctrl-C is not for it. */
export const start = (patience: number): Watchdog => {
  try {
    return watched(patience)
  } catch {
    // No memory for another process, or it is forbidden: unlike other failures this one is thrown, and a stop must go on without it.
    return { hurry: () => {} }
  }
}

const watched = (patience: number): Watchdog => {
  const child = spawn(process.execPath, ["-e", script, String(process.pid), String(patience)], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    env: {}
  })
  // Without it there is still the way from inside.
  child.on("error", () => {})
  child.unref()
  // Whatever the types say: a child for which no descriptor is left (EMFILE) comes without streams.
  const stdin: Writable | undefined = child.stdin
  stdin?.on("error", () => {})
  return { hurry: () => stdin?.write(".") }
}
