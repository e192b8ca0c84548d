import { readFileSync } from "node:fs"
import * as path from "node:path"

/** Lines of `test/recordings/<exchange>/<name>.ndjson`. */
export const recording = (exchange: string, name: string): ReadonlyArray<string> =>
  readFileSync(path.resolve(import.meta.dirname, "../../recordings", exchange, `${name}.ndjson`), "utf8")
    .split("\n")
    .filter((line) => line !== "")

/** One line, counted from 1 as the SOURCES do. */
export const line = (exchange: string, name: string, n: number): string => {
  const found = recording(exchange, name)[n - 1]
  if (found === undefined) throw new Error(`${exchange}/${name} has no line ${n}`)
  return found
}
