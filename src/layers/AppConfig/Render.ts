/**
 * The table of settings as text: for a shell, for the docs, and as it is in effect.
 */
import type { Group, Row } from "./Variables.ts"

/** `.env.example`: every setting with its default, commented out. */
export const envExample = (groups: ReadonlyArray<Group>): string =>
  [
    "# Settings of exchange-feeds, with their defaults. Blank is unset; NAME_FILE=<path> reads NAME from a file.",
    ...groups.flatMap(({ rows, title }) => [
      "",
      `# ${title}`,
      ...rows.flatMap((row) => ["", `# ${row.help.replaceAll("`", "")}`, `# ${row.name}=${row.defaultText}`])
    ])
  ].join("\n")

const cell = (text: string): string => text.replaceAll("|", "\\|")

const line = (row: Row): string =>
  `| \`${row.name}\` | ${row.defaultText === "" ? "-" : `\`${cell(row.defaultText)}\``} | ${cell(row.help)} |`

/** One table for each group. */
export const markdown = (groups: ReadonlyArray<Group>): string =>
  groups.map(({ rows, title }) =>
    [`### ${title}`, "", "| variable | default | meaning |", "| --- | --- | --- |", ...rows.map(line)].join("\n")
  ).join("\n\n")

/** `NAME=value  # source` for each setting, aligned. */
export const effective = (
  settings: ReadonlyArray<{ readonly name: string; readonly value: string; readonly source: string }>
): string => {
  const lines = settings.map(({ name, value }) => `${name}=${value}`)
  const width = Math.min(60, Math.max(...lines.map((text) => text.length)))
  return settings.map(({ source }, index) => `${(lines[index] ?? "").padEnd(width)}  # ${source}`).join("\n")
}
