/** Data on stdout, at the pace of whoever reads it. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"

/** Aligned to the left, two blanks apart. */
export const columns = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd())
}

/** Succeeds when the reader is ready for more. One that is gone ends the program (`Process.ts`). */
export const lines = (chunk: Chunk.Chunk<string>): Effect.Effect<void> =>
  Chunk.isEmpty(chunk) ? Effect.void : Effect.async((resume) => {
    const text = `${Chunk.toReadonlyArray(chunk).join("\n")}\n`
    if (process.stdout.write(text)) resume(Effect.void)
    else process.stdout.once("drain", () => resume(Effect.void))
  })
