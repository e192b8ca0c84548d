/**
 * Rows that a topic's messages have in common. A push of BitPin's is the window of a market's last twenty trades, one of Ramzinex's of the
 * last fifty: one row is new, and the others stand there as before, letter by letter. Such a row is read once; where its text comes again, it
 * is what it was. Nothing depends on it but the time that it takes: a property compares decoding with and without.
 */
import * as Json from "./Json.ts"

/** A row of a topic's last message. Text and value are its own: they keep no frame in memory. */
interface Row<A> {
  readonly text: string
  readonly value: unknown
  made: A | undefined
}

/** A topic's last message. */
interface Window<A> {
  /** Its rows in their order, and the depth of their list; none while messages are not known to have rows in common. */
  rows: ReadonlyArray<Row<A>>
  depth: number
  /** One of its rows: if the next message has it too, rows are kept from then on. */
  sample: string | undefined
  /** So many messages are not looked at. */
  rest: number
  /** How long the last such rest was. */
  lastRest: number
  /** Estimated, of its rows. */
  bytes: number
}

/** What a list was made of. */
interface Listed<A> {
  readonly list: ReadonlyArray<unknown>
  readonly rows: ReadonlyArray<Row<A>>
}

/** The rows of one exchange's topics. */
export interface Repeats<A> {
  /** What `Json.parseFrame` is given with a message; undefined: it is read without. */
  readonly rowsOf: (topic: string, text: string) => Json.Rows | undefined
  /** `read` of each row of a list that was read so, or of any other. */
  readonly map: (list: ReadonlyArray<unknown>) => ReadonlyArray<A>
}

/** A shorter message has too few rows for the looking to be worth it. UTF-16 units. */
const shortest = 512

/**
 * What is larger is read without: a window is kept for each topic, and who sends it is not trusted. A row of many small parts, as
 * `[{},{},{}]`, takes fifty times as many bytes as it has characters.
 */
const longest = 64 * 1024
const mostRows = 256
const longestRow = 512
const mostParts = 32
const mostTopics = 4_096

/** Of all topics together, when all is forgotten: estimated bytes. Twenty rows of each of a thousand markets are some 25 million. */
const mostBytes = 48 * 1024 * 1024
const bytesOfRow = 1_024

const hasManyParts = (text: string): boolean => {
  let parts = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x2c || code === 0x5b || code === 0x7b) parts += 1
  }
  return parts > mostParts
}

/** Messages without a row in common are looked at ever more seldom. */
const longestRest = 1_024

const rested = <A>(window: Window<A>): boolean => {
  if (window.rows.length > 0 || window.rest === 0) return true
  window.rest -= 1
  return false
}

/** `read` depends on nothing but the row. */
export const make = <A>(read: (row: unknown) => A): Repeats<A> => {
  const windows = new Map<string, Window<A>>()
  // A list is mapped as soon as its message is read. One for each list, in a WeakMap, was a third of the whole decode in garbage collection.
  let last: Listed<A> | undefined
  let bytes = 0

  const listed = (window: Window<A>, list: ReadonlyArray<unknown> | undefined, rows: ReadonlyArray<Row<A>>): void => {
    last = list === undefined ? undefined : { list, rows }
    bytes -= window.bytes
    window.bytes = rows.reduce((sum, { text }) => sum + bytesOfRow + text.length, 0)
    bytes += window.bytes
    if (bytes <= mostBytes) return
    windows.clear()
    bytes = 0
  }

  const windowOf = (topic: string): Window<A> => {
    let window = windows.get(topic)
    if (window === undefined) {
      if (windows.size >= mostTopics) {
        windows.clear()
        bytes = 0
      }
      window = { rows: [], depth: 0, sample: undefined, rest: 0, lastRest: 0, bytes: 0 }
      windows.set(Json.whole(topic), window)
    }
    return window
  }

  return {
    rowsOf: (topic, text) => {
      if (text.length < shortest || text.length > longest) return undefined
      const window = windowOf(topic)
      return rested(window) ? reading(window, text, listed) : undefined
    },
    map: (list) => last?.list === list ? last.rows.map((row) => row.made ??= read(row.value)) : list.map(read)
  }
}

/** One message: the window is changed when its list has come to its end. */
const reading = <A>(
  window: Window<A>,
  text: string,
  onListed: (window: Window<A>, list: ReadonlyArray<unknown> | undefined, rows: ReadonlyArray<Row<A>>) => void
): Json.Rows => {
  const isKept = window.rows.length > 0 || (window.sample !== undefined && text.includes(window.sample))
  const rows: Array<Row<A>> = []
  let before: ReadonlyArray<Row<A>> = []
  let depth = 0
  let sample: string | undefined
  let found = 0
  /** Where in the rows of before the next one is looked for first: a window moves on, and keeps its order. */
  let next = 0
  return {
    isKept,
    begin: (at) => {
      depth = at
      // Deeper down, a row might be too deep.
      if (window.depth === depth) before = window.rows
    },
    known: (at) => {
      for (let i = next; i < before.length; i++) {
        const row = before[i]
        // Two texts are compared by words, `startsWith` goes by characters.
        if (row === undefined || text.slice(at, at + row.text.length) !== row.text) continue
        next = i + 1
        found += 1
        rows.push(row)
        return row
      }
      return undefined
    },
    read: (from, to, value) => {
      if (to - from > longestRow || (!isKept && sample !== undefined)) return
      const row = Json.whole(text.slice(from, to))
      if (hasManyParts(row)) return
      if (isKept) rows.push({ text: row, value, made: undefined })
      else sample = row
    },
    end: (list) => {
      const isWorthIt = isKept && (found > 0 || before.length === 0)
      // One that is not among them, too long, would set the places apart.
      if (isWorthIt && rows.length === list.length && rows.length <= mostRows) {
        Object.assign(window, { rows, depth, sample: undefined, lastRest: 0 })
        onListed(window, list, rows)
        return
      }
      const isFirstLook = !isKept && window.sample === undefined && sample !== undefined && list.length > 1
      const lastRest = isFirstLook ? window.lastRest : Math.min(longestRest, Math.max(1, window.lastRest * 2))
      onListed(window, undefined, [])
      Object.assign(window, {
        rows: [],
        sample: isFirstLook ? sample : undefined,
        rest: isFirstLook ? 0 : lastRest,
        lastRest
      })
    }
  }
}
