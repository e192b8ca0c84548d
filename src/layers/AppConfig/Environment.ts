/**
 * From the environment to the text of each setting: blank is unset, `NAME_FILE` reads a file, and a name that is nearly a
 * setting's is told.
 */
import * as Effect from "effect/Effect"
import { nearest } from "./Suggest.ts"
import { prefixOf, type Row, type Table } from "./Variables.ts"

/**
 * Names of variables and their texts, as `process.env` has them.
 *
 * @since 0.1.0
 * @category models
 */
export type Environment = Readonly<Record<string, string | undefined>>

/** One line of `ConfigInvalid`. */
export interface Problem {
  readonly name: string
  readonly problem: string
}

/** The text of one setting, and where it came from: `environment`, or `file <path>`. */
export interface Given {
  readonly text: string
  readonly source: string
  /** Set if it came from a file. */
  readonly file?: string
}

export interface Texts {
  readonly given: ReadonlyMap<string, Given>
  readonly problems: ReadonlyArray<Problem>
}

export type ReadFile<E extends { readonly message: string }> = (path: string) => Effect.Effect<string, E>

const isBlank = (text: string): boolean => text.trim() === ""

export const read = <E extends { readonly message: string }>(
  env: Environment,
  readFile: ReadFile<E>,
  rows: ReadonlyArray<Row>
): Effect.Effect<Texts> =>
  Effect.map(
    Effect.forEach(rows, (row) => readOne(env, readFile, row)),
    (results) => {
      const given = new Map<string, Given>()
      const problems: Array<Problem> = []
      for (const [index, result] of results.entries()) {
        const name = rows[index]?.name ?? ""
        if (result === undefined) continue
        if ("problem" in result) problems.push(result)
        else given.set(name, result)
      }
      return { given, problems }
    }
  )

/** Whoever makes a secret with `echo` has one at its end, in a file and in the environment alike. */
const withoutNewline = (text: string): string => text.replace(/\r?\n$/, "")

const readOne = Effect.fnUntraced(function*<E extends { readonly message: string }>(
  env: Environment,
  readFile: ReadFile<E>,
  row: Row
): Effect.fn.Return<Given | Problem | undefined> {
  const direct = env[row.name] ?? ""
  const fileName = `${row.name}_FILE`
  const path = (env[fileName] ?? "").trim()
  if (path === "") return isBlank(direct) ? undefined : { text: withoutNewline(direct), source: "environment" }
  if (!isBlank(direct)) return { name: row.name, problem: `and ${fileName} are both set; keep one` }
  return yield* Effect.match(readFile(path), {
    onFailure: (error) => ({ name: fileName, problem: `cannot be read: ${error.message}` }),
    onSuccess: (content) => {
      const text = withoutNewline(content)
      return isBlank(text) ? undefined : { text, source: `file ${path}`, file: path }
    }
  })
})

/** Names that others give to what is called differently here. */
const synonyms: ReadonlyMap<string, string> = new Map([
  ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKER"],
  ["KAFKA_BOOTSTRAP_SERVER", "KAFKA_BROKER"],
  ["KAFKA_BROKERS", "KAFKA_BROKER"]
])

/** Proxies by names that others read: whoever has set them may take it that they are used. */
const otherProxies: ReadonlyMap<string, string> = new Map([
  ["https_proxy", "HTTPS_PROXY"],
  ["no_proxy", "NO_PROXY"],
  ["ALL_PROXY", "HTTPS_PROXY"],
  ["all_proxy", "HTTPS_PROXY"]
])

/** What begins so is meant for this program. `LOG_`, `API_`, `HEALTH_` and `DATA_` are everybody's. */
const oursOf = ({ exchanges }: Table): RegExp =>
  new RegExp(
    `^(${
      ["KAFKA", "QUEUE", "BACKFILL", "WS", "RETRY", ...exchanges.map(({ exchange }) => prefixOf(exchange))].join("|")
    })_|^API_BREAKER_`
  )

/** Kubernetes tells every pod of every Service: a Service called `kafka` gives KAFKA_PORT=tcp://... and more. */
const isForeign = (name: string, value: string): boolean =>
  name === "KAFKA_TEST_BROKER" ||
  name === "KAFKA_PORT" ||
  name.startsWith("KAFKA_SERVICE_") ||
  /_SERVICE_(HOST|PORT)(_|$)/.test(name) ||
  /_PORT_\d+_(TCP|UDP|SCTP)(_|$)/.test(name) ||
  (name.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value)) ||
  // One letter from HTTPS_PROXY, and a name in its own right.
  name === "HTTP_PROXY"

/** Names in the environment that look like settings and are none. */
export const unknown = (env: Environment, table: Table): ReadonlyArray<string> => {
  const ours = oursOf(table)
  const names = table.rows.map((row) => row.name)
  const known = new Set(names.flatMap((name) => [name, `${name}_FILE`]))
  return Object.keys(env).sort().flatMap((name) => {
    const value = env[name] ?? ""
    if (known.has(name) || isBlank(value) || isForeign(name, value)) return []
    const read = otherProxies.get(name)
    if (read !== undefined) return isBlank(env[read] ?? "") ? [`${name} is not read; ${read} is`] : []
    const base = name.replace(/_FILE$/, "")
    const near = synonyms.get(base) ?? nearest(base, names, ours.test(name) ? 4 : 1)
    if (near === undefined && !ours.test(name)) return []
    return [`${name} is not a setting` + (near === undefined ? "" : `; did you mean ${near}?`)]
  })
}
