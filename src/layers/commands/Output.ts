/** Data on stdout, at the pace of whoever reads it. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"

/** Succeeds when the reader is ready for more. One that is gone ends the program (`Process.ts`). */
export const lines = (chunk: Chunk.Chunk<string>): Effect.Effect<void> =>
  Chunk.isEmpty(chunk) ? Effect.void : Effect.async((resume) => {
    const text = `${Chunk.toReadonlyArray(chunk).join("\n")}\n`
    if (process.stdout.write(text)) resume(Effect.void)
    else process.stdout.once("drain", () => resume(Effect.void))
  })
