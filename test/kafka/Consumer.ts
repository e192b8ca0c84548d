/**
 * Reads a topic back with kcat (librdkafka): an observer that shares no line of code with the producer under test.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"

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

const isMissing = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && "code" in cause && cause.code === "ENOENT"

let installed: Promise<void> | undefined

/** By apt where we are root, as in a container; else the command for a human. */
const install = async (): Promise<void> => {
  try {
    await run("kcat", ["-V"])
    return
  } catch (cause) {
    if (!isMissing(cause)) throw cause
  }
  try {
    await run("apt-get", ["install", "-y", "--no-install-recommends", "kcat"])
  } catch (cause) {
    throw new Error("these tests read Kafka with kcat: `apt-get install kcat`, `brew install kcat`", { cause })
  }
}

/** kcat, once it is there; `input` goes to its standard input. */
export const kcat = async (parameters: ReadonlyArray<string>, input = ""): Promise<string> => {
  installed ??= install()
  await installed
  const running = run("kcat", parameters, { encoding: "utf8", maxBuffer: 1 << 29 })
  running.child.stdin?.end(input)
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

/** The whole topic as it is now, by partition and offset. `properties` are librdkafka's, for TLS and SASL. */
export const readTopic = async (
  address: string,
  topic: string,
  properties: ReadonlyArray<string> = []
): Promise<ReadonlyArray<Read>> => {
  const out = await kcat([
    "-C",
    "-b",
    address,
    "-t",
    topic,
    "-o",
    "beginning",
    "-e",
    "-q",
    "-J",
    "-X",
    "topic.metadata.refresh.interval.ms=500",
    ...properties.flatMap((property) => ["-X", property])
  ])
  return out.split("\n").filter((line) => line !== "").map(parse)
    .sort((a, b) => a.partition - b.partition || a.offset - b.offset)
}
