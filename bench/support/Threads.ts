/**
 * CPU of a process by kind of thread, from `/proc/<pid>/task`: nanoseconds of each (`schedstat`), where `/proc/<pid>/stat` has ticks of
 * 10 ms.
 *
 * Who is who: Node 24 names its threads. Node 20 calls all of them `node` and starts them in one order: main, V8's delayed tasks, V8's
 * four workers (garbage, compiling), the one that waits for SIGUSR1, then libuv's (gzip, files) once there is work for them.
 */
import { readdirSync, readFileSync } from "node:fs"

/** Microseconds. */
export interface Cpu {
  readonly main: number
  readonly v8: number
  readonly libuv: number
  readonly all: number
}

export interface Thread {
  readonly id: number
  readonly name: string
  readonly nanoseconds: number
}

/** V8's workers (`--v8-pool-size`, 4) and the thread of its delayed tasks, which come right after the main thread. */
const v8Threads = 5

/** And the one that waits for the signal that starts the inspector. */
const beforeLibuv = 1 + v8Threads + 1

const kindOf = ({ name }: Thread, order: number): "main" | "v8" | "libuv" => {
  if (order === 0) return "main"
  if (/^libuv/i.test(name)) return "libuv"
  if (/v8|^Delayed|^Signal/i.test(name)) return "v8"
  return order < beforeLibuv ? "v8" : "libuv"
}

/**
 * Threads of one process, in any order. Their ids rise from the process's own, and begin again from below where the kernel has reached its
 * highest (`/proc/sys/kernel/pid_max`): those below it are the younger ones.
 */
export const byKind = (pid: number, threads: ReadonlyArray<Thread>): Cpu => {
  const cpu = { main: 0, v8: 0, libuv: 0, all: 0 }
  const isWrapped = ({ id }: Thread) => id < pid ? 1 : 0
  threads.toSorted((a, b) => isWrapped(a) - isWrapped(b) || a.id - b.id).forEach((thread, order) => {
    const micros = thread.nanoseconds / 1000
    cpu[kindOf(thread, order)] += micros
    cpu.all += micros
  })
  return cpu
}

/** What was spent between two looks, for each of `count`. */
export const between = (before: Cpu, after: Cpu, count: number): Cpu => ({
  main: (after.main - before.main) / count,
  v8: (after.v8 - before.v8) / count,
  libuv: (after.libuv - before.libuv) / count,
  all: (after.all - before.all) / count
})

/** Of a process that runs. */
export const cpuOf = (pid: number): Cpu => {
  const directory = `/proc/${pid}/task`
  return byKind(
    pid,
    readdirSync(directory).flatMap((task) => {
      try {
        return [{
          id: Number(task),
          name: readFileSync(`${directory}/${task}/comm`, "utf8").trim(),
          nanoseconds: Number(readFileSync(`${directory}/${task}/schedstat`, "utf8").split(" ")[0])
        }]
      } catch {
        // A thread that has just ended.
        return []
      }
    })
  )
}
