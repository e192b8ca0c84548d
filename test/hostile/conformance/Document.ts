/** docs/conformance.md: a section for each exchange, of which each is written anew by itself. */
import { readFileSync, writeFileSync } from "node:fs"
import { markets } from "./Behaviours.ts"
import { bookEvery, perSecond, type Row, scale, scaled } from "./Play.ts"

const file = new URL("../../../docs/conformance.md", import.meta.url)

const table = (rows: ReadonlyArray<Row>): string => {
  const withBooks = rows.some(({ books }) => books !== undefined)
  const columns = [
    "the server",
    "dials",
    "back after, ms",
    "issued",
    "by history",
    "holes told",
    "lost untold",
    ...withBooks ? ["books told", "books' holes", "untrue or untold"] : []
  ]
  return [
    `| ${columns.join(" | ")} |`,
    `|${"---|".repeat(columns.length)}`,
    ...rows.map(({ books, dials, gaps, issued, name, recovery, rest, untold }) => {
      const ofBooks = books === undefined ? [] : [books.told, books.gaps, books.wrong.length]
      return `| ${[name, dials, recovery, issued, rest, gaps, untold.length, ...ofBooks].join(" | ")} |`
    })
  ].join("\n")
}

const head = `# Conformance: what a feed does when its server misbehaves

Written by \`CONFORMANCE_DOC=1 npx vitest run --project conformance --no-file-parallelism\`. Each behaviour has a server of its own on loopback with
${markets} markets, ${perSecond} trades a second and ${
  1_000 / bookEvery
} changes of books a second; trades and books are collected at once, with \`BOOK_DELTAS\`, but for Binance, of which whole pictures of 20
levels are asked: its books by changes are not part of this table. Retry delays, breaker
waits and idle time-outs are 1/${scale} of the defaults (base delay ${
  Number(scaled.retry.baseDelay) || 50
} ms), so that dials of a connection are
comparable to 10 in 30 s at full scale. "Back after" is counted from the server's healing to the next trade handed over; after a lost
connection live trades wait for their history, up to 5 s. "Lost untold" is what neither arrived nor lies in a hole that was told: it
has to be 0.

Of books: "books told" are books and changes; "books' holes" are stretches without a true book, each told by two \`gap\` events; "untrue or
untold" counts states that a reader came to and that never were, or were before the one it had, and changes that nobody heard of without a
\`gap\` to say so: it has to be 0. In the end each reader has the exchange's own book. Coinbase, OKX and Wallex have books on
connections of their own, so that they dial twice. Tabdeal's trades come by asking, and its books by the socket.
`

/** Puts an exchange's section in the place of the one before. */
export const write = (name: string, rows: ReadonlyArray<Row>): void => {
  const sections = new Map(
    readFileSync(file, "utf8").split(/^## /m).slice(1).map((
      text
    ) => [text.slice(0, text.indexOf("\n")), text.trimEnd()])
  )
  sections.set(name, `${name}\n\nOn ${new Date().toISOString().slice(0, 10)}.\n\n${table(rows)}`)
  const inOrder = [...sections.keys()].sort().map((name) => `## ${sections.get(name)}\n`)
  writeFileSync(file, `${head}\n${inOrder.join("\n")}`)
}
