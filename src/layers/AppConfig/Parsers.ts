/**
 * Text to value and back, one parser for each kind of setting (docs/design/contract.md "Settings"). A problem is the end of one line: it
 * says what was expected and what was got. `print` gives text that the same parser reads as the same value.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import { isIPv6 } from "node:net"
import * as Address from "../../services/Address.ts"
import { type Assignment, maxShards } from "../../services/Assignment.ts"
import { subnetOf } from "../node/NoProxy.ts"
import * as Percent from "../Percent.ts"
import { nearest } from "./Suggest.ts"

export interface Parser<A> {
  readonly parse: (text: string) => Either.Either<A, string>
  readonly print: (value: A) => string
  /** Spaces around the text belong to it. */
  readonly verbatim?: true
  /** Of a list that belongs to others too: items that were not understood, and are not in the value. */
  readonly leftOut?: (text: string) => ReadonlyArray<string>
}

/** As it may be shown: on one line, not too long, and without what stands before an `@`, which may be a password. */
export const quote = (text: string): string => {
  const at = text.lastIndexOf("@")
  const shown = at === -1 ? text : `***${text.slice(at)}`
  return JSON.stringify(shown.length > 80 ? `${shown.slice(0, 80)}…` : shown)
}

const expected = (what: string, text: string): Either.Either<never, string> =>
  Either.left(`expected ${what}, got ${quote(text)}`)

/** Digits with at most one point: none of the other things that `Number` takes for a number. */
const decimal = /^\d{1,16}(\.\d{1,9})?$/

export const integer = (
  options: { readonly min: number; readonly max: number; readonly what: string }
): Parser<number> => ({
  parse: (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    return value >= options.min && value <= options.max ? Either.right(value) : expected(options.what, text)
  },
  print: String
})

export const port: Parser<number> = integer({ min: 0, max: 65_535, what: "a port 0-65535" })

/** A count of at least one. */
export const count: Parser<number> = integer({ min: 1, max: 1_000_000, what: "a whole number from 1 to 1000000" })

/** Levels of a book, at most: as many as are ever kept of one, or all of those. */
const maxDepth = 5_000

export const depth: Parser<number | "all"> = {
  parse: (text) => {
    if (text.toLowerCase() === "all") return Either.right("all")
    const what = `a whole number from 1 to ${maxDepth}, or all`
    return integer({ min: 1, max: maxDepth, what }).parse(text)
  },
  print: String
}

export const fraction: Parser<number> = {
  parse: (text) => {
    const value = decimal.test(text) ? Number(text) : Number.NaN
    return value >= 0 && value <= 1 ? Either.right(value) : expected("a number from 0 to 1", text)
  },
  print: String
}

const yes = ["true", "yes", "on", "1"]
const no = ["false", "no", "off", "0"]

export const boolean: Parser<boolean> = {
  parse: (text) => {
    const word = text.toLowerCase()
    if (yes.includes(word)) return Either.right(true)
    return no.includes(word) ? Either.right(false) : expected("true or false", text)
  },
  print: String
}

const durationUnits: ReadonlyArray<readonly [unit: string, millis: number]> = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1]
]

/** `60s` rather than `1m`: one of a unit is said in the next smaller one, down to seconds. */
const printDuration = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  if (millis === 0) return "0"
  const [unit, factor] =
    durationUnits.find(([, factor]) => millis % factor === 0 && millis >= (factor > 1_000 ? 2 * factor : factor)) ??
      ["ms", 1]
  return `${millis / factor}${unit}`
}

/** Whole milliseconds, at most ten years; nothing is `0` as well as `0s`. `min` is in milliseconds. */
export const duration = (options: { readonly min: number } = { min: 1 }): Parser<Duration.Duration> => ({
  parse: (text) => {
    const [, number = "", unit = ""] = /^([\d.]+) ?(ms|s|m|h|d)$/.exec(text === "0" ? "0ms" : text.toLowerCase()) ?? []
    const factor = durationUnits.find(([name]) => name === unit)?.[1] ?? Number.NaN
    const millis = decimal.test(number) ? Math.round(Number(number) * factor) : Number.NaN
    if (!(millis >= 0 && millis <= 3_650 * 86_400_000)) {
      return expected("a duration such as 500ms, 30s or 5m", text)
    }
    return millis >= options.min
      ? Either.right(Duration.millis(millis))
      : expected(`a duration of at least ${printDuration(Duration.millis(options.min))}`, text)
  },
  print: printDuration
})

const sizeUnits: ReadonlyArray<readonly [unit: string, bytes: number]> = [
  ["TiB", 1024 ** 4],
  ["GiB", 1024 ** 3],
  ["MiB", 1024 ** 2],
  ["KiB", 1024],
  ["TB", 1000 ** 4],
  ["GB", 1000 ** 3],
  ["MB", 1000 ** 2],
  ["KB", 1000],
  ["B", 1],
  ["", 1]
]

/** Whole bytes, at least one: `ws` takes a limit of 0 for none. */
export const size: Parser<number> = {
  parse: (text) => {
    const [, number = "", unit = "?"] = /^([\d.]+) ?([a-z]*)$/i.exec(text) ?? []
    const factor = sizeUnits.find(([name]) => name.toLowerCase() === unit.toLowerCase())?.[1] ?? Number.NaN
    const bytes = decimal.test(number) ? Math.round(Number(number) * factor) : Number.NaN
    return bytes >= 1 && Number.isSafeInteger(bytes)
      ? Either.right(bytes)
      : expected("a size such as 512KiB, 1GiB or 500MB", text)
  },
  print: (bytes) => {
    const [unit, factor] = sizeUnits.find(([, factor]) => bytes % factor === 0) ?? ["", 1]
    return factor === 1 ? String(bytes) : `${bytes / factor}${unit}`
  }
}

/** One of a few words, in any case; stored as they are written here. */
export const choice = <const Word extends string>(...words: ReadonlyArray<Word>): Parser<Word> => ({
  parse: (text) => {
    const found = words.find((word) => word.toLowerCase() === text.toLowerCase())
    return found === undefined ? expected(`one of ${words.join(", ")}`, text) : Either.right(found)
  },
  print: (word) => word
})

const itemsOf = (text: string): ReadonlyArray<string> =>
  text.split(",").map((item) => item.trim()).filter((item) => item !== "")

/** Items by comma, each once. The first bad item is the problem. */
export const list = <A extends string>(
  what: string,
  item: (text: string) => Either.Either<A, string>
): Parser<ReadonlyArray<A>> => ({
  parse: (text) => {
    const all = new Set<A>()
    for (const one of itemsOf(text)) {
      const value = item(one)
      // An `@` may stand in another item than the password before it.
      if (Either.isLeft(value)) return text.includes("@") ? expected(what, text) : Either.left(value.left)
      all.add(value.right)
    }
    return all.size === 0 ? expected(what, text) : Either.right(Array.from(all))
  },
  print: (values) => values.join(",")
})

/** Some of a few words; a misspelt one is told its neighbour. */
export const choices = <const Word extends string>(...words: ReadonlyArray<Word>): Parser<ReadonlyArray<Word>> => {
  const what = `some of ${words.join(", ")}`
  return list(what, (text) => {
    const found = words.find((word) => word === text.toLowerCase())
    if (found !== undefined) return Either.right(found)
    const neighbour = nearest(text.toLowerCase(), words)
    return Either.left(
      `expected ${what}, got ${quote(text)}` + (neighbour === undefined ? "" : `; did you mean ${neighbour}?`)
    )
  })
}

/** Globs over canonical symbols, upper-cased. */
export const globs: Parser<ReadonlyArray<string>> = list("globs over symbols such as BTC/IRT or */USDT", (text) => {
  const glob = text.toUpperCase()
  return /^[A-Z0-9_*?]{1,30}\/[A-Z0-9*?]{1,10}$/.test(glob) || /^\*+$/.test(glob)
    ? Either.right(glob)
    : expected("globs over symbols such as BTC/IRT or */USDT", text)
})

/** `2/3`: the second of three. */
export const shard: Parser<Assignment> = {
  parse: (text) => {
    const [, index = "", count = ""] = /^(\d{1,4}) ?\/ ?(\d{1,4})$/.exec(text) ?? []
    const value = { index: Number(index), count: Number(count) }
    return value.index >= 1 && value.index <= value.count && value.count <= maxShards
      ? Either.right(value)
      : expected(`a share such as 1/2, of at most ${maxShards}`, text)
  },
  print: ({ count, index }) => `${index}/${count}`
}

const brokerText = "brokers as host:port,host:port, an IPv6 address as [::1]:9092"

/** `host:port` or `[::1]:port`. Kafka's own port where there is none. */
export const brokers: Parser<ReadonlyArray<string>> = list(brokerText, (text) => {
  const broker = Address.parse(/(?:^[^:]*|\])$/.test(text) ? `${text}:9092` : text)
  return broker !== undefined && (/^[A-Za-z0-9._-]{1,253}$/.test(broker.host) || isIPv6(broker.host)) &&
      broker.port >= 1 && broker.port <= 65_535
    ? Either.right(Address.format(broker))
    : expected(brokerText, text)
})

/** Of a list that belongs to others too: what is not understood is left out. */
const partial = <A>(
  itemsOf: (text: string) => ReadonlyArray<string>,
  read: (item: string) => A | undefined
): { readonly of: (text: string) => ReadonlyArray<A>; readonly leftOut: (text: string) => ReadonlyArray<string> } => ({
  of: (text) => itemsOf(text).map(read).filter((value) => value !== undefined),
  leftOut: (text) => itemsOf(text).filter((item) => read(item) === undefined)
})

const hostItems = partial(
  (text) => text.split(/[\s,]+/).filter((item) => item !== ""),
  (item) => /^[^/@]+$/.test(item) || subnetOf(item) !== undefined ? item : undefined
)

/** What stands in `NO_PROXY`, by comma or blank: hosts, domains, addresses, `10.0.0.0/8`, `*`. */
export const hosts: Parser<ReadonlyArray<string>> = {
  parse: (text) => Either.right(Array.from(new Set(hostItems.of(text)))),
  print: (values) => values.join(","),
  leftOut: hostItems.leftOut
}

export const host: Parser<string> = {
  parse: (text) => /^[A-Za-z0-9._:%-]{1,253}$/.test(text) ? Either.right(text) : expected("a host or an address", text),
  print: (value) => value
}

/** Short enough for a topic (249) after what is appended to it. */
export const topicPrefix: Parser<string> = {
  parse: (text) =>
    /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/.test(text)
      ? Either.right(text)
      : expected("a topic prefix of letters, digits, '.', '_' and '-'", text),
  print: (value) => value
}

export const path: Parser<string> = {
  parse: (text) => text.includes("\0") ? expected("a path", text) : Either.right(text),
  print: (value) => value
}

export const words: Parser<string> = { parse: Either.right, print: (value) => value }

const urlOf = (text: string): URL | undefined => URL.canParse(text) ? new URL(text) : undefined

const url = (text: string, schemes: ReadonlyArray<string>, example: string): Either.Either<string, string> => {
  const parsed = urlOf(text)
  if (parsed === undefined || !schemes.includes(parsed.protocol) || parsed.hostname === "") {
    return expected(`an address such as ${example}`, text)
  }
  return parsed.username === "" && parsed.password === ""
    ? Either.right(text)
    : expected("an address without credentials", text)
}

/** Paths are appended to it: it ends without a slash. */
export const httpUrl: Parser<string> = {
  parse: (text) => Either.map(url(text, ["http:", "https:"], "https://host"), (value) => value.replace(/\/+$/, "")),
  print: (value) => value
}

export const wsUrl: Parser<string> = {
  parse: (text) => url(text, ["ws:", "wss:"], "wss://host/path"),
  print: (value) => value
}

/** As others write it too: `host:4318` is `http://host:4318`. */
const withScheme = (text: string): string => text.includes("://") ? text : `http://${text}`

/** As `httpUrl`, and the scheme may be left out. */
export const otlpEndpoint: Parser<string> = { ...httpUrl, parse: (text) => httpUrl.parse(withScheme(text)) }

const proxySchemes = ["http:", "https:", "socks:", "socks5:", "socks5h:"]

/** May hold credentials: the setting must be marked as secret. */
export const proxy: Parser<string> = {
  parse: (text) => {
    const url = withScheme(text)
    const parsed = urlOf(url)
    return parsed !== undefined && proxySchemes.includes(parsed.protocol) && parsed.hostname !== ""
      ? Either.right(url)
      : expected("a proxy such as http://host:3128 or socks5://host:1080", text)
  },
  print: (value) => value
}

export const secret: Parser<Redacted.Redacted> = {
  parse: (text) => Either.right(Redacted.make(text)),
  print: Redacted.value,
  verbatim: true
}

const pairItems = partial(itemsOf, (item) => {
  const [, key, value = ""] = /^([^=\s]+)\s*=\s*([^\s].*)?$/.exec(item) ?? []
  return key === undefined ? undefined : [key, Percent.decode(value)] as const
})

/** `key=value` by comma, as OpenTelemetry writes its headers and attributes: percent-encoded. */
export const pairs: Parser<Readonly<Record<string, string>>> = {
  parse: (text) => Either.right(Object.fromEntries(pairItems.of(text))),
  print: (values) => Object.entries(values).map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join(","),
  leftOut: pairItems.leftOut
}

export const secretPairs: Parser<Redacted.Redacted<Readonly<Record<string, string>>>> = {
  parse: (text) => Either.map(pairs.parse(text), (values) => Redacted.make(values)),
  print: (values) => pairs.print(Redacted.value(values)),
  leftOut: pairItems.leftOut
}

const levels: ReadonlyArray<readonly [word: string, level: LogLevel.LogLevel]> = [
  ["all", LogLevel.All],
  ["trace", LogLevel.Trace],
  ["debug", LogLevel.Debug],
  ["info", LogLevel.Info],
  ["warn", LogLevel.Warning],
  ["warning", LogLevel.Warning],
  ["error", LogLevel.Error],
  ["fatal", LogLevel.Fatal],
  ["off", LogLevel.None],
  ["none", LogLevel.None]
]

/** Words of both kinds: Effect's and everybody else's. */
export const logLevel: Parser<LogLevel.LogLevel> = {
  parse: (text) => {
    const found = levels.find(([word]) => word === text.toLowerCase())
    return found === undefined
      ? expected("one of trace, debug, info, warn, error, fatal, off", text)
      : Either.right(found[1])
  },
  print: (level) => levels.find(([, other]) => other._tag === level._tag)?.[0] ?? level.label
}

/** May be left out. */
export const optional = <A>(parser: Parser<A>): Parser<A | undefined> => ({
  ...parser,
  print: (value) => value === undefined ? "" : parser.print(value)
})
