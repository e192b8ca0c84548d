import { promisify } from "node:util"
import { gzip } from "node:zlib"
import { expect, test } from "vitest"
import { planOf } from "../../bench/support/Cores.ts"
import * as Threads from "../../bench/support/Threads.ts"

test("one core for the subject, the others for the rest, of those that this process may use", () => {
  expect(planOf("0-1")).toEqual({ subject: "0", others: "1" })
  expect(planOf("2,5-7")).toEqual({ subject: "2", others: "5,6,7" })
  expect(planOf("3")).toBeUndefined()
  expect(planOf("")).toBeUndefined()
})

const named = (...names: ReadonlyArray<string>) =>
  names.map((name, i): Threads.Thread => ({ id: 100 + i, name, nanoseconds: 1000 * 10 ** i }))

test("threads without names are told by the order in which Node 20 starts them", () => {
  const threads = named(...Array.from({ length: 9 }, () => "node"))
  expect(Threads.byKind(100, threads.toReversed())).toEqual({
    main: 1,
    v8: 1_111_110,
    libuv: 110_000_000,
    all: 111_111_111
  })
})

test("the main thread is the process's own, also where the ids of the others began again from below", () => {
  const threads = [[32_767, 1], [40, 10], [41, 10], [42, 10], [43, 10], [44, 10], [45, 10], [46, 100]] as const
  const found = Threads.byKind(
    32_767,
    threads.map(([id, micros]) => ({ id, name: "node", nanoseconds: micros * 1000 }))
  )
  expect(found).toEqual({ main: 1, v8: 60, libuv: 100, all: 161 })
})

test("threads with names are told by them", () => {
  expect(Threads.byKind(100, named("node", "DelayedTaskSche", "V8Worker", "libuv-worker", "SignalInspector"))).toEqual({
    main: 1,
    v8: 10_110,
    libuv: 1_000,
    all: 11_111
  })
})

test("this process: what gzip takes is found among libuv's threads", async () => {
  const before = Threads.cpuOf(process.pid)
  await promisify(gzip)(Buffer.alloc(20_000_000, "price,amount;"), { level: 9 })
  const spent = Threads.between(before, Threads.cpuOf(process.pid), 1)
  expect(spent.libuv).toBeGreaterThan(10_000)
  expect(spent.all).toBeCloseTo(spent.main + spent.v8 + spent.libuv, 3)
})
