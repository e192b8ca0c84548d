/**
 * What CI asserts: CPU a trade of the collector beside that of the bare loop in the same run, medians of three, on whatever machine. Ratios of CPU
 * only: seconds go by what else the machine does. The limits have room for a busy machine and for the compiling of a short run; what is reached on
 * a quiet one is in docs/performance.md.
 */
import type { ShapeName } from "./support/Frames.ts"
import { print, withStage } from "./support/Stage.ts"
import { rounded, spread } from "./support/Statistics.ts"
import type { SubjectName } from "./support/Subject.ts"

const rounds = 3
const warm = 30_000
const trades = 40_000
const room = 8_000
const markets = 60

const limits: ReadonlyArray<{ readonly shape: ShapeName; readonly atMost: number }> = [{ shape: "one", atMost: 1.3 }]

await withStage({}, async ({ run }) => {
  for (const { atMost, shape } of limits) {
    const micros = { "bare loop": new Array<number>(), "exchange-feeds": new Array<number>() }
    for (let round = 0; round < rounds; round++) {
      for (const subject of ["bare loop", "exchange-feeds"] as const satisfies ReadonlyArray<SubjectName>) {
        const { cpu } = await run({ subject, shape, markets }, async ({ fullSpeed }) => {
          await fullSpeed(warm, room)
          return fullSpeed(trades, room)
        })
        micros[subject].push(cpu.all)
      }
    }
    const [ours = NaN, bare = NaN] = [spread(micros["exchange-feeds"])?.median, spread(micros["bare loop"])?.median]
    const ratio = ours / bare
    print({
      bench: "ratios",
      shape,
      markets,
      cpuUs: rounded(ours),
      bareUs: rounded(bare),
      ratio: rounded(ratio),
      atMost
    })
    if (!(ratio <= atMost)) process.exitCode = 1
  }
})
