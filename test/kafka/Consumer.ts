/**
 * Reads a topic back with kcat (librdkafka): an observer that shares no line of code with the producer under test.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { install } from "../support/packages.ts"

const run = promisify(execFile)

export interface Read {
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly headers: Readonly<Record<string, string>>
  /** Epoch milliseconds. */
  readonly timestamp: number
  readonly value: string
}

interface KcatRecord {
  readonly partition: number
  readonly offset: number
  readonly ts: number
  readonly key: string
  /** Names and values in turn. */
  readonly headers?: ReadonlyArray<string>
  readonly payload: string
}

/** kcat, once it is there; `input` goes to its standard input. */
export const kcat = async (parameters: ReadonlyArray<string>, input?: string): Promise<string> => {
  await install("kcat")
  const running = run("kcat", parameters, { encoding: "utf8", maxBuffer: 1 << 29, timeout: 60_000 })
  // Never `end("")`: that writes, and to a kcat that has ended already it is an error nobody handles.
  if (input === undefined) running.child.stdin?.end()
  else running.child.stdin?.end(input)
  const { stdout } = await running
  return stdout
}

const parse = (line: string): Read => {
  const record: KcatRecord = JSON.parse(line)
  const names = record.headers ?? []
  const headers: Record<string, string> = {}
  for (let i = 0; i + 1 < names.length; i += 2) headers[names[i] ?? ""] = names[i + 1] ?? ""
  return {
    partition: record.partition,
    offset: record.offset,
    key: record.key,
    headers,
    timestamp: record.ts,
    value: record.payload
  }
}

/** Of each partition: where it begins (-2) or ends (-1). */
const offsetsNow = async (
  connection: ReadonlyArray<string>,
  topic: string,
  which: -1 | -2
): Promise<ReadonlyArray<number>> => {
  const { topics }: { readonly topics: ReadonlyArray<{ readonly partitions: ReadonlyArray<unknown> }> } = JSON.parse(
    await kcat(["-L", "-J", ...connection, "-t", topic])
  )
  const partitions = topics.flatMap((each) => each.partitions.map((_, partition) => partition))
  const out = await kcat(["-Q", ...connection, ...partitions.flatMap((each) => ["-t", `${topic}:${each}:${which}`])])
  // `name [3] offset 17`
  const offsets = Array.from(out.matchAll(/\] offset (\d+)/g), ([, offset]) => Number(offset))
  if (offsets.length === 0 || offsets.length !== partitions.length) {
    throw new Error(`kcat knows no offsets of ${topic}: ${out}`)
  }
  return offsets
}

/** A broker that has just started again may not answer for its partitions yet: it is asked for at most twenty seconds. */
const offsetsOf = async (...parameters: Parameters<typeof offsetsNow>): Promise<ReadonlyArray<number>> => {
  const limit = Date.now() + 20_000
  for (;;) {
    try {
      return await offsetsNow(...parameters)
    } catch (cause) {
      if (Date.now() > limit) throw cause
    }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/**
 * The whole topic as it is now, by partition and offset; an error rather than less. `properties` are librdkafka's, for TLS and
 * SASL.
 */
export const readTopic = async (
  address: string,
  topic: string,
  properties: ReadonlyArray<string> = []
): Promise<ReadonlyArray<Read>> => {
  const connection = ["-b", address, ...properties.flatMap((property) => ["-X", property])]
  const ends = await offsetsOf(connection, topic, -1)
  const begins = await offsetsOf(connection, topic, -2)
  if (begins.some((offset) => offset > 0)) {
    throw new Error(`the broker has deleted the beginning of ${topic}: ${begins.join(" ")}`)
  }
  const total = ends.reduce((sum, end) => sum + end, 0)
  if (total === 0) return []
  // As many as there are: it ends with the last one, where "until the end" waits a second for more.
  const out = await kcat(["-C", ...connection, "-t", topic, "-o", "beginning", "-c", `${total}`, "-q", "-J"])
  const records = out.split("\n").filter((line) => line !== "").map(parse)
    .sort((a, b) => a.partition - b.partition || a.offset - b.offset)
  if (records.length !== total) throw new Error(`kcat has read ${records.length} of ${total} records of ${topic}`)
  return records
}

/** So many records are asked of a partition at once: more of the largest would not fit into one text. */
const atOnce = 20_000

/** Reads a topic from its beginning, and each time what has come since: in the order of each partition, an error rather than less. */
export const following = (address: string, topic: string): () => Promise<ReadonlyArray<Read>> => {
  const connection = ["-b", address]
  const next: Array<number> = []
  return async () => {
    const ends = await offsetsOf(connection, topic, -1)
    const records: Array<Read> = []
    for (const [partition, end] of ends.entries()) {
      for (let from = next[partition] ?? 0; from < end; from = next[partition]) {
        const count = Math.min(atOnce, end - from)
        const where = ["-t", topic, "-p", `${partition}`, "-o", `${from}`, "-c", `${count}`]
        const out = await kcat(["-C", ...connection, ...where, "-q", "-J"])
        const read = out.split("\n").filter((line) => line !== "").map(parse)
        if (read.length !== count || read[0]?.offset !== from) {
          throw new Error(`kcat has read ${read.length} of ${count} records of ${topic} [${partition}] from ${from}`)
        }
        for (const record of read) records.push(record)
        next[partition] = from + count
      }
    }
    return records
  }
}
