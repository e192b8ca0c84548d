/** Whose core is whose: what is measured has one for itself, exchange, broker and harness share the others. */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"

export interface Plan {
  /** As `taskset -c` takes them. */
  readonly subject: string
  readonly others: string
}

/** Of a list of cores as the kernel writes it, such as `0-3,6`. Undefined: there are not two. */
export const planOf = (list: string): Plan | undefined => {
  const cores = list.split(",").flatMap((range) => {
    const [from = NaN, to = from] = range.split("-").map(Number)
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })
  const [subject, ...others] = cores
  return subject === undefined || others.length === 0 ? undefined : { subject: `${subject}`, others: others.join(",") }
}

/** Moves this process, and so all it starts, off the subject's core. Undefined: not possible here, or not wanted (`PIN=0`). */
export const divide = (): Plan | undefined => {
  if (process.env["PIN"] === "0") return undefined
  const allowed = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]
  const plan = planOf(allowed ?? "")
  if (plan === undefined) return undefined
  const { status } = spawnSync("taskset", ["-acp", plan.others, `${process.pid}`])
  return status === 0 ? plan : undefined
}
